#!/usr/bin/env python3
"""The profile of an interface by the zone that NetworkManager has put its connection into: with the real one, which has a
message bus and folders of its own.

usage: zones.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os

from daemon import A, B, Host, wait_until, write
from lib import Namespace, address, expect, main, skip, udp_reaches, wire
from network_manager import NetworkManager, missing

PAGE = "cordon: 1\nzones: { home: private, public: public }\n"
POLICY = """cordon: 1
hosts: { b: { address: %s, agent: none } }
firewall:
  hosts: [%s]
  inbound: block
  outbound: allow
  rules:
    - { name: at home, action: allow, traffic: [udp/7000], profiles: [private] }
    - { name: abroad, action: allow, traffic: [udp/7001], profiles: [public] }
""" % (B, A)


class World:
    def __init__(self, page=PAGE):
        if missing():
            skip("there is no NetworkManager, nmcli or dbus-daemon")
        self.a, self.b = Host("a"), Namespace("b")
        wire(self.a, self.b)
        address(self.b, "eth0", B + "/24")
        self.nm = NetworkManager(self.a)
        self.page(page)

    def page(self, text):
        write(self.a.root + "/etc/cordon/host.yaml", text)

    def start(self):
        self.a.start("--config", self.a.root + "/etc/cordon/host.yaml", policy=POLICY)

    def profile(self):
        return next((row for row in self.a.json("status")["profiles"] if row["interface"] == "eth0"), {})

    def hears(self, port):
        to = self.a.udp(A, port)
        return udp_reaches(self.b.udp(B), to, A, port)[1]

    def is_in(self, what, profile, zone, why):
        row = {"profile": profile, "zone": zone}
        here = wait_until(lambda: row.items() <= self.profile().items() and why in self.profile()["why"], 5)
        expect("%s: eth0 is %s: %s" % (what, profile, self.profile()), here)
        heard = self.hears(7000), self.hears(7001)
        expect("and what may come in is that of %s: %s" % (profile, heard), heard == (profile == "private", profile == "public"))


def follows():
    """which connection is up, another zone of it, and one without a zone: the profile and its rules follow; so they do when NetworkManager comes later, and stay when it goes"""
    w = World()
    w.start()
    expect("without NetworkManager nothing is known: %s" % w.profile(), not w.profile())
    w.nm.start()
    w.nm.add("home", A, zone="home")
    w.nm.add("cafe", A, zone="public")
    w.nm.add("plain", A)
    w.nm.cli("connection", "up", "home")
    w.is_in("at home", "private", "home", "its connection is in zone home")
    expect("an event tells, with the reason: %s" % w.a.log(),
           "eth0 is in profile private now; it was in public: its connection is in zone home" in w.a.log() and "profile-changed" in w.a.events())
    expect("status says so", "Profiles  eth0 private: its connection is in zone home\n" in w.a.cordon("status")[1])
    w.nm.cli("connection", "up", "cafe")
    w.is_in("in the cafe, with the same address", "public", "public", "its connection is in zone public")
    w.nm.cli("connection", "modify", "cafe", "connection.zone", "home")
    w.is_in("the cafe is my home", "private", "home", "")
    w.nm.cli("connection", "modify", "--temporary", "cafe", "connection.zone", "dmz")
    w.is_in("for a while a zone that the page does not know", "public", "dmz", "of which host.yaml says nothing")
    w.nm.cli("connection", "up", "plain")
    w.is_in("no zone", "public", None, "its connection names no zone")
    w.nm.cli("connection", "up", "home")
    w.is_in("home again", "private", "home", "")
    w.nm.stop()
    w.a.cordon("refresh")
    w.is_in("NetworkManager has ended and left all as it was", "private", "home", "")
    w.nm.start()
    w.is_in("it is there again", "private", "home", "")
    w.nm.cli("device", "disconnect", "eth0")
    expect("nothing is up: %s" % w.profile(), wait_until(lambda: not w.profile(), 10))


def order():
    """what the page says of an interface counts more than its zone, and that more than what holds for all; a page with zones is taken by a refresh"""
    w = World("cordon: 1\n")
    w.nm.start()
    w.nm.add("home", A, zone="home")
    w.nm.cli("connection", "up", "home")
    w.start()
    expect("a page without zones has all profiles: %s" % w.profile(), not w.profile() and w.hears(7000) and w.hears(7001))

    def again(page):
        w.page(page)
        code, said = w.a.cordon("refresh")
        expect("the page is taken: %s" % said, code == 0)
    again(PAGE)
    w.is_in("zones", "private", "home", "")
    w.nm.cli("connection", "modify", "home", "connection.zone", "public")
    w.is_in("and are watched", "public", "public", "")
    again(PAGE + "interfaces: { eth0: private }\n")
    w.is_in("the interface's own word", "private", None, "host.yaml says so")
    again(PAGE + "interfaces: auto\n")
    w.is_in("the zone's word before that for all", "public", "public", "its connection is in zone public")
    again("cordon: 1\nzones: { public: auto }\n")
    w.is_in("a zone that leaves it open", "public", "public", "its connection is in zone public; no directory answers over it")
    again("cordon: 1\nzones: { public: domain }\n")
    expect("domain only if the page says it of the zone: %s" % w.profile(), w.profile()["profile"] == "domain" and w.profile()["by"] == "zone")
    path = w.a.root + "/etc/NetworkManager/system-connections/home.nmconnection"
    again("cordon: 1\nzones: { public: private }\n")
    w.is_in("private", "private", "public", "")
    os.chmod(path, 0o622)
    w.is_in("a connection's file that others can write", "public", None, "not root's alone")
    os.chmod(path, 0o600)
    os.rename(path, path + "~")
    os.symlink(path + "~", path)
    w.is_in("one behind a link", "public", None, "not root's alone")


if __name__ == "__main__":
    main([follows, order])
