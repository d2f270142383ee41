#!/usr/bin/env python3
"""From a booted host without its daemon up to the death of every process in turn, under traffic: no packet of a protected
pair is ever clear, exempt traffic never stops, what was lost is back within seconds.

usage: deaths.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import signal
import socket
import sys
import threading
import time

from daemon import A, B, CORDOND, ESP, lives, two_hosts
from lib import Capture, address, expect, main

BOUND_S = 5
PAUSE_MOST_S = 1.0  # of what nothing has to interrupt, on a machine that does much else
PROTECTED, EXEMPT = 4330, 7777
LATE = ["10.77.0.%d" % n for n in range(101, 121)]  # of b, each for one negotiation

POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
  - { name: not-that, endpoint1: [a], endpoint2: [b], mode: exempt, protocol: udp, port2: %d }
  - { name: nor-back, endpoint1: [b], endpoint2: [a], mode: exempt, protocol: udp, port2: %d }
""" % (A, ", ".join([B] + LATE), EXEMPT, EXEMPT)

CHILDREN = ["keying", "keys", "dataplane", "sources"]


class Stream(threading.Thread):
    """Numbered datagrams in both directions, a hundred a second each; when each end heard one, and which are lost."""

    def __init__(self, a, b, port, word):
        super().__init__(daemon=True)
        self.word, self.ends, self.over = word, [], False
        for host, own, to in ((a, A, B), (b, B, A)):
            s = host.udp(own, port)
            s.setblocking(False)
            self.ends.append((s, (to, port)))
        self.sent, self.heard_at, self.count = 0, [[], []], [0, 0]
        self.start()

    def run(self):
        while not self.over:
            self.sent += 1
            for s, to in self.ends:
                try:
                    s.sendto(b"%s %d" % (self.word, self.sent), to)
                except OSError:
                    pass
            time.sleep(0.01)
            for n, (s, _) in enumerate(self.ends):
                while True:
                    try:
                        s.recv(100)
                    except BlockingIOError:
                        break
                    except OSError:
                        continue
                    self.heard_at[n].append(time.monotonic())
                    self.count[n] += 1

    def pause(self, since):
        """The longest silence at either end since then."""
        longest = 0
        for heard in self.heard_at:
            times = [since] + [t for t in heard if t > since] + [time.monotonic()]
            longest = max([longest] + [y - x for x, y in zip(times, times[1:])])
        return longest

    def back(self, since, seconds=BOUND_S + 5):
        """How long it took until both ends heard something that was sent after that time; None: too long."""
        end = since + seconds
        while time.monotonic() < end:
            if all(heard and heard[-1] > since + 0.1 for heard in self.heard_at):
                return max(next(t for t in heard if t > since + 0.1) for heard in self.heard_at) - since
            time.sleep(0.05)
        return None

    def close(self):
        self.over = True
        self.join()
        for s, _ in self.ends:
            s.close()


def pids(host):
    return {p["name"]: p["pid"] for p in host.json("status")["processes"]}


def begin(host):
    """As the service manager would, at once."""
    host.start(policy=POLICY)


def world():
    a, b = two_hosts()
    for late in LATE:
        address(b, "eth0", late + "/24")
    return a, b


def negotiates(host, late):
    """With an address that it has no SA with; seconds."""
    since = time.monotonic()
    while time.monotonic() - since < BOUND_S:
        if host.pings(late, 1):
            return time.monotonic() - since
    return None


def clear(seen):
    return [f for f in seen.read() if b"protected" in f]


def words(seconds):
    return "%.2f s" % seconds if seconds is not None else "too long"


