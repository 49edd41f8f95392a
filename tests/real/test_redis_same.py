#!/usr/bin/env python3
"""The agent's Redis door answers what redis-server 7.0.15 answers, byte for byte, in RESP2 and RESP3.

Commands run on a kith agent and on a redis-server alike, over raw sockets, and the bytes that come back are compared.
Where kith's table of commands is another on purpose, ROWS_DIFFER says why.
"""
import lib
from resp import PORT, REAL_PORT, Link, parse, real

check = lib.check


def words(text):
    """Splits a command; \\xHH and \\s (a blank) in words, "" an empty one."""
    out = []
    for word in text.split():
        word = "" if word == '""' else word
        out.append(word.replace("\\s", " ").encode().decode("unicode_escape").encode("latin-1"))
    return out


SAME = """
PING
PING hello
PING a b
ping
ECHO x
ECHO
ECHO a b
SELECT 0
SELECT 1
SELECT -1
SELECT x
GET
GET none
SET a 1
GET a
SET a
SET a b c
SET a 1 NX
SET b 1 XX
SET b 1 NX
SET b 2 XX
SET b 3 GET
SET none2 3 XX GET
SET c 5 NX GET
SET c 6 NX GET
SET c 7 NX XX
SET c 7 XX NX
SET c 7 EX
SET c 7 EX 0
SET c 7 EX -1
SET c 7 EX x
SET c 7 EX 9223372036854775807
SET c 7 PX 9223372036854775807
SET c 7 EX 10 PX 10
SET c 7 EX 10 KEEPTTL
SET c 7 KEEPTTL EX 10
SET c 7 PERSIST
SET c 7 EX 100
TTL c
SET c 8 KEEPTTL
TTL c
SET c 8
TTL c
SET c 9 EXAT 33333333333
EXPIRETIME c
PEXPIRETIME c
SET c 9 PXAT 33333333333123
PEXPIRETIME c
EXPIRETIME c
set c 9 ex 100 nx
set c 9 px 100000 xx get
SETNX a 5
SETNX nx1 5
SETNX nx1 6
SETEX e 100 v
TTL e
SETEX e 0 v
SETEX e -5 v
SETEX e x v
SETEX e 9223372036854775 v
PSETEX e 100000 v
PSETEX e 0 v
PSETEX e abc v
GETSET gs 1
GETSET gs 2
GET gs
GETDEL gs
GETDEL gs
GETEX e
GETEX e PERSIST
TTL e
GETEX e EX 100
TTL e
GETEX e EX 0
GETEX e EX x
GETEX e EX 10 PERSIST
GETEX e NX
GETEX none EX x
GETEX none BAD
MGET a b none
MGET
MSET m1 1 m2 2
MSET m1 1 m2
MSET
MGET m1 m2
MSETNX m1 1 m3 3
EXISTS m3
MSETNX m3 3 m4 4
MSETNX m3
MGET m3 m4
STRLEN a
STRLEN none
STRLEN m1
APPEND ap hello
APPEND ap \\sworld
GET ap
STRLEN ap
GETRANGE ap 0 4
GETRANGE ap -5 -1
GETRANGE ap 0 -1
GETRANGE ap 5 2
GETRANGE ap -1 -5
GETRANGE ap 100 200
GETRANGE ap -100 2
GETRANGE ap x 2
GETRANGE ap 0 x
GETRANGE none 0 -1
SUBSTR ap 0 4
SETRANGE ap 6 WORLD
GET ap
SETRANGE ap -1 x
SETRANGE ap x x
SETRANGE ap 20 x
GET ap
SETRANGE none3 0 ""
SETRANGE none3 5 ""
EXISTS none3
SETRANGE sr 3 abc
GET sr
SETRANGE sr 536870912 x
INCR i
INCR i
DECR i
INCRBY i 10
DECRBY i 3
GET i
INCRBY i x
INCRBY i 1.5
INCRBY i 9223372036854775807
DECRBY i -9223372036854775808
DECRBY i 9223372036854775807
STRLEN i
APPEND i 5
GET i
INCR i
SET big 9223372036854775807
INCR big
DECR big
SET word abc
INCR word
DECR word
INCRBY word 5
INCRBYFLOAT word 1
SET sp \\s1
INCR sp
SET z 01
INCR z
SET f 10.5
INCR f
INCRBYFLOAT f 0.1
INCRBYFLOAT f -5
INCRBYFLOAT f x
INCRBYFLOAT f nan
INCRBYFLOAT f 1.0e2
INCRBYFLOAT f2 5.0e3
INCRBYFLOAT f2 3
INCRBYFLOAT f4 \\s1
INCRBYFLOAT f5 3.0
INCRBYFLOAT f6 -0.25
INCRBYFLOAT f6 0.25
GET f5
GET f
STRLEN f
SETBIT bits 7 1
SETBIT bits 7 0
SETBIT bits 7 1
SETBIT bits 100 1
GETBIT bits 7
GETBIT bits 8
GETBIT bits 1000
GETBIT bits -1
GETBIT bits x
SETBIT bits 1 2
SETBIT bits x 1
SETBIT bits 4294967296 1
GETBIT none 3
BITCOUNT bits
BITCOUNT bits 0 0
BITCOUNT bits 1 -1
BITCOUNT bits 0
BITCOUNT bits 0 7 BIT
BITCOUNT bits 0 -1 BIT
BITCOUNT bits 5 -1 BIT
BITCOUNT bits 0 -1 X
BITCOUNT bits 0 x
BITCOUNT none
EXISTS a b none a
EXISTS
TOUCH a b none
TYPE a
TYPE none
TYPE i
DEL none
DEL a b
UNLINK nx1 none
DEL
EXPIRE none 10
EXPIRE e 100
TTL e
EXPIRE e 200 NX
EXPIRE e 200 XX
TTL e
EXPIRE e 100 GT
EXPIRE e 300 GT
TTL e
EXPIRE e 400 LT
EXPIRE e 100 LT
TTL e
EXPIRE e 100 NX XX
EXPIRE e 100 NX GT
EXPIRE e 100 GT LT
EXPIRE e 100 BAD
EXPIRE e x
EXPIRE e x NX XX
EXPIRE e 9223372036854775807
EXPIRE e -9223372036854775808
PEXPIRE e 100000
PEXPIRE e 9223372036854775807
PEXPIRE e x
EXPIREAT e 33333333333
EXPIREAT e 9223372036854775807
EXPIRETIME e
PEXPIREAT e 33333333333000
PEXPIRETIME e
PERSIST e
PERSIST e
PERSIST none
TTL e
PTTL e
TTL none
PTTL none
EXPIRETIME none
EXPIRETIME e
PEXPIRETIME none
EXPIRE e 500 GT
EXPIRE e 500 XX
EXPIRE e 500 LT
EXPIRE e -1
EXISTS e
SET e2 1
EXPIREAT e2 1
GET e2
SET e3 1
PEXPIRE e3 0
EXISTS e3
SADD s x
GET s
SET s 1 GET
SET s 1 NX
SETNX s 1
INCR s
INCRBYFLOAT s 1
INCRBYFLOAT s x
APPEND s x
GETRANGE s 0 1
SETRANGE s 0 x
SETRANGE s 0 ""
STRLEN s
GETSET s 1
GETDEL s
GETEX s
MGET s c
SETBIT s 0 1
GETBIT s 0
BITCOUNT s
TYPE s
SETRANGE s x x
HSET h f v
TYPE h
ZADD zs 1 m
TYPE zs
SET s str
TYPE s
GET s
DEL h zs s
OBJECT
OBJECT FREQ none
OBJECT FREQ c
OBJECT REFCOUNT none
OBJECT IDLETIME none
OBJECT NOSUCH c
OBJECT FREQ
OBJECT FREQ a b
SCAN x
SCAN 0 COUNT 0
SCAN 0 COUNT x
SCAN 0 COUNT
SCAN 0 MATCH
SCAN 0 BAD x
SCAN 0 MATCH nothing* COUNT 100000
SCAN 0 MATCH m1 COUNT 100000
SCAN 0 TYPE zset COUNT 100000
SCAN 0 TYPE nosuch COUNT 100000
SCAN -1x
SCAN
KEYS nothing*
KEYS m1
KEYS
KEYS [m]1
KEYS [^a-z]1
FOO
FOO bar
FOO bar baz
FOO a\\x00b c\\r\\nd
FO\\r\\nO
CONFIG
CONFIG NOSUCH
CONFIG GET
CONFIG GET save
CONFIG GET appendonly
CONFIG GET maxmemory
CONFIG GET SAVE
CONFIG GET nosuch
CONFIG GET databases
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events KEA
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events Kg$xE
CONFIG GET notify-keyspace-*
CONFIG SET notify-keyspace-events KEAnm
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events bad
CONFIG SET notify-keyspace-events ""
CONFIG GET notify-keyspace-events
CONFIG SET nosuch 1
CONFIG SET notify-keyspace-events
CONFIG SET notify-keyspace-events K x
CONFIG RESETSTAT
CONFIG RESETSTAT x
COMMAND DOCS nosuch
COMMAND INFO nosuch
COMMAND NOSUCH
COMMAND COUNT x
CLIENT
CLIENT NOSUCH
CLIENT GETNAME
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME a\\sb
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT SETNAME
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID x
CLIENT KILL ID 999999
CLIENT NO-EVICT ON
CLIENT NO-EVICT MAYBE
CLIENT ID x
MEMORY USAGE none
MEMORY NOSUCH
MULTI
SET t 1
INCR t
GET t
EXEC
MULTI
MULTI
NOSUCH
EXEC
MULTI
GET
EXEC
EXEC
DISCARD
MULTI
INCR t
DISCARD
GET t
MULTI
INCR word
GET t
EXEC
MULTI
WATCH t
EXEC
WATCH t
UNWATCH
WATCH t
SET t 5
MULTI
GET t
EXEC
WATCH t
MULTI
GET t
EXEC
WATCH none
SET none 1
DEL none
MULTI
PING
EXEC
WATCH
MULTI
SELECT 1
PING
ECHO x
EXEC
MULTI
EXEC
AUTH x
AUTH default x
AUTH nosuch x
AUTH a b c
HELLO 4
HELLO x
HELLO 2 BAD
HELLO 2 AUTH default
HELLO 2 SETNAME a\\sb
HELLO 1
WAIT x 1
WAIT 1 x
WAIT 1 -1
WAIT 0 0
WAIT 1 10
WAIT
INFO nosuch
SUBSCRIBE ch1 ch2
PING
PING x
PSUBSCRIBE p*
UNSUBSCRIBE ch1
UNSUBSCRIBE
PUNSUBSCRIBE
UNSUBSCRIBE
UNSUBSCRIBE none
PUNSUBSCRIBE none
SUBSCRIBE
SUBSCRIBE ch
GET a
SET a 1
UNSUBSCRIBE ch
MULTI
SUBSCRIBE ch
EXEC
UNSUBSCRIBE ch
RESET
QUIT
"""


