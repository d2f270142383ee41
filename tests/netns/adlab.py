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

    def __init__(self, lab, policy):
        self.lab = lab
        status, out, err = lab.run("up", policy)
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


ROWS = {f.__name__: f for f in (directory, leaves_nothing, bypass, circle, cold_start, controller_down, group_gone)}
ROWS[ROW]()
