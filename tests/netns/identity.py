#!/usr/bin/env python3
"""From a proven peer to what the firewall and the rules admit: two daemons with certificates, one of which asks who the
other is. The peer's part of the subject (OU) is the group.

usage: identity.py [TEST ...]; CORDON and CORDOND name the programs
"""
import json
import os
import signal
import socket
import sys
import threading
import time

from certificates import Authority, page, pki_of
from daemon import A, B, reaches, two_hosts, wait_until
from lib import Capture, address, expect, main, udp_reaches

WEB, CLOSED = 4321, 4322

POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
groups:
  unused: [ { certificate: OU=Unused } ]
%%(groups)s
authentication: { machine: [ { certificate: { extended-key-usage: ike-intermediate } } ] }
key-exchange: { default: { proposals: [aes256gcm-sha256-x25519], reauthenticate: %%(reauthenticate)s } }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: machine }
%%(more)s
firewall:
  hosts: [b]
  inbound: block
  outbound: allow
  rules:
    - { name: web is closed, action: block, direction: in, traffic: [udp/%d] }
    - { name: the trusted, action: bypass, direction: in, traffic: [udp/%d], secure: authenticated,
        machines: { allow: [trusted], except: [barred] } }
""" % (A, B, WEB, WEB)
TRUSTED = "  trusted: [ { certificate: OU=Trusted } ]\n"
BARRED = "  barred: [ { certificate: OU=Barred } ]\n"
MACHINES = "  - { name: web, endpoint1: [a], endpoint2: [b], mode: require, protocol: udp, port2: %d, " \
           "authentication: machine, machines: [trusted] }" % WEB


def policy(groups=TRUSTED + BARRED, reauthenticate="never", more=""):
    return POLICY % {"groups": groups, "reauthenticate": reauthenticate, "more": more}


def world(text, parts="OU=Trusted"):
    """Two hosts, a of that part of the authority's name space"""
    a, b = two_hosts()
    ca = Authority(a, "One")
    ca.issue("a", pki_of(a), cn="a/" + parts)
    ca.issue("b", pki_of(b), cn="b")
    for host, name in (a, "a"), (b, "b"):
        page(host, [name], [ca])
        host.start("--config", host.folder + "/root/host.yaml", policy=text)
    return a, b, ca


def web(a, b, wait=2):
    return reaches(a, b, B, WEB, wait)[1]


class Stream(threading.Thread):
    """One flow from a to b that goes on; how long it was silent"""

    def __init__(self, a, b):
        super().__init__(daemon=True)
        self.to, self.heard, self.over = b.udp(B, WEB), [], False
        self.to.setblocking(False)
        self.of = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.start()

    def run(self):
        while not self.over:
            try:
                self.of.sendto(b"stream", (B, WEB))
            except OSError:
                pass
            time.sleep(0.01)
            while True:
                try:
                    self.to.recv(100)
                except OSError:
                    break
                self.heard.append(time.monotonic())

    def flows(self, seconds=8):
        since = time.monotonic()
        return wait_until(lambda: self.heard and self.heard[-1] > since, seconds)

    def silent(self, seconds=1.5):
        """nothing more comes"""
        since = time.monotonic()
        time.sleep(seconds)
        return not self.heard or self.heard[-1] < since

    def pause(self, since):
        times = [since] + [t for t in self.heard if t > since] + [time.monotonic()]
        return max(y - x for x, y in zip(times, times[1:]))

    def close(self):
        self.over = True
        self.join()
        self.to.close()
        self.of.close()


def members(host):
    """how many pairs are in the sets: proven, surely trusted"""
    def count(name):
        return host.sh("nft", "list", "set", "inet", "cordon", name, check=False).count(B)
    return count("member_proven_ip"), count("member_sure_0_ip")


def admitted():
    """a member reaches what is closed, on that port only, and never in clear"""
    a, b, _ = world(policy())
    seen = Capture(a)
    sent, heard, marker = reaches(a, b, B, WEB)
    expect("a member reaches the closed port", sent and heard)
    expect("by packets that nobody can read", not seen.has(marker))
    sent, heard, marker = reaches(a, b, B, CLOSED, 1)
    expect("and no other", not heard)
    expect("whose packets were not clear either", not seen.has(marker))
    expect("the sets have the pair", members(b) == (1, 1))
    expect("the host that nobody asks for has none", "member_" not in a.sh("nft", "list", "table", "inet", "cordon"))


def refused():
    """who is not in the group, or in the excepted one, does not reach it, though its packets are protected"""
    for parts in "OU=Other", "OU=Trusted/OU=Barred":
        a, b, _ = world(policy(), parts)
        seen = Capture(a)
        expect("%s does not reach it" % parts, not web(a, b))
        expect("and is known to be nobody who may", wait_until(lambda: members(b)[0] == 1, 3) and
               ("Barred" in parts or members(b)[1] == 0))
        expect("its packets went protected", 50 in seen.protocols())
        words = "is, or may be, in what is excepted: barred" if "Barred" in parts else "is not known to be in: trusted"
        expect("the drop event says that it has proven itself, and why that does not do", wait_until(
            lambda: "the peer has proven who it is, and " + words in b.cordon("events")[1]))


