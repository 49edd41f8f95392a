"""kith's replicated store as a small executable reference.

A replica's state is a set of dotted cells and one causal context. Nothing here does I/O, reads a clock or
draws randomness: the caller gives the replica id and the time. Rule numbers (R1..) are those of PROTOCOL.md, "The store".

A dot is (replica id, sequence number). A dot in the context and not among the live cells is dead, for ever;
that is the only memory of a delete. A live cell's dot is always in the context.
"""
from collections import namedtuple
import hashlib

Cell = namedtuple("Cell", "dot key kind field stamp value")
Delta = namedtuple("Delta", "cells retired")        # (tuple of cells, frozenset of dots)

# What a key is when cells of several types are live: the highest rank shows, the others stay hidden (R15).
TYPE_OF = {"hash": "hash", "set": "set", "mv": "mv", "reg": "string", "ctr": "string"}
RANK = ("hash", "set", "mv", "string")
COUNT_MAX = 0xFFFF                                   # the logical part of a stamp is 16 bits


class WrongType(Exception):
    pass


class Context:
    """Per replica id, a sorted tuple of closed intervals of sequence numbers, never adjacent."""
    __slots__ = ("runs",)

    def __init__(self, runs=None):
        self.runs = dict(runs or {})

    def copy(self):
        return Context(self.runs)

    def has(self, dot):
        for low, high in self.runs.get(dot[0], ()):
            if low <= dot[1] <= high:
                return True
        return False

    def add_run(self, rid, low, high):
        out = []
        for a, b in self.runs.get(rid, ()):
            if b < low - 1 or a > high + 1:
                out.append((a, b))
            else:
                low, high = min(a, low), max(b, high)
        out.append((low, high))
        self.runs[rid] = tuple(sorted(out))

    def add(self, dot):
        self.add_run(dot[0], dot[1], dot[1])

    def join(self, other):
        for rid, runs in other.runs.items():
            if self.runs.get(rid) != runs:
                for low, high in runs:
                    self.add_run(rid, low, high)

    def highest(self, rid):
        runs = self.runs.get(rid)
        return runs[-1][1] if runs else 0

    def dots(self):
        return {(rid, n) for rid, runs in self.runs.items() for a, b in runs for n in range(a, b + 1)}

    def canon(self):
        return tuple(sorted(self.runs.items()))


def digest(cell):
    """128-bit item of a cell; every byte of it counts. (The library's is keyed; any injective one serves here.)"""
    return hashlib.blake2b(repr(tuple(cell)).encode(), digest_size=16).hexdigest()


def join_deltas(*deltas):
    """A group of deltas as one delta (R6)."""
    retired = frozenset().union(*(d.retired for d in deltas))
    cells = {c.dot: c for d in deltas for c in d.cells if c.dot not in retired}
    return Delta(tuple(cells[dot] for dot in sorted(cells)), retired)


