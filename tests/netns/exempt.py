#!/usr/bin/env python3
"""An exemption for a time: what it opens, what it leaves shut, and when it ends, read from the wire.

usage: exempt.py [TEST ...]; GATE_TOOL, CORDON and CORDOND name the programs
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from gate import A4, A6, B4, B6, CLEAR, DROPPED_HERE, DROPPED_THERE, FAMILIES, Pair, both
from daemon import A, B, PSK, by_kernel, two_hosts, wait_until, write
from lib import POLICY, Capture, address, expect, main, rule, udp_reaches

C4, C6 = "10.0.0.3", "fd00::3"


def opens_one():
    """It opens both ways to that address, and to no other; in every mode, with no matter which rule."""
    for mode in ("require", "require-inbound", "request"):
        p = Pair(both(mode) + rule("c", mode, A4, C4) + rule("c 6", mode, A6, C6))
        address(p.b, "eth0", C4 + "/24", C6 + "/64")
        p.ta.tell("hold")
        for here, there, other in ((A4, B4, C4), (A6, B6, C6)):
            p.ta.tell("exempt", there, 60000)
            expect("%s: out to %s" % (mode, there), p.say(here, there) == CLEAR)
            expect("%s: in from %s" % (mode, there), p.say(there, here, p.a, p.b) == CLEAR)
            expect("%s: out to %s stays shut" % (mode, other), p.say(here, other) == DROPPED_HERE)
            expect("%s: in from %s as before" % (mode, other), p.say(other, here, p.a, p.b) ==
                   (CLEAR if mode == "request" else DROPPED_THERE))
        expect("%s: counted" % mode, p.ta.counters()["exempted", "-"] == 4)
        p.ta.kill()


def keeps_blocks():
    """What a rule blocks stays blocked; with ports, the other ports are opened."""
    p = Pair(both("require") + rule("no telnet", "block", A4, B4, protocol="tcp", port2="23") +
             rule("no 7000", "block", A4, B4, protocol="udp", port2="7000"))
    p.ta.tell("exempt", B4, 60000)
    expect("blocked out", p.say(A4, B4) == DROPPED_HERE)
    expect("another port", p.say(A4, B4, port=7001) == CLEAR)
    p.ta.apply(both("block"))
    expect("blocked in", p.say(B4, A4, p.a, p.b) == DROPPED_THERE)
    c = p.ta.counters()
    expect("counted as blocked", c["blocked-in", "all"] == 1)


def prefers_an_sa():
    """While there is an SA with it, what we send is protected; and clear text is still accepted."""
    p = Pair(both("require"), both("require"))
    for here, there in FAMILIES:
        p.ta.tell("secured", here, there)
        p.ta.tell("exempt", there, 60000)
        expect("%s: protected" % here, p.say(here, there) == (True, False))
        p.ta.tell("unsecured", here, there)
        expect("%s: without it, clear, which the other refuses" % here, p.say(here, there) == DROPPED_THERE)
        expect("%s: it may speak under its SA" % there, p.say(there, here, p.a, p.b) == (True, False))


def ends():
    """The kernel ends it, although the daemon is dead; nothing that is applied meanwhile makes it longer."""
    p = Pair(both("require"))
    begun = time.monotonic()
    p.ta.tell("exempt", B4, 4000)
    p.ta.tell("exempt", B6, 60000)
    time.sleep(1.5)
    p.ta.apply(both("require") + rule("more", "require", A4, "10.9.9.9"))
    expect("it is carried over", p.say(A4, B4) == CLEAR and p.say(A6, B6) == CLEAR)
    p.a.sh("nft", "delete", "table", "inet", "cordon")
    p.ta.wait_for("restored")
    expect("and restored", p.say(A4, B4) == CLEAR)
    p.ta.kill()
    expect("the time has not come", time.monotonic() - begun < 3.9 and p.say(A4, B4) == CLEAR)
    while p.say(A4, B4)[1] and time.monotonic() - begun < 6:
        pass
    took = time.monotonic() - begun
    expect("over after %.1f s" % took, 2.5 < took < 5 and p.say(A4, B4) == DROPPED_HERE)
    expect("the other goes on", p.say(A6, B6) == CLEAR)


# ---- of the whole daemon -------------------------------------------------------------------------------------------

OUT = "10.77.0.9"  # somebody else on the wire, who never becomes reachable


def three():
    """Two that protect what they say, and an outsider behind b's card."""
    a, b = two_hosts()
    address(b, "eth0", OUT + "/24")
    policy = PSK % "require" + "  - { name: others, endpoint1: [a], endpoint2: [%s], mode: require, authentication: key }\n" % OUT
    a.start(policy=policy)
    return a, b, policy


