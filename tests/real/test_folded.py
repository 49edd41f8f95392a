#!/usr/bin/env python3
"""kith query -fold: numbers of event handlers and gauges, folded over a pool; who is silent; exit codes, JSON, filters."""
import os
import signal
import time

import lib

check = lib.check

# What an agent answers: its own number, which is its tag's; or what its name says.
ANSWER = """case "$SERF_QUERY_NAME" in
load) echo "$SERF_TAG_LOAD";;
words) echo many;;
late) sleep 2; echo "$SERF_TAG_LOAD";;
payload) cat;;
esac
"""


def kith(agent, *args, code=0, **options):
    """A command, asked of this agent; its exit code is checked."""
    done = lib.run(lib.KITH, *args, env={"KITH_RPC_ADDR": "%s:%d" % agent.rpc_addr}, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    return done


def folded(agent, fold, *args, code=0, **options):
    return kith(agent, "query", "-fold", fold, "-json", *args, code=code, **options).json()


def says(done, **wanted):
    for key, value in wanted.items():
        check(done[key] == value, "%s is %r, not %r: %s" % (key, done[key], value, done))


def numbers(pool, count, *flags):
    """Agents that answer load with 1, 2, 4, ..., all of them in one pool."""
    script = pool.path("answer.sh", ANSWER)
    agents = []
    for i in range(count):
        agents += [pool.start("kith", "-event-handler", "query=sh %s" % script, "-tag", "load=%d" % 2 ** i, "-tag",
                              "half=%s" % ("left" if i % 2 else "right"), *flags,
                              *(["-join", agents[0].join_addr] if agents else []))]
    pool.full(agents, 60)
    return agents


@lib.case
def measures(pool):
    """twelve agents: each measure, as text and as JSON; filters; payloads; nonsense; late answers"""
    agents = numbers(pool, 12)
    first, names = agents[3], [a.name for a in agents]
    for fold, value in (("count", 12), ("sum", 4095), ("avg", 341.25), ("min", 1), ("max", 2048)):
        start = time.monotonic()
        done = kith(first, "query", "--fold", fold, "load")
        check(done.out == "%g\n12 of 12 members answered\n" % value and not done.err, done)
        check(time.monotonic() - start < 5, "it is not over when all have answered")
        says(folded(first, fold, "load"), name="load", fold=fold, value=value, members=12, answers=12, silent=0, unusable=0,
             sum=4095, average=341.25, min=1, max=2048, missing=[], unable=[], top=[])
    done = kith(first, "query", "-fold", "top:2", "load").out.split("\n")
    check([line.split() for line in done[:2]] == [[names[11], "2048"], [names[10], "1024"]], done)
    top = folded(first, "top:32", "load")
    says(top, top=[{"member": names[i], "value": 2 ** i} for i in range(11, -1, -1)], members=12)
    check("value" not in top, top)
    says(folded(first, "sum", "-tag", "half=^le", "load"), value=2 + 8 + 32 + 128 + 512 + 2048, members=6)
    says(folded(first, "sum", "-node", names[0], "-node", names[5], "-node", names[0], "load"), value=33, members=2)
    says(folded(first, "avg", "payload", "17.5"), value=17.5, variance=0, answers=12)
    says(folded(first, "sum", "late"), value=4095, silent=0)
    done = kith(first, "query", "-fold", "avg", "words", code=1)
    check(done.out == "-\n12 of 12 members answered, 12 of them with no number\n", done)
    check(done.err == "Nobody has answered with a number\n", done)
    says(folded(first, "count", "words"), value=12, answers=0, unusable=12, average=None)


@lib.case
def silence(pool):
    """who has no handler, is stopped, or is a serf is named, and the exit code says so; the rest is there all the same"""
    agents = numbers(pool, 6)
    mute = pool.start("kith", "-join", agents[0].join_addr)
    serf = pool.start("serf", "-join", agents[0].join_addr)
    pool.full(agents + [mute, serf], 60)
    first = agents[0]
    done = kith(first, "query", "-fold", "sum", "-timeout", "3s", "load", code=1)
    check(done.out == "63\n6 of 8 members answered\n", done)
    check(done.err == "No answers from:\n\t%s\n\t%s (no kith agent)\n" % (mute.name, serf.name), done)
    says(folded(first, "sum", "-timeout", "3s", "load", code=1), value=63, members=8, silent=2, missing=[mute.name],
         unable=[serf.name])
    only = [flag for agent in agents for flag in ("-node", agent.name)]
    says(folded(first, "sum", *only, "load"), value=63, members=6, silent=0)
    agents[2].signal(signal.SIGSTOP)
    try:
        told = folded(first, "sum", "-timeout", "4s", *only, "load", code=1)
    finally:
        agents[2].signal(signal.SIGCONT)
    says(told, value=59, silent=1, missing=[agents[2].name])
    agents[3].kill()
    pool.status([first], agents[3], "failed", 45)
    says(folded(first, "sum", "-timeout", "3s", *only, "load", code=1), value=55, silent=1, missing=[agents[3].name])
    says(folded(first, "sum", "-tag", "load=.", "load"), value=55, members=5, silent=0)
    done = kith(serf, "query", "-fold", "sum", "load", code=1)
    check("cannot fold answers" in done.err and not done.out, done)


@lib.case
def gauges(pool):
    """what members contribute at this moment, encrypted; who contributes nothing does not count"""
    key = lib.run(lib.KITH, "keygen").out.strip()
    agents = numbers(pool, 5, "-encrypt", key)
    for i, agent in enumerate(agents[:4]):
        kith(agent, "gauge", "set", "temp", str(10 * i))
        says(folded(agents[4], "avg", "-gauge", "temp"), gauge="temp", value=5 * i, members=i + 1, answers=i + 1, silent=0)
    done = kith(agents[0], "query", "--fold", "max", "--gauge", "temp")
    check(done.out == "30\n4 of 4 members answered\n", done)
    says(folded(agents[0], "count", "-gauge", "nothing"), value=0, members=0)
    serf = pool.start("serf", "-join", agents[0].join_addr, "-encrypt", key)
    pool.full(agents + [serf], 60)
    says(folded(agents[1], "avg", "-gauge", "temp"), value=15, members=4, silent=0, unable=[])  # it never does
    says(folded(agents[0], "count", "-gauge", "members"), value=5, sum=5)  # one of the agents' own: each is one
    kith(agents[4], "gauge", "set", "temp", "100", "-unit", "F")
    lib.wait(lambda: folded(agents[0], "sum", "-gauge", "temp")["conflicts"] == 1, 10, "the other unit is seen")
    for fold in ("sum", "count"):
        done = kith(agents[0], "query", "-fold", fold, "-gauge", "temp")
        check("5 of 5 members answered" in done.out and "another schema at 1 member," in done.err, done)
    done = kith(agents[4], "query", "-fold", "sum", "-gauge", "temp")
    check("another schema at 4 members," in done.err, done)
    kith(agents[4], "gauge", "clear", "temp")
    lib.wait(lambda: folded(agents[0], "sum", "-gauge", "temp")["conflicts"] == 0, 10, "it is gone")
    check(not kith(agents[0], "query", "-fold", "sum", "-gauge", "temp").err, "and nothing is said of it")


@lib.case
def mistakes(pool):
    """what cannot be asked is told before anybody is asked"""
    one = pool.start("kith")
    for args, word in ((["-fold", "median", "load"], "none of count, sum"), (["-fold", "top:33", "load"], "1 to 32"),
                       (["-fold", "avg", "-no-ack", "load"], "-no-ack"), (["-gauge", "load"], "-gauge goes with -fold"),
                       (["-fold", "avg", "-relay-factor", "2", "load"], "-relay-factor"),
                       (["-fold", "avg", "-format=json", "load"], "-json"),
                       (["-fold", "avg", "-gauge", "load", "x"], "no payload"), (["-fold", "avg"], "")):
        done = kith(one, "query", *args, code=2)
        check(word in done.err and not done.out, done)
    for args, word in ((["-node", "nobody", "load"], 'no member is called "nobody"'), (["_serf_x"], "prefix"),
                       (["load", "x" * 1400], "one datagram"), (["n" * 256], "1 to 255 bytes")):
        done = kith(one, "query", "-fold", "avg", *args, code=1)
        check(word in done.err and not done.out, done)
    done = kith(one, "query", "_kith_gauge", "load", code=1)
    check("out of its documented range" in done.err, done)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    lib.main(__doc__)
