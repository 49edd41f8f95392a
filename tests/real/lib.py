"""What every real-process suite needs: agents of two kinds, an RPC client, waiting, and a verdict.

A suite is a file with functions marked @case, each taking a Pool, and `lib.main(__doc__)` at its end. The process moves into a
network namespace of its own first, so every suite may use 127.0.0.x:7946 and suites can run side by side.

Environment:
  KITH       the binary under test (default build/kith). With KITH=/usr/bin/serf the suites try themselves on serf: most
             cases must hold for it as well, and test_hostile.py must fail, for serf crashes.
  SERF, ALERTMANAGER   the real peers (default: from the PATH); a missing one is a failure.
  KEEP_LOGS=1          leave the agents' logs behind; they are also left behind when a case fails.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KITH = os.environ.get("KITH", os.path.join(ROOT, "build", "kith"))
SERF = os.environ.get("SERF") or shutil.which("serf") or "/usr/bin/serf"
ALERTMANAGER = (os.environ.get("ALERTMANAGER") or shutil.which("prometheus-alertmanager") or
                "/usr/bin/prometheus-alertmanager")
STAND_IN = os.path.basename(KITH) == "serf"


def _sanitized(path):
    try:
        with open(path, "rb") as file:
            return b"__asan_init" in file.read()
    except OSError:
        return False


SANITIZED = _sanitized(KITH)
# Waits last so many times as long as they need to. News reaches a stock agent by gossip in a second; but by chance it
# misses one of ten in one pool of a hundred, and that one hears of it at its next full exchange, half a minute later.
PATIENCE = 4
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


class Failure(Exception):
    """Something a case expected did not happen."""


def check(truth, *what):
    if not truth:
        raise Failure(" ".join(str(w) for w in what))


def wait(condition, timeout, what, every=0.1):
    """Asks until the condition holds; returns its value. The message names what was waited for, and the last answer
    if the condition offers one (a callable what). The timeout is what a quiet machine and ordinary luck need."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("after %.0f s still not: %s" % (timeout, what() if callable(what) else what))
        time.sleep(every)


# ---- the agent's RPC ----

class RpcError(Exception):
    """The agent answered with an error."""


class Rpc:
    """One connection to an agent's RPC port. Not for several threads at once."""

    def __init__(self, addr, auth=None, timeout=20, connect=None):
        self.sock = connect(addr) if connect else socket.create_connection(addr, 5)
        self.sock.settimeout(timeout)
        self.reader = wire.Reader()
        self.seq = 0
        self.call("handshake", {"Version": 1})
        if auth is not None:
            self.call("auth", {"AuthKey": auth})

    def close(self):
        self.sock.close()

    def send(self, command, body=None):
        self.seq += 1
        data = wire.pack({"Command": command, "Seq": self.seq}, rpc=True)
        if body is not None:
            data += wire.pack(body, rpc=True)
        self.sock.sendall(data)
        return self.seq

    def value(self):
        while True:
            start = self.reader.at
            try:
                value = self.reader.value()
                self.reader = wire.Reader(self.reader.data[self.reader.at:])
                return value
            except wire.Short:
                self.reader.at = start
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("the agent closed the RPC connection")
            self.reader.data += data

    def call(self, command, body=None, answer=False):
        seq = self.send(command, body)
        head = self.value()
        if head["Seq"] != seq:
            raise Failure("RPC answer to %r out of order: %r" % (command, head))
        # Serf sends the body even with an error set; only the three refusals before a command come without one.
        result = None
        if answer and head["Error"] not in ("Authentication required", "Handshake required", "Unsupported command"):
            result = self.value()
        if head["Error"]:
            raise RpcError(head["Error"])
        return result

    def members(self):
        return self.call("members", answer=True)["Members"] or []

    def record(self, timeout=10):
        """The next record of a stream or monitor: (seq, body)."""
        self.sock.settimeout(timeout)
        head = self.value()
        return head["Seq"], self.value()


# ---- agents ----

