"""Who is measured: two hosts with a wire between them, and on it a tunnel, a limit, or nothing. Each has `a` and `b`
(namespaces), `to` (an address of b that its traffic goes by), and the processes of either end."""
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "netns")]
import ike_strongswan  # noqa: E402
from ike import Daemon  # noqa: E402
from lib import Namespace, on_exit, run, wire  # noqa: E402

A, B = "10.86.0.1", "10.86.0.2"
POLICY = """cordon: 1
%%(more)szones: { a: [%s], b: [%%(peers)s] }
authentication: { how: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
protection: { so: { proposals: [%%(proposal)s] } }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: how, protection: so }
%%(rules)s""" % A
OFFLOADS = ("tso", "gso", "gro", "tx", "tx-udp-segmentation")
HEADERS = 100  # octets that a tunnel leaves room for


class Missing(Exception):
    """It cannot be measured here, and why."""


class Pair:
    """Two hosts and a wire with the offloads that a real network card has (`wire` takes them away for captures)."""

    def __init__(self, o):
        self.a, self.b, self.to, self.processes = Namespace("a"), Namespace("b"), B, ([], [])
        wire(self.a, self.b)
        for host, own in ((self.a, A), (self.b, B)):
            host.sh("ip", "addr", "add", own + "/24", "dev", "eth0")
            card(host, o.mtu)

    def cpu_s(self):
        return [sum(cpu_of(pid) for pid in self.pids(end)) for end in (0, 1)]

    def pids(self, end):
        return [p.pid for p in self.processes[end]]

    def reach(self):
        for _ in range(30):
            if self.a.pings(self.to):
                return
        raise Missing("no ping to the other end")


def card(host, mtu):
    host.sh("ip", "link", "set", "eth0", "mtu", str(mtu))
    for name in OFFLOADS:
        host.sh("ethtool", "-K", "eth0", name, "on", check=False)


