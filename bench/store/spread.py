"""How soon a write on one of 30 agents shows on all: keyspace notifications of each, heard by one process."""
import select
import statistics
import time

import lib
from servers import Farm, status
from table import show, verdict

AGENTS = 30


def form(farm, count):
    agents = [farm.kith()]
    for _ in range(count - 1):
        agents.append(farm.kith("-join", agents[0].agent.join_addr))
    agents[0].call("SET", "bench:first", "1")
    lib.wait(lambda: all(status(a)["peers_in_sync"] == count - 1 for a in agents), 60, "all hold the same", 0.5)
    return agents


def listen(agents):
    """A connection to each that hears of every key, and the poll object that waits for them."""
    links, poll = {}, select.epoll()
    for place, agent in enumerate(agents):
        lib.check(agent.call("CONFIG", "SET", "notify-keyspace-events", "KA") == b"OK", "no notifications")
        link = agent.link()
        link.call("PSUBSCRIBE", "__keyspace@0__:bench:w*")
        links[link.sock.fileno()] = (place, link.sock)
        poll.register(link.sock.fileno(), select.EPOLLIN)
    return links, poll


def one(writer, links, poll, place, seq):
    """Milliseconds until the writer says OK, half of the agents say it, and the last one."""
    key = b"bench:w%06d" % seq
    waiting, seen, took = set(range(len(links))), {}, []
    began = time.monotonic()
    writer.send("SET", key, "%d" % seq)
    while waiting:
        events = poll.poll(5)
        now = (time.monotonic() - began) * 1000
        lib.check(events or now < 60000, "after a minute", len(waiting), "agents do not show the write")
        for number, _ in events:
            where, sock = links[number]
            seen[where] = seen.get(where, b"") + sock.recv(65536)
            if where in waiting and key in seen[where]:
                waiting.discard(where)
                if where != place:
                    took.append(now)
    lib.check(writer.reply() == b"+OK\r\n", "the write failed")
    return took[len(took) // 2], took[-1]


def run(options):
    writes = 100 if options.quick else 1000
    with Farm("spread") as farm:
        agents = form(farm, AGENTS)
        links, poll = listen(agents)
        half, last = [], []
        for seq in range(writes):
            place = seq % AGENTS
            writer = agents[place].link()
            time.sleep(0.02)
            middle, end = one(writer, links, poll, place, seq)
            half.append(middle)
            last.append(end)
            writer.close()

    def part(values, share):
        return statistics.quantiles(values, n=1000, method="inclusive")[int(share * 1000) - 1]
    show("A write on one of %d agents, until all show it, %d writes, loopback" % (AGENTS, writes),
         ("ms", "p50", "p99", "the longest", "goal for p99"), [
             ("on half of the others", part(half, 0.5), part(half, 0.99), max(half), ""),
             ("on the last one", part(last, 0.5), part(last, 0.99), max(last), verdict(part(last, 0.99), "<=", 20))])
