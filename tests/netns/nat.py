#!/usr/bin/env python3
"""cordond through a real NAT: a router that masquerades (or hands ports on) stands between two hosts, and both its wires
are watched.

usage: nat.py [TEST ...]; CORDON and CORDOND name the programs
"""
import hashlib
import os
import socket
import struct
import threading
import time

from daemon import Host, by_kernel, wait_until
from lib import Capture, Namespace, address, expect, main, marker, udp_reaches, wire

INSIDE = {4: ("10.71.0.10", "10.71.0.1", 24), 6: ("2001:db8:71::10", "2001:db8:71::1", 64)}
OUTSIDE = {4: ("10.72.0.20", "10.72.0.1", 24), 6: ("2001:db8:72::20", "2001:db8:72::1", 64)}
ESP, UDP, ICMP, ICMP6 = 50, 17, 1, 58
IKE, IKE_NAT = 500, 4500

POLICY = """cordon: 1
nat-traversal: %s
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
hosts:
  inside: { address: "%s", nat-address: "%s" }
  outside: { address: "%s" }
connection-security:
  - { name: all, endpoint1: inside, endpoint2: outside, mode: require, authentication: key }
"""

MASQUERADE = """table inet nat {
  chain out {
    type nat hook postrouting priority 100
    oifname "eth1" meta l4proto { udp, tcp } masquerade to :%s random
    oifname "eth1" masquerade
  }
}
"""
HAND_ON = """table inet nat {
  chain in {
    type nat hook prerouting priority -100
    iifname "eth1" meta nfproto %s udp dport { 500, 4500 } dnat %s to %s
  }
}
"""


class Twin:
    """inside -- router -- outside"""

    def __init__(self, setting, family=4, nat=None):
        self.family = family
        inside, router_in, length = INSIDE[family]
        outside, router_out, _ = OUTSIDE[family]
        self.inside, self.outside, self.router = Host("in"), Host("out"), Namespace("nat")
        wire(self.inside, self.router)
        wire(self.outside, self.router, b_if="eth1")
        address(self.inside, "eth0", "%s/%d" % (inside, length))
        address(self.outside, "eth0", "%s/%d" % (outside, length))
        address(self.router, "eth0", "%s/%d" % (router_in, length))
        address(self.router, "eth1", "%s/%d" % (router_out, length))
        self.router.sysctl("net/ipv4/ip_forward", "1")
        self.router.sysctl("net/ipv6/conf/all/forwarding", "1")
        self.inside.sh("ip", "route", "add", "default", "via", router_in)
        self.router.nft(nat or MASQUERADE % "30000-40000")
        self.wires = {"inside": Capture(self.router, "eth0"), "outside": Capture(self.router, "eth1")}
        self.policy = POLICY % (setting, inside, router_out, outside)
        self.addresses = {"inside": inside, "nat": router_out, "outside": outside}

    def start(self):
        self.inside.start(policy=self.policy)
        self.outside.start(policy=self.policy)
        return self

    def packets(self, where):
        """(source, destination, protocol, source port, destination port, payload) of each frame but the neighbours'"""
        for f in self.wires[where].read():
            kind, p = f[12:14], f[14:]
            if kind == b"\x08\x00":
                head = (p[0] & 15) * 4
                ends, protocol, rest = (p[12:16], p[16:20]), p[9], p[head:]
                if struct.unpack("!H", p[6:8])[0] & 0x1fff:
                    continue  # a later fragment
            elif kind == b"\x86\xdd":
                ends, protocol, rest = (p[8:24], p[24:40]), p[6], p[40:]
                if protocol == 44:
                    protocol, rest = (rest[0], rest[8:]) if not struct.unpack("!H", rest[2:4])[0] & 0xfff8 else (44, b"")
                if protocol == 44 or (protocol == ICMP6 and rest[0] in range(130, 144)):
                    continue
            else:
                continue
            family = socket.AF_INET if len(ends[0]) == 4 else socket.AF_INET6
            if ends[1][0] == 0xff or ends[1][0] >> 4 == 14:
                continue  # multicast is outside of every rule
            ports = struct.unpack("!HH", rest[:4]) if protocol in (UDP, 6) else (0, 0)
            yield (*(socket.inet_ntop(family, e) for e in ends), protocol, *ports, rest[8:])

    def check_wires(self, encapsulated=True):
        """Only IKE and encapsulated ESP, and on 4500 nothing but these two and keep-alives."""
        for where in self.wires:
            seen, strange, esp = set(), [], 0
            for source, target, protocol, from_port, to_port, payload in self.packets(where):
                seen.add(protocol)
                ports = {from_port, to_port}
                if protocol in (ICMP, ICMP6):
                    continue  # a router's words; the hosts' own are looked for below
                if protocol != UDP or not ports & {IKE, IKE_NAT}:
                    strange.append((source, target, protocol, from_port, to_port))
                elif payload[:4] != b"\0\0\0\0" and len(payload) > 1 and IKE_NAT in ports:
                    esp += 1
            expect("%s wire: nothing but IKE and ESP in UDP, seen %s, strange %s" % (where, sorted(seen), strange[:3]),
                   not strange)
            expect("%s wire: %d packets of ESP in UDP" % (where, esp), (esp > 0) == encapsulated)
            expect("%s wire: no bare ESP" % where, ESP not in seen)


