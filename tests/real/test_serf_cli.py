#!/usr/bin/env python3
"""kith event, query, keys, reachability and stream beside the stock command: the same call on the same agent, the same words.

What may differ is said row by row: kith's exit codes for wrong usage and for nobody there, errors on standard error, who is
missing. Answers come in any order, so lines are sorted. The agents are Serf's, or those in KITH_CLI_AGENTS ("serf kith").
"""
import base64
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import threading

import lib
import wire

check = lib.check
KINDS = os.environ.get("KITH_CLI_AGENTS", "serf").split()
# What a query of a pool of three needs on a busy machine; every query lasts so long.
TIMEOUT = "-timeout=3s"


def each_kind(function, kinds=KINDS):
    """A case for every kind of agent."""
    def run(pool):
        for kind in kinds:
            function(pool, kind)
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return lib.case(run)


def three(pool, kind, *flags):
    """Three agents that know each other."""
    first = pool.start(kind, "-tag", "role=web", "-tag", "index=0", *flags)
    rest = [pool.start(kind, "-tag", "role=" + role, "-tag", "index=%d" % i, "-join", first.join_addr, *flags)
            for i, role in ((1, "web"), (2, "db"))]
    pool.full([first] + rest, 30)
    return [first] + rest


class Responder:
    """Answers the queries `load` that one agent gets, by its RPC, with two lines."""

    def __init__(self, agent):
        self.rpc = lib.Rpc(agent.rpc_addr)
        self.rpc.call("stream", {"Type": "query:load"})
        self.rpc.sock.settimeout(None)
        self.stream, self.name = self.rpc.seq, agent.name
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                if self.rpc.value()["Seq"] != self.stream:
                    continue # the header that answers a respond
                text = "one\ntwo of %s\n" % self.name
                self.rpc.send("respond", {"ID": self.rpc.value()["ID"], "Payload": text.encode()})
        except (OSError, ConnectionError):
            pass


def words(done):
    """All lines that are not blank, sorted: Serf prints errors to standard output."""
    return sorted(line for line in (done.out + done.err).split("\n") if line.strip())


def same(agent, *args, code=0, serf_code=None, more=()):
    """Both commands say the same; kith besides these lines too. What a pool of Serf's agents answers varies: queries of one
    moment can get the same Lamport time, and then their answers are mixed up or lost. So a difference must come three times,
    twice of them with one command after the other."""
    for workers in (2, 1, 1):
        with concurrent.futures.ThreadPoolExecutor(workers) as both:
            stock, own = both.map(lambda binary: agent.cli(*args, binary=binary), (lib.SERF, lib.KITH))
        codes = (stock.code, own.code) == (code if serf_code is None else serf_code, code)
        if codes and words(own) == sorted(words(stock) + list(more)):
            return own
    check(codes, "expected exit codes", serf_code, code, "from", stock, own)
    raise lib.Failure("different words:\n%s\n%s" % (stock, own))


def as_json(agent, *args, code=0):
    done = agent.cli(*args, binary=lib.KITH)
    check(done.code == code, "expected exit code", code, "from", done)
    return done.json()


def fails(code, *args, says):
    done = lib.run(lib.KITH, *args)
    check(done.code == code, "expected exit code", code, "from", done)
    check(re.search(says, done.err), "standard error does not match %r:" % says, done)
    return done


@each_kind
def events(pool, kind):
    """event: words, payloads from standard input, and what is too large"""
    agents = three(pool, kind)
    rpc = lib.Rpc(agents[2].rpc_addr)
    rpc.call("stream", {"Type": "user"})
    done = same(agents[0], "event", "deploy")
    check(done.out == "Event 'deploy' dispatched! Coalescing enabled: true\n" and not done.err, done)
    same(agents[0], "event", "deploy", "v1.2.3")
    same(agents[0], "event", "-coalesce=false", "deploy", "v1.2.3")
    same(agents[0], "event", "deploy", "x" * 600, code=1)
    check(as_json(agents[0], "event", "-json", "-coalesce=false", "json") == {"name": "json", "coalesce": False},
          "event --json")
    where = "-rpc-addr=%s:7373" % agents[0].ip
    data = bytes(range(256)) + b"\n"
    piped = subprocess.run([lib.KITH, "event", where, "piped", "-"], input=data, stdout=subprocess.PIPE)
    check(piped.returncode == 0 and b"'piped' dispatched" in piped.stdout, "a payload from a pipe:", piped)
    seen = []
    # The pipe's bytes, no payload, and of the coalesced ones the last.
    for wanted in ([("piped", data, True)], [("json", b"", False)], [("deploy", b"v1.2.3", False)],
                   [("deploy", b"", True), ("deploy", b"v1.2.3", True)]):
        while not set(wanted) & set(seen):
            record = rpc.record(timeout=20 * lib.PATIENCE)[1]
            seen.append((record["Name"], record["Payload"] or b"", record["Coalesce"]))
    check(sum(name in ("piped", "json") for name, _, _ in seen) == 2, "each arrives once, as it was sent:", seen)
    fails(2, "event", where, says="needs name")
    fails(2, "event", where, "a", "b", "c", says="unexpected argument: c")
    fails(2, "event", where, "-coalesce=perhaps", "a", says="neither true nor false")
    fails(2, "event", where, "-timeout=3s", "a", says="-timeout is for -confirm")


