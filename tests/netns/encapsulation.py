#!/usr/bin/env python3
"""Two Cordon hosts that no NAT separates: ESP in UDP 4500 where both want it, by itself where one does not, and where UDP 4500 does not get
through. What is on the wire decides, and the host must say the same."""
from daemon import A, B, ESP, PSK, reaches, two_hosts, wait_until
from lib import Capture, address, expect, main

A6, B6 = "fd00:77::1", "fd00:77::2"
PSK6 = PSK.replace(A, '"%s"' % A6).replace(B, '"%s"' % B6)
UDP = 17


def kinds(capture):
    """What has been on the wire: "native", "udp" (ESP in UDP 4500), "ike" by its port, and everything else by number. ARP and neighbour discovery apart."""
    found = set()
    for f in capture.read():
        four = f[12:14] == b"\x08\x00"
        if not four and f[12:14] != b"\x86\xdd":
            continue
        protocol, at = (f[23], 14 + 4 * (f[14] & 15)) if four else (f[20], 54)
        ports = {int.from_bytes(f[at:at + 2], "big"), int.from_bytes(f[at + 2:at + 4], "big")}
        if protocol in (0, 58):
            continue
        if protocol == ESP:
            found.add("native")
        elif protocol == UDP and ports == {500}:
            found.add("ike 500")
        elif protocol == UDP and ports == {4500}:
            found.add("ike 4500" if f[at + 8:at + 12] == bytes(4) else "udp")
        else:
            found.add(protocol)
    return found


def says(host, what):
    quick = host.json("show", "quick-mode")["rows"]
    return bool(quick) and all(r["encapsulation"] == what for r in quick) and host.json("show", "peers")["rows"][0]["encapsulation"] == what


def pair(one, other, here=A, there=B):
    a, b = two_hosts()
    if ":" in here:
        address(a, "eth0", A6 + "/64")
        address(b, "eth0", B6 + "/64")
    seen = Capture(a)
    a.start(policy=one)
    b.start(policy=other)
    expect("a ping", a.pings(there))
    expect("and back", b.pings(here))
    return a, b, seen


def auto():
    """both say auto, as by default: IKE_SA_INIT on 500, then nothing but UDP 4500"""
    a, b, seen = pair(PSK % "require", PSK % "require")
    expect("big ones, too", reaches(a, b, B)[1])
    found = kinds(seen)
    expect("on the wire: %s" % sorted(map(str, found)), found == {"ike 500", "ike 4500", "udp"})
    expect("both say so", says(a, "udp") and says(b, "udp"))
    expect("and why does", "in UDP 4500" in " ".join(a.cordon("why", "--policy", a.folder + "/policy.yaml", A, B, "tcp/80")[1].split()))
    expect("nobody takes it for a NAT", a.json("show", "main-mode")["rows"][0]["nat"] is None)
    a.cordon("rekey")
    a.cordon("rekey", "--main-mode")
    expect("renewed", wait_until(lambda: a.events().count("quick-mode-up") >= 2 and a.events().count("main-mode-up") >= 2))
    expect("still there", a.pings(B) and b.pings(A) and says(a, "udp") and "native" not in kinds(seen))
    b.kill()
    b.start()
    expect("and after a restart of the other", wait_until(lambda: a.pings(B, 1), 20) and wait_until(lambda: says(a, "udp"), 10))


def ipv6():
    """the same over IPv6, where the kernel drops what has no right checksum"""
    a, b, seen = pair(PSK6 % "require", PSK6 % "require", A6, B6)
    found = kinds(seen)
    expect("on the wire: %s" % sorted(map(str, found)), found == {"ike 500", "ike 4500", "udp"})
    expect("both say so", says(a, "udp") and says(b, "udp"))


def native():
    """one says native: protocol 50, and nothing on 4500"""
    a, b, seen = pair("encapsulation: native\n" + PSK % "require", PSK % "require")
    found = kinds(seen)
    expect("on the wire: %s" % sorted(map(str, found)), found == {"ike 500", "native"})
    expect("both say so", says(a, "native") and says(b, "native"))
    a.cordon("apply", a.policy("encapsulation: udp\n" + PSK % "require"))
    expect("a new policy holds for main modes to come", says(a, "native"))
    a.cordon("rekey", "--proof")
    expect("which are made when they are asked for", wait_until(lambda: says(a, "udp") and says(b, "udp"), 15))
    seen.read(), seen.frames.clear()
    expect("then in UDP", a.pings(B) and kinds(seen) >= {"udp"} and "native" not in kinds(seen))
    a.cordon("apply", a.policy("encapsulation: native\n" + PSK % "require"))
    expect("native at once", wait_until(lambda: a.pings(B, 1) and says(a, "native"), 10))


def blocked():
    """UDP 4500 is dropped on the way: they say so, go native, and nothing is clear"""
    a, b = two_hosts()
    for h in (a, b):
        h.sh("nft", "add table inet road; add chain inet road in { type filter hook prerouting priority -500; }; add rule inet road in udp dport 4500 drop")
    seen = Capture(a)
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    expect("it takes some seconds", not a.pings(B, 2))
    expect("and then it goes", wait_until(lambda: a.pings(B, 1), 20))
    expect("native, both say", says(a, "native") and says(b, "native"))
    expect("with an event", a.events().count("udp-blocked") == 1 and "main-mode-failed" not in a.events())
    found = kinds(seen)
    expect("on the wire: %s" % sorted(map(str, found)), found == {"ike 500", "ike 4500", "native"})


if __name__ == "__main__":
    main([auto, ipv6, native, blocked])
