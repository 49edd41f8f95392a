#!/usr/bin/env python3
"""Five agents with stores and disks, written to at full speed, one after another killed with -9: what was acknowledged stays.

Only a reply that was read counts as an acknowledgement. What was on its way when an agent died may have happened or not:
its keys and members are left out of the verdict, and its increments are the slack of the counters.
"""
import json
import os
import random
import threading
import time

import lib
from resp import PORT, Link, parse

check = lib.check
SOAK = "KITH_SOAK" in os.environ
SECONDS = 120 if SOAK else 30
BATCH = 100  # writes on their way at once, from each writer
COUNTERS, SETS = 4, 4
LARGE = 3000  # bytes: more than a datagram holds
MGET = 500


def value_of(key, version):
    text = b"%s=%d" % (key.encode(), version)
    return text * (LARGE // len(text) + 1) if version % 50 == 7 else text


class Writer(threading.Thread):
    """Writes to one agent for as long as it is told to, whether or not the agent is there, and keeps books."""

    def __init__(self, number, ip, only_new=False):
        super().__init__(daemon=True)
        self.number, self.ip, self.only_new = number, ip, only_new
        self.rng = random.Random(number)
        self.stopping = threading.Event()
        self.keys, self.members = {}, {}  # what was acknowledged: key -> value or None; (set, member) -> is it there
        self.live_keys, self.live_members = [], []
        self.unsure = set()
        self.counted, self.maybe = [0] * COUNTERS, [0] * COUNTERS
        self.made = self.acknowledged = self.cut = 0
        self.faults = []

    def run(self):
        while not self.stopping.is_set():
            try:
                link = Link(PORT, ip=self.ip)
            except OSError:
                time.sleep(0.05)
                continue
            link.sock.settimeout(120)
            while not self.stopping.is_set():
                writes = [self.draw() for _ in range(BATCH)]
                replies = self.exchange(link, writes)
                for write, reply in zip(writes, replies):
                    self.happened(write, reply)
                for write in writes[len(replies):]:
                    self.may_have_happened(write)
                self.rested(writes[:len(replies)])
                if len(replies) < BATCH:
                    self.cut += 1
                    break
            link.close()

    def rested(self, writes):
        """A batch is through."""

    def draw(self):
        """The next write: its words, of which the first three say all."""
        kind = self.rng.randrange(100)
        self.made += 1
        if kind < 20:
            return ("INCR", "counter:%d" % self.rng.randrange(COUNTERS))
        if kind < 45:
            return ("SADD", "set:%d" % self.rng.randrange(SETS), "%d:%d" % (self.number, self.made))
        if kind < 55 and self.live_members and not self.only_new:
            return ("SREM",) + self.taken(self.live_members)
        if kind < 65 and self.live_keys and not self.only_new:
            return ("DEL", self.taken(self.live_keys))
        if kind < 75 and self.live_keys and not self.only_new:
            key = self.rng.choice(self.live_keys)
            if key not in self.unsure:
                return ("SET", key, value_of(key, self.made))
        key = "key:%d:%d" % (self.number, self.made)
        return ("SET", key, value_of(key, self.made))

    def taken(self, items):
        """One at random, taken out: nothing is deleted twice."""
        at = self.rng.randrange(len(items))
        items[at], items[-1] = items[-1], items[at]
        return items.pop()

    @staticmethod
    def exchange(link, writes):
        """The replies that came before the connection ended. Each is one line."""
        data = []
        try:
            link.sock.sendall(b"".join(Link.encode(*write) for write in writes))
            lines = 0
            while lines < len(writes):
                more = link.sock.recv(65536)
                if not more:
                    break
                data.append(more)
                lines += more.count(b"\n")
        except OSError:
            pass
        return b"".join(data).split(b"\r\n")[:-1]

    def happened(self, write, reply):
        name, key = write[:2]
        if reply.startswith(b"-"):
            self.fault("%s was answered %r" % (write[:2], reply))
            self.may_have_happened(write)
            return
        self.acknowledged += 1
        wanted = b":1"
        if name == "SET":
            wanted = b"+OK"
            if self.keys.get(key) is None:
                self.live_keys.append(key)
            self.keys[key] = write[2]
        elif name == "INCR":
            self.counted[int(key[-1])] += 1
            wanted = reply
        elif name == "DEL":
            wanted = reply if key in self.unsure else wanted
            self.keys[key] = None
        else:
            self.members[write[1:]] = name == "SADD"
            wanted = reply if write[1:] in self.unsure else wanted
            if name == "SADD":
                self.live_members.append(write[1:])
        if reply != wanted:
            self.fault("%s was answered %r instead of %r" % (write[:3], reply, wanted))

    def fault(self, text):
        if len(self.faults) < 5:
            self.faults.append("writer %d: %s" % (self.number, text[:200]))

    def may_have_happened(self, write):
        if write[0] == "INCR":
            self.maybe[int(write[1][-1])] += 1
        else:
            self.unsure.add(write[1] if write[0] in ("SET", "DEL") else write[1:])


class Books:
    """What all writers together know."""

    def __init__(self, writers):
        self.keys, self.members = {}, {}
        for writer in writers:
            self.keys.update((k, v) for k, v in writer.keys.items() if k not in writer.unsure)
            self.members.update((m, v) for m, v in writer.members.items() if m not in writer.unsure)
        self.counted = [sum(w.counted[i] for w in writers) for i in range(COUNTERS)]
        self.maybe = [sum(w.maybe[i] for w in writers) for i in range(COUNTERS)]

    def wrong_at(self, agent):
        """What the agent shows otherwise."""
        link, wrong = Link(PORT, ip=agent.ip), []
        for key, value in shown(link, list(self.keys)):
            if value != self.keys[key]:
                wrong.append("%s is %s" % (key, "lost" if value is None else "back" if self.keys[key] is None else "changed"))
        there = {}
        for i in range(SETS):
            name = "set:%d" % i
            there[name] = set(parse(link.call("SMEMBERS", name)))
        for (name, member), is_there in self.members.items():
            if (member.encode() in there[name]) != is_there:
                wrong.append("%s of %s is %s" % (member, name, "lost" if is_there else "back"))
        for i in range(COUNTERS):
            count = int(parse(link.call("GET", "counter:%d" % i)) or 0)
            if not self.counted[i] <= count <= self.counted[i] + self.maybe[i]:
                wrong.append("counter:%d is %d, acknowledged %d, on their way %d" % (i, count, self.counted[i], self.maybe[i]))
        link.close()
        return wrong

    def must_hold(self, agents):
        for agent in agents:
            wrong = self.wrong_at(agent)
            check(not wrong, "%s shows %d things otherwise:\n    %s" % (agent.name, len(wrong), "\n    ".join(wrong[:10])))


def shown(link, keys):
    for at in range(0, len(keys), MGET):
        part = keys[at:at + MGET]
        yield from zip(part, parse(link.call("MGET", *part)))


def status(agent):
    link = Link(PORT, ip=agent.ip)
    try:
        return json.loads(parse(link.call("KITH.STATUS")))
    finally:
        link.close()


def five(pool, fsync):
    agents = []
    for i in range(1, 6):
        flags = ["-data-dir", pool.path("data%d" % i), "-fsync=" + fsync, "-resp-addr", "127.0.0.%d:%d" % (i, PORT)]
        agents.append(pool.agent("kith", flags=flags).start(*(["-join", agents[0].join_addr] if agents else [])))
    pool.full(agents)
    return agents


def restart(agents, *victims):
    for victim in victims:
        victim.spawn("-join", next(a for a in agents if a is not victim).join_addr)
    for victim in victims:
        victim.ready()


def heal(pool, agents):
    """Waits until each agent says that it is in sync with all others; returns how long that took."""
    start, last = time.monotonic(), {}
    pool.full(agents)

    def agreed():
        last.update({a.name: status(a) for a in agents})
        roots = {s["root"] for s in last.values()}
        return len(roots) == 1 and None not in roots and all(s["peers_in_sync"] == len(agents) - 1 for s in last.values())
    lib.wait(agreed, 15, lambda: "all in sync:\n    " + "\n    ".join("%s %s" % item for item in sorted(last.items())), 0.5)
    return time.monotonic() - start


def stop(writers):
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join(150)
        check(not writer.is_alive(), "writer", writer.number, "waits for a reply that does not come")
    faults = [fault for writer in writers for fault in writer.faults]
    check(not faults, "\n    ".join(faults))


def a_canary(books, agent):
    """The books notice a change of any of what they keep."""
    link = Link(PORT, ip=agent.ip)
    key = next(k for k, v in books.keys.items() if v is not None)
    gone = next(k for k, v in books.keys.items() if v is None)
    name, member = next(m for m, v in books.members.items() if v)
    for command in (("DEL", key), ("SET", gone, "x"), ("SREM", name, member), ("INCRBY", "counter:0", books.maybe[0] + 1)):
        link.call(*command)
    link.close()
    wrong = books.wrong_at(agent)
    check(len(wrong) == 4, "four things were falsified, and found were:", wrong)


@lib.case
def always(pool):
    """-fsync=always: after kill -9 of one every few seconds, all that was acknowledged is on all five, and nothing deleted"""
    rng, agents = random.Random(SECONDS), five(pool, "always")
    writers = [Writer(i, agent.ip) for i, agent in enumerate(agents)]
    for writer in writers:
        writer.start()
    end, kills = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        time.sleep(rng.uniform(1, 4))
        victim = rng.choice(agents)
        victim.kill()
        time.sleep(rng.choice((0, 0.5, 3)))
        restart(agents, victim)
        kills += 1
    stop(writers)
    healed = heal(pool, agents)
    books = Books(writers)
    print("  %d kills, %d batches cut, %d writes acknowledged and %d on their way; %d keys, %d members; in sync after %.1f s"
          % (kills, sum(w.cut for w in writers), sum(w.acknowledged for w in writers),
             sum(len(w.unsure) for w in writers) + sum(books.maybe), len(books.keys), len(books.members), healed))
    check(all(w.acknowledged > 10 * BATCH for w in writers), "a writer hardly wrote")
    books.must_hold(agents)
    for agent in agents:  # what is only in memory is gone now
        agent.kill()
    restart(agents, *agents)
    print("  all five killed at once, in sync after %.1f s" % heal(pool, agents))
    books.must_hold(agents)
    a_canary(books, agents[1])


class Watched(Writer):
    """Asks another agent for some of what was acknowledged, and remembers what that one has shown."""

    def __init__(self, number, ip, others):
        super().__init__(number, ip, only_new=True)
        self.others, self.shown, self.lock = others, {}, threading.Lock()

    def rested(self, writes):
        time.sleep(0.05)  # what went wrong is to be repaired while the writers go on
        keys = [w[1] for w in writes if w[0] == "SET"][-5:]
        try:
            link = Link(PORT, ip=self.rng.choice(self.others))
            seen = {k: v for k, v in shown(link, keys) if v is not None}
            link.close()
        except OSError:
            return
        with self.lock:
            self.shown.update(seen)

    def must_stay(self):
        with self.lock:
            return dict(self.shown)


@lib.case
def everysec(pool):
    """-fsync=everysec: all agree in the end, and an acknowledged write that another agent has shown is never lost"""
    agents = five(pool, "everysec")
    writers = [Watched(i, a.ip, [o.ip for o in agents if o is not a]) for i, a in enumerate(agents)]
    for writer in writers:
        writer.start()

    def lacks(agent, stay):
        link = Link(PORT, ip=agent.ip)
        lost = [key for key, value in shown(link, list(stay)) if value != stay[key]]
        link.close()
        return lost

    def seen_elsewhere():
        return {key: value for writer in writers for key, value in writer.must_stay().items()}
    for victim in agents if SOAK else agents[:3]:
        time.sleep(2)
        victim.kill()
        time.sleep(0.5)
        restart(agents, victim)
        # The next one dies when this one has it all again, and every disk has it: two deaths within a second may cost.
        stay = seen_elsewhere()
        lib.wait(lambda: not lacks(victim, stay), 15, lambda: "%s shows again what others had shown: %d of %d missing: %s" % (
            victim.name, len(lacks(victim, stay)), len(stay), status(victim)), 0.3)
        for agent in agents:
            written = status(agent)["rows_written"]
            lib.wait(lambda: status(agent)["rows_durable"] >= written, 15, "the disk of %s has it" % agent.name)
    stop(writers)
    healed = heal(pool, agents)
    kept = seen_elsewhere()
    print("  %d writes acknowledged, %d of them seen elsewhere; in sync after %.1f s"
          % (sum(w.acknowledged for w in writers), len(kept), healed))
    check(len(kept) > 100, "hardly anything was seen elsewhere")
    for agent in agents:
        lost = lacks(agent, kept)
        check(not lost, "%s has lost %d keys that another agent had shown:" % (agent.name, len(lost)), lost[:5])
    for name in ["counter:%d" % i for i in range(COUNTERS)]:
        values = {parse(Link(PORT, ip=a.ip).call("GET", name)) for a in agents}
        check(len(values) == 1, name, "is", values)
    for name in ["set:%d" % i for i in range(SETS)]:
        sets = [set(parse(Link(PORT, ip=a.ip).call("SMEMBERS", name))) for a in agents]
        check(all(s == sets[0] for s in sets), name, "differs")


lib.main(__doc__, needs=("kith",), limit=1800 if SOAK else 280)
