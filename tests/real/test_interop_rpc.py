#!/usr/bin/env python3
"""Events, queries and keys through the stock `serf` command and a client library, on kith agents as on Serf agents.

The command's output and exit code on a kith agent are compared with those on a Serf agent; then both kinds are one pool. The
library is node-serf, which knows nothing of kith.
"""
import json
import os
import re
import shutil
import subprocess
import threading

import lib
from stock import NAMES, plain, same, twin

check = lib.check
HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "npm", "node_modules")
KEYS = ["WbL6oaTPom+7RG7Q/INbJWKy09OLar/Hf2SuOAdoQE4=", "HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8=",
        "T9jncgl9mbLus+baTTa7q7nPSUrXwbDi2dhbtqir37s="]


class Responder(threading.Thread):
    """Answers every query that an agent is asked: its name, and the payload."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.rpc, self.seen = agent, lib.Rpc(agent.rpc_addr), []
        seq = self.rpc.send("stream", {"Type": "query"})
        check(self.rpc.value() == {"Seq": seq, "Error": ""}, "a stream of queries")
        self.rpc.sock.settimeout(None)
        self.start()

    def run(self):
        try:
            while True:
                head = self.rpc.value()
                if head["Seq"] != 2:
                    continue  # the answer to a respond
                body = self.rpc.value()
                self.seen.append(body["Name"])
                text = b"%s heard %s\nand more" % (self.agent.name.encode(), body["Payload"] or b"nothing")
                self.rpc.send("respond", {"ID": body["ID"], "Payload": text})
        except (OSError, ConnectionError):
            pass


def follow(agent, events):
    """A connection on which the agent tells of these."""
    rpc = lib.Rpc(agent.rpc_addr)
    rpc.send("stream", {"Type": events})
    check(rpc.value()["Error"] == "", "a stream of", events)
    return rpc


@lib.case
def events(pool):
    """event: what is printed, and what the others' streams tell"""
    told = {}
    pools = {kind: twin(pool, kind) for kind in ("serf", "kith")}
    serf, kith = pools["serf"][0], pools["kith"][0]
    streams = {kind: follow(pools[kind][2], "user") for kind in pools}
    same(serf, kith, "event", "-coalesce=false", "deploy", "v1")
    same(serf, kith, "event", "-coalesce=false", "empty")
    same(serf, kith, "event", "gathered", "old")
    same(serf, kith, "event", "gathered", "new")
    same(serf, kith, "event")
    same(serf, kith, "event", "a", "b", "c")
    for kind in pools:
        told[kind] = sorted((streams[kind].record(15)[1] for _ in range(3)), key=lambda r: r["Name"])  # Serf's order is luck
    check(told["serf"] == told["kith"], "streams differ:\n  serf %s\n  kith %s" % (told["serf"], told["kith"]))
    check([r["Payload"] for r in told["kith"]] == [b"v1", None, b"new"], told["kith"])
    done = kith.cli("event", "large", "x" * 100000, binary=lib.SERF)  # Serf's own limit is 512 bytes
    check(done.code == 0, done)
    record = streams["kith"].record(15)[1]
    check(record["Name"] == "large" and len(record["Payload"]) == 100000, "the large event comes whole", record["Name"])


@lib.case
def queries(pool):
    """query: filters, acknowledgements, answers, both formats, no such member; reachability"""
    pools = {kind: twin(pool, kind) for kind in ("serf", "kith")}
    serf, kith = pools["serf"][0], pools["kith"][0]
    responders = [Responder(agent) for kind in pools for agent in pools[kind]]

    def as_sets(text, net):
        value = json.loads(text)
        return sorted(value["Acks"] or []), value["Responses"]

    for answers, options in ((3, []), (3, ["-no-ack"]), (2, ["-node=two", "-node=three"]), (1, ["-tag", "role=^w", "-tag",
                             "index=1"]), (0, ["-tag", "role=nosuch"]), (3, ["-relay-factor=2"])):
        done = same(serf, kith, "query", "-timeout=1s", *options, "load", "now")
        check(done.out.count("Response from") == answers and "Total Responses: %d" % answers in done.out, options, done)
    done = same(serf, kith, "query", "-timeout=1s", "-format=json", "load", parse=as_sets)
    check(done.json()["Responses"]["two"] == "two heard nothing\nand more", done)
    same(serf, kith, "query")
    same(serf, kith, "query", "_serf_secret")
    done = kith.cli("query", "-timeout=1s", "-node=nobody", "load", binary=lib.SERF)
    check(done.code == 1 and "no member is called \"nobody\"" in done.out, "a filter that nobody passes:", done)

    def untimed(text, net):
        return plain(re.sub(r"[0-9.]+ sec", "N sec", text), net)

    done = same(serf, kith, "reachability", parse=untimed)
    check("Successfully contacted all live nodes" in done.out, done)
    same(serf, kith, "reachability", "-verbose", parse=untimed)
    check(not [n for r in responders for n in r.seen if n.startswith("_serf")], "internal queries are told to nobody")