def unknown():
    """a group that nobody can ask about admits nobody, and keeps everybody out who may be in it"""
    for groups in ("  trusted: [ { directory-group: CORP\\x } ]\n" + BARRED,
                   TRUSTED + "  barred: [ { directory-group: CORP\\x } ]\n"):
        a, b, _ = world(policy(groups))
        expect("no one gets in", not web(a, b))


def of_rules():
    """machines: of a connection security rule: no SA with who is in none of the groups, and both say so"""
    a, b, _ = world(policy(more=MACHINES), "OU=Other")
    expect("nothing arrives", not web(a, b, 1))
    expect("another rule between the two works", wait_until(lambda: reaches(a, b, B, CLOSED, 1)[0] and
           b.json("show", "quick-mode")["rows"], 5))
    for host in a, b:
        said = [json.loads(line) for line in host.cordon("events", "--json")[1].splitlines()]
        said = [(e.get("code"), e.get("by"), e["text"]) for e in said if e["event"] == "quick-mode-failed"]
        expect("%s says why: %s" % (host.name, said), said and said[0][0] == "not-member")
    a, b, _ = world(policy(more=MACHINES))
    expect("b itself is no member for a, so nothing arrives", not web(a, b, 1))


def lost():
    """a member whose next proof says otherwise: what runs ends; and it comes back with the old one"""
    a, b, ca = world(policy(reauthenticate="4s"))
    stream = Stream(a, b)
    expect("it runs", stream.flows())
    ca.issue("a", pki_of(a), cn="a/OU=Other")
    expect("the next proof ends it, running as it is",
           wait_until(lambda: members(b)[1] == 0, 20) and stream.silent())
    expect("protected it is all the same", members(b)[0] == 1)
    ca.issue("a", pki_of(a), cn="a/OU=Trusted")
    expect("and the one after that opens again", stream.flows(25))
    stream.close()


def told():
    """show peers and why say who is known to be what, and since when; cordon rekey --proof has it proven anew"""
    a, b, ca = world(policy())
    expect("a member reaches it", web(a, b))
    row = b.json("show", "peers")["rows"][0]
    expect("show peers has its groups: %s" % row, row["groups"] == ["trusted"] and row["method"] == "certificate" and
           abs(row["membership_ms"] / 1000 - time.time()) < 60 and row["sids"] == [])
    expect("for people, too", "trusted (" in b.cordon("show", "peers")[1])
    said = b.cordon("why", "--policy", b.folder + "/policy.yaml", A, B, "udp/%d" % WEB)[1]
    expect("why says so: %s" % said.replace("\n", " "), "Groups" in said and "in trusted, learnt" in " ".join(said.split()))
    ca.issue("a", pki_of(a), cn="a/OU=Other")
    time.sleep(2) # until the page was read again
    expect("who asks for it is proven anew", "made again" in a.cordon("rekey", "--proof")[1])
    expect("and is no member any more", wait_until(lambda: b.json("show", "peers")["rows"][0]["groups"] == [] and
                                                   members(b)[1] == 0, 15) and not web(a, b, 1))


def shown():
    """show firewall and its counters while it runs; another program's table that drops is told when it appears, and
    when it has gone"""
    a, b, _ = world(policy())

    def rule(name):
        return next(r for r in b.json("show", "firewall")["rows"] if r["name"] == name)

    def overruled():
        return b.json("show", "firewall")["firewall"]["overruled_by"]

    expect("a member reaches it", web(a, b))
    expect("its packets are counted: %s" % rule("the trusted"), rule("the trusted")["packets"] >= 1)
    expect("those that are closed out, too", not reaches(a, b, B, CLOSED, 1)[1] and
           b.json("show", "firewall")["firewall"]["inbound_dropped"] >= 1)
    out = b.cordon("show", "firewall")[1]
    expect("for people: %s" % out, "the trusted" in out and "authenticated; of trusted; not of barred" in out and
           "Of trusted: 1 here now." in out)
    expect("nobody overrules it", overruled() == [] and "bypass-overruled" not in b.events())
    b.sh("nft", "add table inet others; add chain inet others in { type filter hook input priority 20; policy drop; }")
    expect("another table is told of", wait_until(lambda: "bypass-overruled" in b.events(), 10))
    expect("with its name: %s" % overruled(), "others" in str(overruled()) and "others" in b.cordon("status")[1] and
           "others" in b.cordon("show", "firewall")[1])
    expect("and does what is said of it", not web(a, b, 1))
    b.sh("nft", "delete", "table", "inet", "others")
    expect("it goes, and the member is in again", wait_until(lambda: overruled() == [], 5) and web(a, b))
    expect("it was told once", b.events().count("bypass-overruled") == 1)
    b.kill(signal.SIGTERM)
    b.start("--config", b.folder + "/root/host.yaml", policy=policy())
    expect("a new cordond counts and knows as well", wait_until(lambda: web(a, b, 1), 15) and
           rule("the trusted")["packets"] >= 1 and "Of trusted: 1 here now." in b.cordon("show", "firewall")[1])


