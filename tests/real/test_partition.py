#!/usr/bin/env python3
"""A partition: 5 kith and 5 Serf, each in a namespace of its own, cut for 90 s; full views within 60 s of the healing."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netlab"))
import lab as netlab  # noqa: E402
import lib  # noqa: E402

check = lib.check
CUT_S, HEAL_S = 90, 60


@lib.case
def partition(pool):
    """kith | Serf for 90 s: each side sees the other fail; after the link returns all see all, nobody intervening"""
    lab = netlab.Lab(10)
    try:
        agents = []
        for port, node in lab.nodes.items():
            kind = "kith" if port <= 5 else "serf"
            agent = lib.Agent(pool, kind, "%s%d" % (kind, port), lab.addr(port), ns=node, rpc_ip="127.0.0.1",
                              flags=["-join", lab.addr(1)] if agents else [])
            pool.agents.append(agent)
            agents.append(agent.start())
        kiths, serfs = agents[:5], agents[5:]
        print("  ten agents, full views after %.1f s" % pool.full(agents, 60))
        before = lab.stats()
        lab.command("partition 1,2,3,4,5|6,7,8,9,10")
        cut_at = time.monotonic()
        time.sleep(1)
        at_cut = lab.stats()
        for side, other in ((kiths, serfs), (serfs, kiths)):
            view = {a.name: "alive" if a in side else "failed" for a in agents}
            pool.expect(side, view, CUT_S - 5)
        print("  both sides know after %.1f s" % (time.monotonic() - cut_at))
        time.sleep(max(0, cut_at + CUT_S - time.monotonic()))
        after = lab.stats()
        across = [(a, b) for a, b in after if (a <= 5) != (b <= 5)]
        check(all(after[pair]["frames"] == at_cut[pair]["frames"] for pair in across), "frames crossed the cut")
        check(sum(after[pair]["cut"] - before[pair]["cut"] for pair in across) > 0, "nothing ever met the cut")
        lab.command("heal")
        took = pool.full(agents, HEAL_S)
        print("  healed: full views after %.1f s" % took)
    finally:
        lab.close()


lib.main(__doc__)
