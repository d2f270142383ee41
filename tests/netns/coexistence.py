#!/usr/bin/env python3
"""Cordon beside other programs that make rules and routes: each of them is started, restarted, flushed and stopped under
traffic. What is protected is never clear on the wire, and flows again within a second; so does what is exempt.

usage: coexistence.py [NEIGHBOUR ...]; CORDON and CORDOND name the programs
"""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from daemon import A, B, PSK, Host, wait_until, write
from lib import Capture, address, expect, main, marker, on_exit, wire
from network_manager import NetworkManager

OUT = "10.77.0.9"  # no rule speaks of it
A6, B6 = "fd77::1", "fd77::2"
POLICY = PSK.replace("a: [%s], b: [%s]" % (A, B), "a: [%s, '%s'], b: [%s, '%s']" % (A, A6, B, B6))


class Flow:
    """A datagram each two milliseconds, and when they arrive."""

    def __init__(self, name, sender, source, receiver, target, port):
        self.name, self.mark, self.came, self.on = name, marker(), [], True
        self.out, self.into = sender.udp(source), receiver.udp(target, port)
        self.into.settimeout(0.1)
        self.threads = [threading.Thread(target=f, args=(target, port), daemon=True) for f in (self.send, self.hear)]
        for t in self.threads:
            t.start()

    def send(self, target, port):
        while self.on:
            try:
                self.out.sendto(self.mark, (target, port))
            except OSError:
                pass
            time.sleep(0.002)

    def hear(self, *_):
        while self.on:
            try:
                if self.into.recv(2048) == self.mark:
                    self.came.append(time.monotonic())
            except OSError:
                pass

    def gap(self, since):
        """The longest time without one, from then until now."""
        times = [since] + [t for t in self.came if t >= since] + [time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))

    def end(self):
        self.on = False
        for t in self.threads:
            t.join()


