#!/usr/bin/env python3
"""Ten thousand connection security rules on two hosts: in force, with traffic under them, and replaced under it.

usage: many_rules.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import re
import signal
import subprocess
import threading
import time

from daemon import A, B, Host, wait_until, write
from lib import Capture, address, expect, main, wire

COUNT = 10000
HEAD = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
""" % (A, B)


def rules(count, traffic, first=0):
    """Each between these two and another peer."""
    return "".join("  - { name: r%d, endpoint1: [a, b], endpoint2: [10.%d.%d.%d], mode: require, authentication: key%s }\n"
                   % (n, 100 + n // 62500, n // 250 % 250, n % 250 + 1, traffic) for n in range(first, count))


class Talk:
    """Numbered datagrams from a to b, 200 a second."""

    def __init__(self, a, b):
        self.out, self.into, self.sent, self.heard, self.going = a.udp(A), b.udp(B, 7010), 0, set(), True
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.talk, self.listen)]
        for t in self.threads:
            t.start()

    def talk(self):
        while self.going:
            self.out.sendto(b"to be read by nobody %d" % self.sent, (B, 7010))
            self.sent += 1
            time.sleep(0.005)

    def listen(self):
        while self.going or len(self.heard) < self.sent:
            try:
                self.heard.add(int(self.into.recv(100).rsplit(b" ", 1)[1]))
            except TimeoutError:
                if not self.going:
                    return

    def end(self):
        self.going = False
        for t in self.threads:
            t.join(20)


def names(pid):
    """Of the programs that it has started."""
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [open("/proc/%s/comm" % p, "rb").read().strip() for p in f.read().split()]
    except OSError:
        return []


def chains(host):
    with host:
        return subprocess.run(["nft", "list", "chains", "inet"], capture_output=True, text=True, check=True).stdout


def play(traffic):
    """10,000 rules stand, traffic is protected, and other rules take their place under it: nothing is lost or clear."""
    a, b = Host("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", B + "/24")
    watched = Capture(b)
    for host in (a, b):
        host.start(policy=HEAD + rules(COUNT, traffic))
    expect("the two reach each other", a.pings(B))
    # not a matter of time: what every packet and every load would have to go through
    few = len(re.findall(r"\tchain ", chains(a)))
    expect("there are few chains: %d" % few, few < 200)
    rows = a.json("show", "rules")["rows"]
    expect("all rules are there and in use: %d" % len(rows), len(rows) == COUNT + 1)
    talk = Talk(a, b)
    path = a.policy(HEAD + rules(COUNT, traffic, first=100))
    status, said = a.cordon("apply", path, "--force")
    expect("other rules take their place: %s" % said.strip(), status == 0)
    time.sleep(1)
    talk.end()
    lost = talk.sent - len(talk.heard)
    expect("of %d packets none is lost meanwhile: %d" % (talk.sent, lost), talk.sent > 100 and lost == 0)
    expect("none was in clear", not any(b"to be read by nobody" in f for f in watched.read()))
    expect("none of its processes had to end: %s" % re.findall(".*process-.*", a.log()), "process-" not in a.log())


def by_address():
    """Rules of two addresses each."""
    play("")


def by_port():
    """Rules with ports."""
    play(", traffic: [tcp/445, tcp/3389]")


def interrupted():
    """Ctrl-C while they are loaded: it is heard at once, they are loaded first, and then it ends."""
    a = Host("a")
    address(a, "lo", A + "/32")
    write(a.folder + "/policy.yaml", HEAD + rules(COUNT, ", traffic: [tcp/445, tcp/3389]"))
    with open(a.folder + "/log", "w", encoding="utf-8") as log:
        a.p = subprocess.Popen(a.command("--policy", a.folder + "/policy.yaml"), stderr=log, start_new_session=True)
    expect("what it does is said", wait_until(lambda: "putting %d rules in force" % (COUNT + 1) in a.log(), 60))
    end = time.monotonic() + 60
    while b"nft" not in names(a.p.pid) and time.monotonic() < end:
        time.sleep(0.001)
    time.sleep(0.05)
    os.killpg(a.p.pid, signal.SIGINT)
    expect("it ends with 0", a.p.wait(120) == 0)
    expect("that it was heard is said: %s" % a.log(), "stops when the rules are loaded; they stay in force" in a.log())
    expect("the rules were loaded", len(chains(a)) > 0 and "cordond stops; the rules stay in force" in a.log())


if __name__ == "__main__":
    main([by_address, by_port, interrupted])
