#!/usr/bin/env python3
"""Two hosts and a router between them, joined by the userspace data plane with SAs keyed by hand: what programs send
arrives whole and in order, and the router sees nothing but ESP, or AH.

usage: esp_pair.py ESP_PAIR_PROGRAM
"""
import ctypes
import errno
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
TAG = f"esp{os.getpid()}"
A, R, B = (f"{TAG}{c}" for c in "arb")
V4 = ("10.201.1.1", "10.201.2.1")
V6 = ("fd00:201:1::1", "fd00:201:2::1")
PROTECT, OWN, MASK = 0x01000000, 0x02000000, 0x0F000000
IP_MTU_DISCOVER, IP_PMTUDISC_DO, UDP_SEGMENT = 10, 2, 103

RULES = f"""
table inet test {{
  chain out {{
    type route hook output priority mangle
    meta mark & {MASK} == {OWN} return
    icmpv6 type {{ 133, 134, 135, 136, 137 }} return
    ip daddr 10.201.0.0/16 meta mark set {PROTECT}
    ip6 daddr fd00:201::/32 meta mark set {PROTECT}
  }}
  chain pre {{
    type filter hook prerouting priority mangle
    iifname cordon0 meta mark set {PROTECT}
  }}
  chain errors {{ # as enforce's ruleset has it
    type filter hook prerouting priority -150
    icmpv6 type packet-too-big @th,112,8 51 drop
    icmpv6 type packet-too-big @th,112,8 {{ 0, 43, 44, 60 }} @th,384,8 51 drop
  }}
  chain post {{
    type filter hook postrouting priority mangle
    oifname cordon0 ip protocol tcp tcp flags syn tcp option maxseg size set 1398
    oifname cordon0 ip6 nexthdr tcp tcp flags syn tcp option maxseg size set 1378
  }}
}}
"""


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def run(*command, text=None, check=True):
    return subprocess.run(command, input=text, text=True, check=check, capture_output=True)


def ip(ns, *words, check=True):
    return run("ip", "-n", ns, *words, check=check)


def sysctl(ns, **names):
    for name, value in names.items():
        run("ip", "netns", "exec", ns, "sysctl", "-qw", f"net.{name.replace('__', '.')}={value}")


