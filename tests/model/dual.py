"""The executable model with a C replica beside each of its own: every step is taken by both, and both must agree.

A Dual is a model.Store; whatever it does, the C store does too, and the two states, deltas and reads are compared as bytes.
The encoders here are written from PROTOCOL.md, not from the C code.
"""
import ctypes
import os

from store import Delta, Session, Store, WrongType

KIND = {"reg": 1, "ctr": 2, "mv": 4, "set": 7, "hash": 8}
FINE, TYPE, NUMBER = 0, -2, -3
lib = ctypes.CDLL(os.environ["KITH_STORE_SHIM"])
for name, result in (("new", ctypes.c_void_p), ("clone", ctypes.c_void_p), ("open", ctypes.c_void_p),
                     ("delta", ctypes.c_size_t), ("state", ctypes.c_size_t), ("read", ctypes.c_size_t),
                     ("send", ctypes.c_size_t), ("out", ctypes.c_void_p)):
    getattr(lib, "shim_" + name).restype = result
lib.shim_new.argtypes = [ctypes.c_uint64]
lib.shim_renew.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
for name in ("free", "clone", "delta", "state", "open", "is_complete", "finish", "close", "session_free"):
    getattr(lib, "shim_" + name).argtypes = [ctypes.c_void_p]
lib.shim_do.argtypes = [ctypes.c_void_p] + [ctypes.c_char_p] * 4 + [ctypes.c_int64, ctypes.c_uint64]
lib.shim_put.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t,
                         ctypes.c_uint64]
lib.shim_merge.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.shim_read.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.shim_learn.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
                           ctypes.c_char_p, ctypes.c_size_t, ctypes.c_bool]
lib.shim_send.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
lib.shim_receive.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.shim_item.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]


class Disagreement(Exception):
    """The C store and the model do not say the same."""


def same(what, c, model):
    if c != model:
        raise Disagreement(f"{what}: the store says {c!r}, the model {model!r}")


# ---- bytes ----

def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def text(value):
    return str(value).encode()


def encode_cell(cell):
    value = cell.value.to_bytes(8, "big", signed=True) if cell.kind == "ctr" else text(cell.value)
    field = b"" if cell.kind == "ctr" else text(cell.field)
    out = bytes([KIND[cell.kind]]) + cell.dot[0].to_bytes(8, "big") + varint(cell.dot[1])
    out += (cell.stamp[0] << 16 | cell.stamp[1]).to_bytes(8, "big") + varint(0)
    for span in (text(cell.key), field, value):
        out += varint(len(span)) + span
    return out


def encode_runs(runs):
    """runs: {replica: [(low, high), ...]}"""
    out = b""
    for replica, own in sorted(runs.items()):
        out += replica.to_bytes(8, "big")
        before = -1
        for i, (low, high) in enumerate(own):
            out += varint(low - before - 2) + varint(2 * (high - low) + (i + 1 < len(own)))
            before = high
    return out


def runs_of(dots):
    runs = {}
    for replica, n in sorted(dots):
        own = runs.setdefault(replica, [])
        if own and own[-1][1] == n - 1:
            own[-1] = (own[-1][0], n)
        else:
            own.append((n, n))
    return runs


def encode_delta(delta):
    cells = [c for c in delta.cells if c.dot not in delta.retired]
    return varint(len(cells)) + b"".join(map(encode_cell, cells)) + encode_runs(runs_of(delta.retired))


def out(length):
    return ctypes.string_at(lib.shim_out(), length)


# ---- replicas ----

