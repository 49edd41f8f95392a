#!/usr/bin/env python3
"""Encrypted pools of kith and Serf: three key sizes, keyring files, wrong keys, labels."""
import base64
import json

import lib

check = lib.check
KEYS = {size: base64.b64encode(bytes(range(size, size + size))).decode() for size in (16, 24, 32)}
OTHER = base64.b64encode(b"another key, also of 32 bytes...").decode()
DETECT = 45


def sizes(size):
    @lib.case
    def one(pool):
        key = ["-encrypt", KEYS[size]]
        serf = pool.start("serf", *key)
        kith = pool.start("kith", *key, "-join", serf.join_addr)
        second = pool.start("serf", *key, "-join", kith.join_addr)
        pool.full([serf, kith, second], 20)
        kith.set_tags({"sealed": str(size)})
        lib.wait(lambda: all(a.members()[kith.name]["Tags"].get("sealed") == str(size) for a in (serf, second)), 15,
                 "a tag crosses by gossip")
        stats = kith.connection().call("stats", answer=True)
        check(stats["serf"]["encrypted"] == "true", "kith says encrypted:", stats["serf"].get("encrypted"))
    one.__doc__ = "AES-%d: joins both ways, gossips tags, says it is encrypted" % (size * 8)
    one.__name__ = "aes%d" % (size * 8)


for length in KEYS:
    sizes(length)


@lib.case
def mixed(pool):
    """5 + 5 encrypted: full views, one killed and one left on each side, seen by all, and back"""
    key = ["-encrypt", KEYS[32]]
    first = pool.start("kith", *key)
    agents = ([first] + pool.start("serf", *key, "-join", first.join_addr, count=5) +
              pool.start("kith", *key, "-join", first.join_addr, count=4))
    print("  ten agents, full views after %.1f s" % pool.full(agents, 60))
    serf1, serf2, kith1, kith2 = agents[1], agents[2], agents[6], agents[7]
    for agent in (serf1, kith1):
        agent.leave()
    for agent in (serf2, kith2):
        agent.kill()
    view = {a.name: "alive" for a in agents}
    view.update({serf1.name: "left", kith1.name: "left", serf2.name: "failed", kith2.name: "failed"})
    pool.expect(pool.live(), view, DETECT)
    for agent in (serf1, serf2, kith1, kith2):
        agent.start("-join", first.join_addr)
    print("  all back after %.1f s" % pool.full(agents, DETECT))


@lib.case
def keyring(pool):
    """a keyring of two keys reads both and writes with its first; the file stays as it was"""
    path = pool.path("keyring.json", json.dumps([KEYS[32], KEYS[16]]))
    kith = pool.start("kith", "-keyring-file", path)
    old = pool.path("old.json", json.dumps([KEYS[16], KEYS[32]]))
    serf_old = pool.start("serf", "-keyring-file", old, "-join", kith.join_addr)
    serf_new = pool.start("serf", "-encrypt", KEYS[32], "-join", kith.join_addr)
    pool.full([kith, serf_old, serf_new], 20)
    with open(path) as file:
        check(json.load(file) == [KEYS[32], KEYS[16]], "the keyring file changed")


@lib.case
def wrong_key(pool):
    """another key, or none, or one too many: the join fails on both sides, and nobody is listed"""
    sealed = {kind: pool.start(kind, "-encrypt", KEYS[32]) for kind in ("kith", "serf")}
    strangers = [pool.start(kind, *flags) for kind in ("kith", "serf") for flags in ([], ["-encrypt", OTHER])]
    for stranger in strangers:
        for agent in sealed.values():
            for a, b in ((stranger, agent), (agent, stranger)):
                if a.kind == b.kind == "serf":
                    continue
                try:
                    a.join(b)
                except lib.RpcError:
                    continue
                raise lib.Failure("%s joined %s, which has another key" % (a.name, b.name))
    for agent in pool.agents:
        check(agent.statuses() == {agent.name: "alive"}, agent.name, "lists", agent.statuses())
    bad = lib.run(lib.KITH, "agent", "-node", "x", "-bind", "127.0.0.99", "-rpc-addr", "127.0.0.99:7373", "-encrypt",
                  "c2hvcnQ=", timeout=10)
    check(bad.code in (1, 2) and bad.err + bad.out, "a key of 5 bytes:", bad)


if not lib.STAND_IN:
    @lib.case
    def labels(pool):
        """two labels on one network never mix, nor a label with none; one label joins, with and without a key"""
        for key in ([], ["-encrypt", KEYS[16]]):
            red1, red2 = pool.start("kith", *key, "-label", "red", count=2)
            blue = pool.start("kith", *key, "-label", "blue")
            plain, serf = pool.start("kith", *key), pool.start("serf", *key)
            check(red1.join(red2) == 1, "two of one label join")
            for a, b in ((red1, blue), (blue, red2), (red1, plain), (plain, red1), (serf, red1), (red1, serf)):
                try:
                    a.join(b)
                except lib.RpcError:
                    continue
                raise lib.Failure("%s joined %s across labels" % (a.name, b.name))
            pool.full([red1, red2], 20)
            for alone in (blue, plain, serf):
                check(alone.statuses() == {alone.name: "alive"}, alone.name, "lists", alone.statuses())


lib.main(__doc__)
