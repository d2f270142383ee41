#!/usr/bin/env python3
"""The processes of cordond, killed under traffic: nothing of a protected pair is ever clear, exempt traffic goes on, and
all is well again within seconds.

usage: processes.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import signal
import socket
import threading
import time

from daemon import A, B, ESP, Host, address, lives, wait_until, wire
from lib import Capture, carries, expect, main, on_exit

POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
  - { name: open, endpoint1: [a], endpoint2: [b], traffic: [udp/7777], mode: exempt }
""" % (A, B)
PROTECTED, EXEMPT = 7000, 7777
EACH_S = 0.02
HEALED_S = 5


class Stream:
    """Numbered datagrams from one host, answered by the other: which came back, and when."""

    def __init__(self, a, b, port, word):
        self.word, self.port, self.ends, self.came, self.sent = word, port, False, {}, 0
        self.out, self.far = a.udp(A), b.udp(B, port)
        for s in (self.out, self.far):
            s.setblocking(True)
            s.settimeout(0.2)
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.send, self.answer, self.hear)]
        for t in self.threads:
            t.start()
        on_exit(self.end)

    def send(self):
        while not self.ends:
            try:
                self.out.sendto(b"%s-%d" % (self.word, self.sent), (B, self.port))
            except OSError:  # "prohibited", as long as there is nobody to negotiate
                pass
            self.sent += 1
            time.sleep(EACH_S)

    def answer(self):
        while not self.ends:
            try:
                got, who = self.far.recvfrom(2048)
                self.far.sendto(got, who)
            except OSError:
                pass

    def hear(self):
        while not self.ends:
            try:
                got = self.out.recv(2048)
                self.came[int(got.rsplit(b"-", 1)[1])] = time.monotonic()
            except OSError:
                pass

    def end(self):
        self.ends = True
        for t in self.threads:
            t.join()
        self.out.close()
        self.far.close()

    def flows(self, within=HEALED_S):
        """How long until datagrams sent from now on come back; None: they do not."""
        begin, first = time.monotonic(), self.sent + 1
        while time.monotonic() - begin < within:
            if any(n >= first for n in list(self.came)):
                return time.monotonic() - begin
            time.sleep(0.02)
        return None

    def gap(self, since):
        """The longest silence since then, in seconds."""
        times = [since] + sorted(t for t in self.came.values() if t > since) + [time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))

    def lost(self, first, last):
        return [n for n in range(first, last) if n not in self.came]


class World:
    def __init__(self):
        self.a, self.b = Host("a"), Host("b")
        wire(self.a, self.b)
        address(self.a, "eth0", A + "/24")
        address(self.b, "eth0", B + "/24")
        self.seen = Capture(self.a)
        for host in (self.a, self.b):
            host.start(policy=POLICY)
        self.protected = Stream(self.a, self.b, PROTECTED, b"PROTECTED")
        self.exempt = Stream(self.a, self.b, EXEMPT, b"EXEMPT")
        expect("protected traffic flows", self.protected.flows() is not None)
        expect("and exempt traffic", self.exempt.flows() is not None)
        self.since, self.exempt_first = time.monotonic(), self.exempt.sent

    def process(self, host, name):
        return next(p for p in host.json("status")["processes"] if p["name"] == name)

    def kill(self, host, name):
        before = self.process(host, name)
        self.since = time.monotonic()
        os.kill(before["pid"], signal.SIGKILL)
        return before

    def nothing_clear(self):
        frames = self.seen.read()
        expect("no clear packet of the pair, all the while", not any(b"PROTECTED" in f for f in frames))
        expect("ESP is what was on the wire", ESP in map(carries, frames))
        expect("exempt traffic never stopped", self.exempt.flows() is not None)
        lost = self.exempt.lost(self.exempt_first, self.exempt.sent - 100)
        expect("not one datagram of it is missing: %s" % lost[:9], not lost)


