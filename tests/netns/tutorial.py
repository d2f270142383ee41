#!/usr/bin/env python3
"""docs/tutorial.md, followed literally: every command of the page is typed on two machines and what they answer is held
against the page. What is left on their disks, in their kernels and in their process tables at the end is counted.

A machine is a network namespace with a process table, a name and a root of its own: an overlay over this system's root, of
which only what the page does can be seen in the upper folder. Three things stand in for what such a machine lacks:
`systemctl` is done by this program, as the installed unit says; `scp` copies between the two roots; `apt` installs the
package with dpkg.

usage: tutorial.py BUILD [--deb FILE] [--page FILE] [--write]
  BUILD   the build folder: what `meson install` puts there is used, unless --deb names a package
  --write writes the outputs into the page instead of comparing
"""
import argparse
import glob
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from lib import Namespace, address, expect, finish, need_root, on_exit, run, wire, _clean
from tutorial_page import copy_to, follow

SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETUP = """set -e
mount -t overlay overlay -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/root
mount -t proc proc $1/root/proc
mount -t sysfs sysfs $1/root/sys
mount --rbind /dev $1/root/dev
mount -t tmpfs tmpfs $1/root/run
mount -t tmpfs tmpfs $1/root/tmp
mkdir -p $1/root/old
cd $1/root
pivot_root . old
umount -l /old
rmdir /old
hostname $2
echo ready
exec sleep infinity
"""
# What a run of any command may write, and no package is to blame for.
NOT_OURS = re.compile(r"^(var/lib/dpkg|var/log/(?!cordon)|var/cache|var/lib/apt|root/|etc/\.pwd\.lock|etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|"
                      r"etc/ld\.so\.cache|var/lib/systemd|tmp|run|old|etc/resolv\.conf|etc/hosts|etc/hostname|var/spool)")