@each_kind
def queries(pool, kind):
    """query: words, filters, Serf's JSON and kith's, and who is missing"""
    agents = three(pool, kind)
    one, two, stopped = agents
    responders = [Responder(agent) for agent in agents]
    names = [agent.name for agent in agents]
    done = same(one, "query", TIMEOUT, "load")
    check(done.out.count("Ack from '") == 3 and "Total Responses: 3" in done.out and not done.err, done)
    check("Response from '%s': one\ntwo of %s\n" % (two.name, two.name) in done.out, done)
    rows = (["-no-ack", "load", "x"], ["-node", two.name, "-relay-factor=2", "load"], ["-tag", "role=eb", "load"],
            ["-tag", "role=^w", "-tag", "index=[01]", "load"], ["-node", one.name, "-node", two.name, "load"],
            ["-node", one.name, "-tag", "role=db", "load"], ["-tag", "nosuch=^$", "load"], ["nobody-answers"])
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda row: same(one, "query", TIMEOUT, *row), rows))
    check("Total Acks: 2" in same(one, "query", TIMEOUT, "-tag", "role=e|x", "load").out, "an alternative in a pattern")
    stock = one.cli("query", TIMEOUT, "-format=json", "load", binary=lib.SERF).json()
    own = as_json(one, "query", TIMEOUT, "-format=json", "load")
    check(own == {"Acks": sorted(stock["Acks"]), "Responses": stock["Responses"]} and own["Acks"] == sorted(names),
          "-format=json:", own, stock)
    own = as_json(one, "query", TIMEOUT, "--json", "load")
    answers = [{"from": name, "payload": "one\ntwo of %s\n" % name} for name in sorted(names)]
    check(own == {"name": "load", "acks": sorted(names), "responses": answers, "missing": []}, "--json:", own)
    same(one, "query", "load", "x" * 1100, code=1)
    same(one, "query", TIMEOUT, "-node", "nobody", "load", code=1, serf_code=0,
         more=["Missing acks from:", "\tnobody (unknown)"])
    check(as_json(one, "query", TIMEOUT, "-format=json", "-node", "nobody", "load", code=1) == {"Acks": [], "Responses": {}},
          "nobody answers: [], not null")
    where = "-rpc-addr=%s:7373" % one.ip
    fails(1, "query", where, "-tag", "role=(", "load", says="bad pattern '\\('")
    for args, says in ((["-tag", "role", "load"], "Invalid tag: 'role'"), (["-format=xml", "load"], "is none of text, json"),
                       (["-relay-factor=256", "load"], "must be 0 to 255"), (["-timeout=soon", "load"], "is no duration"),
                       ([], "needs name")):
        fails(2, "query", where, *args, says=says)
    same(one, "reachability")
    # Stopped, it is alive in the view of the others for seconds.
    responders[2].rpc.close()
    stopped.signal(signal.SIGSTOP)
    reach = one.cli("reachability", binary=lib.KITH)
    check(reach.code == 1 and reach.out.startswith("Total members: 3, live members: 3\nStarting reachability test...\n"), reach)
    check("Received less acks than live nodes! Missing acks from:\n\t%s\n" % stopped.name in reach.err, reach)
    own = as_json(one, "query", TIMEOUT, "--json", "-node", stopped.name, "-node", two.name, "load", code=1)
    check(own["missing"] == [stopped.name] and own["acks"] == [two.name], "who is stopped is missing:", own)
    stopped.signal(signal.SIGCONT)


