"""The Redis protocol for the suites: connections that keep the raw bytes, and a redis-server to compare with."""
import os
import shutil
import socket
import subprocess

import lib

REDIS = os.environ.get("REDIS") or shutil.which("redis-server") or "/usr/bin/redis-server"
PORT, REAL_PORT = 7379, 6379


class Link:
    """One connection that speaks the protocol raw."""

    def __init__(self, port, version=2, auth=None, ip="127.0.0.1"):
        self.sock = socket.create_connection((ip, port), 5)
        self.sock.settimeout(20)
        self.data = b""
        if auth:
            self.call("AUTH", auth)
        if version == 3:
            self.call("HELLO", "3")

    def close(self):
        self.sock.close()

    @staticmethod
    def encode(*args):
        args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in args)

    def send(self, *args):
        self.sock.sendall(self.encode(*args))

    def need(self, len_):
        while len(self.data) < len_:
            more = self.sock.recv(1 << 20)
            if not more:
                raise ConnectionError("closed")
            self.data += more

    def _line(self, at):
        while True:
            end = self.data.find(b"\r\n", at)
            if end >= 0:
                return self.data[at:end], end + 2
            self.need(len(self.data) + 1)

    def _skip(self, at):
        """The place behind the reply that begins at `at`."""
        line, at = self._line(at)
        kind, rest = line[:1], line[1:]
        if kind in b"$=" and int(rest) >= 0:
            self.need(at + int(rest) + 2)
            return at + int(rest) + 2
        if kind in b"*~>%":
            for _ in range(max(int(rest), 0) * (2 if kind == b"%" else 1)):
                at = self._skip(at)
        return at

    def reply(self):
        """The bytes of the next reply."""
        end = self._skip(0)
        reply, self.data = self.data[:end], self.data[end:]
        return reply

    def call(self, *args):
        self.send(*args)
        return self.reply()

    def raw(self, data):
        """Sends bytes; returns all that comes until the other side closes, or is silent for a while."""
        self.sock.sendall(data)
        self.sock.settimeout(1.0)
        seen = b""
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    return seen, True
                seen += more
        except (socket.timeout, TimeoutError):
            return seen, False
        except ConnectionError:
            return seen, True


servers = []  # what a case that failed has left behind


def real(pool, port=REAL_PORT, *flags):
    """A redis-server; the one before it ends."""
    while servers:
        last = servers.pop()
        last.kill()
        last.wait()
    proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", REDIS, "--port", str(port), "--save", "", "--appendonly",
                             "no", "--databases", "1", "--dir", pool.dir] + list(flags), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    servers.append(proc)

    def answers():
        try:
            Link(port).close()
            return True
        except OSError:
            return False
    lib.wait(answers, 10, "redis-server answers", 0.05)
    return proc


def parse(data):
    """A RESP reply as a Python value; errors as ("error", text)."""
    def value(at):
        end = data.index(b"\r\n", at)
        kind, rest, at = data[at:at + 1], data[at + 1:end], end + 2
        if kind in b"$=":
            return (None, at) if rest == b"-1" else (data[at:at + int(rest)], at + int(rest) + 2)
        if kind in b"*~>%":
            out = []
            for _ in range(max(int(rest), 0) * (2 if kind == b"%" else 1)):
                one, at = value(at)
                out.append(one)
            return (None if rest == b"-1" else out), at
        if kind == b":":
            return int(rest), at
        return (("error", rest.decode()) if kind == b"-" else rest), at
    return value(0)[0]
