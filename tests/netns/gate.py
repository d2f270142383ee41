#!/usr/bin/env python3
"""What the gate lets through, read from the wire: every way around the protection that we know of is a test."""

import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

A4, B4, A6, B6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
FAMILIES = ((A4, B4), (A6, B6))


class Pair:
    """Two hosts on one wire. b runs no gate unless asked to, so it says what really arrives."""

    def __init__(self, a_policy=None, b_policy=None, tun=True):
        self.a, self.b = Namespace("a"), Namespace("b")
        wire(self.a, self.b)
        address(self.a, "eth0", A4 + "/24", A6 + "/64")
        address(self.b, "eth0", B4 + "/24", B6 + "/64")
        self.wire = Capture(self.b)
        self.ta = self.tb = None
        if a_policy:
            self.ta = Tool(self.a, A4, A6, tun=tun)
            self.ta.apply(a_policy)
        if b_policy:
            self.tb = Tool(self.b, B4, B6, tun=tun)
            self.tb.apply(b_policy)

    def say(self, here, there, there_host=None, here_host=None, port=7000, **more):
        """One datagram: (heard, seen in clear on the wire)."""
        out = (here_host or self.a).udp(here, **more)
        into = (there_host or self.b).udp(there, port)
        _, heard, mark = udp_reaches(out, into, there, port)
        return heard, self.wire.has(mark)


def both(mode, name="all", **more):
    return (POLICY + rule(name, mode, A4, B4, **more) + rule(name + " 6", mode, A6, B6, **more))


PROTECTED = (True, False)
CLEAR = (True, True)
DROPPED_HERE = (False, False)
DROPPED_THERE = (False, True)


def protects():
    """What the plan protects goes through the TUN and is nowhere on the wire, both families, under strict rp_filter."""
    p = Pair(both("require"), both("require"))
    for here, there in FAMILIES:
        expect("%s -> %s is protected" % (here, there), p.say(here, there) == PROTECTED)
        expect("%s -> %s is protected" % (there, here), p.say(there, here, p.a, p.b) == PROTECTED)
    server = p.b.socket(socket.AF_INET, socket.SOCK_STREAM, 0, (B4, 80))
    server.listen()
    client = p.a.socket(socket.AF_INET, socket.SOCK_STREAM, 0, (A4, 0))
    client.settimeout(3)
    client.connect((B4, 80))
    there, _ = server.accept()
    mark = marker()
    there.sendall(mark)
    expect("TCP is answered", client.recv(100) == mark)
    mss = client.getsockopt(socket.IPPROTO_TCP, 2)
    expect("its MSS leaves room for ESP (%d)" % mss, 1200 <= mss <= 1380)
    expect("TCP is not on the wire", not p.wire.has(mark) and socket.IPPROTO_TCP not in p.wire.protocols())
    expect("other traffic flows", p.a.sh("ping", "-c1", "-W1", "127.0.0.1"))


def clear_in():
    """require drops clear packets to us, counts them by rule, and leaves alone what no rule speaks of."""
    p = Pair(a_policy=both("require"))
    address(p.b, "eth0", "10.0.0.3/24", "fd00::3/64")
    for here, there in FAMILIES:
        expect("%s -> %s is dropped" % (there, here), p.say(there, here, p.a, p.b) == DROPPED_THERE)
    expect("an outsider is let in", p.say("10.0.0.3", A4, p.a, p.b) == CLEAR)
    expect("an outsider is let in, IPv6", p.say("fd00::3", A6, p.a, p.b) == CLEAR)
    c = p.ta.counters()
    expect("counted by rule", c["clear-in", "all"] == 1 and c["clear-in", "all 6"] == 1)


def established_before():
    """A connection from before the policy does not escape it."""
    for here, there in FAMILIES:
        p = Pair(a_policy=POLICY + rule("other", "require", "10.9.9.9", "10.9.9.8"))
        out, into = p.a.udp(here, 4001), p.b.udp(there, 4002)
        expect("before: clear", udp_reaches(out, into, there, 4002)[1] and udp_reaches(into, out, here, 4001)[1])
        p.ta.apply(both("require"))
        mark = marker()
        _, heard, _ = udp_reaches(into, out, here, 4001, mark)
        expect("after: the answer is dropped", not heard)
        _, heard, mark = udp_reaches(out, into, there, 4002)
        expect("after: nothing goes out in clear", not heard and not p.wire.has(mark))
        p.ta.kill()


