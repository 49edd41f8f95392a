"""redis-benchmark against kith and against redis-server, one command at a time, taking turns.

All servers of a side share one core and the client has another, so what is compared is work, not threads. The processor
time of a request is that of all servers of a side, until replicas hold it and a second after, which is when files are
written; it is steadier than requests a second."""
import os
import shutil
import statistics
import subprocess

import lib
from servers import CLIENT_CORE, SERVER_CORE, Farm, settle, status
from table import number, show, verdict

CLIENT = os.environ.get("REDIS_BENCHMARK") or shutil.which("redis-benchmark") or "/usr/bin/redis-benchmark"
COMMANDS = ("set", "get", "incr", "sadd", "hset", "zadd", "mset")
# pipeline: requests of one run, of a quick run; goal of kith / redis-server alone, with replicas
DEPTHS = {1: (100000, 10000, 0.95, 1.0), 16: (1000000, 100000, 1.0, 1.0)}


def requests_of(command, depth, options):
    count = DEPTHS[depth][1 if options.quick else 0]
    return count // 5 if command == "mset" else count


def together(servers):
    """Waits until the others hold what the first has written."""
    if len(servers) == 1:
        return
    link = servers[0].link()
    link.call("SET", "bench:last", "1")
    link.sock.settimeout(90)
    held = link.call("WAIT", len(servers) - 1, 60000)
    link.close()
    lib.check(held == b":%d\r\n" % (len(servers) - 1), "after a minute only these replicas hold all:", held)


def measure(servers, command, depth, options):
    """Requests a second, and microseconds of all servers for one."""
    requests = requests_of(command, depth, options)
    line = ["taskset", "-c", str(CLIENT_CORE), CLIENT, "-h", servers[0].ip, "-p", str(servers[0].port), "-c", "50", "-P",
            str(depth), "-n", str(requests), "-t", command, "-q", "--csv"]
    if options.random:
        line += ["-r", str(options.random)]
    before = sum(s.cpu_ns() for s in servers)
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    rows = [row.replace('"', "").split(",") for row in done.stdout.splitlines() if row.startswith('"')]
    lib.check(done.returncode == 0 and len(rows) == 2, "redis-benchmark:", done.stdout, done.stderr)
    together(servers)
    settle()
    cost = (sum(s.cpu_ns() for s in servers) - before) / requests / 1000
    return float(rows[1][1]), cost


def compare(sides, depth, options, goal):
    """The rows of the table, each when it is measured."""
    for command in options.commands:
        taken = {name: [] for name in sides}
        for turn in range(1 if options.quick else options.runs):
            order = list(sides.items())
            for name, servers in order if turn % 2 == 0 else order[::-1]:
                taken[name].append(measure(servers, command, depth, options))
        speed = {name: statistics.median(t[0] for t in taken[name]) for name in sides}
        cost = {name: statistics.median(t[1] for t in taken[name]) for name in sides}
        spread = [max(t[0] for t in taken[name]) / min(t[0] for t in taken[name]) for name in sides]
        ratio = speed["kith"] / speed["redis"]
        yield (command.upper(), speed["kith"], speed["redis"], ratio, verdict(ratio, ">=", goal), cost["kith"],
               cost["redis"], cost["kith"] / cost["redis"], "±%.0f %%" % (50 * (max(spread) - 1)))


def joined(servers):
    """All three kith agents know each other and hold the same."""
    states = [status(s) for s in servers]
    return all(s["peers_in_sync"] == len(servers) - 1 for s in states)


def sides_of(farm, replicas):
    """Two sides, each of one server or of one with two replicas."""
    kith = [farm.kith(core=SERVER_CORE, persists=True)]
    redis = [farm.redis(core=SERVER_CORE, persists=True)]
    for _ in range(replicas - 1):
        kith.append(farm.kith("-join", kith[0].agent.join_addr, core=SERVER_CORE, persists=True))
        redis.append(farm.redis("--replicaof", "%s %d" % (redis[0].ip, redis[0].port), core=SERVER_CORE, persists=True))
    if replicas > 1:
        kith[0].call("SET", "bench:first", "1")
        lib.wait(lambda: joined(kith), 30, "three kith agents hold the same", 0.1)
        lib.wait(lambda: b"state=online" in redis[0].call("INFO", "replication") and
                 redis[0].call("INFO", "replication").count(b"state=online") == replicas - 1, 30, "replicas of redis", 0.1)
    return {"kith": kith, "redis": redis}


def run(options, replicas):
    title = "Commands, one server" if replicas == 1 else "Commands, three replicas"
    keys = "one key" if not options.random else "%s keys" % number(options.random)
    with Farm("commands%d" % replicas) as farm:
        sides = sides_of(farm, replicas)
        for depth in options.depths:
            rows = compare(sides, depth, options, DEPTHS[depth][2 if replicas == 1 else 3])
            show("%s, -c 50 -P %d, %s" % (title, depth, keys),
                 ("command", "kith, 1/s", "redis-server, 1/s", "ratio", "goal", "kith, CPU µs a request",
                  "redis-server, CPU µs", "ratio", "between runs"), rows)
