#!/usr/bin/env python3
"""PUBLISH and SUBSCRIBE across nodes: every subscriber hears each message once, those of one publisher in order."""
import subprocess

import lib
from resp import PORT, Link

check, wait = lib.check, lib.wait


def pool_of_three(pool):
    agents = []
    for i in range(3):
        ip = "127.0.0.%d" % (20 + i)
        join = ["-join", agents[0].join_addr] if agents else []
        flags = ["-resp-addr", "%s:%d" % (ip, PORT)] + join
        agents.append(pool.agent("kith", "pub-%d" % i, ip, flags=flags).start())
    pool.full(agents, 60)
    return agents


def message(link, kind=b"message"):
    """The next thing pushed: its parts behind the kind."""
    text = link.reply()
    parts = text.split(b"\r\n")
    check(parts[0][:1] in b"*>" and parts[2] == kind, "a push of kind", kind, text)
    return parts[4:-1:2]


def across(agents):
    hearers = [Link(PORT, ip=a.ip) for a in agents]
    for link in hearers:
        check(b"subscribe" in link.call("SUBSCRIBE", "news"), "SUBSCRIBE")
    patterns = Link(PORT, ip=agents[2].ip)
    check(b"psubscribe" in patterns.call("PSUBSCRIBE", "n*s"), "PSUBSCRIBE")
    speakers = [Link(PORT, ip=a.ip) for a in agents]
    check(speakers[0].call("PUBLISH", "news", "first") == b":1\r\n", "one client of this node hears it")
    check(speakers[2].call("PUBLISH", "news", "second") == b":2\r\n", "a channel and a pattern")
    check(speakers[1].call("PUBLISH", "other", "unheard") == b":0\r\n", "nobody")
    for link in hearers:
        check({message(link)[1] for _ in range(2)} == {b"first", b"second"}, "both, on each node")
    for _ in range(2):
        check(message(patterns, b"pmessage")[:2] == [b"n*s", b"news"], "a pattern hears it, too")
    return hearers, speakers, patterns


def in_order(hearers, speakers):
    """Many at once from two nodes, some of a megabyte: each in order."""
    count = 2000
    large = b"x" * 900000
    for i in range(count):
        for name, link in (("a", speakers[0]), ("b", speakers[1])):
            link.send("PUBLISH", "news", "%s%d" % (name, i))
        if i % 100 == 99:
            for link in speakers[:2]:
                for _ in range(100):
                    check(link.reply() == b":1\r\n", "published")
    check(speakers[0].call("PUBLISH", "news", large) == b":1\r\n", "a large one")
    for link in hearers:
        heard = {b"a": [], b"b": []}
        big = 0
        while len(heard[b"a"]) + len(heard[b"b"]) + big < 2 * count + 1:
            text = message(link)[1]
            if text == large:
                check(len(heard[b"a"]) == count, "the large one comes last of its node's")
                big += 1
                continue
            heard[text[:1]].append(int(text[1:]))
        check(heard[b"a"] == list(range(count)) and heard[b"b"] == list(range(count)), "in order, none missing")


def the_rest(agents, speakers):
    one = speakers[0]
    check(one.call("PUBSUB", "CHANNELS") == b"*1\r\n$4\r\nnews\r\n", "PUBSUB CHANNELS")
    check(one.call("PUBSUB", "NUMSUB", "news", "none") == b"*4\r\n$4\r\nnews\r\n:1\r\n$4\r\nnone\r\n:0\r\n", "NUMSUB")
    check(speakers[2].call("PUBSUB", "NUMPAT") == b":1\r\n", "PUBSUB NUMPAT")
    check(one.call("PUBSUB", "WHAT").startswith(b"-ERR"), "an unknown subcommand")
    check(one.call("PUBLISH", "", "x").startswith(b"-ERR a channel's name has 1 to 255 bytes"), "no name")
    check(one.call("PUBLISH", "c" * 256, "x").startswith(b"-ERR a channel's name"), "a long name")
    check(one.call("PUBLISH", "c", "x" * (1 << 20)) == b"-ERR the message is larger than event_size_max, a key of the agent's "
          b"configuration, allows\r\n", "a message that is too large")
    out = subprocess.run(["redis-cli", "-h", agents[1].ip, "-p", str(PORT), "PUBLISH", "news", "by hand"], text=True,
                         timeout=20, stdout=subprocess.PIPE)
    check(out.stdout == "1\n", "redis-cli", out.stdout)


@lib.case
def pubsub(pool):
    """subscribers of all nodes hear what is published at any, each message once, one node's in order"""
    agents = pool_of_three(pool)
    hearers, speakers, patterns = across(agents)
    in_order(hearers, speakers)
    the_rest(agents, speakers)
    patterns.close()


if __name__ == "__main__":
    lib.main(__doc__, needs=("kith",))
