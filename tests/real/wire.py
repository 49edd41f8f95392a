"""Bytes for the tests: msgpack, LZW, AES-GCM framing and memberlist messages, written from the protocol's
description and sharing nothing with kith's own code, so that one checks the other.

Two msgpack dialects: gossip uses the old "raw" strings only (no str8, no bin); the agent's RPC uses str8 and bin.
"""
import ctypes
import struct
import zlib

PING, INDIRECT_PING, ACK, SUSPECT, ALIVE, DEAD, PUSH_PULL, COMPOUND, USER = range(9)
COMPRESS, ENCRYPT, NACK, HAS_CRC, ERR = 9, 10, 11, 12, 13
LABEL = 244
VSN = bytes([1, 5, 2, 2, 5, 5])


# ---- msgpack ----

def _head(n, small, small_max, codes):
    """The header of a sized thing: a fix form up to small_max, else the first of (limit, byte, format) that fits."""
    if n <= small_max:
        return bytes([small | n])
    for limit, code, fmt in codes:
        if n <= limit:
            return struct.pack(">B" + fmt, code, n)
    raise ValueError("too long for msgpack")


def _raw(data, is_bytes, rpc):
    if rpc and is_bytes:
        return _head(len(data), 0, -1, ((255, 0xC4, "B"), (65535, 0xC5, "H"), (2**32 - 1, 0xC6, "I"))) + data
    codes = ((65535, 0xDA, "H"), (2**32 - 1, 0xDB, "I"))
    if rpc:
        codes = ((255, 0xD9, "B"),) + codes
    return _head(len(data), 0xA0, 31, codes) + data


