#!/usr/bin/env python3
"""kith and Serf in one plain pool: joining in either direction, tags, leave, kill -9 and return, IPv6."""
import lib

check, wait = lib.check, lib.wait
DETECT = 45  # suspicion may take 24 s with few members, and a coalescing delay comes on top


def expect_tags(observers, agent, tags, timeout=20):
    def all_see():
        return all(o.members().get(agent.name, {}).get("Tags") == tags for o in observers)
    wait(all_see, timeout, lambda: "tags of %s are %s everywhere, but: %s" % (
        agent.name, tags, {o.name: o.members().get(agent.name, {}).get("Tags") for o in observers}))


def announced(agent, tags):
    """The tags others should see: kith adds its own channel's tag."""
    mine = agent.members()[agent.name]["Tags"]
    extra = {k: v for k, v in mine.items() if k == "_kith"}
    check(agent.kind == "kith" or not extra, "a serf with a _kith tag?")
    return dict(tags, **extra)


@lib.case
def join_either_way(pool):
    """a kith joins a Serf, a Serf joins a kith, by -join and by RPC, and each lists the other as its own list has it"""
    serf1 = pool.start("serf")
    kith1 = pool.start("kith", "-join", serf1.join_addr)
    pool.full([serf1, kith1], 20)
    kith2 = pool.start("kith")
    serf2 = pool.start("serf", "-join", kith2.join_addr)
    pool.full([kith2, serf2], 20)
    check(serf1.join(kith2) == 1, "serf joined one")
    pool.full(timeout=30)
    kith3, serf3 = pool.start("kith"), pool.start("serf")
    check(kith3.join(kith1, serf3) == 2, "kith joined two")
    pool.full(timeout=75)  # a Serf that gossip happened to miss waits for its next two push/pulls
    for observer in pool.agents:
        for name, seen in observer.members().items():
            own = next(a for a in pool.agents if a.name == name).members()[name]
            check(seen == own, "%s lists %s as\n  %s\nbut itself it says\n  %s" % (observer.name, name, seen, own))


@lib.case
def tags(pool):
    """tags set at start and at run time are seen both ways, changed and deleted"""
    serf = pool.start("serf", "-tag", "role=web", "-tag", "dc=east")
    kith = pool.start("kith", "-tag", "role=cache", "-tag", "note=a=b, c", "-join", serf.join_addr)
    both = [serf, kith]
    pool.full(both, 20)
    expect_tags(both, serf, {"role": "web", "dc": "east"})
    expect_tags(both, kith, announced(kith, {"role": "cache", "note": "a=b, c"}))
    for agent in both:
        before = announced(agent, {})
        agent.set_tags({"new": "1", "role": "db"}, ["dc", "note"])
        expect_tags(both, agent, dict(before, new="1", role="db"))
        agent.set_tags({}, ["new", "role"])
        expect_tags(both, agent, before)
    too_long = {"big": "x" * 600}
    for agent in both:
        try:
            agent.set_tags(too_long)
        except lib.RpcError:
            continue
        raise lib.Failure("%s took tags of more than 512 bytes" % agent.kind)
    expect_tags(both, kith, announced(kith, {}))


@lib.case
def exits_and_returns(pool):
    """5 + 5: leave, kill -9 and return on both sides, seen by all"""
    first = pool.start("serf")
    rest = pool.start("serf", "-join", first.join_addr, count=4) + pool.start("kith", "-join", first.join_addr, count=5)
    agents = [first] + rest
    print("  ten agents, full views after %.1f s" % pool.full(agents, 60))
    by_kind = {kind: [a for a in agents[1:] if a.kind == kind] for kind in ("serf", "kith")}
    leaving = [by_kind["serf"][0], by_kind["kith"][0]]
    killed = [by_kind["serf"][1], by_kind["kith"][1]]
    for agent in leaving:
        agent.leave()
    for agent in killed:
        agent.kill()
    stay = [a for a in agents if a not in leaving + killed]
    view = {a.name: "alive" for a in stay}
    view.update({a.name: "left" for a in leaving})
    view.update({a.name: "failed" for a in killed})
    pool.expect(stay, view, DETECT)
    for agent in leaving + killed:
        agent.start("-join", stay[0 if agent.kind == "kith" else 5].join_addr)
    print("  all back after %.1f s" % pool.full(agents, DETECT))


@lib.case
def ipv6(pool):
    """2 + 2 on ::1, each on a port of its own"""
    agents = []
    for i, kind in enumerate(("serf", "kith", "serf", "kith")):
        flags = ["-join", agents[0].join_addr] if agents else []
        agents.append(pool.agent(kind, ip="::1", port=7946 + 10 * i, rpc_ip="127.0.0.%d" % (i + 1), flags=flags).start())
    pool.full(agents, 30)
    for observer in agents:
        for agent in agents:
            seen = observer.members()[agent.name]
            check(seen["Addr"] in (b"\0" * 15 + b"\1", "\0" * 15 + "\1") and seen["Port"] == agent.port,
                  observer.name, "sees", agent.name, "at", seen["Addr"], seen["Port"])
    agents[1].kill()
    agents[2].kill()
    pool.expect([agents[0], agents[3]], {a.name: "failed" if a in agents[1:3] else "alive" for a in agents}, DETECT)


lib.main(__doc__)
