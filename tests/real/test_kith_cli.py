#!/usr/bin/env python3
"""kith's own command line: JSON that programs can rely on, exit codes, errors on standard error, environment, configuration."""
import base64
import json
import re
import socket
import threading

import lib
import wire

check = lib.check
NOBODY = "-rpc-addr=127.0.0.99:7373"


def fails(code, *args, says="", **options):
    """A failing command: its exit code, something on standard error that says why, nothing on standard output. An
    agent may have begun to log there; but why it ends stands on standard error."""
    done = lib.run(lib.KITH, *args, timeout=15, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    check(done.err.strip(), "expected words on standard error:", done)
    check(not done.out or (args[0] == "agent" and done.out.startswith("==> ")), "words on standard output:", done)
    check(re.search(says, done.err), "standard error does not match %r:" % says, done)
    return done


@lib.case
def json_forms(pool):
    """members, info as JSON: Serf's shape on request, numbers as numbers otherwise, [] when empty, sorted"""
    first = pool.start("kith", "-tag", "role=web")
    others = pool.start("kith", "-join", first.join_addr, count=3)
    serf = pool.start("serf", "-join", first.join_addr)
    pool.full([first, serf] + others, 30)
    serfs = first.cli("members", "-format=json", binary=lib.SERF).json()["members"]
    for flag in ("-format=json", "--format=json"):
        done = first.cli("members", flag)
        check(done.code == 0 and not done.err, done)
        mine = done.json()["members"]
        check(mine == sorted(serfs, key=lambda m: m["name"]), "kith's list\n%s\nis not serf's, sorted\n%s" % (mine, serfs))
    own = first.cli("members", "--json").json()["members"]
    check([m["name"] for m in own] == sorted(a.name for a in pool.agents), "not sorted:", own)
    check(all(m["status"] == "alive" and isinstance(m["port"], int) for m in own), own)
    empty = first.cli("members", "--json", "-name=nobody")
    check(empty.code == 0 and empty.json()["members"] == [], "no members are []:", empty)
    names = [line.split()[0] for line in first.cli("members").out.strip().split("\n")]
    check(names == sorted(a.name for a in pool.agents), "the table is not sorted:", names)
    info = first.cli("info", "--json").json()
    check(info["serf"]["members"] in (5, "5"), "info --json:", info)
    numbers = [v for section in info.values() if isinstance(section, dict) for v in section.values()
               if isinstance(v, int) and not isinstance(v, bool)]
    check(len(numbers) >= 10, "info --json has the counters as numbers:", info)
    for one_dash in ("-json", "--json"):
        check(first.cli("info", one_dash).code == 0, one_dash)


@lib.case
def life(pool):
    """join, tags, force-leave with -prune, leave, by kith's own commands"""
    one, two, three = pool.start("kith", count=3)
    done = one.cli("join", two.join_addr, three.join_addr)
    check(done.code == 0 and "2" in done.out, done)
    pool.full(timeout=20)
    check(one.cli("tags", "-set", "a=1", "-set", "b=2").code == 0, "tags -set")
    check(one.cli("tags", "-delete", "a", "-set", "c=3").code == 0, "tags -delete")
    tags = one.cli("members", "--json", "-name=" + one.name).json()["members"][0]["tags"]
    check({k: v for k, v in tags.items() if k != "_kith"} == {"b": "2", "c": "3"}, tags)
    three.kill()
    pool.status([one, two], three, "failed", 45)
    check(one.cli("force-leave", three.name).code == 0, "force-leave")
    pool.status([one, two], three, "left", 15)
    check(one.cli("force-leave", "-prune", three.name).code == 0, "force-leave -prune")
    pool.expect([one, two], {one.name: "alive", two.name: "alive"}, 15)
    check(two.cli("leave").code == 0, "leave")
    check(two.exit_code(15) == 0, "an agent told to leave exits 0, not", two.proc.returncode)
    pool.status([one], two, "left", 15)


class Stand:
    """Stands in for an agent: answers `stats` and `get-coordinate` with what it was given, by name."""

    def __init__(self, stats, answers):
        self.stats, self.answers = stats, answers
        self.sock = socket.create_server(("127.0.0.60", 7373))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            conn, _ = self.sock.accept()
            with conn:
                reader = wire.Reader()
                try:
                    while True:
                        head = self.object(conn, reader)
                        name = {"handshake": "Version", "get-coordinate": "Node"}.get(head["Command"])
                        asked = self.object(conn, reader)[name] if name else None
                        answer = {"stats": self.stats, "get-coordinate": self.answers.get(asked)}.get(head["Command"])
                        conn.sendall(wire.pack({"Seq": head["Seq"], "Error": ""}, rpc=True) +
                                     (b"" if answer is None else wire.pack(answer, rpc=True)))
                except ConnectionError:
                    pass

    @staticmethod
    def object(conn, reader):
        while True:
            start = reader.at
            try:
                return reader.value()
            except wire.Short:
                reader.at = start
            data = conn.recv(65536)
            if not data:
                raise ConnectionError
            reader.data += data


@lib.case
def rtt_answers(_pool):
    """rtt reckons with what an agent answers, and with nothing that is no coordinate"""
    def place(vec, height=0.0, adjustment=0.0):
        return {"Ok": True, "Coord": {"Vec": vec, "Height": height, "Adjustment": adjustment, "Error": 0.5}}
    zero = [0.0] * 7
    bad = {"seven": place(zero), "nine": place(zero + zero), "none": place(None), "text": place(["1"] * 8),
           "number": {"Ok": True, "Coord": 7}, "nothing": {"Ok": True}, "list": [1, 2, 3]}
    Stand({"agent": {"name": "me"}, "serf": {"members": "3"}},
          dict(bad, a=place([0.0] + zero, 0.001), b=place([0.003] + zero, 0.0005, 0.0001), me=place(zero + [0.004]),
               far=place([1e300] + zero), nan=place([float("nan")] + zero), unknown={"Ok": False, "Coord": {"Vec": None}}))
    where = "-rpc-addr=127.0.0.60:7373"
    for args, said in ((["a", "b"], "a <-> b rtt: 4.600 ms"), (["b", "a"], "b <-> a rtt: 4.600 ms"),
                       (["a"], "a <-> me rtt: 5.000 ms"), (["a", "a"], "a <-> a rtt: 2.000 ms")):
        done = lib.run(lib.KITH, "rtt", where, *args)
        check(done.code == 0 and not done.err and done.out == "Estimated %s\n" % said, done)
    done = lib.run(lib.KITH, "rtt", where, "--json", "a", "b")
    check(done.code == 0 and done.json() == {"from": "a", "to": "b", "rtt_ms": 4.6} and "4.6\n" in done.out, done)
    for name in bad:
        for args in ([name, "a"], ["a", name]):
            fails(1, "rtt", where, *args, says="Error getting coordinates: .*malformed")
    fails(1, "rtt", where, "a", "unknown", says='^Could not find a coordinate for node "unknown"\n$')
    for name in ("far", "nan"):
        done = lib.run(lib.KITH, "rtt", where, "a", name)
        check(done.code == 0 and re.match(r"Estimated a <-> \w+ rtt: \d+\.\d{3} ms\n$", done.out), done)
    for args in ([], ["a", "b", "c"]):
        fails(2, "rtt", where, *args)


@lib.case
def exit_codes(pool):
    """usage errors are 2, failures 1, an unreachable agent 4"""
    for args in (["no-such-command"], ["members", "-no-such-flag"], ["join"], ["force-leave"], ["tags"],
                 ["tags", "-set", "nonsense", NOBODY], ["members", "-format=xml"], ["agent", "-no-such-flag"],
                 ["agent", "-tag", "nonsense"], ["agent", "-profile=moon"], ["members", "-rpc-addr"]):
        fails(2, *args)
    for args in (["members"], ["join", "127.0.0.1"], ["leave"], ["info"], ["tags", "-set", "a=b"],
                 ["force-leave", "x"], ["monitor"], ["rtt", "x"], ["members", "--json"]):
        fails(4, args[0], NOBODY, *args[1:])
    for where in ("127.0.0.99:72909", "127.0.0.99:", "[::1"):  # 72909 is 7373 in 16 bits
        fails(4, "members", "-rpc-addr", where, says="is no address; give host:port")
    locked = pool.start("kith")
    fails(1, "join", "-rpc-addr=%s:7373" % locked.ip, "127.0.0.98:7946", says="127.0.0.98")
    fails(1, "members", "-rpc-addr=%s:7373" % locked.ip, "-name=(")
    for flag in ("-h", "--help"):
        done = lib.run(lib.KITH, "members", flag)
        check(done.code == 0 and "-status" in done.out and not done.err, "asked-for help is no error:", done)


@lib.case
def environment(pool):
    """SERF_RPC_ADDR and SERF_RPC_AUTH; keygen; version; a config key for every flag and a KITH_ variable for each"""
    path = pool.path("agent.json", json.dumps({"rpc_auth": "s3cret", "tags": {"from": "file"}, "log_level": "warn"}))
    agent = pool.agent("kith", flags=["-config-file", path], env={"KITH_LOG_FORMAT": "json", "KITH_LOG_LEVEL": "debug"})
    agent.spawn()
    env = {"SERF_RPC_ADDR": "%s:7373" % agent.ip}
    lib.wait(lambda: lib.run(lib.KITH, "members", env=env).code != 4, 15, "the agent listens", 0.3)
    fails(1, "members", env=env, says="(?i)auth")
    fails(1, "members", "-rpc-auth=wrong", env=env, says="(?i)auth")
    done = lib.run(lib.KITH, "members", "--json", env=dict(env, SERF_RPC_AUTH="s3cret"))
    check(done.code == 0 and done.json()["members"][0]["tags"]["from"] == "file", done)
    done = lib.run(lib.KITH, "members", "-rpc-auth=s3cret", env=dict(env, SERF_RPC_AUTH="wrong"))
    check(done.code == 0, "a flag beats the environment:", done)
    lines = [line for line in agent.log_text().split("\n") if line.startswith("{")]
    levels = {str(json.loads(line).get("level")).lower() for line in lines}
    check(len(lines) >= 2 and "debug" in levels, "KITH_LOG_FORMAT=json and KITH_LOG_LEVEL=debug gave", agent.log_text())
    keys = [lib.run(lib.KITH, "keygen").out.strip() for _ in range(2)]
    check(all(len(base64.b64decode(k)) == 32 for k in keys) and keys[0] != keys[1], "keygen:", keys)
    for flag in ("-v", "--version"):
        check(lib.run(lib.KITH, flag).out == lib.run(lib.KITH, "version").out, flag, "is Serf's, too")
    version = lib.run(lib.KITH, "version")
    check(version.code == 0 and re.search(r"\d+\.\d+", version.out), version)


@lib.case
def agent_errors(pool):
    """what an agent refuses: unknown keys by name and line, a taken port, flags that are not there yet, a failed -join"""
    where = ["-node", "x", "-bind", "127.0.0.50", "-rpc-addr", "127.0.0.50:7373"]
    path = pool.path("typo.json", '{\n  "node_name": "x",\n  "tags": {"a": "b"},\n  "log_levle": "debug"\n}\n')
    done = fails(2, "agent", "-config-file", path, *where, says="log_levle")
    check(re.search(r"(line |:)4\b", done.err) and "typo.json" in done.err, "the error names file and line:", done)
    path = pool.path("broken.json", '{\n  "node_name": "x",\n  "tags": {\n}\n')
    fails(2, "agent", "-config-file", path, *where, says="broken.json")
    taken = pool.start("kith")
    done = fails(1, "agent", "-node", "y", "-bind", taken.ip, "-rpc-addr", "127.0.0.51:7373", says="7946")
    check("in use" in done.err, "the message says the port is in use:", done)
    done = fails(1, "agent", "-node", "y", "-bind", "127.0.0.51", "-rpc-addr", "%s:7373" % taken.ip, says="7373")
    for flag in (["-event-handler", "not a filter=x.sh"], ["-discover", "x"], ["-iface", "lo"], ["-syslog"]):
        done = lib.run(lib.KITH, "agent", *where, *flag, timeout=15)
        check(done.code in (1, 2) and flag[0].lstrip("-") in done.err and "not" in done.err, "a clear refusal:", done)
    fails(1, "agent", "-join", "127.0.0.52:7946", *where, says="127.0.0.52")
    folder = pool.path("conf.d")
    lib.os.mkdir(folder)
    pool.path("conf.d/10-first.json", '{"tags": {"a": "1"}, "log_level": "warn"}')
    pool.path("conf.d/20-second.json", '{"tags": {"b": "2"}}')
    pool.path("conf.d/ignored.txt", "not JSON")
    agent = pool.start("kith", "-config-dir", folder)
    tags = {k: v for k, v in agent.members()[agent.name]["Tags"].items() if k != "_kith"}
    check(tags == {"a": "1", "b": "2"}, "tags of a configuration folder:", tags)


@lib.case
def empty_keys(pool):
    """keys of a file that are empty or null are not given, for kith as for Serf"""
    text = ['"%s": ""' % key for key in ("advertise", "role", "tags_file", "encrypt_key", "keyring_file", "snapshot_path", "rpc_auth",
                                         "profile", "log_level", "discover", "interface", "retry_interval", "statsd_addr",
                                         "broadcast_timeout", "tombstone_timeout", "syslog_facility")]
    text += ['"%s": null' % key for key in ("tags", "start_join", "retry_join", "event_handlers", "protocol", "replay_on_join")]
    path = pool.path("template.json", "{%s}" % ", ".join(text))
    for kind in ("serf", "kith"):
        pool.start(kind, "-config-file", path, "-tag", "a=b")


@lib.case
def agent_limits(pool):
    """what the core does not take is named: the limit, or the tags"""
    for text, says in (('{"event_size_max": 16000000}', "event_size_max: 16000000 cannot be used"),
                       ('{"queue_max": 0, "members_max": 7}', "queue_max: 0 cannot be used"),
                       ('{"tags": {"a": "%s"}}' % ("x" * 600), "the tags cannot be used: together they have 512 bytes"),
                       ('{"tags": {"_kith": "1"}}', "the tags cannot be used"),
                       ('{"queue_max": 0, "members_max": 0}', "check its name, label, versions, limits and timing")):
        fails(1, "agent", "-node", "x", "-bind", "127.0.0.50", "-resp-addr", "none", "-config-file", pool.path("l.json", text),
              says=says)


def event_from(agent, size):
    """`kith event` with a payload of so many bytes from standard input."""
    return lib.run("sh", "-c", "head -c %d /dev/zero | tr '\\0' x | %s event -rpc-addr=%s:7373 big -" % (size, lib.KITH, agent.ip))


@lib.case
def large_events(pool):
    """an event that is too large says so, however large it is; what an agent is configured to take, its RPC takes"""
    agent = pool.start("kith")
    for size in (1 << 20, 2 << 20, 20 << 20):
        done = event_from(agent, size)
        check(done.code == 1 and not done.out and re.match("Error sending event: .*event_size_max", done.err), size, done)
    check(event_from(agent, (1 << 20) - 3).code == 0, "as large as it may be")
    path = pool.path("large.json", json.dumps({"event_size_max": 3 << 20, "event_log_max": 6 << 20}))
    agent = pool.start("kith", "-config-file", path)
    done = event_from(agent, 2 << 20)
    check(done.code == 0, "it may be larger here:", done)


@lib.case
def public(pool):
    """an agent that others reach at a public address, and that does not encrypt, says so; no other does"""
    key = lib.run(lib.KITH, "keygen").out.strip()
    for flags, warned in (("8.8.8.8", True), ("[2606:4700::1]", True), ("10.1.2.3", False), ("[fd00::1]", False), ("[fe80::1]", False),
                          ("[::1]", False), ("8.8.8.8 -encrypt " + key, False)):
        agent = pool.start("kith", "-advertise", *flags.split())
        lib.wait(lambda: "kith agent starting" in agent.log_text(), 10, "it has started")
        check(("is a public address, and nothing is encrypted" in agent.log_text()) == warned, flags, agent.log_text())
        agent.kill()


@lib.case
def bad_tags(pool):
    """tags that cannot be set: the error says why"""
    agent = pool.start("kith")
    for pair in ("a=" + "x" * 600, "_kith=1"):
        fails(1, "tags", "-rpc-addr=%s:7373" % agent.ip, "-set", pair,
              says="Error setting tags: the tags cannot be used: together they have 512 bytes at most")
    bare = pool.start("kith", "-delegate-versions=0/0/0")
    fails(1, "tags", "-rpc-addr=%s:7373" % bare.ip, "-set", "a=b", says="bare memberlist nodes, which have no tags")


@lib.case
def closed_files(pool):
    """standard files that whoever starts us has closed: nothing else gets their numbers, and what cannot be written fails"""
    agent = pool.agent("kith")
    open(agent.log, "w").close()  # it has none
    command = "exec %s agent -node x -bind %s -rpc-addr %s:7373 -resp-addr none -data-dir %s <&- >&- 2>&-" % (
        lib.KITH, agent.ip, agent.ip, pool.path("data"))
    agent.proc = lib.subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sh", "-c", command])
    agent.ready()
    files = [lib.os.readlink("/proc/%d/fd/%d" % (agent.proc.pid, fd)) for fd in range(3)]
    check(files == ["/dev/null"] * 3, files)
    done = lib.run("sh", "-c", "%s members -rpc-addr=%s:7373 >&-" % (lib.KITH, agent.ip))
    check(done.code == 1 and "cannot write the output" in done.err, done)
    agent.signal(lib.signal.SIGTERM)
    agent.drop_rpc()
    check(agent.exit_code(15) == 0, "exit code", agent.proc.returncode)


@lib.case
def unread_log(pool):
    """an agent whose log nobody reads goes on, and says later how much of it is missing"""
    agent = pool.agent("kith")
    open(agent.log, "w").close()
    agent.proc = lib.subprocess.Popen(["setpriv", "--pdeathsig", "KILL", lib.KITH, "agent", "-node", "x", "-bind", agent.ip,
                                       "-rpc-addr", "%s:7373" % agent.ip, "-resp-addr", "none", "-log-level", "trace"],
                                      stdout=lib.subprocess.PIPE)
    agent.ready()
    for i in range(1000):
        agent.connection().call("event", {"Name": "e" * 200, "Payload": b"", "Coalesce": False})
    said = lib.os.read(agent.proc.stdout.fileno(), 1 << 20)
    check(b"kith agent running" in said, said[:200])
    agent.connection().call("event", {"Name": "e", "Payload": b"", "Coalesce": False})
    agent.signal(lib.signal.SIGTERM)
    agent.drop_rpc()
    said = agent.proc.stdout.read()
    check(re.search(rb"\d+ lines of the log dropped: nobody read them in time\n", said), said[-2000:])
    check(b"shutdown complete" in said and agent.exit_code(15) == 0, said[-2000:])


lib.main(__doc__)
