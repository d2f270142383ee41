#!/usr/bin/env python3
"""The kernel's data plane under the whole daemon: in a guest whose kernel has ESP (tests/guest/run).

usage: kernel.py [TEST ...]; CORDON and CORDOND name the programs
"""
import json
import os
import signal
import socket
import subprocess
import time

from daemon import (A, B, CORDOND, ESP, PSK, TALKER, by_kernel, lives, reaches, two_hosts, wait_until, write)
from lib import SLOW, Capture, Namespace, address, expect, main, marker, on_exit, run, udp_reaches, wire

FREE, INSIDE = "10.77.0.77", "10.78.0.2"  # an address that no rule is about; one that a masquerades
PAGE = "cordon: 1\ndata-plane: %s\n"
FOREIGN = ("src 10.77.0.1 dst 10.77.0.9 proto esp spi 0x4711 reqid 7 mode transport "
           "aead rfc4106(gcm(aes)) 0x%s 128" % ("11" * 20)).split()
FOREIGN_POLICY = "src 10.77.0.1/32 dst 10.77.0.9/32 dir out priority 77 tmpl proto esp reqid 7 mode transport".split()
WALL = """firewall:
  hosts: [b]
  inbound: block
  outbound: allow
  rules:
    - { name: sealed, action: allow, direction: in, traffic: [udp/4321], secure: encrypted }
    - { name: anyhow, action: allow, direction: in, traffic: [udp/4400] }
"""


def page(host, plane):
    write(host.folder + "/host.yaml", PAGE % plane + "name: %s\n" % host.label)
    return host.folder + "/host.yaml"


def hosts():
    a, b = two_hosts()
    a.label, b.label = "a", "b"
    return a, b


def start(host, text, plane="auto"):
    host.start("--config", page(host, plane), policy=text)


def xfrm(host, what):
    return host.sh("ip", "xfrm", what)


def ours(host):
    """States and policies that bear our reqids."""
    words = (xfrm(host, "state") + xfrm(host, "policy")).split()
    return [n for at, n in zip(words, words[1:]) if at == "reqid" and int(n) >> 28 == 0xc]


def clear(seen):
    """Frames that are neither ours on the wire nor what links say."""
    return [f for f in seen.read() if f[12:14] == b"\x08\x00" and f[23] not in (ESP, 51) and
            not (f[23] == 17 and {f[34:36], f[36:38]} & {b"\x01\xf4", b"\x11\x94"})]


def netlink(pid):
    """The protocols of the netlink sockets that a process has."""
    fds = "/proc/%d/fd" % pid
    inodes = {os.readlink(fds + "/" + n).removeprefix("socket:[").rstrip("]") for n in os.listdir(fds)}
    with open("/proc/%d/net/netlink" % pid, encoding="utf-8") as f:
        return {int(row[1]) for row in map(str.split, list(f)[1:]) if row[-1] in inodes}


def talker(host, to):
    p = subprocess.Popen(["ip", "netns", "exec", host.name, "python3", "-c", TALKER, to])
    on_exit(lambda: (p.kill(), p.wait()))


def chosen():
    """auto takes it, status says so, ESP is on the wire, the process has the one right that it needs"""
    a, b = hosts()
    seen = Capture(a)
    start(a, PSK % "require")
    start(b, PSK % "require", "kernel")
    plane = a.json("status")["plane"]
    expect("it is the kernel's", plane["kind"] == "kernel" and by_kernel(b))
    expect("and why is said", "ESP" in plane["why"] and "Plane     kernel (" in a.cordon("status")[1])
    expect("there is no device", "cordon0" not in a.sh("ip", "link"))
    expect("and no way of its own", "fwmark" not in a.sh("ip", "rule"))
    expect("the first ping is late, not lost", a.pings(B))
    sent, heard, mark = reaches(a, b, B)
    expect("UDP arrives", sent and heard)
    expect("ESP, and nothing clear", ESP in seen.protocols() and not clear(seen) and not seen.has(mark))
    rows = a.json("show", "quick-mode")["rows"]
    expect("the SA is shown, and has carried something", rows[0]["protection"] == "encrypted" and
           wait_until(lambda: a.json("show", "quick-mode")["rows"][0]["packets_in"] > 0, 3 * SLOW))
    pid = next(p["pid"] for p in a.json("status")["processes"] if p["name"] == "dataplane")
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        caps = {k: int(v, 16) for k, v in (x.split(":") for x in f if x.startswith("Cap"))}
    expect("its process may change SAs and nothing else", caps["CapPrm"] == caps["CapEff"] == 1 << 12 and
           caps["CapBnd"] == 0 and caps["CapInh"] == 0)
    expect("of netlink it has XFRM alone, not nftables: %s" % netlink(pid), netlink(pid) == {6})
    expect("and its cage lacks nothing", not any(p["lacks"] for p in a.json("status")["processes"]))


