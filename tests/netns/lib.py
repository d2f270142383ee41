"""Hosts in network namespaces joined by a wire that is watched, for tests about packets.

Everything is made by this process and named after it, and is removed when it ends, however it ends. Sockets are opened
inside a namespace and used from outside, so that a test is one plain program.
"""

import atexit
import ctypes
import itertools
import os
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

CLONE_NEWNET = 0x40000000
SLOW = float(os.environ.get("CORDON_TEST_SLOW", "1"))  # how often longer a second may take here: an emulated machine
READ_S = 2 * SLOW  # frames that wait in a socket are read in a tenth of it
SO_MARK, SO_BINDTODEVICE, ETH_P_ALL = 36, 25, 3
_libc = ctypes.CDLL(None, use_errno=True)
_cleanups = []
_numbers = itertools.count()


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def need_root():
    if os.geteuid() != 0:
        skip("needs root, to make network namespaces")
    if not os.path.exists("/dev/net/tun"):
        skip("this kernel has no /dev/net/tun")


def run(*words, check=True, quiet=False):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), done.stdout.strip()))
    return done.stdout


def on_exit(what):
    _cleanups.append(what)


def _clean():
    while _cleanups:
        try:
            _cleanups.pop()()
        except Exception as e:  # the others still have to go
            print("clean-up: %s" % e, file=sys.stderr)


atexit.register(_clean)
for _s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(_s, lambda *_: sys.exit(130))


class Namespace:
    """A host."""

    def __init__(self, name):
        self.name = "cg%d-%s%d" % (os.getpid(), name, next(_numbers))
        run("ip", "netns", "add", self.name)
        on_exit(lambda: run("ip", "netns", "del", self.name, check=False))
        self.sh("ip", "link", "set", "lo", "up")
        for family in ("ipv4", "ipv6"):
            for key in ("all", "default"):
                if family == "ipv4":
                    self.sysctl("net/ipv4/conf/%s/rp_filter" % key, "1")  # strict, the harder case
                else:
                    self.sysctl("net/ipv6/conf/%s/accept_dad" % key, "0")

    def sh(self, *words, check=True):
        return run("ip", "netns", "exec", self.name, *words, check=check)

    def sysctl(self, key, value):
        self.sh("sh", "-c", "echo %s > /proc/sys/%s" % (value, key))

    def pings(self, to, seconds=1):
        return subprocess.run(["ip", "netns", "exec", self.name, "ping", "-c1", "-W%d" % seconds, to],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def nft(self, text):
        subprocess.run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], input=text, text=True, check=True)

    def __enter__(self):
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        fd = os.open("/var/run/netns/" + self.name, os.O_RDONLY)
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)
        return self

    def __exit__(self, *_):
        _libc.setns(self._before, CLONE_NEWNET)
        os.close(self._before)

    def socket(self, family, kind, protocol=0, bind=None, device=None, mark=None):
        with self:
            s = socket.socket(family, kind, protocol)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mark is not None:
            s.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
        if device:
            s.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device.encode() + b"\0")
        if bind:
            s.bind(bind)
        s.settimeout(0.6)
        return s

    def udp(self, address, port=0, device=None):
        return self.socket(family_of(address), socket.SOCK_DGRAM, 0, (address, port), device)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def wire(a, b, a_if="eth0", b_if="eth0"):
    """A cable between two hosts, without the offloads that make one captured packet stand for ten."""
    run("ip", "link", "add", a_if, "netns", a.name, "type", "veth", "peer", "name", b_if, "netns", b.name)
    for host, dev in ((a, a_if), (b, b_if)):
        host.sh("ip", "link", "set", dev, "up")
        host.sh("ethtool", "-K", dev, "tso", "off", "gso", "off", "gro", "off", "tx", "off", check=False)


def address(host, dev, *addresses):
    for a in addresses:
        host.sh("ip", "addr", "add", a, "dev", dev, *(["nodad"] if ":" in a else []))


class Capture:
    """All frames that pass an interface, from when it is made."""

    def __init__(self, host, device="eth0"):
        with host:
            self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.s.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.s.bind((device, ETH_P_ALL))
        self.s.setblocking(False)
        self.frames = []

    def read(self):
        """All that have come. Who sends as fast as they are read here does not hold us for ever: the next call has the rest."""
        end = time.monotonic() + READ_S
        while time.monotonic() < end:
            try:
                self.frames.append(self.s.recv(70000))
            except BlockingIOError:
                break
        return self.frames

    def has(self, marker, wait=0.15):
        time.sleep(wait)
        return any(marker in f for f in self.read())

    def protocols(self):
        return {carries(f) for f in self.read()} - {None}


