#!/usr/bin/env python3
"""The swarm as its users run it: random worlds, those that have failed before, and one that the commit has drawn.

Also: the same seeds give the same digest twice, with any number of processes, and built by another compiler
(KITH_OTHER); a failure (in SWARM_PLANTED, a build with planted bugs) tells what is needed to look for it; bad input is
one line. With KITH_SOAK, 20,000 seeds that no soak has run before, noted in tests/regress/soak.log.

ctest: TIMEOUT 600 COST 90
"""
import datetime
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

KITH = os.environ["KITH"]
OTHER = os.environ.get("KITH_OTHER", "")
PLANTED = os.environ.get("SWARM_PLANTED", "")
SOURCE = Path(os.environ["KITH_SOURCE_DIR"])
SOAK_LOG = SOURCE / "tests/regress/soak.log"
SHARE = 10 if os.environ.get("KITH_SANITIZE") else 1  # sanitizers are so much slower
SEEDS = 300 // SHARE
STORE_SEEDS = 50 // SHARE
EVENT_SEEDS = 50 // SHARE
AGGREGATE_SEEDS = 50 // SHARE
REPEATED = 3 if SHARE > 1 else 8  # seeds that are run again and again, for their digest
TWICE = f"1..{REPEATED}"
SOAK_SEEDS = 20000


def run(*arguments, program=None):
    command = program or [KITH, "sim", "swarm"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True)


def swarm(*arguments, program=None):
    """The JSON of a run without failures."""
    result = run("--json", *arguments, program=program)
    assert result.returncode == 0, f"{arguments}: exit {result.returncode}\n{result.stdout[-4000:]}{result.stderr[-2000:]}"
    found = json.loads(result.stdout)
    assert found["failed"] == 0 and found["failures"] == [], found
    return found


def random_worlds():
    found = swarm("--seeds", f"1..{SEEDS}")
    assert found["run"] == SEEDS
    agreed = found["agreed_ms"]
    assert found["interrupted"] is False and len(str(found["wall_s"])) < 16, found
    assert agreed["worlds"] > SEEDS // 3 and agreed["p50"] <= agreed["p99"] <= agreed["max"] <= 30000, agreed
    print(f"  {SEEDS} seeds in {found['wall_s']:.1f} s; healed cores of {agreed['worlds']} worlds agree after "
          f"{agreed['p50']} ms (p50), {agreed['p99']} ms (p99), {agreed['max']} ms (max)")


def worlds_with_stores():
    found = swarm("--stores", "--seeds", f"1..{STORE_SEEDS}")
    assert found["run"] == STORE_SEEDS
    agreed, stored = found["agreed_ms"], found["stored_ms"]
    assert stored["worlds"] == agreed["worlds"] > STORE_SEEDS // 4, found
    assert stored["p50"] <= stored["p99"] <= stored["max"] <= 90000, stored
    print(f"  {STORE_SEEDS} seeds in {found['wall_s']:.1f} s; stores of {stored['worlds']} worlds agree after "
          f"{stored['p50']} ms (p50), {stored['p99']} ms (p99), {stored['max']} ms (max)")
    first = swarm("--stores", "--seeds", TWICE, "--jobs", "1")["digest"]
    assert first == swarm("--stores", "--seeds", TWICE, "--jobs", "3")["digest"]
    assert first != swarm("--seeds", TWICE)["digest"]
    if OTHER and Path(OTHER).exists():
        assert first == swarm("--stores", "--seeds", TWICE, program=[OTHER, "sim", "swarm"])["digest"], "compilers differ"
    assert "stored_ms" not in swarm("--seeds", "1..2")


def worlds_with_events():
    found = swarm("--events", "--seeds", f"1..{EVENT_SEEDS}")
    assert found["run"] == EVENT_SEEDS
    print(f"  {EVENT_SEEDS} seeds in {found['wall_s']:.1f} s")
    first = swarm("--events", "--seeds", TWICE, "--jobs", "1")["digest"]
    assert first == swarm("--events", "--seeds", TWICE, "--jobs", "3")["digest"]
    assert first != swarm("--events", "--stores", "--seeds", TWICE)["digest"]
    if OTHER and Path(OTHER).exists():
        assert first == swarm("--events", "--seeds", TWICE, program=[OTHER, "sim", "swarm"])["digest"], "compilers differ"


