#!/usr/bin/env python3
"""Compression on and off, kith and Serf, in every combination, 5 + 5 agents; states large enough to be worth compressing."""
import lib

PADDING = "the same words again and again, " * 10


def combination(kith_off, serf_off):
    @lib.case
    def one(pool):
        kith_flags = ["-disable-compression"] if kith_off else []
        serf_flags = ["-disable-compression"] if serf_off else []
        serf = pool.start("serf", *serf_flags, "-tag", "pad=" + PADDING)
        kith = pool.start("kith", *kith_flags, "-tag", "pad=" + PADDING, "-join", serf.join_addr)
        agents = ([serf, kith] + pool.start("serf", *serf_flags, "-tag", "pad=" + PADDING, "-join", kith.join_addr, count=4)
                  + pool.start("kith", *kith_flags, "-tag", "pad=" + PADDING, "-join", serf.join_addr, count=4))
        pool.full(agents, 20)
        changed = (serf, kith, agents[2])
        for number, agent in enumerate(changed):
            agent.set_tags({"pad": PADDING + str(number)})
        for number, agent in enumerate(changed):
            lib.wait(lambda: all(o.members()[agent.name]["Tags"].get("pad") == PADDING + str(number) for o in agents),
                     20, "the changed tag of %s everywhere" % agent.name)
    words = {False: "compresses", True: "does not"}
    one.__doc__ = "kith %s, Serf %s: joins and gossip both ways" % (words[kith_off], words[serf_off])
    one.__name__ = "compress_%d%d" % (kith_off, serf_off)


for k in (False, True):
    for s in (False, True):
        combination(k, s)


@lib.case
def large_state(pool):
    """a push/pull of 20 agents with 400 bytes of tags each, from a compressing pool to a newcomer of the other kind"""
    first = pool.start("kith", "-tag", "pad=" + PADDING)
    agents = [first] + pool.start("kith", "-tag", "pad=" + PADDING, "-join", first.join_addr, count=17)
    pool.full(agents, 40)
    serf = pool.start("serf", "-join", first.join_addr)
    plain = pool.start("kith", "-disable-compression", "-join", serf.join_addr)
    pool.full(agents + [serf, plain], 40)
    for name, member in serf.members().items():
        if name not in (serf.name, plain.name):
            lib.check(member["Tags"].get("pad") == PADDING, serf.name, "has no tags of", name)


lib.main(__doc__)