def in_udp():
    """IKE and ESP share UDP 4500: the kernel takes its own, the process gets the rest"""
    a, b = hosts()
    text = (PSK % "require").replace("cordon: 1\n", "cordon: 1\nencapsulation: udp\n")
    start(a, text)
    start(b, text)
    seen = Capture(a)
    expect("a ping arrives", wait_until(lambda: a.pings(B, 2), 10 * SLOW))
    expect("in UDP 4500", any(f[12:14] == b"\x08\x00" and f[23] == 17 and f[36:38] == b"\x11\x94" for f in seen.read()))
    left = [(f[23], f[34:38].hex()) for f in clear(seen)] + [f[23] for f in seen.read() if f[12:14] == b"\x08\x00" and f[23] == ESP]
    expect("and neither bare nor clear: %s" % left[:4], not left)
    expect("nobody has died of it", not any(p["restarts"] for h in (a, b) for p in h.json("status")["processes"]))


def firewall():
    """a rule that asks for encryption is told by the SA itself; without one, nothing comes in"""
    a, b = hosts()
    null = ", protection: p }\n".join((PSK % "require").rsplit(" }\n", 1)) + "protection: { p: { proposals: [esp-null-sha256] } }\n"
    for protection, said, text in (("encrypted", True, PSK % "require"), ("authenticated", False, null)):
        start(a, text)
        start(b, text + WALL)
        expect("%s: what asks nothing comes in" % protection, wait_until(lambda: reaches(a, b, B, port=4400)[1], 10 * SLOW))
        expect("%s: it is so" % protection, a.json("show", "quick-mode")["rows"][0]["protection"] == protection)
        expect("%s: what asks for encryption %s" % (protection, "comes in" if said else "stays out"),
               reaches(a, b, B, port=4321)[1] == said)
        for h in (a, b):
            h.kill(signal.SIGTERM)


def switched():
    """the host's page changes: from one plane to the other and back, with traffic; nothing is clear, and nothing is left"""
    a, b = hosts()
    seen = Capture(a)
    start(a, PSK % "require")
    start(b, PSK % "require")
    expect("protected", a.pings(B))
    talker(a, B)
    talker(b, A)
    for plane, word in (("userspace", "userspace"), ("auto", "kernel"), ("userspace", "userspace")):
        page(a, plane)
        status, said = a.cordon("refresh")
        expect("refresh to %s: %s" % (plane, said.strip()[-80:] if status else "done"), status == 0)
        expect("status says %s" % word, wait_until(lambda w=word: a.json("status")["plane"]["kind"] == w, 5 * SLOW))
        expect("it is protected again", wait_until(lambda: a.pings(B, 2), 20 * SLOW))
        expect("the %s" % ("device is there" if word == "userspace" else "kernel has our SAs"),
               "cordon0" in a.sh("ip", "link") if word == "userspace" else ours(a))
        if word == "userspace":
            expect("nothing of ours is left in XFRM", wait_until(lambda: not ours(a), 5 * SLOW))
        else:
            expect("the device is gone", "cordon0" not in a.sh("ip", "link"))
    expect("nothing was clear, ever", not clear(seen))