def cpu_of(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def background(host, *words, ready=None, env=None):
    p = subprocess.Popen(["ip", "netns", "exec", host.name, *words], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE if ready else subprocess.DEVNULL, text=True, env=env)

    def end():
        if p.poll() is None:
            p.terminate()
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
    on_exit(end)
    if ready and p.stdout.readline().strip() != ready:
        raise Missing("%s did not start" % words[0])
    return p


class Veth(Pair):
    """No protection."""


class Patient(Daemon):
    ready_s, page = 240, ""

    def put(self, name, text):
        super().put(name, text + self.page if name == "host.yaml" else text)


class Manned(Patient):
    """Its page says how many workers there are."""

    def __init__(self, workers, *more):
        self.page = "workers: %d\n" % workers
        super().__init__(*more)


class Cordon(Pair):
    """Two cordonds with a pre-shared key, one rule and one CHILD SA."""

    def __init__(self, o, build=None, proposal="esp-aes256gcm", encapsulation=None, rules="", peers=(B,), daemon=Patient):
        super().__init__(o)
        self.build = build or o.build
        text = POLICY % {"proposal": proposal, "rules": rules, "peers": ", ".join(peers),
                         "more": "encapsulation: %s\n" % encapsulation if encapsulation else ""}
        for peer in peers[1:]:
            self.b.sh("ip", "addr", "add", peer + "/24", "dev", "eth0")
        try:
            self.daemons = [daemon(self.build, host, name, text, None, None)
                            for host, name in ((self.a, "a"), (self.b, "b"))]
        except (TimeoutError, OSError) as e:
            raise Missing("cordond did not start: %s" % e) from None
        # before the namespaces go, or cordond finds its devices gone
        on_exit(lambda: [d.stop() for d in self.daemons])

    def pids(self, end):
        return self.daemons[end].processes()

    def reach(self):
        super().reach()
        if min(d.set_up() for d in self.daemons) < 1:
            raise Missing("its traffic is not under an SA: was the policy refused?")


class Workers(Cordon):
    """So many workers on each end, and an SA with each of several addresses, which are different workers' (share.h)."""
    PEERS = ["10.86.0.%d" % n for n in (2, 4, 6, 8)]

    def __init__(self, o, count):
        super().__init__(o, encapsulation=o.encapsulation, peers=self.PEERS, daemon=functools.partial(Manned, count))

    def reach(self):
        for self.to in reversed(self.PEERS):
            super().reach()

    def memory(self):
        """Of one end's data plane, what is its own."""
        for pid in self.pids(0):
            with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                said = dict(line.split(":", 1) for line in f)
            if said["Name"].strip().startswith("cordond-datapl"):
                return int(said["RssAnon"].split()[0]) / 1024
        return None


def knows_encapsulation(build):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write(POLICY % {"proposal": "esp-aes256gcm", "more": "encapsulation: udp\n", "rules": "", "peers": B})
        f.flush()
        return subprocess.run([build + "/cordond", "--check", "--policy", f.name], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0


class StrongSwan(Pair):
    """charon with kernel-libipsec: ESP in UDP over a TUN device."""

    def __init__(self, o):
        if not ike_strongswan.is_here():
            raise Missing("Debian's charon-systemd and libcharon-extra-plugins are not installed")
        self.peers = ike_strongswan.Pair(o.build)
        (self.a, self.b), self.to = self.peers.hosts, "10.85.2.1"
        for host in (self.a, self.b):
            card(host, o.mtu)
        self.processes = tuple([self.peers.start(n, "psk", "ecp384")] for n in (1, 2))
        control = ike_strongswan.Control(self.peers.folder + "/1/vici")
        control.ask("initiate", child="h", ike="h", timeout="10000")
        control.answer()


class WireGuard(Pair):
    """wireguard-go, told what to do over its control socket."""
    count = 0

    def __init__(self, o, program=None):
        program = program or shutil.which("wireguard-go")
        if not program or not os.access(program, os.X_OK):
            raise Missing("%s is not there" % (program or "Debian's wireguard-go"))
        super().__init__(o)
        keys = [x25519(), x25519()]
        WireGuard.count += 1
        for end, host in enumerate((self.a, self.b)):
            name = "wg%d%s%d" % (WireGuard.count, "ab"[end], os.getpid() % 1000000)
            env = {**os.environ, "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
            self.processes[end].append(background(host, program, "-f", name, env=env))
            tell(name, ["private_key=" + keys[end][0], "listen_port=51820", "public_key=" + keys[1 - end][1],
                        "endpoint=%s:51820" % (B, A)[end], "replace_allowed_ips=true",
                        "allowed_ip=10.87.%d.1/32" % (2 - end)])
            host.sh("ip", "addr", "add", "10.87.%d.1/16" % (end + 1), "dev", name)
            host.sh("ip", "link", "set", name, "mtu", str(o.mtu - 80), "up")
        self.to = "10.87.2.1"


def x25519():
    """A private key and its public one, in hexadecimal."""
    der = subprocess.run(["openssl", "genpkey", "-algorithm", "X25519", "-outform", "DER"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=der,
                            capture_output=True, check=True).stdout
    return der[-32:].hex(), public[-32:].hex()


def tell(name, lines):
    path = "/var/run/wireguard/%s.sock" % name
    for _ in range(50):
        if os.path.exists(path):
            break
        time.sleep(0.1)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(path)
        except OSError as e:
            raise Missing("wireguard-go did not start: %s" % e) from None
        s.sendall(("set=1\n" + "\n".join(lines) + "\n\n").encode())
        if b"errno=0" not in s.recv(100):
            raise Missing("wireguard-go does not take its configuration")


class Limit(Pair):
    """A loop between two TUN devices; `wire`: with the wire between them."""

    def __init__(self, o, mode):
        super().__init__(o)
        program = o.build + "/tests/bench/bench-limit"
        self.to = "10.87.2.1"
        if mode == "wire":
            for end, (host, own, peer) in enumerate(((self.a, A, B), (self.b, B, A))):
                self.processes[end].append(background(host, program, "wire", host.name, own, peer, ready="ready"))
        else:
            p = background(self.a, program, mode, self.a.name, self.b.name, ready="ready")
            self.processes[0].append(p)
        for end, host in enumerate((self.a, self.b)):
            host.sh("ip", "addr", "add", "10.87.%d.1/16" % (end + 1), "dev", "limit0")
            host.sh("ip", "link", "set", "limit0", "mtu", str(o.mtu - HEADERS if mode == "wire" else o.mtu), "up")


class Spread(Veth):
    """No protection, and many addresses at the other end."""

    def __init__(self, o):
        super().__init__(o)
        self.to = "10.90.0.1"
        many_addresses(self)


def many_addresses(pair):
    pair.a.sh("ip", "route", "add", "10.90.0.0/16", "via", B)
    pair.b.sh("ip", "route", "add", "local", "10.90.0.0/16", "dev", "lo")


class Keyed(Pair):
    """Two data planes with so many SAs keyed by hand (bench-sas): the daemon with keying left out. `behind` a gateway there
    are so many addresses, which the SAs share; else each SA has one."""

    def __init__(self, o, count, behind=0):
        super().__init__(o)
        self.to, self.count, self.gateway = "10.90.0.1", behind or count, behind > 0
        program = o.build + "/tests/bench/bench-sas"
        many_addresses(self)
        p = background(self.a, program, str(count), self.a.name, self.b.name, A, "10.90.0.1", *([B, str(behind)] if behind else []),
                       ready="ready")
        self.said = dict(word.split("=") for word in p.stdout.readline().split())
        self.processes[0].append(p)
        for host in (self.a, self.b):
            protect(host)

    def pids(self, end):
        parent = self.processes[0][0].pid
        with open("/proc/%d/task/%d/children" % (parent, parent), encoding="utf-8") as f:
            return [[int(word) for word in f.read().split()][end]]


PROTECT, OWN, MASK = 0x01000000, 0x02000000, 0x0F000000


def protect(host):
    """What enforce/ would do: everything that is not ours goes to the device, and its connections are small enough."""
    host.nft("""table inet bench {
      chain out { type route hook output priority mangle
        meta mark & %d == %d return
        ip daddr { 10.86.0.1, 10.90.0.0/16 } meta mark set %d
      }
      chain pre { type filter hook prerouting priority mangle; iifname cordon0 meta mark set %d; }
      chain post { type filter hook postrouting priority mangle
        oifname cordon0 tcp flags syn tcp option maxseg size set 1360
      }
    }""" % (MASK, OWN, PROTECT, PROTECT))
    for key in ("all", "eth0"):
        host.sysctl("net/ipv4/conf/%s/rp_filter" % key, "0")
    host.sysctl("net/ipv4/conf/all/src_valid_mark", "1")
    host.sh("ip", "rule", "add", "fwmark", "%d/%d" % (PROTECT, MASK), "lookup", "100", "pri", "100")
    host.sh("ip", "route", "add", "default", "dev", "cordon0", "table", "100")


def kill(p):
    if p.poll() is None:
        p.send_signal(signal.SIGKILL)
        p.wait()