def worlds_with_aggregates():
    found = swarm("--aggregates", "--seeds", f"1..{AGGREGATE_SEEDS}")
    assert found["run"] == AGGREGATE_SEEDS
    agreed, folded = found["agreed_ms"], found["folded_ms"]
    assert folded["worlds"] == agreed["worlds"] > AGGREGATE_SEEDS // 4, found
    assert folded["p50"] <= folded["p99"] <= folded["max"] <= 60000, folded
    print(f"  {AGGREGATE_SEEDS} seeds in {found['wall_s']:.1f} s; aggregates of {folded['worlds']} worlds agree after "
          f"{folded['p50']} ms (p50), {folded['p99']} ms (p99), {folded['max']} ms (max)")
    first = swarm("--aggregates", "--seeds", TWICE, "--jobs", "1")["digest"]
    assert first == swarm("--aggregates", "--seeds", TWICE, "--jobs", "3")["digest"]
    assert first != swarm("--seeds", TWICE)["digest"]
    if OTHER and Path(OTHER).exists():
        assert first == swarm("--aggregates", "--seeds", TWICE, program=[OTHER, "sim", "swarm"])["digest"], "compilers differ"
    assert "folded_ms" not in swarm("--seeds", "1..2")


def worlds_that_failed_before():
    if SHARE > 1:
        return
    lines = (SOURCE / "tests/regress/seeds.txt").read_text(encoding="utf-8").splitlines()
    seeds = [line.split("#")[0].split() for line in lines]
    seeds = [(int(seed[0]), *seed[1:]) for seed in seeds if seed]
    assert len(seeds) >= 10 and len(set(seeds)) == len(seeds), seeds
    for seed, *has in seeds:
        assert has in ([], ["stores"], ["events"], ["aggregates"]), has
        swarm("--seed", str(seed), "--jobs", "1", *("--" + word for word in has))
    print(f"  {len(seeds)} seeds of old")


