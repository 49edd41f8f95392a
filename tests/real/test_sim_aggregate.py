#!/usr/bin/env python3
"""kith sim aggregate: its JSON, its text, its page, its mistakes, Ctrl-C, and a million nodes."""
import os
import pty
import re
import signal
import subprocess
import time

import lib

check = lib.check


def aggregate(*args, code=0, **options):
    done = lib.run(lib.KITH, "sim", "aggregate", *args, **options)
    check(done.code == code, "expected exit code", code, "from", done)
    return done


@lib.case
def numbers(_pool):
    """JSON has the question, every number, and null where there is none; the same for the same seed"""
    args = ("--nodes", "2000", "--loss", "20%", "--json")
    one = aggregate(*args, "--seed", "5").json()
    check({"nodes": 2000, "function": "avg", "algorithm": "flow-updating", "overlay": "rings", "loss": .2, "churn": 0,
           "retries": 2, "sample": None, "q": None, "cycles": 60, "cut": False, "seed": "5",
           "cycles_to_all": None}.items() <= one.items(), "the question is not in the answer:", one)
    curve = one["error_by_cycle"]
    check(len(curve) == 61 and curve[60] == one["error"] == one["rmse"] < 1e-9 and abs(one["bias"]) < 1e-9, one)
    for key, below in (("cycles_to_1e1", .1), ("cycles_to_1pct", .01), ("cycles_to_1e4", 1e-4), ("cycles_to_1e6", 1e-6)):
        check(one[key] == next(i for i, error in enumerate(curve) if error < below), key, one)
    check(one["cycles_to_1pct"] <= 13 and one["cycles_to_1e4"] <= 32 and 120 < one["bytes_per_node_cycle"] < 200, one)
    check(aggregate(*args, "--seed", "5").json() == one, "the same seed gave other numbers")
    check(aggregate(*args, "--seed", "6").json()["error"] != one["error"], "another seed gave the same numbers")
    lossy = aggregate("--function=count", "--algorithm=push-pull", "--loss=10%", "--seed=3", "--json").json()
    check(lossy["cycles_to_1e4"] is None and abs(lossy["bias"]) > .01 and lossy["retries"] is None, lossy)
    for function, algorithm in (("max", "merge"), ("quantile", "sample"), ("order", "t-man")):
        got = aggregate("--function", function, "--json", "--cycles", "30").json()
        check(got["algorithm"] == algorithm and 0 < got["cycles_to_all"] < 20, got)
        check((got["rmse"] is None) == (got["bias"] is None) == (function != "quantile"), got)
    exact = aggregate("--algorithm=exact", "--function=quantile", "--q", "99%", "--json", "--cycles", "20").json()
    check(exact["error"] == 0 and exact["q"] == .99 and exact["overlay"] == "complete", exact)


@lib.case
def text(_pool):
    """a table and a curve for people"""
    out = aggregate("--loss", "20%").out
    for word in ("1,000 nodes, avg by flow-updating, 2 retries", "error below 1 % ", "bias in the end", "bytes per node",
                 "|########"):
        check(word in out, "%r is not in\n%s" % (word, out))
    out = aggregate("--function", "quantile", "--sample", "100", "--q", "90%").out
    check("quantile 90 % by sample of 100" in out and "all is known" in out, out)
    out = aggregate("--nodes", "2", "--function", "order", "--cycles", "1").out
    check("error below 1e-6     0 cycles" in out and "bias" not in out, out)
    check(max(len(line) for line in out.split("\n")) <= 120, "too wide:\n" + out)


@lib.case
def page(pool):
    """one page with a plot, and the command that made it"""
    path = os.path.join(pool.dir, "a & b.html")
    aggregate("--nodes", "500", "--loss", "40%", "--report", path)
    made = open(path, encoding="utf-8").read()
    check("kith sim aggregate --nodes 500 --loss" in made and made.count("<svg") == 1 and "nan" not in made, made[-400:])
    check("bias, whatever its sign" in made and "Error, cycle by cycle" in made, made[-400:])
    check(os.listdir(pool.dir) == [os.path.basename(path)], "left behind:", os.listdir(pool.dir))
    failed = aggregate("--report", pool.dir + "/no/such.html", code=2)
    check("no/such.html: No such file" in failed.err and not failed.out, "before anything runs:", failed)