def deaths():
    """each process of the host that asks dies, and the host: a member comes in again, another never does"""
    a, b, ca = world(policy())
    stream = Stream(a, b)
    expect("it runs", stream.flows())
    for victim in "keying", "keys", "dataplane", "sources":
        pid = {p["name"]: p["pid"] for p in b.json("status")["processes"]}[victim]
        died = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)
        expect("%s is killed: it goes on after %.1f s" % (victim, stream.pause(died)), stream.flows())
        expect("and the sets are right", wait_until(lambda: members(b) == (1, 1), 5))
    b.kill(signal.SIGKILL)
    expect("with the parent all end", stream.silent(1))
    b.start("--config", b.folder + "/root/host.yaml", policy=policy())
    expect("and begin anew", stream.flows(15))
    stream.close()
    ca.issue("a", pki_of(a), cn="a/OU=Other")
    a.kill(signal.SIGKILL)
    os.kill({p["name"]: p["pid"] for p in b.json("status")["processes"]}["keying"], signal.SIGKILL)
    a.start("--config", a.folder + "/root/host.yaml", policy=policy())
    expect("who comes as another while keying is away does not get in by what was known",
           not web(a, b, 3) and wait_until(lambda: members(b)[1] == 0, 8) and not web(a, b, 1))


def replaced():
    """the table is flushed, its sets are, and the policy is replaced, with the groups in another order, under traffic"""
    a, b, _ = world(policy())
    stream = Stream(a, b)
    expect("it runs", stream.flows())
    for what in (["flush", "ruleset"], ["flush", "set", "inet", "cordon", "member_sure_0_ip"],
                 ["delete", "element", "inet", "cordon", "member_proven_ip", "{ %s . %s }" % (A, B)]):
        b.sh("nft", *what)
        expect("nft %s: it goes on" % " ".join(what), stream.flows() and wait_until(lambda: members(b) == (1, 1), 5))
    # somebody puts in who is not
    b.sh("nft", "add", "element", "inet", "cordon", "member_sure_0_ip", "{ 10.77.0.99 . %s }" % B)
    expect("who was put into a set by hand is taken out", wait_until(lambda: members(b)[1] == 1, 5))
    more = "    - { name: u, action: bypass, direction: in, traffic: [udp/9], secure: authenticated, " \
           "machines: { allow: [unused] } }\n"
    since = time.monotonic()
    status, said = b.cordon("apply", b.policy(policy() + more))
    expect("a policy with another group in front is applied %s" % (said if status else ""), status == 0)
    expect("it goes on", stream.flows())
    expect("and paused for %.2f s" % stream.pause(since), stream.pause(since) < 2)
    status, said = b.cordon("apply", b.policy(policy("  trusted: [ { certificate: OU=Others } ]\n" + BARRED)))
    expect("one under which it is no member ends it %s" % (said if status else ""), status == 0 and stream.silent())
    stream.close()


def waits():
    """a rule by an interface that is not there is told of until it is"""
    _, b, _ = world(policy() + "    - { name: by eth9, action: allow, direction: in, traffic: [udp/9], interface: eth9 }\n")

    def rule():
        return next(r for r in b.json("show", "firewall")["rows"] if r["name"] == "by eth9")
    expect("it waits: %s" % rule(), not rule()["in_force"] and rule()["waits_for"] == "eth9")
    expect("in words", "NOT IN FORCE, waits for eth9" in b.cordon("show", "firewall")[1])
    expect("status too", "'by eth9' is not in force: there is no interface eth9" in b.cordon("status")[1])
    b.sh("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "eth9p")
    expect("until it comes: %s" % rule(), rule()["in_force"] and rule()["waits_for"] is None)
    expect("then nothing is said", "eth9" not in b.cordon("status")[1])


def many():
    """very many addresses: each in its set, reached at once, gone when it is"""
    count = 1000 if os.environ.get("CORDON_TEST_LONG") else 100
    late = ["10.77.%d.%d" % (1 + n // 250, n % 250 + 1) for n in range(count)]
    a, b, _ = world(policy().replace("a: [%s]" % A, "a: [10.77.0.0/16]"))
    a.sh("ip", "route", "add", "10.77.0.0/16", "dev", "eth0")
    b.sh("ip", "route", "add", "10.77.0.0/16", "dev", "eth0")
    for own in late:
        address(a, "eth0", own + "/32")
    to = b.udp(B, WEB)
    to.settimeout(3)
    for own in late:
        of = a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=(own, 0))
        if not any(udp_reaches(of, to, B, WEB)[1] for _ in range(3)): # a's daemon may have to hear of it first
            expect("%s reaches it" % own, False)
            break
        of.close()
    to.close()
    expect("%d are in the sets" % count, members(b) == (count, count))
    a.kill(signal.SIGTERM)
    expect("and out of them when they have gone", wait_until(lambda: members(b) == (0, 0), 10))


if __name__ == "__main__":
    sys.exit(main([admitted, refused, unknown, of_rules, lost, told, shown, deaths, replaced, waits, many]))
