#!/usr/bin/env python3
"""Tunnel mode with real packets: hosts behind two gateways, a router between them that sees everything, and hosts that
are their own tunnel end.

    left -- gl ==== router ==== gr -- right          roamer on the router's third wire

usage: tunnel.py [TEST ...]; CORDON and CORDOND name the programs
"""
import socket
import struct
import subprocess
import time

from daemon import Host, by_kernel, wait_until
from lib import Capture, Namespace, address, checksum, expect, ipv4, main, marker, run, udp_reaches, wire

ESP, AH, UDP, TCP, ICMP, ICMP6 = 50, 51, 17, 6, 1, 58

NETS = {
    4: {"left": "10.91.1.%s", "right": "10.91.2.%s", "gl": "10.90.1.%s", "gr": "10.90.2.%s", "roam": "10.90.3.%s",
        "len": 24, "any": "0.0.0.0/0"},
    6: {"left": "2001:db8:91:1::%s", "right": "2001:db8:91:2::%s", "gl": "2001:db8:90:1::%s",
        "gr": "2001:db8:90:2::%s", "roam": "2001:db8:90:3::%s", "len": 64, "any": "::/0"},
}


def net(family, name):
    return NETS[family][name] % ("0" if family == 4 else "") + "/%d" % NETS[family]["len"]


HEAD = """cordon: 1
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
"""


def rule(inner=4, outer=4, name="site to site", end1=None, end2=None, tunnel1=None, tunnel2=None, more=""):
    return ('  - { name: %s, endpoint1: ["%s"], endpoint2: ["%s"], mode: require, authentication: key,\n'
            '      tunnel: { endpoint1: "%s", endpoint2: "%s" }%s }\n' % (
                name, end1 or net(inner, "left"), end2 or net(inner, "right"), tunnel1 or NETS[outer]["gl"] % 2,
                tunnel2 or NETS[outer]["gr"] % 2, more))


class Site:
    """Two networks behind gateways that a router joins; both families everywhere."""

    def __init__(self):
        self.left, self.right = Namespace("left"), Namespace("right")
        self.gl, self.gr, self.roamer = Host("gl"), Host("gr"), Host("roam")
        self.router = Namespace("router")
        wire(self.left, self.gl, b_if="lan")
        wire(self.right, self.gr, b_if="lan")
        wire(self.gl, self.router, b_if="to-l")
        wire(self.gr, self.router, b_if="to-r")
        wire(self.roamer, self.router, b_if="to-m")
        for f in (4, 6):
            n, length = NETS[f], NETS[f]["len"]
            for host, dev, name, last in (
                    (self.left, "eth0", "left", 10), (self.gl, "lan", "left", 1), (self.gl, "eth0", "gl", 2),
                    (self.router, "to-l", "gl", 1), (self.right, "eth0", "right", 10), (self.gr, "lan", "right", 1),
                    (self.gr, "eth0", "gr", 2), (self.router, "to-r", "gr", 1), (self.roamer, "eth0", "roam", 2),
                    (self.router, "to-m", "roam", 1)):
                address(host, dev, "%s/%d" % (n[name] % last, length))
            for host, name in ((self.left, "left"), (self.right, "right"), (self.gl, "gl"), (self.gr, "gr"),
                               (self.roamer, "roam")):
                host.sh("ip", "route", "add", n["any"], "via", n[name] % 1)
            # the router knows the way to both, so that what is not in a tunnel would arrive
            self.router.sh("ip", "route", "add", net(f, "left"), "via", n["gl"] % 2)
            self.router.sh("ip", "route", "add", net(f, "right"), "via", n["gr"] % 2)
        for host in (self.gl, self.gr, self.router):
            host.sysctl("net/ipv4/ip_forward", "1")
            host.sysctl("net/ipv6/conf/all/forwarding", "1")
        self.outside = [Capture(self.router, dev) for dev in ("to-l", "to-r", "to-m")]

    def start(self, policy, hosts=None):
        for h in hosts or (self.gl, self.gr):
            h.start(policy=HEAD + policy)

    def protocols(self):
        """What is under way outside, but for neighbour discovery and multicast groups."""
        return set().union(*(c.protocols() for c in self.outside)) - {0, ICMP6}

    def saw(self, mark):
        return any(c.has(mark) for c in self.outside)

    def saw_address(self, text):
        family = socket.AF_INET6 if ":" in text else socket.AF_INET
        return self.saw(socket.inet_pton(family, text))


