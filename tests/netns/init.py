#!/usr/bin/env python3
"""`cordon init` on machines with several kinds of interfaces, and what its policy does when it is put in force.

usage: init.py [TEST ...]; CORDON and CORDOND name the programs
"""
import json
import os
import socket
import subprocess

from daemon import A, B, C, CORDON, Host, reaches, two_hosts, wait_until, write
from lib import Capture, Namespace, address, expect, main, run, wire

ESP = 50


def init(host, *words, user=None):
    """As that user, on that machine; without anybody's ssh connection, and with the machine's own resolv.conf."""
    resolv = host.folder + "/resolv.conf"
    if not os.path.exists(resolv):
        write(resolv, "nameserver %s\n" % C)
    become = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups"] if user else []
    script = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"'
    done = subprocess.run(["ip", "netns", "exec", host.name, "unshare", "-m", "sh", "-c", script, resolv, *become, CORDON, "init", *words],
                          capture_output=True, text=True, env={k: v for k, v in os.environ.items() if k != "SSH_CONNECTION"})
    return done.returncode, done.stdout, done.stderr


def machine(host):
    """A card with both families, a bridge of containers, a cable to a container, a VPN."""
    other = Namespace("other")
    wire(host, other)
    address(host, "eth0", "10.77.0.1/24", "2001:db8:77::1/64")
    host.sh("ip", "link", "add", "docker0", "type", "bridge")
    address(host, "docker0", "172.17.0.1/16")
    wire(host, Namespace("container"), "cali7")
    address(host, "cali7", "10.244.0.1/32")
    host.sh("ip", "tuntap", "add", "vpn0", "mode", "tun")
    address(host, "vpn0", "10.8.0.1/24")
    for dev in ("docker0", "vpn0"):
        host.sh("ip", "link", "set", dev, "up")
    host.sh("ip", "route", "add", "default", "via", "10.77.0.254")
    host.sh("ip", "-6", "route", "add", "default", "via", "2001:db8:77::254")


def finds():
    """what the kernel says of each interface decides what becomes of it; nobody needs to be root, or to have a daemon"""
    host = Host("a")
    machine(host)
    folder = host.folder + "/nobody"
    os.mkdir(folder)
    os.chmod(host.folder, 0o755)
    os.chown(folder, 65534, 65534)
    path = folder + "/policy.yaml"
    status, out, err = init(host, "--output", path, "--json", user=65534)
    found = json.loads(out) if status == 0 else {}
    expect("it works for nobody: %s" % err, status == 0 and found.get("ok") is True)
    expect("the network is the card's: %s" % found.get("zones"),
           found.get("zones") == [{"name": "lan", "interface": "eth0", "prefixes": ["10.77.0.0/24", "2001:db8:77::/64"]}])
    expect("containers and VPN are left out: %s" % found.get("left_out"),
           {(l["interface"], l["reason"]) for l in found.get("left_out", [])} ==
           {("docker0", "containers"), ("cali7", "containers"), ("vpn0", "tunnel")})
    expect("the router and the name server have names: %s" % found.get("hosts"),
           [(h["name"], h["addresses"]) for h in found.get("hosts", [])][1:] ==
           [("router", ["10.77.0.254", "2001:db8:77::254"]), ("dns", [C])])
    done = subprocess.run([CORDON, "check", path], capture_output=True, text=True)
    expect("check has nothing to say: %s" % done.stdout, done.returncode == 0 and "warning" not in done.stdout and
           "note" not in done.stdout and "2 tests passed" in done.stdout)
    before = open(path, encoding="utf-8").read()
    status, _, err = init(host, "--output", path, user=65534)
    expect("what is there stays: %s" % err, status == 1 and "--force" in err and open(path, encoding="utf-8").read() == before)
    status, _, _ = init(host, "--output", path, "--force", user=65534)
    expect("--force replaces it", status == 0)
    status, out, _ = init(host, "--output", folder + "/p2.yaml", "--host-page", folder + "/host.yaml", user=65534)
    page = open(folder + "/host.yaml", encoding="utf-8").read()
    expect("the host's page is written where it is asked for", status == 0 and "name: " in page and "trust:" in page)
    write(folder + "/host.yaml", "mine")
    init(host, "--output", folder + "/p3.yaml", "--host-page", folder + "/host.yaml")
    expect("and one that is there is kept", open(folder + "/host.yaml", encoding="utf-8").read() == "mine")
    status, out, err = init(host, "--output", "/nowhere/at/all.yaml", user=65534)
    expect("where nothing can be written it says so: %s" % err, status == 1 and "--output" in err)


def alone():
    """a machine without a network gets a policy that says so"""
    host = Host("a")
    status, out, _ = init(host, "--output", host.folder + "/p.yaml")
    expect("it is written, and says so", status == 0 and "no network" in out)
    expect("and is a policy", subprocess.run([CORDON, "check", host.folder + "/p.yaml"], stdout=subprocess.DEVNULL).returncode == 0)


def cuts_nobody_off():
    """put in force before there is any certificate, all is as before; with certificates it is encrypted; who has none is still heard"""
    a, b = two_hosts()
    c = Host("c")
    wire(a, c, "eth1", "eth0")
    address(a, "eth1", "10.78.0.1/24")
    address(c, "eth0", "10.78.0.3/24")
    path = a.folder + "/policy.yaml"
    status, _, err = init(a, "--output", path)
    expect("a policy is made: %s" % err, status == 0)
    text = open(path, encoding="utf-8").read()
    for host in (a, b):
        host.start("--config", write_page(host), policy=text)
    expect("without a certificate a neighbour is heard", a.pings(B, 5) and b.pings(A, 5))
    expect("and one without Cordon", a.pings("10.78.0.3", 5) and c.pings("10.78.0.1", 5))
    ca = a.folder + "/ca"
    run(CORDON, "pki", "init", ca)
    for host, name, at in ((a, "a", A), (b, "b", B)):
        run(CORDON, "pki", "issue", ca, name, "--address", at, "--out", host.root + "/etc/cordon")
        write(host.root + "/etc/cordon/ca.pem", open(ca + "/ca.pem", encoding="utf-8").read())
    expect("the certificates are found when they come", wait_until(
        lambda: all(h.json("show", "credentials")["rows"] for h in (a, b)), 10))
    seen = Capture(a)
    expect("then it is encrypted", wait_until(lambda: reaches(a, b, B)[1] and ESP in seen.protocols(), 90))
    expect("one without Cordon is still heard", a.pings("10.78.0.3", 5) and c.pings("10.78.0.1", 5))
    status, said = a.cordon("apply", path, "--confirm", "2m")
    expect("and can be applied as its comment says: %s" % said, status == 0)


def write_page(host):
    folder = host.root + "/etc/cordon"
    name = host.name.split("-")[1][0]
    write(folder + "/host.yaml", "cordon: 1\nname: %s\ncertificates: [ { certificate: %s.pem, key: %s.key } ]\ntrust: [ca.pem]\n"
          % (name, name, name))
    return folder + "/host.yaml"


if __name__ == "__main__":
    main([finds, alone, cuts_nobody_off])
