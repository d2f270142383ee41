#!/usr/bin/env python3
"""The lab with a real Active Directory: what it is, that nothing of it is left, and the stories that are told on it.

usage: adlab.py ROW CORDON SOURCES
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from lab_twin import BASE, Lab, check, links, need_root, skip

need_root()
for program in ("samba", "samba-tool", "ldbadd", "ktutil", "kinit", "ldapsearch"):
    if not shutil.which(program):
        skip("there is no %s here" % program)

ROW, CORDON, SOURCES = sys.argv[1:4]
LONG = bool(os.environ.get("CORDON_TEST_LONG"))
HERE = os.path.dirname(os.path.abspath(__file__))
# A domain that was made is kept for the rows that follow.
os.environ.setdefault("CORDON_LAB_CACHE", tempfile.mkdtemp(prefix="cordon-adlab-cache-"))


def example(name):
    return os.path.join(SOURCES, "examples", name)


def play(lab, folder, timeout=300):
    """A scenario, or a policy's tests: what differs."""
    done = subprocess.run([CORDON, "lab", "run", "--json", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout)
    try:
        said = json.loads(done.stdout)
    except ValueError:
        check(False, "%s: %s%s" % (folder, done.stdout, done.stderr))
    if "steps" in said:
        wrong = ["step %d (line %d) %s: %s %s" % (s["step"], s["line"], s["what"], s["seen"], s["note"])
                 for s in said["steps"] if not s["ok"]]
    else:
        wrong = ["%(from)s -> %(to)s %(traffic)s: %(seen)s, expected %(expected)s" % r
                 for r in said["rows"] if r["seen"] != r["expected"]]
    check(done.returncode == 0 and not wrong, "%s: status %d\n  %s\n%s" % (folder, done.returncode, "\n  ".join(wrong), done.stderr))
    return said


class Up:
    """A lab that is up."""

    def __init__(self, lab, policy, *words):
        self.lab = lab
        status, out, err = lab.run("up", *words, policy)
        check(status == 0, "up: %s%s" % (out, err))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lab.run("down")

    def on(self, host, *words, timeout=60):
        done = subprocess.run([CORDON, "lab", "exec", host, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=timeout)
        return done.returncode, done.stdout


def of_samba():
    """Processes that this test's labs started for a directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid) as f, open("/proc/%s/environ" % pid) as e:
                text = f.read()
                if BASE in text or ("CORDON_LAB_DIR=" + BASE in e.read() and re.match(r"\S*(samba|smbd|winbindd)", text)):
                    found.append("%s %s" % (pid, text.replace("\0", " ")))
        except OSError:
            pass
    return found


def directory():
    """Accounts, names, groups and tickets are as the policy says, and a real service is a question's answer."""
    policy = os.path.join(HERE, "scenarios", "directory.yaml")
    with Lab(CORDON, None) as lab:
        play(lab, policy)
        with Up(lab, policy) as up:
            status, out = up.on("xpclient", "kinit", "-k", "XPCLIENT$")
            check(status == 0, "a ticket by the machine's keytab: " + out)
            for name in ("host/server1.inside.example", "host/server1", "host/dc1.inside.example", "ldap/dc1.inside.example"):
                status, out = up.on("xpclient", "kvno", name)
                check(status == 0, "a ticket for %s: %s" % (name, out))
            status, out = up.on("xpclient", "klist", "-e")
            check(out.count("aes256-cts") >= 10 and "arcfour" not in out, "AES only: " + out)
            status, out = up.on("xpclient", "ldapsearch", "-Q", "-Y", "GSSAPI", "-H", "ldap://dc1.inside.example", "-b",
                                "DC=inside,DC=example", "(sAMAccountName=trusted)", "member", "objectSid")
            check("member: CN=XPCLIENT,CN=Computers,DC=inside,DC=example" in out and "objectSid::" in out, "LDAP: " + out)
            check(out.count("member:") == 1, "one member: " + out)
            status, out = up.on("dc1", "kinit", "-k", "DC1$")
            check(status == 0, "the controller's own keytab: " + out)
            status, out = up.on("other", "kinit", "-k", "OTHER$")
            check(status != 0, "an outsider has no account: " + out)
            # By DNS, not by /etc/hosts: python asks what resolv.conf names.
            status, out = up.on("server1", "getent", "ahosts", "xpclient.inside.example")
            check("10.79.0.30" in out, "a name: " + out)
    print("a directory as the policy says")


def leaves_nothing():
    """However a lab with a directory ends, nothing that Samba started is left."""
    policy = os.path.join(HERE, "scenarios", "directory.yaml")
    before = links()
    with Lab(CORDON, None) as lab:
        keep = os.environ.pop("CORDON_LAB_CACHE")
        for number, after in ((signal.SIGINT, 2.0), (signal.SIGKILL, 2.0)):  # while it is made
            p = lab.start("run", policy)
            time.sleep(after)
            p.send_signal(number)
            p.communicate(timeout=60)
            gone("%s while it is made" % number.name, before)
        os.environ["CORDON_LAB_CACHE"] = keep
        for number in (signal.SIGTERM, signal.SIGKILL):  # while it runs
            p = lab.start("run", policy)
            end = time.monotonic() + 90
            while not any("smbd" in s or "winbindd" in s for s in of_samba()) and time.monotonic() < end:
                time.sleep(0.1)
            check(of_samba(), "Samba came up")
            p.send_signal(number)
            p.communicate(timeout=60)
            gone("%s while it runs" % number.name, before)
        for after in (0.3, 1.0): # Ctrl-C while one comes up that is to stay
            p = lab.start("up", policy, start_new_session=True)
            time.sleep(after)
            began = time.monotonic()
            os.killpg(p.pid, signal.SIGINT)
            p.communicate(timeout=60)
            took = time.monotonic() - began
            check(p.returncode != 0 and took < 2, "up, Ctrl-C after %.1f s: status %d after %.1f s" % (after, p.returncode, took))
            gone("Ctrl-C while it comes up", before)
            check(not os.path.exists(os.path.join(BASE, "up")), "Ctrl-C while it comes up: its folder is left")
        with Up(lab, policy):
            check(any("smbd" in s for s in of_samba()), "it runs: %s" % of_samba())
            with open(os.path.join(BASE, "up", "lab.json")) as f:
                os.kill(json.load(f)["pid"], signal.SIGKILL)
            gone("the keeper was killed", before)
    print("nothing is left")


def gone(how, before):
    end = time.monotonic() + 10
    while of_samba() and time.monotonic() < end:
        time.sleep(0.05)
    check(not of_samba(), "%s: left: %s" % (how, of_samba()))
    check(links() <= before, "%s: interfaces are left: %s" % (how, links() - before))


def bypass():
    """The shipped policy, and the same while the group's members change: at a member server and at the controller."""
    with Lab(CORDON, None) as lab:
        play(lab, example("ipsec-bypass.yaml"))
        play(lab, example("bypass"))
        play(lab, os.path.join(HERE, "scenarios", "bypass-on-controller.yaml"))
    print("the group decides, and nothing else")


def ip_packets(path):
    """of a capture: (from, to, protocol, what it carries)"""
    with open(path, "rb") as f:
        octets = f.read()
    at = 24
    while at + 16 <= len(octets):
        n = struct.unpack_from("<I", octets, at + 8)[0]
        frame = octets[at + 16:at + 16 + n]
        at += 16 + n
        if frame[12:14] == b"\x08\x00":
            head = (frame[14] & 15) * 4
            yield (socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34]), frame[23], frame[14 + head:])


