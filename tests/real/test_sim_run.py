#!/usr/bin/env python3
"""kith sim run: one seed is one run, the numbers agree with the protocol's formulas, mistakes are named before anything runs."""
import html.parser
import math
import os
import pty
import re
import select
import signal
import subprocess
import time

import lib

check = lib.check
KEYS = {"digest", "setup_s", "peak_rss_bytes", "bytes_per_entry", "converged_ms", "detect_ms", "first_detect_ms",
        "false_positives", "datagrams_per_node_s", "bytes_per_node_s", "wall_s", "speed", "nodes", "virtual_s",
        "events_per_s", "views"}


def sim(*args, code=0, timeout=120):
    done = lib.run(lib.KITH, "sim", "run", *args, timeout=timeout)
    check(done.code == code, "exit code", code, "wanted from", done)
    check(done.code != 0 or not done.err, "words on standard error, which is no terminal:", done)
    return done


class Numbers(dict):
    """What a run said, short when it is told."""

    def __str__(self):
        return str({k: v for k, v in self.items() if k not in ("views", "trace")})


def run(*args, **options):
    return Numbers(sim("--json", *args, **options).json())


@lib.case
def keys(_pool):
    """every key is there, numbers are numbers, and what did not happen is null"""
    got = run("--nodes", "20", "--for", "10s")
    check(KEYS <= set(got), "keys are missing:", KEYS - set(got))
    check(re.fullmatch("[0-9a-f]{16}", got["digest"]), got["digest"])
    check(got["nodes"] == 20 and got["virtual_s"] == 10 and got["seed"] == "1", got)
    for key in KEYS - {"digest", "detect_ms", "first_detect_ms", "views"}:
        check(type(got[key]) in (int, float), key, "is no number:", got[key])
    for key in ("detect_ms", "first_detect_ms"):
        check(got[key] == {"p50": None, "p99": None, "max": None}, key, got[key])
    check(got["false_positives"] == 0 and got["failed_events"] == 0 and got["violation"] is None, got)
    check(len(got["views"]) == 10 and [v["at_s"] for v in got["views"]] == list(range(1, 11)), got["views"])
    check(got["views"][-1]["full"] == 20 and got["views"][-1]["right"] == 1 and got["views"][-1]["wrong"] == 0, got["views"])
    check(190 <= got["converged_ms"] <= 10000 and got["slowest_convergence_ms"] <= got["converged_ms"], got)
    check(0 < got["bytes_per_entry"] and got["peak_rss_bytes"] > 1 << 20, got)
    check(abs(got["speed"] * got["wall_s"] - 10) < 0.01, "speed is virtual by wall time:", got)
    dark = run("--nodes", "4", "--for", "4s", "--partition", "1@15ms")
    check(dark["converged_ms"] is None and dark["slowest_convergence_ms"] is None, "never is null:", dark)


@lib.case
def one_seed(_pool):
    """the same seed gives the same run, another one another, and looking at it changes nothing"""
    flags = ["--nodes", "40", "--for", "30s", "--loss", "5%", "--latency", "0.5ms..50ms", "--duplicate", "2%",
             "--reorder", "2%", "--kill", "10%@10s", "--pause", "3@10s..20s", "--mix", "30:70", "--partition",
             "30%@12s..18s", "--leave", "2@20s", "--restart", "2@21s..23s", "--slow", "2@22s..24s", "--key"]
    first = run(*flags, "--seed", "7")
    same = ("digest", "converged_ms", "detect_ms", "false_positives", "datagrams", "views", "events", "bytes_per_entry")
    for more in ([], ["--trace"], ["--report", os.devnull]):
        again = run(*flags, "--seed", "7", *more)
        for key in same:
            check(first[key] == again[key], "the same seed,", more, "and another", key, first[key], again[key])
    check(first["digest"] in sim(*flags, "--seed", "7").out, "the table names the digest")
    others = {run(*flags, "--seed", seed)["digest"] for seed in ("8", "0x7fffffffffffffff", "18446744073709551615")}
    check(len(others | {first["digest"]}) == 4, "other seeds, the same run:", others)
    for flag in ("--warm", "--compress", "--profile=wan"):
        check(run(*flags, "--seed", "7", flag)["digest"] != first["digest"], flag, "changes nothing")


