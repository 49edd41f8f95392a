#!/usr/bin/env python3
"""Sets, hashes and sorted sets through the agent's Redis door: the same commands to the agent and to redis-server 7.0.15,
and every reply the same, byte for byte once what has no order is sorted.

Stated differences, which the commands here keep away from:
  * Redis keeps doubles as text in small sorted sets: -0 comes back as 0 there (one and the same for this test), and ZSCAN
    prints whole numbers of 17 digits and more without an exponent. Here they are as in Redis's large ones.
  * HINCRBYFLOAT counts in doubles here, in long doubles there: quarters are the same in both.
  * A search by bytes in a sorted set of different scores finds something or other in both.
  * A scan hands out COUNT elements a time here; small collections come whole there. A cursor that no scan gave out leads
    somewhere in both.
"""
import os
import random
import shlex
import shutil
import socket
import subprocess

import lib

check = lib.check
REDIS = os.environ.get("REDIS") or shutil.which("redis-server") or "/usr/bin/redis-server"
ROUNDS = 20000


class Reply(tuple):
    """(mark, value): the mark is the first byte of RESP's line; the value bytes, None, or a list of replies."""

    def flat(self):
        return [item[1] for item in self[1]]


class Door:
    """One connection; talks RESP, judges nothing."""

    def __init__(self, addr, version=2):
        self.sock = socket.create_connection(addr, 5)
        self.sock.settimeout(60)
        self.file = self.sock.makefile("rb")
        if version == 3:
            self.ask("HELLO", "3")

    def ask(self, *args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        check(line.endswith(b"\r\n"), "the connection ended within a reply:", line)
        mark, rest = line[:1].decode(), line[1:-2]
        if mark == "$":
            if rest == b"-1":
                return Reply(("$", None))
            data = self.file.read(int(rest) + 2)[:-2]
            return Reply(("$", b"0" if data == b"-0" else data))
        if mark in "*~>%":
            if rest == b"-1":
                return Reply((mark, None))
            return Reply((mark, [self.reply() for _ in range(int(rest) * (2 if mark == "%" else 1))]))
        if mark == "_":
            return Reply((mark, None))
        return Reply((mark, b"0" if mark == "," and rest == b"-0" else rest))


UNORDERED = {"SMEMBERS", "SINTER", "SUNION", "SDIFF", "HKEYS", "HVALS", "SPOP"}
RANDOM = {"SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"}


def pairs(items):
    return sorted(zip(items[0::2], items[1::2]))


def comparable(args, reply):
    """What two servers must agree on."""
    name, (mark, value) = args[0].upper(), reply
    if not isinstance(value, list):
        return reply
    if name in UNORDERED:
        return mark, sorted(value)
    if name == "HGETALL":
        return mark, pairs(value)
    if name in ("SSCAN", "HSCAN", "ZSCAN"):
        cursor, (inner, items) = value
        return mark, cursor, inner, sorted(items) if name == "SSCAN" else pairs(items)
    if name in RANDOM:
        if len(args) == 4 and mark == "*" and value and value[0][0] != "*":
            return mark, pairs(value)
        return mark, sorted(value)
    return reply


class Twins:
    """The agent and redis-server, asked the same."""

    def __init__(self, pool):
        self.agent_addr, self.redis_addr = ("127.0.0.1", 7379), ("127.0.0.1", 6379)
        self.log = open(pool.path("redis.log"), "wb")
        self.proc = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", REDIS, "--port", "6379", "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", pool.dir], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.agent = pool.start("kith", "-resp-addr", "127.0.0.1:7379")
        lib.wait(self.answer, 10, "redis-server answers", 0.05)
        self.count = 0
        self.speak(2)

    def answer(self):
        try:
            return Door(self.redis_addr).ask("PING") == ("+", b"PONG")
        except OSError:
            return False

    def speak(self, version):
        self.version = version
        self.kith, self.redis = Door(self.agent_addr, version), Door(self.redis_addr, version)

    def clear(self, keys):
        for door in (self.kith, self.redis):
            door.ask("DEL", *keys)

    def same(self, *args):
        ours, theirs = self.kith.ask(*args), self.redis.ask(*args)
        self.count += 1
        check(comparable(args, ours) == comparable(args, theirs), "RESP%d, command %d: %r\n    kith  %r\n    redis %r" % (
            self.version, self.count, args, ours, theirs))
        return ours

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.log.close()


def with_twins(body):
    def run(pool):
        twins = Twins(pool)
        try:
            body(twins)
        finally:
            twins.close()
    run.__name__, run.__doc__ = body.__name__, body.__doc__
    return run


# ---- the table ----

KEYS = "k s t u d 1 new none no str2 h one z w l v y".split()


@lib.case
@with_twins
def table(twins):
    """a table of commands, right ones and wrong ones, RESP2 and RESP3"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_collections.txt")) as file:
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    check(len(lines) >= 250, "only", len(lines), "commands")
    for version in (2, 3):
        twins.speak(version)
        twins.clear(KEYS + ["str"])
        twins.same("SET", "str", "text")
        for line in lines:
            twins.same(*shlex.split(line))


@lib.case
@with_twins
def errors_as_typed(twins):
    """names in any case, wrong counts of arguments, bytes that are no text"""
    for name in ("sadd", "SaDd", "hset", "ZADD", "zrange", "sinterstore", "ZUNIONSTORE", "hincrbyfloat", "zpopmin"):
        twins.same(name)
        twins.same(name, "k")
    nasty = bytes(range(256))
    twins.same("SADD", nasty, nasty, b"", b"\r\n", b"\0")
    twins.same("SMEMBERS", nasty)
    twins.same("HSET", b"\0h", nasty, b"\r\n", b"", nasty)
    twins.same("HGETALL", b"\0h")
    twins.same("ZADD", b"\0z", "0", nasty, "0", b"", "0", b"\0", "0", b"\xff")
    twins.same("ZRANGE", b"\0z", "0", "-1")
    twins.same("ZRANGEBYLEX", b"\0z", b"[\0", b"(\xff")
    twins.same("ZADD", b"\0z", b"1\0", "m")
    twins.same("SADD", "big", b"x" * 100000, b"y" * 70000)
    twins.same("SMEMBERS", "big")


# ---- random commands ----

def scan_all(door, name, key):
    """Everything that a scan shows, without doubles."""
    cursor, seen = b"0", set()
    while True:
        reply = door.ask(name, key, cursor, "COUNT", "3")
        cursor, items = reply[1][0][1], reply[1][1].flat()
        seen.update(items if name == "SSCAN" else zip(items[0::2], items[1::2]))
        if cursor == b"0":
            return seen


def draw(twins, name, key, members, count):
    """A random choice of the agent's must be one that can be made."""
    reply = twins.kith.ask(name, key, *([] if count is None else [count]))
    size = len(members)
    if count is None:
        check((reply[1] in members) if size else reply[1] is None, name, key, reply, members)
        return
    drawn = reply.flat()
    check(set(drawn) <= set(members), name, key, count, drawn, members)
    if count >= 0:
        check(len(set(drawn)) == len(drawn) == min(count, size), name, key, count, drawn, members)
    else:
        check(len(drawn) == (-count if size else 0), name, key, count, drawn)


def both_pop(twins, key, count):
    """SPOP: what the agent has taken is taken from the other as well."""
    reply = twins.kith.ask("SPOP", key, *([] if count is None else [count]))
    taken = reply.flat() if isinstance(reply[1], list) else [reply[1]] if reply[1] is not None else []
    size = int(twins.redis.ask("SCARD", key)[1])
    check(len(taken) == min(size, 1 if count is None else count), "SPOP", key, count, reply, size)
    if taken:
        check(int(twins.redis.ask("SREM", key, *taken)[1]) == len(taken), "SPOP", key, "took what was not there:", taken)


def random_set(rng, twins):
    key = lambda: rng.choice(["s1", "s2", "s3", "s4", "str"] if rng.random() < 0.02 else ["s1", "s2", "s3", "s4"])
    member = lambda: "m%d" % rng.randrange(24)
    some = lambda make, most: [make() for _ in range(rng.randint(1, most))]
    kind = rng.randrange(20)
    if kind < 5:
        twins.same("SADD", key(), *some(member, 6))
    elif kind < 8:
        twins.same("SREM", key(), *some(member, 6))
    elif kind == 8:
        twins.same("SMOVE", key(), key(), member())
    elif kind == 9:
        twins.same("SISMEMBER", key(), member())
    elif kind == 10:
        twins.same("SMISMEMBER", key(), *some(member, 4))
    elif kind < 13:
        twins.same(rng.choice(["SINTER", "SUNION", "SDIFF"]), *some(key, 4))
    elif kind < 15:
        twins.same(rng.choice(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), rng.choice(["s1", "s2", "s3", "s4"]),
                   *some(key, 3))
    elif kind == 15:
        keys = some(key, 3)
        twins.same("SINTERCARD", len(keys), *keys, *rng.choice([[], ["LIMIT", rng.randrange(5)]]))
    elif kind == 16:
        both_pop(twins, rng.choice(["s1", "s2", "s3", "s4"]), rng.choice([None, 0, 1, 3]))
    elif kind == 17:
        where = rng.choice(["s1", "s2", "s3"])
        draw(twins, "SRANDMEMBER", where, twins.redis.ask("SMEMBERS", where).flat(), rng.choice([None, -7, 0, 2, 9, 30]))
    elif kind == 18:
        where = rng.choice(["s1", "s2", "s3"])
        check(scan_all(twins.kith, "SSCAN", where) == scan_all(twins.redis, "SSCAN", where), "SSCAN", where)
    else:
        twins.same(rng.choice(["SMEMBERS", "SCARD", "TYPE", "EXISTS"]), key())


def random_hash(rng, twins):
    key = lambda: rng.choice(["h1", "h2", "h3", "str"] if rng.random() < 0.02 else ["h1", "h2", "h3"])
    field = lambda: "f%d" % rng.randrange(16)
    value = lambda: rng.choice(["x", "", "text", "0", "-5", "12", "1.5", "-0.25", "100", "3.0"])
    some = lambda make, most: [make() for _ in range(rng.randint(1, most))]
    kind = rng.randrange(20)
    if kind < 4:
        twins.same(rng.choice(["HSET", "HMSET"]), key(), *[x for f in some(field, 4) for x in (f, value())])
    elif kind == 4:
        twins.same("HSETNX", key(), field(), value())
    elif kind < 7:
        twins.same("HDEL", key(), *some(field, 4))
    elif kind < 9:
        twins.same("HINCRBY", key(), field(), rng.choice([1, -1, 7, -100, 0, 12345]))
    elif kind < 11:
        twins.same("HINCRBYFLOAT", key(), field(), rng.choice(["1", "0.25", "-1.5", "0", "10.75", "3e2"]))
    elif kind < 13:
        twins.same(rng.choice(["HGET", "HEXISTS", "HSTRLEN"]), key(), field())
    elif kind == 13:
        twins.same("HMGET", key(), *some(field, 4))
    elif kind == 14:
        where = rng.choice(["h1", "h2", "h3"])
        draw(twins, "HRANDFIELD", where, twins.redis.ask("HKEYS", where).flat(), rng.choice([None, -7, 0, 2, 9, 30]))
    elif kind == 15:
        where = rng.choice(["h1", "h2", "h3"])
        check(scan_all(twins.kith, "HSCAN", where) == scan_all(twins.redis, "HSCAN", where), "HSCAN", where)
    elif kind == 16 and rng.random() < 0.1:
        twins.same("DEL", rng.choice(["h1", "h2", "h3"]))
    else:
        twins.same(rng.choice(["HGETALL", "HKEYS", "HVALS", "HLEN", "TYPE"]), key())


def random_span(rng, by):
    if by == "BYSCORE":
        ends = ["%s%s" % (rng.choice(["", "", "("]), rng.choice(["-inf", "+inf", "-3", "0", "1", "1.5", "2", "5", "8"]))
                for _ in range(2)]
    elif by == "BYLEX":
        ends = [rng.choice(["-", "+", "[", "("]) for _ in range(2)]
        ends = [e if e in "-+" else e + rng.choice(["", "m", "m1", "m12", "m3", "m5x", "n"]) for e in ends]
    else:
        ends = [str(rng.randint(-9, 9)) for _ in range(2)]
    return ends


def random_range(rng, twins, key, target):
    """A range by rank or score of any sorted set, or by bytes of the one whose scores are equal."""
    by = "BYLEX" if key == "equal" else rng.choice(["", "BYSCORE"])
    limit = ["LIMIT", rng.randint(-1, 5), rng.randint(-1, 5)] if by and rng.random() < 0.4 else []
    scores = ["WITHSCORES"] if by != "BYLEX" and rng.random() < 0.4 else []
    first, second = random_span(rng, by)
    kind = rng.randrange(10)
    if kind < 4:
        twins.same("ZRANGE", key, first, second, *[by] * bool(by), *rng.choice([[], ["REV"]]), *limit, *scores)
    elif kind < 7:
        name = rng.choice(["", "REV"]) + "RANGE" + {"": "", "BYSCORE": "BYSCORE", "BYLEX": "BYLEX"}[by]
        twins.same("Z" + name, key, first, second, *limit, *scores)
    elif kind == 7 and by:
        twins.same("ZCOUNT" if by == "BYSCORE" else "ZLEXCOUNT", key, first, second)
    elif kind == 8:
        twins.same("ZRANGESTORE", target, key, first, second, *[by] * bool(by), *rng.choice([[], ["REV"]]), *limit)
    elif rng.random() < 0.3:
        twins.same("ZREMRANGE" + (by or "BYRANK"), key, first, second)


def random_algebra(rng, twins, keys):
    chosen = [rng.choice(keys + ["set"]) for _ in range(rng.randint(1, 3))]
    name = rng.choice(["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"])
    options = []
    if name in ("ZUNION", "ZINTER"):
        if rng.random() < 0.5:
            options += ["WEIGHTS"] + [rng.choice(["1", "2", "-0.5", "0", "inf"]) for _ in chosen]
        if rng.random() < 0.5:
            options += ["AGGREGATE", rng.choice(["SUM", "MIN", "MAX"])]
    if name == "ZINTERCARD":
        twins.same(name, len(chosen), *chosen, *rng.choice([[], ["LIMIT", rng.randrange(4)]]))
    elif rng.random() < 0.3:
        twins.same(name + "STORE", rng.choice(keys), len(chosen), *chosen, *options)
    else:
        twins.same(name, len(chosen), *chosen, *options, *rng.choice([[], ["WITHSCORES"]]))


def random_sorted(rng, twins):
    keys = ["z1", "z2", "z3"]
    key = rng.choice(["str", "set"]) if rng.random() < 0.02 else rng.choice(keys)
    member = lambda: "m%d" % rng.randrange(16)
    score = lambda: rng.choice(["0", "1", "1.5", "2", "-3", "5", "8", "2.25", "inf", "-inf"] if rng.random() < 0.1
                               else ["0", "1", "1.5", "2", "-3", "5", "8"])
    kind = rng.randrange(22)
    if kind < 4:
        options = rng.sample(["NX", "XX", "GT", "LT", "CH"], rng.choice([0, 0, 0, 1, 1, 2]))
        twins.same("ZADD", key, *options, *[x for _ in range(rng.randint(1, 4)) for x in (score(), member())])
    elif kind == 4:
        twins.same("ZADD", key, *rng.sample(["NX", "XX", "GT", "LT", "CH"], rng.choice([0, 1])), "INCR", score(), member())
    elif kind < 7:
        twins.same("ZINCRBY", key, score(), member())
    elif kind == 7:
        twins.same("ZREM", key, member(), member(), member())
    elif kind == 8:
        twins.same("ZADD", "equal", "0", member(), "0", member(), "0", member())
    elif kind == 9:
        twins.same(rng.choice(["ZSCORE", "ZRANK", "ZREVRANK"]), key, member())
    elif kind == 10:
        twins.same("ZMSCORE", key, member(), member())
    elif kind == 11:
        twins.same(rng.choice(["ZPOPMIN", "ZPOPMAX"]), rng.choice(keys + ["equal"]), *rng.choice([[], ["2"], ["1"]]))
    elif kind == 12:
        draw(twins, "ZRANDMEMBER", key, twins.redis.ask("ZRANGE", key, "0", "-1").flat(),
             rng.choice([None, -7, 0, 2, 9, 30])) if key in keys else None
    elif kind == 13:
        check(scan_all(twins.kith, "ZSCAN", "z1") == scan_all(twins.redis, "ZSCAN", "z1"), "ZSCAN z1")
    elif kind == 14:
        twins.same("ZCARD", key)
    elif kind < 17:
        random_algebra(rng, twins, keys)
    elif kind == 17:
        twins.same("ZRANGE", key, "0", "-1", "WITHSCORES")
    elif kind == 18 and rng.random() < 0.2:
        twins.same("ZADD", key, score(), "x", "not-a-number", "y")
    else:
        random_range(rng, twins, rng.choice([key, "equal"]), rng.choice(keys))


def at_random(twins, step, seed):
    rng = random.Random(seed)
    for version in (2, 3):
        twins.speak(version)
        twins.same("SET", "str", "text")
        twins.same("SADD", "set", "m1", "m2", "m30")
        for _ in range(ROUNDS // 2 // (10 if lib.SANITIZED else 1)):
            step(rng, twins)


@lib.case
@with_twins
def sets_at_random(twins):
    """20,000 random commands on sets, each reply the same"""
    at_random(twins, random_set, 1)


@lib.case
@with_twins
def hashes_at_random(twins):
    """20,000 random commands on hashes, each reply the same"""
    at_random(twins, random_hash, 2)


@lib.case
@with_twins
def sorted_sets_at_random(twins):
    """20,000 random commands on sorted sets, each reply the same"""
    at_random(twins, random_sorted, 3)


@lib.case
@with_twins
def large_ones(twins):
    """a set, a hash and a sorted set of 20,000 elements: scans, choices, ranges and algebra"""
    names = ["member:%d" % i for i in range(20000)]
    for start in range(0, len(names), 1000):
        part = names[start:start + 1000]
        twins.same("SADD", "s1", *part)
        twins.same("HSET", "h1", *[x for n in part for x in (n, n.upper())])
        twins.same("ZADD", "z1", *[x for i, n in enumerate(part) for x in (i % 100, n)])
    twins.same("SADD", "s2", *names[::3])
    for door in (twins.kith, twins.redis):
        for name, key in (("SSCAN", "s1"), ("HSCAN", "h1"), ("ZSCAN", "z1")):
            cursor, seen = b"0", set()
            while True:
                reply = door.ask(name, key, cursor, "COUNT", "500")
                cursor, items = reply[1][0][1], reply[1][1].flat()
                seen.update(items if name == "SSCAN" else items[0::2])
                if cursor == b"0":
                    break
            check(len(seen) == len(names), name, key, len(seen))
    for name in ("SINTER", "SDIFF", "SUNION"):
        twins.same(name, "s1", "s2")
    twins.same("HGETALL", "h1")
    twins.same("ZRANGE", "z1", "5000", "5100", "WITHSCORES")
    twins.same("ZRANGE", "z1", "30", "(40", "BYSCORE", "LIMIT", "100", "50")
    twins.same("ZUNIONSTORE", "z2", "2", "z1", "s2", "WEIGHTS", "1", "0.5")
    twins.same("ZRANGE", "z2", "0", "-1", "WITHSCORES")
    members = [n.encode() for n in names]
    for name, key in (("SRANDMEMBER", "s1"), ("HRANDFIELD", "h1"), ("ZRANDMEMBER", "z1")):
        for count in (None, 1000, 15000, -50, 30000):
            draw(twins, name, key, members, count)
    drawn = {twins.kith.ask("SRANDMEMBER", "s2")[1] for _ in range(600)}
    check(len(drawn) > 550, "600 choices of 6,667 gave only", len(drawn), "different ones")
    twins.same("ZREMRANGEBYSCORE", "z1", "10", "79")
    twins.same("ZCARD", "z1")
    both_pop(twins, "s1", 19000)
    twins.same("SMEMBERS", "s1")
    twins.same("SDIFFSTORE", "s1", "s1", "s1")
    twins.same("EXISTS", "s1")


lib.main(__doc__, needs=("kith",))
