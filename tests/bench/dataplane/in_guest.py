#!/usr/bin/env python3
"""The kernel's data plane beside states and policies made by hand, in the guest whose kernel has ESP (tests/guest/run):
what Cordon's ruleset, its policies and its states cost a packet. All pairs of hosts stand in one guest and have their turns
one after another. A turn moves so much, and its price is the processor time of the guest, which this machine knows.

usage: in_guest.py BUILD [--runs N] [--seconds N] [--size N]: lines of JSON; main.py takes them in
"""
import argparse
import ctypes
import errno
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GUEST = os.path.join(HERE, "..", "..", "guest", "run")
sys.path.insert(0, HERE)

WHO = {"cordon": 5, "cordon-1000": 1000}  # rules of theirs
# As little as a host that lets nothing in clear in would have.
WALL = """table inet wall {
  chain in { type filter hook input priority 0; policy drop
    meta ipsec exists accept
    meta l4proto esp accept
    ct state established accept
  }
}"""
BATCH, PIECE, PORT, GUEST_S = 64, 256 << 10, 5403, 900
SLICES = 8  # turns in a round: short, so that what disturbs this machine disturbs all


# ---- outside -----------------------------------------------------------------------------------------------------------


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="utf-8") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def used_ns(pid, ret):
    """Processor time of a process and all below it, each by its number."""
    try:
        with open("/proc/%d/schedstat" % pid, encoding="utf-8") as f:
            ret[pid] = int(f.read().split()[0])
    except OSError:
        return ret
    for child in children(pid):
        used_ns(child, ret)
    return ret


def since_s(before, now):
    return sum(n - before.get(pid, 0) for pid, n in now.items()) / 1e9


def is_ready():
    return subprocess.run([GUEST, "--ready"], check=False).returncode == 0


