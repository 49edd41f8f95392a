#!/usr/bin/env python3
"""The store from the command line: get, set, del, incr, keys, watch, store status, backup and restore, and what they say when
something is wrong.
"""
import base64
import json
import os
import signal
import socket
import subprocess
import threading
import time

import lib
from resp import Link, parse

check = lib.check
NOBODY = "127.0.0.99:7379"


def door(agent):
    return "%s:7379" % agent.ip


def start(pool, count, *flags):
    """Agents with a Redis door each, in one pool."""
    agents = []
    for _ in range(count):
        agent = pool.agent("kith")
        agent.flags = ["-resp-addr", door(agent)] + list(flags)
        agents.append(agent.start())
        if len(agents) > 1:
            agent.join(agents[0])
    if count > 1:
        pool.full(agents)
    return agents if count > 1 else agents[0]


def kith(agent, *args, code=0, **options):
    """A command at this agent's door; its exit code is checked, and that failing says why, and succeeding nothing."""
    done = lib.run(lib.KITH, *args, env={"KITH_RESP_ADDR": door(agent)}, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    check(bool(done.err.strip()) == (code != 0), "standard error:", done)
    return done


def says(done, *words):
    for word in words:
        check(word in done.err, "standard error does not say %r:" % word, done)


def link(agent, **options):
    return Link(7379, ip=agent.ip, **options)


@lib.case
def keys(pool):
    """get, set, del, incr, keys: as text and as JSON, flags before and behind, any bytes, values that end"""
    agent = start(pool, 1)
    check(kith(agent, "set", "a", "1").out == "", "set prints nothing")
    check(kith(agent, "get", "a").out == "1\n", "get")
    check(kith(agent, "get", "a", "--json").json() == {"key": "a", "value": "1"}, "get --json")
    check(kith(agent, "set", "b", "x y", "--json").json() == {"key": "b", "set": True}, "set --json")
    done = kith(agent, "set", "b", "z", "--nx", code=1)
    says(done, "b", "there already")
    check(kith(agent, "set", "--nx", "--json", "b", "z", code=1).json() == {"key": "b", "set": False}, "set --nx --json")
    check(kith(agent, "set", "c", "-x").out == "" and kith(agent, "get", "c").out == "-x\n", "a value that looks like a flag")
    kith(agent, "set", "--", "-k", "--json")
    check(kith(agent, "get", "--", "-k").out == "--json\n", "behind -- all are operands")
    check(kith(agent, "incr", "n").out == "1\n", "incr")
    check(kith(agent, "incr", "n", "41").out == "42\n", "incr by")
    check(kith(agent, "incr", "n", "-2", "--json").json() == {"key": "n", "value": 40}, "incr --json")
    check(kith(agent, "keys").out == "-k\na\nb\nc\nn\n", "keys are sorted")
    check(kith(agent, "keys", "[ab]", "--json").json() == {"keys": ["a", "b"]}, "keys of a pattern")
    check(kith(agent, "keys", "nothing*", "--json").json() == {"keys": []}, "no keys are []")
    check(kith(agent, "keys", "nothing*").out == "", "no keys")
    check(kith(agent, "del", "a", "b", "nothing").out == "2\n", "del")
    check(kith(agent, "del", "c", "--json").json() == {"deleted": 1}, "del --json")
    says(kith(agent, "get", "a", code=1), "a at %s: no such key" % door(agent))
    check(kith(agent, "get", "a", "--json", code=1).json() == {"key": "a", "value": None}, "get --json of nothing")
    one = link(agent)
    one.call("SET", b"\xff\x00key", b"\xff\x00\n")
    check(kith(agent, "keys", "--json").json()["keys"][-1] == {"base64": base64.b64encode(b"\xff\x00key").decode()},
          "a key that is no text")
    one.call("SET", "bytes", b"\xff\x00\n")
    done = subprocess.run([lib.KITH, "get", "bytes", "-resp-addr", door(agent)], stdout=subprocess.PIPE, check=True)
    check(done.stdout == b"\xff\x00\n\n", "a pipe gets the bytes and a newline:", done.stdout)
    check(kith(agent, "get", "bytes", "--json").json()["value"] == {"base64": "/wAK"}, "JSON loses nothing")
    check(kith(agent, "set", "empty", "").out == "" and kith(agent, "get", "empty").out == "\n", "an empty value")
    kith(agent, "set", "t", "x", "--ex", "1")
    check(kith(agent, "get", "t").out == "x\n", "still there")
    lib.wait(lambda: one.call("EXISTS", "t") == b":0\r\n", 5, "its time comes")
    kith(agent, "get", "t", code=1)
    big = "v" * 100000
    kith(agent, "set", "big", big)
    check(kith(agent, "get", "big").out == big + "\n", "a long value")
    data = b"".join(Link.encode("SET", "many:%05d" % i, "v") for i in range(5000))
    one.sock.sendall(data)
    for _ in range(5000):
        one.reply()
    check(kith(agent, "keys", "many:*").out.split() == ["many:%05d" % i for i in range(5000)], "five thousand keys")


@lib.case
def types(pool):
    """siblings, evidence; what holds another type is named, and what to do"""
    one, two = start(pool, 2)
    first, second = link(one), link(two)
    for at, value in ((first, "left"), (second, "right")):
        check(at.call("KITH.MVSET", "s", value, "CONTEXT", "") == b"+OK\r\n", "MVSET")
    lib.wait(lambda: len(kith(one, "get", "s", "--siblings").out.split()) == 2, 10, "both siblings are here")
    check(sorted(kith(one, "get", "-siblings", "s").out.split()) == ["left", "right"], "two siblings")
    told = kith(one, "get", "s", "--siblings", "--json").json()
    check(sorted(told["siblings"]) == ["left", "right"] and len(told["context"]) == 64 and told["key"] == "s", told)
    check(kith(one, "get", "nothing", "--siblings", "--json", code=1).json()["siblings"] == [], "no siblings are []")
    says(kith(one, "get", "s", code=1), "s at", "-siblings")
    kith(one, "set", "e", "v")

    def holders():
        return kith(one, "get", "e", "--evidence", "--json").json()["holders"]
    lib.wait(lambda: len(holders()) == 2, 10, lambda: "two holders: %s" % holders())
    told = {h["member"]: h for h in holders()}
    check(told[one.name]["self"] is True and told[two.name]["self"] is False, told)
    replicas = {a.name: kith(a, "store", "status", "--json").json()["replica"] for a in (one, two)}
    check({m: h["replica"] for m, h in told.items()} == replicas, told, replicas)
    lines = kith(one, "get", "--evidence", "e").out.split("\n")
    check(lines[0] == "v" and sorted(lines[1:3]) == sorted(["held by %s as %s, the agent asked" % (one.name, replicas[one.name]),
                                                             "held by %s as %s" % (two.name, replicas[two.name])]), lines)
    for key, command, word in (("set", ("SADD", "set", "x"), "SMEMBERS"), ("hash", ("HSET", "hash", "f", "v"), "HGETALL"),
                               ("zset", ("ZADD", "zset", "1", "x"), "ZRANGE")):
        first.call(*command)
        says(kith(one, "get", key, code=1), key + " at " + door(one), word)
        says(kith(one, "incr", key, code=1), word)
    says(kith(one, "get", "e", "--siblings", code=1), "without -siblings")
    says(kith(one, "incr", "e", code=1), "e at", "no whole number")
    kith(one, "set", "most", str(2**63 - 1))
    says(kith(one, "incr", "most", code=1), "64 bits")


@lib.case
def wrong(pool):
    """wrong usage is 2, nobody there 4, a refusal 1; passwords; a port where something else answers"""
    agent = start(pool, 1, "-resp-auth", "s3cret")
    for args in (["get"], ["get", "a", "b"], ["set", "a"], ["set", "a", "b", "c"], ["set", "a", "b", "--ex", "0"],
                 ["set", "a", "b", "--ex", "x"], ["del"], ["incr", "n", "1.5"], ["incr"], ["keys", "a", "b"], ["watch"],
                 ["store"], ["store", "nothing"], ["store", "backup"], ["store", "restore"], ["store", "status", "x"],
                 ["get", "a", "--no-such"], ["store", "status", "--wait", "-1"]):
        done = kith(agent, *args, code=2)
        check(not done.out, "words on standard output:", done)
        says(done, "-help")
    path = pool.path("file", "x")
    for args in (["get", "a"], ["set", "a", "b"], ["del", "a"], ["incr", "n"], ["keys"], ["watch", "a"],
                 ["store", "status"], ["store", "backup", path]):
        at = 2 if args[0] == "store" else 1
        done = kith(agent, *args[:at], "-resp-addr=" + NOBODY, *args[at:], code=4)
        says(done, NOBODY, "Connection refused", "KITH_RESP_ADDR")
        check(done.err.count(NOBODY) == 1 and done.err.count("\n") == 1 and not done.out, "one line:", done)
        done = kith(agent, *args, code=1)
        says(done, door(agent), "wants a password", "KITH_RESP_AUTH")
        says(kith(agent, *args[:at], "-resp-auth", "other", *args[at:], code=1), "does not take this password")
    check(open(path).read() == "x", "a backup that failed changed the file")
    check(os.listdir(pool.dir).count("file.tmp") == 0, "a .tmp was left")
    for flag in (["-resp-auth", "s3cret"], ["--resp-auth=s3cret"]):
        kith(agent, "set", *flag, "a", "b")
    done = lib.run(lib.KITH, "get", "a", env={"KITH_RESP_ADDR": door(agent), "KITH_RESP_AUTH": "s3cret"})
    check(done.out == "b\n" and done.code == 0, "the password from the environment:", done)
    for command in (["get"], ["store"], ["store", "backup"], ["watch"]):
        done = lib.run(lib.KITH, *command, "-help")
        check(done.code == 0 and "Usage: kith " + " ".join(command) in done.out and not done.err, "help:", done)
    server = socket.create_server(("127.0.0.1", 0))
    answers = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n*1\r\n$3\r\nab", b"-ERR unknown command 'KITH.STATUS'\r\n",
               b"$4\r\nnone\r\n", b"*100000000000\r\n"]

    def serve():
        for answer in answers:
            peer, _ = server.accept()
            peer.recv(1000)
            peer.sendall(answer)
            peer.close()
    threading.Thread(target=serve, daemon=True).start()
    where = "-resp-addr=127.0.0.1:%d" % server.getsockname()[1]
    for word, code in (("does not speak the Redis protocol", 1), ("closed the connection", 4), ("no kith agent", 1),
                       ("not the one", 1), ("does not speak", 1)):
        says(kith(agent, "store", "status", where, code=code), word)


