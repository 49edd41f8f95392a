#!/usr/bin/env python3
"""One snapshot, two programs: an agent that is now Serf's and now kith's goes on where the other was killed, or has left."""
import collections
import os
import re
import shutil
import time

import lib

check, wait = lib.check, lib.wait
FLUSH_S = 0.6  # both write at most every 500 ms, Serf only when it is told something more

TELL = 'echo "$SERF_EVENT $SERF_USER_EVENT$SERF_QUERY_NAME $SERF_USER_LTIME$SERF_QUERY_LTIME" >>"$1"\n'

# What either program may write; Serf takes a comment for a comment.
LINE = re.compile(r"(alive: .+ \S+:\d+|not-alive: .+|(event-|query-)?clock: \d+|leave|coordinate: .*|#.*)\Z")
COMPLAINT = re.compile(r".*(Unrecognized snapshot line|Failed to (?:parse|convert|split)|is damaged).*")


def told_to(pool, name):
    """(a file, the handler that appends to it what is told: kind, name, Lamport time)"""
    path = pool.path(name.replace(" ", "-") + ".told", "")
    script = pool.path("tell.sh", TELL)
    return path, "user,query=sh %s %s" % (script, path)


class Snapshot:
    """What a snapshot file says."""

    def __init__(self, path):
        with open(path) as file:
            self.lines = file.read().split("\n")[:-1]
        self.clocks = {}
        self.alive = {}
        for line in self.lines:
            check(LINE.match(line), "no line of a snapshot:", line)
            what, _, rest = line.partition(": ")
            if what.endswith("clock"):
                self.clocks[what] = int(rest)
            elif what == "alive":
                name, _, addr = rest.rpartition(" ")
                self.alive[name] = addr
            elif what == "not-alive":
                self.alive.pop(rest, None)


class Journey:
    """Two agents that stay, one of each kind, and one that travels: it has one name, one address and one snapshot, and in
    each of its lives it is of the kind that it is told."""

    def __init__(self, pool):
        self.pool, self.said, self.path = pool, [], pool.path("snapshot")
        self.told = {}
        self.stay = [self.agent("serf", "a serf"), self.agent("kith", "a kith")]
        self.traveller = self.agent("kith", "traveller", "-snapshot", self.path)
        self.stay[0].start()
        self.stay[1].start("-join", self.stay[0].join_addr)
        pool.full(self.stay, 20)

    def agent(self, kind, name, *flags):
        path, handler = told_to(self.pool, name)
        self.told[name] = path
        return self.pool.agent(kind, name, flags=["-event-handler", handler] + list(flags))

    def heard(self, agent):
        """[(kind, name, Lamport time)]"""
        with open(self.told[agent.name]) as file:
            return [tuple(line.split(" ")) for line in file.read().split("\n")[:-1]]

    def say(self, agent, kind="user"):
        """One event or query; waits until all that live have heard it. Returns its Lamport time."""
        name = "%s-%d-of-%s" % (kind, len(self.said), agent.kind)
        self.said.append((kind, name))
        if kind == "user":
            agent.connection().call("event", {"Name": name, "Payload": b"p", "Coalesce": False})
        else:
            rpc = lib.Rpc(agent.rpc_addr)
            rpc.call("query", {"FilterNodes": [], "FilterTags": {}, "RequestAck": False, "RelayFactor": 0,
                               "Timeout": 60 * 10**9, "Name": name, "Payload": b"p"})
            rpc.close()
        self.expect(self.pool.live(), name)
        return int(next(line for line in self.heard(agent) if line[1] == name)[2])

    def expect(self, agents, *names):
        missing = []

        def all_heard():
            missing[:] = [(a.name, name) for a in agents for name in names if name not in [h[1] for h in self.heard(a)]]
            return not missing
        wait(all_heard, 20, lambda: "told of %s" % missing)

    def live(self, kind, *flags):
        """A life: begins, finds the others by itself, hears and says things, and has its snapshot on the disk."""
        self.traveller.kind = kind
        self.traveller.start(*flags)
        self.pool.full(self.stay + [self.traveller], 30)
        self.expect([self.traveller], *(name for _, name in self.said))
        for agent in self.stay + [self.traveller]:
            self.say(agent)
        queried = max(self.say(agent, "query") for agent in self.stay)
        self.settle()
        found = Snapshot(self.path)
        check(found.clocks["query-clock"] == queried, kind, "has written query", queried, found.lines)
        check({a.name: a.join_addr for a in self.stay}.items() <= found.alive.items(), kind, "has written", found.lines)
        check(not COMPLAINT.search(self.traveller.log_text()), COMPLAINT.search(self.traveller.log_text()))

    def settle(self):
        """What was said so far is in the snapshot: else a kill is a crash that forgets the last half second."""
        time.sleep(FLUSH_S)
        last = self.say(self.stay[0])
        wait(lambda: Snapshot(self.path).clocks.get("event-clock") == last, 10,
             lambda: "%s writes event %d: %s" % (self.traveller.kind, last, Snapshot(self.path).lines))

    def check_told_once(self):
        """Nothing was told to the traveller twice, in whatever lives; live() has seen that all was told once."""
        counts = collections.Counter(self.heard(self.traveller))
        twice = [line for line, count in counts.items() if count > 1]
        check(not twice, "told again:", twice)