def replies_expected(line):
    """Pub/sub commands answer once for each name."""
    args = line.split()
    if args[0] in ("SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE"):
        return max(1, len(args) - 1)
    return 1


def converse(port, version):
    link = Link(port, version)
    seen, multi = [], False
    for line in SAME.strip().splitlines():
        args = words(line)
        count = 1 if multi else replies_expected(line)
        link.send(*args)
        # EXEC of a SUBSCRIBE: its own answer is inside the array
        seen.append((line, [link.reply() for _ in range(count)]))
        if line == "MULTI":
            multi = True
        elif line in ("EXEC", "DISCARD"):
            multi = False
    link.close()
    return seen


@lib.case
def same(pool):
    """a table of commands: the same bytes as redis-server's, RESP2 and RESP3"""
    server = real(pool)
    agent = pool.start("kith")
    for version in (2, 3):
        theirs, ours = converse(REAL_PORT, version), converse(PORT, version)
        wrong = ["%s (RESP%d)\n    redis %r\n    kith  %r" % (line, version, b"".join(a), b"".join(b))
                 for (line, a), (_, b) in zip(theirs, ours) if a != b]
        check(not wrong, "%d answers differ:\n  %s" % (len(wrong), "\n  ".join(wrong)))
        for port in (PORT, REAL_PORT):
            link = Link(port)
            keys = link.call("KEYS", "*").split(b"\r\n")[2::2]
            for key in keys:
                link.call("DEL", key)
            link.close()
    check(agent.running(), "the agent ended")
    server.kill()


