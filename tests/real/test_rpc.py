#!/usr/bin/env python3
"""The agent's RPC, command by command and error by error: the same conversation with a kith agent and a Serf agent."""
import json
import os
import signal
import socket
import stat
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
KEY = "WbL6oaTPom+7RG7Q/INbJWKy09OLar/Hf2SuOAdoQE4="


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
    both(pool, HELLO, ("event", {"Name": "e", "Payload": b"", "Coalesce": False}, False), ("members", None, True))
    both(pool, HELLO, ("query", {"Name": "_serf_secret", "Payload": b"x"}, False), ("members", None, True))
    both(pool, HELLO, ("respond", {"ID": 99, "Payload": b"x"}, False), ("members", None, True))
    both(pool, HELLO, ("stream", {"Type": "user:x,"}, False))
    both(pool, HELLO, ("stream", {"Type": "user:x,query:,user:x:y"}, False))
    for key in ("no base64", "abc", "abcdef=", "====", "abcd=", KEY, ""):
        both(pool, HELLO, ("install-key", {"Key": key}, True), ("use-key", {"Key": key}, True),
             ("remove-key", {"Key": key}, True))
    both(pool, HELLO, ("list-keys", None, True))
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
        seldom = {"KITH_GOSSIP_INTERVAL_MS": "2000", "KITH_PROBE_INTERVAL_MS": "5000", "KITH_RETRANSMIT_MULT": "1",
                  "KITH_LEAVE_PROPAGATE_MS": "100"}
        serf, kith = pool.start("serf", "-profile", "wan"), pool.start("kith", env=seldom)  # both probe every 5 s
        serf.join(kith)
        pool.full([serf, kith], 20)
        time.sleep(5)  # the older news are out
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


def records(rpc, count):
    return [rpc.record(15)[1] for _ in range(count)]


@lib.case
def kith_stream(pool):
    """kith-stream: every record is numbered, who comes back is told what it missed, a restart of the agent is a gap"""
    settings = pool.path("kept.json", json.dumps({"rpc_kept_max": 4}))
    agent = pool.start("kith", "-config-file", settings)
    rpc = lib.Rpc(agent.rpc_addr)
    rpc.send("kith-stream", {"Type": "user"})
    check(rpc.value()["Error"] == "", "it is begun")
    for i in range(3):
        agent.connection().call("event", {"Name": "e%d" % i, "Payload": b"p", "Coalesce": False})
    got = records(rpc, 3)
    check([(r["Name"], r["Origin"], r["Seq"]) for r in got] == [("e%d" % i, agent.name, i + 1) for i in range(3)], got)
    check(all(b["Index"] > a["Index"] for a, b in zip(got, got[1:])), "numbers rise", got)
    rpc.close()
    for i in range(3, 12):
        agent.connection().call("event", {"Name": "e%d" % i, "Payload": b"p", "Coalesce": False})
    rpc = lib.Rpc(agent.rpc_addr)
    lib.wait(lambda: lib.Rpc(agent.rpc_addr).call("kith-info", answer=True)["rpc"]["kept_events"] == 4, 10, "four are kept")
    rpc.send("kith-stream", {"Type": "user", "From": got[2]["Index"] + 1})
    check(rpc.value()["Error"] == "", "it is begun again")
    again = records(rpc, 5)
    check(again[0]["Event"] == "gap" and again[0]["Origin"] == "" and again[0]["From"] == got[2]["Index"] + 1, again)
    check([r["Name"] for r in again[1:]] == ["e8", "e9", "e10", "e11"], again)
    check(again[1]["Index"] == again[0]["To"] + 1, again)
    last = again[4]["Index"]
    agent.kill()
    agent.start()
    rpc = lib.Rpc(agent.rpc_addr)
    rpc.send("kith-stream", {"Type": "user", "From": last + 1})
    agent.connection().call("event", {"Name": "new", "Payload": b"p", "Coalesce": False})
    check(rpc.value()["Error"] == "", "it is begun a third time")
    first, new = records(rpc, 2)
    check(first["Event"] == "gap" and new["Name"] == "new" and new["Index"] > last, first, new)


@lib.case
def confirm(pool):
    """kith-event: who has it, who has not said so, who cannot; without a confirmation it is answered at once"""
    agents = [pool.start("kith")]
    agents += [pool.start(kind, "-join", agents[0].join_addr) for kind in ("kith", "kith", "serf")]
    pool.full(agents, 30)
    agent = agents[0]

    def sent(timeout_s):
        return agent.connection().call("kith-event", {"Name": "e", "Payload": b"p" * 100, "Confirm": True,
                                                      "Timeout": timeout_s * 10**9}, answer=True)
    answer = sent(20)
    check(answer == {"Confirmed": 3, "Members": 4, "Missing": [], "Unable": [agents[3].name]}, answer)
    agents[2].signal(signal.SIGSTOP)
    answer = sent(1)
    agents[2].signal(signal.SIGCONT)
    check(answer == {"Confirmed": 2, "Members": 4, "Missing": [agents[2].name], "Unable": [agents[3].name]}, answer)
    answer = agent.connection().call("kith-event", {"Name": "e", "Payload": b"p"}, answer=True)
    check(answer == {"Confirmed": 0, "Members": 0, "Missing": [], "Unable": []}, answer)
    try:
        agent.connection().call("kith-event", {"Name": "n" * 256}, answer=True)
        raise lib.Failure("a name of 256 bytes is taken")
    except lib.RpcError as error:
        check(str(error) == "Name: the name of an event has 1 to 255 bytes, this one has 256", error)