class Agent:
    """One agent process of kind 'kith' or 'serf'. Outlives its process: start() again is a restart."""

    def __init__(self, pool, kind, name, ip, port=7946, rpc_ip=None, flags=(), ns=None, env=None, bind=None):
        self.pool, self.kind, self.name, self.ip, self.port = pool, kind, name, ip, port
        self.rpc_addr = (rpc_ip or ip, 7373)
        self.flags, self.ns, self.env = list(flags), ns, env or {}
        self.bind = bind or ("[%s]:%d" if ":" in ip else "%s:%d") % (ip, port)
        self.log = os.path.join(pool.dir, name + ".log")
        self.proc = self.rpc = None

    @property
    def binary(self):
        return KITH if self.kind == "kith" else SERF

    @property
    def join_addr(self):
        return ("[%s]:%d" if ":" in self.ip else "%s:%d") % (self.ip, self.port)

    def spawn(self, *flags):
        """Starts the process and does not wait."""
        command = ["setpriv", "--pdeathsig", "KILL", self.binary, "agent", "-node", self.name, "-bind", self.bind,
                   "-rpc-addr", "%s:%d" % self.rpc_addr] + self.flags + list(flags)
        if self.ns:
            command = self.ns.prefix() + command
        self.drop_rpc()
        with open(self.log, "ab") as log:
            log.write(("---- %s\n" % " ".join(command)).encode())
            log.flush()
            self.proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env=dict(os.environ, **self.env), pass_fds=(self.ns.fd,) if self.ns else ())
        return self

    def start(self, *flags, timeout=20):
        self.spawn(*flags)
        return self.ready(timeout)

    def ready(self, timeout=20):
        wait(self.answers, timeout, "%s answers on its RPC port" % self.name, 0.05)
        return self

    def answers(self):
        if self.proc.poll() is not None:
            raise Failure("%s exited with %s while starting:\n%s" % (self.name, self.proc.returncode, self.tail(8)))
        try:
            self.connection()
            return True
        except (OSError, RpcError):
            return False

    def connection(self):
        if not self.rpc:
            self.rpc = Rpc(self.rpc_addr, connect=self.ns.connect if self.ns else None)
        return self.rpc

    def drop_rpc(self):
        if self.rpc:
            self.rpc.close()
        self.rpc = None

    def members(self):
        """{name: record}; an agent that cannot answer is a failure."""
        try:
            members = self.connection().members()
        except (OSError, ConnectionError) as error:
            self.drop_rpc()
            state = "running" if self.running() else "exited with %s" % self.proc.returncode
            raise Failure("%s (%s) does not answer: %s\n%s" % (self.name, state, error, self.tail(8))) from error
        names = [m["Name"] for m in members]
        check(len(set(names)) == len(names), self.name, "lists a member twice:", names)
        return {m["Name"]: m for m in members}

    def statuses(self):
        return {name: m["Status"] for name, m in self.members().items()}

    def join(self, *others):
        return self.connection().call("join", {"Existing": [o.join_addr for o in others], "Replay": False},
                                      answer=True)["Num"]

    def set_tags(self, tags, delete=()):
        self.connection().call("tags", {"Tags": tags, "DeleteTags": list(delete)})

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, number):
        self.proc.send_signal(number)

    def kill(self):
        """kill -9, and wait until it is gone."""
        self.drop_rpc()
        if self.running():
            self.proc.send_signal(signal.SIGCONT)
            self.proc.kill()
        self.proc.wait()

    def leave(self, timeout=20):
        """Asks over RPC; the agent says goodbye and ends."""
        self.connection().call("leave")
        self.drop_rpc()
        return self.exit_code(timeout)

    def exit_code(self, timeout):
        try:
            return self.proc.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure("%s still runs after %.0f s\n%s" % (self.name, timeout, self.tail(8))) from None

    def tail(self, lines):
        with open(self.log, errors="replace") as log:
            return "".join("    | " + line for line in log.readlines()[-lines:])

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def resident(self):
        return proc_kib(self.proc.pid, "smaps_rollup", "Rss") * 1024

    def cli(self, *args, binary=None, timeout=30, env=None):
        """A client command against this agent."""
        where = ["-rpc-addr=%s:%d" % self.rpc_addr]
        return run(binary or self.binary, args[0], *where, *args[1:], timeout=timeout, env=env)