def udp_both_ways(twin, port=4321):
    """A datagram from inside, and the answer from outside: arrives, answered to where it came from."""
    target = twin.outside.udp(twin.addresses["outside"], port)
    source = twin.inside.socket(target.family, socket.SOCK_DGRAM)
    target.settimeout(4)
    source.settimeout(4)
    mark = marker()
    try:
        source.sendto(mark, (twin.addresses["outside"], port))
        got, sender = target.recvfrom(2048)
        target.sendto(mark[::-1], sender)
        back, _ = source.recvfrom(2048)
        return got == mark and back == mark[::-1], sender[0], mark
    except (socket.timeout, TimeoutError, OSError):
        return False, None, mark
    finally:
        target.close()
        source.close()


def stream(twin, octets, port=5001, meanwhile=None, rate=None):
    """So many octets by TCP from inside and back; the digests agree."""
    server = twin.outside.socket(socket.AF_INET6 if twin.family == 6 else socket.AF_INET, socket.SOCK_STREAM)
    server.bind((twin.addresses["outside"], port))
    server.listen(1)
    server.settimeout(10)
    ok = {}

    def serve():
        try:
            c, _ = server.accept()
            c.settimeout(20)
            seen = hashlib.sha256()
            while True:
                part = c.recv(65536)
                if not part:
                    break
                seen.update(part)
                c.sendall(part)
            c.shutdown(socket.SHUT_WR)
            ok["server"] = seen.hexdigest()
            c.close()
        except OSError as e:
            ok["server"] = str(e)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = twin.inside.socket(server.family, socket.SOCK_STREAM)
    client.settimeout(20)
    sent, back = hashlib.sha256(), hashlib.sha256()
    try:
        client.connect((twin.addresses["outside"], port))

        def feed():
            left = octets
            while left:
                part = os.urandom(min(left, 16384))
                sent.update(part)
                client.sendall(part)
                left -= len(part)
                if rate:
                    time.sleep(len(part) / rate)
            client.shutdown(socket.SHUT_WR)

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        if meanwhile:
            threading.Thread(target=meanwhile, daemon=True).start()
        got = 0
        while True:
            part = client.recv(65536)
            if not part:
                break
            got += len(part)
            back.update(part)
        feeder.join(5)
        thread.join(5)
        return got == octets and sent.hexdigest() == back.hexdigest() == ok.get("server")
    except OSError as e:
        print("      stream: %s, server %s" % (e, ok))
        return False
    finally:
        client.close()
        server.close()


def nat_said(host):
    rows = host.json("show", "main-mode")["rows"]
    return rows[0].get("nat") if rows else None