class Machine(Namespace):
    def __init__(self, name, package, unit_of):
        super().__init__(name)
        self.short, self.package, self.unit_of, self.daemon = name, package, unit_of, None
        self.folder = tempfile.mkdtemp(prefix="cordon-tutorial-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        for part in ("upper", "work", "root"):
            os.mkdir(self.folder + "/" + part)
        self.holder = subprocess.Popen(["ip", "netns", "exec", self.name, "unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child",
                                        "--propagation", "private", "sh", "-c", SETUP, "sh", self.folder, name],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        on_exit(self.end)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError("the root of %s cannot be made" % name)
        with open("/proc/%d/task/%d/children" % (self.holder.pid, self.holder.pid), encoding="ascii") as f:
            self.pid = int(f.read().split()[0])
        self.root = "/proc/%d/root" % self.pid
        self.users = {f: open(self.root + f, encoding="utf-8").read() for f in ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")}
        self.kernel = self.state_of_kernel()

    def end(self):
        if self.holder.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.holder.wait(10)

    def inside(self, *words):
        return ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--uts", "--net", "--root", "--wd", *words]

    def bash(self, command, timeout=120):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "NO_COLOR": "1",
               "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(self.inside("bash", "-c", "cd /root && " + command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=env, timeout=timeout, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout

    def write(self, path, text):
        with open(self.root + path, "w", encoding="utf-8") as f:
            f.write(text)

    # ---- what stands in ------------------------------------------------------------------------------------------

    def unit(self, key):
        text = open(self.root + self.unit_of, encoding="utf-8").read()
        return [v.strip() for v in re.findall(r"^%s=(.*)$" % key, text, re.M)]

    def start(self):
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        os.makedirs(self.root + "/run/systemd", exist_ok=True)
        path = self.root + "/run/systemd/notify"
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        ready.settimeout(30)
        for folder in self.unit("RuntimeDirectory"):
            os.makedirs(self.root + "/run/" + folder, exist_ok=True)
        for folder in self.unit("StateDirectory"):
            os.makedirs(self.root + "/var/lib/" + folder, mode=0o700, exist_ok=True)
        log = open(self.folder + "/journal", "a", encoding="utf-8")
        self.daemon = subprocess.Popen(self.inside("env", "NOTIFY_SOCKET=/run/systemd/notify", *shlex.split(self.unit("ExecStart")[0])),
                                       stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
        except (socket.timeout, TimeoutError):
            raise RuntimeError("cordond is not ready: " + open(self.folder + "/journal", encoding="utf-8").read()) from None
        finally:
            ready.close()

    def stop(self):
        if self.daemon is None:
            return
        code, found = self.bash("pgrep -o -x cordond")
        if code == 0:
            self.bash("kill %s" % found.split()[0])
        try:
            expect("cordond ends well on %s" % self.short, self.daemon.wait(20) == 0)
        except subprocess.TimeoutExpired:
            expect("cordond ends on %s" % self.short, False)
        self.daemon = None
        shutil.rmtree(self.root + "/run/cordon", ignore_errors=True)

    def systemctl(self, words):
        what = words[0]
        if words[-1] not in ("cordon", "cordon.service"):
            raise RuntimeError("the page does systemctl %s" % words)
        if what in ("stop", "restart"):
            self.stop()
        if what in ("start", "restart"):
            self.start()
        if what == "reload":
            status, said = self.bash(self.unit("ExecReload")[0])
            return status, said if status else ""
        return 0, ""

    def apt(self, words):
        if words[0] == "install":
            code, text = self.package.install(self)
            if code == 0:
                self.start()  # as systemd does when a package with a unit is installed
            return code, text
        return self.package.purge(self)

    def type(self, command, others):
        words = shlex.split(command)
        if words[0] == "systemctl":
            return self.systemctl(words[1:])
        if words[0] == "apt":
            return self.apt([w for w in words[1:] if not w.startswith("-")])
        if words[0] == "scp":
            return copy_to(words[1:], self.root, others)
        return self.bash(command)

    # ---- what is left --------------------------------------------------------------------------------------------

    def state_of_kernel(self):
        return {c: self.bash(c)[1] for c in ("nft list ruleset", "ip rule", "ip -6 rule", "ip -br link", "ip route show table all | grep -c 'table 100' || :",
                                             "pgrep -l cordon || :")}

    def left(self):
        upper, found = self.folder + "/upper", []
        for where, folders, files in os.walk(upper):
            for name in files + [f for f in folders if not os.listdir(os.path.join(where, f))]:
                path = os.path.relpath(os.path.join(where, name), upper)
                below = "/" + path
                new = not os.path.lexists(below)
                if not NOT_OURS.match(path) and (new or os.path.isfile(below)) and not self.same(path):
                    found.append(path)
        for path, before in self.users.items():
            if open(self.root + path, encoding="utf-8").read() != before:
                found.append(path + " is not as it was")
        after = self.state_of_kernel()
        found += ["%s: %s" % (c, after[c]) for c in after if after[c] != self.kernel[c]]
        return found

    def same(self, path):
        """A file that was written anew with what it held before is no trace; what users there are is judged by the text."""
        a, b = self.folder + "/upper/" + path, "/" + path
        if os.path.islink(a) or not os.path.isfile(a) or not os.path.isfile(b):
            return False
        return "/" + path in self.users or open(a, "rb").read() == open(b, "rb").read()


class Tree:
    """What `meson install` puts into place, and the package's own scripts for its going."""

    def __init__(self, build):
        self.stage = tempfile.mkdtemp(prefix="cordon-stage-")
        on_exit(lambda: shutil.rmtree(self.stage, ignore_errors=True))
        done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", self.stage], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("meson install: " + done.stdout + done.stderr)
        units = run("find", self.stage, "-name", "cordon.service").split()
        self.prefix = units[0][len(self.stage):].split("/lib/systemd")[0] if units else "/usr/local"
        self.unit = units[0][len(self.stage):] if units else "/lib/systemd/system/cordon.service"
        self.plain = not units

    def files(self):
        return [os.path.relpath(os.path.join(w, f), self.stage) for w, _, fs in os.walk(self.stage) for f in fs]

    def install(self, machine):
        for path in self.files():
            os.makedirs(os.path.dirname(machine.root + "/" + path), exist_ok=True)
            shutil.copy(self.stage + "/" + path, machine.root + "/" + path)
        if self.plain:
            os.makedirs(machine.root + "/lib/systemd/system", exist_ok=True)
            sbin = [f for f in self.files() if os.path.basename(f) == "cordond"][0]
            machine.write(self.unit, "[Service]\nExecStart=/%s\nExecReload=/usr/local/bin/cordon refresh\nRuntimeDirectory=cordon\n"
                          "StateDirectory=cordon\n" % sbin)
        users = glob.glob(self.stage + self.prefix + "/lib/sysusers.d/*")
        for line in open(users[0], encoding="utf-8") if users else []:
            word = line.split()
            if word[:1] == ["g"]:
                machine.bash("groupadd --system " + word[1])
            elif word[:1] == ["u"]:
                machine.bash("useradd --system --no-create-home --home-dir / --shell /usr/sbin/nologin " + word[1])
        return 0, ""

    def purge(self, machine):
        machine.stop()
        code, text = machine.bash("cordond --uninstall-rules")
        for path in self.files() + ([self.unit.lstrip("/")] if self.plain else []):
            os.unlink(machine.root + "/" + path)
            folder = os.path.dirname(path)
            while folder and not os.path.isdir("/" + folder):
                try:
                    os.rmdir(machine.root + "/" + folder)
                except OSError:
                    break
                folder = os.path.dirname(folder)
        script = os.path.join(SOURCES, "packaging/debian/postrm")
        if os.path.exists(script):
            shutil.copy(script, machine.root + "/tmp/postrm")
            machine.bash("sed -i /DEBHELPER/d /tmp/postrm; sh /tmp/postrm purge; rm /tmp/postrm")
        else:
            machine.bash("rm -rf /etc/cordon /var/lib/cordon /run/cordon /var/log/cordon")
        return code, text


class Deb:
    """The package itself."""

    def __init__(self, path):
        self.path = path
        listing = run("dpkg-deb", "--contents", path)
        self.unit = "/" + re.search(r"\./(\S*cordon\.service)$", listing, re.M).group(1)

    def install(self, machine):
        shutil.copy(self.path, machine.root + "/tmp/cordon.deb")
        return machine.bash("dpkg --install /tmp/cordon.deb && rm /tmp/cordon.deb", timeout=300)

    def purge(self, machine):
        machine.stop()
        return machine.bash("dpkg --purge cordon", timeout=300)


def main():
    words = argparse.ArgumentParser(usage=__doc__)
    words.add_argument("build")
    words.add_argument("--deb")
    words.add_argument("--page", default=os.path.join(SOURCES, "docs/tutorial.md"))
    words.add_argument("--write", action="store_true")
    told = words.parse_args()
    need_root()
    package = Deb(told.deb) if told.deb else Tree(told.build)
    machines = {n: Machine(n, package, package.unit) for n in ("alpha", "beta")}
    wire(machines["alpha"], machines["beta"])
    for n, host in (("alpha", 11), ("beta", 12)):
        m = machines[n]
        address(m, "eth0", "192.0.2.%d/24" % host)
        m.sh("ip", "route", "add", "default", "via", "192.0.2.1")
        m.bash("rm -f /etc/resolv.conf")
        m.write("/etc/resolv.conf", "nameserver 192.0.2.53\n")
        m.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.11 alpha\n192.0.2.12 beta\n")
        m.kernel = m.state_of_kernel()
    follow(told.page, machines, told.write)
    for name, m in machines.items():
        left = m.left()
        expect("nothing is left on %s: %s" % (name, left or "no file, user, rule, route, device or process"), not left)
    for name, m in machines.items():
        if os.environ.get("TUTORIAL_LOG"):
            print("---- journal of %s\n%s" % (name, open(m.folder + "/journal", encoding="utf-8").read()))
    _clean()
    finish()


if __name__ == "__main__":
    main()
