#!/usr/bin/env python3
"""A flood of events while members are killed, join and leave: each event comes once and in its turn, nobody is slandered."""
import json
import threading
import time

import lib

check, wait = lib.check, lib.wait
DETECT = 45  # what a lone suspicion may take in a pool of this size
SETTLE = 30  # for the last event to be everywhere
EVENTS = 1500
SMALL, LARGE, LARGE_EACH = 200, 3000, 50  # bytes; one of 50 fits no datagram
MEMORY = 24 << 20  # bytes resident: an idle agent has 4 MiB; what it may keep for others, and what may wait, have 4 each


class Listener(threading.Thread):
    """All that an agent tells of events, and of members that it holds failed."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.heard, self.gaps, self.failed = agent, {}, [], []
        self.rpc = lib.Rpc(agent.rpc_addr)
        self.rpc.send("kith-stream" if agent.kind == "kith" else "stream", {"Type": "user,member-failed"})
        check(self.rpc.value()["Error"] == "", "a stream of", agent.name)
        self.rpc.sock.settimeout(None)
        self.start()

    def run(self):
        try:
            while True:
                self.rpc.value()
                record = self.rpc.value()
                if record["Event"] == "user":
                    sender, number = record["Name"].split(" ")
                    self.heard.setdefault(sender, []).append(int(number))
                elif record["Event"] == "gap":
                    self.gaps.append(record)
                else:
                    self.failed += [m["Name"] for m in record["Members"]]
        except (OSError, ConnectionError):
            pass  # it was killed


class Sender(threading.Thread):
    """Sends numbered events, as many as it is told or until it is told to stop; `sent` is how many the agent has taken."""

    def __init__(self, agent, count=None, pause_s=0.0):
        super().__init__(daemon=True)
        self.agent, self.count, self.pause_s, self.sent, self.stopped = agent, count, pause_s, 0, False
        self.rpc = lib.Rpc(agent.rpc_addr)
        self.start()

    def run(self):
        try:
            while not self.stopped and self.sent != self.count:
                size = SMALL if self.sent % LARGE_EACH or self.agent.kind == "serf" else LARGE
                self.rpc.call("event", {"Name": "%s %d" % (self.agent.name, self.sent), "Payload": b"x" * size,
                                        "Coalesce": False})
                self.sent += 1
                time.sleep(self.pause_s)
        except (OSError, ConnectionError):
            pass  # it was killed

    def stop(self):
        self.stopped = True
        self.join()


def start(pool, kind, *flags, count=1):
    """Agents that keep for slow readers more than they will be told: this is about what comes to them, not about readers."""
    kept = ["-config-file", pool.path("kept.json", json.dumps({"rpc_kept_max": 100000, "rpc_kept_bytes_max": "16M"}))]
    return pool.start(kind, *(kept if kind == "kith" else []), *flags, count=count)


def told(listeners, sender, count):
    """Every one of them hears the sender's events from 0 to count - 1, each once, in order, and nothing is missing."""
    name = sender.agent.name
    wait(lambda: all(len(one.heard.get(name, [])) >= count for one in listeners), SETTLE, lambda: "%d of %s are told: %s" % (
        count, name, {one.agent.name: len(one.heard.get(name, [])) for one in listeners}))
    for one in listeners:
        check(one.heard.get(name, []) == list(range(count)), one.agent.name, "hears of", name, disorder(one.heard[name]))
        check(not one.gaps, one.agent.name, "is told of gaps", one.gaps)


def disorder(numbers):
    """The places where they do not rise by one."""
    return [(a, b) for a, b in zip([-1] + numbers, numbers) if b != a + 1][:10]


def small(agents):
    """None of them was ever larger than what is allowed to wait and to be kept."""
    peak = max(lib.proc_kib(agent.proc.pid, "status", "VmHWM") for agent in agents)
    print("  at most %d KiB resident" % peak)
    check(peak * 1024 < MEMORY or lib.SANITIZED, "too large")


