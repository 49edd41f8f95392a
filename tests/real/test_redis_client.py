#!/usr/bin/env python3
"""A client library that knows nothing of kith, node-redis, works with an agent as with Redis, and comes back after a restart.

What the client does is in redis_client.js. It does the same to a redis-server, so that what it expects is what Redis does.
"""
import os
import subprocess
import threading

import lib
from resp import PORT, REAL_PORT, real

check = lib.check
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "redis_client.js")
STEPS = ("password hello strings counters hashes sets sortedSets transactions scans expiry notifications errors large "
         "pipeline restart").split()
PASSWORD = "open-sesame"


def converse(port, restart):
    """Runs the client, restarts its server when it asks for that, and returns what it said."""
    said = []
    client = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "node", SCRIPT, str(port), PASSWORD], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, NODE_PATH="/usr/share/nodejs"))
    patience = threading.Timer(120, client.kill)
    patience.start()
    try:
        for line in client.stdout:
            said.append(line.rstrip())
            if said[-1] == "restart":
                restart()
                client.stdin.write("restarted\n")
                client.stdin.flush()
        code = client.wait(30)
    finally:
        patience.cancel()
        client.kill()
        client.wait()
    wanted = [line for step in STEPS for line in (["restart"] if step == "restart" else []) + ["ok " + step]] + ["all done"]
    check(code == 0 and said == wanted, "the client said:\n    " + "\n    ".join(said))


@lib.case
def kith(pool):
    """a program that uses node-redis: an agent behind a password, killed and restarted on its directory"""
    agent = pool.start("kith", "-resp-auth", PASSWORD, "-data-dir", pool.path("data"), "-fsync=always")

    def restart():
        agent.kill()
        agent.start("-resp-auth", PASSWORD, "-data-dir", pool.path("data"), "-fsync=always")
    converse(PORT, restart)


@lib.case
def redis(pool):
    """the same program and redis-server"""
    flags = ("--requirepass", PASSWORD, "--appendonly", "yes", "--appendfsync", "always")
    real(pool, REAL_PORT, *flags)
    converse(REAL_PORT, lambda: real(pool, REAL_PORT, *flags))


lib.main(__doc__, needs=("kith",))
