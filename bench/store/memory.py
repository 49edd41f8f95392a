"""Bytes of memory that a key takes, in kith and in redis-server, neither of which keeps a file."""
import lib
from servers import Farm, load, settle, status
from table import number, show


def redis_used(server):
    for line in server.call("INFO", "memory").splitlines():
        if line.startswith(b"used_memory:"):
            return int(line.split(b":")[1])
    raise lib.Failure("redis-server does not say used_memory")


def one(start, used, keys, value_len):
    with Farm("memory") as farm:
        server = start(farm)
        before = used(server), server.resident()
        load(server, keys, value_len)
        settle()
        return (used(server) - before[0]) / keys, (server.resident() - before[1]) / keys


def kith_pair(farm):
    """One of two: only who has a peer keeps a sketch and items."""
    other = farm.kith()
    server = farm.kith("-join", other.agent.join_addr)
    server.call("SET", "bench:first", "1")
    lib.wait(lambda: status(server)["peers_in_sync"] == 1, 30, "two agents hold the same", 0.1)
    return server


def run(options):
    keys = 100000 if options.quick else 1000000
    rows = []
    kinds = (("kith, alone", lambda farm: farm.kith(), lambda s: status(s)["bytes"]),
             ("kith, one of two", kith_pair, lambda s: status(s)["bytes"]),
             ("redis-server", lambda farm: farm.redis(), redis_used))
    for value_len in (16, 100):
        taken = {name: one(start, used, keys, value_len) for name, start, used in kinds}
        for name, (used, resident) in taken.items():
            rows.append((value_len, name, used, resident, resident / taken["redis-server"][1]))
    show("Memory, %s keys of 16 bytes" % number(keys),
         ("bytes of a value", "", "bytes a key, as it counts itself", "bytes a key, resident", "of redis-server's"), rows)