@lib.case
def killed(pool):
    """six agents, four of them sending as fast as they are taken; one of these is killed"""
    agents = start(pool, "kith")
    agents += start(pool, "kith", "-join", agents[0].join_addr, count=5)
    pool.full(agents, 30)
    listeners = [Listener(agent) for agent in agents]
    senders = [Sender(agent, EVENTS) for agent in agents[:3]] + [Sender(agents[5])]
    victim, rest = agents[5], listeners[:5]
    wait(lambda: all(sender.sent > EVENTS // 3 for sender in senders), SETTLE, lambda: [s.sent for s in senders])
    victim.kill()
    began = time.monotonic()
    wait(lambda: all(victim.name in one.failed for one in rest), DETECT, lambda: {o.agent.name: o.failed for o in rest})
    print("  known everywhere after %.1f s" % (time.monotonic() - began))
    for sender in senders:
        sender.join()
    for sender in senders[:3]:
        check(sender.sent == EVENTS, sender.agent.name, "took", sender.sent)
        told(rest, sender, EVENTS)
    counts = [0]

    def same():  # the last that the dead one took it may have told nobody, and one may have what the others fetch
        counts[:] = [len(one.heard.get(victim.name, [])) for one in rest]
        return len(set(counts)) == 1
    wait(same, SETTLE, lambda: "what is known of %s: %s" % (victim.name, counts))
    told(rest, senders[3], counts[0])
    check(counts[0] > EVENTS // 4, "of what it had taken before,", counts[0], "of", senders[3].sent, "are known")
    check(all(set(one.failed) == {victim.name} for one in rest), "held failed:", [one.failed for one in rest])
    pool.expect(agents[:5], {a.name: "failed" if a is victim else "alive" for a in agents}, 10)
    small(agents[:5])


@lib.case
def killed_mixed(pool):
    """four kith and three Serf, one of each kind killed: what kith agents take comes once and in order to kith agents"""
    kith = start(pool, "kith")
    kith += start(pool, "kith", "-join", kith[0].join_addr, count=3)
    serf = start(pool, "serf", "-join", kith[0].join_addr, count=3)
    pool.full(kith + serf, 60)
    victims = [kith[3], serf[2]]
    listeners = [Listener(agent) for agent in kith + serf]
    senders = [Sender(agent, EVENTS // 3, 0.002) for agent in kith[:2]] + [Sender(serf[0], 100, 0.02)]
    rest = listeners[:3]
    wait(lambda: all(sender.sent > 30 for sender in senders), SETTLE, lambda: [s.sent for s in senders])
    for victim in victims:
        victim.kill()
    for sender in senders:
        sender.join()
    names = {victim.name for victim in victims}
    wait(lambda: all(names <= set(one.failed) for one in rest), DETECT, lambda: {o.agent.name: o.failed for o in rest})
    for sender in senders[:2]:
        told(rest, sender, EVENTS // 3)
    for one in rest:  # what Serf's agents say is said without numbers, in any order, and may be lost
        numbers = one.heard.get(serf[0].name, [])
        check(len(set(numbers)) == len(numbers), one.agent.name, "hears again", sorted(numbers))
    check(all(set(one.failed) == names for one in rest), "held failed:", [one.failed for one in rest])
    live = [agent for agent in kith + serf if agent not in victims]
    pool.expect(live, {a.name: "failed" if a in victims else "alive" for a in kith + serf}, DETECT)
    small(kith[:3])


@lib.case
def churn(pool):
    """four agents send; ten others join at once, half of them are killed at once, some leave, and those come back"""
    steady = start(pool, "kith")
    steady += start(pool, "kith", "-join", steady[0].join_addr, count=3)
    pool.full(steady, 30)
    listeners = [Listener(agent) for agent in steady]
    senders = [Sender(agent, pause_s=0.01) for agent in steady]
    others = [pool.agent("kith", flags=["-join", steady[i % 4].join_addr]) for i in range(10)]
    for agent in others:
        agent.spawn()
    for agent in others:
        agent.ready()
    pool.full(steady + others, 30)
    late = [Listener(agent) for agent in others]
    killed_ones, left_ones, staying = others[:5], others[5:7], late[7:]
    for agent in left_ones:
        agent.connection().send("leave")
    for agent in killed_ones:
        agent.kill()
    names = {agent.name for agent in killed_ones}
    wait(lambda: all(names <= set(one.failed) for one in listeners), DETECT, lambda: [one.failed for one in listeners])
    for agent in left_ones:
        agent.drop_rpc()
        agent.exit_code(20)
    for agent in killed_ones + left_ones:
        agent.spawn()
    for agent in killed_ones + left_ones:
        agent.ready()
    pool.full(steady + others, DETECT)
    for sender in senders:
        sender.stop()
        check(sender.sent > 100, sender.agent.name, "took only", sender.sent)
        told(listeners, sender, sender.sent)
        name = sender.agent.name
        wait(lambda: all(one.heard.get(name, [-1])[-1] == sender.sent - 1 for one in staying), SETTLE,
             "the last of %s is told" % name)
        for one in staying:
            first = one.heard[name][0]  # when it had joined, and its listener too
            check(one.heard[name] == list(range(first, sender.sent)), one.agent.name, "hears of", name,
                  disorder(one.heard[name])[1:])
            check(not one.gaps, one.agent.name, "is told of gaps", one.gaps)
    check(all(set(one.failed) == names for one in listeners), "held failed:", [one.failed for one in listeners])
    small(steady)
    print("  %d events" % sum(sender.sent for sender in senders))


lib.main(__doc__)