def new_address():
    """An address that the plan does not know yet says nothing in clear to those whom a rule protects, nor hears them."""
    p = Pair(a_policy=both("require"))
    address(p.a, "eth0", "10.0.0.9/24", "fd00::9/64")
    address(p.b, "eth0", "10.0.0.3/24", "fd00::3/64")
    for here, there, other in (("10.0.0.9", B4, "10.0.0.3"), ("fd00::9", B6, "fd00::3")):
        expect("%s -> %s is dropped" % (here, there), p.say(here, there) == DROPPED_HERE)
        expect("%s -> %s is dropped" % (there, here), p.say(there, here, p.a, p.b) == DROPPED_THERE)
        expect("%s -> %s, of whom no rule speaks, flows" % (here, other), p.say(here, other) == CLEAR)
        expect("%s -> %s flows" % (other, here), p.say(other, here, p.a, p.b) == CLEAR)
    expect("counted", p.ta.counters()["new-address", "-"] >= 4)
    p.ta.apply(POLICY + rule("all", "require", "any", "any"))
    expect("with a rule for all it is dropped for all", p.say("10.0.0.9", "10.0.0.3") == DROPPED_HERE)
    p.ta.apply(POLICY + rule("all", "exempt", "any", "any"))
    expect("with an exemption it is not dropped", p.say("10.0.0.9", B4) == CLEAR)


def bound_sockets():
    """A socket that is bound to the network card cannot go around the TUN."""
    p = Pair(both("require"))
    for here, there in FAMILIES:
        expect("SO_BINDTODEVICE, " + here, p.say(here, there, device="eth0") == DROPPED_HERE)
    s = p.a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW, device="eth0")
    mark = marker()
    try:
        s.sendto(ipv4(A4, B4, 17, struct.pack("!HHHH", 5000, 7000, 24, 0) + mark), (B4, 0))
    except OSError:
        pass
    expect("a raw socket with its own header", not p.wire.has(mark))


def our_ports():
    """A program that sends from port 500 or 4500, or ESP of its own, without our mark is judged like any other."""
    p = Pair(both("require"))
    for port in (500, 4500):
        for here, there in FAMILIES:
            expect("from port %d, %s" % (port, here), p.say(here, there, port=port) == DROPPED_HERE or
                   p.wire.frames and not p.say(here, there, port=port)[1])
            out = p.a.udp(here, port)
            mark = marker()
            try:
                out.sendto(mark, (there, port))
            except OSError:
                pass
            expect("from and to port %d, %s" % (port, here), not p.wire.has(mark))
    # an unprivileged user, really
    mark = marker()
    script = ("import socket,sys;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind((%r,4500));"
              "s.sendto(bytes.fromhex(%r),(%r,4500))" % (A4, mark.hex(), B4))
    subprocess.run(["ip", "netns", "exec", p.a.name, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                    sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    expect("nobody's datagram from 4500", not p.wire.has(mark))
    s = p.a.socket(socket.AF_INET, socket.SOCK_RAW, 50)
    mark = marker()
    try:
        s.sendto(mark, (B4, 0))
    except OSError:
        pass
    expect("ESP that is not ours", not p.wire.has(mark))
    # and the other way: a port of ours opens nothing to a program that is not us
    expect("to a program on 4500", p.say(B4, A4, p.a, p.b, port=4500) == DROPPED_THERE)
    own = p.a.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, (A4, 500), mark=0x02000000)
    peer = p.b.udp(B4, 500)
    _, heard, mark = udp_reaches(own, peer, B4, 500)
    expect("our own IKE leaves", heard)
    expect("our own IKE arrives", udp_reaches(peer, own, A4, 500)[1])


def icmp_errors():
    """An ICMP error follows the packet that it quotes, both ways."""
    p = Pair(both("require"))
    # what a closed port answers to a packet that came under protection: simulate by an earlier clear flow
    p.ta.apply(both("exempt"))
    out, mark = p.b.udp(B4, 5353), marker()
    p.ta.apply(both("request"))
    out.sendto(mark, (A4, 9))  # request lets it in; nobody listens on port 9
    time.sleep(0.2)
    errors = [f for f in p.wire.read() if f[12:14] == b"\x08\x00" and f[23] == 1 and mark in f]
    expect("no clear error quotes a packet of the pair", not errors)
    p.ta.apply(both("require"))
    # a forged error about a protected connection, from the peer and from a router that quotes us
    for source in (B4, "10.0.0.77"):
        flow = p.a.udp(A4, 6001)
        flow.connect((B4, 6002))
        flow.send(b"x")
        quoted = ipv4(A4, B4, 17, struct.pack("!HHHH", 6001, 6002, 9, 0) + b"x")
        body = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        raw = p.b.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.sendto(ipv4(source, A4, 1, body), (A4, 0))
        time.sleep(0.1)
        refused = False
        try:
            flow.recv(100)
        except ConnectionRefusedError:
            refused = True
        except (socket.timeout, TimeoutError):
            pass
        expect("a clear error from %s about a protected flow is not believed" % source, not refused)
        flow.close()


def icmp_errors_of_esp():
    """What a router says of our ESP arrives, or the path MTU outside would never be learnt."""
    p = Pair(both("require"), both("require"))
    expect("ESP has left", p.say(A4, B4) == PROTECTED)
    esp = next(f for f in p.wire.read() if f[12:14] == b"\x08\x00" and f[23] == 50 and
               f[26:30] == socket.inet_aton(A4))
    listener = p.a.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw = p.b.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    body = struct.pack("!BBHHH", 3, 4, 0, 0, 1400) + esp[14:14 + 28]
    raw.sendto(ipv4("10.0.0.77", A4, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]), (A4, 0))
    try:
        heard = esp[14:14 + 28] in listener.recv(1000)
    except (socket.timeout, TimeoutError):
        heard = False
    expect("fragmentation needed, quoting ESP, arrives", heard)


