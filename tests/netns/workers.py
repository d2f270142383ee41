#!/usr/bin/env python3
"""Several workers: one host with four of them, another with two, nine addresses between them and flows of all kinds both
ways; and a kernel that cannot deal packets out.

usage: workers.py [TEST ...]; CORDON and CORDOND name the programs
"""
import itertools
import os
import socket
import subprocess
import threading
import time

from daemon import A, PSK, Host, wait_until, write
from lib import Capture, address, expect, main, skip, wire
from pressure import MARKER, SENT_AGAIN, Stream, drops, risen

PEERS = ["10.77.0.%d" % n for n in range(2, 11)]
PROTECTED = """cordon: 1
%szones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
"""
FLOWS_EACH, RUN_S, RENEWALS, TUNNELLED = 3, 4, 4, 300


class Flow:
    """Numbered datagrams from a socket of one host to one of the other."""

    def __init__(self, source, here, sink, there, port):
        self.out, self.into = source.udp(here), sink.udp(there, port)
        self.into.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.into.setblocking(False)
        self.to, self.sent, self.heard, self.late, self.last = (there, port), 0, set(), 0, -1

    def send(self):
        self.out.sendto(b"%09d" % self.sent + MARKER * (1 + self.sent % 30), self.to)
        self.sent += 1

    def read(self):
        while True:
            try:
                n = int(self.into.recv(4096)[:9])
            except BlockingIOError:
                return
            self.late += n < self.last
            self.last = max(n, self.last)
            self.heard.add(n)


def full_queues(hosts):
    """What the kernel itself threw away because somebody did not read in time: of the machine, and on each host's way."""
    with open("/proc/net/softnet_stat", encoding="ascii") as f:
        found = {"backlog": sum(int(line.split()[1], 16) for line in f)}
    for h in hosts:
        udp = [line.split() for line in h.sh("cat", "/proc/net/snmp").splitlines() if line.startswith("Udp: ")]
        found[h.name + " UDP"] = int(dict(zip(*udp))["RcvbufErrors"])
        found[h.name + " cordon0"] = int(h.sh("cat", "/sys/class/net/cordon0/statistics/tx_dropped"))
    return found


class Traffic:
    def __init__(self, a, b):
        self.flows, ports = [], itertools.count(4400)
        for peer in PEERS:
            for _ in range(FLOWS_EACH):
                self.flows.append(Flow(a, A, b, peer, next(ports)))
                self.flows.append(Flow(b, peer, a, A, next(ports)))
        self.going = True
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.talk, self.listen)]
        for t in self.threads:
            t.start()

    def talk(self):
        while self.going:
            for f in self.flows:
                f.send()
            time.sleep(0.004)

    def listen(self):
        quiet = 0
        while quiet < 100:
            before = sum(len(f.heard) for f in self.flows)
            for f in self.flows:
                f.read()
            quiet = 0 if self.going or sum(len(f.heard) for f in self.flows) > before else quiet + 1
            time.sleep(0.005)

    def end(self):
        self.going = False
        for t in self.threads:
            t.join(20)


def numbers(frames):
    """Of each SPI on the wire, in the order in which they were seen: native ESP, or in UDP 4500."""
    found = {}
    for f in frames:
        if f[12:14] != b"\x08\x00":
            continue
        at = 14 + 4 * (f[14] & 15)
        if f[23] == 17 and (4500).to_bytes(2, "big") in (f[at:at + 2], f[at + 2:at + 4]):
            at += 8
            if f[at:at + 4] == bytes(4) or len(f) < at + 16:
                continue
        elif f[23] != 50:
            continue
        found.setdefault(int.from_bytes(f[at:at + 4], "big"), []).append(int.from_bytes(f[at + 4:at + 8], "big"))
    return found


def busy_workers(host):
    """How many its data plane has besides the first, which is its main thread, and how many of them have had work, by their processor time
    in ticks."""
    child = next(p["pid"] for p in host.json("status")["processes"] if p["name"] == "dataplane")
    times = []
    for task in os.listdir("/proc/%d/task" % child):
        with open("/proc/%d/task/%s/stat" % (child, task), encoding="utf-8") as f:
            name, words = f.read().rsplit(")", 1)
        words = words.split()
        if "(worker-" in name:
            times.append(int(words[11]) + int(words[12]))
    return len(times), sum(t > 0 for t in times)