@lib.case
def watch(pool):
    """a line for each change, by whoever made it; patterns, JSON; interrupted it ends with 0, without its agent with 1"""
    one, two = start(pool, 2)

    def follow(*args):
        proc = subprocess.Popen([lib.KITH, "watch", "-resp-addr", door(two)] + list(args), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        pool.watchers = getattr(pool, "watchers", []) + [proc]
        return proc
    text, lines = follow("a*", "b", "a?"), follow("--json", "*")

    def listens():
        return parse(link(two).call("INFO", "stats")).count(b"pubsub_patterns:4") == 1
    lib.wait(listens, 10, "both have subscribed")
    for args in (["set", "a1", "x"], ["set", "other", "x"], ["incr", "b"], ["del", "a1"]):
        kith(one, *args)
        time.sleep(0.3)
    link(one).call("SADD", b"a\xff\x1b", "m")
    got = [text.stdout.readline() for _ in range(4)]
    check(got == ["set a1\n", "incrby b\n", "del a1\n", "sadd a\\xff\\x1b\n"], got)
    got = [json.loads(lines.stdout.readline()) for _ in range(5)]
    check(got[:4] == [{"key": "a1", "event": "set"}, {"key": "other", "event": "set"}, {"key": "b", "event": "incrby"},
                      {"key": "a1", "event": "del"}], got)
    check(got[4] == {"key": {"base64": "Yf8b"}, "event": "sadd"}, got)
    text.send_signal(signal.SIGINT)
    check(text.wait(10) == 0, "interrupted:", text.returncode)
    link(two).call("CONFIG", "SET", "notify-keyspace-events", "Ex")
    more = follow("z")
    lib.wait(lambda: b"A" in parse(link(two).call("CONFIG", "GET", "notify-keyspace-events"))[1], 10, "events are on")
    check(b"E" in parse(link(two).call("CONFIG", "GET", "notify-keyspace-events"))[1], "what was on before stays on")
    two.kill()
    for proc in (lines, more):
        check(proc.wait(10) == 1, "without its agent:", proc.returncode)
        check("closed the connection" in proc.stderr.read(), "no reason given")


@lib.case
def status(pool):
    """what a store says of itself: numbers as numbers, [] for nobody; --wait waits until all agree, or fails"""
    one = start(pool, 1)
    alone = kith(one, "store", "status", "--json").json()
    check(alone["peers"] == [] and alone["keys"] == 0 and alone["in_sync_of"] == 0 and alone["in_sync"] == 0, alone)
    kith(one, "store", "status", "--wait", "1")
    agents = [one]
    for _ in range(2):
        agent = pool.agent("kith")
        agent.flags = ["-resp-addr", door(agent)]
        agents.append(agent.start())
        agent.join(one)
    pool.full(agents)
    for i, agent in enumerate(agents):
        kith(agent, "set", "k%d" % i, "v")
    lib.wait(lambda: all(kith(a, "store", "status", "--json").json()["keys"] == 3 for a in agents), 15, "all have all")
    told = kith(one, "store", "status", "--json", "--wait", "40", timeout=60).json()
    check(told["in_sync"] == 2 and told["in_sync_of"] == 2 and told["replicas"] == 3 and told["keys"] == 3, told)
    check({p["member"] for p in told["peers"]} == {a.name for a in agents[1:]}, told)
    for peer in told["peers"]:
        check(peer["in_sync"] is True and isinstance(peer["synced_ms_ago"], int) and isinstance(peer["differences"], int),
              peer)
    for name in ("keys", "cells", "bytes", "replicas", "rounds", "repairs", "differences"):
        check(isinstance(told[name], int), name, "is no number:", told)
    check(len(told["root"]) == 32, told)
    kith(agents[1], "store", "status", "--wait", "40", timeout=60)
    check(told["root"] == kith(agents[1], "store", "status", "--json").json()["root"], "in sync, and other roots")
    lines = kith(one, "store", "status").out.split("\n")
    check([line[22:] for line in lines if line.startswith("In sync ")] == ["with 2 of 2"], lines)
    at = lines.index("")
    check(lines[at + 1].split() == ["Peer", "Replica", "In", "sync", "Last", "sync", "Differences"], lines)
    columns = [line.index(word) for line, word in ((lines[at + 1], "In sync"), (lines[at + 2], "yes"), (lines[at + 3], "yes"))]
    check(len(set(columns)) == 1, "columns are not aligned", lines)
    agents[2].signal(signal.SIGSTOP)
    kith(one, "set", "k0", "new")
    done = kith(one, "store", "status", "--wait", "1", "--json", code=1)
    says(done, "not in sync with all members after 1 s")
    check(done.json()["in_sync"] < 2, done)
    agents[2].signal(signal.SIGCONT)


def fill(agent):
    """Something of every type; returns what reads it, with the answers."""
    one = link(agent)
    for command in (("SET", b"bin\xff\x00", b"\x00\xff"), ("INCRBY", "n", 7), ("SADD", "s", "a", "b"), ("HSET", "h", "f", "v"),
                    ("ZADD", "z", "1", "x", "2", "y"), ("SET", "later", "x", "EX", 1000), ("KITH.MVSET", "mv", "one"),
                    ("SET", "long", b"l" * (9 << 20)), ("SET", "gone", "x"), ("DEL", "gone")):
        one.call(*command)
    reads = (("GET", b"bin\xff\x00"), ("GET", "n"), ("HGETALL", "h"), ("ZRANGE", "z", 0, -1, "WITHSCORES"),
             ("EXPIRETIME", "later"), ("KITH.MVGET", "mv"), ("STRLEN", "long"), ("DBSIZE",), ("SISMEMBER", "s", "b"))
    return {read: one.call(*read) for read in reads}


@lib.case
def backup(pool):
    """a backup of one, restored on a fresh agent: all types; by pipes too; over what is there"""
    one, two = start(pool, 2)
    want = fill(one)
    path = os.path.join(pool.dir, "backup")
    done = kith(one, "store", "backup", path)
    check(done.out.startswith("Backed up " + door(one)), done)
    check(os.stat(path).st_mode & 0o777 == 0o600 and not os.path.exists(path + ".tmp"), "the file's mode")
    told = kith(one, "store", "backup", path, "--json").json()
    check(told["file"] == path and told["bytes"] > 9 << 20 and told["rows"] > 9, told)
    done = subprocess.run([lib.KITH, "store", "backup", "-resp-addr", door(one), "-"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=True)
    check(done.stdout[:14] == b"kith-backup 1\n" and b"Backed up" in done.stderr, done.stderr)
    three = pool.agent("kith")
    three.flags = ["-resp-addr", door(three)]
    three.start()
    kith(three, "set", "own", "x")
    old = kith(three, "store", "status", "--json").json()["replica"]
    told = kith(three, "store", "restore", path, "--json").json()
    check(told["keys_before"] == 1 and told["keys_after"] == 9, told)
    check(told["replica"] != old and told["replica"] == kith(three, "store", "status", "--json").json()["replica"], told)
    check(kith(three, "get", "own").out == "x\n", "what was there is gone")
    kith(three, "del", "own")
    got = {read: link(three).call(*read) for read in want}
    check(got == want, {r: (got[r][:80], want[r][:80]) for r in want if got[r] != want[r]})
    again = subprocess.run([lib.KITH, "store", "restore", "-", "-resp-addr", door(three)], input=done.stdout,
                           stdout=subprocess.PIPE, check=True)
    check(again.stdout.startswith(b"Restored ") and b"8 keys before, 8 after" in again.stdout, again.stdout)
    kith(three, "set", "new", "x")
    check(link(three).call("INCR", "n") == b":8\r\n", "a counter goes on")
    three.join(one)
    pool.full([one, two, three])
    lib.wait(lambda: kith(two, "keys", "new").out == "new\n", 20, "the restored store meets its pool")
    check(link(two).call("GET", "n") == b"$1\r\n8\r\n", "counted twice, or not at all:", link(two).call("GET", "n"))


@lib.case
def restore_known(pool):
    """a pool that has gone on: what was deleted since the backup stays deleted, what was written stays"""
    one, two = start(pool, 2)
    for key in ("kept", "deleted", "changed"):
        kith(one, "set", key, "old")
    kith(one, "incr", "n", "5")
    lib.wait(lambda: len(kith(two, "keys").out.split()) == 4, 10, "both have them")
    path = os.path.join(pool.dir, "backup")
    kith(one, "store", "backup", path)
    kith(one, "del", "deleted")
    kith(two, "set", "changed", "new")
    kith(two, "set", "since", "x")
    kith(two, "incr", "n", "2")
    lib.wait(lambda: kith(one, "keys").out.split() == ["changed", "kept", "n", "since"] and
             kith(one, "get", "n").out == "7\n" and kith(two, "keys").out == kith(one, "keys").out, 10, "both agree")
    done = kith(one, "store", "restore", path)
    check("4 keys before, 4 after" in done.out, done)
    for agent in (one, two):
        lib.wait(lambda: kith(agent, "store", "status", "--wait", "30", timeout=60), 1, "in sync")
        check(kith(agent, "keys").out.split() == ["changed", "kept", "n", "since"], kith(agent, "keys"))
        check(kith(agent, "get", "changed").out == "new\n" and kith(agent, "get", "n").out == "7\n", "values came back")


@lib.case
def restore_kept(pool):
    """what was restored is on the disk: killed and started again, the agent has it, and its deletes"""
    one = start(pool, 1)
    want = fill(one)
    path = os.path.join(pool.dir, "backup")
    kith(one, "store", "backup", path)
    two = pool.agent("kith")
    two.flags = ["-resp-addr", door(two), "-data-dir", os.path.join(pool.dir, "data"), "-fsync", "always"]
    two.start()
    kith(two, "set", "own", "x")
    kith(two, "store", "restore", path)
    kith(two, "del", "own", "n")
    two.kill()
    two.start()
    want[("GET", "n")] = b"$-1\r\n"
    want[("DBSIZE",)] = b":7\r\n"
    got = {read: link(two).call(*read) for read in want}
    check(got == want, {r: (got[r][:80], want[r][:80]) for r in want if got[r] != want[r]})
    kith(two, "store", "restore", path)
    check(link(two).call("GET", "n") == b"$-1\r\n", "a delete was forgotten with the restart")


@lib.case
def damaged(pool):
    """a file that is no whole backup is refused before the agent is asked; the former backup outlives a failed one"""
    agent = start(pool, 1)
    for i in range(50):
        kith(agent, "set", "k%d" % i, "v" * 50) if i < 3 else link(agent).call("SET", "k%d" % i, "v" * 50)
    path = os.path.join(pool.dir, "backup")
    kith(agent, "store", "backup", path)
    whole = open(path, "rb").read()
    harmed = os.path.join(pool.dir, "harmed")
    for data, word in ((whole[:-1], "is cut off"), (whole[:len(whole) // 2], "is cut off"), (b"", "is no backup"),
                       (b"x" * 100, "is no backup"), (whole[:60] + b"?" + whole[61:], "is damaged"),
                       (whole + b"x", "is damaged"), (b"kith-backup 2" + whole[13:], "another version")):
        with open(harmed, "wb") as file:
            file.write(data)
        says(kith(agent, "store", "restore", harmed, "-resp-addr", NOBODY, code=1), harmed, word)
        pipe = subprocess.run([lib.KITH, "store", "restore", "-", "-resp-addr", NOBODY], input=data, stderr=subprocess.PIPE)
        check(pipe.returncode == 1 and word.encode() in pipe.stderr, pipe.stderr)
    says(kith(agent, "store", "restore", path, "-resp-addr", NOBODY, code=4), NOBODY)
    says(kith(agent, "store", "restore", os.path.join(pool.dir, "none"), code=1), "none", "No such file")
    says(kith(agent, "store", "backup", os.path.join(pool.dir, "none", "x"), code=1), "No such file")
    says(kith(agent, "store", "backup", pool.dir, code=1), pool.dir, "rename")
    check(not os.path.exists(pool.dir + ".tmp"), "a .tmp was left")
    done = subprocess.run([lib.KITH, "store", "backup", "-", "-resp-addr", door(agent)], stdout=open("/dev/full", "w"),
                          stderr=subprocess.PIPE)
    check(done.returncode == 1 and b"No space left" in done.stderr, done.stderr)
    check(open(path, "rb").read() == whole, "the backup changed")


@lib.case
def hostile_door(pool):
    """the door's own side: rows that are none, half restores, two clients at once, ids that are none; nothing takes effect"""
    agent = start(pool, 1)
    kith(agent, "set", "k", "v")
    path = os.path.join(pool.dir, "backup")
    kith(agent, "store", "backup", path)
    rows = open(path, "rb").read()[30:-32]
    one, two = link(agent), link(agent)

    def begun(at):
        check(at.call("KITH.RESTORE", "BEGIN") == b"+OK\r\n", "BEGIN")

    def refused(reply, word):
        check(reply[:1] == b"-" and word in reply, reply)
    refused(one.call("KITH.BACKUP", "NEXT", "1"), b"no such backup")
    refused(one.call("KITH.BACKUP", "NEXT", "x"), b"integer")
    refused(one.call("KITH.BACKUP", "OTHER"), b"subcommand")
    refused(one.call("KITH.RESTORE", "ROWS", "x"), b"no restore")
    refused(one.call("KITH.RESTORE", "COMMIT"), b"no restore")
    refused(one.call("KITH.BACKUP", "BEGIN", "x"), b"arguments")
    first = parse(one.call("KITH.BACKUP", "BEGIN"))
    other = parse(two.call("KITH.BACKUP", "BEGIN"))
    check(first[0] != other[0] and first[1:] == other[1:] and first[2] == len(rows), first, other)
    refused(two.call("KITH.BACKUP", "NEXT", first[0]), b"no such backup")
    check(parse(one.call("KITH.BACKUP", "NEXT", first[0])) == rows, "other rows")
    check(parse(one.call("KITH.BACKUP", "NEXT", first[0])) == b"", "no end")
    refused(one.call("KITH.BACKUP", "NEXT", first[0]), b"no such backup")
    kith(agent, "del", "k")
    for bad in (b"\0\0\0\0\0", b"\x21\0\0\0\0" + b"x" * 33, b"\x01\0\0\0\x01cx", rows[::-1], rows[:-1] + b"\xff" + rows):
        begun(one)
        reply = one.call("KITH.RESTORE", "ROWS", bad)
        if reply[:1] == b":":
            reply = one.call("KITH.RESTORE", "COMMIT")
        refused(reply, b"not the rows of a backup")
        refused(one.call("KITH.RESTORE", "COMMIT"), b"no restore")
    begun(one)
    check(one.call("KITH.RESTORE", "ROWS", b"\x01\xff\xff\xff\xff" + b"x" * 100)[:1] == b":", "a long row that goes on")
    refused(one.call("KITH.RESTORE", "COMMIT"), b"not the rows")
    begun(one)
    one.call("KITH.RESTORE", "ROWS", rows)
    refused(two.call("KITH.RESTORE", "BEGIN"), b"another client")
    begun(one)
    refused(one.call("MULTI") and one.call("KITH.BACKUP", "BEGIN"), b"inside a transaction")
    one.call("DISCARD")
    one.call("KITH.RESTORE", "ROWS", rows[:20])
    one.close()

    def free():
        return two.call("KITH.RESTORE", "BEGIN") == b"+OK\r\n"
    lib.wait(free, 5, "the other client's end is seen")
    for i in range(0, len(rows), 7):
        check(two.call("KITH.RESTORE", "ROWS", rows[i:i + 7])[:1] == b":", "rows cut anywhere")
    check(kith(agent, "keys").out == "", "something took effect before COMMIT")
    done = parse(two.call("KITH.RESTORE", "COMMIT"))
    check(done[:2] == [0, 0], "a delete that is known here was forgotten", done)
    kith(agent, "set", "k", "v")
    check(agent.running() and kith(agent, "get", "k").out == "v\n", "the agent does not go on")


@lib.case
def large(pool):
    """200,000 keys: many pieces, and how long it takes"""
    agent = start(pool, 1)
    count = 20000 if lib.SANITIZED else 200000
    one = link(agent)
    for at in range(0, count, 5000):
        one.sock.sendall(b"".join(Link.encode("SET", "key:%d" % i, b"%0100d" % i) for i in range(at, at + 5000)))
        for _ in range(5000):
            one.reply()
    path = os.path.join(pool.dir, "backup")
    begin = time.monotonic()
    told = kith(agent, "store", "backup", path, "--json").json()
    middle = time.monotonic()
    fresh = pool.agent("kith")
    fresh.flags = ["-resp-addr", door(fresh)]
    fresh.start()
    start_ = time.monotonic()
    back = kith(fresh, "store", "restore", path, "--json").json()
    end = time.monotonic()
    check(back["keys_after"] == count and told["rows"] == back["rows"], told, back)
    print("      %d keys, %.1f MB: backup %.2f s, restore %.2f s" % (count, told["bytes"] / 1e6, middle - begin, end - start_))
    check(link(fresh).call("GET", "key:777") == link(agent).call("GET", "key:777"), "another value")


lib.main(__doc__, needs=("kith",))