def speaks(here, there, source, target):
    """One datagram: is it heard?"""
    return udp_reaches(here.udp(source), there.udp(target, 7000), target, 7000)[1]


def exempted(a):
    return [(r["host"], r["reason"]) for r in a.json("show", "exemptions")["rows"]]


def survives():
    """A restart of the daemon goes on with it, and makes it no longer; a restart of the machine ends it."""
    a, b, _ = three()
    expect("shut before", not speaks(b, a, B, A))
    status, said = a.cordon("exempt", B, "--for", "10s", "--reason", "its keys are gone")
    begun = time.monotonic()
    expect("it is said that addresses can be forged: %s" % said, status == 0 and "forged" in said)
    expect("open", speaks(b, a, B, A) and speaks(a, b, A, B))
    expect("not for others", not speaks(b, a, OUT, A) and not speaks(a, b, A, OUT))
    time.sleep(3)
    a.kill()
    expect("open without the daemon", speaks(b, a, B, A))
    a.start("--policy", a.folder + "/policy.yaml")
    row = a.json("show", "exemptions")["rows"][0]
    left = 10 - (time.monotonic() - begun)
    expect("%d s left, not more than %.1f" % (row["left_s"], left), abs(row["left_s"] - left) < 1.5)
    expect("still open", speaks(b, a, B, A))
    status = a.cordon("status")[1]
    expect("told by status: " + status, "Exempted  10.77.0.2" in status and "its keys are gone" in status)
    expect("told by show rules", "exempted for another" in a.cordon("show", "rules")[1])
    wait_until(lambda: not exempted(a), 10)
    took = time.monotonic() - begun
    expect("over after %.1f s" % took, 9 < took < 12 and not speaks(b, a, B, A) and not speaks(a, b, A, B))
    expect("with events", [e for e in a.events() if e.startswith("exemption")] == ["exemption-ended"])
    a.cordon("exempt", B, "--for", "1h", "--reason", "again")
    a.kill()
    path = a.state + "/exemptions.json"
    text = open(path).read()
    write(path, text.replace(open("/proc/sys/kernel/random/boot_id").read().strip(), "another-boot"))
    a.start("--policy", a.folder + "/policy.yaml")
    expect("another boot: ended", not exempted(a) and not speaks(b, a, B, A) and "exemption-ended" in a.events())
    a.kill()
    write(path, "{ broken")
    a.start("--policy", a.folder + "/policy.yaml")
    expect("a broken file is none", not exempted(a) and not speaks(b, a, B, A))


def repair():
    """Disabled there, exempted here, enabled again: protected at once, before the exemption ends; and nobody else."""
    a, b, _ = three()
    seen = Capture(b)
    b.start(policy=PSK % "require")
    expect("protected", speaks(a, b, A, B))
    expect("no negotiation fails", a.json("show", "main-mode")["rows"][0]["state"] == "established")
    expect("disabled", b.cordon("disable", "--reason", "a broken policy")[0] == 0)
    wait_until(lambda: not a.json("show", "main-mode")["rows"], 5)
    expect("cut off", not speaks(b, a, B, A))
    expect("nobody else", not speaks(b, a, OUT, A))
    a.cordon("exempt", B, "--for", "5m", "--reason", "b is being repaired")
    seen.read(), seen.frames.clear()
    expect("open", speaks(b, a, B, A) and speaks(a, b, A, B))
    expect("nobody else, still", not speaks(b, a, OUT, A) and not speaks(a, b, A, OUT))
    # The kernel asks for an SA before it looks at the rules; what is sent does not wait for it.
    expect("and no negotiation with it", by_kernel(a) or not any(f[23] == 17 and f[36:38] == b"\x01\xf4" for f in seen.read()
                                                if f[12:14] == b"\x08\x00" and f[26:30] == bytes([10, 77, 0, 1]) and
                                                f[30:34] == bytes([10, 77, 0, 2])))
    expect("enabled", b.cordon("enable")[0] == 0)
    seen.read(), seen.frames.clear()
    out, into = b.udp(B, 7100), a.udp(A, 7101)
    into.settimeout(5)
    sent, heard, mark = udp_reaches(out, into, A, 7101)
    expect("enabled: from there, protected", heard and not seen.has(mark))
    sent, heard, mark = udp_reaches(into, out, B, 7100)
    expect("and the answer", heard and not seen.has(mark))
    sent, heard, mark = udp_reaches(a.udp(A), b.udp(B, 7102), B, 7102)
    expect("and what we begin, although exempted", heard and not seen.has(mark) and exempted(a))
    status, said = a.cordon("exempt", "--end", B)
    expect("ended: " + said, status == 0 and not exempted(a))
    expect("protected again", speaks(b, a, B, A) and not speaks(b, a, OUT, A))
    expect("events", [e for e in a.events() if e.startswith("exemption")] == ["exemption-begun", "exemption-ended"])


