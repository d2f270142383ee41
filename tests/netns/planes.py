#!/usr/bin/env python3
"""The data plane as a process: it dies, its device is taken away, and packets wait or are lost, but are never clear.

usage: planes.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import signal
import time

from daemon import A, B, ESP, PSK, two_hosts
from lib import Capture, expect, main

BOUND_S = 5


def process(host, name):
    """The process of that name as status tells it."""
    return next(p for p in host.json("status")["processes"] if p["name"] == name)


class Stream:
    """Numbered datagrams in both directions, a hundred a second each, and the highest number heard at either end."""

    def __init__(self, a, b, port=4330):
        self.ends = []
        for host, own, to in ((a, A, B), (b, B, A)):
            s = host.udp(own, port)
            s.setblocking(False)
            self.ends.append((s, (to, port)))
        self.heard, self.sent = [0, 0], 0

    def go(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()
        return self

    def turn(self):
        self.sent += 1
        for s, to in self.ends:
            try:
                s.sendto(b"numbered %d" % self.sent, to)
            except OSError:
                pass  # what a refused packet before it has drawn
        time.sleep(0.01)
        for n, (s, _) in enumerate(self.ends):
            while True:
                try:
                    self.heard[n] = max(self.heard[n], int(s.recv(100).split()[1]))
                except BlockingIOError:
                    break
                except OSError:
                    pass

    def until_heard(self, seconds=BOUND_S):
        """How long it takes until both ends hear what is sent from now on; None: too long."""
        begin, already = time.monotonic(), self.sent
        while time.monotonic() - begin < seconds:
            self.turn()
            if min(self.heard) > already:
                return time.monotonic() - begin
        return None


def index_of(host):
    return host.sh("cat", "/sys/class/net/cordon0/ifindex").strip()


def running(a, b, mode="require"):
    a.start(policy=PSK % mode)
    b.start(policy=PSK % mode)
    stream = Stream(a, b)
    expect("it works", stream.until_heard() is not None)
    return stream


def killed():
    """kill -9 of the data plane under traffic: no clear packet, the device stays, traffic again within seconds"""
    a, b = two_hosts()
    seen = Capture(a)
    stream = running(a, b)
    index = index_of(a)
    for turn, host in (("first", a), ("other", b), ("first again", a)):
        before = process(host, "dataplane")
        stream.go(0.5)
        os.kill(before["pid"], signal.SIGKILL)
        time.sleep(0.02)
        took = stream.until_heard()
        expect("the %s end's plane is killed: traffic again within %d s (%s s)" %
               (turn, BOUND_S, "%.2f" % took if took else "-"), took is not None)
        after = process(host, "dataplane")
        expect("by another process, as status says", after["ready"] and after["pid"] != before["pid"] and
               after["restarts"] == before["restarts"] + 1)
    expect("there are events of it", "process-ended" in a.events() and "process-started" in a.events())
    expect("the device was never away", index_of(a) == index)
    counters = {d["name"]: d["count"] for d in a.json("show", "drops")["rows"] if d["where"] == "ruleset"}
    expect("nothing leaked, and nothing had to be stopped: %s" % counters, counters.get("leak", 0) == 0)
    expect("all the while nothing was clear", not [f for f in seen.read() if b"numbered" in f])
    expect("what was seen is ESP", ESP in seen.protocols())


def killed_in_request_mode():
    """the same where clear would be allowed to a peer without IKE: what was protected is not sent clear, nor is new"""
    a, b = two_hosts()
    seen = Capture(a)
    stream = running(a, b, "request")
    stream.go(0.3)
    os.kill(process(a, "dataplane")["pid"], signal.SIGKILL)
    fresh = Stream(a, b, 4331)  # a flow that was never secured
    took = stream.until_heard()
    expect("traffic again (%s s)" % ("%.2f" % took if took else "-"), took is not None)
    expect("of a new flow, too", fresh.until_heard() is not None)
    expect("nothing was clear", not [f for f in seen.read() if b"numbered" in f])


def device_taken():
    """the device is deleted or taken down by somebody: there is another one, and the plane has it"""
    a, b = two_hosts()
    seen = Capture(a)
    stream = running(a, b)
    before = process(a, "dataplane")["pid"]
    for what in (("down",), ("delete",)):
        stream.go(0.3)
        a.sh("ip", "link", *(("set", "cordon0", "down") if what == ("down",) else ("delete", "cordon0")))
        took = stream.until_heard()
        expect("%s: traffic again (%s s)" % (what[0], "%.2f" % took if took else "-"), took is not None)
    expect("by the same process", process(a, "dataplane")["pid"] == before)
    expect("nothing was clear", not [f for f in seen.read() if b"numbered" in f])


if __name__ == "__main__":
    main([killed, killed_in_request_mode, device_taken])