class Dual(Store):
    def __init__(self, rid, handle=None):
        super().__init__(rid)
        self.handle = handle or lib.shim_new(rid)

    def __del__(self):
        lib.shim_free(self.handle)

    def clone(self):
        other = Store.clone(self)
        lib.shim_free(other.handle)
        other.handle = lib.shim_clone(self.handle)
        other.agree()
        return other

    def restart(self, rid):
        super().restart(rid)
        lib.shim_renew(self.handle, rid)

    def agree(self):
        cells = sorted(self.cells.values(), key=lambda c: c.dot)
        wanted = varint(len(cells)) + b"".join(map(encode_cell, cells)) + encode_runs(self.context.runs)
        same("state", out(lib.shim_state(self.handle)), wanted)

    def agree_on(self, key):
        lines = out(lib.shim_read(self.handle, text(key))).decode().split("\n")[:-1]
        shown = self.read(key)
        if shown is None:
            same("read", lines, ["none"])
        elif shown[0] == "hash":
            same("read", [lines[0]] + sorted(lines[1:]), ["hash"] + [f"{f}={v}" for f, v in shown[1]])
        elif shown[0] == "set":
            same("read", [lines[0]] + sorted(lines[1:]), ["set"] + [f"{f}=" for f in shown[1]])
        elif shown[0] == "mv":
            same("read", [lines[0]] + sorted(lines[1:]), ["mv"] + sorted(map(str, shown[1])))
        else:
            same("read", lines, ["string", str(shown[1])])

    def step(self, command, key, field, value, by, now, model):
        """Both take the step: model is the model's way to take it."""
        code = lib.shim_do(self.handle, command.encode(), text(key), text(field), text(value), by, max(now, 0))
        return self.stepped(code, key, model)

    def stepped(self, code, key, model):
        try:
            delta = model()
        except WrongType:
            same("an error", code in (TYPE, NUMBER), True)
            raise
        same("an error", code, FINE)
        told = out(lib.shim_delta(self.handle))
        nothing = delta is None or not (delta.cells or delta.retired)
        same("delta", told, b"" if nothing else encode_delta(delta))
        self.agree()
        self.agree_on(key)
        return delta

    def set(self, key, value, now=0):
        return self.step("set", key, "", value, 0, now, lambda: Store.set(self, key, value, now))

    def delete(self, key, now=0):
        return self.step("delete", key, "", "", 0, now, lambda: Store.delete(self, key, now))

    def incr(self, key, amount, now=0):
        return self.step("incr", key, "", "", amount, now, lambda: Store.incr(self, key, amount, now))

    def sadd(self, key, member, now=0):
        return self.step("sadd", key, member, "", 0, now, lambda: Store.sadd(self, key, member, now))

    def srem(self, key, member, now=0):
        return self.step("srem", key, member, "", 0, now, lambda: Store.srem(self, key, member, now))

    def hset(self, key, field, value, now=0):
        return self.step("hset", key, field, value, 0, now, lambda: Store.hset(self, key, field, value, now))

    def hdel(self, key, field, now=0):
        return self.step("hdel", key, field, "", 0, now, lambda: Store.hdel(self, key, field, now))

    def collapse(self, key, kind, field):
        return self.step("collapse", key, field, "", 0, 0, lambda: Store.collapse(self, key, kind, field))

    def mv_put(self, key, value, token=None, now=0):
        dots = None
        if token is not None:
            token = [dot for dot in token if self.context.has(dot)]
            dots = (ctypes.c_uint64 * (2 * len(token)))(*[n for dot in token for n in dot])
        code = lib.shim_put(self.handle, text(key), text(value), dots, len(token or ()), max(now, 0))
        return self.stepped(code, key, lambda: Store.mv_put(self, key, value, token, now))

    def merge(self, delta):
        """Also what the model's own operations end in; those were taken by C already."""
        new = super().merge(delta)
        told = encode_delta(delta)
        same("merging", lib.shim_merge(self.handle, told, len(told)), FINE)
        return new


class DualSession(Session):
    """Where the C store does more or less than the rules ask for, the model does as well:

    of two contents under one dot both are sent, and each side waits for the other's (R19); what has come by another way
    meanwhile, or is known to be dead by now, is not waited for (R20); a cell that comes again is no error.
    """
    def __init__(self, store):
        self.twins = frozenset()
        self.handle = lib.shim_open(store.handle)
        super().__init__(store)

    def digest(self, cell):
        told, numbers = encode_cell(cell), (ctypes.c_uint64 * 2)()
        lib.shim_item(self.store.handle, told, len(told), numbers)
        return f"{numbers[0]:016x}{numbers[1]:016x}"

    def learn(self, peer_items, peer_context, peer_only):
        mine = self.only(peer_items)
        super().learn(peer_items, peer_context, peer_only)
        self.twins = mine.keys() & peer_only.keys()
        self.send = sorted({*self.send, *(self.cells[dot] for dot in self.twins)})
        self.expect.update(peer_only[dot] for dot in self.twins)
        lists = []
        for dots in (mine, peer_only):
            numbers = [n for dot in dots for n in dot]
            lists += [(ctypes.c_uint64 * len(numbers))(*numbers), len(dots)]
        context = encode_runs(peer_context.runs)
        sorts = len(self.twins) > 0 or len(context) % 2 == 0      # before cells come, or after
        same("learning", lib.shim_learn(self.handle, *lists, context, len(context), sorts), FINE)
        for place, cell in enumerate(self.send):
            same("a cell to send", out(lib.shim_send(self.handle, place)), encode_cell(cell))
        same("another cell to send", lib.shim_send(self.handle, len(self.send)), 0)

    def receive(self, cell):
        if self.closed:
            return super().receive(cell)
        told = encode_cell(cell)
        for _ in range(2):
            same("receiving", lib.shim_receive(self.handle, told, len(told)), FINE)
        fine = super().receive(cell)
        self.store.agree()
        return fine

    def complete(self):
        if self.peer_context is not None:
            self.expect.difference_update([item for dot, item in self.peer_only.items()
                                           if dot not in self.twins and self.store.context.has(dot)])
        complete = super().complete()
        if not self.closed:
            same("complete", bool(lib.shim_is_complete(self.handle)), complete)
        return complete

    def finish(self):
        lib.shim_finish(self.handle)
        super().finish()
        self.store.agree()

    def close(self):
        if not self.closed:
            lib.shim_close(self.handle)
        super().close()

    def __del__(self):
        lib.shim_session_free(self.handle)