def pings(host, to, *more, seconds=5):
    return subprocess.run(["ip", "netns", "exec", host.name, "ping", "-c1", "-W%d" % seconds, *more, to],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def reaches(sender, receiver, to, port=4321, wait=5, mark=None):
    family = socket.AF_INET6 if ":" in to else socket.AF_INET
    r = receiver.udp("::" if family == socket.AF_INET6 else "0.0.0.0", port)
    r.settimeout(wait)
    s = sender.socket(family, socket.SOCK_DGRAM)
    try:
        return udp_reaches(s, r, to, port, mark)
    finally:
        s.close()
        r.close()


def gateway_to_gateway():
    """two networks, each behind a gateway: clear at home, ESP between, inner addresses nowhere to be seen"""
    s = Site()
    s.start(rule())
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    done = pings(s.left, right)
    expect("the first ping is late, not lost", done.returncode == 0)
    expect("TTL is counted down once a gateway", "ttl=62" in done.stdout)
    sent, heard, mark = reaches(s.right, s.left, left)
    expect("UDP the other way arrives", sent and heard)
    expect("what is outside is ESP and IKE: %s" % s.protocols(), s.protocols() == {ESP, UDP})
    expect("no content is seen outside", not s.saw(mark))
    expect("nor who speaks to whom", not s.saw_address(left) and not s.saw_address(right))


def families():
    """IPv6 in IPv6, IPv4 in IPv6, IPv6 in IPv4"""
    for inner, outer in ((6, 6), (4, 6), (6, 4)):
        s = Site()
        s.start(rule(inner, outer))
        right, left = NETS[inner]["right"] % 10, NETS[inner]["left"] % 10
        expect("IPv%d in IPv%d: a ping" % (inner, outer), pings(s.left, right).returncode == 0)
        sent, heard, mark = reaches(s.right, s.left, left)
        expect("UDP", sent and heard and not s.saw(mark))
        expect("as ESP, inner addresses hidden", s.protocols() == {ESP, UDP} and not s.saw_address(right))
        big_packets(s, inner)
        for h in (s.gl, s.gr):
            h.kill(15)


def by_ah():
    """a tunnel of AH: what is inside can be read, and is whole at the other end"""
    for inner, outer in ((4, 4), (6, 6), (6, 4), (4, 6)):
        s = Site()
        s.start(rule(inner, outer, more=", protection: signed") + "protection: { signed: { proposals: [ah-sha256] } }\n")
        right, left = NETS[inner]["right"] % 10, NETS[inner]["left"] % 10
        expect("IPv%d in IPv%d: a ping" % (inner, outer), pings(s.left, right).returncode == 0)
        sent, heard, mark = reaches(s.right, s.left, left)
        expect("UDP", sent and heard and s.saw(mark))
        expect("as AH: %s" % s.protocols(), s.protocols() == {AH, UDP})
        big_packets(s, inner, seen=True)
        for h in (s.gl, s.gr):
            h.kill(15)


def big_packets(s, inner, seen=False):
    """What does not fit is fragmented inside, or its sender is told; TCP sends what fits."""
    left, right = NETS[inner]["left"] % 10, NETS[inner]["right"] % 10
    mark, r = marker() * 500, s.right.udp("::" if inner == 6 else "0.0.0.0", 4322)
    r.settimeout(5)
    heard = False
    with s.left.socket(r.family, socket.SOCK_DGRAM) as c:
        for _ in range(2 if inner == 6 else 1):  # routers do not fragment IPv6: the first tells what fits
            c.sendto(mark, (right, 4322))
            try:
                heard = r.recv(9000) == mark
            except (socket.timeout, TimeoutError):
                pass
            if heard:
                break
    r.close()
    expect("IPv%d: a datagram of 8000 octets, in fragments" % inner, heard and s.saw(mark[:16]) == seen)
    if inner == 4:
        expect("the first with DF is refused by the gateway, with the size that fits",
               "mtu" in pings(s.left, right, "-s", "1460", "-M", "do", seconds=2).stdout)
        expect("and one of that size is taken", pings(s.left, right, "-s", "1372", "-M", "do").returncode == 0)
    else:
        first = pings(s.left, right, "-s", "1440", "-M", "do", seconds=2)
        expect("too big is told by the gateway", "mtu" in first.stdout or "too big" in first.stdout.lower())
    listener = s.right.socket(socket.AF_INET6 if inner == 6 else socket.AF_INET, socket.SOCK_STREAM, 0,
                              ("::" if inner == 6 else "0.0.0.0", 4444))
    listener.listen()
    c = s.left.socket(socket.AF_INET6 if inner == 6 else socket.AF_INET, socket.SOCK_STREAM)
    c.settimeout(10)
    listener.settimeout(10)
    c.connect((right, 4444))
    d, _ = listener.accept()
    d.settimeout(10)
    block, got = marker() * 65536, 0
    import threading
    t = threading.Thread(target=lambda: (c.sendall(block), c.shutdown(socket.SHUT_WR)))
    t.start()
    while True:
        part = d.recv(65536)
        if not part:
            break
        got += len(part)
    t.join()
    for x in (c, d, listener):
        x.close()
    expect("IPv%d: a megabyte by TCP" % inner, got == len(block) and s.saw(block[:16]) == seen)


def nothing_clear():
    """without an SA nothing leaves; what is forged outside, or comes from the far network in clear, is dropped"""
    s = Site()
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    s.gl.sysctl("net/ipv4/ip_forward", "0")
    s.start(rule(), [s.gl])  # the other gateway has no Cordon: it forwards whatever comes
    expect("a gateway that does not forward is warned of", "net.ipv4.ip_forward is 0" in s.gl.log())
    s.gl.sysctl("net/ipv4/ip_forward", "1")
    sent, heard, mark = reaches(s.left, s.right, right, wait=2)
    expect("nothing gets through without an SA", not heard and not s.saw(mark))
    sent, heard, mark = reaches(s.right, s.left, left, wait=2)
    expect("what comes in clear from the far network is dropped, though it was on the wire", not heard and s.saw(mark))
    s.start(rule(), [s.gr])
    expect("with both it goes", wait_until(lambda: pings(s.left, right).returncode == 0, 15))
    for source, target, name in ((right, left, "from far to near"), (right, NETS[4]["left"] % 1, "to the gateway")):
        mark = marker()
        r = s.left.udp("0.0.0.0", 4500 + 21)
        g = s.gl.udp("0.0.0.0", 4500 + 21)
        raw = s.router.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        udp = struct.pack("!HHHH", 4521, 4521, 8 + len(mark), 0) + mark
        raw.sendto(ipv4(source, target, UDP, udp), (NETS[4]["gl"] % 2, 0))
        heard = False
        for sock in (r, g):
            try:
                heard |= mark in sock.recv(2048)
            except (socket.timeout, TimeoutError):
                pass
            sock.close()
        raw.close()
        expect("forged outside, %s: dropped" % name, not heard)
    kernel = by_kernel(s.gl)
    s.gl.kill()  # -9: the rules stay; the kernel's SAs, too
    sent, heard, mark = reaches(s.left, s.right, right, wait=2)
    expect("a dead daemon stops the traffic, or the kernel goes on with it, protected", heard == kernel and not s.saw(mark))


def gateways_own():
    """what a gateway itself says to the far network, and what is said to it"""
    s = Site()
    s.start(rule())
    expect("from its address in the network", pings(s.gl, NETS[4]["right"] % 10, "-I", NETS[4]["left"] % 1).returncode == 0)
    expect("from there to it", pings(s.right, NETS[4]["left"] % 1).returncode == 0)
    expect("gateway to gateway, inside", pings(s.gl, NETS[4]["right"] % 1, "-I", NETS[4]["left"] % 1).returncode == 0)
    expect("all of it as ESP", s.protocols() == {ESP, UDP})
    expect("outside of the rule they speak in clear", pings(s.gl, NETS[4]["gr"] % 2).returncode == 0 and
           ICMP in s.protocols())


def exemptions():
    """more specific exemptions and blocks hold at the gateways too"""
    s = Site()
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    more = ('  - { name: open, endpoint1: ["%s"], endpoint2: ["%s"], mode: exempt, protocol: tcp, port2: 80 }\n'
            '  - { name: never, endpoint1: ["%s"], endpoint2: ["%s"], mode: block, protocol: udp, port2: 7 }\n'
            % (left, right, left, right))
    s.start(rule() + more)
    expect("the tunnel works", pings(s.left, right).returncode == 0)
    listener = s.right.socket(socket.AF_INET, socket.SOCK_STREAM, 0, ("0.0.0.0", 80))
    listener.listen()
    c = s.left.socket(socket.AF_INET, socket.SOCK_STREAM)
    c.settimeout(5)
    try:
        c.connect((right, 80))
        d, _ = listener.accept()
        mark = marker()
        d.sendall(mark)
        heard = c.recv(64) == mark
    except OSError:
        heard, mark = False, b"?"
    expect("what is exempt goes beside it, in clear", heard and s.saw(mark))
    c.close()
    listener.close()
    sent, heard, mark = reaches(s.left, s.right, right, port=7, wait=2)
    expect("what is blocked goes nowhere", not heard and not s.saw(mark))
    sent, heard, mark = reaches(s.left, s.right, right, port=9)
    expect("the next port is in the tunnel", heard and not s.saw(mark))


def protected_already():
    """what is ESP already goes through the tunnel like all else, or beside it where the rule says so"""
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    for beside in (False, True):
        s = Site()
        r = rule()
        if beside:
            r = r.replace('" } }', '", exempt-protected: true } }')
        s.start(r)
        expect("the tunnel works", pings(s.left, right).returncode == 0)
        sender = s.left.socket(socket.AF_INET, socket.SOCK_RAW, ESP)
        listener = s.right.socket(socket.AF_INET, socket.SOCK_RAW, ESP)
        listener.settimeout(3)
        mark = marker()
        sender.sendto(struct.pack("!II", 4711, 1) + mark, (right, 0))
        try:
            heard = mark in listener.recv(2048)
        except (socket.timeout, TimeoutError):
            heard = False
        sender.close()
        listener.close()
        expect("ESP of the machines themselves arrives, %s the tunnel" % ("beside" if beside else "in"),
               heard and s.saw(mark) == beside)
        for h in (s.gl, s.gr):
            h.kill(15)


def applied():
    """a new plan leaves a tunnel as it is if it goes on with it, and ends it if it does not"""
    s = Site()
    s.start(rule())
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    expect("up", pings(s.left, right).returncode == 0)
    before = [r["spi_in"] for r in s.gl.json("show", "quick-mode")["rows"]]
    more = '  - { name: other, endpoint1: ["10.99.0.1"], endpoint2: ["10.99.0.2"], mode: exempt }\n'
    for h in (s.gl, s.gr):
        h.cordon("apply", h.policy(HEAD + rule() + more))
    after = [r["spi_in"] for r in s.gl.json("show", "quick-mode")["rows"]]
    expect("the same SA goes on", len(before) == 1 and before == after and pings(s.left, right).returncode == 0)
    for h in (s.gl, s.gr):
        h.cordon("apply", h.policy(HEAD + more))
    expect("without the rule it ends", wait_until(lambda: not s.gl.json("show", "quick-mode")["rows"]))
    sent, heard, mark = reaches(s.left, s.right, right)
    expect("and the traffic is clear", heard and s.saw(mark) and left != right)


def host_to_gateway():
    """a host that is its own tunnel end, by its address"""
    s = Site()
    r = rule(end2=NETS[4]["roam"] % 2, tunnel2=NETS[4]["roam"] % 2)
    s.start(r, [s.gl, s.roamer])
    expect("host to network", pings(s.roamer, NETS[4]["left"] % 10).returncode == 0)
    sent, heard, mark = reaches(s.left, s.roamer, NETS[4]["roam"] % 2)
    expect("network to host", heard and not s.saw(mark))
    expect("as ESP, the network's addresses hidden", s.protocols() == {ESP, UDP} and
           not s.saw_address(NETS[4]["left"] % 10))


def dynamic():
    """one end any: whoever comes from anywhere is its own tunnel end"""
    s = Site()
    s.start(rule(end2="any", tunnel2="any").replace('["any"]', "any"), [s.gl, s.roamer])
    left, roam = NETS[4]["left"] % 10, NETS[4]["roam"] % 2
    expect("from anywhere to the network", pings(s.roamer, left).returncode == 0)
    sent, heard, mark = reaches(s.left, s.roamer, roam)
    expect("and back", heard and not s.saw(mark))
    expect("as ESP, the network's addresses hidden", s.protocols() == {ESP, UDP} and not s.saw_address(left))
    sent, heard, mark = reaches(s.right, s.left, left, wait=2)
    expect("who is without Cordon does not get in", not heard)
    rows = s.gl.json("show", "quick-mode")["rows"]
    expect("the gateway carries that one address for it", any(row["remote"] == roam for row in rows))


def hub():
    """from one branch to another through the tunnels of both to a hub"""
    s = Site()
    everything = "10.91.0.0/16"
    hub_at = NETS[4]["roam"] % 2
    rules = (rule(name="left branch", end1=net(4, "left"), end2=everything, tunnel2=hub_at) +
             rule(name="right branch", end1=net(4, "right"), end2=everything, tunnel1=NETS[4]["gr"] % 2, tunnel2=hub_at))
    s.roamer.sysctl("net/ipv4/ip_forward", "1")
    s.start(rules, [s.gl, s.gr, s.roamer])
    left, right = NETS[4]["left"] % 10, NETS[4]["right"] % 10
    expect("branch to branch", pings(s.left, right).returncode == 0)
    sent, heard, mark = reaches(s.right, s.left, left)
    expect("and back", heard and not s.saw(mark))
    expect("as ESP", s.protocols() == {ESP, UDP})
    expect("at home nothing changes", pings(s.left, NETS[4]["left"] % 1).returncode == 0)


if __name__ == "__main__":
    main([gateway_to_gateway, families, by_ah, nothing_clear, gateways_own, exemptions, protected_already, applied, host_to_gateway, dynamic, hub])