class Beside:
    """Two hosts, protected traffic both ways and in both families, and traffic that no rule speaks of."""

    def __init__(self):
        self.a, self.b = Host("a"), Host("b")
        wire(self.a, self.b)
        address(self.a, "eth0", A + "/24", A6 + "/64")
        address(self.b, "eth0", B + "/24", B6 + "/64", OUT + "/24")
        self.seen = Capture(self.b)
        self.a.start(policy=POLICY % "require")
        self.b.start(policy=POLICY % "require")
        self.flows = [Flow("out", self.a, A, self.b, B, 7001), Flow("in", self.b, B, self.a, A, 7002),
                      Flow("out, IPv6", self.a, A6, self.b, B6, 7003), Flow("in, IPv6", self.b, B6, self.a, A6, 7004),
                      Flow("clear", self.a, A, self.b, OUT, 7005)]
        on_exit(lambda: [f.end() for f in self.flows])
        expect("all flows", wait_until(lambda: all(f.came for f in self.flows), 8))

    def restored(self):
        import json
        lines = self.a.cordon("events", "--json")[1].splitlines()
        return [e["text"] for e in map(json.loads, lines) if e["event"] == "rules-restored"]

    def step(self, what, do, touches=None, closed=(), again=3.0):
        """touches: what the event has to name. closed: flows that the neighbour itself stops."""
        before, since = len(self.restored()), time.monotonic()
        do()
        done = time.monotonic()
        open_flows = [f for f in self.flows if f.name not in closed]
        wait_until(lambda: all(f.came and f.came[-1] > done for f in open_flows), again)
        took = max([next((t for t in f.came if t > done), time.monotonic() + 9) - done for f in open_flows] or [0])
        silent = [f.name for f in open_flows if not f.came or f.came[-1] <= done]
        expect("%s: all that may flows within %.0f ms%s" % (what, took * 1000, silent or ""), took < again)
        time.sleep(0.3)
        frames = list(self.seen.read())
        self.seen.frames.clear()
        clear = [f.name for f in self.flows[:4] if any(f.mark in frame for frame in frames)]
        expect("%s: nothing clear in %d frames, the longest silence %.0f ms%s" %
               (what, len(frames), 1000 * max([f.gap(since) for f in open_flows] or [0]), clear or ""), not clear)
        told = self.restored()[before:]
        if touches:
            expect("%s: an event tells: %s" % (what, told), any(touches in t for t in told))

    def run(self, *words, inside=()):
        done = subprocess.run(["ip", "netns", "exec", self.a.name, *inside, *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError("%s: %s" % (" ".join(words), done.stdout))
        return done.stdout

    def script(self, text):
        return lambda: self.run("sh", "-ec", text)


def missing(*programs):
    lack = [p for p in programs if not shutil.which(p)]
    if lack:
        print("skipped: there is no %s" % ", ".join(lack))
    return lack


def nftables_service():
    """systemctl restart nftables: nft flush ruleset, and the file of before."""
    h = Beside()
    conf = h.a.folder + "/nftables.conf"
    # Many rules, so that their news are still being told when ours is restored already; whose they are comes last.
    write(conf, "flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; "
          "policy accept;\n\t\tct state invalid drop\n%s\t}\n}\n" %
          "".join("\t\tip saddr 192.0.2.%d drop\n" % i for i in range(250)))
    for i in range(5):
        h.step("restart %d" % i, lambda: h.run("nft", "-f", conf), "nft (process")
    h.step("stop", lambda: h.run("nft", "flush", "ruleset"), "nftables table")
    expect("the second barrier is still there", "cordon_guard" in h.run("nft", "list", "tables"))


def firewalld():
    """The real firewalld, with a message bus of its own: started, told what to let in, reloaded, stopped."""
    if missing("firewalld", "firewall-cmd", "dbus-daemon"):
        return
    h = Beside()
    bus, etc = h.a.folder + "/bus", h.a.folder + "/firewalld"
    write(h.a.folder + "/bus.conf", """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/>
</policy></busconfig>""" % bus)
    os.makedirs(etc)
    env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + bus}
    dbus = subprocess.Popen(["dbus-daemon", "--nofork", "--config-file", h.a.folder + "/bus.conf"],
                            stderr=subprocess.DEVNULL)
    on_exit(lambda: (dbus.terminate(), dbus.wait()))
    wait_until(lambda: os.path.exists(bus), 5)

    def start():
        # a file system of its own over /run, where it keeps its number
        firewalld.p = subprocess.Popen(["ip", "netns", "exec", h.a.name, "unshare", "-m", "sh", "-c",
                                        "mount -t tmpfs none /run && mkdir -p /run/firewalld && exec firewalld --nofork "
                                        "--nopid --system-config " + etc], env=env, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        wait_until(lambda: "firewalld" in h.run("nft", "list", "tables"), 20)
        wait_until(lambda: subprocess.run(["firewall-cmd", "--state"], env=env, stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL).returncode == 0, 20)

    def stop():
        if firewalld.p.poll() is None:
            firewalld.p.terminate()
            firewalld.p.wait(20)

    def cmd(*words):
        done = subprocess.run(["firewall-cmd", *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError("%s: %s" % (words, done.stdout))

    on_exit(stop)
    ports = ("in", "in, IPv6")  # its default zone lets none of ours in
    h.step("start", start, closed=ports)
    h.step("ESP, IKE, and what comes from cordon0 by its zone",
           lambda: (cmd("--permanent", "--zone=public", "--add-service=ipsec"),
                    cmd("--permanent", "--zone=trusted", "--add-interface=cordon0"), cmd("--reload")))
    h.step("reload", lambda: cmd("--reload"))
    h.step("complete reload", lambda: cmd("--complete-reload"))
    h.step("nft flush ruleset under it", lambda: h.run("nft", "flush", "ruleset"), "nftables table")
    h.step("stop", stop)


def ufw():
    """The real ufw, in a copy of its folders: enabled, told what to let in, reloaded, disabled, reset."""
    if missing("ufw", "iptables", "unshare"):
        return
    h = Beside()
    copies = {"/etc/ufw": h.a.folder + "/etc-ufw", "/etc/default": h.a.folder + "/etc-default"}
    for real, copy in copies.items():
        shutil.copytree(real, copy, symlinks=True)
    mounts = "".join("mount --bind %s %s && " % (copy, real) for real, copy in copies.items())

    def cmd(*words):
        return lambda: h.run("sh", "-c", mounts + "mount -t tmpfs none /run && exec ufw " + " ".join(words),
                             inside=("unshare", "-m"))

    h.step("rules", lambda: [cmd(*w)() for w in (("allow", "proto", "esp", "from", "any"), ("allow", "500,4500/udp"),
                                                 ("allow", "in", "on", "cordon0"))])
    h.step("enable", cmd("--force", "enable"))
    h.step("reload", cmd("reload"))
    h.step("nft flush ruleset under it", lambda: h.run("nft", "flush", "ruleset"), "nftables table")
    h.step("disable", cmd("disable"))


# What dockerd 20 to 28 makes with its iptables driver (iptables-nft), for its default bridge and one published port.
DOCKER = """
sysctl -qw net.ipv4.ip_forward=1
ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up
iptables -t nat -N DOCKER; iptables -N DOCKER; iptables -N DOCKER-USER; iptables -N DOCKER-ISOLATION-STAGE-1
iptables -N DOCKER-ISOLATION-STAGE-2
iptables -P FORWARD DROP
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -A FORWARD -j DOCKER-USER; iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER; iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp --dport 80 -j ACCEPT
iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN; iptables -A DOCKER-USER -j RETURN
"""
UNDOCKER = """
for t in nat filter; do iptables -t $t -F; iptables -t $t -X; done
iptables -P FORWARD ACCEPT
ip link del docker0
"""


def docker():
    """Docker's rules as dockerd makes them (replayed: an engine does not run in a namespace), flushed and removed."""
    if missing("iptables"):
        return
    h = Beside()
    h.step("start", h.script(DOCKER))
    h.step("iptables -F; iptables -X", h.script("iptables -F; iptables -t nat -F"))
    h.step("stop", h.script(UNDOCKER))
    h.step("again", h.script(DOCKER))
    h.step("iptables-restore of nothing", h.script("printf '*filter\\nCOMMIT\\n*nat\\nCOMMIT\\n' | iptables-restore"))


def networkd():
    """The real systemd-networkd, which removes rules and routes that it has not made: started, restarted, stopped."""
    program = "/lib/systemd/systemd-networkd"
    if missing("unshare") or not os.path.exists(program):
        return
    h = Beside()
    conf = h.a.folder + "/network"
    write(conf + "/eth0.network", "[Match]\nName=eth0\n[Network]\nAddress=%s/24\nAddress=%s/64\nLinkLocalAddressing=no\n"
          "IPv6AcceptRA=no\n" % (A, A6))
    # No udev reaches in here: with /sys read-only networkd does not wait for it.
    inside = ("mount -t tmpfs none /run && mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp"
              " /run/systemd/network && cp %s/*.network /run/systemd/network && chown -R systemd-network /run/systemd/netif"
              " && mount -o remount,bind,ro /sys && exec %s" % (conf, program))
    log = open(h.a.folder + "/networkd.log", "w+")

    def start():
        networkd.p = subprocess.Popen(["ip", "netns", "exec", h.a.name, "unshare", "-m", "sh", "-c", inside], stdout=log,
                                      stderr=log, env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug",
                                                       "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere"})
        wait_until(lambda: "eth0: Link UP" in logged() or "eth0: Configured" in logged() or
                   networkd.p.poll() is not None, 5)

    def logged():
        with open(h.a.folder + "/networkd.log", encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop():
        if networkd.p.poll() is None:
            networkd.p.terminate()
            networkd.p.wait(10)

    on_exit(stop)
    h.step("start", start)
    expect("it runs", networkd.p.poll() is None and "Enumeration completed" in logged())
    h.step("restart", lambda: (stop(), start()))
    h.step("stop", stop)
    h.step("our rules go once more", h.script("ip rule del fwmark 0x1000000/0x1f000000; ip -6 rule del fwmark 0x1000000/0x1f000000; "
                                              "ip route flush table 100"), "routes")


def networkmanager():
    """The real NetworkManager: started beside what is there, made to bring the same up, restarted, stopped."""
    if missing("NetworkManager", "nmcli", "dbus-daemon"):
        return
    h = Beside()
    nm = NetworkManager(h.a)
    h.step("start", nm.start)
    nm.add("office", A, A6)
    h.step("a connection of its own", lambda: nm.cli("connection", "up", "office"))
    h.step("restart", lambda: (nm.stop(), nm.start()))
    devices = nm.cli("-g", "DEVICE,STATE", "device")
    expect("it leaves cordon0 alone: %s" % devices.split(), "cordon0" not in devices or "cordon0:unmanaged" in devices or
           "cordon0:connected (externally)" in devices)
    h.step("disconnected, and up again", lambda: (nm.cli("device", "disconnect", "eth0"), nm.cli("connection", "up", "office")))
    h.step("reload", lambda: nm.cli("general", "reload"))
    h.step("stop", nm.stop)


# wg-quick up with AllowedIPs = 0.0.0.0/0, ::/0 does this (its nft form); its device is one end of a veth pair here.
WIREGUARD = """
ip link add wg0 type veth peer name wg0p; ip link set wg0p up; ip addr add 10.8.0.2/32 dev wg0; ip link set wg0 up
for f in -4 -6; do
    ip $f route add default dev wg0 table 51820
    ip $f rule add not fwmark 51820 table 51820; ip $f rule add table main suppress_prefixlength 0
done
sysctl -qw net.ipv4.conf.all.src_valid_mark=1
nft -f - <<EOF
table ip wg-quick-wg0 {
    chain preraw {
        type filter hook prerouting priority -300
        iifname != "wg0" ip daddr 10.8.0.2 fib saddr type != local drop
    }
    chain premangle {
        type filter hook prerouting priority -150
        meta l4proto udp meta mark set ct mark
    }
    chain postmangle {
        type filter hook postrouting priority -150
        meta l4proto udp meta mark 51820 ct mark set meta mark
    }
}
EOF
"""
UNWIREGUARD = """
nft delete table ip wg-quick-wg0
for f in -4 -6; do
    ip $f rule del table 51820; ip $f rule del table main suppress_prefixlength 0
done
ip link del wg0
"""


def wireguard():
    """A VPN for all traffic as wg-quick makes it: rules, a table, marks (replayed: this kernel may have no wireguard device)."""
    h = Beside()
    h.step("up", h.script(WIREGUARD))
    h.step("flush under it", lambda: h.run("nft", "flush", "ruleset"), "nftables table")
    h.a.sh("sh", "-c", UNWIREGUARD, check=False)
    h.step("up again", h.script(WIREGUARD))
    h.step("down", h.script(UNWIREGUARD))
    h.step("all rules flushed, ours too", h.script(
        "ip rule flush; ip rule add priority 32766 lookup main; ip rule add priority 0 lookup local 2>/dev/null || true"),
        "routing rules")


OPENVPN = """
ip link add tun7 type veth peer name tun7p; ip link set tun7p up; ip addr add 10.9.0.6/30 dev tun7; ip link set tun7 up
ip route add 0.0.0.0/1 via 10.9.0.5 dev tun7; ip route add 128.0.0.0/1 via 10.9.0.5 dev tun7
ip -6 route add 2000::/3 dev tun7
"""


def openvpn():
    """redirect-gateway def1 (replayed): two routes over everything, which come and go."""
    h = Beside()
    h.step("up", h.script(OPENVPN))
    h.step("down", h.script("ip link del tun7"))


TESTS = [nftables_service, firewalld, ufw, docker, networkd, networkmanager, wireguard, openvpn]

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(TESTS)