@each_kind
def reachability(pool, kind):
    """reachability: words, with -verbose too, and JSON"""
    one = three(pool, kind)[0]
    done = same(one, "reachability")
    check("Successfully contacted all live nodes" in done.out, done)
    stock = one.cli("reachability", "-verbose", binary=lib.SERF)
    own = one.cli("reachability", "-verbose", binary=lib.KITH)
    for before in (stock, own):
        check(re.search(r"^Query time: \d+\.\d\d sec, time to last response: \d+\.\d\d sec$", before.out, re.M), before)
        before.out = re.sub(r"\d+\.\d\d", "N", before.out)
    check(words(stock) == words(own) and own.code == 0, "-verbose:", stock, own)
    own = as_json(one, "reachability", "-json")
    names = sorted(agent.name for agent in pool.agents if agent.kind == kind)
    check(own["members"] == own["alive"] == 3 and own["acks"] == names, own)
    check(own["missing"] == own["unexpected"] == [] and 0 <= own["last_ack_seconds"] <= own["query_seconds"], own)


def new_key():
    return base64.b64encode(os.urandom(32)).decode()


@each_kind
def keys(pool, kind):
    """keys: a rotation step by step, refusals, JSON, and an agent without encryption"""
    old, new, third = new_key(), new_key(), new_key()
    one = three(pool, kind, "-encrypt", old)[0]
    done = same(one, "keys", "-list")
    check("%s  [3/3]" % old in done.out, done)
    same(one, "keys", "-install", new)
    same(one, "keys", "-list")
    same(one, "keys", "-use", new)
    same(one, "keys", "-use", third, code=1)
    done = same(one, "keys", "-remove", new, code=1)
    check(done.err.count("failed:") == 3 and done.out == "==> Removing key on all members...\n", done)
    same(one, "keys", "-install=AAAA", code=1)
    same(one, "keys", "-install", "rubbish", code=1)
    same(one, "keys", "-remove=" + old)
    check(as_json(one, "keys", "-list", "-json") == {"action": "list", "members": 3, "responses": 3, "errors": 0, "messages": {},
                                                      "keys": [{"key": new, "members": 3}]}, "keys -list --json")
    own = as_json(one, "keys", "-remove", new, "-json", code=1)
    check(own["errors"] == 3 and sorted(own["messages"]) == sorted(a.name for a in pool.agents if a.kind == kind), own)
    where = "-rpc-addr=%s:7373" % one.ip
    fails(2, "keys", where, "-list", "-install", new, says="only one of -install, -use, -remove, or -list allowed")
    fails(2, "keys", where, "-list=false", says="needs one of")
    open_one = pool.start(kind)
    for args in (["-list"], ["-install", new], ["-use", new], ["-remove", new]):
        same(open_one, "keys", *args, code=1)


class Follower:
    """A command that follows something, its lines in a file."""

    def __init__(self, pool, agent, *args):
        self.path = pool.path("-".join(args) + agent.name)
        with open(self.path, "wb") as out:
            self.proc = subprocess.Popen([lib.KITH, args[0], "-rpc-addr=%s:7373" % agent.ip, *args[1:]], stdout=out, stderr=out)

    def lines(self):
        with open(self.path, errors="replace") as file:
            return file.read().split("\n")[:-1]

    def ends(self, number):
        self.proc.send_signal(number)
        return self.proc.wait(10 * lib.PATIENCE)


def both_kinds(function):
    """A case for both kinds of agent, always: kith asks them differently."""
    return each_kind(function, ("serf", "kith"))