@lib.case
def killed(pool):
    """killed as one and started as the other: who was alive is joined, nothing is told twice, what was missed is told"""
    journey = Journey(pool)
    flags = ["-join", journey.stay[0].join_addr]
    for kind in ("serf", "kith", "kith", "serf"):
        journey.live(kind, *flags)
        journey.traveller.kill()
        for agent in journey.stay:
            journey.say(agent)
        flags = []
    journey.check_told_once()


@lib.case
def same_clocks(pool):
    """either program takes the same clocks, and the same members to join, from what either has written"""
    journey = Journey(pool)
    copies = {}
    for kind in ("serf", "kith"):
        journey.live(kind, "-join", journey.stay[0].join_addr)
        journey.traveller.kill()
        copies[kind] = shutil.copy(journey.path, pool.path("by-" + kind))
        os.unlink(journey.path)
    for agent in journey.stay:
        agent.kill()
    for writer, path in copies.items():
        wanted, seen = Snapshot(path), {}
        for reader in ("serf", "kith"):
            heir = pool.agent(reader, "traveller", journey.traveller.ip)
            heir.log += "-%s-by-%s" % (reader, writer)
            heir.flags = ["-log-level", "debug", "-snapshot", shutil.copy(path, path + "-for-" + reader)]
            heir.start()
            wait(lambda: "Failed to re-join any previously known node" in heir.log_text(), 20, lambda: heir.tail(9))
            seen[reader] = {k: heir.connection().call("stats", answer=True)["serf"][k]
                            for k in ("member_time", "event_time", "query_time")}
            check(not COMPLAINT.search(heir.log_text()), COMPLAINT.search(heir.log_text()))
            heir.kill()
        check(seen["serf"] == seen["kith"], "of what %s wrote" % writer, seen, wanted.lines)
        check(seen["kith"]["event_time"] == str(wanted.clocks["event-clock"] + 1), seen, wanted.lines)


@lib.case
def left(pool):
    """left as one: the other stays alone, and comes back with -rejoin; what was told before is not told again"""
    journey = Journey(pool)
    flags = ["-join", journey.stay[0].join_addr]
    traveller = journey.traveller
    for kind, other in (("kith", "serf"), ("serf", "kith")):
        journey.live(kind, *flags)
        traveller.leave()
        check("leave" in Snapshot(journey.path).lines, kind, "writes that it has left")
        pool.status(journey.stay, traveller, "left", 20)
        traveller.kind = other
        traveller.start()
        time.sleep(3)
        check(traveller.statuses() == {traveller.name: "alive"}, other, "stays alone:", traveller.statuses())
        traveller.kill()
        flags = ["-rejoin"]
        traveller.start(*flags)
        pool.full(timeout=30)
        for agent in pool.live():
            journey.say(agent)
        journey.settle()
        traveller.kill()
    journey.check_told_once()


lib.main(__doc__)