@lib.case
def mistakes(pool):
    """bad input, and what does not go together, is named in a line with what there is; exit code 2, and nothing runs"""
    path = os.path.join(pool.dir, "never.html")
    for args, says in ((["--nodes", "1"], "-nodes 1: must be 2 to 1000000"), (["--cycles", "0"], "-cycles 0: must be 1 to"),
                       (["--function", "median"], "-function median: is none of avg, sum"),
                       (["--algorithm", "magic"], "-algorithm magic: is none of push-sum"),
                       (["--overlay", "star"], "-overlay star: is none of complete, rings"),
                       (["--loss", "101%"], "-loss 101%: is no share"), (["--churn", "x"], "-churn x: is no share"),
                       (["--function=max", "--algorithm=push-sum"], "push-sum computes avg, sum and count; max is for merge"),
                       (["--algorithm=t-man"], "t-man computes order; avg, sum and count are for flow-updating"),
                       (["--overlay=complete"], "its overlay is rings"), (["--algorithm=exact", "--overlay=rings"], "complete"),
                       (["--algorithm=exact", "--nodes=20000"], "exact is for at most 16,384 nodes"),
                       (["--function=order", "--churn=1%"], "churn is for avg and sum"),
                       (["--algorithm=push-sum", "--retries=1"], "only flow-updating has -retries"),
                       (["--sample=9"], "only the algorithm sample has"), (["--q=9%"], "only a quantile has a -q"),
                       (["--retries=11"], "-retries 11: must be 0 to 10"), (["--seed", "x"], "-seed x: "),
                       (["--function=quantile", "--sample=2"], "-sample 2: must be 3 to 65536"), (["word"], "word")):
        done = aggregate("--report", path, *args, code=2)
        check(says in done.err and done.err.count("\n") == 1, "not one line that names %s: %s" % (says, done))
        check(not done.out and not os.path.exists(path), "something ran:", done)


@lib.case
def interrupted(_pool):
    """a terminal sees how far it is; Ctrl-C ends the run, and the whole cycles count"""
    leader, terminal = pty.openpty()
    process = subprocess.Popen([lib.KITH, "sim", "aggregate", "--nodes", "20000", "--cycles", "100000", "--json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, text=True,
                               env=dict(os.environ, TERM="xterm"))
    os.close(terminal)
    shown = b""
    end = time.monotonic() + 60
    while b" cycles, error " not in shown and time.monotonic() < end:
        shown += os.read(leader, 4096)
    check(re.search(rb"\d+ of 100000 cycles, error ", shown), "no progress on a terminal:", shown)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    os.close(leader)
    got = lib.json.loads(out)
    check(process.returncode == 130 and 0 < got["cycles"] < 100000 and got["cut"], "not what there was:", process.returncode)
    check(len(got["error_by_cycle"]) == got["cycles"] + 1, {**got, "error_by_cycle": "..."})


@lib.case
def million(_pool):
    """a million nodes, and Ctrl-C in the midst of a cycle"""
    nodes = "100000" if lib.SANITIZED else "1000000"
    got = aggregate("--nodes", nodes, "--cycles", "9", "--json", timeout=240).json()
    check(got["cycles_to_1pct"] <= 9 and abs(got["bias"]) < 1e-9, got)
    process = subprocess.Popen([lib.KITH, "sim", "aggregate", "--nodes", "300000", "--function", "order", "--json"],
                               stdout=subprocess.PIPE, text=True)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out = process.communicate(timeout=60)[0]
    took = time.monotonic() - began
    check(process.returncode == 130 and lib.json.loads(out)["cut"], "not what there was:", process.returncode, out)
    check(took < (20 if lib.SANITIZED else 3), "Ctrl-C took %.1f s" % took)


if __name__ == "__main__":
    lib.main(__doc__, needs=("kith",), network=False)