def the_commits_own_world():
    git = subprocess.run(["git", "-C", SOURCE, "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = git.stdout.strip() if git.returncode == 0 else "0123456789abcdef0123456789abcdef01234567"
    assert re.fullmatch("[0-9a-f]{40}", commit), commit
    assert swarm("--seed", commit)["digest"] == swarm("--seed", str(int(commit[:16], 16)))["digest"]
    print(f"  {commit[:16]}")


def one_seed_is_one_run():
    first = swarm("--seeds", TWICE, "--jobs", "1")["digest"]
    assert first != swarm("--seeds", f"2..{REPEATED + 1}", "--jobs", "1")["digest"]
    assert first == swarm("--seeds", TWICE, "--jobs", "3")["digest"]
    text = run("--seeds", TWICE)
    assert text.returncode == 0 and text.stdout.startswith(f"{REPEATED} seeds, 0 failed, in ") and not text.stderr, text
    assert f"; digest {first}\n" in text.stdout, text
    if OTHER and Path(OTHER).exists():
        assert first == swarm("--seeds", TWICE, program=[OTHER, "sim", "swarm"])["digest"], "two compilers differ"
        print("  and by another compiler")


def a_failure_says_what_is_needed():
    if not PLANTED:
        return
    result = run("--seeds", "1..10", "--canary", "old-news", program=[PLANTED])
    assert result.returncode == 1, result
    sentence = re.search(r"^seed (\d+) FAILED: (\S+ node-\d+: incarnation: .*)$", result.stdout, re.M)
    assert sentence, result.stdout
    again = re.search(r"^  again: kith sim swarm (.*)$", result.stdout, re.M).group(1)
    assert again == f"--seeds {sentence.group(1)} --canary old-news", again
    assert f"VIOLATION {sentence.group(2)}" in result.stdout, "the trace ends with it"
    repeated = run(*again.split(), program=[PLANTED])
    assert repeated.returncode == 1 and sentence.group(0) in repeated.stdout, repeated.stdout
    shrunk = run(*again.split(), "--shrink", program=[PLANTED]).stdout
    left = re.search(r"of (\d+) nodes and (\d+) faults, by \d+ runs:\n(\d+) nodes", shrunk)
    assert left and int(left.group(3)) <= int(left.group(1)), shrunk
    assert "VIOLATION" in shrunk and " incarnation: " in shrunk, shrunk
    found = json.loads(run("--json", *again.split(), program=[PLANTED]).stdout)
    assert found["failed"] == 1 and found["failures"][0]["checker"] == "incarnation", found
    assert found["failures"][0]["seed"] == sentence.group(1)
    assert found["failures"][0]["again"] == "kith sim swarm " + again and "least" not in found["failures"][0], found
    trace = found["failures"][0]["trace"]
    assert 10 < len(trace) <= 50 and "\n".join(trace) + "\n" in repeated.stdout, (trace, repeated.stdout)
    many = json.loads(run("--json", "--seeds", "1..10", "--canary", "old-news", program=[PLANTED]).stdout)["failures"]
    assert [bool(failure["trace"]) for failure in many] == [i < 3 for i in range(len(many))] and len(many) > 3, many


def failures_of_other_worlds_say_so():
    kinds = (("--stores", "eager", "store"), ("--events", "twice", "once"), ("--aggregates", "jumpy", "edges"))
    for kind, canary, checker in kinds if PLANTED else ():
        result = run(kind, "--seeds", "1..3", "--canary", canary, "--shrink", program=[PLANTED])
        assert result.returncode == 1, result
        assert re.search(rf"^seed \d+ FAILED: \S+ node-\d+: {checker}: .*$", result.stdout, re.M), result.stdout
        for again in re.findall(r"^  again: kith sim swarm (.*)$", result.stdout, re.M):
            assert f" {kind}" in again, again
            repeated = run(*again.split(), program=[PLANTED])
            assert repeated.returncode == 1 and " FAILED: " in repeated.stdout, repeated.stdout


def what_shrinking_leaves_has_a_command():
    if not PLANTED:
        return
    text = run("--seeds", "2", "--canary", "old-news", "--shrink", program=[PLANTED]).stdout
    found = json.loads(run("--json", "--seeds", "1..10", "--canary", "old-news", "--shrink", program=[PLANTED]).stdout)
    assert found["failed"] > 3 and found["failures"][3]["least"] is None, found
    failure, least = found["failures"][0], found["failures"][0]["least"]
    assert (failure["seed"], failure["checker"]) == ("2", "incarnation"), failure
    assert least["faults"] == len(least["plan"]) - 2 <= failure["faults"] and least["nodes"] <= failure["nodes"], least
    assert re.search(r"^  again: (.*--only .*)$", text, re.M).group(1) == least["again"], text
    assert "\n".join(least["plan"]) in text and least["sentence"] in text, text
    assert 0 < len(least["trace"]) <= 50 and "\n".join(least["trace"]) in text and "trace" not in failure, (least, text)
    for other in found["failures"][:3]:
        command = other["least"]["again"].removeprefix("kith sim swarm ").split()
        repeated = run(*command, program=[PLANTED])
        assert repeated.returncode == 1 and f" FAILED: {other['least']['sentence']}\n" in repeated.stdout, repeated.stdout
        assert f"again: {other['least']['again']}\n" in repeated.stdout, repeated.stdout
    nothing = swarm("--seeds", "7", "--only", "none", "--nodes", "2")
    assert nothing["run"] == 1 and nothing["digest"] != swarm("--seeds", "7")["digest"], nothing


def an_interrupt_ends_the_shrinking():
    """With the least found so far. It must come in the midst of it, hence some attempts."""
    if not PLANTED:
        return
    for _ in range(10):
        process = subprocess.Popen([PLANTED, "--seeds", "1..200", "--canary", "old-news", "--shrink", "--jobs", "1"],
                                   stdout=subprocess.PIPE, text=True)
        lines = [process.stdout.readline()]
        while lines[-1] and not lines[-1].startswith("  again: "):
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
        assert process.returncode == 130 and not re.search(r"^(1\d\d|200) seeds", rest, re.M), (process.returncode, rest)
        if "the least that fails so (cut short: so far), of" in rest:
            assert rest.count("  again: ") == 1 and " incarnation: " in rest, rest
            return
    raise AssertionError("no shrinking was cut short")


def the_bar_goes_on_after_a_failure():
    """On a terminal it is wiped before a failure is told, and drawn again behind it."""
    if not PLANTED:
        return
    leader, terminal = pty.openpty()
    process = subprocess.Popen([PLANTED, "--seeds", "1..2000", "--canary", "old-news", "--jobs", "1"], stdout=terminal,
                               stderr=terminal, env=dict(os.environ, TERM="xterm"))
    os.close(terminal)
    seen, sent = b"", False
    bars = re.compile(rb"\r\[#*\.*\] .*? failed")
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        seen += part
        if not sent and seen.rfind(b"FAILED: ", 0, seen.rfind(b"\r[")) > seen.find(b"\r[") >= 0:
            process.send_signal(signal.SIGINT)
            sent = True
    process.wait(timeout=60)
    os.close(leader)
    bar = bars.search(seen)
    assert bar, seen[-2000:]
    told = re.compile(rb"\r\x1b\[Kseed \d+ FAILED: ").search(seen, bar.end())
    assert told and bars.search(seen, told.end()), seen[-3000:]
    assert not re.search(rb"left\x1b\[Kseed", seen), "a failure is told behind a bar"


def many_seeds_take_memory_as_they_come():
    """The largest range begins at once, in little memory."""
    if b"__asan_init" in Path(KITH).read_bytes() or b"__msan_init" in Path(KITH).read_bytes():
        return
    process = subprocess.Popen([KITH, "sim", "swarm", "--json", "--seeds", "1..4294967295"], stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)))
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and json.loads(out)["run"] > 0, (process.returncode, out)


