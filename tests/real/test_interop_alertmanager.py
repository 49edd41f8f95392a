#!/usr/bin/env python3
"""A bare kith (-delegate-versions=0/0/0) in a pool of Alertmanagers, which speak memberlist without Serf."""
import json
import subprocess
import time
import urllib.request

import lib

check = lib.check
CONFIG = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"
BARE = ["-delegate-versions=0/0/0"]


class Alertmanager:
    """One Alertmanager; its name in the pool is a random id that it tells."""

    def __init__(self, pool, number, peers=()):
        self.addr = "127.0.1.%d" % number
        self.log = open(pool.path("alertmanager%d.log" % number), "ab")
        command = ["setpriv", "--pdeathsig", "KILL", lib.ALERTMANAGER, "--config.file=" + pool.path("am.yml", CONFIG),
                   "--storage.path=" + pool.path("am%d" % number), "--web.listen-address=%s:9093" % self.addr,
                   "--cluster.listen-address=%s:9094" % self.addr, "--cluster.advertise-address=%s:9094" % self.addr,
                   "--cluster.reconnect-timeout=1m"]
        self.proc = subprocess.Popen(command + ["--cluster.peer=" + p for p in peers], stdin=subprocess.DEVNULL,
                                     stdout=self.log, stderr=self.log)
        lib.wait(self.up, 20, "Alertmanager %d answers" % number)

    def status(self):
        with urllib.request.urlopen("http://%s:9093/api/v2/status" % self.addr, timeout=5) as answer:
            return json.load(answer)["cluster"]

    def up(self):
        check(self.proc.poll() is None, "Alertmanager exited with", self.proc.returncode)
        try:
            return bool(self.status()["name"])
        except OSError:
            return False

    def peers(self):
        return {p["name"]: p["address"] for p in self.status()["peers"]}

    def close(self):
        self.proc.kill()
        self.proc.wait()
        self.log.close()


@lib.case
def bare_pool(pool):
    """joins both ways, is listed by its name and address, survives an Alertmanager's end, is seen to leave and to die"""
    managers = [Alertmanager(pool, 1)]
    try:
        kith = pool.start("kith", *BARE)
        second = pool.agent("kith", flags=BARE)
        check(kith.connection().call("join", {"Existing": [managers[0].addr + ":9094"], "Replay": False},
                                     answer=True)["Num"] == 1, "kith joins an Alertmanager")
        managers.append(Alertmanager(pool, 2, peers=[kith.join_addr]))
        second.start("-join", managers[1].addr + ":9094")
        names = {m.status()["name"]: m.addr + ":9094" for m in managers}
        names.update({a.name: a.join_addr for a in (kith, second)})
        for manager in managers:
            lib.wait(lambda: manager.peers() == names, 30, lambda: "%s everywhere, but %s" % (names, manager.peers()))
        pool.expect([kith, second], {n: "alive" for n in names}, 20)
        time.sleep(5)  # several probe rounds: nobody may be accused
        pool.expect([kith, second], {n: "alive" for n in names}, 1)
        check(all(m.peers() == names for m in managers), "peers changed in five quiet seconds")
        check(managers[0].status()["status"] in ("ready", "settling"), managers[0].status()["status"])

        second.leave()
        del names[second.name]
        for manager in managers:
            lib.wait(lambda: manager.peers() == names, 20, "%s forgets the kith that left" % manager.addr)
        gone = managers.pop()
        gone_name = gone.status()["name"]
        gone.close()
        lib.wait(lambda: kith.statuses().get(gone_name) in ("failed", None), 45, "kith sees the Alertmanager fail")
        kith.kill()
        del names[kith.name], names[gone_name]
        lib.wait(lambda: managers[0].peers() == names, 45, "the Alertmanager sees the kith fail")
    finally:
        for manager in managers:
            manager.close()


@lib.case
def versions_matter(pool):
    """a kith with Serf's versions does not get into an Alertmanager's pool, and neither side lists the other"""
    manager = Alertmanager(pool, 1)
    try:
        kith = pool.start("kith")
        try:
            kith.connection().call("join", {"Existing": [manager.addr + ":9094"], "Replay": False}, answer=True)
        except lib.RpcError as error:
            print("  refused: " + str(error).replace("\n", " ")[:100])
        else:
            raise lib.Failure("a kith with delegate versions 2/5/5 joined an Alertmanager")
        check(set(kith.statuses()) == {kith.name}, "kith lists", kith.statuses())
        check(set(manager.peers()) == {manager.status()["name"]}, "the Alertmanager lists", manager.peers())
    finally:
        manager.close()


lib.main(__doc__, needs=("kith", "alertmanager"))
