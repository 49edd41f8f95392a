#!/usr/bin/env python3
"""A pool of Serf and kith: the kith agents' stores agree over Serf's head, and Serf sees nothing of it."""
import json
import re
import socket

import lib
from resp import PORT, Link, parse

check, wait = lib.check, lib.wait
COMPLAINT = re.compile(r"\[(ERR|ERROR|WARN)\]\s+(.*)")


def pool_of_three(pool, base, kind):
    """A Serf, and two agents that have joined it alone; addresses from 127.0.0.BASE."""
    ip = ["127.0.0.%d" % (base + i) for i in range(3)]
    serf = pool.agent("serf", "serf-%d" % base, ip[0], flags=["-tag", "role=db", "-log-level=debug"]).start()
    others = []
    for i in (1, 2):
        resp = ["-resp-addr", "%s:%d" % (ip[i], PORT)] if kind == "kith" else []
        flags = ["-tag", "role=web", "-join", serf.join_addr] + resp
        others.append(pool.agent(kind, "%s-%d-%d" % (kind, base, i), ip[i], flags=flags).start())
    pool.full([serf] + others, 75)
    return serf, others


def complaints(serf):
    """What Serf's log complains of, without names and numbers."""
    kinds = set()
    for line in serf.log_text().splitlines():
        found = COMPLAINT.search(line)
        if found:
            kinds.add(re.sub(r"(kith|serf)-\d+(-\d+)?|[\d.:]+", "N", found.group(2)))
    return kinds


def churn(pool, serf, others):
    """One of the two is killed and returns."""
    others[1].kill()
    pool.status([serf, others[0]], others[1], "failed", 45)
    others[1].start()
    pool.full([serf] + others, 75)


def in_sync(kiths):
    seen = [json.loads(parse(Link(PORT, ip=k.ip).call("KITH.STATUS"))) for k in kiths]
    return all(s["peers_count"] == 1 == s["peers_in_sync"] for s in seen) and len({s["root"] for s in seen}) == 1


def write_and_read(kiths):
    """Small writes, values that go over a link, and what was written while the other was away."""
    a, b = (Link(PORT, ip=k.ip) for k in kiths)
    for i in range(2000):
        a.send("SET", "a%d" % i, "v%d" % i)
        b.send("INCR", "n")
    for i in range(2000):
        check(a.reply() == b"+OK\r\n" and b.reply() == b":%d\r\n" % (i + 1), "write", i)
    check(a.call("SET", "large", "x" * 1000000) == b"+OK\r\n", "a large value")
    check(b.call("SADD", "s", "1", "2", "3") == b":3\r\n", "SADD")
    wait(lambda: b.call("STRLEN", "large") == b":1000000\r\n" and a.call("SCARD", "s") == b":3\r\n" and
         a.call("GET", "n") == b"$4\r\n2000\r\n" and b.call("GET", "a1999") == b"$5\r\nv1999\r\n", 15, "each has the other's")
    check(a.call("WAIT", "1", "30000") == b":1\r\n", "WAIT: Serf holds nothing, the other all")
    wait(lambda: in_sync(kiths), 15, "in sync", 0.5)
    check(a.call("DBSIZE") == b.call("DBSIZE") == b":2003\r\n", "DBSIZE")


@lib.case
def mixed(pool):
    """the store works between the kith agents; Serf's log has no complaint that it has not among its own"""
    lone, others = pool_of_three(pool, 10, "serf")
    churn(pool, lone, others)
    usual = complaints(lone)
    for agent in [lone] + others:
        agent.kill()

    serf, kiths = pool_of_three(pool, 20, "kith")
    write_and_read(kiths)
    churn(pool, serf, kiths)
    wait(lambda: in_sync(kiths), 15, "in sync after one has come back with nothing", 0.5)
    check(Link(PORT, ip=kiths[1].ip).call("DBSIZE") == b":2003\r\n", "what came back has not all")
    view = serf.members()
    check(view[serf.name]["Tags"] == {"role": "db"}, view[serf.name])
    for kith in kiths:
        tags = view[kith.name]["Tags"]
        check(tags.get("role") == "web" and set(tags) == {"role", "_kith"}, "Serf sees these tags of a kith agent:", tags)
        check(kith.members()[serf.name]["Tags"] == {"role": "db"}, "kith sees other tags of Serf's")
        check(tags == kith.members()[kith.name]["Tags"], "Serf sees", tags, "and kith itself", kith.members()[kith.name])
    wrong = complaints(serf) - usual
    check(not wrong, "Serf complains, which it does not among its own:\n    " + "\n    ".join(sorted(wrong)))
    check("nknown" not in serf.log_text(), "Serf was sent what it does not know")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # and the comparison can fail
        sock.sendto(b"\x63unknown", (serf.ip, serf.port))
    wait(lambda: complaints(serf) - usual, 10, "Serf complains of a message that it does not know")


lib.main(__doc__)
