"""What the tests of `cordon lab` share: the program with a cordond of the test's own beside it, and what a lab must not
leave behind."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

# A place of the test's own: somebody may have a lab up on this machine.
BASE = os.environ["CORDON_LAB_DIR"] = "/run/cordon-lab-test-%d" % os.getpid()

# Says that it is ready and protects nothing: a lab that believes what hosts say would call this encrypted.
IDLE = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""

POLICY = """
cordon: 1
hosts:
  a: { address: [10.0.0.1, "2001:db8:1::1"] }
  b: { address: [192.168.7.2, "2001:db8:2::2"] }
  rogue: { address: 172.16.0.66, agent: none }
  other: { address: 172.16.0.67, agent: none }
zones: { inside: [10.0.0.1, "2001:db8:1::1", 192.168.7.2, "2001:db8:2::2"] }
authentication: { machine: [ { certificate: { issuer: "CN=Root" } } ] }
connection-security:
  - { name: all, endpoint1: [any], endpoint2: [inside], mode: require, authentication: machine }
tests:
%s
"""


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def need_root():
    if os.geteuid() != 0:
        skip("needs root, to make network namespaces")


def check(holds, what):
    if not holds:
        print("failed: " + what)
        sys.exit(1)


class Lab:
    """A folder with `cordon` and a cordond; `cordond` is Python text, None: the real one stays where it is."""

    def __init__(self, cordon, cordond=IDLE):
        self.folder = tempfile.mkdtemp(prefix="cordon-lab-test-")
        self.cordon = cordon
        if cordond is not None:
            self.cordon = os.path.join(self.folder, "cordon")
            shutil.copy2(cordon, self.cordon)
            path = os.path.join(self.folder, "cordond")
            with open(path, "w") as f:
                f.write("#!/usr/bin/python3 -I\n" + cordond)
            os.chmod(path, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)
        shutil.rmtree(BASE, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def policy(self, *tests):
        return self.write("policy.yaml", POLICY % "\n".join("  - " + t for t in tests))

    def start(self, *words, **how):
        return subprocess.Popen([self.cordon, "lab", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)

    def run(self, *words, timeout=180):
        p = self.start(*words)
        out, err = p.communicate(timeout=timeout)
        return p.returncode, out, err

    def rows(self, *words, timeout=180):
        status, out, err = self.run("run", "--json", *words, timeout=timeout)
        said = json.loads(out)
        check(set(said) == {"ok", "rows"} and said["ok"] == (status == 0), "members of the JSON: " + out)
        for row in said["rows"]:
            check(list(row) == ["from", "to", "traffic", "expected", "predicted", "seen"], "members of a row: %s" % row)
        return status, said["rows"], err

    def processes(self):
        """Ours that run: their program lies in our folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid) as f:
                    if self.folder in f.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def gone_within(self, seconds):
        """No process of ours is left."""
        end = time.monotonic() + seconds
        while self.processes():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def links():
    """Interfaces in this namespace with names that a lab uses."""
    out = subprocess.run(["ip", "-o", "link"], stdout=subprocess.PIPE, text=True).stdout
    return set(re.findall(r"^\d+: (wire|w\d+|eth0)[@:]", out, re.M))


def folder_of(pid):
    return os.path.exists("%s/%d" % (BASE, pid))