@both_kinds
def stream(pool, kind):
    """stream: user events, queries and members as JSON and as text, filters, and its end"""
    one, two, last = three(pool, kind)
    rpc = lib.Rpc(one.rpc_addr)
    followers = [Follower(pool, one, "stream", "--json"), Follower(pool, one, "stream"),
                 Follower(pool, one, "stream", "user:deploy,member-leave"), Follower(pool, one, "monitor", "-json")]

    def begun():
        # The filtered one sees no others than deploy.
        rpc.call("event", {"Name": "deploy", "Payload": b"begin", "Coalesce": False})
        return all("begin" in "".join(f.lines()) for f in followers)

    lib.wait(begun, 15, "all followers see an event", every=0.3)
    rpc.call("event", {"Name": "bytes", "Payload": b"\xff\n", "Coalesce": False})
    rpc.call("event", {"Name": "deploy", "Payload": "grün\n2\t".encode(), "Coalesce": False})

    def asked():
        two.cli("query", "-timeout=1s", "load", "15", binary=lib.KITH)
        return all("load" in "".join(f.lines()) for f in followers[:2])

    lib.wait(asked, 15, "a query, which Serf spreads by gossip alone, comes to its followers")
    last.leave()
    lib.wait(lambda: all("member-leave" in "".join(f.lines()) for f in followers), 20, "all followers see a member leave")
    records = [json.loads(line) for line in followers[0].lines()]
    if kind == "kith":
        indexes = [record.pop("index") for record in records]
        check(indexes == list(range(indexes[0], indexes[0] + len(indexes))), "numbered one by one:", indexes)
        said = [(record["name"], record.pop("origin"), record.pop("seq", None)) for record in records if "name" in record]
        seqs = [seq for _, origin, seq in said if origin == one.name]
        check(seqs == list(range(seqs[0], seqs[0] + len(seqs))), "its sender's numbers rise one by one:", said)
        check(("load", two.name, None) in said, "who asks:", said)
    by_name = {record.get("name"): record for record in records}
    check(all(type(record.pop("ltime")) is int for record in records if "name" in record), "the times are numbers:", records)
    check(by_name["bytes"] == {"event": "user", "name": "bytes", "payload_base64": "/wo=", "coalesce": False}, by_name)
    check(by_name["deploy"] == {"event": "user", "name": "deploy", "payload": "grün\n2\t", "coalesce": False}, by_name)
    check(type(by_name["load"].pop("id")) is int, "a query has an id")
    check(by_name["load"] == {"event": "query", "name": "load", "payload": "15"}, by_name)
    member = by_name[None]["members"][0]
    check(by_name[None]["event"] == "member-leave" and member["name"] == last.name and member["status"] == "left" and
          member["addr"] == "%s:7946" % last.ip, member)
    lines = [re.sub(r"^\d+ ", "", line) for line in followers[1].lines()]
    for line in ("user bytes: \\xff\\x0a", "user deploy: grün\\x0a2\\x09", "query load: 15",
                 "member-leave %s %s:7946" % (last.name, last.ip)):
        check(line in lines, "no line %r in" % line, lines)
    filtered = [re.sub(r"^\d+ ", "", line) for line in followers[2].lines()]
    # They began at different moments.
    filtered, lines = ([line for line in some if line != "user deploy: begin"] for some in (filtered, lines))
    check(filtered == [line for line in lines if line.startswith(("user deploy", "member-leave"))], filtered)
    events_of_monitor = [line for line in map(json.loads, followers[3].lines()) if "event" in line]
    check(any(record.get("payload_base64") == "/wo=" for record in events_of_monitor), "monitor:", events_of_monitor)
    check(followers[1].ends(signal.SIGINT) == followers[2].ends(signal.SIGTERM) == followers[3].ends(signal.SIGINT) == 0,
          "an interrupt ends them with 0")
    one.kill()
    check(followers[0].proc.wait(10 * lib.PATIENCE) == 1, "the agent's end ends the stream with 1")
    check("Error streaming events: " in followers[0].lines()[-1], followers[0].lines()[-1])


@each_kind
def errors(pool, kind):
    """nobody there, a wrong key, a filter that is none, and a serf agent asked for what only kith agents do"""
    commands = (["event", "x"], ["query", "x"], ["keys", "-list"], ["reachability"], ["stream"])
    for args in commands:
        fails(4, args[0], "-rpc-addr=127.0.0.99:7373", *args[1:], says="^Error connecting to the agent: .*refused")
    path = pool.path("auth.json", json.dumps({"rpc_auth": "open sesame"}))
    agent = pool.agent(kind, flags=["-config-file", path]).spawn()
    where = "-rpc-addr=%s:7373" % agent.ip
    lib.wait(lambda: lib.run(lib.KITH, "members", where).code == 1, 15, "the agent refuses", 0.3)
    for args in commands:
        fails(1, args[0], where, *args[1:], says="Authentication required")
        fails(1, args[0], where, "-rpc-auth=x", *args[1:], says="Invalid authentication token")
    fails(1, "stream", where, "-rpc-auth=open sesame", "rubbish", says="Error starting the stream: Invalid event filter")
    done = lib.run(lib.KITH, "event", where, "-rpc-auth=open sesame", "x")
    check(done.code == 0, "the right key:", done)
    for text in ("x", "-1", "", "1 ", "18446744073709551616"):
        fails(2, "stream", where, "-from", text, says="is no whole number below 2\\^64")
    if kind == "serf":
        serf = pool.start("serf")
        where = "-rpc-addr=%s:7373" % serf.ip
        for _ in range(10): # it hangs up as soon as it has read the name of the command
            fails(1, "event", where, "-confirm", "x", says="this agent cannot tell who has got an event")
            fails(1, "stream", where, "-from=3", says="this agent keeps no events")