@lib.case
def keys(pool):
    """keys: list, install, use, remove, refusals; the keyring files; a restart by them; a pool without encryption"""
    def flags(path):
        with open(path, "w") as file:
            json.dump(KEYS[:1], file)
        return ["-keyring-file", path]

    pools = {kind: twin(pool, kind, flags) for kind in ("serf", "kith")}
    serf, kith = pools["serf"][0], pools["kith"][0]

    def rings():
        found = {kind: [open(pool.path(kind + "-" + name)).read() for name in NAMES] for kind in pools}
        check(found["serf"] == found["kith"], "keyring files differ:", found)
        return found["kith"]

    same(serf, kith, "keys", "-list")
    for args in (["-install", KEYS[1]], ["-list"], ["-use", KEYS[1]], ["-install", KEYS[2]], ["-list"],
                 ["-remove", KEYS[0]], ["-list"], ["-install", KEYS[2]]):
        done = same(serf, kith, "keys", *args)
        check(done.code == 0, done)
        check(len(set(rings())) == 1, "all members keep the same keys", rings())
    check(json.loads(rings()[0]) == [KEYS[1], KEYS[2]], "the keyring file", rings()[0])
    check(all(os.stat(pool.path("kith-" + name)).st_mode & 0o777 == 0o600 for name in NAMES), "of its user alone")
    for args in (["-remove", KEYS[1]], ["-use", KEYS[0]], ["-install", "no base64"], ["-install", "c2hvcnQ"], []):
        done = same(serf, kith, "keys", *args)
        check(done.code == 1, done)
    done = kith.cli("keys", "-install", "c2hvcnQ=", binary=lib.SERF)
    check(done.code == 1 and "key size must be 16, 24 or 32 bytes" in done.out, done)
    for group in pools.values():
        group[2].kill()
        group[2].start("-join", group[0].join_addr)
        pool.full(group, 30)
    plainly = [pool.start(kind) for kind in ("serf", "kith")]
    for args in (["-list"], ["-install", KEYS[0]]):
        one, two = (a.cli("keys", *args, binary=lib.SERF) for a in plainly)
        check((one.code, one.out.replace(plainly[0].name, "N")) == (two.code, two.out.replace(plainly[1].name, "N")), one, two)


@lib.case
def mixed(pool):
    """one pool of both kinds: events, queries and keys asked on either side reach and count both"""
    ring = pool.path("k", json.dumps(KEYS[:1]))
    agents = []
    for kind in ("serf", "kith", "serf", "kith"):
        path = pool.path("ring%d" % len(agents), open(ring).read())
        agents.append(pool.start(kind, "-keyring-file", path, *(["-join", agents[0].join_addr] if agents else [])))
    pool.full(agents, 30)
    for agent in agents[:2]:
        streams = [follow(a, "user") for a in agents]
        done = agent.cli("event", "-coalesce=false", "from-" + agent.kind, "x", binary=lib.SERF)
        check(done.code == 0, done)
        for stream in streams:
            record = stream.record(15)[1]
            check((record["Name"], record["Payload"]) == ("from-" + agent.kind, b"x"), "the event", record)
            stream.close()
    responders = [Responder(agent) for agent in agents]
    for agent in agents[:2]:
        done = agent.cli("query", "-timeout=2s", "-format=json", "load", "p", binary=lib.SERF)
        answer = done.json()
        check(sorted(answer["Acks"]) == sorted(a.name for a in agents), "acknowledgements", done)
        check(answer["Responses"] == {a.name: "%s heard p\nand more" % a.name for a in agents}, "answers", done)
    for agent, key in ((agents[0], KEYS[1]), (agents[1], KEYS[2])):
        for what in ("-install", "-use"):
            done = agent.cli("keys", what, key, binary=lib.SERF)
            check(done.code == 0, done)
        done = agent.cli("keys", "-list", binary=lib.SERF)
        check(done.code == 0 and re.search(re.escape(key) + r"\s+\[4/4\]", done.out), done)
    for agent in agents:
        check(json.load(open(agent.flags[1]))[0] == KEYS[2], agent.kind, "keeps the keys", open(agent.flags[1]).read())
    for responder in responders:
        responder.rpc.close()


def library(agent):
    """What node-serf makes of an agent, as text."""
    script = os.path.join(HERE, "node_serf.js")
    return lib.run("node", script, agent.ip, env={"NODE_PATH": MODULES}, timeout=60)


@lib.case
def node_serf(pool):
    """the npm package node-serf: a stream, an event, a query and its answers, tags, members"""
    if not os.path.isdir(os.path.join(MODULES, "node-serf")):
        check(not shutil.which("npm"), "node-serf is not there: tools/install-deps check")
        print("NOT RUN: there is no npm, from which alone node-serf comes")
        return
    said = {}
    for kind in ("serf", "kith"):
        agent = pool.start(kind)
        done = library(agent)
        check(done.code == 0, kind, done)
        said[kind] = done.out.replace(agent.name, "NAME").replace(agent.ip, "IP")
    check(said["serf"] == said["kith"], "the library says\n  of serf %s\n  of kith %s" % (said["serf"], said["kith"]))
    check("done" in said["kith"], said["kith"])


lib.main(__doc__)