def thread_times(host):
    """Nanoseconds of processor that each thread of its data plane has had, the main thread first."""
    child = next(p["pid"] for p in host.json("status")["processes"] if p["name"] == "dataplane")
    times = []
    for task in sorted(map(int, os.listdir("/proc/%d/task" % child))):
        with open("/proc/%d/task/%d/comm" % (child, task), encoding="utf-8") as f:
            if task != child and not f.read().startswith("worker-"):
                continue
        with open("/proc/%d/task/%d/schedstat" % (child, task), encoding="utf-8") as f:
            times.append(int(f.read().split()[0]))
    return times


def with_workers(host, n):
    write(host.folder + "/host.yaml", "cordon: 1\nworkers: %d\n" % n)
    return ("--config", host.folder + "/host.yaml")


def spread(encapsulation):
    a, b = Host("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", *[peer + "/24" for peer in PEERS])
    policy = PROTECTED % (encapsulation, A, ", ".join(PEERS))
    seen = Capture(a)
    a.start(*with_workers(a, 4), policy=policy)
    b.start(*with_workers(b, 2), policy=policy)
    expect("the first packets wait and arrive", all(wait_until(lambda p=peer: a.pings(p, 2), 10) for peer in PEERS))
    expect("status says how many there are", "), 4 workers\n" in a.cordon("status")[1] and a.json("status")["plane"]["workers"] == 4 and
           b.json("status")["plane"]["workers"] == 2)
    begun, full = {h: drops(h) for h in (a, b)}, full_queues((a, b))
    traffic, stream = Traffic(a, b), Stream(a, b)
    for _ in range(RENEWALS):
        time.sleep(RUN_S / RENEWALS)
        a.cordon("rekey")
        seen.read()
    traffic.end()
    stream.end()
    rows = a.json("show", "quick-mode")["rows"]
    sent = sum(f.sent for f in traffic.flows)
    lost, late = sent - sum(len(f.heard) for f in traffic.flows), sum(f.late for f in traffic.flows)
    print("%d datagrams of %d flows, %d octets of TCP" % (sent, len(traffic.flows), stream.received))
    expect("many were sent", sent > 54 * 50)
    expect("not one was lost (%d; full queues: %s)" % (lost, risen(full, full_queues((a, b)))), lost == 0)
    expect("none overtook another of its flow (%d)" % late, late == 0)
    expect("what TCP brought is what was sent: %s" % stream.failed, stream.failed is None and stream.received == stream.octets and
           stream.heard.digest() == stream.sent.digest())
    for h in (a, b):
        more = {name: n for (where, name), n in risen(begun[h], drops(h)).items() if where != "ruleset" and
                name not in SENT_AGAIN}
        expect("nothing was dropped: %s" % more, not more)
    wires = numbers(seen.read())
    turned = {spi for spi, n in wires.items() if any(y <= x for x, y in zip(n, n[1:]))}
    print("%d SPIs on the wire" % len(wires))
    expect("SAs were renewed", len(wires) >= 2 * len(PEERS) * 3)
    expect("each SA's numbers rise on the wire, none twice: %s" % turned, not turned)
    expect("the SPIs of a are of all four workers", {int(r["spi_in"], 16) % 4 for r in rows} == {0, 1, 2, 3})
    expect("and all have had work: %s, %s" % (busy_workers(a), busy_workers(b)), busy_workers(a) == (3, 3) and busy_workers(b) == (1, 1))
    expect("nothing in clear", not any(MARKER in f for f in seen.read()))
    for h in (a, b):
        expect("no process ended", "process-ended" not in h.events() and h.p.poll() is None)


def spread_udp():
    """nine peers on four workers, ESP in UDP: nothing lost or overtaken while SAs are renewed, and no number twice"""
    spread("encapsulation: udp\n")


def spread_native():
    """the same with native ESP"""
    spread("encapsulation: native\n")