@lib.case
def goes_on(pool):
    """stream -from: who was away gets what it missed, and nothing twice, from an index that any line told it"""
    one = pool.start("kith")
    rpc = lib.Rpc(one.rpc_addr)

    def said(name):
        rpc.call("event", {"Name": name, "Payload": b"", "Coalesce": False})

    first = Follower(pool, one, "stream", "user")

    def begun():
        said("begin")
        return first.lines()

    lib.wait(begun, 15, "the stream has begun", 0.3)
    said("last")
    lib.wait(lambda: first.lines()[-1].endswith(" user last"), 10, lambda: "the last line: %s" % first.lines())
    first.ends(signal.SIGINT)
    for name in ("missed", "too"):
        said(name)
    again = Follower(pool, one, "stream", "-from", str(int(first.lines()[-1].split()[0]) + 1), "user")
    lib.wait(lambda: len(again.lines()) == 2, 10, lambda: "what was missed: %s" % again.lines())
    said("now")
    lib.wait(lambda: len(again.lines()) == 3, 10, lambda: "what comes: %s" % again.lines())
    check([line.split(" ", 1)[1] for line in again.lines()] == ["user missed", "user too", "user now"], again.lines())
    again.ends(signal.SIGINT)


class Script:
    """An agent that is but a list of answers: what only kith agents do, and what none should."""

    ADDR = ("127.0.0.200", 7373)
    BODYLESS = ("list-keys",)

    def __init__(self, answers):
        """answers: command -> what to send: a text is the error of a header, bytes go as they are, other values packed."""
        self.answers, self.asked, self.faults = answers, [], []
        self.server = socket.create_server(self.ADDR)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while True:
                self.serve(self.server.accept()[0])
        except OSError:
            pass

    def serve(self, sock):
        rpc = lib.Rpc.__new__(lib.Rpc)
        rpc.sock, rpc.reader = sock, wire.Reader()
        try:
            while True:
                head, body = rpc.value(), None
                if "Command" not in head:
                    self.faults.append("a body that nobody reads: %s" % head)
                    continue
                if head["Command"] not in self.BODYLESS:
                    if not rpc.reader.data:
                        # Who does not know a command hangs up at its header, and what comes then would hide its answer.
                        self.faults.append("%s came in two pieces" % head["Command"])
                    body = rpc.value()
                self.asked.append((head["Command"], body))
                for part in self.answers.get(head["Command"], [""]):
                    value = {"Seq": head["Seq"], "Error": part} if isinstance(part, str) else part
                    sock.sendall(value if isinstance(value, bytes) else wire.pack(value, rpc=True))
        except (OSError, ConnectionError):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, wrong, *_):
        self.server.shutdown(socket.SHUT_RDWR) # wakes who accepts
        self.thread.join()
        self.server.close()
        check(wrong or not self.faults, self.faults)

    def cli(self, *args):
        return lib.run(lib.KITH, args[0], "-rpc-addr=%s:%d" % self.ADDR, *args[1:])


def confirmation(confirmed, members, missing=(), unable=()):
    return ["", {"Confirmed": confirmed, "Members": members, "Missing": list(missing), "Unable": list(unable) or None}]


@lib.case
def confirmed(pool):
    """event -confirm: everybody, some missing, some unable, and JSON"""
    rows = ((confirmation(3, 3), 0, ""), (confirmation(48, 50, ["x", "y\033"]), 1, "Not confirmed in time by:\n\tx\n\ty\\x1b\n"),
            (confirmation(2, 3, unable=["s"]), 1, "Cannot confirm, for they are no kith agents:\n\ts\n"),
            (confirmation(2, 2, unable=["s"]), 1, "Cannot confirm, for they are no kith agents:\n\ts\n"),
            (confirmation(2, 3), 1, ""))
    for answer, code, err in rows:
        with Script({"kith-event": answer}) as script:
            done = script.cli("event", "-confirm", "-coalesce=false", "-timeout=1.5s", "deploy", "v1")
            body = answer[1]
            check(done.code == code and done.err == err, "expected", code, repr(err), "from", done)
            check(done.out == "Event 'deploy' delivered by %d of %d members\n" % (body["Confirmed"], body["Members"]), done)
            check(script.asked[-1] == ("kith-event", {"Name": "deploy", "Payload": b"v1", "Coalesce": False, "Confirm": True,
                                                       "Timeout": 1500000000}), script.asked)
            own = script.cli("event", "-confirm", "-json", "deploy")
            check(own.code == code and own.json() == {"name": "deploy", "coalesce": True, "confirmed": body["Confirmed"],
                                                      "members": body["Members"], "missing": body["Missing"],
                                                      "unable": body["Unable"] or []}, own)


