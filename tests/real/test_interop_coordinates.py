#!/usr/bin/env python3
"""Coordinates in a pool of kith and Serf agents over links of known delays: either command tells the round trips, asking
either kind of agent."""
import itertools
import math
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netlab"))
import lab as netlab  # noqa: E402
import lib  # noqa: E402

check, wait = lib.check, lib.wait
OFF = 0.20  # of the delay that was put in, estimates may be so much off,
OWN_MS = 2  # and the agents and the machine need their own time
# Where the nodes are, in milliseconds of one way; the first two are kith. So few find their places within a minute.
PLACES = [(0, 0), (80, 60), (80, 0), (0, 60)]


def truth_ms(a, b):
    return 2 * math.dist(PLACES[a], PLACES[b])


class Laid:
    """The agents of PLACES, each in a namespace of its own, all joined."""

    def __init__(self, pool):
        self.lab = netlab.Lab(len(PLACES))
        for a, b in itertools.combinations(range(len(PLACES)), 2):
            self.lab.command("delay %d %d %.3fms" % (a + 1, b + 1, truth_ms(a, b) / 2))
        self.agents = []
        for port, node in self.lab.nodes.items():
            kind = "kith" if port <= 2 else "serf"
            agent = lib.Agent(pool, kind, "%s%d" % (kind, port), self.lab.addr(port), ns=node, rpc_ip="127.0.0.1",
                              flags=["-log-level=trace"] + (["-join", self.lab.addr(1)] if self.agents else []))
            pool.agents.append(agent)
            self.agents.append(agent.start())
        pool.full(self.agents, 60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.close()


def rtt(binary, agent, *nodes):
    """What `rtt` prints, and the milliseconds in it; None if it finds no coordinate."""
    done = agent.ns.run(binary, "rtt", *nodes)
    if done.code != 0:
        check(done.code == 1 and re.match(r'Could not find a coordinate for node "[^"]+"\n$', done.out + done.err), done)
        return done, None
    shown = re.match(r"Estimated (\S+) <-> (\S+) rtt: (\d+\.\d{3}) ms\n$", done.out)
    check(shown and list(shown.groups()[:2])[:len(nodes)] == list(nodes), done)
    return done, float(shown.group(3))


def wrong(binary, observer, agents):
    """The pairs of which the estimate is off: [(a, b, estimate, truth)]."""
    found = []
    for a, b in itertools.combinations(range(len(agents)), 2):
        _, ms = rtt(binary, observer, agents[a].name, agents[b].name)
        if ms is None or not abs(ms - truth_ms(a, b)) <= OFF * truth_ms(a, b) + OWN_MS:
            found.append((agents[a].name, agents[b].name, ms, round(truth_ms(a, b), 1)))
    return found


@lib.case
def estimates(pool):
    """four in a plane: every pair within 20 %, by `kith rtt` and `serf rtt`, from a kith agent and from a Serf agent"""
    with Laid(pool) as laid:
        agents, began, off = laid.agents, time.monotonic(), {}
        asked = [agents[0], agents[2]]

        def near():
            for observer in asked:
                for binary in (lib.KITH, lib.SERF):
                    off[observer.name] = wrong(binary, observer, agents)
                    if off[observer.name]:
                        return False
            return True
        wait(near, 55, lambda: "all estimates are near; these are not: %s" % off, 2)
        print("  all pairs within %d %% after %.0f s" % (OFF * 100, time.monotonic() - began))
        for observer in asked:
            pair = [agents[1].name, agents[3].name]
            mine, theirs = rtt(lib.KITH, observer, *pair)[0], rtt(lib.SERF, observer, *pair)[0]
            check(not mine.err and not theirs.err, mine, theirs)
            own = rtt(lib.KITH, observer, agents[3].name)[0]
            check(re.match("Estimated %s <-> %s rtt" % (agents[3].name, observer.name), own.out), "its own name:", own)
            as_json = observer.ns.run(lib.KITH, "rtt", "--json", *pair)
            check(as_json.code == 0, as_json)
            said = as_json.json()
            check(sorted(said) == ["from", "rtt_ms", "to"] and [said["from"], said["to"]] == pair, said)
            check(isinstance(said["rtt_ms"], float) and abs(said["rtt_ms"] - truth_ms(1, 3)) <=
                  OFF * 1.5 * truth_ms(1, 3) + OWN_MS, said)
            for binary in (lib.KITH, lib.SERF):
                done, ms = rtt(binary, observer, "nope")
                check(ms is None and '"nope"' in done.out + done.err, done)
        for agent in agents:
            log = agent.log_text()
            check("ejected coordinate" not in log and "ping version" not in log and "decode coordinate" not in log,
                  agent.name, "does not like what it hears:", [s for s in log.split("\n") if "coord" in s or "ping ver" in s][:3])
            if agent.kind == "kith":
                numbers = agent.ns.run(lib.KITH, "info", "--json").json()
                check(numbers["counters"]["coordinate_rejected"] == 0 and numbers["serf"]["coordinate_resets"] == 0, numbers)


@lib.case
def switched_off(pool):
    """an agent with disable_coordinates says nothing and knows nothing; the others find their places all the same"""
    path = pool.path("off.json", '{"disable_coordinates": true}')
    off = pool.start("kith", "-config-file", path)
    serf, kith = pool.start("serf", "-join", off.join_addr), pool.start("kith", "-join", off.join_addr)
    pool.full(timeout=30)

    def finds(agent, *nodes):
        done = agent.cli("rtt", *nodes, binary=lib.KITH)
        return done.code == 0
    wait(lambda: finds(serf, kith.name) and finds(kith, serf.name), 15, "serf and kith know each other")
    time.sleep(6)  # twice around: everybody has been probed
    for observer in (serf, kith):
        check(not finds(observer, off.name), observer.name, "has a coordinate of", off.name)
    for name in (serf.name, kith.name, off.name):
        check(not finds(off, name), off.name, "has a coordinate of", name)


lib.main(__doc__)
