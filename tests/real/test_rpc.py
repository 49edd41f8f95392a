#!/usr/bin/env python3
"""The agent's RPC, command by command and error by error: the same conversation with a kith agent and a Serf agent."""
import socket
import time

import lib
import wire

check = lib.check


def converse(agent, steps):
    """Sends raw (header, body, expects a body back) steps on one connection; returns what came back, by step:
    the error text, the names in the body, or that the connection was closed."""
    rpc = lib.Rpc.__new__(lib.Rpc)
    rpc.sock = socket.create_connection(agent.rpc_addr, 5)
    rpc.sock.settimeout(5)
    rpc.reader = wire.Reader()
    seen = []
    for seq, (command, body, answer) in enumerate(steps, 1):
        data = wire.pack({"Command": command, "Seq": seq}, rpc=True)
        if body is not None:
            data += wire.pack(body, rpc=True)
        try:
            rpc.sock.sendall(data)
            head = rpc.value()
            entry = (command, head["Seq"] == seq, head["Error"])
            if answer and head["Error"] not in ("Authentication required", "Handshake required"):
                value = rpc.value()
                entry += (sorted(value) if isinstance(value, dict) else type(value).__name__,)
            seen.append(entry)
        except (OSError, ConnectionError):
            seen.append((command, "closed"))
            break
    rpc.close()
    return seen


def both(pool, *steps):
    """Runs one conversation with each kind and compares."""
    answers = {}
    for kind in ("serf", "kith"):
        agent = pool.twins[kind]
        answers[kind] = converse(agent, steps)
    check(answers["serf"] == answers["kith"], "answers differ:\n  serf %s\n  kith %s" % (
        answers["serf"], answers["kith"]))
    return answers["kith"]


HELLO = ("handshake", {"Version": 1}, False)


@lib.case
def errors(pool):
    """order of handshake and commands, versions, unknown commands, filters, levels: errors word for word as Serf's"""
    pool.twins = {kind: pool.start(kind) for kind in ("serf", "kith")}
    both(pool, ("members", None, True))
    both(pool, ("handshake", {"Version": 2}, False))
    both(pool, HELLO, HELLO)
    both(pool, HELLO, ("no-such-command", None, False))
    both(pool, HELLO, ("stop", {"Stop": 99}, False), ("members", None, True))
    both(pool, HELLO, ("force-leave", {"Node": "nobody", "Prune": False}, False), ("members", None, True))
    both(pool, HELLO, ("monitor", {"LogLevel": "NOISE"}, False))
    both(pool, HELLO, ("stream", {"Type": "no-such-event"}, False), ("members", None, True))
    both(pool, HELLO, ("members-filtered", {"Tags": {}, "Status": "alive", "Name": ""}, True))
    both(pool, HELLO, ("members-filtered", {"Tags": {}, "Status": "", "Name": "("}, True))
    both(pool, HELLO, ("tags", {"Tags": {"a": "b"}, "DeleteTags": ["c"]}, False), ("members", None, True))
    got = both(pool, HELLO, ("stats", None, True))
    check(got[1][3] == ["agent", "event_handlers", "runtime", "serf", "tags"], "stats has sections", got)


@lib.case
def member_fields(pool):
    """a member record has Serf's fields, with Serf's types"""
    records = {}
    for kind in ("serf", "kith"):
        agent = pool.start(kind, "-tag", "a=b")
        record = agent.members()[agent.name]
        record["Tags"].pop("_kith", None)
        records[kind] = {k: (type(v).__name__ if k in ("Name", "Addr", "Port") else v) for k, v in record.items()}
    check(records["serf"] == records["kith"], records)