AH, ESP, TCP = 51, 50, 6


def by_hand():
    """As an administrator tries it: a real web site, curl, samba-tool, and only the capture is believed."""
    site, closed = "http://10.78.0.20/", "http://10.78.0.20:22/"
    with Lab(CORDON, None) as lab:
        keep = os.path.join(lab.folder, "keep")
        with open(os.path.join(lab.folder, "index.html"), "w") as f:
            f.write("SECRET-OF-THE-SITE")
        with Up(lab, example("ipsec-bypass.yaml"), "--keep", keep) as up:
            for port in 80, 22:
                up.on("server1", "sh", "-c", "cd %s && exec python3 -m http.server %d >/dev/null 2>&1 &" % (lab.folder, port))
            time.sleep(1)

            def fetches(host, url, within=6):
                return "SECRET" in up.on(host, "curl", "-s", "-m", str(within), url)[1]

            def renew(host):
                for words in (("refresh",), ("rekey", "--proof")):
                    status, out = up.on(host, "cordon", *words)
                    check(status == 0, "cordon %s: %s" % (" ".join(words), out))

            check(patiently(lambda: fetches("xpclient", site, 15), 45), "the member reaches the closed web site")
            check(not fetches("other", site), "a member of the domain outside the group does not")
            check(not fetches("xpclient", closed, 3), "the member at port 22 does not")
            check(up.on("dc1", "samba-tool", "group", "removemembers", "trusted", "XPCLIENT$")[0] == 0, "out of the group")
            check(fetches("xpclient", site), "by the ticket that it has it goes on")
            renew("xpclient")
            check(patiently(lambda: not fetches("xpclient", site, 3)), "with a new ticket it is out")
            check(not fetches("xpclient", site, 3), "and stays out")
            check(up.on("dc1", "samba-tool", "group", "addmembers", "trusted", "XPCLIENT$")[0] == 0, "into the group")
            renew("xpclient")
            check(patiently(lambda: fetches("xpclient", site, 3)), "and in again")
            said = up.on("server1", "cordon", "show", "firewall")[1]
            check(re.search(r"Trusted machines bypass the block +bypass +in .*of trusted +[1-9]", said), "show firewall: " + said)
            said = up.on("server1", "cordon", "show", "peers")[1]
            check(re.search(r"XPCLIENT\$@BIGFIRM.COM +kerberos +trusted", said) and
                  re.search(r"OTHER\$@BIGFIRM.COM +kerberos +- ", said), "show peers: " + said)
        seen = list(ip_packets(os.path.join(keep, "server1.pcap")))
    server, xpclient, other = "10.78.0.20", "10.78.0.30", "10.78.0.40"
    for host in xpclient, other:
        pair = [p for p in seen if {p[0], p[1]} == {server, host}]
        check(not [p for p in pair if p[2] == TCP and b"\0\x50" in (p[3][:2], p[3][2:4])], "clear packets of port 80 and " + host)
        check([p for p in pair if p[0] == host and p[2] == AH and p[3][0] == TCP], "nothing of %s in AH" % host)
    signed = [p for p in seen if p[2] == AH]
    check([p for p in signed if p[1] == xpclient and b"SECRET-OF-THE-SITE" in p[3]], "the page is readable in AH")
    check(not [p for p in seen if p[1] == other and b"SECRET" in p[3]], "the page went to the outsider")
    knocks = [p for p in seen if p[0] == xpclient and p[2] == TCP and p[3][2:4] == b"\0\x16"]
    check(knocks and not [p for p in seen if p[0] == server and p[2] == TCP and p[3][:2] == b"\0\x16"], "port 22 answers")
    print("the group decides, as captured")


