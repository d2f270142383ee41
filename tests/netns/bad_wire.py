#!/usr/bin/env python3
"""Real daemons on a bad wire: the lab's own relay loses, repeats and delays frames by a seed.

usage: bad_wire.py CORDON establish|collisions [N]     (N: how many; else a short form)

establish   20 % lost, each frame up to 200 ms late, 10 % twice: N pairs of addresses set up, and all succeed
collisions  both ends renew everything at the same moments while IKE suffers as above; TCP and numbered UDP go on, and
            not one packet of theirs is lost, comes twice or is seen in clear, until N SAs have been renewed
"""
import json
import os
import struct
import subprocess
import sys
import threading
import time

from lab_twin import Lab, check, need_root
from lib import carries

BAD = "loss=20%,jitter=200ms,duplicate=10%"
POLICY = """cordon: 1
hosts:
  left: { address: [%s] }
  right: { address: [%s] }
zones: { left-side: [10.90.1.0/24], right-side: [10.90.2.0/24] }
authentication: { how: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [left-side], endpoint2: [right-side], mode: require, authentication: how }
"""
# One host's programs; they say when they are ready on standard output, and end when standard input does.
ASK_EACH = """
import socket, sys, time
sides = [int(w) for w in sys.argv[1:]]
both = []
for i in range(1, sides[0] + 1):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("10.90.1.%d" % i, 0))
    both.append(s)
while True: # as an application would: again and again
    for i, s in enumerate(both):
        for j in range(1, sides[1] + 1):
            try: s.sendto(b"x", ("10.90.2.%d" % j, 9))
            except OSError: pass
    time.sleep(2)
"""
# Numbered packets both ways between the n-th address of each side, and a stream of TCP between the first ones.
TALK = """
import json, select, socket, struct, sys, time
own, other, n, lead = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[1] == "1"
udp = []
for i in range(1, n + 1):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("10.90.%s.%d" % (own, i), 7000))
    s.connect(("10.90.%s.%d" % (other, i), 7000))
    s.setblocking(False)
    udp.append(s)
heard = [set() for _ in udp]
twice = 0
def hear(i):
    global twice
    while True:
        try: octets = udp[i].recv(64)
        except OSError: return
        number, = struct.unpack(">Q", octets)
        twice += number > 0 and number in heard[i]
        heard[i].add(number)
def turn(seconds, more=()):
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        ready = select.select([*udp, *more], [], [], max(0, left))[0]
        for s in ready:
            if s in more: return s
            hear(udp.index(s))
        if left <= 0: return None
tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
if lead:
    for _ in range(100): # number 0: nobody misses it
        for s in udp:
            try: s.send(struct.pack(">Q", 0))
            except OSError: pass
        turn(0.5)
        if all(heard): break
    tcp.bind(("10.90.1.1", 0))
    tcp.connect(("10.90.2.1", 7001))
else:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("10.90.2.1", 7001))
    listener.listen(1)
    while True:
        if turn(0.5, [listener]): break
        for i, s in enumerate(udp):
            if heard[i]:
                try: s.send(struct.pack(">Q", 0))
                except OSError: pass
    tcp = listener.accept()[0]
tcp.setblocking(False)
print("ready", flush=True)
number = sent = 0
unsent = b""
stream_in = stream_wrong = refused = 0
def expected(at, n): return bytes((at + k) * 7 & 255 for k in range(n))
while not select.select([sys.stdin], [], [], 0)[0]:
    number += 1
    for s in udp:
        try: s.send(struct.pack(">Q", number))
        except OSError: refused += 1
    try:
        sent += tcp.send(expected(sent, 2000))
    except BlockingIOError: pass
    try:
        octets = tcp.recv(65536)
        stream_wrong += octets != expected(stream_in, len(octets))
        stream_in += len(octets)
    except BlockingIOError: pass
    turn(0.1)
until = time.monotonic() + 6
while time.monotonic() < until: # what is on its way
    turn(0.2)
    try:
        octets = tcp.recv(65536)
        stream_wrong += octets != expected(stream_in, len(octets))
        stream_in += len(octets)
    except (BlockingIOError, ConnectionError): pass
top = max(max(h) for h in heard)
missing = ["%d: %s" % (i + 1, sorted(set(range(1, top + 1)) - h)) for i, h in enumerate(heard) if len(h - {0}) < top]
print(json.dumps({"sent": number, "missing": missing[:3], "counts": [len(h - {0}) for h in heard], "twice": twice, "refused": refused, "tcp_sent": sent,
                  "tcp_in": stream_in, "tcp_wrong": stream_wrong}))
"""


def addresses(side, n):
    return ", ".join("10.90.%d.%d" % (side, i) for i in range(1, n + 1))


