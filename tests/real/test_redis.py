#!/usr/bin/env python3
"""The agent's Redis door: pipelines, transactions, notifications, passwords, hostile bytes, slow readers, limits, tools.

What single commands answer is in test_redis_same.py.
"""
import json
import socket
import subprocess
import time

import lib
from resp import PORT, REAL_PORT, Link, parse, real

check = lib.check


@lib.case
def pipeline(pool):
    """ten thousand requests at once, cut anywhere: every answer, in order"""
    agent = pool.start("kith")
    link = Link(PORT)
    data = b"".join(Link.encode("SET", "k%d" % i, "v%d" % i) + Link.encode("GET", "k%d" % i) for i in range(10000))
    link.sock.sendall(data)
    for i in range(10000):
        check(link.reply() == b"+OK\r\n", "SET", i)
        value = b"v%d" % i
        check(link.reply() == b"$%d\r\n%s\r\n" % (len(value), value), "GET", i)
    check(link.call("DBSIZE") == b":10000\r\n", "not all keys")
    data = b"".join(Link.encode("INCR", "n") for _ in range(200)) + b"INCR n\r\n  \r\nincr \"n\"\r\n"
    at = 0
    for size in [1, 2, 3, 5, 7, 11, 13] * 1000:
        if at >= len(data):
            break
        link.sock.sendall(data[at:at + size])
        at += size
    check([link.reply() for _ in range(202)] == [b":%d\r\n" % i for i in range(1, 203)], "pieces were not put together")
    seen, cursor = set(), b"0"
    while True:
        cursor, keys = parse(link.call("SCAN", cursor, "COUNT", "100"))
        seen |= set(keys)
        if cursor == b"0":
            break
    check(len(seen) == 10001, "SCAN showed", len(seen))
    check(parse(link.call("RANDOMKEY")) in seen, "RANDOMKEY")
    check(agent.running(), "the agent ended")


@lib.case
def transactions(pool):
    """WATCH sees other clients' writes, deletes and expiry; EXEC is one group; a queue that is refused is refused whole"""
    agent = pool.start("kith")
    mine, other = Link(PORT), Link(PORT)

    def attempt(change):
        mine.call("SET", "w", "1")
        check(mine.call("WATCH", "w", "w2") == b"+OK\r\n", "WATCH")
        change()
        check(mine.call("MULTI") == b"+OK\r\n", "MULTI")
        check(mine.call("SET", "w", "mine") == b"+QUEUED\r\n", "QUEUED")
        return mine.call("EXEC")
    done, refused = b"*1\r\n+OK\r\n", b"*-1\r\n"
    check(attempt(lambda: None) == done, "nobody wrote")
    check(attempt(lambda: other.call("SET", "elsewhere", "1")) == done, "another key")
    check(attempt(lambda: other.call("GET", "w")) == done, "somebody read")
    check(attempt(lambda: other.call("SET", "w", "2")) == refused, "somebody wrote")
    check(attempt(lambda: other.call("SET", "w2", "2")) == refused, "somebody wrote the second key")
    check(attempt(lambda: other.call("DEL", "w")) == refused, "somebody deleted")
    check(attempt(lambda: other.call("EXPIRE", "w", "100")) == refused, "somebody gave it an end")
    check(attempt(lambda: mine.call("INCR", "w")) == refused, "we wrote before MULTI")

    def runs_out():
        other.call("PEXPIRE", "w", "30")
        mine.call("UNWATCH")
        mine.call("WATCH", "w")
        time.sleep(0.1)
    check(attempt(runs_out) == refused, "its time came")
    check(other.call("EXISTS", "w") == b":0\r\n", "the expired key is there")
    link = Link(PORT, 3)
    for command in ("MULTI", "INCR a", "LPUSH x y"):
        link.send(*command.split())
    check([link.reply()[:7] for _ in range(3)] == [b"+OK\r\n", b"+QUEUED", b"-ERR un"], "an unknown command in MULTI")
    check(link.call("EXEC").startswith(b"-EXECABORT"), "EXEC after a refusal")
    check(link.call("EXISTS", "a") == b":0\r\n", "a part of the transaction was done")
    link.call("WATCH", "a")
    other.call("SET", "a", "1")
    link.call("MULTI")
    check(link.call("EXEC") == b"_\r\n", "RESP3's null")
    check(agent.running(), "the agent ended")


