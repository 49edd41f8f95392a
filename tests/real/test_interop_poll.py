#!/usr/bin/env python3
"""examples/poll.c, the first user of the library, in a pool of real Serf agents: joins, sees a crash, leaves."""
import base64
import hashlib
import os
import shlex
import signal
import subprocess
import sysconfig

import lib

check, wait = lib.check, lib.wait
BUILD = os.environ.get("KITH_BUILD_DIR", os.path.join(lib.ROOT, "build", "gcc"))
CC = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
DETECT = 45


def build(pool):
    """The example against the installed library, as its user builds it: no header or library but the installed ones."""
    prefix = pool.path("prefix")
    done = lib.run(os.environ.get("CMAKE", "cmake"), "--install", BUILD, "--prefix", prefix)
    check(done.code == 0, "cmake --install:", done)
    libdir = next(path for path, _, files in os.walk(prefix) if "libkith.a" in files)
    env = {"PKG_CONFIG_PATH": os.path.join(libdir, "pkgconfig")}
    done = lib.run("pkg-config", "--static", "--cflags", "--libs", "--define-variable=prefix=" + prefix,
                   "--define-variable=libdir=" + libdir, "--define-variable=includedir=%s/include" % prefix, "kith",
                   env=env)
    check(done.code == 0, done)
    flags = ["-Wl,-rpath," + libdir] + shlex.split(done.out)
    binary = pool.path("poll")
    source = os.path.join(lib.ROOT, "examples", "poll.c")
    done = lib.run(*shlex.split(CC), "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", source, *flags, "-o", binary)
    check(done.code == 0, done)
    return binary


class Example:
    """One run of the example; its lines as they come."""

    def __init__(self, pool, binary, name, ip, join, *flags):
        self.out = pool.path(name + ".out")
        command = [binary, *flags, name, ip + ":7946"] + [agent.join_addr for agent in join]
        with open(self.out, "wb") as out:
            self.proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + command, stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=out)

    def lines(self):
        with open(self.out, errors="replace") as out:
            return out.read().splitlines()

    def says(self, line, timeout):
        wait(lambda: line in self.lines(), timeout, lambda: "%r among %s" % (line, self.lines()))

    def ends(self, code, timeout=20):
        wait(lambda: self.proc.poll() is not None, timeout, "the example ends; it said %s" % self.lines())
        check(self.proc.returncode == code, "exit code", self.proc.returncode, "after", self.lines())


@lib.case
def in_a_serf_pool(pool):
    """3 serf agents and the example: sees all join, one killed; on SIGINT it leaves and all see `left`"""
    binary = build(pool)
    first = pool.start("serf")
    serfs = [first] + pool.start("serf", "-join", first.join_addr, count=2)
    pool.full(serfs, 30)
    example = Example(pool, binary, "poll1", "127.0.0.9", serfs)
    try:
        for name in ["poll1"] + [a.name for a in serfs]:
            example.says(name + " alive", 10)
        pool.expect(serfs, dict({a.name: "alive" for a in serfs}, poll1="alive"), 10)
        late = pool.start("serf", "-join", first.join_addr)
        example.says(late.name + " alive", 10)
        serfs[2].kill()
        example.says(serfs[2].name + " suspect", DETECT)
        example.says(serfs[2].name + " failed", DETECT)
        example.proc.send_signal(signal.SIGINT)
        example.ends(0)
        check(example.lines()[-2:] == ["poll1 leaving", "poll1 left"], example.lines())
        pool.expect([serfs[0], serfs[1], late], {"poll1": "left"}, 10, only=False)
    finally:
        example.proc.kill()


@lib.case
def timed_and_large(pool):
    """-n SECONDS leaves by itself; a view of more bytes than one read crosses the stream; joining nobody is told"""
    binary = build(pool)
    agents = []
    for i in range(10):  # tags that do not compress: the view has about 5 KB, the example reads 4 KiB at a time
        noise = b"".join(hashlib.sha256(b"%d %d" % (i, j)).digest() for j in range(11))
        tag = base64.b64encode(noise).decode()
        agents.append(pool.start("serf", "-tag", "t=" + tag, *(["-join", agents[0].join_addr] if agents else [])))
    pool.full(agents, 60)
    example = Example(pool, binary, "poll1", "127.0.0.99", agents[:1], "-n", "3")
    nobody = Example(pool, binary, "poll2", "127.0.0.98", [pool.agent("serf", ip="127.0.0.97")], "-n", "2")
    try:
        for agent in agents:
            example.says(agent.name + " alive", 3)
        example.ends(0)
        pool.expect(agents, {"poll1": "left"}, 10, only=False)
        nobody.ends(0)
        check(any(line.startswith("poll: ") for line in nobody.lines()), "a failed join is told:", nobody.lines())
    finally:
        example.proc.kill()
        nobody.proc.kill()
    usage = lib.run(binary, "poll1")
    check(usage.code == 2 and "usage" in usage.err, usage)


lib.main(__doc__, needs=("serf",))