def measure(build, runs, seconds, size):
    """Yields (case, who, what a round of it cost, its unit, the round)."""
    folder = tempfile.mkdtemp(prefix="cordon-bench-")
    words = [GUEST, "--mem", "1500", "--timeout", str(GUEST_S), "--rw", folder, "--", sys.executable, os.path.abspath(__file__), build,
             "--runs", str(runs), "--seconds", str(seconds), "--size", str(size), "--inside", folder]
    before, last, told = {}, "", 0
    try:
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as p:
            for line in p.stdout:
                last = line.strip()
                if last in ("begin", "end"):
                    now, told = used_ns(p.pid, {}), told + 1
                    cost = since_s(before, now)
                    before = now
                    with open(os.path.join(folder, str(told)), "w", encoding="utf-8") as f:
                        f.write("%.9f" % cost)
                elif last.startswith("["):
                    yield json.loads(last)
                else:
                    print("bench dataplane: guest: " + last, file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if p.returncode:
        raise RuntimeError("the guest ended with %d: %s" % (p.returncode, last))


# ---- inside ------------------------------------------------------------------------------------------------------------


def by_hand(ends, o, like):
    """What Cordon has made of its agreement, as anybody would make it with `ip xfrm`: algorithm, mode, ESN, window."""
    pair = ends.Pair(o)
    said = like.b.sh("ip", "xfrm", "state", "list", "src", ends.A, "dst", ends.B)
    for wanted in ("mode transport", "rfc4106(gcm(aes))", "esn"):
        if wanted not in said:
            raise ends.Missing("Cordon's state is not one of %s:\n%s" % (wanted, said))
    words = said.replace("replay_window", "replay-window").split()
    window = max(int(n.rstrip(",")) for at, n in zip(words, words[1:]) if at == "replay-window")
    key = "0x" + os.urandom(36).hex()
    for host in (pair.a, pair.b):
        for spi, (source, target) in enumerate(((ends.A, ends.B), (ends.B, ends.A)), 0x1001):
            host.sh("ip", "xfrm", "state", "add", "src", source, "dst", target, "proto", "esp", "spi", str(spi), "reqid", "7",
                    "mode", "transport", "replay-window", str(window), "flag", "esn", "aead", "rfc4106(gcm(aes))", key, "128")
    for host, own, other in ((pair.a, ends.A, ends.B), (pair.b, ends.B, ends.A)):
        for way, source, target in (("out", own, other), ("in", other, own)):
            host.sh("ip", "xfrm", "policy", "add", "dir", way, "src", source, "dst", target, "tmpl", "proto", "esp", "reqid", "7",
                    "mode", "transport")
    return pair


class Tcp:
    """One stream, both ends in this thread, so that nothing but the kernel decides what runs."""
    unit = "cpu-s/Gbit"

    def __init__(self, pair):
        listener = pair.b.socket(socket.AF_INET, socket.SOCK_STREAM, bind=(pair.to, PORT))
        listener.listen(1)
        self.out = pair.a.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.out.settimeout(10)
        self.out.connect((pair.to, PORT))
        self.into, _ = listener.accept()
        listener.close()
        for s in (self.out, self.into):
            s.setblocking(False)
        self.text, self.room = bytes(PIECE), bytearray(PIECE)

    def move(self, octets):
        sent = heard = 0
        while heard < octets:
            wanted = ([self.into], [self.out] if sent < octets else [], [], 10)
            readable, writable, _ = select.select(*wanted)
            if not readable and not writable:
                raise RuntimeError("the stream stands")
            try:
                while sent < octets:
                    sent += self.out.send(self.text[:octets - sent])
            except BlockingIOError:
                pass
            try:
                while heard < sent:
                    heard += self.into.recv_into(self.room)
            except BlockingIOError:
                pass
        return heard * 8 / 1e9


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msg(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_len", ctypes.c_uint32), ("iov", ctypes.POINTER(Iovec)), ("iov_len", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_len", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Mmsg(ctypes.Structure):
    _fields_ = [("msg", Msg), ("len", ctypes.c_uint)]


class Udp:
    """Small datagrams, 64 a call, read as soon as they are there."""
    unit = "cpu-s/million"

    def __init__(self, pair, size):
        self.into, self.out = pair.b.udp(pair.to, PORT), pair.a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.out.connect((pair.to, PORT))
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.text = [ctypes.create_string_buffer(size) for _ in range(2)]
        self.iov = [Iovec(ctypes.addressof(t), size) for t in self.text]
        self.batches = []
        for iov in self.iov:
            batch = (Mmsg * BATCH)()
            for m in batch:
                m.msg.iov, m.msg.iov_len = ctypes.pointer(iov), 1
            self.batches.append(batch)

    def move(self, datagrams):
        sent = heard = 0
        while heard < datagrams:
            if sent - heard < BATCH and sent < datagrams:
                sent += self.call(self.libc.sendmmsg, self.out, self.batches[0], 0)
            got = self.call(self.libc.recvmmsg, self.into, self.batches[1], socket.MSG_DONTWAIT, None)
            if not got and (sent - heard >= BATCH or sent >= datagrams) and not select.select([self.into], [], [], 2)[0]:
                raise RuntimeError("%d of %d datagrams arrived" % (heard, sent))
            heard += got
        return heard / 1e6

    def call(self, function, s, batch, *more):
        n = function(s.fileno(), batch, BATCH, *more)
        if n < 0 and ctypes.get_errno() != errno.EAGAIN:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return max(n, 0)


def say(line):
    print(line, flush=True)


def standing(ends, o):
    pairs = {}
    for who, count in WHO.items():
        begun = time.monotonic()
        pairs[who] = ends.Cordon(o, rules=rules_of(ends, count))
        pairs[who].reach()
        daemon = pairs[who].daemons[0]
        said = json.loads(ends.run(o.build + "/cordon", "status", "--json", "--run-dir", daemon.folder + "/run", check=False))
        if said["plane"]["kind"] != "kernel":
            raise ends.Missing("Cordon has not taken the kernel's plane: %s" % said["plane"]["why"])
        say("%s stands after %.1f s" % (who, time.monotonic() - begun))
    for who in ("by-hand", "by-hand-wall"):
        pairs[who] = by_hand(ends, o, pairs["cordon"])
    for host in (pairs["by-hand-wall"].a, pairs["by-hand-wall"].b):
        host.nft(WALL)
    for who in ("by-hand", "by-hand-wall"):
        pairs[who].reach()
    return pairs


def rules_of(ends, count):
    """Besides the one that is used: each of another peer."""
    return "".join("  - { name: r%d, endpoint1: [%s, %s], endpoint2: [10.100.%d.%d], mode: require, authentication: how }\n" %
                   (n, ends.A, ends.B, n // 250, n % 250 + 1) for n in range(1, count))


def amount_of(flow, seconds, least):
    """What it moves in so many seconds."""
    amount, took = least, 0
    while took < seconds / 4:
        amount *= 2
        begun = time.monotonic()
        flow.move(amount)
        took = time.monotonic() - begun
    return int(amount * seconds / took)


class Clock:
    """The processor time of the guest, which whoever runs it sees. A file is the answer."""

    def __init__(self, folder):
        self.folder, self.asked = folder, 0

    def ask(self, what):
        self.asked += 1
        path = os.path.join(self.folder, str(self.asked))
        say(what)
        while True:
            try:
                with open(path, encoding="utf-8") as f:
                    return float(f.read())
            except (OSError, ValueError):
                time.sleep(0.001)


def inside(o):
    import ends  # pylint: disable=import-outside-toplevel # and with it, all that makes hosts
    o.mtu = 1500
    clock, pairs = Clock(o.inside), standing(ends, o)
    for case, make, least in (("kernel-tcp", Tcp, 1 << 20), ("kernel-udp-%d" % o.size, lambda pair: Udp(pair, o.size), 2 * BATCH)):
        flows = {who: make(pair) for who, pair in pairs.items()}
        for flow in flows.values():
            flow.move(least)
        amount = amount_of(flows["by-hand"], o.seconds / SLICES, least)
        for number in range(o.runs):
            cost, moved = dict.fromkeys(flows, 0), dict.fromkeys(flows, 0)
            for turn in range(SLICES):
                names = list(flows)
                at = (number + turn) % len(names)
                for who in names[at:] + names[:at]:
                    clock.ask("begin")
                    moved[who] += flows[who].move(amount)
                    cost[who] += clock.ask("end")
            for who, flow in flows.items():
                say(json.dumps([case, who, cost[who] / moved[who], flow.unit, number]))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--size", type=int, default=64, help="octets in a datagram")
    parser.add_argument("--inside", help="in the guest: the folder where it is told its processor time")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.inside:
        inside(asked)
    else:
        for row in measure(asked.build, asked.runs, asked.seconds, asked.size):
            print(json.dumps(row), flush=True)
