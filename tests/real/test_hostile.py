#!/usr/bin/env python3
"""Bytes meant to do harm: the agent stays up and small, its members stay as they are, nothing goes to forged addresses.

By UDP and TCP, with and without a key. KITH_SOAK=1: ten million mutations instead of one. Against serf this suite fails.
"""
import base64
import functools
import os
import random
import socket
import struct
import time

import lib
import wire

check = lib.check
KEY = bytes(range(16))
MUTATIONS = 10000000 if os.environ.get("KITH_SOAK") else 1000000
# Under a sanitizer every allocation costs several times its size, and freed memory is kept back.
GROWTH = (1024 if lib.SANITIZED else 48) << 20
PEAK = GROWTH + (128 << 20)  # a stream may use its budget while it lasts
ATTACKER, VICTIM = "127.0.0.200", "127.0.0.66"
LOOPBACK = bytes([127, 0, 0, 1])
NOBODY = bytes([127, 0, 0, 250])


class Attack:
    """A target with one honest peer, sockets to shoot from, a forged third party's socket, and what must stay true."""

    def __init__(self, pool, key=None):
        flags = ["-encrypt", base64.b64encode(key).decode()] if key else []
        self.pool, self.gcm, self.seq = pool, wire.Gcm(key) if key else None, 1 << 20
        self.target = pool.start("kith", *flags, "-tag", "role=target")
        self.peer = pool.start("kith", *flags, "-join", self.target.join_addr, "-tag", "role=peer")
        pool.full([self.target, self.peer], 20)
        self.addr = (self.target.ip, self.target.port)
        self.udp = self.bound(ATTACKER)
        self.victim = self.bound(VICTIM, 9999)
        self.victim_tcp = socket.create_server((VICTIM, 9999))
        self.victim_tcp.settimeout(0)
        self.alive()
        self.before = self.view()
        self.size = self.target.resident()

    @staticmethod
    def bound(ip, port=0):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
        sock.bind((ip, port))
        sock.settimeout(0.5)
        return sock

    def view(self):
        """Members as the two agents list them; their own tags included."""
        return [agent.members() for agent in (self.target, self.peer)]

    def nonce(self):
        self.seq += 1
        return struct.pack(">IQ", 7, self.seq)

    def seal(self, plain):
        return self.gcm.packet(plain, self.nonce()) if self.gcm else plain

    def seal_stream(self, plain):
        return self.gcm.stream(plain, self.nonce()) if self.gcm else plain

    def alive(self):
        """A valid ping is acknowledged: all that was sent before has been read, and the agent is well."""
        self.seq += 1
        seq = self.seq & 0xFFFFFFFF
        packet = wire.ping(seq, self.target.name)
        for _ in range(20):
            check(self.target.running(), "the agent died, exit code", self.target.proc.poll())
            self.udp.sendto(self.seal(packet), self.addr)
            try:
                while True:
                    answer = self.udp.recv(65536)
                    # Sealed answers cannot be opened here: any answer is one to our only valid question.
                    if self.gcm or b"\xa5SeqNo" + wire.pack(seq) in answer:
                        return
            except socket.timeout:
                continue
        raise lib.Failure("the agent does not acknowledge a valid ping any more")

    def dropped(self):
        """Datagrams for the target that its socket had no room for."""
        where = "%s:%04X" % (bytes(reversed(socket.inet_aton(self.target.ip))).hex().upper(), self.target.port)
        with open("/proc/thread-self/net/udp") as file:
            return sum(int(line.split()[-1]) for line in file if line.split()[1] == where)

    def shoot(self, packets, seal=False):
        """Datagrams, with a pause for the agent to read every so often. Says how many; they must have been read."""
        number, before = 0, self.dropped()
        for number, packet in enumerate(packets, 1):
            self.udp.sendto(self.seal(packet) if seal else packet, self.addr)
            if number % 100 == 0:
                self.alive()
        self.alive()
        lost = self.dropped() - before
        check(lost <= number // 100, lost, "of", number, "datagrams never reached the agent")
        print("  %d datagrams, the agent grew by %d KiB" % (number, (self.target.resident() - self.size) >> 10))

    def stream(self, data, linger=2.0):
        """One TCP connection: sends, ends its side, and returns what the agent answers."""
        answer = b""
        with socket.socket() as sock:
            sock.bind((ATTACKER, 0))
            sock.settimeout(linger)
            sock.connect(self.addr)
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while True:
                    got = sock.recv(65536)
                    if not got:
                        break
                    answer += got
            except OSError:
                pass
        return answer

    def unharmed(self, what, members="same", settle=20):
        """The agent is up, answers, is small; members are the same at once (`same`), the honest ones come back to
        what they were (`honest`), or it at least knows itself (`self`)."""
        self.alive()
        grown = self.target.resident() - self.size
        check(grown < GROWTH, what, "made the agent grow by", grown, "bytes")
        peak = lib.proc_kib(self.target.proc.pid, "status", "VmHWM") * 1024
        check(peak - self.size < PEAK, what, "made the agent use", peak, "bytes for a while")
        if members == "same":
            check(self.view() == self.before, what, "changed the members:\n  %s\n  %s" % (self.before, self.view()))
        elif members == "self":
            check(self.target.statuses().get(self.target.name) == "alive", what, "made it forget itself")
        else:
            def honest():
                return [{n: m for n, m in v.items() if n in b} for v, b in zip(self.view(), self.before)] == self.before
            lib.wait(honest, settle, lambda: "%s: honest members as before, but %s" % (what, self.view()))

    def victim_saw(self):
        self.victim.settimeout(0.3)
        try:
            return self.victim.recv(65536)
        except socket.timeout:
            pass
        try:
            return self.victim_tcp.accept()[1]
        except BlockingIOError:
            return None


@functools.lru_cache(None)
def bomb(depth, size):
    """Compression inside compression: `size` zero bytes at the core."""
    data = bytes(size)
    for _ in range(depth):
        data = wire.compress(data)
    return data


def nested_compound(depth, core):
    for _ in range(depth):
        core = wire.compound([core])
    return core


def crash_datagrams():
    """The corpus that kills other implementations, and near relations."""
    state = wire.ping(1, "x")
    query = {"LTime": 2, "ID": 9, "Addr": LOOPBACK, "Port": 7946, "SourceNode": "x", "Flags": 0, "RelayFactor": 0,
             "Timeout": 10**9, "Payload": b""}
    return {
        "compound of 128 and no lengths": bytes.fromhex("0780"),
        "compound with an empty part": bytes.fromhex("07010000"),
        "compound header only": b"\x07", "compound of 255 lies": b"\x07\xff" + b"\xff" * 510,
        "CRC header only": bytes.fromhex("0c00000000"), "half a CRC": b"\x0c\0\0",
        "CRC of nothing": wire.crc(b""), "CRC in a CRC": wire.crc(wire.crc(state)), "wrong CRC": b"\x0c\1\2\3\4" + state,
        "compressed nothing": bytes.fromhex("0982a4416c676f00a3427566a3000302"),
        "unknown compression": b"\x09" + wire.pack({"Algo": 9, "Buf": b"123"}),
        "LZW with a code beyond the table": b"\x09" + wire.pack({"Algo": 0, "Buf": b"\xff" * 20}),
        "alive with a 1-byte Vsn": wire.alive("evil", NOBODY, 7946, vsn=b"\1"),
        "alive with a 3-byte Vsn": wire.alive("evil", NOBODY, 7946, vsn=b"\1\5\2"),
        "alive with a Vsn of zeros": wire.alive("evil", NOBODY, 7946, vsn=bytes(6)),
        "alive with a 5-byte address": wire.alive("evil", b"12345", 7946),
        "alive without an address": wire.alive("evil", b"", 7946),
        "alive with 600 bytes of Meta": wire.alive("evil", NOBODY, 7946, meta=b"\xff" + bytes(600)),
        "alive without a name": wire.alive("", NOBODY, 7946),
        "suspect of nobody": wire.message(wire.SUSPECT, Node="nobody", From="evil", Incarnation=2**32 - 1),
        "dead nobody": wire.message(wire.DEAD, Node="nobody", From="nobody", Incarnation=2**32 - 1),
        "query with an empty filter": wire.serf(4, Name="q", Filters=[b""], **query),
        "query with half a filter": wire.serf(4, Name="q", Filters=[b"\1", b"\0", b"\1\x82\xa3Tag"], **query),
        "query with a filter that is no pattern": wire.serf(4, Name="q", **dict(query, Filters=[
            b"\1" + wire.pack({"Tag": "role", "Expr": "(" * 500})])),
        "empty key installation": wire.serf(4, Name="_serf_install-key", Filters=[], **query),
        "half a key installation": wire.serf(4, Name="_serf_install-key", Filters=[], **dict(query, Payload=b"\7")),
        "conflict query about nothing": wire.serf(4, Name="_serf_conflict", Filters=[], **query),
        "empty user message": b"\x08", "unknown Serf type": b"\x08\xfe\x80", "leave without a node": b"\x08\0\x80",
        "relay to nowhere": b"\x08\x09", "relay without a body": b"\x08\x09" + wire.pack({"DestAddr": None}),
        "nothing": b"", "unknown type": b"\xee\xee", "label header only": b"\xf4", "empty label": b"\xf4\0" + state,
        "label longer than the packet": b"\xf4\xff" + b"x", "a foreign label": b"\xf4\3red" + state,
        "stream types": bytes([wire.PUSH_PULL]) + wire.pack({"Nodes": 2**40}), "encrypt type": b"\x0a" + b"\xff" * 40,
        "array of 2^32": b"\0\xdd\xff\xff\xff\xff", "map of 2^32": b"\0\xdf\xff\xff\xff\xff",
        "string of 2^32": b"\0\x82\xa4Node\xdb\xff\xff\xff\xff", "msgpack 60,000 deep": b"\0" + b"\x91" * 60000,
        "maps 20,000 deep": b"\0\x81\xa4Node" + b"\x81\xa1x" * 20000,
        "compound 200 deep": nested_compound(200, state), "compound 5000 deep": nested_compound(5000, b"\0"),
        "compressed 40 deep": bomb(40, 10), "datagram of 65,000 bytes": b"\xff" * 65000,
        "bomb of 1 MiB": bomb(1, 1 << 20), "bomb in a bomb": bomb(2, 4 << 20),
        "bombs side by side": wire.compound([bomb(2, 1 << 20)] * 20),
    }


def crash_streams():
    node = wire.node_state("evil", NOBODY, 7946)
    header = wire.pack
    large = wire.push_pull([dict(wire.node_state("e%d" % i, NOBODY, 7946), Meta=b"\xff\x80", Vsn=b"\1")
                            for i in range(500)])
    return {
        "push/pull of -1 nodes": wire.push_pull([], count=-1),
        "push/pull of 2^40 nodes": wire.push_pull([], count=2**40),
        "push/pull of 2^31 nodes, one there": wire.push_pull([node], count=2**31),
        "a user state of -1 bytes": wire.push_pull([], user_len=-1),
        "a user state of 2^40 bytes": wire.push_pull([], user_len=2**40),
        "a node with a 1-byte Vsn": wire.push_pull([dict(node, Vsn=b"\1")]),
        "a node without a Vsn": wire.push_pull([dict(node, Vsn=b"")]),
        "500 nodes with bad Vsn": large,
        "a node of alien versions": wire.push_pull([dict(node, Vsn=bytes([9, 9, 9, 9, 9, 9]))]),
        "a node in state 99": wire.push_pull([dict(node, State=99, Vsn=b"\1")]),
        "half a push/pull": wire.push_pull([node] * 5)[:100],
        "a user state that is none": wire.push_pull([], user_state=b"\x02\xdd\xff\xff\xff\xff"),
        "a user state of another kind": wire.push_pull([], user_state=b"\x07\x80"),
        "a ping for another": wire.ping(1, "somebody else"), "half a ping": wire.ping(1, "x")[:5],
        "a user message of -1 bytes": b"\x08" + header({"UserMsgLen": -1}),
        "a user message of 2^40 bytes": b"\x08" + header({"UserMsgLen": 2**40}) + b"x" * 100,
        "an empty user message": b"\x08" + header({"UserMsgLen": 0}),
        "a frame of 4 GiB": b"\x0a\xff\xff\xff\xff\1" + b"x" * 1000, "a frame of 0 bytes": b"\x0a\0\0\0\0",
        "a frame of 5 bytes": b"\x0a\0\0\0\5\1xxxx", "a frame cut short": b"\x0a\0\0\4\0\1" + b"x" * 100,
        "label only": b"\xf4\3red", "label header only": b"\xf4", "empty label": b"\xf4\0\0",
        "compressed nothing": bytes.fromhex("0982a4416c676f00a3427566a3000302"),
        "half a compression": b"\x09\x82\xa4Algo\0\xa3Buf\xdb\x7f\xff\xff\xff" + b"x" * 5000,
        "bomb": bomb(1, 4 << 20), "bomb in a bomb": bomb(2, 8 << 20), "compressed 40 deep": bomb(40, 10),
        "one byte": b"\6", "nothing": b"", "unknown type": b"\xee" * 50, "ack": b"\2\x80", "err": wire.message(13, Error="x"),
        "array of 2^32": b"\6\xdd\xff\xff\xff\xff", "msgpack 100,000 deep": b"\6" + b"\x91" * 100000,
        "a megabyte of 0xff": b"\xff" * (1 << 20),
    }


def corpus(pool, key):
    attack = Attack(pool, key)
    for what, packet in crash_datagrams().items():
        for seal in ([False, True] if key else [False]):
            if len(packet) > 65000 - 29 * seal:
                continue
            attack.udp.sendto(attack.seal(packet) if seal else packet, attack.addr)
            attack.unharmed("datagram, %s%s" % (what, ", sealed" if seal else ""))
    for what, data in crash_streams().items():
        for seal in ([False, True] if key else [False]):
            attack.stream(attack.seal_stream(data) if seal else data, linger=0.5)
            attack.unharmed("stream, %s%s" % (what, ", sealed" if seal else ""))
    check(attack.victim_saw() is None, "the third party was sent something")
    attack.unharmed("all of it")


@lib.case
def corpus_plain(pool):
    """the crash corpus by UDP and TCP, no key"""
    corpus(pool, None)


@lib.case
def corpus_sealed(pool):
    """the crash corpus by UDP and TCP, to an agent with a key: unsealed, and sealed with the key"""
    corpus(pool, KEY)


@lib.case
def forged(pool):
    """forged source addresses, targets, reply addresses and relays: nothing arrives at the third party"""
    for key in (None, KEY):
        attack = Attack(pool, key)
        name, third = attack.target.name, bytes([127, 0, 0, 66])
        query = {"LTime": 50, "ID": 77, "Addr": third, "Port": 9999, "SourceNode": "x", "Filters": [], "Flags": 1,
                 "RelayFactor": 0, "Timeout": 10**10, "Name": "load", "Payload": b"x"}
        inner = b"\5" + wire.pack({"LTime": 1, "ID": 1, "From": "x", "Flags": 0, "Payload": b"reflected"})
        relay = {"DestAddr": {"IP": third, "Port": 9999, "Zone": ""}, "DestName": "x"}
        indirect = {"SeqNo": 5, "Target": third, "Port": 9999, "Node": "x", "Nack": True}
        packets = [
            wire.ping(1, name, (third, 9999, "x")), wire.ping(2, "", (third, 9999, "x")),
            wire.ping(3, name, (third, 9999, attack.peer.name)),
            wire.message(wire.INDIRECT_PING, **indirect),
            wire.message(wire.INDIRECT_PING, SourceAddr=third, SourcePort=9999, SourceNode="x",
                         **dict(indirect, Target=LOOPBACK, Port=7946, Node=name)),
            wire.serf(4, **query), wire.serf(4, **dict(query, ID=78, LTime=51, Name="_serf_ping")),
            wire.serf(4, **dict(query, ID=79, LTime=52, Name="_serf_conflict", Payload=name.encode())),
            wire.serf(4, **dict(query, ID=80, LTime=53, Name="_serf_list-keys", Payload=b"\7\x81\xa3Key\xa0")),
            bytes([wire.USER, 9]) + wire.pack(relay) + inner,
        ]
        packets += [wire.compound([p, p]) for p in packets] + [wire.compress(p * 1) for p in packets]
        for packet in packets:
            attack.udp.sendto(attack.seal(packet), attack.addr)
            attack.stream(attack.seal_stream(packet), linger=0.2)
        attack.alive()
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            check(attack.victim_saw() is None, "something arrived at an address that only a forged field names")
        attack.unharmed("forged addresses")
        attack.udp.close()
        attack.victim.close()
        attack.victim_tcp.close()


def mutate(rng, packet):
    """One to four small harms: flipped bits, set bytes, cuts, doublings, insertions, a 16- or 32-bit field set to an edge."""
    data = bytearray(packet)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(7)
        if not data or kind == 0:
            data[at:at] = bytes([rng.randrange(256)]) * rng.choice((1, 1, 2, 40))
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.choice((0, 1, 127, 128, 255, 0xC0, 0xDD, 0xDF, 0xDB, rng.randrange(256)))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 5:
            data[at:at] = data[at:at + rng.randrange(1, 60)]
        else:
            edge = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            data[at:at + 4] = struct.pack(">I", edge)
    return bytes(data[:60000])


def seeds(name):
    """Valid packets that say nothing about members: whatever they become, the members must stay the same."""
    source = (bytes([127, 0, 0, 200]), 4000, "evil")
    query = wire.serf(4, LTime=2, ID=9, Addr=LOOPBACK, Port=7946, SourceNode="x", Flags=1, RelayFactor=1, Timeout=10**9,
                      Payload=b"payload", Name="load", Filters=[b"\0" + wire.pack(["x", name]), b"\1" + wire.pack(
                          {"Tag": "role", "Expr": "^t.*"})])
    base = [wire.ping(7, name, source), wire.ping(8, name), wire.message(wire.ACK, SeqNo=4, Payload=None),
            wire.message(wire.ACK, SeqNo=5, Payload=b"\1" + wire.pack({"Adjustment": 0.5, "Error": 1.5, "Height": 1e-5,
                                                                      "Vec": [0.0] * 8})),
            wire.message(wire.NACK, SeqNo=3), wire.message(wire.INDIRECT_PING, SeqNo=6, Target=LOOPBACK, Port=7946,
                                                           Node=name, Nack=True, SourceAddr=source[0],
                                                           SourcePort=4000, SourceNode="evil"),
            wire.serf(3, LTime=3, Name="deploy", Payload=b"v1", CC=True), query,
            wire.serf(5, LTime=2, ID=9, From="x", Flags=0, Payload=b"answer"),
            bytes([wire.USER, 9]) + wire.pack({"DestAddr": {"IP": LOOPBACK, "Port": 7946, "Zone": ""}, "DestName": "x"}) +
            b"\5\x80"]
    return base + [wire.compound(base[:4]), wire.compress(base[0]), wire.crc(base[1]), wire.crc(wire.compress(
        wire.compound(base))), wire.compound([wire.compress(p) for p in base])]


def member_seeds(name):
    """Valid packets about members, real and invented."""
    base = [wire.alive("alpha", NOBODY, 7946, meta=b"\xff" + wire.pack({"role": "web"})),
            wire.alive(name, LOOPBACK, 7946, 5), wire.message(wire.SUSPECT, Node=name, From="alpha", Incarnation=1),
            wire.message(wire.DEAD, Node=name, From="alpha", Incarnation=1),
            wire.message(wire.DEAD, Node="alpha", From="alpha", Incarnation=1),
            wire.serf(0, LTime=3, Node="alpha", Prune=False), wire.serf(1, LTime=4, Node="alpha"),
            wire.serf(0, LTime=5, Node=name, Prune=True)]
    return base + [wire.compound(base), wire.compress(base[0]), wire.crc(base[0])]


@lib.case
def mutations_sealed(pool):
    """mutations of sealed packets, without the key: nothing gets through"""
    attack, rng = Attack(pool, KEY), random.Random(1)
    base = seeds(attack.target.name) + member_seeds(attack.target.name)

    def changed():
        for _ in range(MUTATIONS // 4):
            packet = attack.seal(rng.choice(base))
            harmed = mutate(rng, packet)
            if harmed != packet:  # a byte may be set to what it was
                yield harmed
    attack.shoot(changed())
    attack.unharmed("mutations of sealed packets")


@lib.case
def mutations_plain(pool):
    """mutations of valid packets that say nothing about members: the members stay the same"""
    attack, rng = Attack(pool), random.Random(2)
    base = seeds(attack.target.name)

    def harmless():
        for _ in range(MUTATIONS // 2):
            packet = mutate(rng, rng.choice(base))
            # A changed type byte may make a valid suspicion or intent; those belong to the next case.
            if packet[:1] not in (b"\3", b"\4", b"\5") and packet[:2] not in (b"\x08\0", b"\x08\1"):
                yield packet
    attack.shoot(harmless())
    attack.unharmed("mutations of valid packets")


@lib.case
def mutations_by_a_member(pool):
    """mutations by a holder of the key, of packets about members too: it stays up, small, and knows itself"""
    # No more: whoever has the key may say anything about anybody, with the last incarnation there is.
    attack, rng = Attack(pool, KEY), random.Random(3)
    base = seeds(attack.target.name) + member_seeds(attack.target.name) + member_seeds(attack.peer.name)
    attack.shoot((mutate(rng, rng.choice(base)) for _ in range(MUTATIONS // 4)), seal=True)
    attack.unharmed("mutations by a member", members="self")


@lib.case
def streams_mutated(pool):
    """mutations of push/pulls by TCP: the honest members come back to what they were"""
    attack, rng = Attack(pool), random.Random(4)
    names = ["evil%d" % i for i in range(3)]
    whole = wire.push_pull([wire.node_state(n, NOBODY, 7946) for n in names], wire.user_state(names), join=False)
    base = [whole, wire.compress(whole), wire.ping(1, attack.target.name),
            b"\x08" + wire.pack({"UserMsgLen": 4}) + b"\3\x81\xa5LTime\1"]
    for number in range(MUTATIONS // 500):
        # Closing at once instead of reading on is one more thing a peer may do.
        attack.stream(mutate(rng, rng.choice(base)), linger=0.05 if number % 10 == 0 else 0.001)
    attack.unharmed("mutated streams", members="honest", settle=45)


@lib.case
def held_streams(pool):
    """connections opened and held, and dripping frames: an honest newcomer still joins, memory stays bounded"""
    attack = Attack(pool)
    held = []
    for number in range(300):
        sock = socket.socket()
        sock.bind((ATTACKER, 0))
        sock.settimeout(2)
        try:
            sock.connect(attack.addr)
            sock.sendall((b"\x0a\1\0\0\0\1", b"\6", b"", b"\x09\x82")[number % 4])
        except OSError:
            pass
        held.append(sock)
    newcomer = pool.start("kith", "-join", attack.target.join_addr)
    pool.full([attack.target, attack.peer, newcomer], 20)
    serf = pool.start("serf", "-join", attack.target.join_addr)
    pool.full([attack.target, attack.peer, newcomer, serf], 20)
    attack.unharmed("300 held connections", members="honest")
    for sock in held:
        sock.close()


def pool_of_four(pool):
    serfs = pool.start("serf", count=3)
    kith = pool.start("kith", "-join", serfs[0].join_addr)
    serfs[1].join(kith)
    serfs[2].join(kith)
    pool.full([kith] + serfs, 20)
    return kith, serfs


def impostors(pool, kind):
    """Agents of this kind that claim a kith's and a Serf's name elsewhere: they end, and nobody's list changes."""
    kith, serfs = pool_of_four(pool)
    before = {a.name: a.members() for a in [kith] + serfs}
    for number, original in enumerate((kith, serfs[0])):
        impostor = pool.agent(kind, name=original.name, ip="127.0.0.%d" % (90 + number))
        impostor.log += ".impostor." + kind
        impostor.spawn("-join", serfs[1].join_addr)
        impostor.exit_code(25)
        for agent in [kith] + serfs:
            seen, was = agent.members()[original.name], before[agent.name][original.name]
            check(seen["Addr"] == was["Addr"], agent.name, "now has", seen)
    pool.full([kith] + serfs, 30)


@lib.case
def taken_name_serf(pool):
    """a Serf with a taken name yields to the vote, and the members keep the first"""
    impostors(pool, "serf")


@lib.case
def taken_name_kith(pool):
    """a kith with a taken name yields to the vote, and the members keep the first"""
    impostors(pool, "kith")


@lib.case
def alien_version(pool):
    """one alien version in a push/pull fails the whole merge"""
    kith, _ = pool_of_four(pool)
    before = kith.members()
    good = wire.node_state("good", NOBODY, 7946)
    alien = wire.node_state("alien", NOBODY, 7947, vsn=bytes([1, 5, 2, 7, 9, 8]))
    for nodes, gets_in in (([good, alien], False), ([good], True)):
        with socket.create_connection((kith.ip, 7946), 5) as sock:
            sock.sendall(wire.push_pull(nodes, wire.user_state([n["Name"] for n in nodes])))
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(3)
            try:
                while sock.recv(65536):
                    pass
            except OSError:
                pass
        time.sleep(0.3)
        names = set(kith.members())
        check(names == set(before) | ({"good"} if gets_in else set()), "members are now", names)


wire.self_check()
lib.main(__doc__)
