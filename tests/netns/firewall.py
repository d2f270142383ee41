#!/usr/bin/env python3
"""What the policy's firewall lets through at a host that a section rules: actions, matchers, their order, answers, and
who it is. The other host has no firewall, so it says and hears whatever it likes."""

import os
import random
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

A4, B4, C4, A6, B6, C6 = "10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "fd00::3"
FAMILIES = ((A4, B4, C4), (A6, B6, C6))

HEAD = """cordon: 1
authentication:
  default: [ { pre-shared-key: { file: /nowhere } } ]
protection:
  sealed: { proposals: [esp-aes256gcm] }
  signed: { proposals: [esp-sha256-null, esp-aes256gcm] }
  plain:  { proposals: [esp-sha256-null] }
groups:
  friends: [ { sid: S-1-5-21-1-2-3-1001 } ]
  banned: [ { sid: S-1-5-21-1-2-3-1002 } ]
"""


def firewall(*rules, inbound="block", outbound="allow", security="", exempt=None):
    text = HEAD + ("exempt: [%s]\n" % exempt if exempt is not None else "")
    if security:
        text += "connection-security:\n" + security
    text += "firewall:\n  hosts: [%s]\n  inbound: %s\n  outbound: %s\n" % (A4, inbound, outbound)
    return text + ("  rules:\n" + "".join("    - { %s }\n" % r for r in rules) if rules else "")


def require(protection, mode="require", **more):
    return "".join(rule("all %d" % i, mode, here, there, protection=protection, **more)
                   for i, (here, there, _) in enumerate(FAMILIES))


class Host:
    """a is ruled; b is the other one, with a second address."""

    def __init__(self, policy, protected=False, interfaces=(), system=False):
        self.a, self.b = Namespace("a"), Namespace("b")
        wire(self.a, self.b)
        address(self.a, "eth0", A4 + "/24", A6 + "/64")
        address(self.b, "eth0", B4 + "/24", B6 + "/64", C4 + "/24", C6 + "/64")
        self.tool = Tool(self.a, A4, A6, interfaces=interfaces, system=system)
        self.other = Tool(self.b, B4, B6) if protected else None
        self.apply(policy)

    def apply(self, policy):
        self.tool.apply(policy)
        if self.other:
            self.other.apply(policy)

    def into(self, port, source=B4, source_port=0):
        """Does a datagram to us get in?"""
        here = A6 if ":" in source else A4
        return udp_reaches(self.b.udp(source, source_port), self.a.udp(here, port), here, port)[1]

    def out(self, port, there=B4):
        here = A6 if ":" in there else A4
        return udp_reaches(self.a.udp(here), self.b.udp(there, port), there, port)[1]

    def connects(self, port, out=False, family=0, source=None):
        here, there = FAMILIES[family][0], source or FAMILIES[family][1]
        client, server = (self.a, self.b) if out else (self.b, self.a)
        at, source = (there, here) if out else (here, there)
        s = server.socket(family_of(at), socket.SOCK_STREAM, 0, (at, port))
        s.listen()
        c = client.socket(family_of(at), socket.SOCK_STREAM, 0, (source, 0))
        c.settimeout(1)
        try:
            c.connect((at, port))
        except OSError:
            return None
        s.settimeout(1)
        try:
            return c, s.accept()[0]
        except OSError:
            return None

    def counted(self, kind, name="-"):
        return self.tool.counters().get((kind, name), 0)


def defaults():
    """What no rule speaks of meets the default, in and out, both families; a host that no section names is left alone."""
    h = Host(firewall())
    for here, there, _ in FAMILIES:
        expect("nothing comes in to %s" % here, not h.into(7000, there))
        expect("all goes out to %s" % there, h.out(7001, there))
    expect("it is counted", h.counted("firewall-default-in") >= 2)
    h.apply(firewall(inbound="allow", outbound="block"))
    for here, there, _ in FAMILIES:
        expect("all comes in to %s" % here, h.into(7002, there))
        expect("nothing goes out to %s" % there, not h.out(7003, there))
    expect("it is counted as well", h.counted("firewall-default-out") >= 2)
    h.apply(firewall().replace("hosts: [%s]" % A4, "hosts: [10.0.0.77]"))
    expect("of others' sections we know nothing", h.into(7004))