@lib.case
def notifications(pool):
    """keyspace notifications, by channel and by pattern, in RESP2 and as RESP3 pushes"""
    agent = pool.start("kith")
    link, two, three = Link(PORT), Link(PORT), Link(PORT, 3)
    link.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
    two.call("SUBSCRIBE", "__keyspace@0__:k")
    three.call("PSUBSCRIBE", "__key*__:*")

    def messages(client, count):
        return [parse(client.reply()) for _ in range(count)]

    def events(*command):
        link.call(*command)
        got = messages(three, 2)
        check([m[0] for m in got] == [b"pmessage"] * 2, got)
        check(got[0][2] == b"__keyspace@0__:k" and got[1][3] == b"k", got)
        check(got[1][2] == b"__keyevent@0__:" + got[0][3], got)
        own = parse(two.reply())
        check(own == [b"message", b"__keyspace@0__:k", got[0][3]], own)
        return got[0][3]
    check(events("SET", "k", "1") == b"set", "set")
    check(events("INCR", "k") == b"incrby", "incrby")
    check(events("EXPIRE", "k", "100") == b"expire", "expire")
    check(events("DEL", "k") == b"del", "del")
    check(events("SADD", "k", "m") == b"sadd", "sadd")
    check(events("SADD", "k", "n") == b"sadd", "sadd")
    check(events("SREM", "k", "m") == b"srem", "srem")
    check(events("DEL", "k") == b"del", "del")
    check(events("HSET", "k", "f", "v") == b"hset", "hset")
    check(events("DEL", "k") == b"del", "del")
    check(events("ZADD", "k", "1", "m") == b"zadd", "zadd")
    check(events("DEL", "k") == b"del", "del")
    three.data = b""
    check(three.call("PING") == b"+PONG\r\n", "a RESP3 subscriber may do anything")
    raw = three
    link.call("SET", "k", "1", "PX", "50")
    first = raw.reply()
    check(first.startswith(b">4\r\n$8\r\npmessage"), "RESP3 wants a push", first)
    seen = {b"".join(parse(first)[2:3])}
    deadline = time.monotonic() + 20
    while b"__keyevent@0__:expired" not in seen and time.monotonic() < deadline:
        seen.add(parse(raw.reply())[2])
    check(b"__keyevent@0__:expired" in seen, "no word of the expiry, without anybody reading the key")
    link.call("CONFIG", "SET", "notify-keyspace-events", "")
    check(agent.running(), "the agent ended")


@lib.case
def password(pool):
    """-resp-auth: nothing without it, small requests only, and it is in no log"""
    server = real(pool, REAL_PORT, "--requirepass", "open-sesame")
    agent = pool.start("kith", "-resp-auth", "open-sesame", "-log-level", "trace")
    talk = ["PING", "SET a 1", "HELLO 3", "HELLO 2 AUTH default wrong", "AUTH wrong", "AUTH nobody open-sesame",
            "NOSUCH", "GET", "AUTH open-sesame", "PING", "RESET", "PING", "AUTH default open-sesame", "PING",
            "HELLO 2 SETNAME x", "CLIENT GETNAME"]
    heard = []
    for port in (REAL_PORT, PORT):
        link = Link(port)
        heard.append([])
        for line in talk:
            answer = link.call(*line.split())
            heard[-1].append((line, answer if not line.startswith("HELLO 2 SETNAME") else answer[:3]))
    check(heard[0] == heard[1], "answers differ:\n", "\n".join("%s\n%s" % pair for pair in zip(*heard) if pair[0] != pair[1]))
    for data in (b"*11\r\n", b"*1\r\n$16385\r\n", b"*1000000\r\n"):
        check(Link(PORT).raw(data) == Link(REAL_PORT).raw(data), "unauthenticated", data)
    check(parse(Link(PORT).call("HELLO", "3", "AUTH", "default", "open-sesame"))[1] == b"redis", "HELLO 3 AUTH")
    check("open-sesame" not in agent.log_text().split("\n", 1)[1], "the password is in the log")
    server.kill()