def icmp_errors_of_exempt():
    """An error about an exempt connection does arrive: without it path MTU discovery would fail."""
    policy = POLICY + rule("all", "require", A4, B4) + rule("dns", "exempt", A4, B4, protocol="udp", port2=53)
    p = Pair(policy)
    flow = p.a.udp(A4, 6001)
    flow.connect((B4, 53))
    flow.send(b"x")
    refused = False
    try:
        flow.recv(100)
    except ConnectionRefusedError:
        refused = True
    except (socket.timeout, TimeoutError):
        pass
    expect("port unreachable of an exempt connection arrives", refused)


def death():
    """kill -9 takes the TUN away; what is protected stops, what is exempt flows, nothing is clear."""
    policy = both("require") + rule("dns", "exempt", A4, B4, protocol="udp", port2=53)
    p = Pair(policy, policy)
    expect("before: protected", p.say(A4, B4) == PROTECTED)
    p.ta.kill()
    expect("the TUN is gone", "cordon0" not in p.a.sh("ip", "link"))
    for here, there in FAMILIES:
        expect("%s -> %s is stopped" % (here, there), p.say(here, there) == DROPPED_HERE)
        expect("%s -> %s bound to the device is stopped" % (here, there),
               p.say(here, there, device="eth0") == DROPPED_HERE)
        expect("clear to %s is dropped" % here, p.say(there, here, p.a, p.b)[0] is False)
    expect("exempt traffic flows", p.say(A4, B4, port=53) == CLEAR)
    p.ta = Tool(p.a, A4, A6)
    p.ta.apply(policy)
    expect("after a restart: protected", p.say(A4, B4) == PROTECTED)
    p.ta.tell("close-tun")
    expect("TUN closed: stopped", p.say(A4, B4) == DROPPED_HERE)
    p.ta.tell("open-tun")
    expect("TUN opened again: protected", p.say(A4, B4) == PROTECTED)


def flushed():
    """Another program flushes our table, rules or routes: they are back within a second, and nothing was clear."""
    p = Pair(both("require"), both("require"))
    talkers = [Talker(p.a, B4), Talker(p.a, B6), Talker(p.b, A4), Talker(p.b, A6)]
    damage = [
        ("nft flush ruleset", ["nft", "flush", "ruleset"]),
        ("nft delete table", ["nft", "delete", "table", "inet", "cordon"]),
        ("nft flush chain", ["nft", "flush", "chain", "inet", "cordon", "output"]),
        ("nft flush table", ["nft", "flush", "table", "inet", "cordon"]),
        ("nft delete element", ["nft", "delete", "element", "inet", "cordon", "own_ip", "{", A4, "}"]),
        ("nft insert rule", ["nft", "insert", "rule", "inet", "cordon", "output", "accept"]),
        ("ip rule flush", ["ip", "rule", "flush"]),
        ("ip rule del", ["ip", "rule", "del", "fwmark", "0x1000000/0x1f000000"]),
        ("ip route flush table 100", ["ip", "route", "flush", "table", "100"]),
        ("ip -6 route flush table 100", ["ip", "-6", "route", "flush", "table", "100"]),
        ("ip -6 rule flush", ["ip", "-6", "rule", "flush"]),
        ("the TUN down and up", ["sh", "-c", "ip link set cordon0 down; ip link set cordon0 up"]),
    ]
    for what, words in damage:
        start = time.time()
        p.a.sh(*words)
        if "rule flush" in what:  # which takes main and local away too
            p.a.sh("sh", "-c", "ip rule add priority 32766 lookup main; ip -6 rule add priority 32766 lookup main")
        if "TUN" not in what:
            p.ta.wait_for("restored", timeout=3)
        took = time.time() - start
        time.sleep(0.3)
        expect("%s: restored in %.0f ms" % (what, took * 1000), took < 1)
        expect("%s: protected again" % what, p.say(A4, B4) == PROTECTED and p.say(A6, B6) == PROTECTED)
        clear = [sum(t.mark in f for f in p.wire.read()) for t in talkers]
        expect("%s: nothing was clear: %s of %d frames" % (what, clear, len(p.wire.frames)), clear == [0, 0, 0, 0])
        p.wire.frames.clear()
    for t in talkers:
        t.end()
        expect("%d datagrams, none clear on the wire" % t.sent, t.sent > 1000 and not p.wire.has(t.mark))
    expect("the second barrier had to do with it", p.ta.counters()["guarded", "-"] > 0)
    with p.ta.news:
        p.ta.lines.clear()
    # what is not ours is none of our business, and our own changes are not taken for somebody else's
    p.a.sh("nft", "add", "table", "inet", "other")
    p.a.sh("ip", "route", "add", "10.5.0.0/16", "via", B4)
    p.ta.tell("fallback", A4, B4, 5)
    p.ta.tell("secured", A4, B4)
    p.ta.apply(both("require"))
    time.sleep(0.5)
    expect("it does not restore what nobody touched", "restored" not in p.ta.lines)


