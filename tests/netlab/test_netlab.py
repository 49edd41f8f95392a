#!/usr/bin/env python3
"""netlab itself: delay, jitter, loss, cuts in one and both directions, partitions, counters, large TCP, IPv6."""
import contextlib
import socket
import struct
import time

import lab as netlab
from lab import lib

check = lib.check


@contextlib.contextmanager
def lab_of(count):
    made = netlab.Lab(count)
    try:
        yield made
    finally:
        made.close()


def udp(lab, i, v6=False):
    with lab.nodes[i].inside():
        sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((lab.addr6(i) if v6 else lab.addr(i), 9000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
    sock.settimeout(1)
    return sock


def crosses(sender, receiver, to, timeout=0.5):
    """Whether a datagram arrives, and how long that took. What is left over from before is thrown away."""
    token = struct.pack("d", time.monotonic())
    start = time.monotonic()
    sender.sendto(token, (to, 9000))
    receiver.settimeout(timeout)
    try:
        while receiver.recv(100) != token:
            pass
    except socket.timeout:
        return None
    return time.monotonic() - start


def warm(lab, sockets):
    """Lets address resolution and learning happen first."""
    for i, a in sockets.items():
        for j, b in sockets.items():
            if i != j:
                lib.wait(lambda: crosses(a, b, lab.addr(j)), 5, "a datagram from %d to %d" % (i, j))


@lib.case
def switching(_pool):
    """frames go where they should, over IPv4 and IPv6, and a third port sees no unicast"""
    with lab_of(3) as lab:
        sockets = {i: udp(lab, i) for i in lab.nodes}
        warm(lab, sockets)
        before = lab.stats()
        for _ in range(50):
            check(crosses(sockets[1], sockets[2], lab.addr(2)) is not None, "a datagram was lost")
        after = lab.stats()
        gained = {k: after[k]["frames"] - before[k]["frames"] for k in after}
        check(50 <= gained[1, 2] <= 54, "50 datagrams, counted", gained[1, 2])
        check(gained[1, 3] <= 4, "port 3 was shown unicast traffic:", gained[1, 3])
        octets = after[1, 2]["bytes"] - before[1, 2]["bytes"]
        check(50 * 50 <= octets <= 54 * 120, "50 frames of 50 bytes, counted", octets)
        a, b = udp(lab, 1, v6=True), udp(lab, 2, v6=True)
        lib.wait(lambda: crosses(a, b, lab.addr6(2)), 5, "a datagram over IPv6")
        done = lab.nodes[1].run("python3", "-c", "import socket; socket.create_connection(('%s', 9), 3)" % lab.addr(2))
        check("ConnectionRefusedError" in done.err, "a closed TCP port answers with a reset:", done)


@lib.case
def delay(_pool):
    """delay is what was asked for, in one direction and in both, and jitter stays within its bound"""
    with lab_of(2) as lab:
        sockets = {i: udp(lab, i) for i in lab.nodes}
        warm(lab, sockets)
        plain = sorted(crosses(sockets[1], sockets[2], lab.addr(2)) for _ in range(21))[10]
        check(plain < 0.02, "an undelayed frame took %.3f s" % plain)
        lab.command("delay 1>2 60ms")
        there = sorted(crosses(sockets[1], sockets[2], lab.addr(2)) for _ in range(11))[5]
        back = sorted(crosses(sockets[2], sockets[1], lab.addr(1)) for _ in range(11))[5]
        check(0.060 <= there < 0.085, "60 ms there took %.4f s" % there)
        check(back < 0.02, "the other direction took %.4f s" % back)
        lab.command("delay * * 20ms 30ms")
        times = [crosses(sockets[1], sockets[2], lab.addr(2)) for _ in range(30)]
        check(min(times) >= 0.020, "jitter went below the delay:", min(times))
        check(sorted(times)[25] < 0.065 and max(times) - min(times) > 0.01, "jitter of 30 ms gave", times)
        lab.command("reset")
        check(crosses(sockets[1], sockets[2], lab.addr(2)) < 0.02, "reset left the delay")


@lib.case
def loss(_pool):
    """loss of 20 % loses 20 %, counted, and 100 % loses all"""
    with lab_of(2) as lab:
        sockets = {i: udp(lab, i) for i in lab.nodes}
        warm(lab, sockets)
        lab.command("loss 1>2 20%")
        before = lab.stats()[1, 2]
        for i in range(1000):
            sockets[1].sendto(b"x", (lab.addr(2), 9000))
            if i % 50 == 0:
                time.sleep(0.005)
        time.sleep(0.3)
        after = lab.stats()[1, 2]
        lost, crossed = after["lost"] - before["lost"], after["frames"] - before["frames"]
        # The binomial's standard deviation is 12.6: five of them either way.
        check(137 <= lost <= 263, "20 % of 1000 lost", lost)
        check(1000 <= lost + crossed <= 1010, "1000 frames became", lost + crossed)
        received = 0
        sockets[2].settimeout(0.2)
        with contextlib.suppress(socket.timeout):
            while sockets[2].recv(100):
                received += 1
        check(abs(received - crossed) <= 10, "counted %d crossing, received %d" % (crossed, received))
        lab.command("loss 1>2 1000000ppm")
        check(crosses(sockets[1], sockets[2], lab.addr(2)) is None, "100 % loss let one through")


@lib.case
def cuts(_pool):
    """cut, one-way cut, partition and heal do what they say, and are counted"""
    with lab_of(4) as lab:
        sockets = {i: udp(lab, i) for i in lab.nodes}
        warm(lab, sockets)

        def open_pairs():
            return {(a, b) for a in lab.nodes for b in lab.nodes
                    if a != b and crosses(sockets[a], sockets[b], lab.addr(b), 0.15)}

        every = {(a, b) for a in lab.nodes for b in lab.nodes if a != b}
        check(open_pairs() == every, "at first all is open")
        lab.command("cut 1>2")
        check(every - open_pairs() == {(1, 2)}, "cut 1>2 cuts 1>2 only")
        check(lab.stats()[1, 2]["cut"] >= 1, "a cut frame is counted")
        lab.command("heal 1>2")
        lab.command("cut 3 4")
        check(every - open_pairs() == {(3, 4), (4, 3)}, "cut 3 4 cuts both ways")
        lab.command("partition 1,2|3")
        check(every - open_pairs() == {(1, 3), (3, 1), (2, 3), (3, 2), (3, 4), (4, 3)},
              "a partition cuts between groups and leaves other ports alone")
        lab.command("heal")
        check(open_pairs() == every, "heal heals all")
        for bad in ("cut 1", "cut 9 1", "partition 1,1|2", "partition 1,2|", "delay 1 2 5", "loss 1 2 101%", "nonsense"):
            try:
                lab.command(bad)
            except lib.Failure:
                continue
            raise lib.Failure("accepted: " + bad)
        check(open_pairs() == every, "a refused command changes nothing")


def transfer(lab, size):
    """Sends `size` bytes over TCP from node 1 to node 2; returns what arrived."""
    with lab.nodes[2].inside():
        listener = socket.create_server((lab.addr(2), 9001))
    listener.settimeout(10)
    client = lab.nodes[1].connect((lab.addr(2), 9001))
    server, _ = listener.accept()
    data = bytes(i * 31 % 251 for i in range(65536)) * (size // 65536)
    client.setblocking(False)
    server.setblocking(False)
    sent, got, end = 0, bytearray(), time.monotonic() + 20
    while len(got) < len(data) and time.monotonic() < end:
        with contextlib.suppress(BlockingIOError):
            sent += client.send(data[sent:sent + 262144]) if sent < len(data) else 0
        try:
            got += server.recv(1 << 20)
        except BlockingIOError:
            time.sleep(0.0005)
    for sock in (client, server, listener):
        sock.close()
    check(bytes(got) == data, "of %d bytes %d arrived, or not the same" % (len(data), len(got)))


@lib.case
def tcp(_pool):
    """TCP with checksum offload crosses whole: 8 MiB plain, 1 MiB through 1 % loss and 3 ms"""
    with lab_of(2) as lab:
        transfer(lab, 8 << 20)
        bytes_plain = lab.stats()[1, 2]["bytes"]
        check(bytes_plain >= 8 << 20, "8 MiB crossed, counted", bytes_plain)
        lab.command("loss * * 1%")
        lab.command("delay * * 3ms")
        before = lab.stats()[1, 2]["lost"]
        transfer(lab, 1 << 20)
        check(lab.stats()[1, 2]["lost"] > before, "1 % loss lost nothing of 1 MiB")


lib.main(__doc__, needs=(), limit=120)