def healed(w, host, name, restarts):
    def again():
        now = w.process(host, name)
        return now["ready"] and now["restarts"] == restarts + 1
    expect("it is started again", wait_until(again, HEALED_S))
    took = w.protected.flows()
    expect("protected traffic flows within %d s (%s)" % (HEALED_S, took), took is not None)
    expect("status tells", "%s was started again" % name in host.cordon("status")[1])
    expect("and an event", "process-ended" in host.events() and "process-started" in host.events())


def keying():
    """keying dies: its SAs go on, a new one makes others in their place, and nothing is lost"""
    w = World()
    first = w.protected.sent
    for host in (w.a, w.b):
        pairs = {row["spi_in"] for row in host.json("show", "quick-mode")["rows"]}
        before = w.kill(host, "keying")
        healed(w, host, "keying", before["restarts"])
        expect("there are new SAs", wait_until(
            lambda: {row["spi_in"] for row in host.json("show", "quick-mode")["rows"]} - pairs, HEALED_S))
        expect("the peer is known again", host.json("status")["keying"]["main_mode"] >= 1)
    time.sleep(4)  # those of before go
    w.protected.end()
    lost = w.protected.lost(first, w.protected.sent - 10)
    expect("nothing was lost: %s" % lost, not lost)
    w.nothing_clear()


def others():
    """each of the others dies, on either side: all is well again within seconds"""
    w = World()
    for name in ("dataplane", "keys", "sources"):
        for host in (w.a, w.b):
            before = w.kill(host, name)
            healed(w, host, name, before["restarts"])
    w.nothing_clear()


def parent():
    """the parent dies: its children end by themselves, the rules stay, another one begins afresh"""
    w = World()
    pids = [p["pid"] for p in w.a.json("status")["processes"]]
    w.since = time.monotonic()
    w.a.kill()
    expect("its children end", wait_until(lambda: not any(lives(p) for p in pids), 2))
    time.sleep(1)
    expect("protected traffic has stopped", w.protected.flows(1) is None)
    w.a.start(policy=POLICY)
    took = w.protected.flows()
    expect("with another one it flows within %d s (%s)" % (HEALED_S, took), took is not None)
    w.nothing_clear()


def dies_again():
    """the data plane's process dies again and again: status says so first, exits 1, and names what to do"""
    w = World()
    expect("all is well at first", wait_until(lambda: w.a.cordon("status")[0] == 0))
    for n in range(3):
        before = w.kill(w.a, "dataplane")
        healed(w, w.a, "dataplane", before["restarts"])
        expect("after %d times status exits %d" % (n + 1, n == 2), w.a.cordon("status")[0] == (n == 2))
    said = w.a.cordon("status")[1]
    expect("it says so first:\n%s" % said, said.startswith("Protected, but a process of cordond ends again and again."))
    expect("and what to do", "journalctl -u cordon" in said and "cordon support" in said)
    expect("and when it will be over", "If it does not end once more, all is well again in " in said)
    row = next(p for p in w.a.json("status")["processes"] if p["name"] == "dataplane")
    left = row["well_ms"] / 1000 - time.time()
    expect("which is two minutes after it came back: %.0f s" % left, row["again"] and 60 < left <= 120)
    expect("other programs read it, too", w.a.json("status")["state"] == "failing")
    w.kill(w.a, "dataplane")
    expect("while it is away, that comes first", wait_until(
        lambda: w.a.cordon("status")[1].startswith("Protected traffic is stopped: the data plane's process is away."), HEALED_S))
    w.nothing_clear()


def keying_hangs():
    """keying does not answer: status says so soon, and what is up goes on"""
    w = World()
    pid = w.process(w.a, "keying")["pid"]
    os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    status = w.a.json("status")
    expect("status answers all the same (%.1f s)" % (time.monotonic() - begin), time.monotonic() - begin < 5)
    expect("and says so", status["keying"]["away"])
    expect("traffic goes on", w.protected.flows() is not None)
    os.kill(pid, signal.SIGCONT)
    expect("then it is asked again", wait_until(lambda: not w.a.json("status")["keying"]["away"], HEALED_S))
    w.nothing_clear()


if __name__ == "__main__":
    main([keying, others, parent, dies_again, keying_hangs])