def patiently(what, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.3)
    return what()


def mapped():
    """Certificates that stand for accounts: LDAP says in which groups they are, when they prove themselves."""
    policy = os.path.join(HERE, "scenarios", "mapped.yaml")
    member, outsider = ("probe: { from: %s, to: server1, traffic: tcp/80, expect: %%s }" % h for h in ("xpclient", "other"))
    with Lab(CORDON, None) as lab:
        scenario(lab, "mapped", policy, (
            member % "authenticated", outsider % "blocked",
            "probe: { from: xpclient, to: server1, traffic: tcp/22, expect: blocked }",
            "directory: { remove: xpclient, from: trusted }", "directory: { add: other, to: trusted }",
            "kill: server1", "start: server1", # what it learnt of accounts is good for 15 minutes
            member % "blocked", outsider % "authenticated"))
    print("an account's groups are its certificate's")


def forget_tickets():
    """A machine's tickets are gone: what is up lives on, and the next proof shows a new one, with new groups."""
    site = "probe: { from: xpclient, to: server1, traffic: tcp/80, expect: %s }"
    with Lab(CORDON, None) as lab:
        scenario(lab, "forgotten", example("ipsec-bypass.yaml"), (
            site % "authenticated", "directory: { remove: xpclient, from: trusted }",
            "forget-tickets: xpclient", site % "authenticated", # the SA has proven what it was proven
            "run: { on: xpclient, command: [rekey, --proof] }", "wait: 2s", site % "blocked",
            "directory: { add: xpclient, to: trusted }",
            "run: { on: xpclient, command: [rekey, --proof] }", "wait: 2s", site % "blocked", # by the same ticket
            "forget-tickets: xpclient", "run: { on: xpclient, command: [rekey, --proof] }", "wait: 2s",
            site % "authenticated"))
    print("forgotten, and asked for anew")