def pack(value, rpc=False):
    """Encodes a value. Map keys are sorted, as peers send them."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if value < 0:
            for limit, code, fmt in ((-32, None, "b"), (-128, 0xD0, "b"), (-2**15, 0xD1, "h"), (-2**31, 0xD2, "i"),
                                     (-2**63, 0xD3, "q")):
                if value >= limit:
                    return (b"" if code is None else bytes([code])) + struct.pack(">" + fmt, value)
        return _head(value, 0, 127, ((255, 0xCC, "B"), (65535, 0xCD, "H"), (2**32 - 1, 0xCE, "I"),
                                     (2**64 - 1, 0xCF, "Q")))
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return _raw(value.encode(), False, rpc)
    if isinstance(value, (bytes, bytearray)):
        return _raw(bytes(value), True, rpc)
    if isinstance(value, (list, tuple)):
        return (_head(len(value), 0x90, 15, ((65535, 0xDC, "H"), (2**32 - 1, 0xDD, "I"))) +
                b"".join(pack(v, rpc) for v in value))
    if isinstance(value, dict):
        return (_head(len(value), 0x80, 15, ((65535, 0xDE, "H"), (2**32 - 1, 0xDF, "I"))) +
                b"".join(pack(k, rpc) + pack(value[k], rpc) for k in sorted(value)))
    raise TypeError(type(value))


class Short(Exception):
    """The bytes end before the value does."""


class Reader:
    """Decodes values from a growing buffer; strings that are UTF-8 come out as str, else bytes."""

    FIXED = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
             0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
    SIZED = {0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xD9: ("str", ">B"), 0xDA: ("str", ">H"),
             0xDB: ("str", ">I"), 0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"),
             0xDF: ("map", ">I")}

    def __init__(self, data=b""):
        self.data = data
        self.at = 0

    def take(self, n):
        if self.at + n > len(self.data):
            raise Short()
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self):
        code = self.take(1)[0]
        if code < 0x80:
            return code
        if code >= 0xE0:
            return code - 256
        if code < 0x90:
            return self.body("map", code & 15)
        if code < 0xA0:
            return self.body("array", code & 15)
        if code < 0xC0:
            return self.body("str", code & 31)
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code]
        if code in self.FIXED:
            fmt = self.FIXED[code]
            return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]
        kind, fmt = self.SIZED[code]
        return self.body(kind, struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0])

    def body(self, kind, n):
        if kind == "map":
            return {self.value(): self.value() for _ in range(n)}
        if kind == "array":
            return [self.value() for _ in range(n)]
        data = self.take(n)
        if kind == "bin":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data


# ---- compression: LZW, least significant bit first, 8-bit literals, clear 256, end 257 ----

def lzw(data):
    out, bits, nbits = bytearray(), 0, 0
    hi, overflow, width, table = 257, 512, 9, {}

    def emit(code):
        nonlocal bits, nbits
        bits |= code << nbits
        nbits += width
        while nbits >= 8:
            out.append(bits & 255)
            bits >>= 8
            nbits -= 8

    def advance():
        """After each data code; True if the table was cleared."""
        nonlocal hi, overflow, width
        hi += 1
        if hi == overflow:
            width += 1
            overflow *= 2
        if hi == 4095:
            emit(256)
            width, hi, overflow = 9, 257, 512
            table.clear()
            return True
        return False

    emit(256)
    code = None
    for byte in data:
        if code is None:
            code = byte
        elif (code, byte) in table:
            code = table[code, byte]
        else:
            emit(code)
            key = (code, byte)
            if not advance():
                table[key] = hi
            code = byte
    if code is not None:
        emit(code)
        advance()
    emit(257)
    if nbits:
        out.append(bits & 255)
    return bytes(out)


def compress(data):
    return bytes([COMPRESS]) + pack({"Algo": 0, "Buf": lzw(data)})


def crc(data):
    return struct.pack(">BI", HAS_CRC, zlib.crc32(data)) + data


def compound(parts):
    return bytes([COMPOUND, len(parts)]) + b"".join(struct.pack(">H", len(p)) for p in parts) + b"".join(parts)


# ---- encryption, by libcrypto (which Debian's python3 brings along) ----

class Gcm:
    """AES-GCM sealing. The nonce is given by the caller: tests want to repeat themselves."""

    def __init__(self, key):
        self.key = key
        self.lib = ctypes.CDLL("libcrypto.so.3")
        for name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_gcm", "EVP_aes_192_gcm", "EVP_aes_256_gcm"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.cipher = getattr(self.lib, "EVP_aes_%d_gcm" % (len(key) * 8))()
        self.ctx = ctypes.c_void_p(self.lib.EVP_CIPHER_CTX_new())

    def seal(self, plain, nonce, aad=b""):
        lib, ctx, n = self.lib, self.ctx, ctypes.c_int()
        out, tag = ctypes.create_string_buffer(len(plain) + 16), ctypes.create_string_buffer(16)
        good = lib.EVP_EncryptInit_ex(ctx, ctypes.c_void_p(self.cipher), None, self.key, nonce)
        if aad:
            good &= lib.EVP_EncryptUpdate(ctx, None, ctypes.byref(n), aad, len(aad))
        good &= lib.EVP_EncryptUpdate(ctx, out, ctypes.byref(n), plain, len(plain))
        good &= lib.EVP_EncryptFinal_ex(ctx, None, ctypes.byref(ctypes.c_int()))
        good &= lib.EVP_CIPHER_CTX_ctrl(ctx, 0x10, 16, tag)  # EVP_CTRL_GCM_GET_TAG
        if good != 1:
            raise RuntimeError("libcrypto refused to seal")
        return out.raw[:len(plain)] + tag.raw

    def packet(self, plain, nonce):
        return b"\x01" + nonce + self.seal(plain, nonce)

    def stream(self, plain, nonce):
        head = struct.pack(">BI", ENCRYPT, 1 + 12 + len(plain) + 16)
        return head + b"\x01" + nonce + self.seal(plain, nonce, head)


# ---- messages ----

def message(kind, **fields):
    return bytes([kind]) + pack(fields)


def ping(seq, node, source=None):
    """source: (4 address bytes, port, name), as real peers send; None leaves it out."""
    fields = {"SeqNo": seq, "Node": node}
    if source:
        fields.update(SourceAddr=source[0], SourcePort=source[1], SourceNode=source[2])
    return message(PING, **fields)


def alive(node, addr, port, incarnation=1, meta=b"\xff\x80", vsn=VSN):
    return message(ALIVE, Node=node, Addr=addr, Port=port, Incarnation=incarnation, Meta=meta, Vsn=vsn)


def push_pull(nodes, user_state=b"", join=True, count=None, user_len=None):
    """A push/pull stream. count and user_len override what the header claims, for the lies of hostile peers."""
    head = pack({"Nodes": len(nodes) if count is None else count, "Join": join,
                 "UserStateLen": len(user_state) if user_len is None else user_len})
    return bytes([PUSH_PULL]) + head + b"".join(pack(n) for n in nodes) + user_state


def node_state(name, addr, port, incarnation=1, state=0, meta=b"\xff\x80", vsn=VSN):
    return {"Name": name, "Addr": addr, "Port": port, "Incarnation": incarnation, "State": state, "Meta": meta,
            "Vsn": vsn}


def serf(kind, **fields):
    """A Serf gossip message as a memberlist user message."""
    return bytes([USER, kind]) + pack(fields)


def user_state(members, ltime=1):
    return b"\x02" + pack({"LTime": ltime, "StatusLTimes": {m: ltime for m in members}, "LeftMembers": [],
                           "EventLTime": 1, "Events": [], "QueryLTime": 1})


def self_check():
    """The protocol's golden vectors; raises if this file is wrong."""
    small = bytes.fromhex("0082a44e6f6465a5616c706861a55365714e6f4d")
    assert ping(77, "alpha") == small
    assert crc(small) == bytes.fromhex("0c1565d633") + small
    assert lzw(b"") == bytes.fromhex("000302") and lzw(b"a") == bytes.fromhex("00c30404")
    assert lzw(b"abababab") == bytes.fromhex("00c3881148504c40")
    nonce = bytes(range(0x64, 0x70))
    sealed = bytes.fromhex("1ae0eaebb466dd5ffa522778e76f788941c617b2")
    gcm = Gcm(bytes(range(16)))
    assert gcm.packet(small, nonce) == b"\x01" + nonce + sealed + bytes.fromhex("faa3fac511ae939f714e6639fe44b139")
    assert gcm.stream(small, nonce) == (bytes.fromhex("0a0000003101") + nonce + sealed +
                                        bytes.fromhex("bd4980cad3b71477b934b60d07eca0d8"))
    assert alive("alpha", b"\x7f\0\0\1", 0x461A, meta=b"\xff" + pack({"role": "web"})) == bytes.fromhex(
        "0486a441646472a47f000001ab496e6361726e6174696f6e01a44d657461abff81a4726f6c65a3776562a44e6f6465a5616c706861"
        "a4506f7274cd461aa356736ea6010502020505")


if __name__ == "__main__":
    self_check()
    print("wire.py agrees with the golden vectors")
