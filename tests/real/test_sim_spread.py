#!/usr/bin/env python3
"""kith sim spread: its JSON, its page, its mistakes, Ctrl-C, and a million nodes in seconds."""
import html.parser
import os
import pty
import re
import signal
import subprocess
import time

import lib

check = lib.check
VOID = {"meta", "br", "hr", "img", "link", "input"}


def spread(*args, code=0, **options):
    done = lib.run(lib.KITH, "sim", "spread", *args, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    return done


class Page(html.parser.HTMLParser):
    """A page whose tags must nest, and that must ask nothing of anybody."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.text = [], {}, []
        with open(path, encoding="utf-8") as file:
            self.feed(file.read())
        self.close()
        check(not self.open, "left open:", self.open)

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        names = [name for name, _ in attrs]
        check(len(names) == len(set(names)), "an attribute twice in", tag, attrs)
        check(not {"src", "href", "action", "onload", "onclick", "style"} & set(names), "fetches or scripts:", tag, attrs)
        check(tag not in ("script", "link", "iframe", "object", "img"), "not self-contained:", tag)

    def handle_endtag(self, tag):
        check(self.open and self.open.pop() == tag, "</%s> closes nothing, or something else" % tag)

    def handle_data(self, data):
        self.text.append(data)


@lib.case
def numbers(_pool):
    """JSON has every number, the same for the same seed; and they are those of the textbook"""
    args = ("--nodes", "1000", "--mode", "push", "--stop", "feedback-counter", "--k", "2", "--runs", "200", "--json")
    one = spread(*args, "--seed", "5").json()
    check({"nodes": 1000, "mode": "push", "stop": "feedback-counter", "k": 2, "fanout": 1, "loss": 0, "runs": 200,
           "seed": "5"}.items() <= one.items(), "the question is not in the answer:", one)
    check(abs(one["residue"] - .059) < .005 and abs(one["traffic"] - 2.82) < .03, "not Demers' numbers:", one)
    check(abs(one["t_avg"] - 9.9) < .2 and abs(one["t_last"] - 17) < .6, "not Demers' delays:", one)
    check(one["rounds_to_all"] is None and one["runs_to_all"] == 0, "nobody reaches all of them:", one)
    curve = one["s_curve"]
    check([row["round"] for row in curve] == list(range(len(curve))) and curve[0]["mean"] == .001, "the curve:", curve)
    steep = [row for row in curve if .1 < row["mean"] < .9]
    check(len(steep) >= 3 and all(row["p5"] < row["mean"] < row["p95"] for row in steep), "the band:", curve)
    check(abs(1 - curve[-1]["mean"] - one["residue"]) < 1e-9, "the curve does not end at the residue:", curve[-1])
    check(spread(*args, "--seed", "5").json() == one, "the same seed gave other numbers")
    check(spread(*args, "--seed", "6").json()["residue"] != one["residue"], "another seed gave the same numbers")
    everybody = spread("--mode=push-pull", "--loss=20%", "--runs=300", "--json").json()
    check(abs(everybody["rounds_to_all"]["mean"] - 11.4) < .3, everybody)
    check(everybody["rounds_to_all"]["p99"] >= 12 and everybody["runs_to_all"] == 300 and everybody["loss"] == .2, everybody)
    big = spread("--seed", str(2**64 - 1), "--runs", "1", "--json").json()
    check(big["seed"] == str(2**64 - 1), "the largest seed:", big["seed"])


@lib.case
def text(_pool):
    """a table and a curve for people"""
    out = spread("--mode", "push", "--stop", "blind-coin", "--k", "3", "--runs", "50").out
    for word in ("residue", "traffic", "t_avg", "t_last", "0 of 50 runs", "100 % |", "****", "blind-coin k = 3"):
        check(word in out, "%r is not in\n%s" % (word, out))
    check(max(len(line) for line in out.split("\n")) <= 100, "too wide:\n" + out)
    out = spread("--nodes", "2", "--runs", "1").out
    check("rounds to all" in out and "p99 1" in out, out)


@lib.case
def page(pool):
    """one page that parses, with both curves, and the command that made it"""
    path = os.path.join(pool.dir, "a 'b' & <c>.html")
    spread("--nodes", "5000", "--runs", "20", "--report", path)
    made = Page(path)
    words = "".join(made.text)
    check(made.seen["svg"] == 2 and made.seen["table"] == 1 and made.seen["circle"] >= 10, "parts:", made.seen)
    check("kith sim spread --nodes 5000 --runs 20 --report" in words and "& <c>.html" in words, "the command:", words[-600:])
    check("Nodes that do not know it yet" in words and "nan" not in words, "the plots:", words[-600:])
    check(os.listdir(pool.dir) == [os.path.basename(path)], "left behind:", os.listdir(pool.dir))
    first = open(path, encoding="utf-8").read()
    spread("--nodes", "5000", "--runs", "20", "--report", path)
    check(open(path, encoding="utf-8").read() == first, "the same command made another page")
    for where, says in ((pool.dir + "/no/such.html", "no/such.html: No such file"), (pool.dir, ": Is a directory")):
        failed = spread("--report", where, code=2)
        check(says in failed.err and not failed.out, "before anything runs:", failed)
    failed = spread("--runs", "1", "--report", "/dev/full", code=1)
    check("/dev/full: No space left" in failed.err, failed)


@lib.case
def mistakes(pool):
    """bad input is named in a line, exit code 2, and nothing runs"""
    path = os.path.join(pool.dir, "never.html")
    for args, says in ((["--nodes", "1"], "-nodes 1: must be 2 to 10000000"), (["--nodes", "10000001"], "-nodes 10000001: "),
                       (["--nodes", "9..1"], "-nodes 9..1: is no whole number"), (["--k", "0"], "-k 0: must be"),
                       (["--k", "-1"], "-k -1: "), (["--k", "1001"], "-k 1001: must be 1 to 1000"),
                       (["--k", "4294967295", "--stop", "feedback-counter"], "-k 4294967295: must be"), (["--fanout", "0"], "-fanout 0: "), (["--runs", "0"], "-runs 0: "),
                       (["--loss", "101%"], "-loss 101%: is no share"), (["--loss", "1.01"], "-loss 1.01: "),
                       (["--loss", "-1%"], "-loss -1%: "), (["--loss", "20%..10%"], "-loss 20%..10%: "),
                       (["--loss", "100%"], "-loss 100%: only the blind"), (["--mode", "shout"], "-mode shout: is none of"),
                       (["--stop", "soon"], "-stop soon: is none of never"), (["--seed", "x"], "-seed x: "),
                       (["--loss", "5%\n"], "-loss 5%\\x0a: is no share"), (["--no-such"], "no-such"), (["word"], "word"), (["--report"], "report")):
        done = spread("--report", path, *args, code=2)
        check(says in done.err and done.err.count("\n") == 1, "not one line that names %s: %s" % (says, done))
        check(not done.out and not os.path.exists(path), "something ran:", done)


@lib.case
def interrupted(pool):
    """a terminal sees how far it is; Ctrl-C ends the runs, and what there is counts"""
    leader, terminal = pty.openpty()
    process = subprocess.Popen([lib.KITH, "sim", "spread", "--nodes", "20000", "--runs", "1000000", "--json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, text=True,
                               env=dict(os.environ, TERM="xterm"))
    os.close(terminal)
    shown = b""
    end = time.monotonic() + 30
    while b" runs" not in shown and time.monotonic() < end:
        shown += os.read(leader, 4096)
    check(re.search(rb"\d+ of 1000000 runs", shown), "no progress on a terminal:", shown)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=30)[0]
    os.close(leader)
    done = lib.Done("(interrupted)", process.returncode, out, "")
    check(process.returncode == 130 and 0 < done.json()["runs"] < 1000000, "not what there was:", done)


@lib.case
def not_over(_pool):
    """runs that end before they are over are counted, and so is Ctrl-C in the midst of one"""
    args = ("--nodes", "2", "--loss", "99.9999%", "--runs", "20", "--report", os.devnull)
    got, out = spread(*args, "--json").json(), spread(*args).out
    check(0 < got["cut"] == 20 - got["runs_to_all"] and got["s_curve_cut"] is True, {**got, "s_curve": "..."})
    check("%d of 20 runs were cut short" % got["cut"] in out and "; the first rounds, for it goes on" in out, out)
    got = spread("--runs", "20", "--json").json()
    check(got["cut"] == 0 and got["s_curve_cut"] is False and "cut" not in spread("--runs", "20").out, got)
    for args in ([], ["--mode", "push", "--stop", "blind-counter", "--k", "1000"]):
        process = subprocess.Popen([lib.KITH, "sim", "spread", "--nodes", "10000000", "--fanout", "1000", "--json", "--runs", "1",
                                    *args], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out = process.communicate(timeout=60)[0]
        took = time.monotonic() - began
        got = lib.json.loads(out)
        check(process.returncode == 130 and got["runs"] == got["cut"] == 1, "not what there was:", process.returncode, out)
        check(took < (20 if lib.SANITIZED else 2), "Ctrl-C took %.1f s" % took)


@lib.case
def million(_pool):
    """a million nodes in seconds"""
    for mode in ("push", "pull", "push-pull"):
        began = time.monotonic()
        got = spread("--nodes", "1000000", "--mode", mode, "--runs", "2", "--json", timeout=120).json()
        took = time.monotonic() - began
        check(took < (60 if lib.SANITIZED else 10), "%s took %.1f s" % (mode, took))
        check(got["runs_to_all"] == 2 and got["residue"] == 0, got)


if __name__ == "__main__":
    lib.main(__doc__, needs=("kith",), network=False)
