#!/usr/bin/env python3
"""The agent's Redis door at its limits: ten thousand idle clients, and writes of two agents that do not fit together.

A command that is wrong by itself (types, overflows, syntax) is answered as Redis does: test_redis_same.py, and
test_redis_collections.py. What Redis never sees is two agents that each accept what the sum of both is too much for, or
that make the same key of different types.
"""
import resource
import sys

import lib
from resp import PORT, Link

check = lib.check
IDLE = 9990
TOP = 9223372036854775807


@lib.case
def idle(pool):
    """ten thousand clients that are silent, some in the middle of a request: another works, and they cost little"""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = IDLE if hard == resource.RLIM_INFINITY else min(IDLE, hard - 500)
    check(count > 500, "only %d files may be open here" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    agent = pool.start("kith")
    link = Link(PORT)
    check(link.call("SET", "k", "v") == b"+OK\r\n", "SET")
    before, links = agent.resident(), []
    for i in range(count):
        links.append(Link(PORT))
        if i % 4 == 1:
            links[i].sock.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nhalf")
        elif i % 4 == 2:
            check(links[i].call("SUBSCRIBE", "quiet").startswith(b"*3\r\n"), "SUBSCRIBE", i)
    lib.wait(lambda: b"connected_clients:%d\r\n" % (count + 1) in link.call("INFO", "clients"), 20, "all are connected")
    grown = agent.resident() - before
    check(grown < count * 16384 or lib.SANITIZED, "%d idle clients cost %d bytes each" % (count, grown // count))
    for i in range(2000):
        check(link.call("INCR", "n") == b":%d\r\n" % (i + 1), "INCR", i)
    link.sock.sendall(Link.encode("GET", "k") * 10000)
    for i in range(10000):
        check(link.reply() == b"$1\r\nv\r\n", "GET", i)
    for i in range(0, count, 100):
        check(links[i].call("PING") == b"+PONG\r\n", "an idle client is not answered:", i)
    links[1].sock.sendall(b"x" * 996 + b"\r\n")
    check(links[1].reply() == b"+OK\r\n" and link.call("STRLEN", "k") == b":1000\r\n", "half a request and its rest")
    for one in links:
        one.close()
    lib.wait(lambda: b"connected_clients:1\r\n" in link.call("INFO", "clients"), 20, "all have gone")
    print("  %d idle clients, %d bytes each" % (count, grown // count))


def apart(pool, *writes):
    """Two agents that do not know each other; writes of each. Then they meet, and agree; returns a client of each."""
    agents = [pool.start("kith", "-resp-addr", "127.0.0.%d:%d" % (i, PORT)) for i in (1, 2)]
    links = [Link(PORT, ip=a.ip) for a in agents]
    for link, commands in zip(links, writes):
        for command in commands:
            answer = link.call(*command.split())
            check(not answer.startswith(b"-"), command, answer)
    agents[1].join(agents[0])
    pool.full(agents)
    lib.wait(lambda: all(b'"peers_in_sync":1' in link.call("KITH.STATUS") for link in links), 15, "in sync", 0.3)
    return agents, links


def same(links, *command):
    """Both agents answer this; returns what."""
    answers = [link.call(*command) for link in links]
    check(answers[0] == answers[1], command, "is answered differently:", answers)
    return answers[0]


def bulk(text):
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


@lib.case
def sums(pool):
    """counters that each agent has raised as far as it goes: both show the end of the scale, and errors beyond it"""
    each = ["INCRBY c %d" % TOP, "DECRBY d %d" % TOP, "HINCRBY h f %d" % TOP, "INCRBYFLOAT f 1.7e308",
            "HINCRBYFLOAT h r 1.7e308", "ZINCRBY z 1.7e308 m"]
    agents, links = apart(pool, each + ["ZINCRBY z inf i"], each + ["ZINCRBY z -inf i"])
    greatest = "%d" % int(sys.float_info.max)
    for read, answer in (("GET c", "%d" % TOP), ("GET d", "%d" % (-TOP - 1)), ("HGET h f", "%d" % TOP), ("GET f", greatest),
                         ("HGET h r", greatest), ("ZSCORE z m", "%r" % sys.float_info.max)):
        check(same(links, *read.split()) == bulk(answer), read, same(links, *read.split()))
    check(same(links, "ZSCORE", "z", "i") in (bulk("inf"), bulk("-inf")), "a score that is no number")
    check(same(links, "ZRANGE", "z", "0", "-1", "WITHSCORES").startswith(b"*4\r\n"), "ZRANGE")
    check(same(links, "STRLEN", "c") == b":19\r\n", "STRLEN")
    for write in ("INCR c", "DECR d", "HINCRBY h f 1", "INCRBYFLOAT f 1e308"):
        answer = links[0].call(*write.split())
        check(answer.startswith(b"-ERR increment ") and links[0].call("PING") == b"+PONG\r\n", write, answer)
    check(all(a.running() for a in agents), "an agent ended")


@lib.case
def types(pool):
    """one key of two types: both agents show the same one, refuse the others' commands, and delete all of it"""
    agents, links = apart(pool, ["SET k word", "HSET j f v"], ["SADD k member", "ZADD j 1 m"])
    for key, shown in (("k", b"+set\r\n"), ("j", b"+hash\r\n")):
        check(same(links, "TYPE", key) == shown, "TYPE", key, links[0].call("TYPE", key))
        answers = [same(links, *command.split()) for command in (
            "GET " + key, "SCARD " + key, "HLEN " + key, "ZCARD " + key, "KITH.MVGET " + key)]
        right = [a for a in answers if not a.startswith(b"-")]
        check(len(right) == 1 and all(a.startswith(b"-WRONGTYPE") for a in answers if a not in right), key, answers)
        check(links[0].call("DEL", key) == b":1\r\n", "DEL")
        lib.wait(lambda: links[1].call("EXISTS", key) == b":0\r\n", 10, "it is gone on the other as well")
        check(same(links, "TYPE", key) == b"+none\r\n", "TYPE of what was deleted")
    check(all(a.running() for a in agents), "an agent ended")


lib.main(__doc__, needs=("kith",))