@lib.case
def stream(pool):
    """stream tells of joins, updates, failures and leaves, only those asked for, and stop stops it"""
    for kind in ("serf", "kith"):
        agent = pool.start(kind)
        other = pool.start("serf" if kind == "kith" else "kith", "-tag", "x=1")
        rpc, narrow = lib.Rpc(agent.rpc_addr), lib.Rpc(agent.rpc_addr)
        handle = rpc.send("stream", {"Type": "*"})
        check(rpc.value() == {"Seq": handle, "Error": ""}, "stream is accepted")
        narrow.send("stream", {"Type": "member-leave"})
        check(narrow.value()["Error"] == "", "a narrow stream is accepted")
        agent.join(other)

        def expect(connection, event, timeout=20):
            """The next record about the other agent is this event."""
            while True:
                seq, body = connection.record(timeout)
                names = [m["Name"] for m in body["Members"]]
                if other.name in names:
                    check(body["Event"] == event, kind, "streams", body["Event"], "for", event)
                    return seq
        check(expect(rpc, "member-join") == handle, "records carry the stream's number")
        other.set_tags({"x": "2"})
        expect(rpc, "member-update")
        other.leave()
        expect(rpc, "member-leave")
        expect(narrow, "member-leave", 5)
        seq = rpc.send("stop", {"Stop": handle})
        check(rpc.value() == {"Seq": seq, "Error": ""}, "stop is answered")
        other.start("-join", agent.join_addr)
        pool.full([agent, other], 20)
        rpc.sock.settimeout(4)
        try:
            raise lib.Failure("a stopped stream says %s" % rpc.value())
        except socket.timeout:
            pass
        other.kill()


if not lib.STAND_IN:  # a Serf that leaves is taken for failed here
    @lib.case
    def leave_told(pool):
        """a leave that an exchange tells of before its news are out is a leave for Serf all the same"""
        seldom = {"KITH_GOSSIP_INTERVAL_MS": "400", "KITH_PROBE_INTERVAL_MS": "5000", "KITH_RETRANSMIT_MULT": "1",
                  "KITH_LEAVE_PROPAGATE_MS": "100"}
        serf, kith = pool.start("serf", "-profile", "wan"), pool.start("kith", env=seldom)  # both probe every 5 s
        serf.join(kith)
        pool.full([serf, kith], 20)
        time.sleep(1)  # the older news are out
        watch = lib.Rpc(kith.rpc_addr)
        kith.connection()
        for value in "12":  # two pieces of news are told at once, the third goes an interval of gossip later
            kith.set_tags({"news": value})
        kith.connection().send("leave")
        lib.wait(lambda: [m for m in watch.members() if m["Name"] == kith.name and m["Status"] == "leaving"], 5,
                 "kith is leaving", 0.005)
        serf.join(kith)  # a full exchange with a member known already
        watch.close()
        check(kith.exit_code(20) == 0, "kith ends well")
        pool.status([serf], kith, "left", 5)


@lib.case
def bad_bytes(pool):
    """nonsense, endless headers and many idle connections on the RPC port do not hurt the agent"""
    kith = pool.start("kith")
    for junk in (b"\xff" * 64, b"\xc1", b"GET / HTTP/1.1\r\n\r\n", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff\xc0",
                 b"\xdb\xff\xff\xff\xff" + b"x" * 100000, b"\x91" * 100000, b"\x82\xa7Command\xc6\xff\xff\xff\xff"):
        sock = socket.create_connection(kith.rpc_addr, 5)
        try:
            sock.sendall(junk)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(2)
            sock.recv(1000)
        except OSError:
            pass
        sock.close()
        check(lib.Rpc(kith.rpc_addr).members(), "the agent answers after", junk[:16])
    before = kith.resident()
    idle = []
    for _ in range(100):
        sock = socket.create_connection(kith.rpc_addr, 5)
        sock.sendall(b"\x82\xa7Command")
        idle.append(sock)
    fresh = lib.Rpc(kith.rpc_addr)
    check(len(fresh.members()) == 1, "a client gets in beside 100 idle ones")
    check(kith.resident() - before < 32 << 20, "100 idle clients took", kith.resident() - before, "bytes")
    for sock in idle:
        sock.close()


lib.main(__doc__)
