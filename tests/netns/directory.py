#!/usr/bin/env python3
"""Groups of the directory, against a real Active Directory: Samba in a namespace, cordond on a member.

usage: directory.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import shutil

from daemon import Host, wait_until, write
from lib import Namespace, address, expect, main, udp_reaches, wire
from samba_dc import Domain

DC, MEMBER = "10.78.0.10", "10.78.0.20"
REALM = "CORP.EXAMPLE"

POLICY = """cordon: 1
hosts:
  dc1: { address: %s, roles: [dns, kdc], agent: none }
  m1:  { address: %s }
zones: { far: [10.78.0.99] }
groups:
%%s
authentication: { domain: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: far, endpoint1: [far], endpoint2: [m1], mode: require, authentication: domain, machines: [%%s] }
""" % (DC, MEMBER)


def policy(**groups):
    return POLICY % ("\n".join("  %s: [ { directory-group: '%s' } ]" % pair for pair in groups.items()), ", ".join(groups))


def world():
    dc, member = Namespace("dc"), Host("m")
    wire(dc, member)
    address(dc, "eth0", DC + "/24")
    address(member, "eth0", MEMBER + "/24")
    return Domain(dc, DC), member


def join(domain, member, more=""):
    keytab = domain.machine("m1")
    write(member.root + "/etc/cordon/host.yaml", "cordon: 1\nname: m1\nkeytab: m1.keytab\ndirectory: { realm: %s }\n" % REALM + more)
    shutil.copy(keytab, member.root + "/etc/cordon/m1.keytab")
    os.chmod(member.root + "/etc/cordon/m1.keytab", 0o600)


def start(member, **more):
    return member.start("--config", member.root + "/etc/cordon/host.yaml", **more)


def known(member):
    return member.json("status")["directory"] or {}


def failure(member):
    return known(member).get("failure") or ""


def learns(member, text, count):
    """By itself it asks again later each time it was in vain, 80 s and more where the machine is so busy that a controller takes a minute to
    be up. Whoever applies a policy has it asked at once."""
    for _ in range(6):
        if wait_until(lambda: known(member).get("known") == count, 10):
            return True
        member.cordon("apply", member.policy(text + "\n"))
    return False


def found():
    """names of every form become SIDs; a group that is not there is told, and found once it is; what was learnt outlives the controller"""
    domain, member = world()
    domain.group("trusted")
    join(domain, member)
    text = policy(a="CORP\\trusted", b="trusted@corp.example", c="Domain Computers", d="ghosts", e="OTHER\\trusted")
    start(member, policy=text)
    expect("three of five are known: %s %s" % (known(member), member.log()), wait_until(lambda: known(member).get("known") == 3, 20))
    expect("the others are missing: %s" % known(member), sorted(known(member)["missing"]) == ["OTHER\\trusted", "ghosts"])
    expect("which is told loudly", member.events().count("group-missing") == 2)
    expect("status says so", "NOT THERE, so nobody is let in as a member of: " in member.cordon("status")[1])
    domain.group("ghosts")
    code, said = member.cordon("apply", member.policy(text + "\n"))
    expect("another policy has the directory asked again: %s" % said, wait_until(lambda: known(member).get("known") == 4, 20))

    domain.stop()
    member.kill(15)
    start(member)
    expect("without a controller what was learnt is there: %s" % known(member), known(member).get("known") == 4)
    expect("and why nothing newer is", wait_until(lambda: "not reached" in failure(member) or "KDC" in failure(member), 60))
    expect("which is told: %s" % failure(member), "directory-failed" in member.events())
    domain.start()
    expect("it is asked again by itself", wait_until(lambda: known(member).get("failure") is None, 90))


def down_at_start():
    """without a controller and without a cache nothing is known, and status says why; when one comes, all is"""
    domain, member = world()
    domain.group("trusted")
    join(domain, member)
    domain.stop()
    text = policy(a="trusted")
    start(member, policy=text)
    expect("it is said what is not known", wait_until(lambda: failure(member) != "", 60))
    expect("it is not learnt: %s" % known(member), known(member)["not_learnt"] == ["trusted"] and known(member)["known"] == 0)
    expect("the event does not speak of what was known before: nothing was",
           "Nothing is known of any group yet" in member.cordon("events")[1] and "from before" not in member.cordon("events")[1])
    domain.start()
    expect("it is found when a controller is there: %s" % failure(member), learns(member, text, 1))


def profile():
    """an interface by which the directory answers is in profile domain, also where nothing else is asked; not at once out of it, but when its link is lost"""
    domain, member = world()
    other = Namespace("o")
    wire(other, member, b_if="eth1")
    address(other, "eth0", "10.79.0.1/24")
    address(member, "eth1", "10.79.0.2/24")
    join(domain, member, "interfaces: auto\n")
    text = """cordon: 1
