#!/usr/bin/env python3
"""cordond and AH, with a router between two hosts: what the router may change and what it says must not break it, and what
somebody else changes must.

usage: ah.py [TEST ...]; CORDON and CORDOND name the programs
"""
import socket
import struct

from lib import expect, main
from nat import Twin, stream, udp_both_ways

AH = 51

POLICY = """cordon: 1
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
protection: { signed: { proposals: [ah-sha256] } }
connection-security:
  - { name: all, endpoint1: ["%s"], endpoint2: ["%s"], mode: require, authentication: key, protection: signed }
"""


def twin(family):
    t = Twin("never", family, "table inet nothing { }\n")
    t.outside.sh("ip", "route", "add", "default", "via", "10.72.0.1" if family == 4 else "2001:db8:72::1")
    t.policy = POLICY % (t.addresses["inside"], t.addresses["outside"])
    return t.start()


def sizes(t, wire):
    """Lengths of the AH packets that left the inside host, fragments too."""
    found, own = [], socket.inet_pton(socket.AF_INET6 if t.family == 6 else socket.AF_INET, t.addresses["inside"])
    for f in t.wires[wire].read():
        p = f[14:]
        if f[12:14] == b"\x08\x00" and p[9] == AH and p[12:16] == own:
            found.append(struct.unpack("!H", p[2:4])[0])
        if f[12:14] == b"\x86\xdd" and p[8:24] == own and AH in (p[6], p[40] if p[6] == 44 else 0):
            found.append(struct.unpack("!H", p[4:6])[0] + 40)
    return found


def narrow():
    """the path beyond the router takes less than the hosts believe: it says so of AH"""
    for family in (4, 6):
        t = twin(family)
        good, _, mark = udp_both_ways(t)
        expect("IPv%d: a datagram and its answer go through" % family, good)
        expect("and can be read on the way, as AH", t.wires["outside"].has(mark) and sizes(t, "outside"))
        net = "10.72.0.0/24" if family == 4 else "2001:db8:72::/64"
        t.router.sh("ip", "-%d" % family, "route", "replace", net, "dev", "eth1",
                    *(["metric", "256"] if family == 6 else []), "mtu", "lock", "1320")
        expect("a megabyte of TCP goes through", stream(t, 1 << 20))
        largest = max(sizes(t, "outside"))
        expect("in packets of up to %d octets" % largest, 1250 < largest <= 1320)
        # Had the kernel taken the router's word for itself, it would make fragments that have no ports.
        source, target = t.inside.udp(t.addresses["inside"], 4001), t.outside.udp(t.addresses["outside"], 4002)
        target.settimeout(3)
        arrived = 0
        for i in range(5):
            block = bytes([i]) * 6000
            source.sendto(block, (t.addresses["outside"], 4002))
            try:
                arrived += target.recv(9000) == block
            except (socket.timeout, TimeoutError):
                pass
        expect("datagrams of 6000 octets arrive (%d of 5)" % arrived, arrived >= 4)
        t.inside.end()
        t.outside.end()


def changed():
    """what a router changes by right arrives; what is changed otherwise is dropped and counted"""
    for family in (4, 6):
        t = twin(family)
        expect("IPv%d: a datagram and its answer go through" % family, udp_both_ways(t)[0])
        ip = "ip" if family == 4 else "ip6"
        t.router.nft("table inet change {\nchain c {\ntype filter hook forward priority 0\n%s %s set 9\n%s dscp set cs1\n}\n}\n"
                     % (ip, "ttl" if family == 4 else "hoplimit", ip))
        expect("other TTL and type of service: it still does", udp_both_ways(t)[0])
        # an octet of the datagram itself: behind AH (28 octets in IPv4, 32 in IPv6) and UDP
        at = (20 + 28 + 8) * 8 if family == 4 else (40 + 32 + 8) * 8
        t.router.nft("table inet change {\nchain c {\n@nh,%d,8 set 0x21\n}\n}\n" % at)
        expect("another octet: it does not", not udp_both_ways(t)[0])
        wrong = [r["count"] for r in t.outside.json("show", "drops")["rows"] if r["name"] == "bad-icv"]
        expect("and that is counted: %s" % wrong, wrong == [1])
        t.inside.end()
        t.outside.end()


if __name__ == "__main__":
    main([narrow, changed])
