#!/usr/bin/env python3
"""README.md tells the truth: its commands run as printed and answer in the shape printed, its picture is the program's.

Above each block of the README stands what it is: `<!-- run -->` commands, with the output they give in the block below;
`<!-- run installed -->` the same, with the library installed; with `exactly` behind it, to the letter; `<!-- target -->` targets of the Makefile, which are only
looked up; `<!-- screen -->` what `kith dev` shows. A block of shell commands that says nothing is a fault. All commands
run in one shell, one after the other. Shape: numbers, digests, blanks, and the order of lines and of tags do not count.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import lib

check = lib.check
BUILD = os.environ.get("KITH_BUILD_DIR", os.path.join(lib.ROOT, "build", "gcc"))
BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```\n", re.S | re.M)


def blocks():
    """[(mark, kind, text)] of the README, in order."""
    with open(os.path.join(lib.ROOT, "README.md"), encoding="utf-8") as file:
        return [(b["mark"] or "", b["kind"], b["text"]) for b in BLOCK.finditer(file.read())]


def shape(text):
    """What must agree: each line with numbers as 0, tags in order, single blanks; the lines in order of their bytes."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\d+(\.\d+)?", "0", re.sub(r"\bdigest [0-9a-f]{16}\b", "digest 0", line))
        words = [",".join(sorted(word.split(","))) for word in line.split()]
        if words:
            lines.append(" ".join(words))
    return sorted(lines)


def patient(command):
    """The command; when it starts an agent, with the waiting that a person's typing is."""
    address = re.search(r" agent .*-rpc-addr (\S+).*&$", command)
    if not address:
        return command
    return command + "\nuntil kith members -rpc-addr %s >/dev/null 2>&1; do sleep 0.1; done; sleep 1.5" % address[1]


def install(pool):
    """Environment in which the library is installed: pkg-config finds it where this test has put it."""
    prefix = pool.path("prefix")
    done = lib.run(os.environ.get("CMAKE", "cmake"), "--install", BUILD, "--prefix", prefix)
    check(done.code == 0, done)
    libdir = next(path for path, _, files in os.walk(prefix) if "libkith.a" in files)
    real = lib.shutil.which("pkg-config")
    wrapper = os.path.join(pool.dir, "bin", "pkg-config")
    with open(wrapper, "w") as file:
        file.write('#!/bin/sh\nexec %s --define-variable=prefix=%s --define-variable=libdir=%s '
                   '--define-variable=includedir=%s/include "$@"\n' % (real, prefix, libdir, prefix))
    os.chmod(wrapper, 0o755)
    return {"PKG_CONFIG_PATH": os.path.join(libdir, "pkgconfig"), "LD_LIBRARY_PATH": libdir}


@lib.case
def commands(pool):
    """the commands of README.md give the output that README.md shows"""
    os.mkdir(os.path.join(pool.dir, "bin"))
    os.symlink(lib.KITH, os.path.join(pool.dir, "bin", "kith"))
    os.symlink(os.path.join(lib.ROOT, "examples"), os.path.join(pool.dir, "examples"))
    script, shown = [], []
    found = blocks()
    for (mark, kind, text), (_, next_kind, next_text) in zip(found, found[1:] + [("", "", "")]):
        if kind != "sh" or mark == "target":
            continue
        check(mark.removesuffix(" exactly") in ("run", "run installed"), "a block of commands without a mark:", text)
        check(next_kind == "text", "commands without their output:", text)
        script += [patient(line) for line in text.splitlines()] + ["echo; echo ==== $?"]
        shown.append((text, next_text, str.strip if mark.endswith(" exactly") else shape))
    check(len(shown) >= 5, "README.md has few commands:", shown)
    check(any(form is str.strip for _, _, form in shown), "none is compared to the letter:", shown)
    env = dict(os.environ, PATH="%s/bin:%s" % (pool.dir, os.environ["PATH"]), **install(pool))
    for name in ("KITH_RPC_ADDR", "SERF_RPC_ADDR", "KITH_RPC_AUTH", "SERF_RPC_AUTH"):
        env.pop(name, None)
    path = pool.path("out")
    with open(path, "wb") as file:  # not a pipe: the agents it leaves behind would hold it open
        shell = subprocess.Popen(["bash", "-c", "\n".join(script)], cwd=pool.dir, env=env, stdin=subprocess.DEVNULL,
                                 stdout=file, stderr=file, start_new_session=True)
    try:
        shell.wait(300)
    except subprocess.TimeoutExpired:
        pass  # what there is tells where it hangs
    finally:
        os.killpg(shell.pid, signal.SIGKILL)  # its agents are still there
    with open(path, encoding="utf-8", errors="replace") as file:
        out = file.read()
    parts = re.split(r"^==== (\d+)\n", out, flags=re.M)
    check(len(parts) == 2 * len(shown) + 1, "the shell ended early:", out)
    for i, (text, expected, form) in enumerate(shown):
        given, code = parts[2 * i], parts[2 * i + 1]
        check(code == "0", "exit code", code, "from\n%s\n%s" % (text, given))
        check(form(given) == form(expected), "README.md has\n%s\n%s\nbut the output is\n%s" % (text, expected, given))


class Screen:
    """What a program draws on a terminal of 100 columns and 24 lines."""

    def __init__(self, *command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", NO_COLOR="1")
            os.execv(command[0], command)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.data = ""

    def frame(self):
        """The newest whole frame, without escape sequences."""
        while select.select([self.master], [], [], 0.1)[0]:
            try:
                self.data += os.read(self.master, 65536).decode(errors="replace")
            except OSError:  # it has ended
                break
        frames = self.data.split("\x1b[H")
        self.data = "\x1b[H".join(frames[-3:])
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frames[-1]).replace("\r", "")

    def keys(self, keys):
        for key in keys:
            os.write(self.master, key.encode())
            self.frame()

    def ended(self):
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = 0
        return not self.pid

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)


@lib.case
def picture(pool):
    """`kith dev` on a terminal: a killed node looks as in README.md"""
    wanted = shape(next(text for mark, _, text in blocks() if mark == "screen"))
    wanted = [line for line in wanted if "suspect" not in line]  # who comes to suspect by himself is chance
    screen = Screen(lib.KITH, "dev")

    def missing():
        seen = shape(screen.frame())
        return [line for line in set(wanted) if seen.count(line) < wanted.count(line)]

    try:
        lib.wait(lambda: "cluster of 5 is up" in screen.frame(), 20, "a cluster of 5")
        screen.keys("3k")
        lib.wait(lambda: not missing(), 45, lambda: "%s on this screen:\n%s" % (missing(), screen.frame()))
        screen.keys("q")
        lib.wait(screen.ended, 10, "kith dev ends on q")
    finally:
        screen.close()


@lib.case
def targets(pool):
    """the front door's commands exist, and `make run` starts what the picture shows"""
    text = "".join(text for mark, _, text in blocks() if mark == "target")
    names = re.findall(r"^make (\w+)", text, re.M)
    check(names == ["run", "check"], names)
    for name in names:
        done = lib.run("make", "-n", "-C", lib.ROOT, name)
        check(done.code == 0, done)
        check(name != "run" or "build/kith dev" in done.out, done)


lib.main(__doc__)