class Store:
    def __init__(self, rid):
        self.rid, self.seq = rid, 0
        self.clock = (0, 0)                          # highest hybrid logical stamp seen (ms, count)
        self.context = Context()
        self.cells = {}                              # dot -> live cell
        self.sessions = []                           # open session sides; they hear of every cell that joins

    def clone(self):
        other = type(self)(self.rid)
        other.seq, other.clock = self.seq, self.clock
        other.context, other.cells = self.context.copy(), dict(self.cells)
        return other

    def restart(self, rid):
        """Not provably intact, or an old copy: same cells and context, a replica id never used before (R3)."""
        self.rid, self.seq, self.sessions = rid, 0, []

    # --- merge ------------------------------------------------------------------------------------------

    def merge(self, delta):
        """Apply a delta wholly (R5). Returns True if anything was new. Deltas commute, associate, repeat."""
        new = False
        for dot in delta.retired:
            new |= self.kill(dot)
        for cell in delta.cells:
            if self.context.has(cell.dot):
                continue                             # live already, or dead: old news either way
            self.live(cell)
            new = True
        return new

    def live(self, cell):
        self.context.add(cell.dot)
        self.cells[cell.dot] = cell
        self.clock = max(self.clock, cell.stamp[:2])
        for session in self.sessions:
            session.late.add(cell.dot)

    def kill(self, dot):
        """The dot is dead, whether or not its cell ever came (R5)."""
        was = not self.context.has(dot) or dot in self.cells
        self.context.add(dot)
        self.cells.pop(dot, None)
        return was

    # --- local operations: each returns the delta it applied --------------------------------------------

    def tick(self, now, floor):
        """A stamp above the clock and above every stamp it supersedes (R4)."""
        ms, count = self.clock
        ms, count = (ms, count + 1) if ms >= now else (now, 0)
        if (ms, count) <= floor:
            ms, count = floor[0], floor[1] + 1
        if count > COUNT_MAX:
            ms, count = ms + 1, 0
        self.clock = (ms, count)
        return (ms, count, self.rid)

    def write(self, new, retire, now):
        """new: (key, kind, field, value) tuples; retire: dots this write has seen and supersedes."""
        floor = max([self.cells[d].stamp[:2] for d in retire if d in self.cells], default=(0, 0))
        cells = []
        if new:
            stamp = self.tick(now, floor)
            for key, kind, field, value in new:
                self.seq += 1
                cells.append(Cell((self.rid, self.seq), key, kind, field, stamp, value))
        delta = Delta(tuple(cells), frozenset(retire))
        self.merge(delta)
        return delta

    def of(self, key, kind=None, field=None):
        return [c for c in self.cells.values() if c.key == key and (kind is None or c.kind == kind)
                and (field is None or c.field == field)]

    def type(self, key):
        types = {TYPE_OF[c.kind] for c in self.cells.values() if c.key == key}
        return next((t for t in RANK if t in types), None)

    def need(self, key, wanted):
        if self.type(key) not in (None, wanted):
            raise WrongType(key)

    def delete(self, key, now=0):
        """DEL: every cell of the key this replica sees, hidden ones too. Cells it has not seen survive (R13)."""
        return self.write((), [c.dot for c in self.of(key)], now)

    def set(self, key, value, now=0):
        """SET: replaces whatever it sees under the key, of any type (R9)."""
        return self.write([(key, "reg", "", value)], [c.dot for c in self.of(key)], now)

    def mv_put(self, key, value, token=None, now=0):
        """Multi-value put: supersedes the siblings named by the token, by default those seen here (R10)."""
        self.need(key, "mv")
        seen = [c.dot for c in self.of(key, "mv")]
        if token is not None:
            seen = [dot for dot in token if self.context.has(dot)]
        return self.write([(key, "mv", "", value)], seen, now)

    def incr(self, key, amount, now=0):
        """INCR: a new share of this replica, holding its old share and the amount (R11)."""
        self.need(key, "string")
        base = self.winner(self.of(key, "reg"))
        if base is not None and not isinstance(base.value, int):
            raise WrongType(key)
        mine = [c for c in self.of(key, "ctr", self.rid)]
        total = max(mine, key=lambda c: c.dot[1]).value if mine else 0
        return self.write([(key, "ctr", self.rid, total + amount)], [c.dot for c in mine], now)

    def sadd(self, key, member, now=0):
        self.need(key, "set")
        return self.write([(key, "set", member, "")], [c.dot for c in self.of(key, "set", member)], now)

    def srem(self, key, member, now=0):
        self.need(key, "set")
        return self.write((), [c.dot for c in self.of(key, "set", member)], now)

    def hset(self, key, field, value, now=0):
        self.need(key, "hash")
        return self.write([(key, "hash", field, value)], [c.dot for c in self.of(key, "hash", field)], now)

    def hdel(self, key, field, now=0):
        self.need(key, "hash")
        return self.write((), [c.dot for c in self.of(key, "hash", field)], now)

    def collapse(self, key, kind, field):
        """Housekeeping: retire the losers of a register. The delta carries the winner, never retirements alone,
        so no replica loses a value to one it has not got (R14)."""
        assert kind in ("reg", "hash")
        cells = self.of(key, kind, field)
        if len(cells) < 2:
            return None
        best = self.winner(cells)
        delta = Delta((best,), frozenset(c.dot for c in cells if c is not best))
        self.merge(delta)
        return delta

    # --- reads ------------------------------------------------------------------------------------------

    @staticmethod
    def winner(cells):
        return max(cells, key=lambda c: (c.stamp, c.dot), default=None)

    def read(self, key):
        kind = self.type(key)
        if kind is None:
            return None
        if kind == "mv":
            return ("mv", tuple(sorted(c.value for c in self.of(key, "mv"))))
        if kind == "set":
            return ("set", tuple(sorted({c.field for c in self.of(key, "set")})))
        if kind == "hash":
            fields = {c.field for c in self.of(key, "hash")}
            return ("hash", tuple((f, self.winner(self.of(key, "hash", f)).value) for f in sorted(fields)))
        base, shares = self.winner(self.of(key, "reg")), {}
        for c in sorted(self.of(key, "ctr")):        # by dot: a replica's newest share counts, once
            shares[c.field] = c.value
        if base is not None and (not shares or not isinstance(base.value, int)):
            return ("string", base.value)
        return ("string", (base.value if base else 0) + sum(shares.values()))

    def canon(self):
        """The replicated state: equal on two replicas exactly when they agree."""
        return (self.context.canon(), tuple(sorted(self.cells.values(), key=lambda c: c.dot)))