def unix(path):
    def connect(_):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock
    return lib.Rpc(None, connect=connect)


@lib.case
def unix_socket(pool):
    """-rpc-socket: for its user alone, replaced after a kill, refused beside a living agent, gone after the end"""
    path = pool.path("rpc")
    agent = pool.start("kith", "-rpc-socket", path)
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "mode", oct(os.stat(path).st_mode))
    check([m["Name"] for m in unix(path).members()] == [agent.name], "it answers")
    for name in ("KITH_RPC_ADDR", "SERF_RPC_ADDR"):
        done = lib.run(lib.KITH, "members", env={name: "unix:" + path})
        check(done.code == 0 and agent.name in done.out, done)
    done = lib.run(lib.KITH, "agent", "-bind", "127.0.0.99", "-node", "late", "-rpc-addr", "127.0.0.99:7373", "-rpc-socket", path,
                   "-resp-addr", "none")
    check(done.code == 1 and "is the socket of a running agent" in done.err, done)
    check(unix(path).members(), "and the living one still answers")
    agent.kill()
    check(os.path.exists(path), "a killed agent leaves it")
    done = lib.run(lib.KITH, "members", "-rpc-addr", "unix:" + path)
    check(done.code == 4 and "refused" in done.err, done)
    agent.start()
    check(unix(path).members(), "it answers again")
    agent.leave()
    check(not os.path.exists(path), "it is gone")
    alone = pool.agent("kith")
    alone.flags = ["-rpc-addr", "none", "-rpc-socket", path]
    alone.spawn()
    lib.wait(lambda: os.path.exists(path), 15, "the socket is there", 0.05)
    check([m["Name"] for m in unix(path).members()] == [alone.name], "it answers alone")
    check("RPC addr: ''" in alone.log_text(), alone.log_text())
    try:
        socket.create_connection(alone.rpc_addr, 5).close()
        raise lib.Failure("there is a door at an address")
    except ConnectionRefusedError:
        pass
    file = pool.path("file", "text")
    done = lib.run(lib.KITH, "agent", "-bind", "127.0.0.99", "-node", "late", "-rpc-addr", "127.0.0.99:7373", "-rpc-socket", file,
                   "-resp-addr", "none")
    check(done.code == 1 and "is no socket" in done.err and open(file).read() == "text", done)


@lib.case
def keyring(pool):
    """-keyring-file: a failing write is in the answer and in the log; a bad file is refused at the start"""
    ring = pool.path("ring/keys")
    os.mkdir(pool.path("ring"))
    with open(ring, "w") as file:
        json.dump([KEY], file)
    agent = pool.start("kith", "-keyring-file", ring)
    other = "HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8="
    os.unlink(ring)
    os.rmdir(pool.path("ring"))
    rpc = agent.connection()
    seq = rpc.send("install-key", {"Key": other})
    check(rpc.value() == {"Seq": seq, "Error": "1/1 nodes reported failure"}, "the write fails")
    message = rpc.value()["Messages"][agent.name]
    check("keyring file %s: No such file or directory" % ring in message, message)
    check("but a restart forgets that: keyring file" in agent.log_text(), agent.tail(5))
    check(rpc.call("list-keys", answer=True)["Keys"] == {KEY: 1, other: 1}, "the change holds all the same")
    os.mkdir(pool.path("ring"))
    rpc.call("use-key", {"Key": other}, answer=True)
    check(json.load(open(ring)) == [other, KEY], open(ring).read())
    for text, why in (("", "line 1"), ("[]", "at least one key"), ('["c2hvcnQ="]', "must have 16, 24 or 32"), ("{", "line 1")):
        done = lib.run(lib.KITH, "agent", "-bind", "127.0.0.99", "-node", "late", "-keyring-file", pool.path("bad", text),
                       "-resp-addr", "none")
        check(done.code == 1 and why in done.err and pool.path("bad") in done.err, done)
    done = lib.run(lib.KITH, "agent", "-bind", "127.0.0.99", "-node", "late", "-keyring-file", pool.path("none"), "-resp-addr", "none")
    check(done.code == 1 and "No such file" in done.err, done)


lib.main(__doc__)