@lib.case
def detection(_pool):
    """silence is detected within the bounds of the suspicion formula, an ended process a probe interval after it was refused; by
    everybody, and nobody else is accused"""
    nodes = 100
    shortest = 4 * math.log10(nodes) * 1000  # suspicion_mult * log10(n) * probe interval, ms
    for seed in range(1, 4):
        for flag in ("--kill", "--crash"):
            got = run("--nodes", str(nodes), "--warm", "--for", "90s", "--seed", str(seed), flag, "10%@20s")
            first, every = got["first_detect_ms"], got["detect_ms"]
            check(got["kills"] == 10 and got["nodes_at_end"] == 90 and got["undetected"] == 0, got)
            check(got["failed_events"] == 10 * 90 and got["false_positives"] == 0, got)
            check(first["p50"] <= every["p50"] <= every["p99"] <= every["max"], first, every)
            # probed about once a second, suspected after that probe, judged after the shortest suspicion at the earliest; or
            # when two rounds were refused, an interval apart, of which the first begins within a second or two
            least = shortest * 0.999 if flag == "--crash" else 1000
            most = shortest + 6000 if flag == "--crash" else 4000
            check(least <= first["p50"] <= most, flag, "first detection", first, "shortest", shortest)
            check(every["max"] <= 6 * shortest + 15000, "detection", every)
            check(every["p50"] - first["p50"] <= 3000, "gossip is quick:", first, every)
            check(abs(got["slowest_convergence_ms"] - every["max"]) < 0.001 * every["max"],
                  "views are full again with the last detection:", got["slowest_convergence_ms"], every)
    fewer = run("--nodes", "100", "--warm", "--for", "30s", "--kill", "3@29s")
    check(fewer["kills"] == 3 and fewer["undetected"] == 3 * 97 and fewer["detect_ms"]["p50"] is None, fewer)


@lib.case
def quiet(_pool):
    """without faults nobody is accused, warm views stay full, and an idle node sends its ping and its ack"""
    for flags in (["--warm"], ["--warm", "--key", "--compress"], ["--warm", "--mix", "50:50"], []):
        got = run("--nodes", "150", "--for", "60s", "--seed", "3", *flags)
        check(got["failed_events"] == 0 and got["full_at_end"] == 150, flags, got)
        if flags:
            check(got["converged_ms"] == 0 and all(v["full"] == 150 for v in got["views"]), flags, got["views"])
        check(1.5 <= got["views"][-1]["datagrams_per_node_s"] <= 4, flags, got["views"][-1])


