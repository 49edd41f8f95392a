#!/usr/bin/env python3
"""Event handlers: told and heard as Serf's are, byte for byte; and what Serf's cannot do: hang, flood and crash harmlessly."""
import glob
import json
import os
import signal
import time

import lib

check, wait = lib.check, lib.wait

# Keeps environment and standard input of each run, under names that sort by time.
RECORD = """#!/bin/sh
at=$(mktemp -u "$1/$(date +%s%N)-XXXXXX")
cat >"$at.in"
env -0 >"$at.part"
mv "$at.part" "$at.env"
"""

ANSWER = """case "$SERF_QUERY_NAME" in
said) cat; echo "$SERF_SELF_ROLE";;
failed) echo hello; exit 3;;
killed) echo hello; kill -9 $$;;
complained) echo oops >&2;;
both) echo out; echo err >&2; echo out again;;
silent) ;;
unended) printf abc;;
large) head -c 9000 /dev/zero | tr '\\0' a;;
behind) echo soon; (sleep 0.3; echo late) &
esac
"""


def recorder(pool, name):
    """(a directory, the handler that fills it)"""
    script = pool.path("record.sh", RECORD)
    place = os.path.join(pool.dir, name)
    os.mkdir(place)
    return place, "sh %s %s" % (script, place)


def records(place):
    """[(environment, standard input)] in the order in which they were begun."""
    found = []
    for path in sorted(glob.glob(place + "/*.env")):
        with open(path, "rb") as env, open(path[:-3] + "in", "rb") as text:
            pairs = (item.split(b"=", 1) for item in env.read().split(b"\0") if item)
            found.append(({p[0]: p[1] for p in pairs}, text.read()))
    return found


def lines_about(found, kind, name):
    """What was said of a member, its tags in order: Serf's order is random."""
    lines = []
    for env, text in found:
        if env[b"SERF_EVENT"] != kind.encode():
            continue
        check(text.endswith(b"\n"), "no newline at the end:", text)
        for line in text[:-1].split(b"\n"):
            fields = line.split(b"\t")
            check(len(fields) == 4, "a line has four fields:", line)
            if fields[0] == name.encode():
                lines.append((fields[1], fields[2], sorted(fields[3].split(b","))))
    return lines


def common(env):
    """An environment without what must differ between two agents."""
    own = (b"SERF_SELF_NAME", b"SERF_TAG__KITH", b"_", b"PWD", b"SHLVL")
    return {k: v for k, v in env.items() if k not in own}


def messages(found, kind):
    return [(common(env), text) for env, text in found if env[b"SERF_EVENT"] == kind.encode()]


def numbers(agent):
    return agent.cli("info", "--json").json()["handlers"]


def children(agent):
    """Processes that the agent has started and that live, and those that they have started."""
    done = lib.run("ps", "-e", "-o", "pid=,ppid=,stat=")
    rows = [line.split() for line in done.out.splitlines()]
    family = {agent.proc.pid}
    while True:
        more = {int(r[0]) for r in rows if int(r[1]) in family and not r[2].startswith("Z")} - family
        if not more:
            return family - {agent.proc.pid}
        family |= more


def send(agent, name, payload=b"", coalesce=False):
    agent.connection().call("event", {"Name": name, "Payload": payload, "Coalesce": coalesce})


def ask(agent, name, payload):
    """A query whose answers nobody reads, and which has time enough to wait behind other events."""
    rpc = lib.Rpc(agent.rpc_addr)
    rpc.call("query", {"FilterNodes": [], "FilterTags": {}, "RequestAck": False, "RelayFactor": 0, "Timeout": 30 * 10**9,
                       "Name": name, "Payload": payload})
    rpc.close()