@lib.case
def resumed(pool):
    """stream -from: the request, indexes, and a gap"""
    user = {"Event": "user", "LTime": 4, "Name": "deploy", "Payload": b"v1", "Coalesce": True, "Index": 12}
    gap = {"Event": "gap", "From": 3, "To": 11}
    with Script({"kith-stream": ["", "", gap, "", user, b"\xc1"]}) as script:
        done = script.cli("stream", "-from", "3", "user")
        check(done.out == "gap: 3 to 11 are no longer kept\n12 user deploy: v1\n" and done.code == 1, done)
        check("Error streaming events: the agent's answer is malformed" in done.err, done)
        check(script.asked[-1] == ("kith-stream", {"Type": "user", "From": 3}), script.asked)
        done = script.cli("stream", "--from=18446744073709551615", "--json")
        check([json.loads(line) for line in done.out.split("\n")[:-1]] == [
            {"event": "gap", "from": 3, "to": 11},
            {"index": 12, "event": "user", "ltime": 4, "name": "deploy", "payload": "v1", "coalesce": True}], done)
        check(script.asked[-1] == ("kith-stream", {"Type": "*", "From": 2 ** 64 - 1}), script.asked)


MEMBERS = ["", {"Members": [{"Name": name, "Status": "alive", "Addr": b"\x7f\0\0\1", "Port": 1} for name in "ab"]}]


@lib.case
def odd_answers(pool):
    """what no agent should answer: malformed bodies, answers from members that are not alive, an end in between"""
    rows = (
        ({"kith-event": ["", {"Confirmed": "all"}]}, ["event", "-confirm", "x"], 1, "malformed"),
        ({"kith-event": ["", {"Confirmed": 1, "Members": 1, "Missing": [1]}]}, ["event", "-confirm", "x"], 1, "malformed"),
        ({"list-keys": ["", {"Keys": {"k": "many"}}]}, ["keys", "-list"], 1, "malformed"),
        ({"list-keys": ["", {"Keys": [1]}]}, ["keys", "-list", "-json"], 1, "malformed"),
        ({"use-key": ["", {"Messages": {"a\033": "was slow"}, "NumNodes": 1, "NumResp": 1}]}, ["keys", "-use", "k"], 0,
         "^warning:  a\\\\x1b  was slow\n$"),
        ({"members-filtered": ["", {"Members": 1}]}, ["query", "x"], 1, "malformed"),
        ({"members-filtered": MEMBERS, "query": ["", "", {"Type": "maybe", "From": "a"}]}, ["query", "x"], 1, "malformed"),
        ({"members-filtered": MEMBERS, "query": ["refused"]}, ["query", "x"], 1, "Error sending query: refused"),
        ({"members-filtered": MEMBERS, "query": ["", "", {"Type": "ack", "From": "c"}, "", {"Type": "ack", "From": "a"}, "",
                                                 {"Type": "done"}]}, ["reachability"], 1,
         "Missing acks from:\n\tb\n.*Acks from non-live nodes:\n\tc\n"),
        ({"members-filtered": MEMBERS, "query": ["", "", {"Type": "ack", "From": "b"}, "", {"Type": "ack", "From": "a"}, "",
                                                 {"Type": "ack", "From": ""}, "x"]}, ["reachability"], 0, "^$"),
        ({"kith-stream": ["", "", {"Event": "member-join", "Members": 3}]}, ["stream"], 1, "malformed"),
    )
    for answers, args, code, says in rows:
        with Script(answers) as script:
            done = script.cli(*args)
            check(done.code == code and re.search(says, done.err, re.S), "expected", code, repr(says), "from", done)
    with Script({"members-filtered": MEMBERS, "query": ["", "", {"Type": "done"}]}) as script:
        script.cli("query", "-tag", "a=x|y", "-tag", "b=^z$", "q")
        check(script.asked[-2] == ("members-filtered", {"Tags": {"a": "(?s:.*)(?:x|y)(?s:.*)", "b": "(?s:.*)(?:^z$)(?s:.*)"}}),
              script.asked)


lib.main(__doc__)
