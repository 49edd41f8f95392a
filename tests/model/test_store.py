#!/usr/bin/env python3
"""The C store against the executable model: random histories, and every interleaving of a few actions up to a depth.

World (world.py) puts replicas, a careless network, crashes, restored backups and sessions around a store, with a witness
that remembers everything. Here each of its replicas is two, the model's and the C store's, which must agree as bytes after
every step (dual.py). So the C store is held to the model, and both to the witness. KITH_SOAK: many more.
"""
import itertools
import os
import random
import sys
import time

from dual import Disagreement, Dual, DualSession, encode_delta
from store import Cell, Delta, WrongType, exchange, introduce, join_deltas
from world import Violation, World

SOAK = "KITH_SOAK" in os.environ
HISTORIES = 100000 if SOAK else 4000
LAWS = 2000 if SOAK else 150
SEARCH_SECONDS = 60 if SOAK else 2


class DualWorld(World):
    store_type, session_type = Dual, DualSession


# ---- random histories ----

def random_op(rng, n):
    r = rng.random()
    if r < .22:
        return ("op", n, "sadd", "k", rng.choice("ab"))
    if r < .34:
        return ("op", n, "srem", "k", rng.choice("ab"))
    if r < .50:
        return ("op", n, "incr", "c", rng.choice((1, 2, 5, -3)))
    if r < .60:
        return ("op", n, "set", rng.choice("cr"), rng.randrange(10, 99))
    if r < .70:
        return ("op", n, "delete", rng.choice("kcrhm"))
    if r < .78:
        return ("op", n, "hset", rng.choice("hhk"), rng.choice("ab"), rng.randrange(10))
    if r < .82:
        return ("op", n, "hdel", "h", rng.choice("ab"))
    if r < .90:
        return ("op", n, "mv_put", "m", rng.randrange(10))
    return ("op", n, "collapse", *rng.choice((("r", "reg", ""), ("h", "hash", "a"), ("c", "reg", ""))))


ACTIONS = (  # weight, and how one is drawn
    (38, random_op),
    (14, lambda rng, n: ("deliver", rng.randrange(12), rng.random() < .25)),
    (2, lambda rng, n: ("lose", rng.randrange(12))),
    (2, lambda rng, n: ("group", rng.randrange(12))),
    (7, lambda rng, n: ("open", n, rng.randrange(3))),
    (7, lambda rng, n: ("accept", rng.randrange(3))),
    (12, lambda rng, n: ("flow", rng.randrange(3), rng.randrange(6))),
    (9, lambda rng, n: ("finish", rng.randrange(3), rng.randrange(2))),
    (1, lambda rng, n: ("abort", rng.randrange(3))),
    (4, lambda rng, n: ("sync", n)),
    (2, lambda rng, n: ("backup", n)),
    (2, lambda rng, n: ("crash", n)),
    (1, lambda rng, n: ("stop", n)),
    (1, lambda rng, n: ("wipe", n)),
    (1, lambda rng, n: ("restore", n)),
)


def random_actions(rng, count):
    draws = rng.choices([draw for _, draw in ACTIONS], [weight for weight, _ in ACTIONS], k=rng.randrange(4, 28))
    for draw in draws:
        action = draw(rng, rng.randrange(count))
        if action[0] != "open" or action[2] < count:
            yield action


def late_actions(rng, count):
    """What was written before a session comes while it lasts, when the peer may know it dead: else that is rare."""
    for _ in range(rng.randrange(2, 7)):
        yield random_op(rng, rng.randrange(count))
    yield ("open", 0, 1)
    yield ("accept", 0)
    for _ in range(rng.randrange(4, 14)):
        yield rng.choice((("deliver", rng.randrange(12), rng.random() < .25), ("flow", 0, rng.randrange(6)),
                          ("finish", 0, rng.randrange(2)), random_op(rng, rng.randrange(count))))


def replay(shape, actions, quiet_end=True):
    """The world, or the sentence that says what went wrong."""
    count, always, skew = shape
    world = DualWorld(count, always, list(skew))
    try:
        for action in actions:
            world.apply(action)
        if quiet_end:
            world.settle(("c",))
    except (Violation, Disagreement) as fault:
        return f"{type(fault).__name__}: {fault}"
    return world