def carries(frame):
    """The protocol of the packet in an Ethernet frame. ESP in UDP 4500 counts as ESP, however two hosts may have agreed on it."""
    if frame[12:14] == b"\x08\x00":
        protocol, udp = frame[23], 14 + 4 * (frame[14] & 15)
    elif frame[12:14] == b"\x86\xdd":
        protocol, udp = frame[20], 54
    else:
        return None
    nat = (4500).to_bytes(2, "big")
    if protocol == 17 and nat in (frame[udp:udp + 2], frame[udp + 2:udp + 4]) and len(frame) > udp + 12 and frame[udp + 8:udp + 12] != bytes(4):
        return 50
    return protocol


class Tool:
    """gate-tool in a namespace."""

    def __init__(self, host, *addresses, tun=True, interfaces=(), system=False):
        program = os.environ.get("GATE_TOOL", "build/tests/netns/gate-tool")
        # `ip netns exec` has a /sys without control groups
        enter = ["nsenter", "--net=/var/run/netns/" + host.name] if system else ["ip", "netns", "exec", host.name]
        words = enter + [program] + ([] if tun else ["--no-tun"]) + list(addresses)
        for i in interfaces:
            words += ["--interface", i]
        self.p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lines, self.news = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        on_exit(self.kill)
        self.wait_for("ready")

    def _read(self):
        for line in self.p.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()

    def wait_for(self, *wanted, timeout=60):
        """The first line that begins with one of these; lines before it stay for others."""
        end = time.time() + timeout
        with self.news:
            while True:
                for i, line in enumerate(self.lines):
                    if line.startswith(wanted):
                        return self.lines.pop(i)
                if time.time() > end or self.p.poll() is not None and not self.news.wait(0.2):
                    raise RuntimeError("gate-tool did not say %s; it said %r" % (wanted, self.lines))
                self.news.wait(0.1)

    def tell(self, *words, fail=False):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        answer = self.wait_for("ok", "error")
        if answer.startswith("error") and not fail:
            raise RuntimeError(" ".join(map(str, words)) + ": " + answer)
        return answer

    def apply(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(text)
            f.flush()
            return self.tell("apply", f.name)

    def counters(self):
        self.tell("counters")
        found = {}
        with self.news:
            for line in [l for l in self.lines if l.startswith("count ")]:
                _, kind, packets, rule = line.split(" ", 3)
                found[kind, rule] = int(packets)
                self.lines.remove(line)
        return found

    def child(self):
        """gate-tool itself: `ip netns exec` becomes it."""
        return self.p.pid

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


class Talker:
    """One datagram with the same marker each millisecond, whatever becomes of it."""

    def __init__(self, host, to, port=7777, pause=0.001, source=None):
        self.mark, self.sent, self.failed, self._on = marker(), 0, 0, True
        self.s = host.udp(source or ("::" if ":" in to else "0.0.0.0"))
        self.to, self.pause = (to, port), pause
        self.t = threading.Thread(target=self._talk, daemon=True)
        self.t.start()
        on_exit(self.end)

    def _talk(self):
        while self._on:
            try:
                self.s.sendto(self.mark, self.to)
                self.sent += 1
            except OSError:
                self.failed += 1
            time.sleep(self.pause)

    def end(self):
        self._on = False
        self.t.join()
        return self


def marker():
    return secrets.token_bytes(16)


def udp_reaches(sender, receiver, address, port, mark=None):
    """Send a marker from one socket; does the other hear it? Returns (sent, heard, marker)."""
    mark = mark or marker()
    try:
        sender.sendto(mark, (address, port))
    except OSError:
        return False, False, mark
    try:
        while True:
            got, _ = receiver.recvfrom(2048)
            if got == mark:
                return True, True, mark
    except (socket.timeout, TimeoutError):
        return True, False, mark


POLICY = """cordon: 1
authentication:
  default: [ { pre-shared-key: { file: /nowhere } } ]
connection-security:
"""


def rule(name, mode, end1, end2, **more):
    extra = "".join(", %s: %s" % (k.replace("_", "-"), v) for k, v in more.items())
    if mode in ("require", "require-inbound", "request"):
        extra += ", authentication: default"
    return "  - { name: %s, endpoint1: [%s], endpoint2: [%s], mode: %s%s }\n" % (name, end1, end2, mode, extra)


def checksum(octets):
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, target, protocol, payload, ttl=64):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), secrets.randbelow(65536), 0, ttl, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


_failed = []


def expect(what, condition):
    print("%s  %s" % ("ok  " if condition else "FAIL", what), flush=True)
    if not condition:
        _failed.append(what)


def finish():
    if _failed:
        print("%d promises broken: %s" % (len(_failed), "; ".join(_failed)))
        sys.exit(1)
    sys.exit(0)


def main(tests):
    """Each test is a function; with names as arguments, only those."""
    need_root()
    names = sys.argv[1:] or [t.__name__ for t in tests]
    for t in tests:
        if t.__name__ in names:
            print("# %s: %s" % (t.__name__, (t.__doc__ or "").strip()), flush=True)
            try:
                t()
            finally:
                _clean()
    finish()