class Twin:
    """The lab with two hosts that have so many addresses each, up and about."""

    def __init__(self, lab, left, right, faults):
        self.lab = lab
        self.keep = os.path.join(lab.folder, "keep")
        policy = lab.write("policy.yaml", POLICY % (addresses(1, left), addresses(2, right)))
        status, out, err = lab.run("up", policy, "--keep", self.keep, "--wire", faults)
        check(status == 0, "lab up: " + out + err)

    def on(self, host, *words):
        return subprocess.run([self.lab.cordon, "lab", "exec", host, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)

    def start(self, host, text, *words):
        return subprocess.Popen([self.lab.cordon, "lab", "exec", host, "python3", "-c", text, *words],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def asks(self, host, *words):
        return json.loads(self.on(host, self.lab.cordon, *words, "--json").stdout)

    def down(self):
        self.lab.run("down")


def establish(lab, n):
    left = 1
    while left * left < n:
        left += 1
    right = (n + left - 1) // left
    twin = Twin(lab, left, right, BAD + ",seed=%d" % (n + 1))
    begun, done = time.monotonic(), 0
    asking = twin.start("left", ASK_EACH, str(left), str(right))
    while time.monotonic() - begun < 60 + n / 4:
        time.sleep(1)
        both = [twin.asks(h, "status")["keying"] for h in ("left", "right")]
        done = min(b["quick_mode"] for b in both)
        if done >= left * right:
            break
    asking.kill()
    failures = [f for h in ("left", "right") for f in twin.asks(h, "status")["keying"].get("failures", [])]
    twin.down()
    print("%d of %d pairs in %.0f s" % (done, left * right, time.monotonic() - begun))
    check(done >= left * right, "%d of %d pairs are set up" % (done, left * right))
    check(not failures, "negotiations failed: %s" % failures[:3])


def ethertypes_and_protocols(path):
    """What a capture holds: ESP packets and their SPIs, IKE datagrams, and everything else of IPv4 (which is clear)."""
    esp, ike, clear, spis = 0, 0, [], set()
    with open(path, "rb") as f:
        order = "<" if f.read(24)[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while head := f.read(16):
            frame = f.read(struct.unpack(order + "IIII", head)[2])
            if frame[12:14] != b"\x08\x00":
                continue
            ip = frame[14:]
            at = (ip[0] & 15) * 4
            nat = ip[9] == 17 and b"\x11\x94" in (ip[at: at + 2], ip[at + 2: at + 4])
            if carries(frame) == 50:
                esp += 1
                spis.add(ip[at + 8: at + 12] if nat else ip[at: at + 4])
            elif nat or (ip[9] == 17 and b"\x01\xf4" in (ip[at: at + 2], ip[at + 2: at + 4])):
                ike += 1
            else:
                clear.append(ip[:at + 8].hex())
    return esp, ike, clear, spis


def renewals(twin, host, seen):
    """Quick modes that came up so far: the daemon's events are numbered."""
    for line in twin.on(host, twin.lab.cordon, "events", "--last", "4000", "--json").stdout.splitlines():
        event = json.loads(line)
        if event["event"] == "quick-mode-up":
            seen.add(event["number"])
    return len(seen)


def collisions(lab, n):
    pairs = 48 if n > 1000 else 16
    twin = Twin(lab, pairs, pairs, BAD + ",only=ike,seed=%d" % n)
    talkers = [twin.start("right", TALK, "2", "1", str(pairs)), twin.start("left", TALK, "1", "2", str(pairs))]
    for t in talkers:
        check(t.stdout.readline() == "ready\n", "the hosts do not hear each other")
    seen, rounds, begun = set(), 0, time.monotonic()
    while renewals(twin, "left", seen) - pairs < n:
        words = [lab.cordon, "rekey"] + (["--main-mode"] if rounds % 6 == 5 else [])
        both = [threading.Thread(target=twin.on, args=(h, *words)) for h in ("left", "right")]
        for t in both:
            t.start()
        for t in both:
            t.join()
        rounds += 1
        time.sleep(0.7)
        check(time.monotonic() - begun < 60 + n / 5, "only %d SAs were renewed in %.0f s" % (
            len(seen) - pairs, time.monotonic() - begun))
    took = time.monotonic() - begun
    for t in talkers: # both stop sending before either stops listening
        t.stdin.write("end\n")
        t.stdin.flush()
    reports = [json.loads(t.communicate()[0]) for t in talkers]
    check(all(not t.returncode for t in talkers), "a talker failed")
    twin.down()
    for own, other in (reports, reports[::-1]):
        check(other["sent"] > 10 and not own["refused"], "packets were refused: %s" % own)
        check(own["counts"] == [other["sent"]] * pairs, "of %d each, missing at pair %s" % (other["sent"], own["missing"]))
        check(not own["twice"], "%d packets came twice" % own["twice"])
        check(own["tcp_in"] == other["tcp_sent"] and not own["tcp_wrong"], "TCP: %s against %s" % (own, other))
    spis = 0
    for host in ("left", "right"):
        esp, ike, clear, own = ethertypes_and_protocols("%s/%s.pcap" % (twin.keep, host))
        spis = max(spis, len(own))
        check(esp and ike and not clear, "%s: %d packets in clear: %s" % (host, len(clear), clear[:3]))
    print("%d SAs renewed in %.0f s and %d rounds, %d SPIs seen; of %d UDP packets and %d octets of TCP none was lost" % (
        len(seen) - pairs, took, rounds, spis, sum(r["sent"] for r in reports) * pairs,
        sum(r["tcp_sent"] for r in reports)))


def main():
    need_root()
    acts = {"establish": (establish, 64, 1000), "collisions": (collisions, 200, 10000)}
    act, short, long = acts[sys.argv[2]]
    n = int(sys.argv[3]) if len(sys.argv) > 3 else long if os.environ.get("CORDON_TEST_LONG") else short
    with Lab(sys.argv[1], None) as lab:
        try:
            act(lab, n)
        finally:
            lab.run("down")


main()
