#!/usr/bin/env python3
"""Fifty agents started at once over ten seed addresses: all know all soon after the last of them has started."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lib  # noqa: E402

AGENTS, SEEDS = 50, 10


@lib.case
def fifty_at_once(pool):
    """full views everywhere, and each of them by itself: nobody is told again"""
    agents = [pool.agent("kith") for _ in range(AGENTS)]
    seeds = [flag for a in agents[:SEEDS] for flag in ("-retry-join", a.join_addr)]
    for agent in agents:
        agent.spawn(*seeds)
    for agent in agents:
        agent.ready(60)
    started = time.monotonic()
    pool.full(agents, 30, every=0.05)
    print("  %d agents, full views %.2f s after all have answered" % (AGENTS, time.monotonic() - started))


lib.main(__doc__)