@lib.case
def faults(_pool):
    """each fault does what it says, and ends when it says"""
    got = run("--nodes", "30", "--warm", "--for", "60s", "--leave", "20%@10s")
    check(got["nodes_at_end"] == 24 and got["full_at_end"] == 24 and got["failed_events"] == 0, "leave:", got)
    got = run("--nodes", "30", "--warm", "--for", "90s", "--restart", "20%@10s..40s")
    down = [v["nodes"] for v in got["views"]]
    check(down[8] == 30 and down[11:39] == [24] * 28 and got["full_at_end"] == 30, "restart:", down)
    check(got["failed_events"] >= 6 * 24 and got["kills"] == 0, "restart:", got)
    for seed in ("1", "2", "3"):  # of which at least one left islands when nodes joined others that were down
        got = run("--nodes", "20", "--warm", "--for", "60s", "--seed", seed, "--restart", "100%@20s..25s")
        check(got["full_at_end"] == 20, "all restart at once, and are one pool again:", got)
    got = run("--nodes", "30", "--warm", "--for", "60s", "--partition", "10@5s")
    check(got["failed_events"] == 2 * 10 * 20 and got["false_positives"] == 0, "partition:", got)
    got = run("--nodes", "30", "--warm", "--for", "70s", "--partition", "10@5s..40s")
    check(got["full_at_end"] == 30 and got["views"][35]["full"] == 0, "partition that ends:", got)
    got = run("--nodes", "30", "--warm", "--for", "40s", "--pause", "3@5s")
    check(got["failed_events"] == 3 * 27 and got["false_positives"] == 0 and got["nodes_at_end"] == 30, "pause:", got)
    got = run("--nodes", "30", "--warm", "--for", "90s", "--pause", "3@5s..30s")
    check(got["failed_events"] >= 3 * 27 and got["full_at_end"] == 30, "pause that ends:", got)
    got = run("--nodes", "30", "--warm", "--for", "60s", "--slow", "3@5s..30s")
    check(got["failed_events"] > 0 and got["full_at_end"] == 30, "slow:", got)
    got = run("--nodes", "30", "--warm", "--for", "20s", "--loss", "20%")
    share = got["datagrams_lost"] / got["datagrams"]
    check(0.15 < share < 0.25, "loss:", share)


@lib.case
def start_cold(_pool):
    """a cold start fills all views, also over a bad network, and without a seed address that all use"""
    for flags in (["--nodes", "5"], ["--nodes", "60"], ["--nodes", "60", "--loss", "20%", "--latency", "10ms..200ms"]):
        got = run("--for", "60s", *flags)
        check(got["converged_ms"] is not None and got["converged_ms"] > got["last_start_ms"] > 0, flags, got)
        check(got["full_at_end"] == got["nodes_at_end"] or "--loss" in flags, flags, got)


WRONG = (
    (["--nodes", "0"], "-nodes 0: must be 1 to"),
    (["--nodes", "9999999"], "-nodes 9999999: must be 1 to"),
    (["--nodes", "many"], "-nodes many: is no whole number"),
    (["--warm=perhaps"], "-warm perhaps: is neither true nor false"),
    (["--for", "0s"], "-for 0s: must be more than 0"),
    (["--for", "25h"], "-for 25h: must be more than 0 and at most 24h"),
    (["--for", "10"], "-for 10: is no duration"),
    (["--seed", "-1"], "-seed -1: is no seed"),
    (["--seed", "18446744073709551616"], "is no seed"),
    (["--mix", "0:0"], "-mix 0:0: is no mix"),
    (["--profile", "moon"], "-profile moon: is none of lan, wan, local"),
    (["--loss", "101%"], "-loss 101%: is no share"),
    (["--loss", "5"], "-loss 5: is no share"),
    (["--duplicate", "x"], "-duplicate x: is no share"),
    (["--reorder", "-1%"], "-reorder -1%: is no share"),
    (["--latency", "50ms..1ms"], "-latency 50ms..1ms: is backwards"),
    (["--latency", "1ms..11m"], "-latency 1ms..11m: is more than 10m"),
    (["--latency", "fast"], "-latency fast: is no range"),
    (["--kill", "101%@20s"], "-kill 101%@20s: has no share"),
    (["--nodes", "10", "--kill", "11@20s"], "-kill 11@20s: wants 11 nodes, but only 10 of 10"),
    (["--nodes", "10", "--kill", "60%@20s", "--kill", "50%@30s"], "-kill 50%@30s: wants 5 nodes, but only 4 of 10"),
    (["--nodes", "10", "--leave", "60%@20s", "--crash", "50%@30s"], "-crash 50%@30s: wants 5 nodes, but only 4"),
    (["--nodes", "10", "--pause", "6@20s..40s", "--restart", "5@30s..31s"], "-restart 5@30s..31s: wants 5 nodes, but only 4"),
    (["--nodes", "10", "--kill", "1%@20s"], "-kill 1%@20s: of 10 nodes that is none"),
    (["--nodes", "10", "--kill", "5@15ms"], "-kill 5@15ms: wants 5 nodes, but only 2 of 10"),
    (["--kill", "10%@60s"], "-kill 10%@60s: is not within the 60s"),
    (["--pause", "10%@20s..61s"], "-pause 10%@20s..61s: is not within the 60s"),
    (["--pause", "10%@30s..20s"], "-pause 10%@30s..20s: is backwards"),
    (["--partition", "30%@40s..40s"], "-partition 30%@40s..40s: is backwards"),
    (["--kill", "10%"], "-kill 10%: lacks its time"),
    (["--kill", "10%@soon"], "-kill 10%@soon: has no time"),
    (["--kill", "10%@20s..30s"], "-kill 10%@20s..30s: has an end"),
    (["--restart", "10%@20s"], "-restart 10%@20s: lacks its end"),
    (["--partition", "100%@20s..30s"], "-partition 100%@20s..30s: leaves nobody to be cut from"),
    (["--nodes", "3", "--partition", "3@20s"], "-partition 3@20s: leaves nobody to be cut from"),
    (["--nodes", "100000", "--warm"], "-nodes 100000: full views (-warm) need about 1,043 GiB, and there are "),
    (["--loss", "5%\n"], "-loss 5%\\x0a: is no share"),
    (["--report", "/proc/x"], "-report /proc/x: "),
    (["--report", "/nonexistent/out.html"], "-report /nonexistent/out.html: No such file"),
    (["--report", "/dev"], "-report /dev: Is a directory"),
    (["--report", ""], "-report : is no path"),
    (["--no-such-option"], "flag provided but not defined: -no-such-option"),
    (["operand"], "unexpected argument: operand"),
    (["--nodes"], "flag needs an argument: -nodes"),
)


