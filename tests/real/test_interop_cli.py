#!/usr/bin/env python3
"""The stock `serf` command against a kith agent: each call's output and exit code as the same call gives on a Serf agent.

What changes a pool, what only looks, and the monitor; events, queries and keys are test_interop_rpc.py's.
"""
import json
import re
import signal
import subprocess
import time

import lib
from stock import NAMES, as_json, same, twin

check = lib.check


@lib.case
def reading(pool):
    """members in every form and with every filter, info"""
    serf, kith = twin(pool, "serf")[0], twin(pool, "kith")[0]
    done = same(serf, kith, "members")
    check(all(n in done.out for n in NAMES), "all three are listed:", done)
    same(serf, kith, "members", "-detailed")
    same(serf, kith, "members", "-format=json", parse=as_json)
    for filters in (["-status=alive"], ["-status=failed"], ["-name=t.*"], ["-name=wo"], ["-tag", "role=web"],
                    ["-tag", "role=web", "-tag", "index=[12]"], ["-role=db"], ["-name=(?i)ONE"], ["-name=\\w{3}"],
                    ["-tag", "nosuch=.*"], ["-tag", "nosuch=x"]):
        same(serf, kith, "members", *filters)
        same(serf, kith, "members", "-format=json", *filters, parse=as_json)
    same(serf, kith, "members", "-format=xml")
    serf_info, kith_info = (json.loads(a.cli("info", "-format=json", binary=lib.SERF).out) for a in (serf, kith))
    for section, entries in serf_info.items():
        check(section in kith_info, "info has no section", section)
        for key in set(entries) - {"goroutines", "max_procs"}:  # what only Go has
            check(key in kith_info[section], "info has no", section, key)
    check(kith_info["agent"]["name"] == "one" and kith_info["serf"]["members"] == "3", "info says", kith_info)
    text = kith.cli("info", binary=lib.SERF)
    check(text.code == 0 and re.search(r"^serf:$", text.out, re.M) and re.search(r"^\tmembers = 3$", text.out, re.M),
          "info as text:", text)


@lib.case
def changing(pool):
    """tags, join, force-leave with and without -prune, leave"""
    serfs, kiths = twin(pool, "serf"), twin(pool, "kith")
    serf, kith = serfs[0], kiths[0]
    same(serf, kith, "tags", "-set", "color=red", "-set", "role=api")
    same(serf, kith, "tags", "-delete", "index")
    lib.wait(lambda: all("color" in a.members()["one"]["Tags"] for a in serfs + kiths), 15, "the tag is everywhere")
    same(serf, kith, "members", "-format=json", parse=as_json)
    same(serf, kith, "tags", "-set", "nonsense")
    same(serf, kith, "tags")
    same(serf, kith, "join")
    for group in (serfs, kiths):
        group[2].kill()
    for agent, others in ((serf, serfs), (kith, kiths)):
        done = agent.cli("join", others[1].join_addr, binary=lib.SERF)
        check(done.code == 0 and done.out == "Successfully joined cluster by contacting 1 nodes.\n", "join:", done)
        done = agent.cli("join", agent.net + "77:7946", binary=lib.SERF)
        check(done.code == 1 and "Error joining the cluster" in done.out, "a join of nobody:", done)
    same(serf, kith, "force-leave", "nobody")
    for group in (serfs, kiths):
        pool.expect(group[:2], {"one": "alive", "two": "alive", "three": "failed"}, 45)
    same(serf, kith, "members", "-status=failed")
    same(serf, kith, "force-leave", "three")
    for group in (serfs, kiths):
        pool.expect(group[:2], {"one": "alive", "two": "alive", "three": "left"}, 15)
    same(serf, kith, "force-leave", "-prune", "three")
    for group in (serfs, kiths):
        pool.expect(group[:2], {"one": "alive", "two": "alive"}, 15)
    same(serf, kith, "leave")
    for group in (serfs, kiths):
        pool.status(group[1:2], group[0], "left", 15)
        check(group[0].exit_code(10) == 0, group[0].kind, "left, and exited with", group[0].proc.returncode)


@lib.case
def auth(pool):
    """the RPC key: none, wrong, right, and by SERF_RPC_AUTH; the address by SERF_RPC_ADDR; nobody listening"""
    text = json.dumps({"rpc_auth": "open sesame"})
    made = {}
    for i, kind in enumerate(("serf", "kith")):
        agent = lib.Agent(pool, kind, "locked", "127.0.%d0.9" % (i + 1), flags=["-config-file", pool.path("a.json", text)])
        agent.net, agent.log = "127.0.%d0." % (i + 1), agent.log + "." + kind
        pool.agents.append(agent.spawn())
        made[kind] = agent
    serf, kith = made["serf"], made["kith"]

    def refuses(agent):
        return "Authentication required" in agent.cli("members", binary=lib.SERF).out

    for agent in (serf, kith):
        lib.wait(lambda: refuses(agent), 15, "a locked %s agent refuses" % agent.kind, 0.3)
    same(serf, kith, "members")
    same(serf, kith, "members", "-rpc-auth=open")
    same(serf, kith, "members", "-rpc-auth=open sesame1")
    same(serf, kith, "members", "-rpc-auth=open sesame")
    for agent in (serf, kith):
        env = {"SERF_RPC_ADDR": "%s:7373" % agent.ip, "SERF_RPC_AUTH": "open sesame"}
        done = lib.run(lib.SERF, "members", env=env)
        check(done.code == 0 and "locked" in done.out, "by environment:", done)


@lib.case
def monitor(pool):
    """monitor replays the log and follows it, at the level asked for"""
    for kind in ("serf", "kith"):
        agent = pool.start(kind, "-log-level=warn")
        other = pool.start(kind)
        path = pool.path("monitor." + kind)
        for level, sees_debug in (("DEBUG", True), ("ERR", False)):
            with open(path, "wb") as out:
                proc = subprocess.Popen([lib.SERF, "monitor", "-rpc-addr=%s:7373" % agent.ip, "-log-level=" + level],
                                        stdout=out, stderr=out)
            time.sleep(1)
            check(proc.poll() is None, kind, "monitor ended by itself")
            if sees_debug:
                check("[INFO]" in open(path).read(), kind, "monitor replays nothing:", open(path).read())
                agent.join(other)
                lib.wait(lambda: other.name in open(path).read(), 10,
                         lambda: "monitor follows a join:\n" + open(path).read())
            else:
                check("[INFO]" not in open(path).read() and "[DEBUG]" not in open(path).read(),
                      kind, "monitor -log-level=ERR shows", open(path).read())
            proc.send_signal(signal.SIGINT)
            proc.wait(10)
        check("[INFO]" not in agent.log_text().split("Log data will")[-1], kind, "-log-level=warn logs INFO:",
              agent.tail(6))


lib.main(__doc__)