@lib.case
def same(pool):
    """the same happenings: environment and standard input are those of a Serf agent's handlers"""
    tags = ["-tag", "role=web", "-tag", "a-b.c=x=y z", "-tag", "empty=", "-tag", "tab=1\t2\n3\\4", "-tag", "\u00e4x=\u00fc"]
    places, agents = {}, {}
    for kind in ("kith", "serf"):
        places[kind], handler = recorder(pool, "of-" + kind)
        agents[kind] = pool.agent(kind, env={"SERF_EVENT": "overridden", "KEPT": "yes"},
                                  flags=tags + ["-event-handler", handler]).spawn()
    for agent in agents.values():
        agent.ready()
    agents["kith"].join(agents["serf"])
    pool.full()
    both = list(agents.values())
    actor = pool.start("serf", "-tag", "role=a\tb", "-tag", "x=y\nz,", "-tag", "bare=", "-join", both[1].join_addr)
    victim = pool.start("serf", "-join", both[0].join_addr)
    pool.full()

    def told(kind, name, count=1):
        views = {}

        def all_heard():
            for where in places:
                views[where] = lines_about(records(places[where]), kind, name)
            return all(len(lines) >= count for lines in views.values())
        wait(all_heard, 15, lambda: "%s of %s: %s" % (kind, name, views))
        check(views["kith"] == views["serf"], kind, name, views)

    told("member-join", actor.name)
    told("member-join", victim.name)
    actor.set_tags({"role": "db", "new": "n"}, ["bare"])
    told("member-update", actor.name)
    victim.kill()

    payloads = [b"v1", b"v2\n", b"", b"a\0b\tc", b"\n", b"\xff\xfe", b"x" * 400]
    for i, payload in enumerate(payloads):
        send(actor, "event %d" % i, payload)
    for payload in (b"old", b"new"):
        send(actor, "together", payload, True)
    for i, payload in enumerate((b"", b"pay", b"pay\n")):
        ask(actor, "query-%d" % i, payload)

    def heard(kind, count):
        views = {}

        def all_heard():
            for where in places:
                views[where] = sorted(messages(records(places[where]), kind), key=lambda m: int(m[0][b"SERF_%s_LTIME" %
                                      kind.upper().encode()]))
            return all(len(view) >= count for view in views.values())
        wait(all_heard, 10, lambda: "%d of kind %s: %s" % (count, kind, {k: len(v) for k, v in views.items()}))
        check(len(views["kith"]) == count, kind, "count", len(views["kith"]))
        for ours, theirs in zip(views["kith"], views["serf"]):
            check(ours[0] == theirs[0], "environment of", kind, "differs in", set(ours[0].items()) ^ set(theirs[0].items()))
            check(ours[1] == theirs[1], "input of", kind, ours[1], theirs[1])
        return views["kith"]

    users = heard("user", len(payloads) + 1)
    check([m[1] for m in users][-1] == b"new\n", "of those that may be coalesced the newest is told:", users[-1])
    check(users[0][0][b"KEPT"] == b"yes" and users[0][0][b"SERF_TAG__X"] == "\u00fc".encode(), users[0][0])
    heard("query", 3)
    told("member-failed", victim.name)
    actor.leave()
    told("member-leave", actor.name)


@lib.case
def same_answers(pool):
    """a query's handler answers what a Serf agent's would, and not at all where that one would not"""
    script = pool.path("answer.sh", ANSWER)
    agents = [pool.start(kind, "-tag", "role=r", "-event-handler", "query=sh " + script) for kind in ("kith", "serf")]
    asker = pool.start("serf")
    asker.join(*agents)
    pool.full()
    wanted = {"said": "payload\nr\n", "failed": None, "killed": None, "complained": "oops\n", "both": "out\nerr\nout again\n",
              "silent": None, "unended": "abc", "large": None, "behind": "soon\nlate\n"}
    for name, answer in wanted.items():
        done = asker.cli("query", "-format=json", "-timeout=2s", name, "payload").json()
        for agent in agents:
            check(agent.name in done["Acks"], agent.name, "has heard", name, done)
            check(done["Responses"].get(agent.name) == answer, name, "wants", answer, done)


@lib.case
def same_info(pool):
    """`info` shows handlers as Serf's does; filters that are none are an error that says what is allowed"""
    flags = ["-event-handler", "sh all", "-event-handler", "user:a,user=first", "-event-handler", "user:a,member-join=x=y",
             "-event-handler", "query:=q"]
    kith, serf = (pool.start(kind, *flags) for kind in ("kith", "serf"))
    seen = [agent.cli("info", "-format=json").json()["event_handlers"] for agent in (kith, serf)]
    check(seen[0] == seen[1] and len(seen[0]) == 5, seen)
    for spec in ("join=x", "member-join:a=x", "user,=x", "/bin/x --y=z"):
        done = lib.run(lib.KITH, "agent", "-event-handler", spec)
        check(done.code == 2 and "member-failed" in done.err and "user:NAME" in done.err, done)
    done = lib.run(lib.KITH, "agent", "-event-handler", "member-join=")
    check(done.code == 2 and "no script" in done.err, done)
    done = lib.run(lib.KITH, "agent", env={"KITH_EVENT_HANDLER": "user:a,user:b=fine\nno=x"})
    check(done.code == 2 and '"no" is none of' in done.err, done)