def share(local, remote, count):
    """As dataplane/esp/share.h has it."""
    mixed = int.from_bytes(socket.inet_aton(local), "big") ^ int.from_bytes(socket.inet_aton(remote), "big")
    return (mixed * 0x9e3779b1 % 2 ** 32 >> 16) % count


def inside(n):
    """An address behind peer number n that the kernel gives to the first of four workers."""
    return next(to for to in ("10.78.%d.%d" % (n, last) for last in range(1, 255)) if share(A, to, 4) == 0)


def tunnels():
    """tunnels to nine ends are different workers', whatever is inside; nothing lost or overtaken while SAs are renewed"""
    a, b = Host("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", *[peer + "/24" for peer in PEERS])
    address(b, "lo", *[inside(n) + "/32" for n in range(len(PEERS))])
    a.sh("ip", "route", "add", "10.78.0.0/16", "via", PEERS[0])
    policy = "cordon: 1\nauthentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }\nconnection-security:\n" + "".join(
        "  - { name: t%d, endpoint1: [%s], endpoint2: [10.78.%d.0/24], mode: require, authentication: key,\n"
        "      tunnel: { endpoint1: %s, endpoint2: %s } }\n" % (n, A, n, A, peer) for n, peer in enumerate(PEERS))
    a.start(*with_workers(a, 4), policy=policy)
    b.start(*with_workers(b, 2), policy=policy)
    expect("the first packets wait and arrive", all(wait_until(lambda m=n: a.pings(inside(m), 2), 10) for n in range(len(PEERS))))
    seen, before, idle = Capture(a), drops(a), thread_times(a)
    flows = [Flow(a, A, b, inside(n), 4400 + n) for n in range(len(PEERS))]
    for turn in range(RENEWALS):
        for _ in range(TUNNELLED):
            for f in flows:
                f.send()
                f.read()
            time.sleep(0.003)
        a.cordon("rekey")
        seen.read()
    wait_until(lambda: [f.read() for f in flows] and all(len(f.heard) == f.sent for f in flows))
    expect("not one was lost (%s)" % [f.sent - len(f.heard) for f in flows], all(len(f.heard) == f.sent for f in flows))
    expect("none overtook another of its flow", not any(f.late for f in flows))
    more = {name: n for (where, name), n in risen(before, drops(a)).items() if where == "plane"}
    expect("nothing was dropped: %s" % more, not more)
    wires = numbers(seen.read())
    expect("each SA's numbers rise on the wire, none twice", all(x < y for n in wires.values() for x, y in zip(n, n[1:])))
    expect("nothing in clear", not any(MARKER in f for f in seen.read()))
    times = [y - x for x, y in zip(idle, thread_times(a))]
    expect("what one thread has read all have sealed: %s" % times, len(times) == 4 and min(times) > times[0] / 20)


class Bound(Host):
    """Its cordond may not have the kernel run a program."""

    def command(self, *more):
        words = super().command(*more)
        return words[:4] + ["setpriv", "--bounding-set", "-bpf,-sys_admin"] + words[4:]


def one_alone():
    """a kernel that takes no program to deal packets out: one worker, and status says why"""
    with open("/proc/sys/kernel/unprivileged_bpf_disabled", encoding="utf-8") as f:
        if f.read().strip() == "0":
            skip("this kernel lets everybody load such programs")
    a, b = Bound("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", PEERS[0] + "/24")
    for h in (a, b):
        h.start(*with_workers(h, 2), policy=PSK % "require")
    plane = a.json("status")["plane"]
    expect("one worker: %s" % plane, plane["workers"] == 1 and "BPF" in plane["alone"])
    said = a.cordon("status")[1]
    expect("and why, and what to do:\n%s" % said, ", 1 worker: the kernel takes no program" in said and "CAP_BPF" in said and
           "workers: 1" in said and "BPF" in a.log())
    expect("the other one has two", b.json("status")["plane"]["workers"] == 2 and b.json("status")["plane"]["alone"] is None)
    expect("it works", a.pings(PEERS[0]) and b.pings(A))


if __name__ == "__main__":
    main([spread_udp, spread_native, tunnels, one_alone])