def proc_kib(pid, name, key):
    """A figure in KiB from /proc/PID/NAME."""
    with open("/proc/%d/%s" % (pid, name)) as file:
        return int(re.search(r"^%s:\s+(\d+) kB" % key, file.read(), re.M).group(1))


class Done:
    """What a command left: code, out, err."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def __str__(self):
        return "%s -> %s\n  stdout: %r\n  stderr: %r" % (" ".join(self.command), self.code, self.out, self.err)

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failure("not JSON: %s" % self) from None


def run(*command, timeout=30, env=None):
    """Runs a command to its end. env values of None unset a variable."""
    environ = dict(os.environ)
    for key, value in (env or {}).items():
        environ.pop(key, None)
        if value is not None:
            environ[key] = value
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, env=environ, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        raise Failure("no end after %d s: %s" % (timeout, " ".join(command))) from None
    return Done(command, done.returncode, done.stdout, done.stderr)


class Pool:
    """The agents of one case, their logs, and what is asked of all of them."""

    def __init__(self, title):
        self.dir = tempfile.mkdtemp(prefix="kith-%s-" % re.sub(r"\W+", "-", title)[:30])
        self.agents = []
        self.used = 0

    def agent(self, kind, name=None, ip=None, **options):
        """A new agent, not started. The next free 127.0.0.x unless told otherwise."""
        self.used += 1
        ip = ip or "127.0.0.%d" % self.used
        made = Agent(self, kind, name or "%s%d" % (kind, self.used), ip, **options)
        self.agents.append(made)
        return made

    def start(self, kind, *flags, count=None, **options):
        """One started agent, or a list of `count`."""
        made = [self.agent(kind, flags=flags, **options).spawn() for _ in range(count or 1)]
        for agent in made:
            agent.ready()
        return made if count else made[0]

    def live(self):
        return [a for a in self.agents if a.running()]

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def expect(self, observers, statuses, timeout, only=True, every=0.1):
        """Waits until every observer's view is exactly `statuses` (name -> status), or with only=False has them."""
        views = {}

        def agreed():
            for observer in observers:
                view = observer.statuses()
                views[observer.name] = view
                part = view if only else {n: s for n, s in view.items() if n in statuses}
                if part != statuses:
                    return False
            return True

        def differing():
            lines = []
            for name, view in views.items():
                odd = {n: view.get(n, "(unknown)") for n in set(view) | set(statuses)
                       if view.get(n) != statuses.get(n) and (only or n in statuses)}
                if odd:
                    lines.append("%s sees %s" % (name, odd))
            return "all views agree; wanted %s\n    %s" % (statuses, "\n    ".join(lines))

        wait(agreed, timeout, differing, every)

    def full(self, agents=None, timeout=30, every=0.1):
        """Every one of the agents sees exactly these agents, all alive. Returns how long that took."""
        start = time.monotonic()
        agents = agents or self.live()
        self.expect(agents, {a.name: "alive" for a in agents}, timeout, every=every)
        return time.monotonic() - start

    def status(self, observers, agent, status, timeout):
        self.expect(observers, {agent.name: status}, timeout, only=False)

    def close(self, failed):
        complaints = []
        for agent in self.agents:
            if agent.proc:
                agent.kill()
                text = agent.log_text()
                for sign in ("AddressSanitizer", "runtime error:", "MemorySanitizer", "LeakSanitizer",
                             "assertion failed", "Assertion `"):
                    if sign in text and agent.kind == "kith":
                        at = text.index(sign)
                        complaints.append("%s: %s" % (agent.name, text[max(0, at - 200):at + 1500]))
        if not failed and not complaints and not os.environ.get("KEEP_LOGS"):
            shutil.rmtree(self.dir, ignore_errors=True)
        return complaints


# ---- isolation ----

