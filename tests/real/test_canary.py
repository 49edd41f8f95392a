#!/usr/bin/env python3
"""The suites can fail: on Serf, which is known to crash, reflect and differ, they must; and a failing case is a failing run."""
import os
import re
import sys

import lib

check = lib.check
HERE = os.path.dirname(os.path.abspath(__file__))


def run_on_serf(suite, *cases):
    """Runs some of a suite's cases with Serf in kith's place; returns its report."""
    done = lib.run(sys.executable, os.path.join(HERE, suite), *cases, timeout=120, env={"KITH": lib.SERF})
    left = re.findall(r"(/\S*/kith-[^/\s]+)/", done.out)
    for folder in set(left):
        lib.shutil.rmtree(folder, ignore_errors=True)
    return done


@lib.case
def crashes_are_found(_pool):
    """Serf dies of the crash corpus, and the suite says so"""
    done = run_on_serf("test_hostile.py", "corpus_plain")
    check(done.code == 1 and "the agent died" in done.out and done.out.endswith("0 passed, 1 failed\n"), done)


@lib.case
def reflection_is_found(_pool):
    """Serf acknowledges to a forged third party, and the suite says so"""
    done = run_on_serf("test_hostile.py", "forged")
    check(done.code == 1 and "only a forged field names" in done.out, done)


@lib.case
def differences_are_found(_pool):
    """Serf forgets run-time tags at SIGHUP, and does not notify systemd, and the suite says so"""
    done = run_on_serf("test_signals.py", "reload", "notify")
    check(done.code == 1 and "0 passed, 2 failed" in done.out, done)


@lib.case
def a_missing_peer_is_found(_pool):
    """a suite without its peer fails"""
    done = lib.run(sys.executable, os.path.join(HERE, "test_interop_plain.py"), env={"KITH": lib.SERF,
                                                                                    "SERF": "/nonexistent/serf"})
    check(done.code == 1 and "serf is missing" in done.out and done.out.endswith("0 passed, 1 failed\n"), done)


@lib.case
def no_case_is_found(_pool):
    """a suite told to run nothing fails"""
    done = lib.run(sys.executable, os.path.join(HERE, "test_interop_plain.py"), "no-such-case", env={"KITH": lib.SERF})
    check(done.code == 1 and "nothing was run" in done.out, done)


lib.main(__doc__, needs=("serf",))
