#!/usr/bin/env python3
"""Machines with a clean Debian, systemd as process 1 and a network namespace of their own, on which the package is tried.

    deb = package()                    # the package of this source tree, made by ./dev package if it is not there
    m = Machine("a")                   # a Namespace of tests/netns/lib.py: wire() and address() join it to others
    m.boot()
    m.install(deb)                     # dpkg -i, as an administrator does it
    m("cordon", "apply", "/root/p.yaml")  # runs a program on it, and returns what it said
    m.write("/etc/cordon/psk", "...", 0o600)

What it writes lies in an overlay and is lost at the end. Its root is made once by mmdebstrap and kept below
/var/cache/cordon-root (or XDG_CACHE_HOME). CORDON_DEB names a ready package."""
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCES = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCES / "tests/netns"))

from lib import Namespace, on_exit, skip  # noqa: E402

# Beside what the package itself depends on.
WITH = ["systemd", "systemd-sysv", "dbus", "iproute2", "iputils-ping", "procps", "netcat-openbsd", "python3-minimal", "tcpdump",
        "ca-certificates"]
# What a test does not wait for.
WITHOUT = ["systemd-networkd.service", "systemd-networkd.socket", "systemd-logind.service", "console-getty.service",
           "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
           "fstrim.timer", "systemd-update-utmp.service", "systemd-pcrphase.service"]
BOOT_S = 60