def flushed_for_good():
    """While nobody puts the table back, the second barrier stops what it protected, both ways, and nothing else."""
    p = Pair(both("require"))
    address(p.b, "eth0", "10.0.0.3/24", "fd00::3/64")
    os.kill(p.ta.child(), signal.SIGSTOP)
    p.a.sh("nft", "flush", "ruleset")
    for here, there, other in ((A4, B4, "10.0.0.3"), (A6, B6, "fd00::3")):
        expect("%s -> %s is stopped" % (here, there), p.say(here, there) == DROPPED_HERE)
        expect("%s -> %s is stopped" % (there, here), p.say(there, here, p.a, p.b) == DROPPED_THERE)
        expect("%s -> %s flows" % (here, other), p.say(here, other) == CLEAR)
        expect("%s -> %s flows" % (other, here), p.say(other, here, p.a, p.b) == CLEAR)
        expect("to itself", p.say(here, here, p.a, p.a)[0])
        expect("no reply by ICMP", not p.a.pings(there))
    expect("others cannot take it away", "cordon_guard" in p.a.sh("nft", "list", "tables") and
           "not permitted" in p.a.sh("nft", "delete", "table", "inet", "cordon_guard", check=False))
    os.kill(p.ta.child(), signal.SIGCONT)
    p.ta.wait_for("restored table by nft", timeout=3)
    expect("counted", p.ta.counters()["guarded", "-"] >= 4)
    p.ta.kill()
    expect("it goes with the daemon", "cordon_guard" not in p.a.sh("nft", "list", "tables"))
    expect("and the table stays", p.say(A4, B4) == DROPPED_HERE and p.say(A4, "10.0.0.3") == CLEAR)


# In iptables' table mangle, or by wg-quick: the packet gets its connection's mark, and what was in its own is gone.
OTHERS_MARKS = "table inet others { chain arriving { type filter hook prerouting priority mangle; meta mark set ct mark; }; }"


def others_marks():
    """Who changes the marks of all that arrives takes nothing from the second barrier, before us or behind us."""
    p = Pair()
    p.ta = Tool(p.a, A4, A6)
    p.a.nft(OTHERS_MARKS)
    p.ta.apply(both("request"))

    def flows(order):
        for here, there in FAMILIES:
            expect("%s: %s -> %s is let in" % (order, there, here), p.say(there, here, p.a, p.b) == CLEAR)

    flows("ours is the newer one")
    p.a.nft("delete table inet others; " + OTHERS_MARKS)
    flows("theirs is")
    expect("the second barrier had nothing to do", p.ta.counters()["guarded", "-"] == 0)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def soon(condition, seconds):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            return False
        time.sleep(0.002)
    return True


