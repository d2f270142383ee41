#!/usr/bin/env python3
"""Each child of cordond, ruled by somebody else: whatever it tries is refused, told of in status and events, costs the
parent neither memory nor descriptors, and lets no packet out that is to be protected, while exempt ones go.

By default most misdeeds are tried by one of the children in turn; CORDON_TEST_LONG=1: all by all.

usage: hostile.py HOSTILE-CHILD [ROLE [MISDEED ...]]; CORDON and CORDOND name the programs
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from daemon import A, B, C, CORDON, CORDOND, Host, wait_until, write
from lib import Capture, Namespace, address, expect, finish, marker, need_root, on_exit, run, wire

ROLES = ["keying", "keys", "dataplane", "sources"]
AT_ONCE = 6
RSS_MOST_KB, DESCRIPTORS_MOST = 160 * 1024, 160
SLOW = {"hangs": 60, "floods in batches": 60}
BY_EACH = {"reads a file", "opens a raw socket", "runs a program", "kills", "talks nonsense", "floods in batches",
           "fills the disk"}

POLICY = """cordon: 1
zones: { a: [%s], b: [%s], c: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: key }
  - { name: not-that, endpoint1: [a], endpoint2: [c], mode: exempt }
""" % (A, B, C)


def programs(hostile, role):
    """A folder of programs where one child is hostile."""
    folder = tempfile.mkdtemp(prefix="cordon-hostile-")
    on_exit(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.chmod(folder, 0o755)
    beside = os.path.dirname(os.path.realpath(CORDOND))
    for name in ["cordond"] + ["cordond-" + r for r in ROLES]:
        shutil.copy2(hostile if name == "cordond-" + role else os.path.join(beside, name), os.path.join(folder, name))
    return folder


class Victim(Host):
    """A host with a wire that ends in nothing, and a cordond with a hostile child."""

    def __init__(self, folder, misdeed):
        super().__init__("v")
        self.programs, self.misdeed = folder, misdeed
        self.far = Namespace("w")
        wire(self, self.far)
        address(self, "eth0", A + "/24")
        for to in B, C:  # nobody is there to say it
            self.sh("ip", "neigh", "add", to, "lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", "eth0")
        self.seen = Capture(self)

    def end(self):
        self.kill(signal.SIGTERM)

    def begin(self):
        write(self.folder + "/policy.yaml", POLICY)
        words = self.command("--policy", self.folder + "/policy.yaml")
        words[4:5] = ["env", "CORDON_HOSTILE=" + self.misdeed, self.programs + "/cordond"]
        with open(self.folder + "/log", "a", encoding="utf-8") as log:
            self.p = subprocess.Popen(words, stderr=log)
        return wait_until(lambda: self.status(), 30)

    def status(self):
        code, said = self.cordon("status", "--json")
        return json.loads(said) if code in (0, 1) and said.startswith("{") else None

    def row(self, role):
        s = self.status()
        return next((p for p in s["processes"] if p["name"] == role), None) if s else None

    def told(self, want):
        said = self.cordon("events", "--json")[1].splitlines()
        return any(want in e["text"] for e in map(json.loads, said) if e["event"] in (
            "process-misbehaved", "process-ended"))

    def memory_kb(self):
        with open("/proc/%d/status" % self.p.pid, encoding="utf-8") as f:
            return int(next(line for line in f if line.startswith("VmHWM")).split()[1])

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.p.pid))

    def talk(self, times=5):
        """Does what is exempt go out, and what is protected not?"""
        exempt, protected = marker(), marker()
        for _ in range(times):
            for to, mark in (C, exempt), (B, protected):
                try:
                    self.talker.sendto(mark, (to, 4321))
                except OSError:
                    pass
            time.sleep(0.02)
        return self.seen.has(exempt), self.seen.has(protected)


def complaints(folder, role, misdeed, want, most):
    v = Victim(folder, misdeed)
    bad = []
    try:
        if not v.begin():
            return ["cordond does not begin: " + v.log()[-600:]]
        v.talker = v.udp(A)
        exempt, protected = v.talk()
        if want == "-":
            time.sleep(3)
        elif not wait_until(lambda: want in ((v.row(role) or {}).get("ended") or "-"), SLOW.get(misdeed, 15)):
            bad.append("status says %s" % v.row(role))
        elif not v.told(want):
            bad.append("no event tells of it")
        began = time.time()
        if not v.status() or time.time() - began > 5:
            bad.append("status takes %.1f s" % (time.time() - began))
        later_exempt, later_protected = v.talk()
        if not exempt or not later_exempt:
            bad.append("exempt traffic stops")
        if protected or later_protected:
            bad.append("a packet is clear that is to be protected")
        most[0], most[1] = max(most[0], v.memory_kb()), max(most[1], v.descriptors())
        if v.memory_kb() > RSS_MOST_KB:
            bad.append("cordond has taken %d kB" % v.memory_kb())
        if v.descriptors() > DESCRIPTORS_MOST:
            bad.append("cordond has %d descriptors" % v.descriptors())
        if "%s: it %s" % (role, misdeed) in v.log():
            bad.append("it went well")
    finally:
        v.end()
        for name in v.name, v.far.name:
            run("ip", "netns", "del", name, check=False)
    return bad


def rows(hostile, roles, wanted):
    every = bool(os.environ.get("CORDON_TEST_LONG")) or bool(wanted)
    for shift, role in enumerate(roles):
        for turn, line in enumerate(run(hostile, "--list", role).splitlines()):
            name, want = line.split("\t")
            if wanted and name not in wanted:
                continue
            if not every and name not in BY_EACH and (turn + shift) % len(roles):
                continue
            yield role, name, want


def recovers(hostile, role):
    """When it is itself again, all is well."""
    folder = programs(hostile, role)
    v = Victim(folder, "dies")
    v.begin()
    went = wait_until(lambda: v.told("exit code 7"))
    genuine = os.path.join(os.path.dirname(os.path.realpath(CORDOND)), "cordond-" + role)
    shutil.copy2(genuine, folder + "/new")
    os.replace(folder + "/new", "%s/cordond-%s" % (folder, role))
    well = wait_until(lambda: (v.row(role) or {}).get("ready") and v.row(role)["pid"], 15)
    time.sleep(0.5)
    again = v.row(role)
    v.end()
    return went and well and bool(again and again["ready"])


def play(hostile, roles, wanted):
    folders = {r: programs(hostile, r) for r in roles}
    most, began = [0, 0], time.time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tries = [(role, name, want, pool.submit(complaints, folders[role], role, name, want, most))
                 for role, name, want in sorted(rows(hostile, roles, wanted), key=lambda r: r[1] not in SLOW)]
        back = [(role, pool.submit(recovers, hostile, role)) for role in roles if not wanted]
        for role, name, want, done in tries:
            bad = done.result()
            expect("%s %s%s" % (role, name, ": " + "; ".join(bad) if bad else ""), not bad)
        for role, done in back:
            expect("%s is started again, and well when it is itself" % role, done.result())
    print("%d misdeeds in %.0f s; cordond had at most %d kB and %d descriptors" % (
        len(tries), time.time() - began, most[0], most[1]))


if __name__ == "__main__":
    need_root()
    play(os.path.realpath(sys.argv[1]), sys.argv[2:3] or ROLES, sys.argv[3:])
    finish()
