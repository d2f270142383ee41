#!/usr/bin/env python3
"""Everything at once, for a cordond that was built with a sanitizer: four workers on each end, TCP and datagrams to several
addresses and through a NAT, while SAs are renewed and deleted, policies change, the NAT makes other mappings, a neighbour sends
forged packets, questions are asked all the time, and an end dies.

usage: threads.py [TEST ...]; CORDON, CORDOND and BLASTER name the programs. CORDON_TEST_PLANE: the data plane's program, if it is
not the one beside CORDOND
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import daemon
from daemon import Host, wait_until, write
from lib import Capture, Namespace, address, expect, main, on_exit, skip
from nat import MASQUERADE
from pressure import BLASTER, drops, hub
from workers import busy_workers

LONG = bool(os.environ.get("CORDON_TEST_LONG"))
A, PEERS = "10.77.0.1", ["10.77.0.%d" % n for n in range(2, 8)]
ROUTER, INSIDE, INSIDE_ROUTER = "10.77.0.100", "10.71.0.10", "10.71.0.1"
WORKERS = 4
TURNS, BLAST_S, DEAD_S = (12, 20, 4) if LONG else (2, 5, 2)
FIRST_PORT, PORTS, CARRIED_LEAST = 5300, 32, 20
POLICY = """cordon: 1
nat-traversal: both
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
protection: { short: { proposals: [esp-aes256gcm], lifetime: { time: 1h, data: %(data)s } } }
zones: { a: [%(a)s], b: [10.77.0.0/28] }
hosts:
  inside: { address: %(inside)s, nat-address: %(router)s }
connection-security:
  - { name: last, endpoint1: [a], endpoint2: [%(last)s], %(mode)s }
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key, protection: short }
  - { name: inside, endpoint1: inside, endpoint2: [b], mode: require, authentication: key }