def flushed_at_loading():
    """A flush while a large policy is being loaded, which then fails: the gate does not hear of it, and still mends it."""
    p = Pair(both("require"), both("require"))
    large = both("require") + "".join(rule("r%d" % i, "require", A4, "10.%d.%d.%d" % (1 + i // 40000, i // 200 % 200, i % 200))
                                      for i in range(4000))
    # who owns the table where the next ruleset is made ready
    owner = subprocess.Popen(["ip", "netns", "exec", p.a.name, "nft", "-i"], stdin=subprocess.PIPE, text=True, bufsize=1,
                             stdout=subprocess.DEVNULL)
    on_exit(owner.kill)
    owner.stdin.write("add table inet cordon_next { flags owner; }\n")
    expect("a table in the way", soon(lambda: "cordon_next" in p.a.sh("nft", "list", "tables"), 5))
    answers = []
    loading = threading.Thread(target=lambda: answers.append(try_apply(p.ta, large)))
    loading.start()
    expect("nft is at work", soon(lambda: children(p.ta.child()), 20))
    p.a.sh("nft", "flush", "ruleset")
    loading.join()
    expect("the load has failed: %s" % answers, answers and answers[0].startswith("error"))
    p.ta.wait_for("restored table", timeout=5)
    for here, there in FAMILIES:
        expect("%s -> %s is protected again" % (here, there), p.say(here, there) == PROTECTED)


def try_apply(tool, text):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(text)
        f.flush()
        return tool.tell("apply", f.name, fail=True)


def modes():
    """The five modes, towards a peer that knows of nothing."""
    for here, there in FAMILIES:
        p = Pair(both("exempt"))
        p.ta.apply(both("block"))
        expect("block: out", p.say(here, there) == DROPPED_HERE)
        expect("block: in", p.say(there, here, p.a, p.b) == DROPPED_THERE)
        c = p.ta.counters()
        expect("block: counted", sum(v for (k, _), v in c.items() if k.startswith("blocked")) == 2)
        p.ta.apply(both("exempt"))
        expect("exempt: out", p.say(here, there) == CLEAR)
        expect("exempt: in", p.say(there, here, p.a, p.b) == CLEAR)

        for mode in ("request", "require-inbound"):
            p.ta.apply(both(mode))
            p.ta.tell("hold")
            out, into = p.a.udp(here, 4100), p.b.udp(there, 4101)
            _, heard, mark = udp_reaches(out, into, there, 4101)
            expect(mode + ": out is held first", not heard and not p.wire.has(mark))
            p.ta.tell("fallback", here, there, 60)
            p.ta.tell("release")
            expect(mode + ": what was held leaves in clear", into.recv(100) == mark and p.wire.has(mark))
            expect(mode + ": then clear at once", udp_reaches(out, into, there, 4101)[1])
            expect(mode + ": answers are accepted", udp_reaches(into, out, here, 4100)[1])
            expect(mode + ": new ones from there", p.say(there, here, p.a, p.b) ==
                   (CLEAR if mode == "request" else DROPPED_THERE))
            p.ta.tell("no-fallback", here, there)
            expect(mode + ": and held again afterwards", p.say(here, there) == DROPPED_HERE or
                   p.ta.tell("protect") and not p.say(here, there)[1])
            p.ta.tell("protect")
        p.ta.kill()


def secured():
    """A flow that has been secured never returns to clear text, whichever way; a new flow follows its mode."""
    p = Pair(both("request"), both("request"))
    for here, there in FAMILIES:
        out, into = p.a.udp(here, 4200), p.b.udp(there, 4201)
        _, heard, mark = udp_reaches(out, into, there, 4201)
        expect("protected", heard and not p.wire.has(mark))
        expect("answered", udp_reaches(into, out, here, 4200)[1])
        # the peer is taken for one without IKE, and even answers in clear
        p.ta.tell("fallback", here, there, 60)
        _, heard, mark = udp_reaches(out, into, there, 4201)
        expect("the secured flow stays protected", heard and not p.wire.has(mark))
        expect("a new flow is clear", p.say(here, there, port=4300)[1])
        p.tb.tell("disable")
        _, heard, _ = udp_reaches(into, out, here, 4200)
        expect("a clear packet of the secured flow is dropped", not heard)
        p.ta.tell("hold")
        _, _, mark = udp_reaches(out, into, there, 4201)
        p.ta.tell("release")
        expect("nor does the plane let it out in clear", not p.wire.has(mark))
        c = p.ta.counters()
        expect("which is counted", c["release-refused", "-"] >= 1)
        # the bit survives another policy
        p.ta.apply(both("request"))
        _, _, mark = udp_reaches(out, into, there, 4201)
        expect("nor after a new policy", not p.wire.has(mark))
        p.tb.apply(both("request"))
        p.ta.tell("no-fallback", here, there)


def secured_one_way():
    """A flow that is never answered is secured as well once there is an SA with the peer."""
    p = Pair(both("request"), both("request"))
    p.ta.tell("secured", A4, B4)
    out, into = p.a.udp(A4, 4400), p.b.udp(B4, 4401)
    _, heard, mark = udp_reaches(out, into, B4, 4401)
    expect("protected", heard and not p.wire.has(mark))
    p.ta.tell("unsecured", A4, B4)
    p.ta.tell("fallback", A4, B4, 60)
    _, _, mark = udp_reaches(out, into, B4, 4401)
    expect("it stays protected", not p.wire.has(mark))
    # known after somebody has taken the table away, and unknown to another daemon, which has no SA
    def known():
        return A4 in p.a.sh("nft", "list", "set", "inet", "cordon", "secured_ip")
    p.ta.tell("secured", A4, B4)
    p.a.sh("nft", "flush", "ruleset")
    p.ta.wait_for("restored")
    expect("restored with the table", known())
    p.ta.kill()
    expect("the table outlives us", known())
    p.ta = Tool(p.a, A4, A6)
    p.ta.apply(both("request"))
    expect("a new daemon begins with none", not known())


def fallback_survives():
    """Who fell back is remembered over a new policy and forgotten in time."""
    p = Pair(both("request"))
    p.ta.tell("fallback", A4, B4, 4)
    p.ta.apply(both("request", name="renamed"))
    expect("clear after a new policy", p.say(A4, B4) == CLEAR)
    c = p.ta.counters()
    p.ta.apply(both("request", name="renamed"))
    expect("counters go on", p.ta.counters()["clear-out", "renamed"] == c["clear-out", "renamed"] == 1)
    time.sleep(5.5)
    expect("and forgotten", p.say(A4, B4) == DROPPED_HERE)


def exempt_ports():
    """An exemption with ports follows the connection: a source port of 53 opens nothing."""
    policy = both("require") + rule("dns", "exempt", A4, B4, protocol="udp", port2=53) + \
        rule("dns6", "exempt", A6, B6, protocol="udp", port2=53)
    p = Pair(policy)
    for here, there in FAMILIES:
        out, server = p.a.udp(here, 5001), p.b.udp(there, 53)
        expect("a question goes out in clear", udp_reaches(out, server, there, 53)[1])
        expect("and is answered", udp_reaches(server, out, here, 5001)[1])
        other = p.a.udp(here, 5002)
        expect("port 53 there does not open a port here", not udp_reaches(server, other, here, 5002)[1])
        from53 = p.a.udp(here, 53)
        into = p.b.udp(there, 5003)
        _, heard, mark = udp_reaches(from53, into, there, 5003)
        expect("port 53 here opens nothing there", not heard and not p.wire.has(mark))
        expect("to port 53 here: nothing either", not udp_reaches(into, from53, here, 53)[1])


def per_family():
    """A rule for one family says nothing of the other."""
    p = Pair(POLICY + rule("four", "require", A4, B4))
    expect("IPv4 is protected", not p.say(A4, B4)[1])
    expect("IPv6 is clear", p.say(A6, B6) == CLEAR and p.say(B6, A6, p.a, p.b) == CLEAR)
    p.ta.apply(POLICY + rule("six", "require", A6, B6))
    expect("IPv6 is protected", not p.say(A6, B6)[1])
    expect("IPv4 is clear", p.say(A4, B4) == CLEAR)


class Box:
    """A host a with a container c on a bridge behind it."""

    def __init__(self, pair):
        self.c = Namespace("c")
        a = pair.a
        a.sh("ip", "link", "add", "br0", "type", "bridge")
        a.sh("ip", "link", "set", "br0", "up")
        wire(a, self.c, "v0", "eth0")
        a.sh("ip", "link", "set", "v0", "master", "br0")
        address(a, "br0", "172.30.0.1/24", "fd30::1/64")
        address(self.c, "eth0", "172.30.0.2/24", "fd30::2/64")
        self.c.sh("ip", "route", "add", "default", "via", "172.30.0.1")
        self.c.sh("ip", "-6", "route", "add", "default", "via", "fd30::1")
        a.sysctl("net/ipv4/ip_forward", 1)
        a.sysctl("net/ipv6/conf/all/forwarding", 1)
        # as a container engine does it: masquerade what does not stay on the bridge, publish port 8080
        a.nft("""table inet engine {
            chain post { type nat hook postrouting priority 100; policy accept;
                ip saddr 172.30.0.0/24 oifname != "br0" masquerade
                ip6 saddr fd30::/64 oifname != "br0" masquerade
            }
            chain pre { type nat hook prerouting priority -100; policy accept;
                ip daddr %s udp dport 8080 dnat ip to 172.30.0.2:80
                ip6 daddr %s udp dport 8080 dnat ip6 to [fd30::2]:80
                ip daddr %s tcp dport 8080 dnat ip to 172.30.0.2:80
            }
        }""" % (A4, A6, A4))


INSIDE = {A4: "172.30.0.2", A6: "fd30::2"}


def forwarded():
    """What is masqueraded from behind us is never clear; what no rule speaks of still flows."""
    p = Pair(both("exempt"), both("exempt"))
    box = Box(p)
    for here, there in FAMILIES:
        expect("exempt: the container reaches the peer", p.say(INSIDE[here], there, here_host=box.c)[0])
    for t in (p.ta, p.tb):
        t.apply(both("require"))
    for here, there in FAMILIES:
        heard, seen = p.say(INSIDE[here], there, here_host=box.c, port=7100)
        expect("require: nothing clear from %s" % INSIDE[here], not seen)
        heard, seen = p.say(INSIDE[here], there, here_host=box.c, port=7100)
        expect("require: the second packet is protected", heard and not seen)
    out, into = box.c.udp("172.30.0.2", 4500), p.b.udp(B4, 4500)
    mark = marker()
    out.sendto(mark, (B4, 4500))
    expect("from port 4500 of the container: nothing clear", not p.wire.has(mark))
    # a connection from before
    for t in (p.ta, p.tb):
        t.apply(both("exempt"))
    out, into = box.c.udp("172.30.0.2", 4600), p.b.udp(B4, 4601)
    expect("exempt: clear", udp_reaches(out, into, B4, 4601)[1])
    for t in (p.ta, p.tb):
        t.apply(both("require"))
    _, heard, mark = udp_reaches(out, into, B4, 4601)
    expect("a connection from before: nothing clear", not p.wire.has(mark))
    p.tb.tell("disable")
    mark = marker()
    expect("a clear answer to it does not come in",
           not udp_reaches(p.b.udp(B4, 4601), out, A4, 4600, mark)[1])


def forwarded_tcp():
    """A container's TCP connection to a protected peer comes up (its second SYN) and is protected."""
    p = Pair(both("require"), both("require"))
    box = Box(p)
    for here, there in FAMILIES:
        server = p.b.socket(family_of(there), socket.SOCK_STREAM, 0, (there, 80))
        server.listen()
        server.settimeout(5)
        client = box.c.socket(family_of(there), socket.SOCK_STREAM)
        client.settimeout(5)
        client.connect((there, 80))
        inside, (source, *_) = server.accept()
        mark = marker()
        inside.sendall(mark)
        expect("%s: up, from our address, and answered" % here, source == here and client.recv(100) == mark)
        expect("%s: nothing clear" % here, not p.wire.has(mark) and socket.IPPROTO_TCP not in p.wire.protocols())


def forwarded_fallback():
    """A container behind a requesting host reaches a peer that has no IKE."""
    p = Pair(both("request"))
    box = Box(p)
    for here, there in FAMILIES:
        p.say(INSIDE[here], there, here_host=box.c, port=7200)  # learned, and lost
        p.ta.tell("fallback", here, there, 60)
        expect("%s: the service it tried before" % here, p.say(INSIDE[here], there, here_host=box.c, port=7200) == CLEAR)
        out, into = box.c.udp(INSIDE[here]), p.b.udp(there, 7201)
        expect("%s: another service at once" % here, udp_reaches(out, into, there, 7201)[1])


def published():
    """A port published by DNAT is judged by our address and its port on the wire, both directions."""
    p = Pair(both("exempt"), both("exempt"))
    box = Box(p)
    for here, there in FAMILIES:
        inside = box.c.udp(INSIDE[here], 80)
        out = p.b.udp(there, 4700)
        for t in (p.ta, p.tb):
            t.apply(both("exempt"))
        expect("exempt: reaches the container", udp_reaches(out, inside, here, 8080)[1])
        mark = marker()
        inside.sendto(mark, (there, 4700))
        expect("exempt: answered", out.recv(100) == mark)
        p.ta.apply(both("require"))
        p.tb.tell("disable")
        _, heard, mark = udp_reaches(out, inside, here, 8080)
        expect("require: clear does not reach the container", not heard and p.wire.has(mark))
        mark = marker()
        inside.sendto(mark, (there, 4700))
        expect("require: nor does its answer leave in clear", not p.wire.has(mark))
        p.tb.apply(both("require"))
        _, heard, mark = udp_reaches(out, inside, here, 8080)
        expect("require: protected reaches the container", heard and not p.wire.has(mark))
        _, heard, mark = udp_reaches(inside, out, there, 4700)
        expect("require: its answer is protected", heard and not p.wire.has(mark))


def replaced_under_load():
    """While policies are replaced, no packet slips through between them."""
    p = Pair(both("require"), both("require"))
    out, mark = p.a.udp(A4, 4800), marker()
    other = p.b.udp(B4, 4801)
    done = threading.Event()

    def flood(s, to):
        while not done.is_set():
            try:
                s.sendto(mark, to)
            except OSError:
                pass

    flooding = threading.Thread(target=flood, args=(out, (B4, 4801)))
    flooding.start()
    begin, n = time.time(), 0
    while n < 6 or time.time() < begin + 3:
        p.ta.apply(both("require", name="all" if n % 2 else "other"))
        n += 1
    done.set()
    flooding.join()

    expect("%d replacements, %d frames, none clear" % (n, len(p.wire.read())), not p.wire.has(mark))


def short_way():
    """Between two that have an SA a packet is asked less, and fares as it does when it is asked everything."""
    p = Pair(both("require"), both("request"))  # who hears what is clear, too
    dns = rule("dns", "exempt", A4, B4, protocol="udp", port2=53) + rule("dns 6", "exempt", A6, B6, protocol="udp", port2=53)
    policies = {
        "require": (both("require"), True), "request": (both("request"), True),
        "require-inbound": (both("require-inbound"), True), "with an exemption": (both("require") + dns, False),
        "block": (both("block"), False), "exempt": (both("exempt"), False),
    }

    def sure():
        return [B4 in p.a.sh("nft", "list", "set", "inet", "cordon", "sure_ip"),
                B6 in p.a.sh("nft", "list", "set", "inet", "cordon", "sure_ip6")]

    def fates():
        return [p.say(here, there, port=port) for (here, there), port in zip(FAMILIES, (7000, 53))]

    def compare(what, want):
        expect("%s: in the sets: %s" % (what, want), sure() == [want, want])
        short = fates()
        for name in "sure_ip", "sure_ip6":
            p.a.sh("nft", "flush", "set", "inet", "cordon", name)
        long = fates()
        expect("%s: %s, and the long way %s" % (what, short, long), short == long)

    for name, (policy, want) in policies.items():
        for here, there in FAMILIES:
            p.ta.tell("secured", here, there)
        p.ta.apply(policy)
        compare(name, want)
        if name in ("block", "exempt", "require-inbound"):
            continue
        for here, there in FAMILIES:
            p.ta.tell("unsecured", here, there)
            p.ta.tell("secured", here, there)
        compare(name + ", an SA that came later", want)
        for here, there in FAMILIES:
            p.ta.tell("secured", here, there)
            p.ta.tell("exempt", there, 60000)
        compare(name + ", exempted", want)
        for here, there in FAMILIES:
            p.ta.tell("exempt", there, 0)
            p.ta.tell("secured", here, there)
            p.ta.tell("fallback", here, there, 60)
        compare(name + ", fallen back", False)
        for here, there in FAMILIES:
            p.ta.tell("secured", here, there)
        compare(name + ", an SA while it has fallen back", False)
        p.ta.apply(policy)
        compare(name + ", and a new table", False)
        for here, there in FAMILIES:
            p.ta.tell("no-fallback", here, there)
        compare(name + ", no more", want)
        for here, there in FAMILIES:
            p.ta.tell("unsecured", here, there)
        compare(name + ", without an SA", False)


def disabled():
    """disable lets everything through and leaves no route; uninstall leaves no trace at all."""
    p = Pair(both("require"))
    p.ta.tell("disable")
    expect("out", p.say(A4, B4) == CLEAR)
    expect("in", p.say(B4, A4, p.a, p.b) == CLEAR)
    expect("no rule", "lookup 100" not in p.a.sh("ip", "rule") + p.a.sh("ip", "-6", "rule"))
    expect("an empty table", p.a.sh("nft", "list", "ruleset").split() == ["table", "inet", "cordon", "{", "}"])
    p.ta.apply(both("require"))
    expect("enabled again", p.say(A4, B4)[1] is False)
    p.ta.kill()
    t = Tool(p.a, A4, A6, tun=False)
    t.tell("uninstall")
    t.kill()
    left = (p.a.sh("nft", "list", "ruleset") + p.a.sh("ip", "route", "show", "table", "100", check=False) +
            p.a.sh("ip", "-6", "route", "show", "table", "100", check=False))
    expect("uninstalled: nothing is left", "cordon" not in left and "unreachable" not in left)
    expect("uninstalled: no rule", "0x1f000000" not in p.a.sh("ip", "rule") + p.a.sh("ip", "-6", "rule"))


TESTS = [protects, clear_in, established_before, new_address, bound_sockets, our_ports, icmp_errors, icmp_errors_of_esp, icmp_errors_of_exempt, death,
         flushed, flushed_for_good, flushed_at_loading, modes, secured, secured_one_way, fallback_survives, exempt_ports, per_family, forwarded, forwarded_tcp,
         forwarded_fallback, published,
         replaced_under_load, disabled, short_way, others_marks]

if __name__ == "__main__":
    main(TESTS)