def behind(family):
    t = Twin("both", family).start()
    good, sender, mark = udp_both_ways(t)
    expect("a datagram and its answer go through", good)
    expect("the server's program sees the NAT's address", sender == t.addresses["nat"])
    expect("nobody reads it on the wire", not t.wires["outside"].has(mark))
    expect("two megabytes of TCP and back", stream(t, 2 << 20))
    expect("the client knows that it is behind a NAT", nat_said(t.inside) == "here")
    expect("the server knows who is", nat_said(t.outside) == "there")
    # A service inside, opened from outside by the NAT's address: the SA is there already.
    r, s = t.inside.udp(t.addresses["inside"], 4400), t.outside.socket(
        socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
    expect("the server reaches the client by the NAT's address", udp_reaches(s, r, t.addresses["nat"], 4400)[1])
    # Nobody listens: the answer quotes our packet with addresses that only the far end knows.
    s = t.inside.socket(s.family, socket.SOCK_DGRAM)
    s.connect((t.addresses["outside"], 9))
    refused = False
    try:
        s.send(b"x")
        s.recv(10)
    except ConnectionRefusedError:
        refused = True
    except (socket.timeout, TimeoutError):
        pass
    if by_kernel(t.inside):  # which leaves the quoted addresses alone
        expect("port unreachable finds no socket, as is documented", not refused)
    else:
        expect("port unreachable finds its socket", refused)
    t.check_wires()


def behind_ipv4():
    """the initiator is behind a masquerading router"""
    behind(4)


def behind_ipv6():
    """the same with IPv6 that is masqueraded"""
    behind(6)


def rebound():
    """the router forgets its mapping and makes another one, in the middle of a stream"""
    t = Twin("both").start()
    expect("a datagram and its answer go through", udp_both_ways(t)[0])

    def forget():
        time.sleep(1)
        t.router.sh("sh", "-c", "nft flush ruleset; conntrack -F 2>/dev/null; true")
        t.router.nft(MASQUERADE % "50000-60000")
        t.router.sh("conntrack", "-F", check=False)

    expect("four megabytes and back while it happens", stream(t, 4 << 20, meanwhile=forget, rate=1 << 20))
    expect("and then", udp_both_ways(t, 4322)[0])
    ports = {to if source == t.addresses["outside"] else from_ for source, _, p, from_, to, _ in t.packets("outside")
             if p == UDP}
    expect("the port did change: %s" % sorted(ports), any(p >= 50000 for p in ports) and any(p < 45000 for p in ports))
    t.check_wires()


def narrow():
    """the path beyond the router takes less than the hosts believe; who sends is told in the words of ESP in UDP"""
    for family in (4, 6):
        t = Twin("both", family).start()
        expect("IPv%d: a datagram and its answer go through" % family, udp_both_ways(t)[0])
        net = "10.72.0.0/24" if family == 4 else "2001:db8:72::/64"
        t.router.sh("ip", "-%d" % family, "route", "replace", net, "dev", "eth1",
                    *(["metric", "256"] if family == 6 else ["src", t.addresses["nat"]]), "mtu", "lock", "1320")
        expect("IPv%d: a megabyte of TCP goes through" % family, stream(t, 1 << 20))
        sizes = [len(p[5]) + 8 + (20 if family == 4 else 40) for p in t.packets("outside")
                 if p[0] == t.addresses["nat"] and p[2] == UDP]
        expect("IPv%d: in packets of up to %d octets" % (family, max(sizes)), 1250 < max(sizes) <= 1320)
        t.inside.end()
        t.outside.end()


def refused():
    """with 'never' and 'server' nothing is protected from behind a NAT, nor sent clear, and both ends say why"""
    for setting in ("never", "server"):
        t = Twin(setting).start()
        good, _, mark = udp_both_ways(t)
        expect("%s: nothing arrives" % setting, not good)
        expect("%s: nothing is sent in clear" % setting, not t.wires["outside"].has(mark))
        for host in (t.inside, t.outside):
            failures = host.json("status")["keying"]["failures"]
            expect("%s: the reason is told" % setting,
                   len(failures) > 0 and "nat" in failures[0]["failure"].lower())
        t.inside.end()
        t.outside.end()


def port_forward():
    """the responder is behind a router that hands UDP 500 and 4500 on"""
    for family in (4, 6):
        inside, router_in, _ = INSIDE[family]
        nat = HAND_ON % (("ipv4", "ip", inside) if family == 4 else ("ipv6", "ip6", inside))
        t = Twin("server", family, nat).start()
        r, s = t.inside.udp(inside, 4400), t.outside.socket(
            socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        r.settimeout(4)
        expect("IPv%d: the client reaches it by the NAT's address" % family,
               udp_reaches(s, r, t.addresses["nat"], 4400)[1])
        expect("IPv%d: who is behind it is known" % family,
               nat_said(t.inside) == "here" and nat_said(t.outside) == "there")
        t.check_wires()
        t.inside.end()
        t.outside.end()


def forgotten():
    """the server is killed and starts again: what the client then sends tells it where to begin anew"""
    t = Twin("both").start()
    expect("a datagram and its answer go through", udp_both_ways(t)[0])
    t.outside.kill()
    t.outside.start(policy=t.policy)
    expect("seconds later they do again",
           wait_until(lambda: udp_both_ways(t, 4323)[0], 15))
    expect("who is behind the NAT is known", nat_said(t.inside) == "here" and nat_said(t.outside) == "there")
    t.check_wires()


def keep_alives():
    """when nothing else goes, the client keeps the mapping warm, and nothing is said to it"""
    t = Twin("both").start()
    expect("a datagram and its answer go through", udp_both_ways(t)[0])
    time.sleep(24)
    found = [p for p in t.packets("outside") if p[2] == UDP and p[5] == b"\xff"]
    expect("%d keep-alives" % len(found), 1 <= len(found) <= 2)
    expect("they come from behind the NAT and go to 4500",
           all(p[0] == t.addresses["nat"] and p[4] == IKE_NAT for p in found))


if __name__ == "__main__":
    main([behind_ipv4, behind_ipv6, rebound, narrow, refused, port_forward, forgotten, keep_alives])