def circle():
    """check names it, the lab shows the lock-out, and the policy that is mended works."""
    said = subprocess.run([CORDON, "check", example("kerberos-circle/circle.yaml")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout
    check("[kerberos-circle]" in said, "check: " + said)
    said = subprocess.run([CORDON, "check", example("kerberos-circle/policy.yaml")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout
    check("warning" not in said, "check of what is mended: " + said)
    with Lab(CORDON, None) as lab:
        play(lab, example("kerberos-circle"))
    print("locked out, and out of it")


def cold_start():
    """All off, then started in some order: every pair that may, does."""
    seed = int(os.environ.get("CORDON_TEST_SEED", "5"))
    order, hosts = random.Random(seed), ["dc1", "srv1", "paw1"]
    steps = []
    for _ in range(10 if LONG else 2):
        order.shuffle(hosts)
        steps += ["off: " + h for h in order.sample(hosts, len(hosts))] + ["boot: " + h for h in hosts]
        steps += ["probe: { from: %s, to: %s, traffic: %s, expect: %s }" % p for p in (
            ("paw1", "srv1", "tcp/445", "encrypted"), ("srv1", "paw1", "tcp/445", "encrypted"),
            ("paw1", "dc1", "tcp/3000", "encrypted"), ("dc1", "srv1", "tcp/445", "encrypted"),
            ("srv1", "dc1", "udp/53", "clear"), ("paw1", "dc1", "tcp/88", "clear"),
            ("help", "srv1", "tcp/445", "blocked"))]
    with Lab(CORDON, None) as lab:
        try:
            scenario(lab, "cold", example("kerberos-circle/policy.yaml"), steps, timeout=900 if LONG else 200)
        finally:
            print("seed %d" % seed)


def scenario(lab, name, policy, steps, timeout=200):
    folder = os.path.join(lab.folder, name)
    os.mkdir(folder)
    shutil.copy(policy, os.path.join(folder, "policy.yaml"))
    with open(os.path.join(folder, "scenario.yaml"), "w") as f:
        f.write("cordon: 1\nsteps:\n" + "".join("  - %s\n" % s for s in steps))
    return play(lab, folder, timeout)


def controller_down():
    """The KDC is away: what is up lives on, what is new fails; when it is back all is well."""
    with Lab(CORDON, None) as lab:
        scenario(lab, "down", example("kerberos-circle/policy.yaml"), (
            "probe: { from: paw1, to: srv1, traffic: tcp/445, expect: encrypted }",
            "cut: dc1",
            "probe: { from: paw1, to: srv1, traffic: tcp/446, expect: encrypted }",
            "off: paw1", "boot: paw1",
            "probe: { from: paw1, to: srv1, traffic: tcp/447, expect: blocked }",
            "mend: dc1", "wait: 5s",
            "probe: { from: paw1, to: srv1, traffic: tcp/448, expect: encrypted }"))
    print("established lives on, new waits")


def group_gone():
    """A group that is not in the directory any more lets nobody in."""
    with Lab(CORDON, None) as lab:
        scenario(lab, "gone", example("ipsec-bypass.yaml"), (
            "probe: { from: xpclient, to: server1, traffic: tcp/80, expect: authenticated }",
            "directory: { delete: trusted }",
            "off: server1", "off: xpclient", "boot: server1", "boot: xpclient",
            "probe: { from: xpclient, to: server1, traffic: tcp/80, expect: blocked }"))
    print("a group that is not there lets nobody in")


ROWS = {f.__name__: f for f in (directory, leaves_nothing, bypass, by_hand, mapped, forget_tickets, circle, cold_start,
                                controller_down, group_gone)}
ROWS[ROW]()