def bounds():
    """What is refused, in words, changes nothing."""
    a, b, _ = three()
    rows = ((("exempt", "10.77.0.0/24", "--for", "1h", "--reason", "x"), "not for networks"),
            (("exempt", "nobody", "--for", "1h", "--reason", "x"), "neither an address nor a host or zone"),
            (("exempt", A, "--for", "1h", "--reason", "x"), "this host itself"),
            (("exempt", "127.0.0.1", "--for", "1h", "--reason", "x"), "outside all rules"),
            (("exempt", "fe80::1", "--for", "1h", "--reason", "x"), "outside all rules"),
            (("exempt", B, "--for", "25h", "--reason", "x"), "at most 24h"),
            (("exempt", B, "--for", "5s", "--reason", "x"), "at least 10 seconds"),
            (("exempt", B, "--for", "1h"), "--reason"), (("exempt", B, "--reason", "x"), "--for"),
            (("exempt", B, "--for", "-1h", "--reason", "x"), "--for takes"),
            (("exempt", "--end", B), "is not exempted"), (("exempt",), "which host"),
            (("exempt", B, "--list"), "stand alone"))
    for words, said in rows:
        status, text = a.cordon(*words)
        expect("%s: %s" % (" ".join(words), text.strip()[:90]), status != 0 and said in text and not exempted(a))
    for i in range(64):
        a.cordon("exempt", "10.99.0.%d" % i, "--for", "1h", "--reason", "x")
    expect("64 are", len(exempted(a)) == 64)
    status, text = a.cordon("exempt", B, "--for", "1h", "--reason", "x")
    expect("65: " + text, status == 1 and "64 exemptions" in text)
    a.kill()
    write(a.root + "/etc/cordon/host.yaml", "cordon: 1\nlongest-exemption: 0\n")
    a.start("--policy", a.folder + "/policy.yaml", "--config", a.root + "/etc/cordon/host.yaml")
    status, text = a.cordon("exempt", "10.98.0.1", "--for", "1h", "--reason", "x")
    expect("forbidden: " + text, status == 1 and "forbids" in text)


def named():
    """By the policy's names; a zone is all its addresses but this host's; whom no rule protects is said to be so."""
    a, b, _ = three()
    policy = """cordon: 1
hosts: { srv: { address: [%s, "fd00::9"] } }
zones: { all: [10.77.0.0-10.77.0.9], wide: [10.0.0.0/8] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [all], endpoint2: [all], mode: require, authentication: key }
""" % OUT
    expect("applied", a.cordon("apply", a.policy(policy))[0] == 0)
    expect("a host", a.cordon("exempt", "srv", "--for", "1h", "--reason", "x")[0] == 0 and speaks(b, a, OUT, A))
    expect("and not others", not speaks(b, a, B, A))
    row = a.json("show", "exemptions")["rows"][0]
    expect("both its addresses", row["addresses"] == [OUT, "fd00::9"] and row["by"] == "root")
    status, text = a.cordon("why", "--policy", a.policy(policy), OUT, A, "tcp/80")
    expect("why tells: " + text, "exempted for another" in text)
    expect("a zone", a.cordon("exempt", "all", "--for", "1h", "--reason", "x")[0] == 0 and speaks(b, a, B, A))
    expect("nine addresses", len(a.json("show", "exemptions")["rows"][1]["addresses"]) == 9)
    a.cordon("exempt", "--end", "all")
    expect("one that is in two stays", speaks(b, a, OUT, A) and not speaks(b, a, B, A))
    status, text = a.cordon("exempt", "wide", "--for", "1h", "--reason", "x")
    expect("too wide: " + text, status == 1 and "more than 64 addresses" in text)
    status, text = a.cordon("exempt", "10.55.0.1", "--for", "1h", "--reason", "x")
    expect("nothing to exempt: " + text, status == 0 and "No rule in force here protects" in text)


TESTS = [opens_one, keeps_blocks, prefers_an_sa, ends, survives, repair, bounds, named]

if __name__ == "__main__":
    main(TESTS)