def actions():
    """Block before allow, in any order of the file; a rule counts what it passes or drops."""
    h = Host(firewall("name: some, action: allow, protocol: udp, local-port: 7000-7099",
                      "name: not these, action: block, protocol: udp, local-port: 7050-7059",
                      "name: out with it, action: block, direction: out, protocol: udp, remote-port: 25"))
    for _, there, _ in FAMILIES:
        expect("allowed from %s" % there, h.into(7000, there) and h.into(7099, there))
        expect("blocked from %s, though it is allowed" % there, not h.into(7050, there) and not h.into(7059, there))
        expect("what no rule names", not h.into(7100, there))
        expect("blocked on its way to %s" % there, not h.out(25, there) and h.out(26, there))
    expect("passed is counted", h.counted("firewall-passed", "some") == 4)
    expect("blocked is counted", h.counted("firewall-blocked", "not these") == 4)
    expect("blocked on its way out, too", h.counted("firewall-blocked", "out with it") == 2)
    h.apply(firewall("name: some, action: allow, protocol: udp, local-port: 7000-7099"))
    expect("counters live on in a new policy", h.counted("firewall-passed", "some") == 4)
    expect("and go with their rules", h.counted("firewall-blocked", "not these") == 0)


def answers():
    """Answers follow their connection, both ways; what only looks like one does not."""
    h = Host(firewall("name: web, action: allow, traffic: [tcp/80]", outbound="allow"))
    for family in range(2):
        here, there, _ = FAMILIES[family]
        expect("TCP out to %s is answered" % there, h.connects(8080, out=True, family=family))
        expect("TCP in to %s: 80, but not 81" % here, h.connects(80, family=family) and not h.connects(81, family=family))
        ours, theirs = h.a.udp(here, 7010), h.b.udp(there, 7011)
        expect("UDP unasked", not udp_reaches(theirs, ours, here, 7010)[1])
        udp_reaches(ours, theirs, there, 7011)
        expect("UDP asked", udp_reaches(theirs, ours, here, 7010)[1])
        stranger = h.b.udp(there, 7012)
        expect("from another port", not udp_reaches(stranger, ours, here, 7010)[1])
        ours.connect((there, 7099))
        ours.send(b"is anybody there")
        try:
            ours.recv(100)
            refused = False
        except ConnectionRefusedError:
            refused = True
        except OSError:
            refused = False
        expect("an ICMP error about what we sent to %s" % there, refused)
    expect("ping out", h.a.pings(B4) and h.a.pings(B6))
    expect("no ping in", not h.b.pings(A4) and not h.b.pings(A6))
    h.apply(firewall("name: web, action: allow, traffic: [tcp/80]", outbound="block"))
    expect("what answers needs no rule for out", h.connects(80) and h.connects(80, family=1))
    expect("nothing else goes out", not h.connects(8080, out=True))


def matchers():
    """Addresses, ports, protocols, ICMP types; each also fails to match."""
    h = Host(firewall("name: one, action: allow, protocol: udp, local-port: 7000, remote: [%s, \"%s\"]" % (B4, B6),
                      "name: two, action: allow, protocol: udp, local-port: [7001, 7003-7005], remote-port: 9000-9001",
                      "name: three, action: allow, protocol: udp, local-port: 7006, local: [10.0.0.128/25]",
                      "name: four, action: allow, protocol: udp, local-port: 7007, local: [self], remote: [10.0.0.0-10.0.0.2]",
                      "name: echo, action: allow, traffic: [icmp/8, icmpv6/128]"))
    for _, b, c in FAMILIES:
        expect("by address: %s and not %s" % (b, c), h.into(7000, b) and not h.into(7000, c))
        for port, source, want in ((7001, 9000, True), (7003, 9001, True), (7005, 9000, True), (7002, 9000, False),
                                   (7001, 9002, False), (7006, 9000, False)):
            expect("%s port %d from %d: %s" % (b, port, source, want), h.into(port, b, source) == want)
    expect("self, and a range", h.into(7007, B4) and not h.into(7007, C4))
    expect("ICMP by type", h.b.pings(A4) and h.b.pings(A6))


def interfaces():
    """By interface; what is protected came by the interface that leads to its peer."""
    def policy(name):
        return firewall("name: one, action: allow, protocol: udp, local-port: 7000, interface: %s" % name,
                        "name: two, action: allow, protocol: udp, local-port: 7001, interface: %s, secure: authenticated"
                        % name, security=require("sealed", protocol="udp", port1=7001))
    h = Host(policy("eth0"), protected=True)
    for _, there, _ in FAMILIES:
        expect("clear by eth0 from %s" % there, h.into(7000, there))
        expect("protected by eth0 from %s" % there, h.into(7001, there))
    h.apply(policy("eth1"))
    for _, there, _ in FAMILIES:
        expect("neither by eth1 from %s" % there, not h.into(7000, there) and not h.into(7001, there))


