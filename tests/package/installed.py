#!/usr/bin/env python3
"""The Debian package on a machine that boots: installed, upgraded, reloaded, killed, stopped, removed, purged.

usage: installed.py [TEST ...]; CORDON_DEB names a ready package, CORDON and CORDOND the programs of the other end
"""
import os
import pathlib
import re
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

from machine import SOURCES, Machine, as_version, differences, files_of, network_of, package, said
from lib import address, expect, main, on_exit, wire
from traffic import Traffic
from daemon import Host, wait_until, write

A, B = "10.77.0.1", "10.77.0.2"
POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
  - { name: out, endpoint1: [a], endpoint2: [b], traffic: [udp/5300], mode: exempt }
  - { name: in, endpoint1: [b], endpoint2: [a], traffic: [udp/5301], mode: exempt }
""" % (A, B)
CHILDREN = ("keying", "keys", "dataplane", "sources")
NOT_IN_FORCE = "Every rule and route of Cordon is gone"
# The machine's own configuration of its network.
NET_UP = """[Unit]
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
ExecStart=ip link set eth0 up
ExecStart=ip addr add %s/24 dev eth0
[Install]
WantedBy=multi-user.target
"""


def unpacked(deb):
    folder = tempfile.mkdtemp(prefix="cordon-deb-")
    on_exit(lambda: subprocess.run(["rm", "-rf", folder], check=False))
    said("dpkg-deb", "-x", deb, folder)
    return folder


def machine_and_peer():
    deb = package()
    a, b = Machine("a", deb), Host("b")
    wire(a, b)
    address(b, "eth0", B + "/24")
    return deb, a, b


def give_policy(a):
    a.write("/etc/cordon/psk", "correct horse battery staple\n", 0o600)
    a.write("/etc/cordon/policy.yaml", POLICY)


def status_of(a, what):
    return a("systemctl", "show", "cordon", "--property=" + what, "--value").strip()


def contents():
    """manual pages, completion, examples, nothing in /etc but an empty folder; units under 3.0 of systemd-analyze security"""
    folder = unpacked(package())
    names = {str(p.relative_to(folder)) for p in pathlib.Path(folder).rglob("*")}
    for name in ("usr/bin/cordon", "usr/sbin/cordond", "usr/share/man/man1/cordon.1.gz", "usr/share/man/man8/cordond.8.gz",
                 "usr/share/bash-completion/completions/cordon", "usr/share/doc/cordon/examples/domain-isolation.yaml",
                 "usr/share/doc/cordon/README.md", "usr/lib/sysusers.d/cordon.conf"):
        expect(name, name in names)
    expect("nothing in /etc is anybody's to overwrite", [n for n in names if n.startswith("etc/")] == ["etc/cordon"])
    building = re.search(r"packages_build=\((.*?)\)", (SOURCES / "dev").read_text(), re.S)[1].split()
    control = (SOURCES / "packaging/debian/control").read_text()
    lacking = [p for p in building if p.endswith("-dev") and p not in ("libc6-dev", "libcmocka-dev") and
               not re.search(r"(?m)^ %s\b" % re.escape(p), control)]
    expect("debian/control knows what is needed to build: %s" % lacking, not lacking)
    for unit in ("cordon.service", "cordon-ruleset.service"):
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30",
                               folder + "/lib/systemd/system/" + unit], capture_output=True, text=True)
        expect("%s: %s" % (unit, done.stdout.strip().splitlines()[-1]), done.returncode == 0)


def clean_chroot():
    """without systemd running: installs, starts nothing, and purges without a trace"""
    deb = package()
    a = Machine("a", deb)
    # Root of another machine, this one's network: removing it there must not touch the rules here.
    net = network_of(a)
    def chroot(*words):
        return subprocess.run(["ip", "netns", "exec", a.name, "chroot", a.root, *words], capture_output=True, text=True)
    before = files_of(a)
    a.copy(deb, "/root/cordon.deb")
    done = chroot("dpkg", "-i", "/root/cordon.deb")
    expect("it installs", done.returncode == 0)
    expect("its users are there", chroot("getent", "passwd", "cordon-keying", "cordon-keys", "cordon-dataplane",
                                         "cordon-sources").returncode == 0)
    expect("nothing was started, nothing loaded", network_of(a) == net)
    done = chroot("dpkg", "-P", "cordon")
    expect("it purges", done.returncode == 0)
    left = differences(before, files_of(a))
    expect("nothing is left: %s" % left, not left)


def life():
    """install, reload, upgrade under traffic, kill, stop, remove, purge"""
    deb, a, b = machine_and_peer()
    later = as_version(deb, "99.0", a.folder)
    a.boot()
    address(a, "eth0", A + "/24")
    files, net = files_of(a), network_of(a)
    a.install(deb)
    expect("it runs without a policy", status_of(a, "ActiveState") == "active")
    expect("and says so", "No policy yet" in status_of(a, "StatusText"))
    expect("/etc/cordon is the administrator's", os.listdir(a.path("/etc/cordon")) == [])
    expect("events go to their file", wait_until(lambda: "started" in a("cat", "/var/log/cordon/events.json", check=False)))
    expect("the control socket is group cordon's", a("stat", "-c%U:%G", "/run/cordon/control").strip() == "root:cordon")
    give_policy(a)
    b.start(policy=POLICY)
    expect("reload takes the policy", a.run("systemctl", "reload", "cordon")[0] == 0 and
           "Policy v1 is in force" in status_of(a, "StatusText"))
    expect("a ping arrives", a.pings(B))
    users = a("ps", "-eo", "user:20,comm")
    expect("each process that meets the network or a key is a user of its own: %s" % users.replace("\n", "; "), all(
        re.search(r"(?m)^cordon-%s +cordond-%s" % (part, part[:7]), users) for part in CHILDREN))
    traffic = Traffic(a, b, A, B)
    expect("traffic flows", traffic.flows_again("protected", 5) is not None and traffic.flows_again("exempt back", 5) is not None)

    start = time.monotonic()
    a.install(later)
    took = traffic.flows_again("protected", 5)
    expect("upgraded, and protected traffic flows", took is not None)
    expect("both ways", traffic.flows_again("protected back", 5) is not None)
    expect("with the new version", "99.0" in a("dpkg-query", "-W", "cordon"))
    print("      protected traffic rested %.2f s, exempt traffic %.2f s" % (
        traffic.longest_gap("protected", start), traffic.longest_gap("exempt", start)))
    expect("exempt traffic never stopped", traffic.longest_gap("exempt back", start) < 1)
    expect("no clear packet", not traffic.clear())
    with open(a.path("/etc/cordon/policy.yaml"), encoding="utf-8") as f:
        expect("the policy is as it was", f.read() == POLICY)

    a.write("/etc/cordon/policy.yaml", POLICY.replace("mode: require", "mode: requires"))
    expect("reload refuses a policy with a mistake", a.run("systemctl", "reload", "cordon")[0] != 0)
    text = status_of(a, "StatusText")
    expect("and what was in force is: " + text, "Policy v1 is in force" in text)
    expect("and protects", a.pings(B))
    a.write("/etc/cordon/policy.yaml", POLICY + "# another\n")
    a("systemctl", "kill", "--kill-whom=main", "-s", "HUP", "cordon")
    expect("SIGHUP takes the next one", wait_until(lambda: "Policy v2" in status_of(a, "StatusText")))

    start = time.monotonic()
    a("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "cordon")
    expect("killed, it protects again within 5 s", wait_until(lambda: status_of(a, "NRestarts") == "1", 5) and
           traffic.flows_again("protected", 5 - (time.monotonic() - start)) is not None)
    for part in CHILDREN:
        a("pkill", "-KILL", "-f", "^/usr/libexec/cordon/cordond-" + part)
        start = time.monotonic()
        time.sleep(0.2)
        expect("without %s for a moment, protected traffic flows within 5 s" % part,
               traffic.flows_again("protected", 4.8) is not None and traffic.flows_again("protected back", 4.8) is not None)
        expect("exempt traffic never stopped", traffic.longest_gap("exempt back", start) < 1)
        expect("no clear packet", not traffic.clear())
    a("mkdir", "-p", "/run/systemd/system/cordon.service.d")
    a("sh", "-c", "printf '[Service]\\nWatchdogSec=2\\n' >/run/systemd/system/cordon.service.d/fast.conf")
    a("systemctl", "daemon-reload")
    a("systemctl", "restart", "cordon")
    time.sleep(2.5)
    expect("its loop feeds the watchdog", status_of(a, "NRestarts") == "0")
    a("systemctl", "kill", "--kill-whom=main", "-s", "STOP", "cordon")
    expect("when the loop hangs it is started again", wait_until(lambda: status_of(a, "NRestarts") == "1" and
                                                                 status_of(a, "ActiveState") == "active", 15))
    expect("no clear packet", not traffic.clear())

    a("systemctl", "stop", "cordon", "cordon-ruleset")
    traffic.clear()
    start = time.monotonic()
    expect("stopped, nothing protected flows", traffic.flows_again("protected", 1) is None and
           traffic.flows_again("protected back", 0.5) is None)
    expect("exempt traffic does", traffic.longest_gap("exempt", start) < 1 and traffic.longest_gap("exempt back", start) < 1)
    expect("no clear packet", not traffic.clear())
    port_taken(a, traffic)

    status, out = a.run("dpkg", "-r", "cordon")
    expect("removed, and it says what that means", status == 0 and NOT_IN_FORCE in out)
    expect("traffic is clear on the wire", traffic.clear())
    expect("the administrator's files are there", os.path.exists(a.path("/etc/cordon/policy.yaml")))
    traffic.end()
    left = differences(net, network_of(a))
    expect("no rule, route or device is left: %s" % left, not left)
    a("dpkg", "-P", "cordon")
    left = differences(files, files_of(a))
    left += [f for f in ("/var/log/cordon", "/run/cordon", "/var/cache/cordon") if os.path.exists(a.path(f))]
    expect("purged, nothing is left: %s" % left, not left)
    b.end()


def port_taken(a, traffic):
    """Another IKE daemon: said where an administrator looks, and no spinning."""
    with a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=("0.0.0.0", 500)):
        expect("with port 500 taken the start fails", a.run("systemctl", "start", "cordon")[0] != 0)
        expect("and systemctl status says why", "UDP port 500 is taken" in a.run("systemctl", "status", "cordon")[1])
        time.sleep(5)
        expect("it is not tried all the time", int(status_of(a, "NRestarts")) <= 3)
        expect("exempt traffic flows", traffic.flows_again("exempt back", 1) is not None)
    expect("when the port is free it starts by itself", wait_until(lambda: status_of(a, "ActiveState") == "active", 15))
    expect("and protects", traffic.flows_again("protected", 5) is not None and not traffic.clear())


def booted():
    """from before the first address on no clear packet: with cordond, without it, with an address that nobody knows"""
    deb, a, b = machine_and_peer()
    b.start(policy=POLICY)
    a.boot()
    a.install(deb)
    give_policy(a)
    address(a, "eth0", A + "/24")
    a("systemctl", "reload", "cordon")
    expect("protected before", a.pings(B))
    a.write("/etc/systemd/system/net-up.service", NET_UP % A)
    a("systemctl", "enable", "net-up")
    a.shut_down()

    def again(at=A):
        b.sh("ip", "link", "del", "eth0", check=False)
        a.new_network()
        wire(a, b)
        address(b, "eth0", B + "/24")
        with a:
            said("ip", "link", "set", "eth0", "down")
        a.write("/etc/systemd/system/net-up.service", NET_UP % at)
        traffic = Traffic(a, b, at, B)
        a.boot()
        return traffic

    traffic = again()
    expect("booted, protected traffic flows", traffic.flows_again("protected", 10) is not None)
    expect("exempt traffic does", traffic.flows_again("exempt", 5) is not None and traffic.flows_again("exempt back", 5) is not None)
    expect("the rules were there before the network", a.journal("cordon-ruleset").count("last good policy are in force") == 1)
    order = [int(a("systemctl", "show", u, "--property=" + p, "--value")) for u, p in (
        ("cordon-ruleset", "ExecMainExitTimestampMonotonic"), ("net-up", "ExecMainStartTimestampMonotonic"))]
    expect("by the manager's clock too", 0 < order[0] < order[1])
    expect("no clear packet", not traffic.clear())
    traffic.end()
    a.shut_down()

    os.rename(a.path("/usr/sbin/cordond"), a.path("/usr/sbin/cordond.kept"))
    a.write("/usr/sbin/cordond", "#!/bin/sh\nexit 127\n", 0o755)
    traffic = again()
    expect("without a cordond that works exempt traffic flows", traffic.flows_again("exempt", 5) is not None and
           traffic.flows_again("exempt back", 5) is not None)
    expect("nothing protected does", not traffic.got["protected"] and not traffic.got["protected back"])
    expect("no clear packet", not traffic.clear())
    traffic.end()
    a.pull_the_plug()

    traffic = again("10.77.0.9")
    time.sleep(1)
    expect("nor with an address that nobody knows", not traffic.got["protected"] and not traffic.got["protected back"] and
           not traffic.clear(back=False))
    traffic.end()
    a.pull_the_plug()

    a.write("/var/lib/cordon/disabled", "repair")
    traffic = again()
    expect("disabled stays disabled", traffic.flows_again("protected", 5) is None and traffic.clear())
    traffic.end()
    a.pull_the_plug()


def support():
    """the archive has what helps, and nothing of what is secret"""
    deb, a, b = machine_and_peer()
    a.boot()
    address(a, "eth0", A + "/24")
    a.install(deb)
    psk, export = "correct \"horse\" battery staple", "/var/lib/cordon/exported"
    a.write("/etc/cordon/psk", psk + "\n", 0o600)
    a("cordon", "pki", "init", "/etc/cordon/ca", "--name", "CN=Test CA")
    a("cordon", "pki", "issue", "/etc/cordon/ca", "a", "--out", "/etc/cordon")
    a.write("/etc/cordon/host.yaml", "cordon: 1\nname: a\ncertificates: [ { certificate: a.pem, key: a.key } ]\n"
            "trust: [ ca/ca.pem ]\n")
    with open(a.path("/etc/cordon/a.key"), encoding="ascii") as f:
        key = [line for line in f.read().splitlines() if not line.startswith("-----")]
    # Where secrets get to by mistake: a comment, a reason, the journal.
    a.write("/etc/cordon/policy.yaml", POLICY + "# the key is %s\n# %s\n# http://bob:hunter22@crl.example/\n" % (psk, key[0]))
    a("mkdir", "-p", "/run/systemd/system/cordon.service.d")
    a("sh", "-c", "printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/cordond --export-keys %s\\n' "
      ">/run/systemd/system/cordon.service.d/lab.conf" % export)
    a("systemctl", "daemon-reload")
    if a.run("systemctl", "restart", "cordon")[0]:
        raise RuntimeError(a.journal("cordon"))
    b.start(policy=POLICY)
    write(b.root + "/etc/cordon/psk", psk + "\n", 0o600)
    b.p.send_signal(signal.SIGHUP)
    expect("there are keys to be exported", wait_until(lambda: a.pings(B, 1) and os.path.getsize(a.path(export)) > 0))
    a("cordon", "disable", "--reason", psk)
    a("cordon", "enable")
    a("sh", "-c", "echo '%s' | systemd-cat -t cordond" % psk)
    expect("it is written", a.run("cordon", "support", "--out", "/root/s.tar.gz")[0] == 0)
    expect("for its owner alone", os.stat(a.path("/root/s.tar.gz")).st_mode & 0o777 == 0o600)
    expect("and never over another", a.run("cordon", "support", "--out", "/root/s.tar.gz")[0] == 1)
    with tarfile.open(a.path("/root/s.tar.gz")) as t:
        members = {m.name.split("/", 1)[1]: t.extractfile(m).read().decode(errors="replace") for m in t.getmembers()}
    everything = "\n".join(members.values())
    for name, words in (("cordon/status.json", '"disabled"'), ("etc/policy.yaml", "endpoint1"), ("service/journal", "policy-applied"),
                        ("service/status", "cordon.service"), ("network/rules", "lookup main"), ("cordon/events.json", "main-mode-up"),
                        ("system/package", "cordon"), ("README", "secrets taken out")):
        expect("%s has what it should" % name, words in members.get(name, ""))
    with open(a.path(export), encoding="ascii") as f:
        exported = [w for w in f.read().replace(",", " ").replace('"', " ").split() if len(w) > 31]
    for what, words in (("the pre-shared key", [psk, psk.replace('"', '\\"'), psk.encode().hex()]), ("the private key", key),
                        ("exported keys", exported), ("a password in a URL", ["hunter22"])):
        expect("%s (%d forms) is nowhere" % (what, len(words)), words and not [w for w in words if w in everything])
    expect("the name of the certificate is", "CN=a" in everything)
    b.end()


if __name__ == "__main__":
    main([contents, clean_chroot, life, booted, support])