@lib.case
def harmless(pool):
    """handlers that hang, crash and flood: others get their events at once, and the agent stays small and alive"""
    place, record = recorder(pool, "events")
    kith = pool.start("kith", "-handler-timeout=2s", "-event-handler", "user=sleep 1000", "-event-handler", "user=kill -SEGV $$",
                      "-event-handler", "user=yes flood", "-event-handler", "user=trap '' TERM; while :; do sleep 1; done",
                      "-event-handler", "user=" + record)
    serf = pool.start("serf", "-join", kith.join_addr)
    pool.full()
    before = kith.resident()
    began = time.monotonic()
    for i in range(3):
        send(serf, "e%d" % i)
    wait(lambda: len(records(place)) == 3, 2, "the handler that does what it should has had three events")
    check(time.monotonic() - began < 6, "it waited for the others:", time.monotonic() - began)
    pool.full(timeout=5)
    # Three rounds of the flood and of the one that only SIGKILL ends, 2 s and 5 s later.
    wait(lambda: numbers(kith)["timed_out"] == 9, 40, lambda: "all are ended: %s" % numbers(kith))
    wait(lambda: numbers(kith)["running"] == 0, 10, lambda: "nothing runs: %s" % numbers(kith))
    seen = numbers(kith)
    check(seen["failed"] == 3 and seen["output_truncated"] == 3 and seen["dropped"] == 0 and seen["invoked"] == 15, seen)
    check(not children(kith), "left behind:", children(kith))
    check(kith.resident() - before < 8 << 20, "grew by", kith.resident() - before)
    check("signal: Segmentation fault" in kith.log_text() and "truncated to 8192" in kith.log_text(), kith.tail(20))


@lib.case
def in_time(pool):
    """a query's handler has until the asker waits no longer; later answers are not sent"""
    kith = pool.start("kith", "-event-handler", "query:slow=echo begun >>%s; sleep 1000; echo answer" % pool.path("slow"),
                      "-event-handler", "query:quick=echo quick")
    serf = pool.start("serf", "-join", kith.join_addr)
    pool.full()
    done = serf.cli("query", "-format=json", "-timeout=1s", "slow").json()
    check(kith.name in done["Acks"] and not done["Responses"], done)
    wait(lambda: numbers(kith)["timed_out"] == 1, 5, lambda: numbers(kith))
    check(not children(kith), "left behind:", children(kith))
    done = serf.cli("query", "-format=json", "-timeout=2s", "quick").json()
    check(done["Responses"] == {kith.name: "quick\n"}, done)


@lib.case
def reload(pool):
    """SIGHUP takes other handlers; a configuration that is wrong changes nothing"""
    path = pool.path("handlers.json", json.dumps({"event_handlers": ["user=echo old >>" + pool.path("said")]}))
    kith = pool.start("kith", "-config-file", path)
    serf = pool.start("serf", "-join", kith.join_addr)
    pool.full()

    def said(wanted):
        def matches():
            with open(pool.path("said")) as file:
                return file.read() == wanted
        wait(matches, 5, "the handlers have said %r" % wanted)

    open(pool.path("said"), "w").close()
    send(serf, "one")
    said("old\n")
    for handlers, answer in ((["user=echo new >>" + pool.path("said")], "configuration reloaded: log level info, tags, 1 event"),
                             (["users=echo wrong >>" + pool.path("said")], "configuration not reloaded: ")):
        pool.path("handlers.json", json.dumps({"event_handlers": handlers}))
        kith.signal(signal.SIGHUP)
        wait(lambda: answer in kith.log_text(), 5, answer)
    check('"users" is none of' in kith.log_text(), kith.tail(3))
    send(serf, "two")
    said("old\nnew\n")
    check(kith.cli("info", "-format=json").json()["event_handlers"] == {"user:": "echo new >>" + pool.path("said")})


@lib.case
def ends(pool):
    """an agent that ends leaves no handler behind: by a leave, at a second signal"""
    stubborn = "user=trap '' TERM; while :; do sleep 0.1; done"
    for twice in (False, True):
        kith = pool.start("kith", "-event-handler", "user=sleep 1000", "-event-handler", stubborn)
        serf = pool.start("serf", "-join", kith.join_addr)
        pool.full()
        send(serf, "x")
        wait(lambda: len(children(kith)) >= 3, 5, lambda: "two handlers run: %s" % children(kith))
        family = children(kith)
        kith.signal(signal.SIGINT)
        if twice:
            wait(lambda: "leav" in kith.log_text().lower() or "Caught signal" in kith.log_text(), 5, "it leaves")
            kith.signal(signal.SIGINT)
            wait(lambda: "shutting down" in kith.log_text(), 5, "it stops")
            kith.signal(signal.SIGINT)
        kith.drop_rpc()
        check(kith.exit_code(15) == (1 if twice else 0), "exit code", kith.proc.returncode)

        def gone():
            done = lib.run("ps", "-o", "stat=", "-p", ",".join(str(pid) for pid in family))
            return all(line.startswith("Z") for line in done.out.split())
        wait(gone, 5, "none of %s lives" % family)
        serf.kill()


lib.main(__doc__)