def shrink(shape, actions):
    """Leaves out actions for as long as it still fails."""
    at = 0
    while at < len(actions):
        fewer = actions[:at] + actions[at + 1:]
        if isinstance(replay(shape, fewer), str):
            actions, at = fewer, 0
        else:
            at += 1
    return actions


def random_histories():
    steps = 0
    for seed in range(1, HISTORIES + 1):
        rng = random.Random(seed)
        count = rng.choice((2, 3, 3))
        shape = (count, tuple(n for n in range(count) if rng.random() < .3),
                 tuple(rng.choice((0, 0, 5, -4)) for _ in range(count)))
        actions = list((late_actions if seed % 4 == 0 else random_actions)(rng, count))
        steps += len(actions)
        if isinstance(replay(shape, actions), str):
            least = shrink(shape, actions)
            lines = "\n".join("    " + " ".join(map(str, action)) for action in least)
            raise AssertionError(f"seed {seed}, replicas {shape}: {replay(shape, least)}\n{lines}")
    return f"{HISTORIES} histories, {steps} steps"


# ---- exhaustive: three replicas, two keys, whatever order ----

SETS = (("sadd", "k", "a"), ("srem", "k", "a"))
SEARCHES = (  # what, shape, operations, disasters, depth
    ("a set on three", (3, (), (0, 0, 0)), SETS, (), 5),
    ("a set, tails lost", (2, (), (0, 0)), SETS, ("crash", "sync"), 6),
    ("two keys, disks lost", (3, (), (0, 0, 0)), (("sadd", "k", "a"), ("delete", "k"), ("set", "r", 1)),
     ("backup", "restore", "wipe"), 4),
    ("types and clocks", (2, (), (0, 7)), (("set", "k", 1), ("delete", "k"), ("hset", "k", "a", 2)), (), 6),
    ("counts", (2, (), (0, 0)), (("incr", "c", 1), ("delete", "c"), ("set", "c", 10)), ("crash",), 5),
    ("always", (2, (0, 1), (0, 0)), SETS, ("crash", "sync"), 6),
    ("collapse on three", (3, (), (0, 0, 0)), (("set", "r", 1), ("collapse", "r", "reg", "")), (), 5),
)


def choices(world, operations, disasters):
    count = len(world.nodes)
    for n in range(count):
        for operation in operations:
            yield ("op", n) + operation
        for name in disasters:
            yield (name, n)
    for k in range(len(world.net)):
        yield ("deliver", k, False)
    if not world.pairs:
        yield from (("open", i, j) for i, j in itertools.permutations(range(count), 2))
    for k, pair in enumerate(world.pairs):
        if pair.sides[1] is None:
            yield ("accept", k)
        for which in range(len(pair.flying)):
            yield ("flow", k, which)
        yield from (("finish", k, 0), ("finish", k, 1), ("abort", k))


def mark(world):
    nodes = tuple((n.store.rid, n.store.seq, n.store.clock, n.added, n.retired, n.store.canon(), n.durable[0].canon(),
                   n.durable[0].seq) for n in world.nodes)
    pairs = tuple((p.ends, tuple(p.seen), tuple(sorted(p.flying)),
                   tuple(s and (s.closed, s.peer_context is not None and tuple(sorted(s.expect)), tuple(sorted(s.late)))
                         for s in p.sides)) for p in world.pairs)
    net = tuple(sorted((m, tuple(c.dot for c in d.cells), tuple(sorted(d.retired))) for m, d, _, _ in world.net))
    return hash((nodes, pairs, net))


def allowed(trace, action, disasters):
    """At most four operations and two disasters."""
    if action[0] == "op":
        return sum(a[0] == "op" for a in trace) < 4
    return action[0] not in disasters or sum(a[0] in disasters for a in trace) < 2


