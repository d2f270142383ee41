#!/usr/bin/env python3
"""From the first packet, through negotiation, to the kill of a daemon: whatever a local program without privileges sends,
no clear packet of a protected pair is on any wire, and what is exempt still flows.

usage: lab_killed.py CORDON POLICY
"""
import glob
import os
import signal
import subprocess
import sys
import time

from lab_twin import BASE, Lab, check, need_root, skip

need_root()
if subprocess.run(["tshark", "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    skip("tshark reads the captures: install tshark")

# As nobody: datagrams of all sizes from many ports, IKE's NAT port among them, connections, pings, and a datagram to a
# closed port, which draws an ICMP error.
NOISE = """
import os, random, socket, sys, time
os.setgroups([]); os.setgid(65534); os.setuid(65534)
there, end, n = sys.argv[1], time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    n += 1
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    c = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    c.setblocking(False)
    try:
        if n % 5 == 0:
            u.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            u.bind(("", 4500))
        if n % 7 == 0:
            u.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
        u.sendto(b"\\0\\0\\0\\0" + b"cleartext" * random.choice((1, 12, 140, 330)),
                 (there, random.choice((445, 389, 500, 4500, 9, 33434))))
    except OSError:
        pass
    try:
        c.connect((there, random.choice((389, 445, 4500))))
    except OSError:
        pass
    u.close()
    c.close()
    time.sleep(0.005)
"""

# ESP in UDP 4500 may be in fragments, and a later one says nothing of what it is; but all that the noise sends can be recognised.
CLEAR = ('(ip.addr == %s && ip.addr == %s) && !arp && (frame contains "cleartext" || !(ip.proto == 50 || '
         "(isakmp && udp.length == isakmp.length + 8) || udp.port == 4500 || (ip.proto == 17 && ip.frag_offset > 0)))")


def noise(lab, host, address, seconds):
    return subprocess.Popen([lab.cordon, "lab", "exec", host, sys.executable, "-c", NOISE, address, str(seconds)],
                            stdout=subprocess.DEVNULL)


def kill(host):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as f:
                words = f.read().split("\0")
        except OSError:
            continue
        if len(words) > 3 and any(w == "%s/up/%s/host.yaml" % (BASE, host) for w in words) and "cordond" in words[0]:
            os.kill(int(path.split("/")[2]), signal.SIGKILL)
            return
    check(False, "no cordond of %s runs" % host)


def clear_packets(keep, a, b):
    found = []
    for host in ("paw1", "dc1"):
        out = subprocess.run(["tshark", "-n", "-o", "ip.defragment:FALSE", "-r", "%s/%s.pcap" % (keep, host), "-Y", CLEAR % (a, b)],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        found += out.splitlines()
    return found


with Lab(sys.argv[1], None) as lab:
    keep = os.path.join(lab.folder, "keep")
    status, out, err = lab.run("up", "--keep", keep, sys.argv[2])
    check(status == 0, "up: " + err)
    try:
        both = [noise(lab, "paw1", "10.77.1.10", 8), noise(lab, "dc1", "10.77.2.31", 8)]
        time.sleep(2.5)
        kill("paw1")
        time.sleep(2)
        kill("dc1")
        for p in both:
            p.wait(timeout=60)
        exempt = lab.run("exec", "emergency-paw", "ping", "-c", "2", "-W", "2", "10.77.1.10")
        check(exempt[0] == 0, "exempt traffic to a host whose daemon was killed: " + exempt[1])
    finally:
        lab.run("down")
    sealed = subprocess.run(["tshark", "-n", "-r", keep + "/paw1.pcap", "-Y", "esp"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.count("\n")
    check(sealed > 20, "only %d ESP packets: the noise was not heard" % sealed)
    found = clear_packets(keep, "10.77.2.31", "10.77.1.10")
    check(not found, "%d clear packets, the first:\n%s" % (len(found), "\n".join(found[:10])))
print("no clear packet beside %d of ESP" % sealed)