def bad_input_is_one_line():
    for arguments, word in ((["--seeds", "9..3"], "9..3"), (["--seeds", "x"], "x"), (["--seed", "12y"], "12y"),
                            (["--seeds", "1..2", "--seed", "3"], "-seed and -seeds"), (["--jobs", "1000"], "-jobs 1000: "),
                            (["--jobs", "0"], "-jobs 0: "), (["--jobs", "4294967295"], "-jobs 4294967295: must be"),
                            (["--seeds", "1", "--nodes", "4294967295"], "-nodes 4294967295: must be 1 to "),
                            (["--seeds", "1..2", "--nodes", "4294967295"], "-seeds 1..2: is more than one"),
                            (["--seed", "1\n2"], "-seed 1\\x0a2: "), (["--list-checkers", "--seeds", "9..1"], "-seeds 9..1: is back"),
                            (["--json", "--trace"], "-json and -trace"), (["--seeds", "0..4294967295"], "..4294967295: "),
                            (["--seeds", "1..2", "--only", "1"], "-seeds 1..2: is more than one"),
                            (["--nodes", "2"], "-seeds 1..200: is more than one"), (["--seeds", "1", "--only", "0"], "-only 0: "),
                            (["--seeds", "1", "--only", "64"], "-only 64: names a fault that the world of seed 1 "),
                            (["--seeds", "1", "--nodes", "101"], "-nodes 101: must be 1 to "),
                            (["--wrong"], "wrong"), (["--canary", "obey"], "canary"), (["left over"], "left over")):
        result = run(*arguments)
        assert result.returncode == 2 and result.stdout == "", (arguments, result)
        assert result.stderr.count("\n") == 1 and word in result.stderr, (arguments, result.stderr)
    listed = run("--list-checkers")
    for checker in ("agree", "incarnation", "store", "holder", "withhold", "changes", "converge", "once", "order",
                    "gaps", "certificate", "asks", "settle", "places", "edges", "fold", "flow"):
        assert listed.returncode == 0 and re.search(f"^{checker} ", listed.stdout, re.M), listed


def soak():
    """Seeds that were not run yet, without more, with stores, events, aggregates; the log says how far it has come."""
    text = SOAK_LOG.read_text(encoding="utf-8")
    last = max([int(number) for number in re.findall(r"\.\.(\d+)", text)], default=100000)
    git = subprocess.run(["git", "-C", SOURCE, "describe", "--always", "--dirty"], capture_output=True, text=True)
    failures = []
    for has in ([], ["--stores"], ["--events"], ["--aggregates"]):
        found = run("--json", "--seeds", f"{last + 1}..{last + SOAK_SEEDS}", *has)
        report = json.loads(found.stdout)
        agreed = report[{"--stores": "stored_ms", "--aggregates": "folded_ms"}.get("".join(has), "agreed_ms")]
        with SOAK_LOG.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.date.today()}  {git.stdout.strip() or '-'}  {last + 1}..{last + SOAK_SEEDS}  "
                      f"{report['failed']} violations  {''.join(has)[2:]} agreed p50 {agreed['p50']} "
                      f"p99 {agreed['p99']} max {agreed['max']} ms\n")
            for failure in report["failures"]:
                log.write(f"    seed {failure['seed']}: {failure['sentence']}\n")
        failures += report["failures"]
    assert not failures, failures


def main():
    tests = [random_worlds, worlds_with_stores, worlds_with_events, worlds_with_aggregates,
             worlds_that_failed_before, the_commits_own_world, one_seed_is_one_run,
             a_failure_says_what_is_needed, failures_of_other_worlds_say_so,
             what_shrinking_leaves_has_a_command, an_interrupt_ends_the_shrinking,
             the_bar_goes_on_after_a_failure, many_seeds_take_memory_as_they_come, bad_input_is_one_line]
    if os.environ.get("KITH_SOAK"):
        tests.append(soak)
    failed = 0
    for test in tests:
        try:
            test()
            print(f"ok      {test.__name__}", flush=True)
        except AssertionError as error:
            failed += 1
            print(f"FAILED  {test.__name__}: {error}", flush=True)
    return 1 if failed else 0


sys.exit(main())