def packets_wait(host):
    return host.sh("cat", "/proc/sys/net/core/xfrm_larval_drop").strip() == "0"


def killed():
    """kill -9 of all: nothing goes out in clear, others' SAs stay; the next one cleans up, whatever its plane"""
    a, b = hosts()
    seen = Capture(a)
    a.sh("ip", "xfrm", "state", "add", *FOREIGN)
    a.sh("ip", "xfrm", "policy", "add", *FOREIGN_POLICY)
    foreign = (xfrm(a, "state"), xfrm(a, "policy"))
    start(a, PSK % "require")
    start(b, PSK % "require")
    expect("protected", a.pings(B))
    pids = [p["pid"] for p in a.json("status")["processes"]]
    talker(a, B)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    a.kill()
    expect("they are dead", wait_until(lambda: not any(lives(p) for p in pids), 5 * SLOW))
    a.sh("ip", "xfrm", "state", "deleteall", "src", A, "dst", B, check=False)
    left = ours(a)
    time.sleep(1)
    expect("something of ours is left", left)
    expect("and nothing is clear", not clear(seen))
    expect("packets go on waiting, which nobody could undo", packets_wait(a))
    start(a, PSK % "require", "userspace")
    expect("the next one removes it", wait_until(lambda: not ours(a), 5 * SLOW))
    expect("and lets packets wait no more", not packets_wait(a))
    expect("and protects", wait_until(lambda: a.pings(B, 2), 20 * SLOW))
    a.kill()
    start(a, PSK % "require")
    expect("so does the one after it, with the kernel", wait_until(lambda: a.pings(B, 2), 20 * SLOW) and ours(a))
    status, _ = a.cordon("disable", "--reason", "test")
    expect("disable takes all of ours out", status == 0 and wait_until(lambda: not ours(a), 5 * SLOW))
    expect("clear text flows", b.cordon("disable", "--reason", "test")[0] == 0 and a.pings(B))
    expect("enable protects again", a.cordon("enable")[0] == 0 and b.cordon("enable")[0] == 0 and
           wait_until(lambda: a.pings(B, 2), 20 * SLOW) and ours(a))
    a.kill()
    expect("killed once more", packets_wait(a))
    a.sh(CORDOND, "--uninstall-rules", "--state-dir", a.state)
    expect("--uninstall-rules leaves nothing of ours", not ours(a) and not packets_wait(a))
    expect("what others have there is as it was", (xfrm(a, "state"), xfrm(a, "policy")) == foreign)


def ended():
    """switched on and off before the data plane's process has come to it: nothing of ours stays in the kernel"""
    a, b = hosts()
    start(a, PSK % "require")
    expect("it protects", by_kernel(a) and not a.pings(B, 1) and ours(a))
    pid = next(p["pid"] for p in a.json("status")["processes"] if p["name"] == "dataplane")
    a.cordon("disable", "--reason", "test")
    os.kill(pid, signal.SIGSTOP)
    enable = a.begin("enable")  # it waits for the data plane
    expect("enabled", wait_until(lambda: [e for e in a.events() if e in ("enabled", "disabled")][-1] == "enabled", 5 * SLOW))
    a.cordon("disable", "--reason", "test")
    expect("who enabled it waits no more", enable.wait(60) == 0)
    os.kill(pid, signal.SIGCONT)
    expect("the process goes on", wait_until(lambda: any(p["pid"] == pid for p in a.json("status")["processes"]), 5 * SLOW))
    time.sleep(SLOW)
    expect("nothing of ours is left", wait_until(lambda: not ours(a), 5 * SLOW))
    expect("and traffic flows", a.pings(B))
    a.cordon("enable")
    pid = next(p["pid"] for p in a.json("status")["processes"] if p["name"] == "dataplane")
    expect("it protects again", wait_until(lambda: ours(a), 5 * SLOW) and not a.pings(B, 1))
    os.kill(pid, signal.SIGSTOP)
    a.cordon("disable", "--reason", "test")
    os.kill(pid, signal.SIGKILL)
    expect("nor is after its death", wait_until(lambda: not ours(a), 5 * SLOW) and a.pings(B))


