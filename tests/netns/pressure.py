#!/usr/bin/env python3
"""Two hosts under pressure: a third one on their wire that sends their own packets again, changed and unchanged, as fast as
it can; and SAs that are renewed all the time while numbered datagrams run.

usage: pressure.py [TEST ...]; CORDON, CORDOND and BLASTER name the programs
"""
import hashlib
import os
import socket
import subprocess
import threading
import time

from daemon import A, B, PSK, Host, wait_until
from lib import SLOW, Capture, Namespace, address, expect, main, on_exit, run, wire

BLASTER = os.environ.get("BLASTER", "build/tests/netns/blaster")
BLAST_S = 3
MARKER = b"nobody else may read this line. "
NUMBERED_S, NUMBERED_MOST_S = 6, 30  # the more where the machine is slow
NUMBERED_LEAST, RENEWED_LEAST = 1000, 5
# Where the machine is slow an IKE message is sent again before its reply is there, and the second one has nobody who waits.
SENT_AGAIN = ("ike-message-id", "ike-repeated")
PROTECTED = """cordon: 1
%szones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
protection: { short: { proposals: [esp-aes256gcm], lifetime: { time: 1h, data: 1MB } } }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key, protection: short }
"""


def hub(*hosts):
    """A wire on which everybody hears everything."""
    s = Namespace("hub")
    s.sh("ip", "link", "add", "br0", "type", "bridge", "ageing_time", "0")
    s.sh("ip", "link", "set", "br0", "up")
    for n, host in enumerate(hosts):
        run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth", "peer", "name", "p%d" % n, "netns", s.name)
        s.sh("ip", "link", "set", "p%d" % n, "master", "br0", "up")
        host.sh("ip", "link", "set", "eth0", "up")
        host.sh("ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", "tx", "off", check=False)


class Stream:
    """TCP from a to b, whatever may come, and what arrived."""

    def __init__(self, a, b, port=4340):
        self.sent, self.heard = hashlib.sha256(), hashlib.sha256()
        self.octets, self.received, self.going, self.failed = 0, 0, True, None
        listener = b.socket(socket.AF_INET, socket.SOCK_STREAM, bind=(B, port))
        listener.listen(1)
        self.out = a.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.out.settimeout(20)
        self.out.connect((B, port))
        self.into, _ = listener.accept()
        self.into.settimeout(20)
        listener.close()
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.talk, self.listen)]
        for t in self.threads:
            t.start()

    def talk(self):
        piece = MARKER * 500
        try:
            while self.going:
                self.out.sendall(piece)
                self.sent.update(piece)
                self.octets += len(piece)
            self.out.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.failed = e

    def listen(self):
        try:
            while True:
                piece = self.into.recv(65536)
                if not piece:
                    return
                self.heard.update(piece)
                self.received += len(piece)
        except OSError as e:
            self.failed = e

    def end(self):
        self.going = False
        for t in self.threads:
            t.join(30)
        self.out.close()
        self.into.close()
        return self


def drops(host):
    return {(d["where"], d["name"]): d["count"] for d in host.json("show", "drops", "--all")["rows"]}


def risen(before, after):
    return {key: n - before.get(key, 0) for key, n in after.items() if n > before.get(key, 0)}


def spis(host):
    return sorted((r["spi_in"], r["spi_out"]) for r in host.json("show", "quick-mode")["rows"])


def three(encapsulation):
    a, b, c = Host("a"), Host("b"), Namespace("c")
    hub(a, b, c)
    address(a, "eth0", A + "/24")
    address(b, "eth0", B + "/24")
    policy = (PSK % "require").replace("cordon: 1\n", "cordon: 1\n" + encapsulation)
    for host in (a, b):
        host.start(policy=policy)
    expect("it works", wait_until(lambda: a.pings(B, 2), 10))
    return a, b, c


