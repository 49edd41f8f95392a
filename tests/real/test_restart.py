#!/usr/bin/env python3
"""Twenty kith agents: kill -9 of five and restart under the same names, converging every time; a paused agent accuses nobody."""
import signal
import time

import lib

check = lib.check
DETECT = 45


def twenty(pool):
    first = pool.start("kith")
    agents = [first] + pool.start("kith", "-join", first.join_addr, count=19)
    print("  twenty agents, full views after %.1f s" % pool.full(agents, 60))
    return agents


@lib.case
def kill_and_restart(pool):
    """kill -9 of five, restart: once after all know of it, once at once, once in the middle; full views every time"""
    agents = twenty(pool)
    for round_number, pause in enumerate(("until known", 0, 3)):
        victims = agents[1 + 5 * round_number:6 + 5 * round_number]
        for victim in victims:
            victim.kill()
        rest = [a for a in agents if a not in victims]
        if pause == "until known":
            began = time.monotonic()
            view = {a.name: "failed" if a in victims else "alive" for a in agents}
            pool.expect(rest, view, DETECT)
            print("  five deaths known everywhere after %.1f s" % (time.monotonic() - began))
        else:
            time.sleep(pause)
        for victim in victims:
            victim.spawn("-join", rest[0].join_addr)
        for victim in victims:
            victim.ready()
        print("  restarted (pause: %s), full views after %.1f s" % (pause, pool.full(agents, DETECT)))
    # A late accusation of a previous life must not win: it would show within a suspicion's time.
    end = time.monotonic() + 12
    while time.monotonic() < end:
        for agent in agents:
            check(set(agent.statuses().values()) == {"alive"}, agent.name, "changed its mind:", agent.statuses())
        time.sleep(0.5)


@lib.case
def paused(pool):
    """kill -STOP of one for 20 s and back: it is alive again everywhere, and nobody else is ever called failed"""
    agents = twenty(pool)
    victim, others = agents[7], [a for a in agents if a is not agents[7]]
    stream = lib.Rpc(others[0].rpc_addr)
    own = lib.Rpc(victim.rpc_addr)
    for connection in (stream, own):
        seq = connection.send("stream", {"Type": "member-failed,member-leave"})
        check(connection.value() == {"Seq": seq, "Error": ""}, "streams are accepted")
    victim.signal(signal.SIGSTOP)
    accused, end = set(), time.monotonic() + 20
    while time.monotonic() < end:
        for agent in others:
            accused |= {(agent.name, n) for n, s in agent.statuses().items() if s != "alive"}
        time.sleep(0.5)
    check({name for _, name in accused} == {victim.name}, "accused while one was paused:", accused)
    victim.signal(signal.SIGCONT)
    print("  back after 20 s, full views after %.1f s" % pool.full(agents, 30))
    end = time.monotonic() + 12
    while time.monotonic() < end:
        for agent in agents:
            check(set(agent.statuses().values()) == {"alive"}, agent.name, "accuses:", agent.statuses())
        time.sleep(0.5)
    for connection, whose in ((stream, "another's"), (own, "its own")):
        failed = set()
        try:
            while True:
                failed |= {m["Name"] for m in connection.record(1)[1]["Members"]}
        except (OSError, ConnectionError):
            pass
        check(failed <= {victim.name}, "in %s stream these failed: %s" % (whose, failed))


lib.main(__doc__, needs=("kith",))
