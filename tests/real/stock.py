"""What the tests of the stock `serf` command share: two pools of one kind each, and comparing what it prints on either.

The pools have the same names and tags on parallel addresses. What may differ is rewritten before the comparison: the
network's number, and kith's own tag. Serf prints members in random order; so they are sorted.
"""
import json
import re

import lib

check = lib.check
NAMES = ("one", "two", "three")


def twin(pool, kind, flags=lambda path: ()):
    """Three agents; the network is 127.0.10 for Serf and 127.0.20 for kith. flags: made of the path of a file of the agent's
    own."""
    net = {"serf": "127.0.10.", "kith": "127.0.20."}[kind]
    made = []
    for i, name in enumerate(NAMES):
        tags = ["-tag", "role=" + ("web" if i < 2 else "db"), "-tag", "index=%d" % i]
        agent = lib.Agent(pool, kind, name, net + str(i + 1), flags=list(flags(pool.path(kind + "-" + name))) + tags)
        agent.log += "." + kind
        agent.net = net
        pool.agents.append(agent)
        made.append(agent.start(*(["-join", made[0].join_addr] if made else [])))
    pool.full(made, 30)
    return made


def plain(text, net):
    """The output without what has to differ, in a stable order."""
    text = text.replace(net, "127.0.N.")
    text = re.sub(r",_kith=[^,\s]*|_kith=[^,\s]*,?", "", text)
    lines = []
    for line in text.split("\n"):
        fields = re.split(r"(\s+)", line)
        # A tag list is in random order as well.
        lines.append("".join(",".join(sorted(f.split(","))) if "=" in f else f for f in fields).rstrip())
    return sorted(lines)


def as_json(text, net):
    before, brace, rest = text.replace(net, "127.0.N.").partition("{")
    value = json.loads(brace + rest)
    value["words before it"] = before
    for member in value.get("members") or []:
        member["tags"].pop("_kith", None)
    if isinstance(value.get("members"), list):
        value["members"].sort(key=lambda m: m["name"])
    return value


def same(serf, kith, *args, parse=plain):
    """Both answer the stock command alike. Returns what kith's agent made it print."""
    one, two = (a.cli(*args, binary=lib.SERF) for a in (serf, kith))
    check(one.code == two.code, "exit codes differ:\n", one, "\n", two)
    left, right = parse(one.out, serf.net), parse(two.out, kith.net)
    check(left == right, "serf %s differs:\n  on serf %s\n  on kith %s" % (" ".join(args), left, right))
    check(plain(one.err, serf.net) == plain(two.err, kith.net), "standard errors differ:", one, two)
    return two
