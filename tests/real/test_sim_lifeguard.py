#!/usr/bin/env python3
"""kith sim lifeguard: Lifeguard errs far less than plain SWIM and is no slower, one seed is one experiment, mistakes are named."""
import functools
import html.parser
import math
import os
import re
import signal
import subprocess
import tempfile
import time

import lib

check = lib.check
CONFIGS = ["swim", "lha-probe", "lha-suspicion", "buddy", "lifeguard"]
NODES, SLOW = 48, [1, 4, 8]  # of -quick


def sim(*args, code=0, timeout=120):
    done = lib.run(lib.KITH, "sim", "lifeguard", *args, timeout=timeout)
    check(done.code == code, "exit code", code, "wanted from", done)
    return done


@functools.cache
def quick(*args):
    return sim("-quick", "-json", *args).json()


def totals(got):
    return {row["config"]: row for row in got["totals"]}


@lib.case
def lifeguard_errs_less(_pool):
    """plain SWIM makes many mistakes, each half of local health far fewer, all of Lifeguard less than a tenth"""
    all_of = totals(quick())
    swim, guard = all_of["swim"], all_of["lifeguard"]
    check(swim["fp"] > 1000 and swim["fp_healthy"] > 1000, "plain SWIM makes mistakes here:", swim)
    check(guard["fp"] * 10 <= swim["fp"] and guard["fp_healthy"] * 10 <= swim["fp_healthy"], guard, "against", swim)
    for part in ("lha-probe", "lha-suspicion"):
        check(guard["fp"] < all_of[part]["fp"] < swim["fp"] * 3 / 4, part, all_of[part], "against", swim, guard)
    for row in all_of.values():
        check(row["fp_healthy"] <= row["fp"], "the healthy are some of all:", row)


@lib.case
def lifeguard_is_no_slower(_pool):
    """true failures are found as soon: after the shortest suspicion, and a few probe intervals at most; by all, soon after"""
    got = quick()
    shortest_ms = 5 * math.log10(NODES) * 1000
    for row in got["totals"]:
        first, last = row["first_detect_ms"], row["spread_ms"]
        check(row["stopped"] == 8 * len(SLOW) and row["missed"] == 0, "everybody is found out:", row)
        check(shortest_ms - 1 <= first["p50"] <= shortest_ms + 4000, "the median, from", shortest_ms, "on:", row)
        check(first["p50"] <= first["p99"] <= 3 * shortest_ms and first["p50"] <= last["p50"] <= last["p99"], row)
        check(last["p50"] - first["p50"] < 2000, "news takes a second or two:", row)
    all_of = totals(got)
    check(all_of["lifeguard"]["first_detect_ms"]["p50"] <= all_of["swim"]["first_detect_ms"]["p50"] * 1.02, all_of)


@lib.case
def rows(_pool):
    """a row for each detector and number of slow members, which add up; numbers of slow members are a quarter at most"""
    got = quick()
    check([(r["config"], r["slow"]) for r in got["rows"]] == [(c, s) for c in CONFIGS for s in SLOW], got["rows"])
    for row in got["totals"]:
        parts = [r for r in got["rows"] if r["config"] == row["config"]]
        for key in ("fp", "fp_healthy", "stopped", "missed"):
            check(sum(r[key] for r in parts) == row[key], key, "does not add up:", row, parts)
    check(quick("-nodes=16", "-seed=0x10")["seed"] == "16" and got["seed"] == "1", "seeds are decimal text:", got["seed"])
    check(got["nodes"] == NODES and got["worlds"] == got["worlds_planned"], got)
    small = quick("-nodes=16")
    check(small["nodes"] == 16 and sorted({r["slow"] for r in small["rows"]}) == [1, 4], small["rows"])


@lib.case
def one_seed_one_experiment(_pool):
    """the same seed gives the same output to the byte; another seed other luck; more runs more of it"""
    first = sim("-quick", "-json", "-nodes=16", "-seed=5").out
    check(sim("-quick", "-json", "-nodes=16", "-seed=5").out == first, "the same seed differs")
    other, twice = quick("-nodes=16", "-seed=6"), quick("-nodes=16", "-seed=5", "-runs=2")
    digest = re.search('"digest": "([0-9a-f]{16})"', first).group(1)
    check(len({digest, other["digest"], twice["digest"]}) == 3, "digests:", digest, other["digest"], twice["digest"])
    check(twice["worlds"] == 2 * other["worlds"], twice["worlds"], other["worlds"])


class Page(html.parser.HTMLParser):
    VOID = {"meta", "br", "hr", "link", "input", "img"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.words = [], set(), ""
        self.feed(text)
        self.close()
        check(not self.open, "never closed:", self.open)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        check(self.open and self.open.pop() == tag, "closed, but not open:", tag)

    def handle_data(self, data):
        self.words += data


@lib.case
def text_and_page(_pool):
    """the table for a person; a page with plots and the command that made it, and nothing from elsewhere"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "guard.html")
        text = sim("-quick", "-nodes=16", "-report", path).out
        for config in CONFIGS:
            check(len(re.findall("^%s " % config, text, re.M)) == 3, config, "is not in all three tables:", text)
        check(re.search(r"^swim +[\d,]+ +100\.00 ", text, re.M), text)
        with open(path, encoding="utf-8") as file:
            source = file.read()
        page = Page(source)
        check({"svg", "table", "title"} <= page.seen, page.seen)
        check("kith sim lifeguard -quick -nodes=16 -report" in page.words, page.words[:400])
        check(not re.search(r"(src|href)=.?(https?:)?//", source), "it needs the network")


@lib.case
def mistakes_are_named(_pool):
    """one line that names the mistake, exit code 2, and nothing runs"""
    for args, says in ((["-nodes=7"], "-nodes 7: must be 8 to 1024"), (["-nodes=1025"], "-nodes 1025"),
                       (["-nodes=0"], "-nodes 0"), (["-nodes=4294967295", "-quick"], "-nodes 4294967295: must be"), (["-nodes=x"], "-nodes x: is no whole number"), (["-runs=0"], "-runs 0"),
                       (["-runs=1001"], "-runs 1001"), (["-seed=no"], "-seed no"), (["-slow=3"], "-slow"),
                       (["-report=/nowhere/out.html"], "-report /nowhere/out.html"), (["-report="], "-report"),
                       (["8"], "8")):
        began = time.monotonic()
        done = sim(*args, code=2)
        check(says in done.err and done.err.count("\n") == 1 and not done.out, says, "wanted, in one line, from", done)
        check(time.monotonic() - began < 5, "it ran first:", done)


@lib.case
def interrupted(_pool):
    """Ctrl-C prints what there is, and exits with 130"""
    process = subprocess.Popen([lib.KITH, "sim", "lifeguard", "-json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    check(process.returncode == 130, "exit code", process.returncode, err)
    got = lib.json.loads(out)
    check(0 < got["worlds"] < got["worlds_planned"] and len(got["rows"]) == 25, got["worlds"], len(got["rows"]))
    check(all(r["spread_ms"] == {"p50": None, "p99": None} for r in got["rows"] if r["stopped"] == 0), got["rows"])
    process = subprocess.Popen([lib.KITH, "sim", "lifeguard"], stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    check(re.search("^Cut short after [0-9]+ of 385 worlds", out, re.M) and "0.00 " not in out.split("Seconds until")[1],
          "what was not measured is no number:", out)


lib.main(__doc__, needs=("kith",))