def each():
    """kill -9 of each process of either end in turn, of the parent, and of all at once"""
    a, b = world()
    seen = [Capture(a), Capture(b)]
    begin(a)
    begin(b)
    exempt, protected = Stream(a, b, EXEMPT, b"exempt"), Stream(a, b, PROTECTED, b"protected")
    expect("it works", protected.back(time.monotonic()) is not None and exempt.back(time.monotonic()) is not None)
    began, lates = time.monotonic(), iter(LATE)
    for name, host in (("a", a), ("b", b)):
        for victim in CHILDREN + ["cordond", "all"]:
            before, died = pids(host), time.monotonic()
            if victim == "cordond":
                host.kill(signal.SIGKILL)
            else:
                for pid in before.values() if victim == "all" else [before[victim]]:
                    os.kill(pid, signal.SIGKILL)
                if victim == "all":
                    host.kill(signal.SIGKILL)
            if victim in ("cordond", "all"):
                time.sleep(0.2)
                expect("%s's %s: the children have gone with it" % (name, victim), not [
                    p for p in before.values() if lives(p)])
                begin(host)
            took = protected.back(died)
            expect("%s's %s is killed: protected traffic is back after %s" % (name, victim, words(took)),
                   took is not None and took <= BOUND_S)
            if victim in ("keying", "keys", "sources"):
                pause = protected.pause(died)
                expect("%s's %s: SAs in force went on (%.2f s)" % (name, victim, pause), pause <= PAUSE_MOST_S)
            took = negotiates(a, next(lates))
            expect("%s's %s: another pair is secured after %s" % (name, victim, words(took)), took is not None)
    pause, lost = exempt.pause(began), 2 * exempt.sent - sum(exempt.count)
    expect("exempt traffic never stopped (%.2f s)" % pause, pause <= PAUSE_MOST_S)
    expect("and nothing of it was lost: %d of %d" % (lost, 2 * exempt.sent), lost <= 4)  # some are under way
    exempt.close()
    protected.close()
    expect("no packet of the protected pairs was clear", not clear(seen[0]) and not clear(seen[1]) and not any(
        socket.IPPROTO_ICMP in s.protocols() for s in seen))
    expect("what was seen is ESP, and what is exempt", ESP in seen[0].protocols() and any(
        b"exempt" in f for f in seen[1].read()))


def booted():
    """rules without a daemon: from the boot on nothing protected passes, and what is exempt does"""
    a, b = world()
    begin(a)
    begin(b)
    expect("it works", a.pings(B))
    a.kill(signal.SIGTERM)
    forget(a)
    seen = [Capture(a), Capture(b)]
    since = time.monotonic()
    a.sh(CORDOND, "--load-rules", "--run-dir", a.run_dir, "--state-dir", a.state, "--root", a.root)
    exempt, protected = Stream(a, b, EXEMPT, b"exempt"), Stream(a, b, PROTECTED, b"protected")
    expect("exempt traffic flows", exempt.back(since) is not None)
    time.sleep(1)
    expect("protected traffic does not", protected.count == [0, 0])
    since = time.monotonic()
    begin(a)
    took = protected.back(since)
    expect("with the daemon it does after %s" % words(took), took is not None and took <= BOUND_S)
    expect("exempt traffic never stopped (%.2f s)" % exempt.pause(since), exempt.pause(since) <= PAUSE_MOST_S)
    exempt.close()
    protected.close()
    expect("no packet of the protected pair was clear", not clear(seen[0]) and not clear(seen[1]))


def forget(host):
    """What a reboot does to rules and routes."""
    host.sh("nft", "flush", "ruleset")
    for family in "-4", "-6":
        for line in host.sh("ip", family, "rule", "show").splitlines():
            if "fwmark" in line:
                host.sh("ip", family, "rule", "del", "pref", line.split(":")[0])
        host.sh("ip", family, "route", "flush", "table", "100", check=False)


def hung():
    """a child that stands still is found out, ended and replaced"""
    a, b = world()
    seen = Capture(a)
    begin(a)
    begin(b)
    protected = Stream(a, b, PROTECTED, b"protected")
    expect("it works", protected.back(time.monotonic()) is not None)
    before = pids(a)
    for name in ("dataplane", "keys"):
        os.kill(before[name], signal.SIGSTOP)
    end = time.monotonic() + 40
    while time.monotonic() < end and [n for n in ("dataplane", "keys") if pids(a)[n] in (before[n], None)]:
        time.sleep(0.5)
    now = pids(a)
    expect("both were replaced", all(now[n] and now[n] != before[n] for n in ("dataplane", "keys")))
    expect("in words", "does not answer" in a.cordon("events")[1])
    took = protected.back(time.monotonic())
    expect("traffic is back", took is not None)
    protected.close()
    expect("nothing was clear", not clear(seen))


if __name__ == "__main__":
    main([each, booted] + ([hung] if os.environ.get("CORDON_TEST_LONG") or "hung" in sys.argv else []))