# What the table of kith says otherwise than Redis's, on purpose.
ROWS_DIFFER = {
    b"memory": "a container: Redis tells its keys for the subcommands",
    b"object": "likewise",
}


@lib.case
def rows(pool):
    """every command has Redis's arity and Redis's places of keys, and writes are called writes"""
    server = real(pool)
    agent = pool.start("kith")
    ours, theirs = Link(PORT), Link(REAL_PORT)
    count = parse(ours.call("COMMAND", "COUNT"))
    mine = {row[0]: row for row in parse(ours.call("COMMAND"))}
    check(count == len(mine) > 130, "COMMAND COUNT", count, len(mine))
    check(parse(ours.call("COMMAND", "LIST")) == sorted(mine), "COMMAND LIST is not the sorted table")
    wrong = []
    for name, row in sorted(mine.items()):
        if name.startswith(b"kith.") or name in ROWS_DIFFER or name in (b"post", b"host:"):
            continue
        real_row = parse(theirs.call("COMMAND", "INFO", name))[0]
        flags = [set(r[2]) & {b"write", b"readonly", b"fast", b"denyoom", b"pubsub", b"no_auth"} for r in (row, real_row)]
        if row[1] != real_row[1] or row[3:6] != real_row[3:6] or flags[0] != flags[1]:
            wrong.append("%s: kith %s %s, redis %s %s" % (name, row[1:6], flags[0], real_row[1:6], flags[1]))
    check(not wrong, "\n  ".join(wrong))
    server.kill()
    check(agent.running(), "the agent ended")


if __name__ == "__main__":
    lib.main(__doc__, needs=("kith",))