hosts: { dc1: { address: %s, roles: [kdc], agent: none } }
firewall:
  hosts: [%s]
  inbound: block
  outbound: allow
  rules:
    - { name: at home, action: allow, traffic: [udp/7000], profiles: [domain] }
    - { name: abroad, action: allow, traffic: [udp/7001], profiles: [public] }
""" % (DC, MEMBER)
    start(member, policy=text)

    def profiles():
        return {row["interface"]: row["profile"] for row in member.json("status")["profiles"]}
    expect("the one is the domain's, the other public: %s" % profiles(),
           wait_until(lambda: profiles() == {"eth0": "domain", "eth1": "public"}, 60))
    expect("which is told", "profile-changed" in member.events() and "eth0 is in profile domain now; it was in public" in member.log())
    expect("status says so", "Profiles  eth0 domain: the directory answers over it\n          eth1 public: no directory answers over it\n" in
           member.cordon("status")[1])

    def hears(at, port, of, own):
        to = member.udp(own, port)
        return udp_reaches(of.udp(at), to, own, port)[1]
    expect("its rules are in force", hears(DC, 7000, domain.host, MEMBER) and not hears(DC, 7001, domain.host, MEMBER))
    expect("and not elsewhere", hears("10.79.0.1", 7001, other, "10.79.0.2") and not hears("10.79.0.1", 7000, other, "10.79.0.2"))
    domain.stop()
    member.cordon("refresh")
    expect("no controller answers: %s" % profiles(), profiles()["eth0"] == "domain" and hears(DC, 7000, domain.host, MEMBER))
    member.sh("ip", "addr", "del", MEMBER + "/24", "dev", "eth0")
    expect("the address is gone: %s" % profiles(), wait_until(lambda: "eth0" not in profiles(), 10))
    address(member, "eth0", MEMBER + "/24")
    expect("another network, with the same address as it happens: %s" % profiles(),
           wait_until(lambda: profiles().get("eth0") == "public", 10))
    domain.start()
    expect("the controller is found again: %s" % profiles(), wait_until(lambda: profiles()["eth0"] == "domain", 90))
    domain.host.sh("ip", "link", "set", "eth0", "down")
    expect("without a carrier it is nobody's, with the address as before: %s" % profiles(),
           wait_until(lambda: profiles().get("eth0") == "public", 10))
    domain.host.sh("ip", "link", "set", "eth0", "up")
    expect("and the domain's again when it is plugged in there: %s" % profiles(), wait_until(lambda: profiles()["eth0"] == "domain", 60))


def no_keytab():
    """a host that can't prove itself to the directory says so"""
    domain, member = world()
    del domain
    write(member.root + "/etc/cordon/host.yaml", "cordon: 1\nname: m1\ndirectory: { realm: %s }\n" % REALM)
    start(member, policy=policy(a="trusted"))
    expect("in words: %s" % failure(member), wait_until(lambda: "no keytab" in failure(member), 20))


if __name__ == "__main__":
    main([found, down_at_start, profile, no_keytab])