"""


def policy(data="64MB", last=True):
    return POLICY % {"a": A, "last": PEERS[-1], "inside": INSIDE, "router": ROUTER, "data": data, 
                     "mode": "mode: require, authentication: key" if last else "mode: block"}


# What may be nowhere on the wire: IPv4 that is TCP, or UDP to the ports of the load. [code, to if true, to if false, value]
CLEAR = [(0x28, 0, 0, 12), (0x15, 0, 10, 0x800), (0x30, 0, 0, 23), (0x15, 7, 0, 6), (0x15, 0, 7, 17), (0x28, 0, 0, 20),
         (0x45, 5, 0, 0x1fff), (0xb1, 0, 0, 14), (0x48, 0, 0, 16), (0x35, 0, 2, FIRST_PORT), (0x35, 1, 0, FIRST_PORT + PORTS),
         (0x6, 0, 0, 0x40000), (0x6, 0, 0, 0)]


class Clear(Capture):
    """What should not be there. The kernel leaves the rest out."""

    def __init__(self, host, device="eth0"):
        super().__init__(host, device)
        rows = b"".join(struct.pack("HBBI", *row) for row in CLEAR)
        kept = ctypes.create_string_buffer(rows)
        self.s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", len(CLEAR), ctypes.addressof(kept)))  # SO_ATTACH_FILTER
        self.begun = len(self.read())  # from before there was a filter

    def frames_seen(self):
        return self.read()[self.begun:]


class World:
    def __init__(self):
        self.a, self.b, self.inside = Host("a"), Host("b"), Host("in")
        self.router, self.c = Namespace("nat"), Namespace("c")
        hub(self.a, self.b, self.c, self.router)
        subprocess.run(["ip", "link", "add", "eth0", "netns", self.inside.name, "type", "veth", "peer", "name", "eth1", "netns",
                        self.router.name], check=True)
        for host, device in ((self.inside, "eth0"), (self.router, "eth1")):
            host.sh("ip", "link", "set", device, "up")
        address(self.a, "eth0", A + "/24")
        address(self.b, "eth0", *[peer + "/24" for peer in PEERS])
        address(self.router, "eth0", ROUTER + "/24")
        address(self.router, "eth1", INSIDE_ROUTER + "/24")
        address(self.inside, "eth0", INSIDE + "/24")
        self.inside.sh("ip", "route", "add", "default", "via", INSIDE_ROUTER)
        self.router.sysctl("net/ipv4/ip_forward", "1")
        self.map("30000-40000")
        self.hosts = (self.a, self.b, self.inside)
        for host in self.hosts:
            self.start(host)

    def start(self, host):
        write(host.folder + "/host.yaml", "cordon: 1\nworkers: %d\n" % WORKERS)
        host.start("--config", host.folder + "/host.yaml", policy=policy())

    def map(self, ports):
        """Another mapping for whoever is behind the router."""
        self.router.sh("nft", "flush", "ruleset")
        self.router.nft((MASQUERADE % ports).replace("eth1", "eth0"))
        self.router.sh("conntrack", "-F", check=False)


class Load:
    """Programs that send and receive, begun anew when they end, well or not: what happens to them meanwhile is enough to end them."""

    def __init__(self, world):
        ports = iter(range(FIRST_PORT, FIRST_PORT + PORTS))
        self.going, self.clients, self.servers, self.well = True, {}, [], {}
        for source, own, sink, to, how in (
                *((world.a, A, world.b, peer, ("-P", "2")) for peer in PEERS[:3]),
                (world.b, PEERS[3], world.a, A, ("-P", "2")),
                *((world.a, A, world.b, peer, ("-u", "-b", "4M", "-l", "64")) for peer in PEERS[1:5]),
                (world.b, PEERS[5], world.a, A, ("-u", "-b", "30M", "-l", "1300")),
                (world.inside, INSIDE, world.b, PEERS[0], ("-P", "2")),
                (world.inside, INSIDE, world.b, PEERS[1], ("-u", "-b", "4M", "-l", "200"))):
            port = str(next(ports))
            self.servers.append(self.program(sink, "-s", "-B", to, "-p", port))
            name = (own, to, port)
            t = threading.Thread(target=self.again, daemon=True, args=(
                name, source, ("-c", to, "-B", own, "-p", port, "-t", "3", "--connect-timeout", "3000", "-f", "k", *how)))
            self.well[name] = 0
            t.start()

    @staticmethod
    def program(host, *words):
        p = subprocess.Popen(["ip", "netns", "exec", host.name, "timeout", "300", "iperf3", *words], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        on_exit(lambda: p.poll() is None and p.kill())
        return p

    def again(self, name, source, words):
        while self.going:
            p = self.clients[name] = self.program(source, *words)
            try:
                well = p.wait(8) == 0
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
                well = False
            self.well[name] += well
            time.sleep(0.1)

    def end(self):
        self.going = False
        for p in [*self.clients.values(), *self.servers]:
            p.terminate()
        return list(self.well.values())


QUESTIONS = (("status",), ("show", "quick-mode"), ("show", "main-mode"), ("show", "flows"), ("show", "peers"),
             ("show", "drops", "--all"), ("events",))


class Asking(threading.Thread):
    """All that can be asked, of all, all the time."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.world, self.going, self.asked = world, True, 0
        self.start()

    def run(self):
        while self.going:
            for words in QUESTIONS:
                for host in self.world.hosts:
                    host.cordon(*words)
                    self.asked += 1
                time.sleep(0.05)

    def end(self):
        self.going = False
        self.join(60)


def changes(world):
    """What administrators do, and what a NAT does."""
    a, b, inside = world.hosts
    for turn in range(TURNS):
        a.cordon("rekey")
        b.cordon("rekey", PEERS[-1])
        world.map("50000-60000" if turn % 2 == 0 else "30000-40000")
        for last in (False, True):  # the SAs of that rule go, and come again
            text = policy("%dMB" % random.choice((16, 32, 64)), last)
            said = [h.cordon("apply", h.policy(text)) for h in (a, b)]
            expect("applied: %s" % [s[1] for s in said if s[0]], all(s[0] == 0 for s in said))
            time.sleep(0.4)
        inside.cordon("rekey", "--main-mode")
        a.cordon("rekey", "--proof")
        time.sleep(0.5)


def plane_of(host):
    return next(p for p in host.json("status")["processes"] if p["name"] == "dataplane")


def carried(host):
    """Packets that its data plane has taken from and given to the device."""
    return [int(host.sh("cat", "/sys/class/net/cordon0/statistics/%s_packets" % way)) for way in ("tx", "rx")]