def _syscall(name, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS


def isolate():
    """Moves this process into a network namespace of its own, with only a loopback."""
    uid, gid = os.getuid(), os.getgid()
    if os.geteuid() == 0:
        _syscall("unshare", CLONE_NEWNET)
    else:
        _syscall("unshare", CLONE_NEWUSER | CLONE_NEWNET)
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % uid), ("gid_map", "0 %d 1" % gid)):
            with open("/proc/self/" + name, "w") as file:
                file.write(text)
    loopback_up()


class Namespace:
    """One more network namespace, kept alive by a descriptor."""

    def __init__(self):
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        _syscall("unshare", CLONE_NEWNET)
        try:
            loopback_up()
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        finally:
            _syscall("setns", home, CLONE_NEWNET)
            os.close(home)

    def path(self):
        return "/proc/%d/fd/%d" % (os.getpid(), self.fd)

    def prefix(self):
        return ["nsenter", "--net=" + self.path(), "--"]

    @contextlib.contextmanager
    def inside(self):
        """Sockets made inside stay in the namespace."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        _syscall("setns", self.fd, CLONE_NEWNET)
        try:
            yield
        finally:
            _syscall("setns", home, CLONE_NEWNET)
            os.close(home)

    def connect(self, addr):
        with self.inside():
            return socket.create_connection(addr, 5)

    def run(self, *command, **options):
        return run(*self.prefix(), *command, **options)

    def close(self):
        os.close(self.fd)


# ---- the verdict ----

CASES = []


def case(function):
    CASES.append(function)
    return function


def versions(needs):
    """Prints what is being tested against what; returns complaints about what is missing."""
    missing = []
    for name, binary in (("kith", KITH), ("serf", SERF), ("alertmanager", ALERTMANAGER)):
        if name not in needs:
            continue
        if not os.access(binary, os.X_OK):
            missing.append("%s is missing: no executable %s" % (name, binary))
            continue
        done = run(binary, "--version" if name == "alertmanager" else "version")
        print("%-12s %s: %s" % (name, binary, " / ".join((done.out or done.err).split("\n")[:2]).strip(" /")))
    return missing


def _run_case(function):
    """Returns what went wrong, or None."""
    pool = Pool(function.__name__)
    wrong = None
    try:
        function(pool)
    except Exception as error:  # a broken test is a failed test
        wrong = str(error) if isinstance(error, Failure) else traceback.format_exc()
        for agent in pool.agents[:12]:
            if agent.proc:
                state = "running" if agent.running() else "exited with %s" % agent.proc.returncode
                wrong += "\n  %s (%s), %s:\n%s" % (agent.name, state, agent.log, agent.tail(14))
    complaints = pool.close(wrong is not None)
    if complaints:
        wrong = (wrong or "") + "\n  " + "\n  ".join(complaints)
    return wrong


def _alarm(*_):
    raise Failure("the suite's time is up")


def main(doc, needs=("kith", "serf"), limit=280, network=True):
    """Runs the cases (those whose names contain an argument, if there are arguments) and exits with the verdict."""
    start = time.monotonic()
    sys.stdout.reconfigure(line_buffering=True)
    print("# " + doc.strip().split("\n")[0])
    if network:
        isolate()
    signal.signal(signal.SIGALRM, _alarm)
    chosen = [c for c in CASES if not sys.argv[1:] or any(a in c.__name__ for a in sys.argv[1:])]
    missing = versions(needs)
    passed, failed = 0, len(missing)
    for complaint in missing:
        print("FAIL  " + complaint)
    for function in [] if missing else chosen:
        began = time.monotonic()
        signal.alarm(max(1, int(limit - (began - start))))
        wrong = _run_case(function)
        signal.alarm(0)
        title = (function.__doc__ or function.__name__).strip().split("\n")[0]
        print("%s  %s (%.1f s)" % ("FAIL" if wrong else "ok  ", title, time.monotonic() - began))
        if wrong:
            print("  " + wrong)
        passed, failed = passed + (not wrong), failed + bool(wrong)
    if passed + failed == 0:
        print("FAIL  nothing was run")
        failed = 1
    print("%.0f s" % (time.monotonic() - start))
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)