def profiles():
    """A rule of a profile is in force on the interfaces of that profile; those that are not named are public."""
    rules = ["name: %s, action: allow, protocol: udp, local-port: %d, profiles: [%s]" % (p.replace(", ", " or "), port, p)
             for port, p in ((7000, "domain"), (7001, "private"), (7002, "public"), (7003, "domain, public"))]
    for interface, want in (("eth0=domain", (True, False, False, True)), ("eth0=private", (False, True, False, False)),
                            ("eth9=private", (False, False, True, True)), (None, (True, True, True, True))):
        h = Host(firewall(*rules), interfaces=[interface] if interface else [])
        for i, w in enumerate(want):
            expect("%s: %s %s" % (interface, rules[i].split(",")[0], w), h.into(7000 + i) == w)


BYPASS = ["name: closed, action: block, protocol: udp, local-port: 7000-7099",
          "name: friends may, action: bypass, protocol: udp, local-port: 7000-7049, secure: authenticated, "
          "machines: { allow: [friends], except: [banned] }"]


def bypass():
    """A member goes past a block, by protected packets and no others; whoever may be banned does not."""
    h = Host(firewall(*BYPASS, security=require("sealed", protocol="udp", port1="7000-7040")), protected=True)
    groups = {"yn": True, "nn": False, "ny": False, "yy": False, "mn": False, "ym": False}
    for here, there, _ in FAMILIES:
        expect("whom nobody knows: %s" % there, not h.into(7000, there))
        for letters, want in groups.items():
            h.tool.tell("identify", here, there, letters)
            expect("%s, friend and banned are %s: %s" % (there, letters, want), h.into(7000, there) == want)
        h.tool.tell("identify", here, there, "yn")
        expect("a friend, in clear", not h.into(7045, there))
        expect("a friend, where there is no bypass", not h.into(7050, there))
        h.tool.tell("forget", here, there)
        expect("forgotten", not h.into(7000, there))
    expect("passed is counted", h.counted("firewall-passed", "friends may") >= 2)


def except_alone():
    """All who have proven who they are but some."""
    h = Host(firewall("name: most, action: allow, protocol: udp, secure: authenticated, machines: { except: [banned] }",
                      security=require("sealed")), protected=True)
    expect("nobody knows who it is", not h.into(7000))
    for letters, want in (("n", True), ("y", False), ("m", False)):
        h.tool.tell("identify", A4, B4, letters)
        expect("banned is %s: %s" % (letters, want), h.into(7000) == want)


def lost_membership():
    """Who leaves the group is out at once, in the middle of a connection, and in again when it is back."""
    h = Host(firewall(*(r.replace("udp", "tcp") for r in BYPASS), security=require("sealed")), protected=True)
    for family, (here, there, _) in enumerate(FAMILIES):
        h.tool.tell("identify", here, there, "yn")
        client, server = h.connects(7000, family=family)

        def says(seconds=0.7):
            mark, heard = marker(), b""
            client.sendall(mark)
            server.settimeout(seconds)
            try:
                while mark not in heard:  # what was not heard before is said again
                    heard += server.recv(1000)
                return True
            except OSError:
                return False

        expect("%s is heard" % there, says())
        h.tool.tell("identify", here, there, "nn")
        expect("%s is out" % there, not says())
        h.tool.tell("identify", here, there, "yn")
        expect("%s is in again" % there, says(5))


def encrypted():
    """secure: encrypted wants a rule that cannot but encrypt; authenticated takes both; neither takes clear."""
    rules = ["name: sealed, action: allow, protocol: udp, local-port: 7000-7009, secure: encrypted",
             "name: signed, action: allow, protocol: udp, local-port: 7010-7019, secure: authenticated",
             "name: either, action: allow, protocol: udp, local-port: 7020-7029, secure: encrypted-on-demand"]
    for security, want in ((require("sealed"), (True, True, True)), (require("plain"), (False, True, True)),
                           (require("signed"), (True, True, True)),  # what is asked for is negotiated
                           (require("sealed", port1="7000", protocol="udp"), (True, False, False)), ("", (False, False, False))):
        h = Host(firewall(*rules, security=security), protected=True)
        for _, there, _ in FAMILIES:
            for i, w in enumerate(want):
                expect("%s port %d of %r: %s" % (there, 7000 + 10 * i, security.split("protection")[-1][:9], w),
                       h.into(7000 + 10 * i, there) == w)
    h = Host(firewall(*rules, security=require("sealed") + rule("clear", "exempt", A4, B4, protocol="udp", port1=7001)),
             protected=True)
    expect("a packet that an exemption speaks of, beside", not h.into(7001) and h.into(7000))


