"""Pools of one kind, and what they cost: for the benches that put kith and Serf side by side."""
import glob
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "real"))
import lib  # noqa: E402


def cpu_ns(agent):
    """Time on a CPU of all threads, dead ones not included: neither program ends threads when idle."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % agent.proc.pid):
        with open(path) as file:
            total += int(file.read().split()[0])
    return total


def memory_kib(agent):
    def figure(key):
        return lib.proc_kib(agent.proc.pid, "smaps_rollup", key)
    return {"pss": figure("Pss"), "private": figure("Private_Clean") + figure("Private_Dirty"), "resident": figure("Rss")}


def datagrams_out():
    """UDP datagrams sent in this process' network namespace, over IPv4."""
    with open("/proc/thread-self/net/snmp") as file:
        names, values = [line.split() for line in file if line.startswith("Udp:")]
    return int(values[names.index("OutDatagrams")])


def form(pool, kind, count, flags):
    """Starts all agents at once, joining the first; returns them and the seconds until every view is full."""
    agents = [pool.agent(kind, flags=flags) for _ in range(count)]
    agents[0].start()  # so that the others find somebody; its own start is not the pool's
    began = time.monotonic()
    for agent in agents[1:]:
        agent.spawn("-join", agents[0].join_addr)
    for agent in agents:
        agent.ready(60)
    pool.full(agents, 180, every=0.01)
    return agents, time.monotonic() - began


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/loadavg") as file:
        load = file.read().split()[0]
    return {"cpu": model.group(1) if model else os.uname().machine, "cores": os.cpu_count(),
            "kernel": os.uname().release, "load": float(load),
            "kith": lib.run(lib.KITH, "version").out.split("\n")[0],
            "serf": lib.run(lib.SERF, "version").out.split("\n")[0]}
