#!/usr/bin/env python3
"""identity/kerberos/kerberos.h against Active Directory, as Samba is it: two ends in one program. What a machine's ticket says of
its groups, also of 1,500 of them, and what only a directory refuses.

usage: kerberos_directory.py PROGRAM
"""
import re
import subprocess
import sys

from lib import Namespace, address, expect, wire
from samba_dc import Domain

R = "CORP.EXAMPLE"
B = "host/b.corp.example@" + R


def ends(host, *args):
    done = subprocess.run(["ip", "netns", "exec", host.name, sys.argv[1], "10.9.0.1", *args], capture_output=True,
                          text=True, timeout=60)
    return done.stdout


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else -1


def main():
    dc = Namespace("dc")
    other = Namespace("other")
    wire(dc, other)
    address(dc, "eth0", "10.9.0.1/24")
    d = Domain(dc, "10.9.0.1")
    a, b = d.machine("a", "trusted"), d.machine("b")
    said = ends(dc, a, b, B)
    expect("a machine account proves itself: " + said, said.startswith("complete a$@%s of %s " % (R, B)))
    # its account, Domain Computers, trusted, and what every domain adds
    few = number(r"sids=(\d+)", said)
    expect("its ticket names its groups", few >= 3)
    expect("when they were learnt", number(r"learnt=(\d+)", said) > 1700000000)
    expect("by datagram it is asked again by TCP where that is too small", "complete" in ends(dc, a, b, B, "udp"))
    expect("by the short name", "complete" in ends(dc, a, b, "host/b@" + R))
    said = ends(dc, a, b, "host/c.corp.example@" + R)
    expect("no such service: " + said, "knows no service host/c.corp.example" in said)
    d.groups("many", 1500, "a$")
    said = ends(dc, a, b, B)
    expect("1,500 groups: " + said, number(r"sids=(\d+)", said) >= 1500 and number(r"token=(\d+)", said) > 8000)
    d.leave("trusted", "a$")
    expect("a group that it left is not in the next ticket", number(r"sids=(\d+)", ends(dc, a, b, B)) == few + 1500 - 1)


main()
