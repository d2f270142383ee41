"""strongSwan beside us: two charons in two network namespaces, told over their control socket to set up one IKE SA with a
CHILD SA after the other. Its userspace ESP (kernel-libipsec) takes the place of the kernel's, which not every machine has.
Used by ike.py."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from lib import Namespace, on_exit, run, wire  # noqa: E402

CHARON = "/usr/sbin/charon-systemd"
LIBIPSEC = "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so"
WINDOW = 64  # set-ups under way at once
BOUND_S = 60
DAEMON = """charon-systemd {
  load = random nonce aesni openssl pem x509 pkcs1 pkcs8 pubkey kdf constraints kernel-libipsec kernel-netlink socket-default vici
  threads = 16
  reuse_ikesa = no
  dos_protection = no
  cookie_threshold = 0
  block_threshold = 0
  init_limit_half_open = 0
  ikesa_table_size = 16384
  ikesa_table_segments = 16
  plugins { vici { socket = unix://%(folder)s/vici } }
  filelog { f { path = %(folder)s/log
    default = 0 } }
}
"""
CONNECTION = """connections { h {
  version = 2
  local_addrs = 10.86.0.%(own)d
  remote_addrs = 10.86.0.%(other)d
  proposals = aes256gcm16-prfsha384-%(group)s
  unique = never
  rekey_time = 0
  dpd_delay = 0
  local { %(local)s }
  remote { %(remote)s }
  children { h {
    local_ts = 10.85.%(own)d.1/32
    remote_ts = 10.85.%(other)d.1/32
    esp_proposals = aes256gcm16
    rekey_time = 0
  } }
} }
secrets { ike-h { secret = "for this bench only, a shared secret of some length" } }
"""


def is_here():
    return os.path.exists(CHARON) and os.path.exists(LIBIPSEC)


class Control:
    """The control protocol (vici): a message is a length, a kind and named values."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(BOUND_S)
        self.s.connect(path)

    def take(self, n):
        got = b""
        while len(got) < n:
            more = self.s.recv(n - len(got))
            if not more:
                raise EOFError("charon closed its control socket")
            got += more
        return got

    def answer(self):
        return self.take(struct.unpack(">I", self.take(4))[0])

    def ask(self, command, **values):
        octets = bytes([0, len(command)]) + command.encode()
        for name, value in values.items():
            octets += bytes([3, len(name)]) + name.encode() + struct.pack(">H", len(value)) + value.encode()
        self.s.sendall(struct.pack(">I", len(octets)) + octets)

    def number(self, answer, section, name):
        """A number of the answer to `stats`: the key stands in a section of its own."""
        at = answer.index(bytes([1, len(section)]) + section.encode())
        key = bytes([3, len(name)]) + name.encode()
        at = answer.index(key, at) + len(key)
        return int(answer[at + 2: at + 2 + struct.unpack(">H", answer[at: at + 2])[0]])

    def established(self):
        self.ask("stats")
        answer = self.answer()
        return self.number(answer, "ikesas", "total") - self.number(answer, "ikesas", "half-open")


class Pair:
    def __init__(self, build):
        self.build, self.folder = build, tempfile.mkdtemp(prefix="cordon-bench-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        self.hosts = [Namespace("s1"), Namespace("s2")]
        wire(*self.hosts)
        for n, host in enumerate(self.hosts, 1):
            host.sh("ip", "addr", "add", "10.86.0.%d/24" % n, "dev", "eth0")
            host.sh("ip", "addr", "add", "10.85.%d.1/32" % n, "dev", "lo")

    def certificates(self, kind):
        ca = "%s/ca-%s" % (self.folder, kind)
        if os.path.exists(ca):
            return
        run(self.build + "/cordon", "pki", "init", ca, "--name", "CN=bench CA", "--key", kind)
        for n in (1, 2):
            run(self.build + "/cordon", "pki", "issue", ca, "host%d" % n, "--address", "10.86.0.%d" % n, "--key", kind,
                "--out", "%s/%s-%d" % (self.folder, kind, n))

    def start(self, n, proof, group):
        at = "%s/%d" % (self.folder, n)
        shutil.rmtree(at, ignore_errors=True)
        auth = "auth = psk"
        for kind in ("x509", "x509ca", "private"):
            os.makedirs("%s/%s" % (at, kind))
        if proof != "psk":
            self.certificates(proof)
            made = "%s/%s-%d/host%d" % (self.folder, proof, n, n)
            shutil.copy(made + ".pem", at + "/x509/own.pem")
            shutil.copy(made + ".key", at + "/private/own.pem")
            shutil.copy("%s/ca-%s/ca.pem" % (self.folder, proof), at + "/x509ca/ca.pem")
            auth = "auth = pubkey"
        with open(at + "/strongswan.conf", "w", encoding="utf-8") as f:
            f.write(DAEMON % {"folder": at})
        with open(at + "/swanctl.conf", "w", encoding="utf-8") as f:
            f.write(CONNECTION % {"own": n, "other": 3 - n, "group": group, "remote": auth,
                                  "local": auth + ("\n    certs = own.pem" if proof != "psk" else "")})
        env = {**os.environ, "STRONGSWAN_CONF": at + "/strongswan.conf", "SWANCTL_DIR": at}
        # a /run of its own, or the two would take each other for one that runs already
        p = subprocess.Popen(["ip", "netns", "exec", self.hosts[n - 1].name, "unshare", "-m", "sh", "-c",
                              "mount -t tmpfs none /run && exec " + CHARON], env=env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        on_exit(lambda: p.poll() is None and p.kill())
        for _ in range(100):
            if os.path.exists(at + "/vici"):
                break
            time.sleep(0.1)
        run("env", "STRONGSWAN_CONF=%s/strongswan.conf" % at, "SWANCTL_DIR=" + at, "swanctl", "--load-all", "--uri",
            "unix://%s/vici" % at, "--file", at + "/swanctl.conf")
        return p

    def one_run(self, proof, group, count):
        both = [self.start(n, proof, group) for n in (1, 2)]
        control = Control(self.folder + "/1/vici")
        begun, cpu, memory = time.monotonic(), sum(cpu_s(p.pid) for p in both), memory_of(both[1].pid)
        asked = done = 0
        while done < count and time.monotonic() - begun < BOUND_S:
            while asked < count and asked - done < WINDOW:
                control.ask("initiate", child="h", ike="h", timeout="-1")
                control.answer()
                asked += 1
            done = control.established()
        took = time.monotonic() - begun
        result = {"rate": done / took, "done": done, "cpu_s": sum(cpu_s(p.pid) for p in both) - cpu,
                  "per_sa": (memory_of(both[1].pid) - memory) / max(1, done)}
        for p in both:
            p.send_signal(signal.SIGKILL)
            p.wait()
        return result


def cpu_s(pid):
    with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