def outward():
    """Rules for what goes out: protected only, and to whom."""
    rules = ["name: sealed out, action: allow, direction: out, protocol: udp, remote-port: 7000-7009, secure: encrypted",
             "name: to friends, action: allow, direction: out, protocol: udp, remote-port: 7010-7019, "
             "secure: authenticated, machines: { allow: [friends] }"]
    h = Host(firewall(*rules, inbound="allow", outbound="block",
                      security=require("sealed", protocol="udp", port2="7000-7015")), protected=True)
    for here, there, _ in FAMILIES:
        expect("sealed to %s" % there, h.out(7000, there))
        expect("nothing else to %s" % there, not h.out(7020, there))
        expect("clear to %s" % there, not h.out(7016, there))
        expect("to somebody who is not known yet", h.out(7010, there))
        h.tool.tell("identify", here, there, "y")
        expect("to a friend", h.out(7011, there))
        h.tool.tell("identify", here, there, "n")
        expect("to no friend", not h.out(7012, there))


def always():
    """Loopback, neighbours, multicast listeners and what the policy exempts from everything need no rule."""
    h = Host(firewall(inbound="block", outbound="block"))
    expect("to itself", h.a.pings("127.0.0.1") and h.a.pings("::1") and h.a.pings(A4) and h.a.pings(A6))
    h.b.sh("ip", "neigh", "flush", "all")
    h.a.sh("ip", "neigh", "flush", "all")
    h.b.udp(B6).sendto(b"who has", (A6, 7000))
    time.sleep(0.3)
    expect("neighbour discovery", A6 in h.b.sh("ip", "-6", "neigh") and "FAILED" not in h.b.sh("ip", "-6", "neigh"))
    dhcp = h.a.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, ("", 68))
    _, heard, _ = udp_reaches(h.b.udp(B4, 67), dhcp, A4, 68)
    expect("DHCP", heard)
    expect("no ping", not h.b.pings(A4))
    h.apply(firewall(inbound="block", outbound="block", exempt="icmp"))
    expect("ping, where it is exempt", h.b.pings(A4) and h.b.pings(A6))


def held_in_clear():
    """What waited for an SA and is let out in clear is no more what a rule for protected packets let out."""
    h = Host(firewall("name: sealed out, action: allow, direction: out, protocol: udp, secure: authenticated", inbound="allow",
                      outbound="block", security=require("sealed", mode="request")), protected=True)
    wires = Capture(h.b)
    h.tool.tell("hold")
    mark = marker()
    h.a.udp(A4).sendto(mark, (B4, 7000))
    time.sleep(0.1)
    h.tool.tell("release")
    expect("it is not on the wire", not wires.has(mark))