HOSTILE = [
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\nx",
    b"*abc\r\n",
    b"*2147483648\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n!3\r\nabc\r\n",
    b"*1\r\n$4\r\nPING\r\n*1\r\nPING\r\n",
    b"*0\r\n*-1\r\nPING\r\n",
    b"\r\n\r\nPING\r\n",
    b"SET \"a\r\n",
    b"SET 'a'b\r\n",
    b"SET \"a\\x41\" 'b'\r\nGET aA\r\n",
    b"a" * 70000,
    b"*" + b"1" * 70000,
    b"*1\r\n$" + b"1" * 70000,
    b"GET / HTTP/1.1\r\n",
]


@lib.case
def hostile(pool):
    """bytes that are not the protocol: Redis's error, then the end; nothing announced costs anything; POST is cut off"""
    server = real(pool)
    agent = pool.start("kith")
    for data in HOSTILE:
        theirs, ours = Link(REAL_PORT).raw(data), Link(PORT).raw(data)
        check(theirs == ours, "%r:\n  redis %r\n  kith  %r" % (data[:80], theirs, ours))
    before = agent.resident()
    links = []
    for _ in range(50):
        link = Link(PORT)
        link.sock.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + b"x" * 1000)
        links.append(link)
    check(Link(PORT).call("PING") == b"+PONG\r\n", "PING")
    grown = agent.resident() - before
    check(grown < 40 << 20 or lib.SANITIZED, "50 headers of 512 MiB cost %d bytes" % grown)
    for text in (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET pwned 1\r\n", b"GET x\r\nHost: localhost\r\n\r\nSET pwned 1\r\n"):
        answer, closed = Link(PORT).raw(text)
        check(closed and answer in (b"", b"$-1\r\n"), "POST was answered", answer)
    check(Link(PORT).call("EXISTS", "pwned") == b":0\r\n", "a browser wrote a key")
    lib.wait(lambda: "SECURITY ATTACK" in agent.log_text(), 5, "the log speaks of the attack")
    server.kill()
    check(agent.running(), "the agent ended")


@lib.case
def slow(pool):
    """a client that reads slowly waits alone, and costs little; then it gets everything"""
    agent = pool.start("kith")
    link, greedy = Link(PORT), Link(PORT)
    link.call("SET", "big", b"x" * 1000000)
    before = agent.resident()
    count = 400
    greedy.sock.sendall(Link.encode("GET", "big") * count)
    for _ in range(20):
        check(link.call("PING") == b"+PONG\r\n", "others wait too")
    time.sleep(0.3)
    grown = agent.resident() - before
    check(grown < 64 << 20 or lib.SANITIZED, "400 MB of answers cost %d bytes" % grown)
    for i in range(count):
        check(len(greedy.reply()) == 1000012, "answer", i)
    check(greedy.call("PING") == b"+PONG\r\n", "the end")
    half = Link(PORT)
    half.sock.sendall(Link.encode("GET", "big") * 20)
    half.sock.shutdown(socket.SHUT_WR)
    check(sum(len(half.reply()) for _ in range(20)) == 20 * 1000012, "the last answers of a half-closed connection")
    check(agent.running(), "the agent ended")


@lib.case
def limits(pool):
    """more clients than allowed, commands of a store that is full of nothing, and an end that flushes"""
    config = pool.path("limits.json", json.dumps({"resp_clients_max": 20}))
    agent = pool.start("kith", "-config-file", config)
    links = [Link(PORT) for _ in range(20)]
    check(all(link.call("PING") == b"+PONG\r\n" for link in links), "20 are allowed")
    check(Link(PORT).raw(b"") == (b"-ERR max number of clients reached\r\n", True), "the 21st")
    links.pop().close()
    lib.wait(lambda: Link(PORT).raw(b"PING\r\n")[0] == b"+PONG\r\n", 5, "room again", 0.1)
    link = links[0]
    listed = parse(link.call("CLIENT", "LIST")).decode()
    check(len(listed.strip().splitlines()) >= 19, listed)
    ident = parse(links[1].call("CLIENT", "ID"))
    check(parse(link.call("CLIENT", "KILL", "ID", str(ident))) == 1, "KILL")
    check(links[1].raw(b"PING\r\n") == (b"", True), "a killed client was answered")
    info = parse(link.call("INFO")).decode()
    for field in ("redis_version:7.0.15", "kith_version:", "connected_clients:", "loading:0", "role:master",
                  "total_commands_processed:"):
        check(field in info, field, "is not in INFO")
    link.sock.sendall(Link.encode("PING") * 1000)
    agent.signal(15)
    check(agent.exit_code(20) == 0, "exit code")


@lib.case
def siblings(pool):
    """KITH.MVSET, KITH.MVGET with contexts, KITH.HOLDERS, KITH.STATUS"""
    agent = pool.start("kith")
    link = Link(PORT, 3)
    check(parse(link.call("KITH.MVGET", "m")) == [b"", []], "nothing yet")
    check(link.call("KITH.MVSET", "m", "one") == b"+OK\r\n", "one")
    token, values = parse(link.call("KITH.MVGET", "m"))
    check(values == [b"one"] and len(token) == 32, token, values)
    check(link.call("KITH.MVSET", "m", "two", "CONTEXT", "") == b"+OK\r\n", "two, having seen nothing")
    both, values = parse(link.call("KITH.MVGET", "m"))
    check(sorted(values) == [b"one", b"two"] and len(both) == 64, both, values)
    check(link.call("KITH.MVSET", "m", "three", "CONTEXT", token) == b"+OK\r\n", "three, having seen one")
    check(sorted(parse(link.call("KITH.MVGET", "m"))[1]) == [b"three", b"two"], "three replaces one alone")
    check(link.call("KITH.MVSET", "m", "last") == b"+OK\r\n", "replaces all")
    check(parse(link.call("KITH.MVGET", "m"))[1] == [b"last"], "last")
    for bad in ("x", "f" * 31, "g" * 32, "f" * 32):
        check(link.call("KITH.MVSET", "m", "v", "CONTEXT", bad) == b"-ERR invalid context token\r\n", bad)
    check(link.call("GET", "m").startswith(b"-WRONGTYPE"), "GET of siblings")
    check(link.call("TYPE", "m") == b"+kith.mv\r\n", "TYPE")
    holders = parse(link.call("KITH.HOLDERS", "m"))
    check(len(holders) == 1 and dict(zip(holders[0][::2], holders[0][1::2]))[b"member"] == agent.name.encode(), holders)
    status = json.loads(parse(link.call("KITH.STATUS")))
    check(status["keys"] == 1 and status["peers"] == [], status)
    check(list(status) == sorted(status), "keys are sorted")


@lib.case
def others(pool):
    """two agents: what one writes the other tells, a remote write breaks WATCH, WAIT waits, KITH.HOLDERS knows"""
    one = pool.start("kith", "-resp-addr", "127.0.0.1:7379")
    two = pool.start("kith", "-resp-addr", "127.0.0.2:7379")
    a, b, listener = Link(PORT), Link(PORT, ip="127.0.0.2"), Link(PORT, ip="127.0.0.2")
    check(a.call("WAIT", "1", "100") == b":0\r\n", "WAIT while alone")
    two.join(one)
    pool.full([one, two])
    b.call("CONFIG", "SET", "notify-keyspace-events", "KEA")
    listener.call("SUBSCRIBE", "__keyspace@0__:far")
    check(a.call("SET", "far", "1") == b"+OK\r\n", "SET")
    check(parse(listener.reply()) == [b"message", b"__keyspace@0__:far", b"set"], "a remote write was not told")
    check(b.call("GET", "far") == b"$1\r\n1\r\n", "GET elsewhere")
    b.call("WATCH", "far")
    b.call("MULTI")
    a.call("INCR", "far")
    listener.reply()
    check(b.call("EXEC") == b"*-1\r\n", "a remote write did not break WATCH")
    other = Link(PORT)
    a.send("WAIT", "2", "1500")
    check(other.call("PING") == b"+PONG\r\n", "WAIT blocks others")
    start = time.monotonic()
    check(a.reply() == b":1\r\n" and time.monotonic() - start > 0.5, "WAIT for two when there is one other")
    check(a.call("WAIT", "1", "0") == b":1\r\n", "WAIT for one")
    holders = [dict(zip(h[::2], h[1::2])) for h in parse(a.call("KITH.HOLDERS", "far"))]
    check({h[b"member"] for h in holders} == {one.name.encode(), two.name.encode()}, holders)
    a.send("WAIT", "5", "0")
    a.close()  # while it blocks
    lib.wait(lambda: b"blocked_clients:0" in other.call("INFO", "clients"), 5, "a blocked client that is gone is forgotten")
    a.sock = None
    check(one.running() and two.running(), "an agent ended")


@lib.case
def tools(pool):
    """redis-cli and redis-benchmark work"""
    agent = pool.start("kith")

    def cli(*args):
        done = lib.run("redis-cli", "-p", str(PORT), *args)
        check(done.code == 0 and not done.err, done)
        return done.out
    check(cli("PING") == "PONG\n" and cli("SET", "a", "1") == "OK\n" and cli("GET", "a") == "1\n", "PING, SET, GET")
    check(cli("--scan") == "a\n" and cli("-3", "GET", "a") == "1\n", "--scan, -3")
    done = subprocess.run(["redis-cli", "-p", str(PORT)], input="PING\nCOMMAND DOCS\nGET a\n", text=True, timeout=20,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    check(done.stdout == "PONG\n\n1\n", "redis-cli on a pipe", repr(done.stdout))
    done = lib.run("redis-benchmark", "-p", str(PORT), "-t", "set,get,incr,mset", "-n", "20000", "-P", "16", "-q", timeout=120)
    check(done.code == 0 and done.out.count("requests per second") == 4, done)
    check("WARN" not in done.out + done.err and "ERR" not in done.out + done.err, done)
    check(agent.running(), "the agent ended")


@lib.case
def addresses(pool):
    """a default address that is taken costs the door and a warning; one that was asked for is an error; none is none"""
    first = pool.start("kith")
    second = pool.start("kith")
    check("no Redis door" in second.log_text(), "no warning")
    third = pool.start("kith", "-resp-addr", "127.0.0.1:7380")
    check(Link(7380).call("PING") == b"+PONG\r\n", "its own address")
    fourth = pool.start("kith", "-resp-addr", "none")
    check("no Redis door" not in fourth.log_text(), "a warning for nothing")
    fifth = pool.agent("kith", flags=("-resp-addr", "127.0.0.1:7380")).spawn()
    check(fifth.exit_code(10) == 1, "exit code")
    check("the Redis door cannot listen on 127.0.0.1:7380" in fifth.log_text(), fifth.log_text())
    check(first.running() and second.running() and third.running(), "an agent ended")


if __name__ == "__main__":
    lib.main(__doc__, needs=("kith",))
