#!/usr/bin/env python3
"""The store's disk: what was acknowledged survives, a full disk is survived, and what cannot be used is refused.
"""
import os
import signal
import socket
import subprocess
import time

import lib
from resp import PORT, Link

check = lib.check
CLONE_NEWNS = 0x20000


def small_disk(pool, *options):
    """A tmpfs of 8 MiB, seen by this process and its agents only."""
    place = pool.path("mount")
    os.mkdir(place)
    lib._syscall("unshare", CLONE_NEWNS)
    subprocess.run(["mount", "--make-rprivate", "/"], stderr=subprocess.DEVNULL)  # in a chroot it is private as it is
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(("size=8m",) + options), "tmpfs", place], check=True)
    return place


def said(agent, text, count=1):
    lib.wait(lambda: agent.log_text().count(text) >= count, 15, "%s says %r" % (agent.name, text))


def disk(agent):
    return agent.cli("info", "--json").json()["disk"]


@lib.case
def kill_under_always(pool):
    """-fsync=always: every write that was answered is there after kill -9, however many were on their way"""
    agent = pool.agent("kith", flags=["-data-dir", pool.path("data"), "-fsync=always"])
    answered = {}
    for life in range(6):
        agent.start()
        link = Link(PORT)
        for key, value in answered.items():
            check(link.call("GET", key) == b"$%d\r\n%s\r\n" % (len(value), value), "life", life, "lost", key)
        end, n = time.monotonic() + 0.3 + 0.1 * life, 0
        while time.monotonic() < end:
            pairs = [("k%d" % ((n + i) % 500), b"%d-%d" % (life, n + i)) for i in range(20)]
            link.sock.sendall(b"".join(Link.encode("SET", key, value) for key, value in pairs))
            for key, value in pairs:
                check(link.reply() == b"+OK\r\n", "SET")
                answered[key] = value
            n += 20
        link.send("SET", "on its way", "1")
        agent.kill()
        link.close()
        print("  life %d: %d writes answered" % (life, n))
    check(len(answered) >= 20, "hardly anything was written")


@lib.case
def clean_stop(pool):
    """a clean stop writes what is not yet due, with each -fsync; everysec has it after two seconds even with kill -9"""
    agent = pool.agent("kith", flags=["-data-dir", pool.path("data")])
    for fsync in ("always", "everysec", "no"):
        agent.start("-fsync=" + fsync)
        link = Link(PORT)
        for i in range(3):
            check(link.call("SET", "k", "%s-%d" % (fsync, i)) == b"+OK\r\n", "SET")
        link.close()
        agent.signal(signal.SIGTERM)
        check(agent.exit_code(20) == 0, "exit code")
        agent.start()
        value = (fsync + "-2").encode()
        check(Link(PORT).call("GET", "k") == b"$%d\r\n%s\r\n" % (len(value), value), "lost under", fsync)
        agent.kill()
    agent.start("-fsync=everysec")
    link = Link(PORT)
    for i in range(3):
        link.call("SADD", "s", str(i))
    time.sleep(2)
    agent.kill()
    agent.start()
    check(Link(PORT).call("SCARD", "s") == b":3\r\n", "everysec")


@lib.case
def full_disk(pool):
    """a full disk: told once, memory goes on, `always` answers nothing it cannot keep; room again: all is written"""
    place = small_disk(pool)
    agent = pool.agent("kith", flags=["-data-dir", os.path.join(place, "data")])
    agent.start("-fsync=everysec")
    link = Link(PORT)
    check(link.call("SET", "before", "1") == b"+OK\r\n", "SET")
    lib.wait(lambda: disk(agent)["groups"] >= 2, 10, "it is written")
    ballast = os.path.join(place, "ballast")
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    for i in range(200):
        check(link.call("SET", "k%d" % i, "v" * 1000) == b"+OK\r\n", "memory goes on")
    said(agent, "cannot be written: No space left on device: make room on the disk of")
    time.sleep(2)
    check(agent.log_text().count("cannot be written") == 1, "told more than once")
    check("No space" in disk(agent)["error"] and disk(agent)["failures"] > 1, "the numbers:", disk(agent))
    check(link.call("GET", "k7") == b"$1000\r\n" + b"v" * 1000 + b"\r\n", "memory is intact")
    os.unlink(ballast)
    said(agent, "is written again")
    agent.kill()
    agent.start("-fsync=always")
    link = Link(PORT)
    check(link.call("DBSIZE") == b":201\r\n", "all of it was written:", link.call("DBSIZE"))
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    link.send("SET", "unsafe", "v" * 500000)
    link.sock.settimeout(2)
    try:
        answer = link.reply()
        check(answer.startswith(b"-"), "answered as if it were safe:", answer)
        answer = None
    except socket.timeout:
        answer = b"+OK\r\n"
    os.unlink(ballast)
    link.sock.settimeout(20)
    if answer:
        check(link.reply() == answer, "and not answered when it was")
    said(agent, "is written again", 2)
    agent.kill()
    agent.start()
    check(Link(PORT).call("STRLEN", "unsafe") == b":500000\r\n", "it is there")


@lib.case
def refused(pool):
    """what cannot be used is refused with exit code 1 and a sentence that says what to do; nothing is overwritten"""
    place = small_disk(pool)
    agent = pool.agent("kith", flags=["-data-dir", os.path.join(place, "data")])
    agent.start()
    second = pool.agent("kith", flags=agent.flags)

    def refuses(who, text):
        who.spawn()
        check(who.exit_code(10) == 1, "exit code")
        check(text in who.log_text(), "not said:", text)

    refuses(second, "is in use by another kith agent: each needs one of its own")
    agent.signal(signal.SIGTERM)
    check(agent.exit_code(20) == 0, "exit code")
    file = os.path.join(place, "data", "store.lmdb")
    with open(file, "rb") as whole:
        bytes_ = whole.read()
    for wrong, text in ((bytes_[:9000], "it is cut off"), (b"my notes" * 4000, "is no kith store"),
                        (bytes_[:16384] + b"\xff" * (len(bytes_) - 16384), "move it away, and the agent begins empty")):
        with open(file, "wb") as broken:
            broken.write(wrong)
        refuses(agent, text)
        with open(file, "rb") as after:
            check(after.read() == wrong, "a file that was refused is not touched")
    with open(file, "wb") as mended:
        mended.write(bytes_)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    refuses(agent, "cannot be written: Read-only file system; the agent needs a -data-dir that it may write to")
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    agent.start()


lib.main(__doc__, needs=("kith",))