@lib.case
def mistakes(_pool):
    """what cannot be is one line that names it, with exit code 2, and nothing runs"""
    for args, words in WRONG:
        began = time.monotonic()
        done = sim("--json", *args, code=2)
        check(words in done.err and not done.out, "wanted %r, got" % words, done)
        one_line = done.err.startswith("kith sim run: ") and done.err.endswith(" (see 'kith sim run -help')\n")
        check(one_line and done.err.count("\n") == 1, "not one line:", done)
        check(time.monotonic() - began < 5, "something ran:", done)
    sides = [word for i in range(64) for word in ("--partition", "1@%ds" % (i % 50))]
    check("one partition more than 63" in sim("--nodes", "70", "--warm", *sides, code=2).err, "64 partitions")
    kills = [word for i in range(257) for word in ("--kill", "1@%dms" % (i + 1))]
    check("-kill 1@257ms: is one more than the 256" in sim(*kills, code=2).err, "257 kills")
    for args, says in (([], "needs a command"), (["no-such\ncommand"], "no such command: no-such\\x0acommand")):
        done = lib.run(lib.KITH, "sim", *args)
        check(done.code == 2 and done.err == "kith sim: %s (see 'kith sim -help')\n" % says and not done.out, done)
    help_text = sim("-help").out
    check("-partition=nodes@from..until" in help_text and "-nodes=100 " in help_text, "what is no default:", help_text)
    check("spread" in lib.run(lib.KITH, "sim", "-help").out, "help")


class Page(html.parser.HTMLParser):
    """A page whose elements are closed in order; collects its text and what it would fetch."""
    VOID = {"meta", "br", "hr", "link", "img"}

    def __init__(self):
        super().__init__()
        self.open, self.text, self.fetches, self.plots = [], "", [], 0

    def handle_starttag(self, tag, attrs):
        self.plots += tag == "svg"
        self.fetches += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, "</%s> closes %s" % (tag, self.open))
        self.open.pop()

    def handle_data(self, data):
        self.text += data


