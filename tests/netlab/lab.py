"""A lab: N network namespaces wired to the netlab switch, and commands for it."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "real"))
import lib  # noqa: E402

NETLAB = os.environ.get("NETLAB", os.path.join(lib.ROOT, "build", "netlab"))


class Lab:
    """Ports are numbered from 1; node i has 10.77.0.i/24 and fd77::i/64 on eth0 of its own namespace."""

    def __init__(self, count, seed=1, mtu=1500):
        self.nodes = {}
        for i in range(1, count + 1):
            self.nodes[i] = self.wire(i, mtu)
        ports = ["port%d" % i for i in self.nodes]
        self.proc = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NETLAB, "-r", str(seed)] + ports,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.command("stats")

    @staticmethod
    def addr(i):
        return "10.77.0.%d" % i

    @staticmethod
    def addr6(i):
        return "fd77::%d" % i

    @staticmethod
    def wire(i, mtu):
        node = lib.Namespace()
        port = "port%d" % i
        # gso_max_segs 1: every frame on the wire is one packet, so loss and delay fall on packets.
        steps = [["link", "add", port, "mtu", str(mtu), "gso_max_segs", "1", "type", "veth", "peer", "name", "eth0",
                  "mtu", str(mtu), "gso_max_segs", "1", "netns", node.path()],
                 ["link", "set", port, "up"]]
        inside = [["link", "set", "eth0", "gso_max_segs", "1"],
                  ["addr", "add", Lab.addr(i) + "/24", "dev", "eth0"],
                  ["-6", "addr", "add", Lab.addr6(i) + "/64", "dev", "eth0", "nodad"],
                  ["link", "set", "eth0", "up"]]
        for done in [lib.run("ip", *s) for s in steps] + [node.run("ip", *s) for s in inside]:
            lib.check(done.code == 0, "wiring failed:", done)
        return node

    def command(self, line):
        """Sends one command; returns its answer without the closing ok."""
        lib.check(self.proc.poll() is None, "netlab is gone, exit code", self.proc.returncode)
        self.proc.stdin.write(line + "\n")
        answer = []
        while True:
            got = self.proc.stdout.readline()
            lib.check(got, "netlab ended during:", line)
            if got == "ok\n":
                return answer
            lib.check(not got.startswith("error"), "netlab on %r:" % line, got.strip())
            answer.append(got.strip())

    def stats(self):
        """{(from, to): {counter: value}}"""
        result = {}
        for line in self.command("stats"):
            words = line.split()
            if ">" in words[0]:
                a, b = words[0].split(">")
                result[int(a), int(b)] = {k: int(v) for k, v in (w.split("=") for w in words[1:])}
        return result

    def close(self):
        if self.proc.poll() is None:
            self.proc.stdin.close()
            self.proc.wait(5)
        for i, node in self.nodes.items():
            lib.run("ip", "link", "del", "port%d" % i)
            node.close()