def socket_in(ns, family, kind, protocol=0):
    """A socket of another namespace: only its making happens there."""
    own, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{ns}", os.O_RDONLY)
    try:
        if LIBC.setns(there, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            s = socket.socket(family, kind, protocol)
            s.settimeout(20)
            return s
        finally:
            if LIBC.setns(own, 0x40000000):
                os._exit(3)
    finally:
        os.close(own)
        os.close(there)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def net_up():
    for ns in (A, R, B):
        run("ip", "netns", "add", ns)
        sysctl(ns, ipv4__conf__all__src_valid_mark=1, ipv6__conf__all__accept_dad=0, ipv6__conf__default__accept_dad=0)
        ip(ns, "link", "set", "lo", "up")
    sysctl(R, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
    for ns, port, n in ((A, "ra", 1), (B, "rb", 2)):
        ip(ns, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", R)
        for there, device, last in ((ns, "eth0", 1), (R, port, 254)):
            ip(there, "addr", "add", f"10.201.{n}.{last}/24", "dev", device)
            ip(there, "addr", "add", f"fd00:201:{n}::{last}/64", "dev", device, "nodad")
            ip(there, "link", "set", device, "up")
        ip(ns, "route", "add", "default", "via", f"10.201.{n}.254")
        ip(ns, "-6", "route", "add", "default", "via", f"fd00:201:{n}::254")
        sysctl(ns, ipv4__conf__all__rp_filter=0, ipv4__conf__eth0__rp_filter=0)
        for six in ((), ("-6",)):
            ip(ns, *six, "rule", "add", "fwmark", f"{PROTECT}/{MASK}", "lookup", "100", "pri", "100")
            ip(ns, *six, "route", "add", "unreachable", "default", "metric", "4294967295", "table", "100")
        run("ip", "netns", "exec", ns, "nft", "-f", "-", text=RULES)


def net_down():
    for ns in (A, R, B):
        run("ip", "netns", "del", ns, check=False)


class Planes:
    """The program that runs both planes, for the length of a `with`."""

    def __init__(self, program, suite, *options):
        self.command = [program, suite, *options, A, B, V4[0], V4[1], V6[0], V6[1]]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            self.process.kill()
            raise RuntimeError("the data planes did not start")
        for ns in (A, B):
            for six in ((), ("-6",)):
                ip(ns, *six, "route", "add", "default", "dev", "cordon0", "table", "100")
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.said = self.process.stdout.read().strip()
        if self.process.wait(timeout=20) != 0:
            raise RuntimeError("a data plane ended badly")


class Capture:
    """What the router's port to A sees."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "wire.pcap")

    def __enter__(self):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", R, "tcpdump", "-i", "ra", "-w", self.path, "-U", "-s", "120", "--immediate-mode"],
            stderr=subprocess.PIPE, text=True)
        if "listening" not in self.process.stderr.readline():
            raise RuntimeError("tcpdump does not listen")
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.process.terminate()
        self.process.wait()

    def frames(self):
        with open(self.path, "rb") as f:
            octets = f.read()
        at = 24
        while at + 16 <= len(octets):
            (size,) = struct.unpack_from("<I", octets, at + 8)
            yield octets[at + 16:at + 16 + size]
            at += 16 + size


def is_protected(frame, protocol, at):
    """ESP, AH, or ESP in UDP (17), whose ports are known from the first fragment only."""
    if protocol != 17 or len(frame) < at + 12:
        return True
    return struct.unpack_from(">HH", frame, at) == (4500, 4500) and frame[at + 8:at + 12] != bytes(4)


def innocent(frame, protocol):
    """ESP or AH, its fragments, what IPv4 and IPv6 need to find their neighbours, and the router's own ICMP errors."""
    kind = struct.unpack_from(">H", frame, 12)[0]
    if kind == 0x0806:
        return True
    if kind == 0x0800:
        router = frame[26:30] == socket.inet_aton("10.201.1.254")
        later = struct.unpack_from(">H", frame, 20)[0] & 0x1FFF
        ours = frame[23] == protocol and (later or is_protected(frame, protocol, 34))
        return ours or (frame[23] == 1 and router)
    if kind == 0x86DD:
        after, at = frame[20], 54
        if after == 44:
            after, at = frame[54], 62
            if struct.unpack_from(">H", frame, 56)[0] & 0xFFF8:
                return after == protocol
        if after == 0 and frame[54] != protocol:
            return frame[38] == 0xFF  # multicast listener reports
        if after == 0:
            after = frame[54]
        if after == 58:
            router = frame[22:38] == socket.inet_pton(socket.AF_INET6, "fd00:201:1::254")
            return frame[54] in (133, 134, 135, 136) or router
        return after == protocol and is_protected(frame, protocol, at)
    return False


def assert_only_esp(capture, protocol=50):
    esp = 0
    for frame in capture.frames():
        if not innocent(frame, protocol):
            raise AssertionError(f"not protocol {protocol} on the wire: {frame.hex()}")
        esp += frame[12:14] == b"\x08\x00" and frame[23] == protocol
    assert esp > 0, f"no protocol {protocol} in the capture"
    return esp


def receive_all(listener, n, result):
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(20)
        got, h = 0, hashlib.blake2b()
        while got < n:
            piece = connection.recv(1 << 20)
            if not piece:
                break
            got += len(piece)
            h.update(piece)
        result.append((got, h.digest()))
        connection.sendall(b"done")


def bulk(sender, receiver, address, n):
    listener = socket_in(receiver, family_of(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, 5001))
    listener.listen(1)
    result, h, block = [], hashlib.blake2b(), os.urandom(1 << 20)
    thread = threading.Thread(target=receive_all, args=(listener, n, result), daemon=True)
    thread.start()
    start = time.monotonic()
    with socket_in(sender, family_of(address), socket.SOCK_STREAM) as s:
        s.connect((address, 5001))
        sent = 0
        while sent < n:
            piece = block[:min(len(block), n - sent)]
            s.sendall(piece)
            h.update(piece)
            sent += len(piece)
        assert s.recv(4) == b"done"
    took = time.monotonic() - start
    thread.join(20)
    listener.close()
    assert result == [(n, h.digest())], f"TCP to {address}: the octets are others"
    return n * 8 / took / 1e6


def ping(ns, address, size, *options):
    r = run("ip", "netns", "exec", ns, "ping", "-q", "-M", "dont", "-c", "2", "-i", "0.2", "-W", "3", "-s", str(size), *options, address,
            check=False)
    assert " 0% packet loss" in r.stdout, f"ping -s {size} {address}: {r.stdout}"


def udp(ns, address):
    s = socket_in(ns, family_of(address), socket.SOCK_DGRAM)
    s.bind((address, 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    return s


def datagrams(addresses):
    """Datagrams of all sizes arrive as they were, whether whole or in fragments of ESP."""
    with udp(A, addresses[0]) as a, udp(B, addresses[1]) as b:
        for size in (0, 1, 17, 1300, 1400, 1432, 1433, 1452, 1472, 1473, 1500, 8000, 30000, 65000):
            sent = os.urandom(size)
            a.sendto(sent, b.getsockname())
            # What no longer fits with DF is refused once and leaves in fragments then.
            try:
                b.settimeout(0.5)
                got = b.recv(70000)
            except TimeoutError:
                try:
                    a.sendto(sent, b.getsockname())
                except OSError as e:
                    assert e.errno == errno.EMSGSIZE
                    a.sendto(sent, b.getsockname())
                b.settimeout(5)
                got = b.recv(70000)
            assert got == sent, f"a datagram of {size} octets came as {len(got)}"


def datagram_bursts(addresses):
    """UDP_SEGMENT: one write is many datagrams, and stays so."""
    with udp(A, addresses[0]) as a, udp(B, addresses[1]) as b:
        a.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1200)
        sent = os.urandom(1200 * 40 + 77)
        a.sendto(sent, b.getsockname())
        got = [b.recv(70000) for _ in range(41)]
        assert [len(g) for g in got] == [1200] * 40 + [77]
        assert b"".join(got) == sent


def dont_fragment_is_told(addresses):
    with udp(A, addresses[0]) as a, udp(B, addresses[1]) as b:
        a.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        a.connect(b.getsockname())
        a.send(b"x" * 1472)
        time.sleep(0.2)
        try:
            a.send(b"x" * 1472)
        except OSError as e:
            assert e.errno == errno.EMSGSIZE, e
        else:
            raise AssertionError("a datagram with DF over the budget was not refused")
        a.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # the ICMP error's own, still pending
        a.send(b"y" * 1400)
        assert b.recv(70000) == b"y" * 1400


def first_packets_are_late_not_lost(program):
    with Planes(program, "esp-aes256gcm", "--late", "400") as planes:
        with udp(A, V4[0]) as a, udp(B, V4[1]) as b:
            for i in range(50):
                a.sendto(struct.pack(">I", i) + bytes(200), b.getsockname())
            assert [struct.unpack(">I", b.recv(2000)[:4])[0] for _ in range(50)] == list(range(50))
        bulk(B, A, V6[0], 100_000)
    # One question for each pair of addresses, although 50 packets waited; B only answered the first.
    assert f"{A} acquires 2" in planes.said and f"{B} acquires 1" in planes.said, planes.said
    assert "held" not in planes.said and "policy" not in planes.said, planes.said


def number_of(suite, *options):
    return 17 if "--udp" in options else 51 if suite.startswith("ah-") else 50


def a_narrower_way_is_found(program, folder, suite, *options):
    """The link behind the router takes 1400 octets: it says so to the ESP or AH, and TCP goes on."""
    ip(R, "link", "set", "rb", "mtu", "1400")
    ip(B, "link", "set", "eth0", "mtu", "1400")
    for six in ((), ("-6",)):  # what the kernel learnt with the last suite
        ip(A, *six, "route", "flush", "cache")
    # Sizes are told from the capture: there one packet is to be one.
    run("ip", "netns", "exec", A, "ethtool", "-K", "eth0", "tx-udp-segmentation", "off")
    try:
        with Planes(program, suite, *options), Capture(folder) as capture:
            for address in (V4[1], V6[1]):
                bulk(A, B, address, 3_000_000)
                ping(A, address, 8000)
        protocol = number_of(suite, *options)
        assert_only_esp(capture, protocol)
        own = socket.inet_aton(V4[0])
        sizes = [struct.unpack_from(">H", f, 16)[0] for f in capture.frames()
                 if f[12:14] == b"\x08\x00" and f[23] == protocol and f[26:30] == own]
        assert max(sizes) > 1400, "nothing was too large, so nothing was tested"
        assert max(sizes[-1000:]) <= 1400, "the way was not found"
    finally:
        run("ip", "netns", "exec", A, "ethtool", "-K", "eth0", "tx-udp-segmentation", "on")
        ip(R, "link", "set", "rb", "mtu", "1500")
        ip(B, "link", "set", "eth0", "mtu", "1500")


def the_device_comes_back(program):
    with Planes(program, "esp-aes256gcm"):
        for words in (("set", "cordon0", "down"), ("del", "cordon0")):
            ip(A, "link", *words)
            assert run("ip", "netns", "exec", A, "ping", "-c1", "-W1", V4[1], check=False).returncode != 0
            for _ in range(50):
                if "cordon0" in ip(A, "link", "show", "up").stdout:
                    break
                time.sleep(0.1)
            for six in ((), ("-6",)):
                ip(A, *six, "route", "replace", "default", "dev", "cordon0", "table", "100")
            ping(A, V4[1], 100)
        second = run("ip", "netns", "exec", A, program, "esp-aes256gcm", A, B, *V4, check=False)
        assert second.returncode != 0 and "another cordond" in second.stderr, second.stderr


def every_suite(program, folder):
    for suite, options in (("esp-aes256gcm", ("--esn",)), ("esp-aes128gcm", ()), ("esp-aes256-sha256", ("--esn",)),
                           ("esp-aes128-sha384", ()), ("esp-sha256-null", ("--esn",)), ("esp-aes256ctr-sha256", ()),
                           ("esp-chacha20poly1305", ("--esn",)), ("esp-aes128gmac", ("--esn",)), ("esp-aes128ccm8", ()),
                           ("esp-camellia256-aescmac", ()), ("ah-sha256", ()), ("ah-sha384", ("--esn",)),
                           ("ah-aesxcbc", ()), ("ah-aes256gmac", ("--esn",))):
        with Planes(program, suite, *options) as planes, Capture(folder) as capture:
            for sender, receiver, address in ((A, B, V4[1]), (B, A, V6[0])):
                speed = bulk(sender, receiver, address, 5_000_000)
                ping(A, V4[1], 1300)
        print(f"{suite}: {assert_only_esp(capture, number_of(suite))} packets, {speed:.0f} Mbit/s")
        assert "bad-icv" not in planes.said and "replay" not in planes.said, planes.said


def all_kinds_of_packets(program, folder, *options):
    with Planes(program, "esp-aes256gcm", *options) as planes, Capture(folder) as capture:
        dont_fragment_is_told(V4)  # before the kernel has learnt it from something else
        for addresses in (V4, V6):
            bulk(A, B, addresses[1], 20_000_000)
            bulk(B, A, addresses[0], 20_000_000)
            for size in (0, 1, 1000, 1416, 1472, 8000, 60000):
                ping(A, addresses[1], size)
            datagrams(addresses)
            datagram_bursts(addresses)
        ping(A, V4[1], 100, "-Q", "0xb8")
    tos = {frame[15] for frame in capture.frames() if frame[12:14] == b"\x08\x00"}
    assert 0xB8 in tos, "the type of service stays with the packet"
    print(planes.said)
    assert_only_esp(capture, number_of("esp", *options))


def ah_outlives_what_routers_change(program, folder):
    """Options that the router writes into, type of service, hop limit; and options that say they may change."""
    with Planes(program, "ah-sha256", "--esn") as planes, Capture(folder) as capture:
        ping(A, V4[1], 10, "-R")  # record route
        ping(A, V4[1], 10, "-T", "tsonly")  # time stamps
        ping(A, V4[1], 10, "-Q", "0xb8")
        with udp(A, V6[0]) as a, udp(B, V6[1]) as b:
            for name, option in ((54, b"\0\0\x3e\x04abcd"), (54, b"\0\0\x1e\x04abcd"), (59, b"\0\0\x3e\x04abcd"),
                                 (54, b"\0\1\x3e\x04abcd\x1e\x06" + bytes(6))):
                a.setsockopt(socket.IPPROTO_IPV6, name, option)
                a.sendto(option, b.getsockname())
                assert b.recv(100) == option
                a.setsockopt(socket.IPPROTO_IPV6, name, b"")
        datagrams(V4)
        datagrams(V6)
    assert "bad-icv" not in planes.said and "malformed" not in planes.said, planes.said
    assert_only_esp(capture, 51)
    assert any(f[14] & 15 > 5 for f in capture.frames() if f[12:14] == b"\x08\x00"), "no options on the wire"
    assert any(f[20] == 0 and f[54] == 51 for f in capture.frames() if f[12:14] == b"\x86\xdd"), "no headers before AH"


def need(*more):
    if os.geteuid() != 0:
        skip("needs root")
    for tool in ("ip", "nft", "tcpdump", "ping", "ethtool", *more):
        if not shutil.which(tool):
            skip(f"needs {tool}")
    if not os.path.exists("/dev/net/tun"):
        skip("needs /dev/net/tun")


def main():
    program = os.path.abspath(sys.argv[1])
    need()
    with tempfile.TemporaryDirectory() as folder:
        try:
            net_up()
            all_kinds_of_packets(program, folder)
            for six in ((), ("-6",)):
                ip(A, *six, "route", "flush", "cache")
            all_kinds_of_packets(program, folder, "--udp")
            every_suite(program, folder)
            first_packets_are_late_not_lost(program)
            ah_outlives_what_routers_change(program, folder)
            for suite in ("esp-aes256gcm", "ah-sha256"):
                a_narrower_way_is_found(program, folder, suite)
            a_narrower_way_is_found(program, folder, "esp-aes256gcm", "--udp")
            the_device_comes_back(program)
        finally:
            net_down()
    print("what was sent arrived, and the wire carried ESP or AH only")


if __name__ == "__main__":
    main()
