#!/usr/bin/env python3
"""Aggregates: what ten agents contribute, changed, lost and divided; the command line, the Redis door, and -gauges=false.
"""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netlab"))
import lab as netlab  # noqa: E402
import lib  # noqa: E402

check = lib.check
BUILT_IN = {"load", "memory", "uptime", "members", "rtt"}


def kith(agent, *args, code=0, **options):
    """A command, asked of this agent; its exit code is checked."""
    run = agent.ns.run if agent.ns else lib.run
    done = run(lib.KITH, *args, env={"KITH_RPC_ADDR": "%s:%d" % agent.rpc_addr}, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    return done


def answer(agent, name, *args):
    return kith(agent, "aggregate", name, "--json", *args).json()


def says(done, *words):
    for word in words:
        check(word in done.err, "standard error does not say %r:" % word, done)


def agree(agents, name, timeout, **wanted):
    """Waits until all of the agents know it and answer so. Returns how long that took."""
    start = time.monotonic()
    seen = {}

    def agreed():
        for agent in agents:
            known = any(a["name"] == name for a in kith(agent, "aggregate", "--json").json()["aggregates"])
            seen[agent.name] = answer(agent, name) if known else {}
        return all(seen[a.name].get(key) == value for a in agents for key, value in wanted.items())
    lib.wait(agreed, timeout, lambda: "%s of %s is %s: %s" % (sorted(wanted), name, wanted, seen), 0.3)
    return time.monotonic() - start


@lib.case
def ten(pool):
    """ten agents: set, changed, one killed, divided and together again; every answer is that of the living"""
    lab = netlab.Lab(10)
    try:
        agents = []
        for port, node in lab.nodes.items():
            agent = lib.Agent(pool, "kith", "node%d" % port, lab.addr(port), ns=node, rpc_ip="127.0.0.1",
                              flags=["-join", lab.addr(1)] if agents else [])
            pool.agents.append(agent)
            agents.append(agent.start())
        pool.full(agents, 60)
        first, last = agents[0], agents[-1]
        kith(first, "gauge", "set", "temp", "1", "-unit", "C", "-min", "-50", "-max", "100")
        agree([last], "temp", 10, count=1)
        for i, agent in enumerate(agents[1:], 2):  # by the schema that the first has told
            kith(agent, "gauge", "set", "temp", str(i))
        took = agree(agents, "temp", 10, count=10, sum=55, average=5.5, min=1, max=10, conflicts=0, converged=True,
                     coverage=1, unit="C", engine="exact")
        print("  ten values everywhere after %.1f s" % took)
        kith(last, "gauge", "set", "temp", "-45.5")
        agree(agents, "temp", 10, count=10, sum=-0.5, min=-45.5, max=9)
        told = answer(first, "temp", "--sorted", "--top", "2", "--quantile", "0.5", "-quantile=1")
        check([p["member"] for p in told["sorted"]] == ["node10"] + ["node%d" % i for i in range(1, 10)], told)
        check([p["rank"] for p in told["sorted"]] == list(range(10)), told)
        check([(p["member"], p["value"], p["rank"]) for p in told["top"]] == [("node9", 9, 9), ("node8", 8, 8)], told)
        check([(q["q"], q["value"], q["rank_error"]) for q in told["quantiles"]] == [(0.5, 4, 0), (1, 9, 0)], told)
        engines(agents)
        done = kith(first, "aggregate", "memory", "-engine=network", "-timeout", "1ms", code=1)
        check("Converged             no" in done.out, "it is printed all the same:", done)
        says(done, "not converged after 0.001 s", "-timeout")
        lost(pool, agents)
        divided(pool, lab, agents[:9])
        engines(agents[:9])
        last.start()  # a gauge lives as long as its agent
        pool.full(agents, 60)
        agree(agents, "members", 20, count=10, min=10, max=10, converged=True)
        agree(agents, "temp", 10, count=8, sum=60, converged=True)
        listed = {a["name"]: a for a in kith(first, "aggregate", "--json").json()["aggregates"]}
        check(set(listed) == BUILT_IN | {"temp"}, sorted(listed))
        check(all(listed[name]["contributors"] == 10 for name in BUILT_IN - {"rtt"}), listed)
        rtt, uptime = answer(first, "rtt"), answer(first, "uptime")
        check(rtt["count"] >= 9 and 0 < rtt["average"] < 1000, "round trips are milliseconds:", rtt)
        check(uptime["min"] < uptime["max"], "one has started later:", uptime)
    finally:
        lab.close()


def engines(agents):
    """The network engine says what the exact one does, as exactly as it says that it does."""
    exact = answer(agents[0], "temp", "-quantile", "0.25", "-sorted")
    began = time.monotonic()
    for agent in agents[:3] + agents[-1:]:
        told = answer(agent, "temp", "-engine", "network", "-quantile", "0.25", "-sorted")
        check(told["engine"] == "network" and told["converged"], told)
        check(abs(told["average"] - exact["average"]) <= told["error"] < 0.2, told, exact)
        check(abs(told["count"] - exact["count"]) < 0.02 and abs(told["sum"] - exact["sum"]) < 0.2, told, exact)
        check(all(told[key] == exact[key] for key in ("min", "max", "sorted", "quantiles", "unit")), told, exact)
    print("  four answers of the network engine took %.1f s" % (time.monotonic() - began))


def lost(pool, agents):
    """Who is killed leaves the answer when it has failed."""
    agents[-1].kill()
    began = time.monotonic()
    pool.status(agents[:1], agents[-1], "failed", 20)
    detected = time.monotonic() - began
    agree(agents[:1], "temp", 1, count=9, sum=45, min=1)
    agree(agents[:-1], "temp", 20, count=9, sum=45, min=1)
    print("  a killed member failed after %.1f s, and was gone from all answers %.1f s later"
          % (detected, time.monotonic() - began - detected))


def divided(pool, lab, agents):
    one, other = agents[:4], agents[4:]
    lab.command("partition 1,2,3,4|5,6,7,8,9,10")
    agree(one, "temp", 60, count=4, sum=10, max=4, converged=True)
    agree(other, "temp", 60, count=5, sum=35, min=5, converged=True)
    kith(one[0], "gauge", "set", "temp", "21")
    kith(other[0], "gauge", "clear", "temp")
    agree(one, "temp", 10, count=4, sum=30)
    agree(other, "temp", 10, count=4, sum=30, min=6)
    lab.command("heal")
    took = agree(agents, "temp", 60, count=8, sum=60, min=2, max=21, converged=True)
    print("  together again: all answers right after %.1f s" % took)


@lib.case
def command_line(pool):
    """text, JSON, exit codes; what is wrong, where, and what to do"""
    one, two = pool.start("kith", count=2)
    two.join(one)
    pool.full([one, two])
    done = kith(one, "gauge", "set", "jobs", "3", "-unit", "jobs", "-min", "0", "-max", "10", "-step", "0.5")
    check(done.out == done.err == "", done)
    agree([one, two], "jobs", 10, count=1, converged=True)
    text = kith(one, "aggregate", "jobs", "-quantile", "0.99", "-top", "1").out
    for line in ("Aggregate             jobs (jobs)", "Engine                exact", "Count                 1",
                 "Sum                   3",
                 "  off by at most      0.5", "Quantile 0.99         3", "Coverage              100 % of the kith members",
                 "     0  " + one.name + "   3"):
        check(line in text.split("\n"), "no line %r in" % line, text)
    listed = kith(one, "gauge", "list").out.split("\n")
    check(any(line.split()[:3] == ["jobs", "jobs", "3"] and "the agent's own" not in line for line in listed), listed)
    check(sum("the agent's own" in line for line in listed) == len(BUILT_IN), listed)
    gauges = {g["name"]: g for g in kith(one, "gauge", "list", "--json").json()["gauges"]}
    check(gauges["jobs"]["schema"] == {"unit": "jobs", "min": 0, "max": 10, "step": 0.5, "interval_ms": 1000,
                                       "engine": "auto"}, gauges)
    check(gauges["load"]["builtin"] and not gauges["jobs"]["builtin"], gauges)
    says(kith(one, "gauge", "set", "jobs", "11", code=1), "11", "jobs", "0 to 10")
    says(kith(one, "gauge", "set", "jobs", "nan", code=2), "nan", "no decimal number")
    says(kith(one, "gauge", "set", "jobs", "1", "-unit", "tasks", code=1), "another schema", "clear it first")
    says(kith(one, "gauge", "set", "load", "1", code=1), "load", "-gauges=false")
    says(kith(one, "gauge", "clear", "nothing", code=1), "nothing", "not set here")
    says(kith(one, "aggregate", "nothing", code=1), "nothing", "no aggregate")
    for name in ("", "x" * 65, "x" * 5000):
        for args in (["aggregate", name], ["gauge", "set", name, "1"], ["gauge", "clear", name]):
            says(kith(one, *args, code=1), "1 to 64 bytes, this one has %d" % len(name))
        says(kith(one, "query", "-fold", "sum", "-gauge", name, code=2), "1 to 64 bytes")
    kith(one, "gauge", "set", "by the network", "1", "-engine", "network")
    says(kith(one, "aggregate", "by the network", "-engine", "exact", code=1), "its schema leaves it to the network engine")
    kith(one, "gauge", "clear", "by the network")
    says(kith(one, "aggregate", "jobs", "-quantile", "1.5", code=2), "1.5", "0 to 1")
    says(kith(one, "aggregate", "jobs", "-engine", "best", code=2), "auto, exact, network")
    for args in (["gauge"], ["gauge", "set", "x"], ["gauge", "set"], ["gauge", "nothing"], ["gauge", "list", "x"],
                 ["aggregate", "a", "b"], ["aggregate", "-top", "3"], ["aggregate", "-engine", "exact"],
                 ["aggregate", "-timeout", "3s"], ["aggregate", "a", "-watch", "-timeout", "3s"], ["aggregate", "a", "-sorted", "-bottom", "1"],
                 ["gauge", "set", "x", "1", "-interval", "soon"]):
        says(kith(one, *args, code=2), "-help")
    says(lib.run(lib.KITH, "aggregate", "-rpc-addr", "127.0.0.99:7373"), "refused")
    says(kith(pool.start("serf"), "aggregate", code=1), "knows nothing of aggregates")
    # another schema at another member: set, with a warning, and seen from both sides
    done = kith(two, "gauge", "set", "jobs", "5", "-unit", "tasks")
    says(done, "warning", "jobs", "another schema at 1 other member")
    lib.wait(lambda: answer(one, "jobs")["conflicts"] == 1, 10, "the conflict is seen")
    told = answer(one, "jobs")
    check(told["count"] == 1 and told["sum"] == 3, "the other's value is not mixed in:", told)
    check("1 with another schema" in kith(one, "aggregate").out, kith(one, "aggregate"))
    kith(two, "gauge", "clear", "jobs")
    kith(two, "gauge", "set", "jobs", "5")
    agree([one, two], "jobs", 10, count=2, sum=8, conflicts=0)
    check(kith(one, "gauge", "clear", "jobs", "--json").json() == {"name": "jobs", "cleared": True}, "clear --json")
    agree([two], "jobs", 10, count=1, sum=5)


@lib.case
def watching(pool):
    """-watch prints a line for each change, and ends by SIGINT with 0"""
    agent = pool.start("kith")
    kith(agent, "gauge", "set", "w", "1")
    watch = subprocess.Popen([lib.KITH, "aggregate", "w", "--watch", "--json", "-rpc-addr", "%s:7373" % agent.ip],
                             stdout=subprocess.PIPE, text=True)
    try:
        check(json.loads(watch.stdout.readline())["sum"] == 1, "as it is at first")
        for value in (2, 3.5):
            time.sleep(1.2)  # in which nothing changes
            kith(agent, "gauge", "set", "w", str(value))
            told = json.loads(watch.stdout.readline())
            check(told["sum"] == value, "the next line is the next change:", told)
        watch.send_signal(signal.SIGINT)
        check(watch.wait(10) == 0, "ends with 0")
        check(watch.stdout.read() == "", "and nothing more")
    finally:
        watch.kill()
    watch = subprocess.Popen([lib.KITH, "aggregate", "w", "--watch", "-rpc-addr", "%s:7373" % agent.ip],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(watch.stdout.readline() == "count 1  sum 3.5  average 3.5  smallest 3.5  largest 3.5  converged\n", "as text")
    agent.kill()
    check(watch.wait(20) == 1, "the agent was there, and is gone")


@lib.case
def redis(pool):
    """redis-cli reads aggregates as a hash and a sorted set, and writes to neither"""
    agents = []
    for i in range(3):
        agent = pool.agent("kith")
        agent.flags = ["-resp-addr", "%s:7379" % agent.ip] + (["-join", agents[0].join_addr] if agents else [])
        agents.append(agent.start())
    pool.full(agents)
    for i, agent in enumerate(agents):
        kith(agent, "gauge", "set", "jobs", str(i * 2))
    agree(agents, "jobs", 10, count=3, sum=6)

    def cli(*words):
        return lib.run("redis-cli", "-h", agents[1].ip, "-p", "7379", *words).out.strip()
    key, order = "kith:aggregate:jobs", "kith:order:jobs"
    check(cli("hget", key, "average") == "2", cli("hget", key, "average"))
    check(cli("hmget", key, "count", "sum", "min", "max", "converged").split() == ["3", "6", "0", "4", "1"], key)
    check(cli("type", key) == "hash" and cli("type", order) == "zset", "types")
    check(cli("zrevrange", order, "0", "0", "withscores").split() == [agents[2].name, "4"], cli("zrange", order, "0", "-1"))
    check(cli("zrank", order, agents[1].name) == "1" and cli("zcard", order) == "3", "rank and card")
    check(cli("zcount", order, "(0", "+inf") == "2", "zcount")
    check(cli("hset", key, "average", "9").startswith("READONLY"), cli("hset", key, "average", "9"))
    check(cli("del", order).startswith("READONLY"), cli("del", order))
    check(cli("keys", "*") == "" and cli("dbsize") == "0", "no keys of the store")
    check(cli("exists", "kith:aggregate:load", "kith:aggregate:nothing") == "1", "the agent's own too")


@lib.case
def switched_off(pool):
    """-gauges=false contributes nothing of its own, and leaves the names free"""
    one = pool.start("kith", "-gauges=false")
    time.sleep(1)
    check(kith(one, "aggregate", "--json").json() == {"aggregates": []}, kith(one, "aggregate", "--json"))
    check(kith(one, "aggregate").out == "" and kith(one, "gauge", "list").out == "", "nothing to list")
    kith(one, "gauge", "set", "load", "7")
    check(answer(one, "load")["sum"] == 7, answer(one, "load"))
    two = pool.agent("kith", flags=["-config-file", pool.path("off.json", '{"gauges": false}')])
    two.start()
    check(kith(two, "gauge", "list", "--json").json() == {"gauges": []}, "by a file")
    bare = pool.start("kith", "-delegate-versions=0/0/0")  # has no aggregates, and starts all the same
    says(kith(bare, "gauge", "set", "x", "1", code=1), "bare memberlist")


lib.main(__doc__)