def said(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


# ---- the package ------------------------------------------------------------------------------------------------------

def newest_source():
    names = said("git", "-C", str(SOURCES), "ls-files", "-z").split("\0")
    return max((SOURCES / n).stat().st_mtime for n in names if n and (SOURCES / n).is_file())


def package():
    """The .deb of this tree."""
    if os.environ.get("CORDON_DEB"):
        return os.environ["CORDON_DEB"]
    folder = SOURCES / "build-package"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = sorted(folder.glob("cordon_*.deb"))
        if not ready or ready[0].stat().st_mtime < newest_source():
            done = subprocess.run([str(SOURCES / "dev"), "package", str(folder)], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError("./dev package:\n" + done.stdout + done.stderr)
            ready = sorted(folder.glob("cordon_*.deb"))
    return str(ready[0])


def as_version(deb, version, folder):
    """The same package under another version, as an upgrade is."""
    tree = os.path.join(folder, "tree")
    said("dpkg-deb", "-R", deb, tree)
    control = pathlib.Path(tree, "DEBIAN/control")
    control.write_text(re.sub(r"(?m)^Version: .*$", "Version: " + version, control.read_text()))
    out = os.path.join(folder, "cordon_%s.deb" % version)
    said("dpkg-deb", "-b", "--root-owner-group", tree, out)
    shutil.rmtree(tree)
    return out


# ---- roots ------------------------------------------------------------------------------------------------------------

def depends(deb):
    words = said("dpkg-deb", "-f", deb, "Depends").strip().split(",")
    return [w.split("|")[0].split("(")[0].strip() for w in words if w.strip()]


def clean_root(deb):
    """The folder of a Debian with all that the package wants, but not the package."""
    for tool in ("mmdebstrap", "systemd-nspawn"):
        if not shutil.which(tool):
            skip("%s is not there: apt-get install mmdebstrap systemd-container" % tool)
    names = sorted(set(WITH + depends(deb)))
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/cache"), "cordon-root")
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / hashlib.sha256(" ".join(["1"] + names + WITHOUT).encode()).hexdigest()[:16]
    with open(cache / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            making = cache / "making"
            shutil.rmtree(making, ignore_errors=True)
            done = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", "--include=" + ",".join(names),
                 "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
                 "--skip=cleanup/apt", "bookworm", str(making), "http://deb.debian.org/debian"],
                capture_output=True, text=True)
            if done.returncode:
                skip("no clean Debian can be made: " + done.stderr.strip().splitlines()[-1])
            for unit in WITHOUT:
                (making / "etc/systemd/system" / unit).symlink_to("/dev/null")
            (making / "etc/hostname").write_text("clean\n")
            making.rename(root)
    return str(root)


class Machine(Namespace):
    """Made but not started."""

    def __init__(self, name, deb):
        super().__init__(name)
        self.folder = tempfile.mkdtemp(prefix="cordon-machine-", dir="/var/tmp")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        self.root, self.leader, self.p = self.folder + "/root", None, None
        for part in ("upper", "work", "root"):
            os.mkdir(self.folder + "/" + part)
        said("mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s" % (
            clean_root(deb), self.folder + "/upper", self.folder + "/work"), self.root)
        on_exit(lambda: subprocess.run(["umount", "-l", self.root], check=False))
        on_exit(self.pull_the_plug)

    def path(self, name):
        return self.root + name

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return name

    def copy(self, file, name):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        shutil.copy(file, self.path(name))
        return name

    # -- on and off

    def boot(self, wait=True):
        console = open(self.folder + "/console", "ab")
        self.p = subprocess.Popen(
            ["systemd-nspawn", "-q", "--boot", "--directory=" + self.root, "--register=no", "--keep-unit",
             "--network-namespace-path=/run/netns/" + self.name, "--machine=" + self.name, "--link-journal=no",
             "--resolv-conf=off", "--timezone=off", "--console=pipe", "--bind=/dev/net/tun",
             "--capability=CAP_NET_ADMIN,CAP_NET_RAW"],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        console.close()
        until = time.monotonic() + BOOT_S
        while self.leader is None:
            self.leader = self.find_leader()
            self.alive_until(until)
        while wait and self.state() not in ("running", "degraded"):
            self.alive_until(until)
        return self

    def find_leader(self):
        """Process 1 of the machine: when it is the machine's init already, and no longer nspawn's own child."""
        for task in os.listdir("/proc/%d/task" % self.p.pid):
            try:
                with open("/proc/%d/task/%s/children" % (self.p.pid, task), encoding="ascii") as f:
                    for child in f.read().split():
                        with open("/proc/%s/comm" % child, encoding="ascii") as comm:
                            if comm.read().strip() == "systemd":
                                return child
            except OSError:
                pass
        return None

    def alive_until(self, until):
        if self.p.poll() is not None or time.monotonic() > until:
            with open(self.folder + "/console", errors="replace", encoding="utf-8") as f:
                raise RuntimeError("%s does not boot:\n%s" % (self.name, f.read()[-4000:]))
        time.sleep(0.05)

    def state(self):
        return self("systemctl", "is-system-running", check=False).strip()

    def shut_down(self):
        self("systemctl", "poweroff", check=False)
        self.p.wait(60)
        self.leader = self.p = None

    def pull_the_plug(self):
        if self.p and self.p.poll() is None:
            if self.leader:
                os.kill(int(self.leader), signal.SIGKILL)
            self.p.kill()
            self.p.wait()
        self.leader = self.p = None

    # -- as its administrator

    def run(self, *words, timeout=60):
        """The status of a program on the machine, and what it said."""
        done = subprocess.run(["nsenter", "-a", "-t", self.leader, "env", "-i", "HOME=/root", "LC_ALL=C.UTF-8",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout)
        return done.returncode, done.stdout

    def __call__(self, *words, check=True):
        status, out = self.run(*words)
        if check and status:
            raise RuntimeError("%s: %s: status %d: %s" % (self.name, " ".join(words), status, out))
        return out

    def install(self, deb):
        self.copy(deb, "/root/cordon.deb")
        try:
            return self("dpkg", "-i", "/root/cordon.deb")
        finally:
            os.unlink(self.path("/root/cordon.deb"))

    def journal(self, *units):
        return self("journalctl", "-b", "--no-pager", "-o", "cat", *sum((["-u", u] for u in units), []))

    def pings(self, to, seconds=3):
        return self.run("ping", "-c2", "-i0.5", "-W%d" % seconds, to)[0] == 0

    def new_network(self):
        """As after a power cut: no rule, no route, no interface. wire() it again."""
        said("ip", "netns", "del", self.name)
        said("ip", "netns", "add", self.name)


# ---- before and after -------------------------------------------------------------------------------------------------

# What every machine changes by itself, and what dpkg remembers of any package.
NOT_COMPARED = re.compile(r"^/(proc|sys|dev|run|tmp|var/(tmp|cache|log)|var/lib/(dpkg|apt|systemd/(?!deb-systemd))|root)(/|$)"
                          r"|^/etc/((passwd|group|shadow|gshadow|subuid|subgid)-|\.pwd\.lock|ld\.so\.cache|machine-id)$")


def files_of(machine):
    """Every file of the machine: its kind, owner, mode and content."""
    found = {}
    for folder, folders, names in os.walk(machine.root):
        inside = folder[len(machine.root):]
        folders[:] = [f for f in folders if not NOT_COMPARED.search(inside + "/" + f)]
        for name in folders + names:
            path = inside + "/" + name
            if NOT_COMPARED.search(path):
                continue
            try:
                s = os.lstat(machine.root + path)
            except OSError:
                continue
            content = ""
            if os.path.islink(machine.root + path):
                content = os.readlink(machine.root + path)
            elif os.path.isfile(machine.root + path):
                with open(machine.root + path, "rb") as f:
                    content = hashlib.sha256(f.read()).hexdigest()
            found[path] = (s.st_mode, s.st_uid, s.st_gid, content)
    return found


def network_of(machine):
    """Rules, routes and devices."""
    return {" ".join(words): machine.sh(*words, check=False) for words in (
        ("nft", "list", "ruleset"), ("ip", "rule"), ("ip", "-6", "rule"), ("ip", "-br", "link"),
        ("ip", "route", "show", "table", "all"), ("ip", "-6", "route", "show", "table", "all"))}


def differences(before, after):
    return ["%s: %s -> %s" % (k, before.get(k), after.get(k)) for k in sorted({*before, *after})
            if before.get(k) != after.get(k)]


if __name__ == "__main__":  # what the tests would wait for is made beforehand
    print(package(), clean_root(package()))