def blasted(a, b, c):
    seen = Capture(c)
    before, was = {h: drops(h) for h in (a, b)}, {h: spis(h) for h in (a, b)}
    stream = Stream(a, b)
    p = subprocess.Popen(["ip", "netns", "exec", c.name, BLASTER, "eth0", str(BLAST_S)], stdout=subprocess.PIPE, text=True)
    on_exit(lambda: p.poll() is None and p.kill())
    expect("it has heard ESP", p.stdout.readline().strip() == "begins")
    at = stream.received
    said = dict(line.split() for line in p.communicate()[0].splitlines())
    moved = stream.received - at
    stream.end()
    print("blaster: %s; %d octets went through meanwhile" % (said, moved))
    expect("each kind was sent", len(said) == 6 and all(int(n) > 100 for n in said.values()))
    expect("TCP went on meanwhile, and ended well: %s" % stream.failed, moved > 0 and stream.failed is None)
    expect("what arrived is what was sent", stream.received == stream.octets and stream.heard.digest() == stream.sent.digest())
    rows = {h: risen(before[h], drops(h)) for h in (a, b)}
    named = {name for h in (a, b) for where, name in rows[h] if where != "ruleset"}
    print("counters: %s" % rows)
    expect("replays, forgeries and what has no SA are counted by name: %s" % sorted(named),
           {"replay", "bad-icv", "unknown-spi"} <= named)
    expect("and nothing else but what is malformed", named <= {"replay", "bad-icv", "unknown-spi", "malformed"})
    expect("nothing leaked", all(not name.startswith("leak") for h in (a, b) for _, name in rows[h]))
    expect("the SAs are the ones from before", all(spis(h) == was[h] for h in (a, b)))
    for h in (a, b):
        expect("no process ended", "process-ended" not in h.events() and h.p.poll() is None)
    expect("nothing in clear", not any(MARKER in f for f in seen.read()))
    expect("traffic goes on", a.pings(B, 2) and b.pings(A, 2))


def blaster():
    """wrong, truncated, replayed, reordered and forged packets change nothing but named counters"""
    blasted(*three("encapsulation: native\n"))


def blaster_udp():
    """the same where ESP is in UDP"""
    blasted(*three("encapsulation: udp\n"))


class Numbered:
    """Datagrams with numbers from a to b, so many a second; which of them arrived, and in which order."""
    EACH_MS = 3

    def __init__(self, a, b, port=4341):
        self.heard, self.sent, self.late, self.going = set(), 0, 0, True
        self.to = (B, port)
        self.into = b.udp(B, port)
        self.into.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self.out = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.talk, self.listen)]

    def go(self):
        for t in self.threads:
            t.start()

    def talk(self):
        text = b" " + MARKER * 16
        while self.going:
            for _ in range(self.EACH_MS):
                self.sent += 1
                self.out.sendto(b"%09d" % self.sent + text, self.to)
            time.sleep(0.001)

    def listen(self):
        last = 0
        while True:
            try:
                n = int(self.into.recv(2048)[:9])
            except (socket.timeout, TimeoutError):
                if not self.going:
                    return
                continue
            self.late += n < last
            last = max(n, last)
            self.heard.add(n)

    def end(self):
        self.going = False
        for t in self.threads:
            t.join(20)
        self.out.close()
        self.into.close()
        return self


def renewed(encapsulation):
    a, b = Host("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", B + "/24")
    for host in (a, b):
        host.start(policy=PROTECTED % (encapsulation, A, B))
    expect("it works", wait_until(lambda: a.pings(B, 2), 10))
    begun = drops(a)
    numbered = Numbered(a, b)
    numbered.go()
    pairs, began = set(), time.monotonic()

    def is_enough():
        return len(pairs) >= RENEWED_LEAST and numbered.sent > NUMBERED_LEAST

    while time.monotonic() < began + (NUMBERED_S if is_enough() else NUMBERED_MOST_S * SLOW):
        time.sleep(0.5)
        a.cordon("rekey")
        pairs.update(spis(a))
    numbered.end()
    lost = numbered.sent - len(numbered.heard)
    print("%d datagrams under %d SAs" % (numbered.sent, len(pairs)))
    expect("SAs were renewed all the time", len(pairs) >= RENEWED_LEAST)
    expect("many were sent", numbered.sent > NUMBERED_LEAST)
    expect("not one was lost (%d)" % lost, lost == 0)
    expect("none overtook another (%d)" % numbered.late, numbered.late == 0)
    rows = {name: n for (where, name), n in risen(begun, drops(a)).items() if where != "ruleset" and name not in SENT_AGAIN}
    expect("and nothing was dropped: %s" % rows, not rows)


def rekeyed():
    """SAs are renewed by octets and by hand under load: not a datagram is lost or overtaken"""
    renewed("encapsulation: native\n")


def rekeyed_udp():
    """the same where ESP is in UDP"""
    renewed("encapsulation: udp\n")


if __name__ == "__main__":
    main([blaster, blaster_udp, rekeyed, rekeyed_udp])