@lib.case
def report(pool):
    """the report is one page that stands alone, with its plots and the command that made it"""
    path = pool.path("it's <b>.html")
    flags = ["--nodes", "30", "--for", "40s", "--kill", "3@10s", "--report", path]
    done = sim(*flags)
    with open(path, encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    check(not page.open and not page.fetches and "<script" not in text, page.open, page.fetches)
    check(page.plots >= 4, "plots:", page.plots)
    quoted = "kith sim run --nodes 30 --for 40s --kill 3@10s --report '%s'" % path.replace("'", "'\\''")
    check(quoted in page.text, "the command is missing:", quoted)
    check("<b>" not in text, "a name became markup")
    check('<td class="n">' not in text, "measured values are words, not a column of numbers")
    odd = run("--nodes", "3", "--for", "5s", "--report", os.fsencode(pool.dir) + b"/\xff.html")
    check(set(odd["command"]) == {"base64"}, "a command that is no text:", odd["command"])
    check(sim("--nodes", "1", "--for", "1234s").out.startswith("1 node, lan, cold start, seed 1, 1,234 s\n"), "title")
    digest = re.search("digest +([0-9a-f]{16})", done.out).group(1)
    check(digest in page.text and "Detection of failures" in page.text and "Views over time" in page.text, page.text)


@lib.case
def interrupt(_pool):
    """Ctrl-C ends a run early, with what was measured so far and exit code 130"""
    proc = subprocess.Popen([lib.KITH, "sim", "run", "--nodes", "1000", "--for", "24h", "--json"], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1.5)
    proc.send_signal(signal.SIGINT)
    out, err = proc.communicate(timeout=60)
    check(proc.returncode == 130, proc.returncode, err)
    got = lib.json.loads(out)
    check(got["interrupted"] is True and 0 < got["virtual_s"] < 86400 and got["views"], out[:500])
    check(abs(got["views"][-1]["at_s"] - got["virtual_s"]) < 1e-6, "the last sample is the end:", got["views"][-1])


@lib.case
def progress(_pool):
    """a terminal gets a bar that is wiped at the end, and standard output nothing of it"""
    leader, follower = pty.openpty()
    proc = subprocess.Popen([lib.KITH, "sim", "run", "--nodes", "300", "--for", "2h", "--warm"], stdout=subprocess.PIPE,
                            stderr=follower, env=dict(os.environ, TERM="xterm"))
    os.close(follower)
    seen, sent, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([leader], [], [], 1)[0]:
            continue
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other side is closed
            break
        seen += part
        if not sent and seen.count(b"%") >= 3:
            proc.send_signal(signal.SIGINT)
            sent = True
    out = proc.communicate(timeout=60)[0]
    os.close(leader)
    check(re.search(rb"\r\[#*\.*\] +\d+ %  [\d.]+ s of 7200.0 s  [\d.]+x  \d+:\d\d(:\d\d)? left", seen), seen[-300:])
    check(seen.endswith(b"\r\x1b[K"), "the bar stays:", seen[-80:])
    check(proc.returncode == 130 and b"(cut short)" in out and b"\r" not in out, out)


@lib.case
def trace(_pool):
    """-trace tells what happened, line by line"""
    lines = run("--nodes", "10", "--for", "5s", "--warm", "--kill", "1@2s", "--trace")["trace"]
    check(10 < len(lines) <= 1000 and all(re.match(r"\d+\.\d{6} \S+ ", line) for line in lines), lines[:5])
    check(sum("crash" in line for line in lines) == 1, "the kill is told once")
    times = [float(line.split()[0]) for line in lines]
    check(times == sorted(times), "in order")
    check("crash" in sim("--nodes", "10", "--for", "5s", "--warm", "--kill", "1@2s", "--trace").out, "and in the table")


lib.main(__doc__, needs=("kith",))