class Session:
    """One side of an anti-entropy session (R16-R21). Snapshot, learn the peer's snapshot, receive, finish.

    The snapshot keeps its cells: one that is retired meanwhile is still sent as it was (limbo). What the side sends
    and claims is therefore exactly one past state of its replica, and finish() is the join with such a state.
    """
    digest = staticmethod(digest)

    def __init__(self, store):
        self.store = store
        self.cells = dict(store.cells)               # dot -> cell, as at the snapshot
        self.items = {self.digest(c): c.dot for c in self.cells.values()}
        self.context = store.context.copy()
        self.late = set()                            # dots that became live here since the snapshot
        self.peer_context = None
        self.closed = False
        store.sessions.append(self)

    def only(self, peer_items):
        """This side's items the peer lacks: what the decoded sketch yields. dot -> digest."""
        return {dot: item for item, dot in self.items.items() if item not in peer_items}

    def learn(self, peer_items, peer_context, peer_only):
        """peer_only: the dots and digests of the peer's items that this side lacks."""
        self.peer_context, self.peer_only = peer_context.copy(), dict(peer_only)
        self.send, self.drop, self.expect = [], [], set()
        for dot, item in sorted(self.only(peer_items).items()):
            if dot in peer_only:                     # one dot, two contents: damage. The greater digest stays (R19)
                if item > peer_only[dot]:
                    self.send.append(self.cells[dot])
            elif peer_context.has(dot):
                self.drop.append(dot)                # the peer knows it and has it not: dead
            else:
                self.send.append(self.cells[dot])
        mine = self.only(peer_items)
        for dot, item in peer_only.items():
            if item > mine[dot] if dot in mine else not self.context.has(dot):
                self.expect.add(item)

    def receive(self, cell):
        """A cell of the session joins at once, like a delta without retirements (R18). False: not expected."""
        item = self.digest(cell)
        if self.closed or item not in self.expect:
            return False
        self.expect.discard(item)
        mine = self.store.cells.get(cell.dot)
        if mine is not None and self.digest(mine) < item:
            self.store.cells[cell.dot] = cell        # R19
        self.store.merge(Delta((cell,), frozenset()))
        return True

    def complete(self):
        return self.peer_context is not None and not self.expect and not self.closed

    def finish(self):
        """All expected cells have been applied: drop, then join, in one transaction (R20)."""
        assert self.complete()
        for dot in self.drop:
            self.store.kill(dot)
        for dot in self.late:                        # came since the snapshot, and the peer already knew it dead
            if self.peer_context.has(dot) and dot not in self.peer_only:
                self.store.kill(dot)
        self.store.context.join(self.peer_context)
        self.close()

    def close(self):
        self.closed = True
        if self in self.store.sessions:
            self.store.sessions.remove(self)


def introduce(a, b):
    """Both sides learn of each other, as after a decoded sketch and the exchange of contexts and names."""
    a_only, b_only = a.only(b.items), b.only(a.items)
    a.learn(b.items, b.context, b_only)
    b.learn(a.items, a.context, a_only)


def exchange(x, y, session_type=Session):
    """A quiet complete exchange between two stores."""
    a, b = session_type(x), session_type(y)
    introduce(a, b)
    for cell in a.send:
        b.receive(cell)
    for cell in b.send:
        a.receive(cell)
    a.finish()
    b.finish()