def sends(host, to, own, words, kind=socket.SOCK_DGRAM, protocol=0):
    """From source port 4500, or as a protocol; what is dropped is an error of the program's."""
    with host.socket(socket.AF_INET, kind, protocol, (own, 4500)) as s:
        try:
            s.sendto(words, (to, 4321))
        except PermissionError:
            pass


def port_taken():
    """source port 4500 and protocol 50 are anybody's: from the boot on they let nothing out, nor a namespace that is masqueraded"""
    a, b = hosts()
    c = Namespace("c")
    wire(a, c, "eth1", "eth0")
    address(b, "eth0", FREE + "/24")
    address(a, "eth1", "10.78.0.1/24")
    address(c, "eth0", INSIDE + "/24")
    c.sh("ip", "route", "add", "default", "via", "10.78.0.1")
    start(a, PSK % "require")
    start(b, PSK % "require")
    expect("protected", by_kernel(a) and a.pings(B))
    a.kill(signal.SIGTERM)
    a.sh("nft", "flush", "ruleset")
    a.sh("ip", "xfrm", "policy", "flush")
    a.sh("ip", "xfrm", "state", "flush")
    a.sh(CORDOND, "--load-rules", "--run-dir", a.run_dir, "--state-dir", a.state, "--root", a.root)
    a.sysctl("net/ipv4/ip_forward", "1")
    a.nft("table ip nat { chain out { type nat hook postrouting priority 100; oifname eth0 masquerade; }; }")
    seen = Capture(a)
    for name, host, own, how in (("a program with port 4500", a, A, ()), ("a raw socket's ESP", a, A, (socket.SOCK_RAW, ESP)),
                                 ("a masqueraded namespace", c, INSIDE, ())):
        free, secret = marker(), marker()
        sends(host, FREE, own, free, *how)
        sends(host, B, own, secret, *how)
        expect("%s reaches who is not protected" % name, seen.has(free, 0.3 * SLOW))
        expect("and says nothing clear to who is", not seen.has(secret, 0.3 * SLOW))
    start(a, PSK % "require")
    expect("with the daemon it is protected", wait_until(lambda: a.pings(B, 2), 20 * SLOW))
    a.sh("ip", "xfrm", "policy", "flush")
    secret = marker()
    sends(c, B, INSIDE, secret)
    expect("nor is anything clear when somebody has flushed the policies", not seen.has(secret, 0.3 * SLOW))


def flushed():
    """somebody flushes policies and SAs of the kernel: they are back at once, with an event, and nothing is clear"""
    a, b = hosts()
    seen = Capture(a)
    start(a, PSK % "require")
    start(b, PSK % "require")
    expect("protected", by_kernel(a) and a.pings(B))
    talker(a, B)
    before = sorted(xfrm(a, "policy").split("\n"))
    for what, how in (("policies", "policy"), ("SAs", "state")):
        told = a.events().count("rules-restored")
        a.sh("ip", "xfrm", how, "flush")
        expect("%s: the event says it" % what, wait_until(lambda n=told: a.events().count("rules-restored") > n, 5 * SLOW))
        expect("%s: it is protected again" % what, wait_until(lambda: a.pings(B, 2), 5 * SLOW))
    expect("the policies are what they were", sorted(xfrm(a, "policy").split("\n")) == before)
    expect("nothing was clear", not clear(seen))
    expect("packets wait for an SA", packets_wait(a))
    status, _ = a.cordon("disable", "--reason", "test")
    expect("and do as before when nothing is protected", not packets_wait(a))
    expect("what we take out ourselves stays out", status == 0 and wait_until(lambda: not ours(a), 5 * SLOW) and not
           wait_until(lambda: ours(a), 1))


main([chosen, in_udp, firewall, switched, killed, port_taken, flushed, ended])
