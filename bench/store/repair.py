"""What repairs cost: the core alone by the programs bench_repair, bench_rounds and bench_sketch, and a join over sockets."""
import os
import socket
import subprocess
import threading
import time

import lib
from servers import CLIENT_CORE, SERVER_CORE, Farm, load, on_core, status
from table import number, show, verdict

PROGRAMS = os.environ.get("BENCH_DIR", os.path.join(lib.ROOT, "build", "bench"))


def program(name, *args):
    """The lines of a program's output, as words."""
    path = os.path.join(PROGRAMS, name)
    if not os.path.exists(path):
        raise lib.Failure("%s is not built: make bench, or ninja bench_store in a build with -DKITH_TESTS=ON and "
                          "BENCH_DIR set to it" % path)
    done = lib.run(path, *[str(a) for a in args], timeout=1800)
    lib.check(done.code == 0, done)
    return [line.split() for line in done.out.splitlines()]


def figures(name, *args):
    """{(figure, of what): value} of a program that prints such lines."""
    return {(words[0], int(words[1])): float(words[2]) for words in program(name, *args)}


def small(_):
    lines = program("bench_repair", "small")
    rows = [(words[0], float(words[1]), float(words[2])) for words in lines[2:-1]]
    summary = lines[-1]
    whole, datagrams, rest = float(summary[1]), float(summary[4]), float(summary[-1])
    cells = whole - rest
    rows.append(("all", "%s bytes in %s datagrams" % (number(whole), number(datagrams)), ""))
    rows.append(("the 5 records", cells, "nothing else of the kind"))
    rows.append(("all but these", rest, verdict(rest, "<=", 1500)))
    show("Repair: 10,000 keys of which 5 differ, 3 replica ids, over datagrams", ("bytes", "initiator", "responder"), rows)


def large(options):
    lines = program("bench_repair", "large", 5 if options.quick else 100)
    rows = []
    for words in lines[2:]:
        differ, way = int(words[0]), words[1]
        coded, times, rest, trips, cpu, longest = (float(words[i]) for i in (2, 3, 6, 7, 8, 9))
        goal = ""
        if differ >= 100:
            goal = verdict(times, "<=", 2.0 if way == "steps" else 2.8)
        rows.append((differ, "in steps" if way == "steps" else "at once", coded, times, goal, rest, trips, cpu, longest))
    show("Repair: 1,000,000 keys, over a stream, mean of %s" % lines[0][-1],
         ("items differ", "asked", "sketch bytes", "of the bound", "goal", "all but cells, bytes", "round trips",
          "CPU of both, ms", "longest call, ms"), rows)


def identical(options):
    keys = 100000 if options.quick else 1000000
    out = figures("bench_rounds", keys, 60)
    message, added, cpu = (out[(name, keys)] for name in ("message_bytes", "added_bytes", "cpu_us"))
    few = figures("bench_rounds", 1000, 60)
    show("Replicas that hold the same, %s keys" % number(keys), ("a round", "value", "goal"), [
        ("messages (kinds 9 and 3), bytes", message, verdict(message, "<=", 32)),
        ("with the heads of the compounds they ride in, bytes", added, verdict(added, "<=", 32)),
        ("datagrams with nothing else in them", out[("alone", keys)], "0"),
        ("CPU of both beyond a pair without keys, µs", cpu, ""),
        ("the same with 1,000 keys, µs", few[("cpu_us", 1000)], "as much")])


def sketch(options):
    items, trials = (1000000, 20) if options.quick else (10000000, 100)
    out = figures("bench_sketch", items, trials)
    rows = [("%s an item, %s coded cells, ns" % (words, number(cells)), out[(name, cells)], "")
            for cells in (1024, 4096) for name, words in (("add_ns", "take in"), ("remove_ns", "take out"))]
    rows[2:] = [(text, value, verdict(value, "<=", 500)) for text, value, _ in rows[2:]]
    rows.append(("decode 1,000 items, mean of %d, ms" % trials, out[("decode_ms", 1000)],
                 verdict(out[("decode_ms", 1000)], "<=", 1)))
    rows.append(("the longest of them, ms", out[("decode_worst_ms", 1000)], ""))
    rows.append(("coded cells it took", out[("decode_cells", 1000)], ""))
    show("The kept sketch", ("what", "value", "goal"), rows)


# ---- over sockets ----

def loopback_bytes():
    with open("/proc/thread-self/net/dev") as file:
        for line in file:
            if line.strip().startswith("lo:"):
                return int(line.split(":")[1].split()[8])
    raise lib.Failure("no loopback in /proc/net/dev")


def raw_copy(size):
    """Seconds that a plain TCP connection over loopback takes for so many bytes, its ends on the same two cores."""
    listener = socket.create_server(("127.0.0.1", 0))
    chunk = bytes(1 << 16)
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setaffinity(0, {CLIENT_CORE})
            with socket.create_connection(listener.getsockname()) as out:
                sent = 0
                while sent < size:
                    part = min(len(chunk), size - sent)
                    out.sendall(chunk[:part])
                    sent += part
        finally:
            os._exit(0)
    with on_core(SERVER_CORE):
        peer = listener.accept()[0]
        began, got, buf = time.monotonic(), 0, bytearray(1 << 16)
        while got < size:
            more = peer.recv_into(buf)
            lib.check(more > 0, "the plain copy ended early")
            got += more
        took = time.monotonic() - began
    os.waitpid(pid, 0)
    peer.close()
    listener.close()
    return took


def empty(options):
    keys = 100000 if options.quick else 1000000
    rows = []
    for value_len in (16, 100):
        with Farm("empty") as farm:
            full = farm.kith(core=SERVER_CORE)
            load(full, keys, value_len)
            fresh = farm.kith(core=CLIENT_CORE)
            cpu, sent = full.cpu_ns() + fresh.cpu_ns(), loopback_bytes()
            link = fresh.link()
            began = time.monotonic()
            # Joining is answered when views are exchanged; the repair follows by itself.
            joining = threading.Thread(target=fresh.agent.join, args=(full.agent,))
            joining.start()
            first = None
            while True:
                have = int(link.call("DBSIZE")[1:])
                now = time.monotonic() - began
                first = now if first is None and have > 0 else first
                if have == keys:
                    break
                lib.check(now < 300, "after 300 s the replica has", have, "keys")
                time.sleep(0.005)
            joining.join()
            link.close()
            sent, cpu = loopback_bytes() - sent, (full.cpu_ns() + fresh.cpu_ns() - cpu) / 1e9
            lib.wait(lambda: status(fresh)["root"] == status(full)["root"], 30, "the roots are equal", 0.1)
            raw = raw_copy(sent)
            rows.append((value_len, now, first, sent / 1e6, sent / 1e6 / now, sent / 1e6 / (now - first) if now > first
                         else None, "%.1f %%" % (100 * raw / now), "%.1f %%" % (100 * raw / (now - first))
                         if now > first else "", cpu))
    show("An empty replica joins %s keys of 16 bytes, two agents on loopback" % number(keys),
         ("bytes of a value", "s", "of these to the first key", "MB on the wire", "MB/s", "MB/s from the first key",
          "of a plain TCP copy of as many bytes", "from the first key", "CPU of both, s"), rows)


def run(options):
    small(options)
    large(options)
    identical(options)
    empty(options)