def findings(world):
    return [line for h in world.hosts for line in h.log().splitlines() if "Sanitizer" in line or "runtime error" in line]


def reach(world):
    return all(wait_until(lambda p=peer: world.a.pings(p, 2), 20) for peer in PEERS) and \
        wait_until(lambda: world.inside.pings(PEERS[0], 2), 20)


def loaded():
    """no sanitizer has anything to say, and nothing is in clear"""
    world = World()
    seen = Clear(world.c)
    expect("all reach each other", reach(world))
    expect("under a sanitizer", all("dataplane: built with sanitizers" in h.log() for h in world.hosts))
    expect("with so many workers", all(h.json("status")["plane"]["workers"] == WORKERS for h in world.hosts))
    before = {h: carried(h) for h in world.hosts}
    load, asking = Load(world), Asking(world)
    blaster = subprocess.Popen(["ip", "netns", "exec", world.c.name, BLASTER, "eth0", str(BLAST_S)], stdout=subprocess.PIPE, text=True)
    on_exit(lambda: blaster.poll() is None and blaster.kill())
    expect("the neighbour has heard ESP", blaster.stdout.readline().strip() == "begins")
    changes(world)
    blasted = dict(line.split() for line in blaster.communicate()[0].splitlines())
    expect("and has sent of each kind: %s" % blasted, len(blasted) == 6 and all(int(n) > 100 for n in blasted.values()))
    rows = {h: {name for (where, name), n in drops(h).items() if n and where != "ruleset"} for h in (world.a, world.b)}
    expect("which were told apart: %s" % rows.values(), {"replay", "bad-icv", "unknown-spi"} <= set().union(*rows.values()))

    def moved():
        return {h.name: [y - x for x, y in zip(before[h], carried(h))] for h in world.hosts}

    # whom a NAT moved in the middle of it may have had to wait for a program to begin again
    through = wait_until(lambda: all(min(n) > CARRIED_LEAST for n in moved().values()), 30)
    expect("packets went both ways everywhere: %s" % moved(), through)
    busy = [busy_workers(h) for h in (world.a, world.b)]
    expect("through several threads: %s" % busy, all(n >= 2 for _, n in busy))
    killed = plane_of(world.a)["pid"]
    os.kill(killed, signal.SIGKILL)
    expect("a data plane that is killed comes again", wait_until(lambda: plane_of(world.a)["pid"] != killed and plane_of(world.a)["ready"]))
    world.b.kill()
    time.sleep(DEAD_S)
    world.start(world.b)
    expect("after the death of an end, all reach each other", reach(world))
    asking.end()
    print("%d questions; %d runs of programs that ended well" % (asking.asked, sum(load.end())))
    clear = seen.frames_seen()
    expect("nothing was in clear (%d): %s" % (len(clear), clear[:2]), not clear)
    for host in world.hosts:
        host.cordon("disable")
        host.cordon("enable")
    statuses = [h.kill(signal.SIGTERM) for h in world.hosts]
    told = findings(world)
    if told:
        print("\n".join(h.log() for h in world.hosts))
    expect("no sanitizer has found anything: %s" % told[:5], not told)
    expect("and they end well: %s" % statuses, statuses == [0, 0, 0])


def with_plane(program):
    """A cordond with that data plane: children lie beside it."""
    folder = tempfile.mkdtemp(prefix="cordon-test-")
    on_exit(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.chmod(folder, 0o755)
    built = os.path.dirname(daemon.CORDOND)
    for name in ("", "-keying", "-keys", "-sources"):
        shutil.copy(built + "/cordond" + name, folder)
    shutil.copy(program, folder + "/cordond-dataplane")
    said = subprocess.run([folder + "/cordond-dataplane"], capture_output=True, text=True).stderr
    if "part of cordond" not in said:
        skip("a program built with ThreadSanitizer does not start here: %s" % said.strip())
    daemon.CORDOND = folder + "/cordond"


if __name__ == "__main__":
    if os.environ.get("CORDON_TEST_PLANE"):
        with_plane(os.environ["CORDON_TEST_PLANE"])
    main([loaded])