def programs():
    """A program is known by its control group: by path or unit, when it starts as when it is there already."""
    top = next((t for t in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified") if os.path.exists(t + "/cgroup.procs")), None)
    own = "cordon-test-%d" % os.getpid()
    slices = ["%s/%s.slice" % (top, own), "%s/%s.slice/%s-web.service" % (top, own, own)]

    def start(*folders):
        for f in folders:
            os.mkdir(f)

    def stop(*folders):
        for f in folders:
            if os.path.exists(f):
                os.rmdir(f)

    def ear(port, group=None):
        """A socket of a program in that group: a socket belongs where it was made."""
        if not group:
            return h.a.udp(A4, port)
        with open("/proc/self/cgroup", encoding="ascii") as f:
            home = next(l.split(":", 2)[2].strip() for l in f if l.startswith("0::"))
        with open(group + "/cgroup.procs", "w", encoding="ascii") as f:
            f.write(str(os.getpid()))
        try:
            return h.a.udp(A4, port)
        finally:
            with open(top + home + "/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(os.getpid()))

    def heard(group=None):
        return udp_reaches(h.b.udp(B4), ear(7000, group), A4, 7000)[1]

    try:
        start(slices[0])
    except (OSError, TypeError):
        skip("no control groups of version 2 to write to")
    on_exit(lambda: stop(*reversed(slices)))
    h = Host(firewall("name: by unit, action: allow, protocol: udp, program: %s-web.service" % own), system=True)
    expect("a program that is not there", not heard())
    start(slices[1])
    time.sleep(1)
    expect("a program that has started", heard(slices[1]))
    expect("its slice is another matter", not heard(slices[0]))
    expect("everybody else", not heard())
    stop(slices[1])
    start(slices[1])
    time.sleep(1)
    expect("a program that was started again", heard(slices[1]))
    h.apply(firewall("name: by path, action: block, protocol: udp, program: /%s.slice" % own, inbound="allow"))
    expect("all of a slice are blocked", not heard(slices[1]) and not heard(slices[0]) and heard())


SHAPES = {  # what other programs make at the input hook: text, what is said of it
    "firewalld": ("""table inet firewalld {
        chain filter_INPUT { type filter hook input priority 10; policy accept;
            ct state { established, related } accept
            iifname "lo" accept
            jump filter_INPUT_ZONES
            reject with icmpx admin-prohibited
        }
        chain filter_INPUT_ZONES { iifname "eth0" goto filter_IN_public
        }
        chain filter_IN_public { tcp dport 22 accept
        }
    }""", "inet firewalld: rules"),
    "ufw": ("""table ip filter {
        chain INPUT { type filter hook input priority 0; policy drop;
            jump ufw-before-input
        }
        chain ufw-before-input { ct state established accept
        }
    }""", "ip filter: default"),
    "docker": ("""table ip filter {
        chain INPUT { type filter hook input priority 0; policy accept;
        }
        chain FORWARD { type filter hook forward priority 0; policy drop;
            jump DOCKER
        }
        chain DOCKER { oifname "docker0" accept
        }
    }
    table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; ip saddr 172.17.0.0/16 masquerade
    }
    }""", None),
    "counting": ("""table inet watch { chain in { type filter hook input priority -5; policy accept; counter
    }
    }""", None),
}


def others():
    """A bypass does not undo what another table drops, which is said of it; a table that drops nothing is left in peace."""
    for name, (text, said) in SHAPES.items():
        h = Host(firewall(*BYPASS, security=require("sealed", protocol="udp", port1="7000-7040")), protected=True)
        h.tool.tell("identify", A4, B4, "yn")
        expect("%s: a friend is in, without it" % name, h.into(7000))
        h.a.nft(text)
        h.tool.tell("others")
        lines = [l[6:] for l in h.tool.lines if l.startswith("other ")]
        expect("%s: %s" % (name, lines), lines == ([said] if said else []))
        expect("%s: the bypass %s" % (name, "is overruled" if said else "works on"), h.into(7001) == (said is None))
        expect("%s: a stranger is out as before" % name, not h.into(7050))


def many():
    """A thousand rules at random do what a reader of the file expects of each packet."""
    dice = random.Random(int(os.environ.get("SEED", "1")))
    places = {B4: ["10.0.0.2", "10.0.0.0/30", "10.0.0.0/24", "any", "10.0.0.3", "10.0.0.4-10.0.0.9", "10.1.0.0/16"]}
    has = {"10.0.0.2", "10.0.0.0/30", "10.0.0.0/24", "any"}
    rules, model = [], []
    for i in range(1000):
        place, lo = dice.choice(places[B4]), dice.randrange(7000, 9000)
        hi = lo + dice.choice([0, 0, 0, 3, 40])
        action = dice.choice(["allow", "allow", "block"])
        if place == "10.1.0.0/16":
            place = "10.1.%d.%d" % (dice.randrange(256), dice.randrange(256))
        rules.append("name: r%d, action: %s, protocol: %s, local-port: %d-%d, remote: [%s]" %
                     (i, action, dice.choice(["udp", "udp", "tcp"]), lo, hi, place))
        if "udp" in rules[-1] and place in has:
            model.append((action, lo, hi))
    h = Host(firewall(*rules))
    sender, wrong = h.b.udp(B4), []
    ports = [dice.randrange(7000, 9050) for _ in range(400)]
    ears = {p: h.a.udp(A4, p) for p in set(ports)}
    for p in ports:
        sender.sendto(str(p).encode(), (A4, p))
    time.sleep(0.3)
    for p, ear in ears.items():
        ear.setblocking(False)
        try:
            heard = ear.recv(100) == str(p).encode()
        except OSError:
            heard = False
        actions = {a for a, lo, hi in model if lo <= p <= hi}
        if heard != ("block" not in actions and "allow" in actions):
            wrong.append(p)
    expect("%d ports, %d of them open: %r fare otherwise" % (
        len(ears), sum("block" not in {a for a, lo, hi in model if lo <= p <= hi} and
                       any(a == "allow" for a, lo, hi in model if lo <= p <= hi) for p in ears), wrong[:5]), not wrong)


main([defaults, actions, answers, matchers, interfaces, profiles, bypass, except_alone, lost_membership, encrypted, outward,
      always, held_in_clear,
      programs, others, many])