def search(what, shape, operations, disasters, depth):
    """Every interleaving, states merged; each is reached by taking all its steps anew, and gets a quiet end."""
    began, seen, layer, whole = time.process_time(), set(), [()], 0
    for level in range(1, depth + 1):
        after = []
        for trace in layer:
            if time.process_time() - began > SEARCH_SECONDS:
                return f"{what}: {len(seen)} states, depth {whole} whole"
            for action in choices(replay(shape, trace, False), operations, disasters):
                longer = trace + (action,)
                if not allowed(trace, action, disasters):
                    continue
                world = replay(shape, longer, False)
                assert not isinstance(world, str), f"{what}: {world}: {longer}"
                state = mark(world)
                if state in seen:
                    continue
                seen.add(state)
                after.append(longer)
                try:
                    world.settle(("c",))
                except (Violation, Disagreement) as fault:
                    raise AssertionError(f"{what}: {fault}: {longer}") from fault
        layer, whole = after, level
    return f"{what}: {len(seen)} states, depth {whole} whole"


def exhaustive_searches():
    return "\n  ".join(search(*row) for row in SEARCHES)


# ---- laws ----

def delta_laws():
    """Any order, grouping and repetition of the same deltas gives cells less retired dots."""
    rng, tried = random.Random(1), 0
    for _ in range(LAWS):
        stores, deltas = [Dual(i + 1) for i in range(3)], []
        for _ in range(rng.randrange(2, 7)):
            action = random_op(rng, rng.randrange(3))
            arguments = {} if action[2] == "collapse" else {"now": rng.randrange(5)}
            try:
                delta = getattr(stores[action[1]], action[2])(*action[3:], **arguments)
            except WrongType:
                continue
            if delta:
                deltas.append(delta)
                for other in stores:
                    if rng.random() < .5:
                        other.merge(delta)
        retired = frozenset().union(*(d.retired for d in deltas))
        live = {c.dot: c for d in deltas for c in d.cells if c.dot not in retired}
        orders = list(itertools.permutations(deltas)) if len(deltas) <= 4 else \
            [rng.sample(deltas, len(deltas)) for _ in range(24)]
        for order in orders:
            fresh, i = Dual(9), 0
            order = list(order) + ([rng.choice(order)] if order else [])
            while i < len(order):
                size = rng.choice((1, 1, 2, 3))
                fresh.merge(join_deltas(*order[i:i + size]))
                i += size
            fresh.agree()
            tried += 1
            assert fresh.cells == live, order
    return f"{tried} orders, groupings and repetitions"


# ---- damage, which no history leads to ----

def damaged(rng):
    """Two replicas with the same few dots, whose contents may differ; and the contents of each."""
    stores, contents = (Dual(1), Dual(2)), {}
    for n in range(1, 6):
        for store in stores:
            cell = Cell((9, n), f"k{n}", "reg", "", (n, 0, 9), rng.choice("ab"))
            if rng.random() < .9:
                store.merge(Delta((cell,), frozenset()))
                contents.setdefault(n, []).append(cell)
    return stores, contents


def two_contents():
    """Of two contents the same stays everywhere, unless the dot is dead: before the session, while it lasts, or after (R19)."""
    rng, mended = random.Random(1), 0
    for _ in range(LAWS):
        (x, y), contents = damaged(rng)

        def retire():
            for store, n in itertools.product((x, y), range(1, 6)):
                if rng.random() < .05 and store.delete(f"k{n}").retired:
                    contents[n] = []

        retire()
        a, b = DualSession(x), DualSession(y)
        retire()
        introduce(a, b)
        flying = [(b, cell) for cell in a.send] + [(a, cell) for cell in b.send]
        for to, cell in rng.sample(flying, len(flying)):
            retire()
            to.receive(cell)
            to.complete()
        a.finish()
        b.finish()
        exchange(x, y, DualSession)
        wanted = {(9, n): max(cells, key=a.digest) for n, cells in contents.items() if cells}
        assert x.cells == y.cells == wanted and x.canon() == y.canon(), (x.cells, y.cells, wanted)
        mended += len(a.twins)
    return f"{mended} dots with two contents"


def main():
    failed = 0
    for test in (delta_laws, two_contents, random_histories, exhaustive_searches):
        try:
            print(f"ok      {test.__name__}: {test()}", flush=True)
        except (AssertionError, Disagreement, Violation) as fault:
            failed += 1
            print(f"FAILED  {test.__name__}: {fault}", flush=True)
    return 1 if failed else 0


sys.exit(main())
