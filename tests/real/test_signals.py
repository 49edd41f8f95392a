#!/usr/bin/env python3
"""Signals and files: graceful exits, a second signal, reload, snapshot and rejoin, the tags file, systemd's notification."""
import json
import os
import signal
import socket
import time

import lib

check = lib.check


def tags_of(agent, name=None):
    tags = agent.members()[name or agent.name]["Tags"]
    return {k: v for k, v in tags.items() if k != "_kith"}


def two_and_a_serf(pool, *flags, **options):
    serf = pool.start("serf")
    watcher = pool.start("kith", "-join", serf.join_addr)
    agent = pool.start("kith", "-join", serf.join_addr, *flags, **options)
    pool.full([serf, watcher, agent], 20)
    return [serf, watcher], agent


@lib.case
def graceful(pool):
    """SIGINT and SIGTERM leave gracefully: exit code 0, and the others see `left`"""
    watchers, agent = two_and_a_serf(pool)
    for number in (signal.SIGINT, signal.SIGTERM):
        agent.signal(number)
        agent.drop_rpc()
        check(agent.exit_code(15) == 0, "exit code after signal", number, "is", agent.proc.returncode)
        pool.status(watchers, agent, "left", 10)
        agent.start("-join", watchers[1].join_addr)
        pool.status(watchers, agent, "alive", 20)


@lib.case
def configured(pool):
    """leave_on_terminate false and skip_leave_on_interrupt true: no goodbye, the others see `failed`"""
    path = pool.path("signals.json", json.dumps({"leave_on_terminate": False, "skip_leave_on_interrupt": True}))
    watchers, agent = two_and_a_serf(pool, "-config-file", path)
    second = pool.start("kith", "-join", agent.join_addr, "-config-file", path)
    pool.status(watchers, second, "alive", 20)
    for victim, number in ((agent, signal.SIGTERM), (second, signal.SIGINT)):
        began = time.monotonic()
        victim.signal(number)
        victim.drop_rpc()
        code = victim.exit_code(5)
        check(code != 0, "an exit without leaving is told by the exit code, which was", code)
        check(time.monotonic() - began < 1, "it took", time.monotonic() - began)
    pool.expect(watchers, {agent.name: "failed", second.name: "failed"}, 45, only=False)


@lib.case
def second_signal(pool):
    """a second signal during the leave exits at once, with 1"""
    _, agent = two_and_a_serf(pool)
    agent.signal(signal.SIGINT)
    time.sleep(0.2)
    check(agent.running(), "a graceful leave took under 0.2 s, so this test shows nothing")
    began = time.monotonic()
    agent.signal(signal.SIGINT)
    agent.drop_rpc()
    check(agent.exit_code(5) == 1, "exit code", agent.proc.returncode)
    check(time.monotonic() - began < 0.5, "it took", time.monotonic() - began)


@lib.case
def reload(pool):
    """SIGHUP reloads tags and log level from the file, and keeps tags set at run time"""
    path = pool.path("reload.json", json.dumps({"tags": {"file": "1", "gone": "x"}, "log_level": "warn"}))
    watchers, agent = two_and_a_serf(pool, "-config-file", path)
    agent.set_tags({"runtime": "kept"})
    check(tags_of(agent) == {"file": "1", "gone": "x", "runtime": "kept"}, tags_of(agent))
    agent.join(watchers[0])
    check("[INFO]" not in agent.log_text(), "log level warn:", agent.tail(5))
    pool.path("reload.json", json.dumps({"tags": {"file": "2", "new": "y"}, "log_level": "info"}))
    agent.signal(signal.SIGHUP)
    wanted = {"file": "2", "new": "y", "runtime": "kept"}
    lib.wait(lambda: tags_of(agent) == wanted, 10, lambda: "%s, but %s" % (wanted, tags_of(agent)))
    lib.wait(lambda: all(tags_of(w, agent.name) == wanted for w in watchers), 15, "the others see the reloaded tags")
    lib.wait(lambda: "[INFO]" in agent.log_text(), 15, lambda: "log level info:\n" + agent.tail(8))
    pool.path("reload.json", "{ broken")
    agent.signal(signal.SIGHUP)
    time.sleep(1)
    check(agent.running() and tags_of(agent) == wanted, "a broken file changes nothing:", tags_of(agent))
    agent.set_tags({}, ["runtime"])
    pool.path("reload.json", json.dumps({"tags": {"file": "3"}}))
    agent.signal(signal.SIGHUP)
    lib.wait(lambda: tags_of(agent) == {"file": "3"}, 10, lambda: "a deleted tag stays deleted: %s" % tags_of(agent))


@lib.case
def snapshot(pool):
    """a snapshot in Serf's format: rejoin after kill -9, not after a leave, unless -rejoin; each reads the other's file"""
    serf = pool.start("serf")
    path = pool.path("snapshot")
    agent = pool.agent("kith", flags=["-snapshot", path]).start("-join", serf.join_addr)
    pool.full([serf, agent], 20)

    def recorded():
        """The Serf stands in the file as alive, after the last leave there is."""
        with open(path) as file:
            return "alive: %s %s" % (serf.name, serf.join_addr) in file.read().split("\nleave\n")[-1].split("\n")

    lib.wait(recorded, 10, "the snapshot names the Serf")
    agent.kill()
    agent.start()
    pool.full([serf, agent], 20)
    agent.leave()
    with open(path) as file:
        check("leave" in file.read().split("\n"), "a leave is in the snapshot")
    agent.start()
    time.sleep(3)
    check(agent.statuses() == {agent.name: "alive"}, "after a leave it stays alone:", agent.statuses())
    agent.join(serf)
    pool.full([serf, agent], 20)
    agent.leave()
    agent.start("-rejoin")
    pool.full([serf, agent], 20)
    lib.wait(recorded, 10, "the snapshot names the Serf after the leave")
    agent.kill()

    # The other program continues from the same file.
    for binary_kind in ("serf", "kith"):
        heir = pool.agent(binary_kind, name="heir-" + binary_kind, ip="127.0.0.30", flags=["-snapshot", path])
        heir.start()
        pool.status([heir], serf, "alive", 20)
        pool.status([serf], heir, "alive", 20)
        heir.kill()


@lib.case
def tags_file(pool):
    """-tags-file keeps tags set at run time over a kill -9, as JSON"""
    path = pool.path("tags.json", "{}")
    for kind in ("serf", "kith"):
        agent = pool.start(kind, "-tags-file", path)
        agent.set_tags({kind: "was here", "common": kind})
        agent.kill()
        with open(path) as file:
            check(json.load(file)[kind] == "was here", "the file of", kind)
        agent.start()
        check(tags_of(agent)[kind] == "was here", "after the restart:", tags_of(agent))
    check(tags_of(agent)["serf"] == "was here", "kith reads the file serf wrote:", tags_of(agent))


@lib.case
def notify(pool):
    """systemd's notification: READY=1 once up, STOPPING=1 on the way out"""
    path = os.path.join(pool.dir, "notify.sock")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    sock.settimeout(10)
    agent = pool.agent("kith", env={"NOTIFY_SOCKET": path}).start()

    def told(word):
        said = ""
        while word not in said.split("\n"):
            try:
                said += sock.recv(4096).decode() + "\n"
            except socket.timeout:
                raise lib.Failure("%s was not said, only %r" % (word, said)) from None

    told("READY=1")
    agent.signal(signal.SIGTERM)
    told("STOPPING=1")
    agent.drop_rpc()
    check(agent.exit_code(15) == 0, "exit code", agent.proc.returncode)


lib.main(__doc__)
