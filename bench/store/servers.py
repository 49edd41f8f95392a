"""Servers under measurement: kith agents and redis-servers, pinned alike, and what they have cost."""
import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "real"))
import lib  # noqa: E402
import resp  # noqa: E402

RESP_PORT, REDIS_PORT = 7379, 6379
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]


@contextlib.contextmanager
def on_core(*cores):
    """What is started inside runs on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Server:
    """One process that speaks the Redis protocol."""

    def __init__(self, ip, port, pid):
        self.ip, self.port, self.pid = ip, port, pid

    def link(self):
        return resp.Link(self.port, ip=self.ip)

    def call(self, *args):
        link = self.link()
        try:
            return resp.parse(link.call(*args))
        finally:
            link.close()

    def answers(self):
        try:
            return self.call("PING") == b"PONG"
        except OSError:
            return False

    def cpu_ns(self):
        """Time on a CPU of all its threads."""
        total = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.pid):
            with open(path) as file:
                total += int(file.read().split()[0])
        return total

    def resident(self):
        return lib.proc_kib(self.pid, "smaps_rollup", "Rss") * 1024


class Farm:
    """All servers of one measurement, in one temporary directory; they and it go with it."""

    def __init__(self, title):
        self.pool = lib.Pool("bench-store-" + title)
        self.others = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for proc in self.others:
            proc.kill()
            proc.wait()
        self.pool.close(kind is not None)
        if os.path.isdir(self.pool.dir):
            if kind is not None:
                for agent in self.pool.agents:
                    if os.path.exists(agent.log):
                        print("-- %s\n%s" % (agent.name, agent.tail(5)), file=sys.stderr)
            shutil.rmtree(self.pool.dir, ignore_errors=True)

    def kith(self, *flags, core=None, persists=False):
        """A kith agent that answers both doors."""
        number = self.pool.used + 1
        agent = self.pool.agent("kith", ip="127.0.0.%d" % number, flags=flags)
        agent.flags += ["-resp-addr", "%s:%d" % (agent.ip, RESP_PORT)]
        if persists:
            agent.flags += ["-data-dir", self.pool.path("data%d" % number), "-fsync", "everysec"]
        with on_core(*([core] if core is not None else CORES)):
            agent.start()
        server = Server(agent.ip, RESP_PORT, agent.proc.pid)
        server.agent = agent
        lib.wait(server.answers, 10, "kith's Redis door answers", 0.02)
        return server

    def redis(self, *flags, core=None, persists=False):
        """A redis-server; its file is not rewritten while it is measured, which spares it work."""
        number = len(self.others) + 1
        ip = "127.0.1.%d" % number
        folder = self.pool.path("redis%d" % number)
        os.mkdir(folder)
        command = ["setpriv", "--pdeathsig", "KILL", resp.REDIS, "--bind", ip, "--port", str(REDIS_PORT), "--save", "",
                   "--appendonly", "yes" if persists else "no", "--appendfsync", "everysec",
                   "--auto-aof-rewrite-percentage", "0", "--dir", folder, "--protected-mode", "no"]
        with on_core(*([core] if core is not None else CORES)):
            proc = subprocess.Popen(command + list(flags), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        self.others.append(proc)
        server = Server(ip, REDIS_PORT, proc.pid)
        lib.wait(server.answers, 10, "redis-server answers", 0.02)
        return server

    def drop(self, server):
        """Ends one server before the others."""
        if hasattr(server, "agent"):
            server.agent.kill()
            return
        for proc in self.others:
            if proc.pid == server.pid:
                proc.kill()
                proc.wait()


def status(server):
    """KITH.STATUS, as a dictionary."""
    return json.loads(server.call("KITH.STATUS"))


def load(server, keys, value_len, first=0):
    """Writes so many keys of 16 bytes, with values that differ, a thousand at a time."""
    link = server.link()
    for start in range(first, first + keys, 1000):
        end = min(start + 1000, first + keys)
        parts = []
        for i in range(start, end):
            value = "%0*d" % (value_len, i)
            parts.append("*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$%d\r\n%s\r\n" % (i, value_len, value))
        link.sock.sendall("".join(parts).encode())
        replies = b"+OK\r\n" * (end - start)
        link.need(len(replies))
        lib.check(link.data == replies, "a SET failed:", link.data[:80])
        link.data = b""
    link.close()


def settle(seconds=1.1):
    """What is written once a second is written meanwhile."""
    time.sleep(seconds)
