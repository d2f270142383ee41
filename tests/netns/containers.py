#!/usr/bin/env python3
"""cordond in containers: with user ids of their own, as LXC makes them, and without what a container often lacks. It works, or it
says what is missing before anything is protected by half.

usage: containers.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

from daemon import CORDON, CORDOND, write
from lib import expect, main, on_exit

POLICY = """cordon: 1
authentication: { default: [ { pre-shared-key: { file: /psk } } ] }
connection-security:
  - { name: all, endpoint1: 10.77.0.1, endpoint2: 10.77.0.2, mode: require }
"""


class Container:
    """A network, mounts and, if `ids` are given, users of its own; `prepare` runs in it first."""

    def __init__(self, prepare="true", ids=None):
        self.folder = tempfile.mkdtemp(prefix="cordon-container-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        owner, self.p = ids[0] if ids else 0, None
        write(self.folder + "/policy.yaml", POLICY)
        write(self.folder + "/host.yaml", "cordon: 1\nname: alpha\n")
        write(self.folder + "/root/psk", "correct horse battery staple\n", 0o600)
        for path in (self.folder, self.folder + "/root", self.folder + "/root/psk"):
            os.chown(path, owner, owner)
        command = "%s && exec %s --config %s/host.yaml --policy %s/policy.yaml --run-dir %s/run --state-dir %s/state --root %s/root" % (
            prepare, CORDOND, *[self.folder] * 5)
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ready.bind(self.folder + "/notify")
        os.chmod(self.folder + "/notify", 0o777)
        self.log = open(self.folder + "/log", "w+", encoding="utf-8")
        # Who was no user of the container when it was made cannot become one: a second process enters as its root.
        self.holder = subprocess.Popen(["unshare", *(["--user"] if ids else []), "--net", "--mount", "sleep", "infinity"])
        on_exit(self.end)
        while os.readlink("/proc/%d/ns/mnt" % self.holder.pid) == os.readlink("/proc/self/ns/mnt"):
            time.sleep(0.01)
        if ids:
            self.map(*ids)
        self.p = subprocess.Popen(["nsenter", "--target", str(self.holder.pid), *(["--user", "--setuid", "0", "--setgid", "0"] if ids else []),
                                   "--net", "--mount", "sh", "-c", command],
                                  stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                  env={**os.environ, "NOTIFY_SOCKET": self.folder + "/notify"})

    def map(self, outside, count):
        for what in ("uid_map", "gid_map"):
            with open("/proc/%d/%s" % (self.holder.pid, what), "w", encoding="ascii") as f:
                f.write("0 %d %d\n" % (outside, count))

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def started(self, seconds=10):
        self.ready.settimeout(seconds)
        try:
            while b"READY=1" not in self.ready.recv(4096):
                pass
            return True
        except (socket.timeout, TimeoutError):
            return False

    def ends(self):
        try:
            return self.p.wait(15)
        except subprocess.TimeoutExpired:
            return None

    def cordon(self, *words):
        return subprocess.run([CORDON, *words], env={**os.environ, "CORDON_RUN_DIR": self.folder + "/run"}, capture_output=True, text=True).stdout

    def end(self):
        for p in (self.p, self.holder):
            if p and p.poll() is None:
                p.terminate()
                try:
                    p.wait(10)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()


def unprivileged():
    """in a container with 65536 users of its own, as LXC gives one, it protects as anywhere"""
    c = Container(ids=(200000, 65536))
    expect("it starts: %s" % c.said(), c.started())
    expect("its policy is in force", "v1" in c.cordon("status"))
    rules = subprocess.run(["nsenter", "--target", str(c.p.pid), "--net", "nft", "list", "tables"], capture_output=True, text=True).stdout
    expect("as rules in the container's network", "cordon" in rules)
    time.sleep(1)
    expect("and no process of it dies: %s" % c.said(), "has ended" not in c.said())


def lacks():
    """what a container lacks is said in words, and the exit status is 1"""
    for what, prepare, words in (
            ("the TUN device", "mount -t tmpfs tmpfs /dev/net", "give the container the device"),
            ("nft", "mount -t tmpfs tmpfs /usr/sbin", "the package nftables"),
            ("a /proc/sys that can be written", "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys", "Read-only file system")):
        c = Container(prepare)
        expect("without %s it ends" % what, c.ends() == 1)
        expect("and says so: %s" % c.said().strip(), words in c.said())
        c.end()


if __name__ == "__main__":
    main([unprivileged, lacks])
