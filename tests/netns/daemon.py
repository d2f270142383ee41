#!/usr/bin/env python3
"""cordond as a whole: two hosts, real IKE, real ESP on the wire, and everything that can happen to a daemon meanwhile.

usage: daemon.py [TEST ...]; CORDON and CORDOND name the programs
"""
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from lib import (SLOW, Capture, Namespace, address, carries, expect, main, marker, on_exit, run, udp_reaches, wire)

CORDON = os.environ.get("CORDON", "build/cordon")
CORDOND = os.environ.get("CORDOND", "build/cordond")
A, B, C = "10.77.0.1", "10.77.0.2", "10.77.0.3"
ESP = 50

PSK = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { key: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: %%s, authentication: key }
""" % (A, B)
BLOCK = """cordon: 1
zones: { a: [%s], b: [%s] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: block }
""" % (A, B)
CERTIFICATE = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { machine: [ { certificate: { issuer: "CN=Test CA", extended-key-usage: ike-intermediate } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: machine }
""" % (A, B)


# A program that sends all the time, and does not mind where it cannot.
TALKER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"in clear", (sys.argv[1], 4321))
    except OSError:
        pass
    time.sleep(0.001)
"""


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


class Host(Namespace):
    """A host with folders of its own, and the cordond on it."""

    def __init__(self, name, psk="correct horse battery staple"):
        super().__init__(name)
        self.folder = tempfile.mkdtemp(prefix="cordon-test-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        self.root, self.state = self.folder + "/root", self.folder + "/state"
        self.run_dir, self.p = self.folder + "/run", None
        write(self.root + "/etc/cordon/psk", psk + "\n", 0o600)
        on_exit(self.end)

    def end(self):
        """A daemon that is asked to go goes, with 0; under a sanitizer, without a finding."""
        try:
            status = self.kill(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()
            status = "still there after a minute"
        log = self.log() if os.path.exists(self.folder + "/log") else ""
        if status not in (None, 0) or "Sanitizer" in log or "runtime error" in log:
            expect("cordond ends well: status %s\n%s" % (status, log), False)

    def command(self, *more):
        return ["ip", "netns", "exec", self.name, CORDOND, "--run-dir", self.run_dir, "--state-dir", self.state,
                "--root", self.root, *more]

    def with_workers(self, more):
        """Every host's page says how many workers there are, where the environment does."""
        workers = os.environ.get("CORDON_TEST_WORKERS")
        if not workers:
            return more
        if "--config" not in more:
            write(self.folder + "/workers.yaml", "cordon: 1\n")
            more += ("--config", self.folder + "/workers.yaml")
        page = more[more.index("--config") + 1]
        with open(page, encoding="utf-8") as f:
            text = f.read()
        if "workers:" not in text:
            write(page, text + "\nworkers: %s\n" % workers)
        return more

    def start(self, *more, policy=None):
        more = self.with_workers(more)
        if policy is not None:
            write(self.folder + "/policy.yaml", policy)
            more += ("--policy", self.folder + "/policy.yaml")
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.folder + "/notify"
        if os.path.exists(path):
            os.unlink(path)
        ready.bind(path)
        ready.settimeout(60)
        with open(self.folder + "/log", "a", encoding="utf-8") as log:
            self.p = subprocess.Popen(self.command(*more), stderr=log, env={**os.environ, "NOTIFY_SOCKET": path})
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
        except (socket.timeout, TimeoutError):
            raise RuntimeError("cordond is not ready: " + self.log()) from None
        finally:
            ready.close()
        return self

    def log(self):
        with open(self.folder + "/log", encoding="utf-8") as f:
            return f.read()

    def kill(self, how=signal.SIGKILL):
        if self.p is None or self.p.poll() is not None:
            return None
        self.p.send_signal(how)
        return self.p.wait(60)

    def cordon(self, *words, env=None):
        done = subprocess.run([CORDON, *words], env={**os.environ, "CORDON_RUN_DIR": self.run_dir, **(env or {})},
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def begin(self, *words):
        """The same, and not waited for."""
        return subprocess.Popen([CORDON, *words], env={**os.environ, "CORDON_RUN_DIR": self.run_dir},
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def json(self, *words):
        return json.loads(self.cordon(*words, "--json")[1])

    def policy(self, text):
        path = "%s/%s.yaml" % (self.folder, marker().hex()[:8])
        write(path, text)
        return path

    def pings(self, to, seconds=20):
        """Does an echo come back? Name the seconds where none should."""
        return subprocess.run(["ip", "netns", "exec", self.name, "ping", "-c1", "-W%d" % seconds, to],
                              stdout=subprocess.DEVNULL).returncode == 0

    def events(self):
        return [json.loads(line)["event"] for line in self.cordon("events", "--json")[1].splitlines()]


def two_hosts(**more):
    a, b = Host("a", **more), Host("b", **more)
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", B + "/24")
    return a, b


def wait_until(what, seconds=10):
    """seconds: what it may take on a machine that does nothing else. What comes true late on a busy one is true."""
    end = time.monotonic() + max(20, 2 * seconds)
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.1)
    return False


def lives(pid):
    """A dead one that nobody has asked after is dead."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def by_kernel(host):
    return host.json("status")["plane"]["kind"] == "kernel"


def reaches(sender, receiver, to, port=4321, wait=3):
    r = receiver.udp(to, port)
    r.settimeout(wait)
    s = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        return udp_reaches(s, r, to, port)
    finally:
        s.close()
        r.close()


def nothing_left(host):
    with host:
        rules = run("ip", "rule") + run("ip", "-6", "rule")
        table = run("nft", "list", "ruleset")
        routes = run("ip", "route", "show", "table", "all") + run("ip", "-6", "route", "show", "table", "all")
    return "fwmark" not in rules and "cordon" not in table and "table 100" not in routes


# ---- protection ---------------------------------------------------------------------------------------------------


def thin_path():
    """one rule, a pre-shared key, a ping that is ESP on the wire, and a ruleset that drops the clear one"""
    a, b = two_hosts()
    seen = Capture(a)
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    expect("the first ping is late, not lost", a.pings(B))
    expect("what is on the wire is ESP", ESP in seen.protocols())
    expect("no clear packet was there", socket.IPPROTO_ICMP not in seen.protocols())
    sent, heard, mark = reaches(a, b, B)
    expect("UDP arrives", sent and heard)
    expect("and cannot be read on the wire", not seen.has(mark))
    rows = a.json("show", "quick-mode")["rows"]
    expect("quick mode is shown with its protection",
           len(rows) >= 1 and rows[0]["protection"] == "encrypted" and rows[0]["rule"] == "all")
    expect("IKEv2 words are understood", a.json("show", "ike-sa")["rows"][0]["state"] == "established")
    expect("status is well", a.cordon("status")[0] == 0 and a.json("status")["peers"]["encrypted"] == 1)
    expect("the other end sees the same", b.json("status")["peers"]["encrypted"] == 1)
    a.kill(signal.SIGTERM)
    expect("the peer hears that we go", wait_until(lambda: b.json("show", "main-mode")["rows"] == []))
    r = b.udp(B, 4322)
    s = a.socket(socket.AF_INET, socket.SOCK_DGRAM)
    expect("without the daemon nothing is sent in clear", not udp_reaches(s, r, B, 4322)[1])
    run("ip", "netns", "exec", a.name, CORDOND, "--uninstall-rules")
    _, heard, mark = udp_reaches(s, r, B, 4322)
    expect("the clear packet is on the wire", seen.has(mark))
    expect("and the other end drops it", not heard)
    counted = {d["name"]: d["count"] for d in b.json("show", "drops")["rows"] if d["where"] == "ruleset"}
    expect("and counts it", counted.get("clear-in", 0) > 0)


def certificates():
    """the same with certificates that cordon pki issued; a stranger's is refused in words"""
    a, b = two_hosts()
    ca, other = a.folder + "/ca", a.folder + "/other"
    run(CORDON, "pki", "init", ca, "--name", "CN=Test CA")
    run(CORDON, "pki", "init", other, "--name", "CN=Test CA")
    for host, name, at, issuer in ((a, "a", A, ca), (b, "b", B, ca)):
        issue(host, name, at, issuer)
    a.start("--config", a.folder + "/root/host.yaml", policy=CERTIFICATE)
    b.start("--config", b.folder + "/root/host.yaml", policy=CERTIFICATE)
    expect("a ping arrives", a.pings(B))
    row = a.json("show", "main-mode")["rows"][0]
    expect("the peer's identity is its certificate's", "b" in (row["identity"] or "") and row["method"] == "certificate")
    expect("status tells when our certificate ends", len(a.json("status")["certificates"]) == 1)
    b.kill(signal.SIGTERM)
    issue(b, "b", B, other)
    shutil.copy(ca + "/ca.pem", b.folder + "/root/pki/trust.pem")  # it trusts us, we do not trust it
    b.start("--config", b.folder + "/root/host.yaml", policy=CERTIFICATE)
    expect("a stranger gets nothing", not a.pings(B, 6))
    failing = a.json("status")["keying"]["failures"]
    expect("and status says why", len(failing) == 1 and "certificate" in failing[0]["failure"])
    expect("and exits 1", a.cordon("status")[0] == 1)
    failed = failing[0]["failed"]
    expect("by its code, and which side refused in which step",
           (failed["code"], failed["refused_by"], failed["step"]) == ("certificate-untrusted", "here", "IKE_AUTH"))
    expect("the other end knows that it was refused, and not why",
           wait_until(lambda: [r["failed"]["code"] for r in b.json("show", "peers")["rows"] if r["failed"]] == ["not-accepted"]))
    told = [json.loads(line) for line in a.cordon("events", "--json")[1].splitlines()]
    expect("and an event has the code", any(e.get("code") == "certificate-untrusted" for e in told))


def usage():
    """a certificate for something else: both ends say so, the one that refuses in full"""
    a, b = two_hosts()
    ca = a.folder + "/ca"
    run(CORDON, "pki", "init", ca, "--name", "CN=Test CA")
    issue(a, "a", A, ca, "--eku", "serverAuth")
    issue(b, "b", B, ca)
    a.start("--config", a.folder + "/root/host.yaml", policy=CERTIFICATE.replace(", extended-key-usage: ike-intermediate", ""))
    b.start("--config", b.folder + "/root/host.yaml", policy=CERTIFICATE)
    expect("nothing gets through", not a.pings(B, 2))
    row = next((r for r in b.json("show", "peers")["rows"] if r["failed"]), None)
    expect("the one that refuses says what is lacking", row and row["failed"]["code"] == "usage-missing" and
           "CN=a has extended key usage serverAuth only" in row["failure"] and "asks for ike-intermediate" in row["failure"])
    expect("and by which rule, in which step, and who it is", row["failed"]["rule"] == "all" and row["failed"]["step"] == "IKE_AUTH"
           and row["failed"]["identity"] == "CN=a" and row["failed"]["refused_by"] == "here")
    expect("its status says it in a few words", "1 peer fails: %s (the certificate lacks an extended key usage)" % A
           in b.cordon("status")[1])
    line = next((x for x in a.cordon("show", "peers")[1].splitlines() if B in x), "")
    expect("the other has one line that says it was refused, and when it tries again",
           "not-accepted" in line and "next try" in line and "serverAuth" not in line)
    said = a.cordon("why", "--policy", a.folder + "/policy.yaml", A, B, "icmp")[1]
    expect("and why says so", "Live" in said and "not-accepted" in said)


def issue(host, name, at, ca, *more):
    folder = host.folder + "/root/pki"
    shutil.rmtree(folder, ignore_errors=True)
    run(CORDON, "pki", "issue", ca, name, "--out", folder, "--address", at, *more)
    shutil.copy(ca + "/ca.pem", folder + "/trust.pem")
    write(host.folder + "/root/host.yaml", "cordon: 1\nname: %s\ncertificates:\n"
          "  - { certificate: /pki/%s.pem, key: /pki/%s.key }\ntrust: [/pki/trust.pem]\n" % (name, name, name))


def killed():
    """kill -9 stops protected traffic, a restart heals it within seconds"""
    a, b = two_hosts()
    seen = Capture(a)
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    expect("it works", a.pings(B))
    b.kill()
    if by_kernel(a):
        expect("the kernel goes on with the SAs that there are", a.pings(B, 1))
    else:
        expect("nobody answers for the dead", not a.pings(B, 1))
    b.start(policy=PSK % "require")
    expect("after the restart traffic flows again, from the one restarted", b.pings(A))
    expect("and from the other", a.pings(B))
    expect("all the while nothing was clear", socket.IPPROTO_ICMP not in seen.protocols())


def fallback():
    """request: a peer without IKE is talked to in clear, late; one with IKE never"""
    a, b = two_hosts()
    seen = Capture(a)
    a.start(policy=PSK % "request")
    sent, heard, mark = reaches(a, b, B, wait=5)
    expect("the packet arrives, although nobody answered IKE", sent and heard)
    expect("in clear", seen.has(mark))
    expect("which status says", a.json("status")["peers"]["clear"] == 1)
    expect("and an event", "fallback" in a.events())
    b.start(policy=PSK % "request")
    expect("the other end's traffic is protected at once", b.pings(A))
    expect("ESP is on the wire", ESP in seen.protocols())


def fallback_after_secured():
    """request: a peer that has lost its IKE while we were dead is talked to again, in clear"""
    a, b = two_hosts()
    a.start(policy=PSK % "request")
    b.start(policy=PSK % "request")
    expect("protected first", a.pings(B))
    a.kill()
    b.kill()
    b.sh(CORDOND, "--uninstall-rules")
    a.start(policy=PSK % "request")
    expect("a new flow is sent in clear, late", reaches(a, b, B, port=4333, wait=5)[1])


def addresses():
    """an address that comes later is protected at once"""
    a, b = two_hosts()
    run("ip", "-n", a.name, "addr", "del", A + "/24", "dev", "eth0")
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    seen = Capture(a)
    talker = subprocess.Popen(["ip", "netns", "exec", a.name, "python3", "-c", TALKER, B])
    on_exit(talker.kill)
    time.sleep(0.3)
    address(a, "eth0", A + "/24")
    expect("an event tells", wait_until(lambda: "addresses-changed" in a.events()))
    expect("and traffic is protected", a.pings(B))
    expect("on the wire too, from the first moment on",
           socket.IPPROTO_ICMP not in seen.protocols() and not seen.has(b"in clear"))
    talker.kill()
    talker.wait()


def frames_of(seen, source):
    """IPv4 frames from this address, as (protocol, frame)."""
    return [(carries(f), f) for f in seen.read() if f[12:14] == b"\x08\x00" and f[26:30] == socket.inet_aton(source)]


ISOLATION = """cordon: 1
zones: { servers: [10.77.1.0/24], paws: [10.77.2.0/24], domain-controllers: [10.77.1.10], emergency: [10.77.9.5] }
hosts:
  dc1: { address: 10.77.1.10, roles: [dns, kdc] }
  paw1: { address: 10.77.2.31 }
authentication: { machine: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: All Server/PAW Require IPsec, endpoint1: [paws, servers], endpoint2: [paws, servers], mode: require, authentication: machine }
  - { name: Emergency PAW exception, endpoint1: [emergency], endpoint2: [domain-controllers], mode: exempt }
"""


def moved():
    """a PAW goes to the emergency address and back: protected, then clear as the exception says, then protected"""
    home, away, dc_address = "10.77.2.31", "10.77.9.5", "10.77.1.10"
    paw, dc = Host("paw1"), Host("dc1")
    wire(paw, dc)
    address(paw, "eth0", home + "/16")
    address(dc, "eth0", dc_address + "/16")
    page = paw.folder + "/host.yaml"
    write(page, "cordon: 1\nname: paw1\n")
    seen = Capture(dc)
    paw.start("--config", page, policy=ISOLATION)
    dc.start(policy=ISOLATION)
    talker = subprocess.Popen(["ip", "netns", "exec", paw.name, "python3", "-c", TALKER, dc_address])
    on_exit(talker.kill)

    def main_modes():
        return [r for r in paw.json("show", "main-mode")["rows"] if r["state"] == "established"]

    def changes():
        lines = [json.loads(line) for line in paw.cordon("events", "--json")[1].splitlines()]
        return [e["text"] for e in lines if e["event"] == "addresses-changed"]

    def move(old, new):
        """Seconds until the rules are made for what it is now: without one address, with the other."""
        before = len(changes())
        run("ip", "-n", paw.name, "addr", "del", old + "/16", "dev", "eth0")
        address(paw, "eth0", new + "/16")
        since = time.monotonic()
        wait_until(lambda: len(changes()) > before and "has 1 " in changes()[-1], 3)
        return time.monotonic() - since

    expect("at home it is protected", paw.pings(dc_address) and len(main_modes()) == 1)
    for turn in range(2):
        took = move(home, away)
        expect("the rules follow within seconds (%.2f s)" % took, took < 5 * SLOW)
        expect("the SAs of the old address are gone", wait_until(lambda: main_modes() == []))
        expect("from the emergency address it goes in clear", paw.pings(dc_address))
        expect("as the wire shows", any(p == socket.IPPROTO_ICMP for p, _ in frames_of(seen, away)))
        took = move(away, home)
        expect("back at home, within seconds (%.2f s)" % took, took < 5 * SLOW)
        # The talker may have filled what waits for the SA, so that the first ping finds no room.
        expect("it is protected again", wait_until(lambda: paw.pings(dc_address, 1), 3) and len(main_modes()) == 1)
    talker.kill()
    talker.wait()
    expect("both ends have one main mode with each other",
           wait_until(lambda: len([r for r in dc.json("show", "main-mode")["rows"] if r["state"] == "established"]) == 1, 5))
    time.sleep(0.2)
    ours = frames_of(seen, home)
    expect("what left from home was IKE or ESP, nothing else",
           ours and all(p == ESP or (p == 17 and f[36:38] in (b"\x01\xf4", b"\x11\x94")) for p, f in ours))


# ---- changes ------------------------------------------------------------------------------------------------------


def applied():
    """apply, history and rollback; a policy with errors changes nothing"""
    a, _ = two_hosts()
    a.start()
    expect("without a policy, status says so and exits 1", a.cordon("status")[0] == 1)
    status, said = a.cordon("apply", a.policy(PSK % "requir"))
    expect("a mistake is refused with place and caret", status == 1 and ":5:" in said and "^" in said)
    expect("and nothing was applied", a.json("status")["policy"] is None)
    status, said = a.cordon("apply", a.policy(PSK % "require"))
    expect("a good one is applied", status == 0 and "Applied v1" in said)
    expect("another", "Applied v2" in a.cordon("apply", a.policy(PSK % "request"))[1])
    expect("rules tell of it", a.json("show", "rules")["rows"][0]["mode"] == "request")
    expect("back", "v1" in a.cordon("rollback")[1])
    expect("rules tell of that", a.json("show", "rules")["rows"][0]["mode"] == "require")
    expect("not beyond the first", a.cordon("rollback")[0] == 1)
    expect("forward again by number", a.cordon("rollback", "2")[0] == 0)
    history = a.json("history")["rows"]
    expect("history knows both", [h["version"] for h in history] == [2, 1] and history[0]["current"])
    a.kill()
    a.start()
    expect("a restart goes on with what was in force", a.json("status")["policy"]["version"] == 2)
    expect("its rule concerns us", a.json("status")["policy"]["rules_here"] == 1)
    elsewhere = "cordon: 1\nconnection-security:\n" \
                "  - { name: far, endpoint1: [192.0.2.1], endpoint2: [192.0.2.2], mode: block }\n"
    status, said = a.cordon("apply", a.policy(elsewhere))
    expect("the policy of another network is applied with a question", status == 0 and "is it the right file?" in said)
    expect("and status does not speak of protection", "Nothing to protect" in a.cordon("status")[1])


def period(seconds):
    """For --confirm: where starting a program takes seconds, what is to happen before its end needs more of them."""
    return "%ds" % round(seconds * SLOW)


def probation():
    """--confirm: kept when confirmed, taken back when not, whatever happens to the daemon meanwhile"""
    a, _ = two_hosts()
    a.start()
    a.cordon("apply", a.policy(PSK % "request"))

    def mode():
        return a.json("show", "rules")["rows"][0]["mode"]

    def version():
        return a.json("status")["policy"]["version"]

    require = a.policy(PSK % "require")
    status, said = a.cordon("apply", require, "--confirm", period(1))
    expect("it is told when it is taken back", status == 0 and "taken back at" in said)
    expect("it is in force", mode() == "require")
    expect("another one has to wait", a.cordon("apply", require)[0] == 1)
    expect("it is taken back", wait_until(lambda: mode() == "request", 3 * SLOW))
    expect("with an event", "policy-rolled-back" in a.events())
    a.cordon("apply", require, "--confirm", period(1))
    expect("confirmed", a.cordon("confirm")[0] == 0)
    time.sleep(1.5 * SLOW)
    expect("it stays", mode() == "require" and version() == 3)
    expect("there is nothing more to confirm", a.cordon("confirm")[0] == 1)
    a.cordon("apply", a.policy(BLOCK), "--confirm", period(2))
    a.kill()
    time.sleep(2.2 * SLOW)
    a.start()
    expect("its time ended while the daemon was dead: taken back at start", version() == 3 and mode() == "require")
    a.cordon("apply", a.policy(BLOCK), "--confirm", period(3))
    a.kill()
    a.start()
    expect("a restart before the end goes on with it", version() == 5 and mode() == "block")
    expect("and takes it back then", wait_until(lambda: version() == 3, 5 * SLOW))
    a.cordon("apply", a.policy(BLOCK), "--confirm", "60s")
    expect("rollback ends probation at once", a.cordon("rollback")[0] == 0 and version() == 3)
    reboot(a)


def reboot(a):
    """What a reboot leaves: the state folder, another boot ID, the boot clock at nothing."""
    a.cordon("apply", a.policy(BLOCK), "--confirm", period(2))
    a.kill()
    path = a.state + "/state.json"
    with open(path, encoding="utf-8") as f:
        state = json.load(f)
    state["pending"]["boot_id"] = "another"
    state["pending"]["deadline_boot_ms"] += 10 ** 9
    write(path, json.dumps(state), 0o600)
    time.sleep(2.2 * SLOW)
    a.start()
    expect("after a reboot the wall clock ends probation", a.json("status")["policy"]["version"] == 3)


def first_probation():
    """the very first policy, on probation: back to none, and traffic flows"""
    a, b = two_hosts()
    a.start()
    a.cordon("apply", a.policy(BLOCK), "--confirm", period(1 if SLOW == 1 else 8))
    expect("it blocks", not a.pings(B, 1))
    expect("it is taken back to no policy", wait_until(lambda: a.json("status")["policy"] is None, 12 * SLOW))
    expect("and traffic flows", wait_until(lambda: a.pings(B, 1), 3 * SLOW))
    del b


def own_connection():
    """apply refuses what would cut off the caller's ssh, unless on probation or forced"""
    a, b = two_hosts()
    a.start()
    ssh = {"SSH_CONNECTION": "%s 50000 %s 22" % (B, A)}
    require, request, block = a.policy(PSK % "require"), a.policy(PSK % "request"), a.policy(BLOCK)
    status, said = a.cordon("apply", require, env=ssh)
    expect("require, and the peer is not known: refused, with what to do", status == 1 and "--confirm" in said)
    expect("nothing was applied", a.json("status")["policy"] is None)
    expect("block: refused", a.cordon("apply", block, env=ssh)[0] == 1)
    expect("request: applied", a.cordon("apply", request, env=ssh)[0] == 0)
    b.start(policy=PSK % "request")
    expect("main mode comes up", a.pings(B))
    status, said = a.cordon("apply", require, env=ssh)
    expect("require, and the peer is known: applied", status == 0 and "is encrypted" in said)
    expect("block with --force", a.cordon("apply", block, "--force", env=ssh)[0] == 0)


def source():
    """the file source: SIGHUP takes a new text, a broken one leaves the last good in force, also over a restart"""
    a, _ = two_hosts()
    a.start(policy=PSK % "require")
    path = a.folder + "/policy.yaml"

    def mode():
        return a.json("show", "rules")["rows"][0]["mode"]

    write(path, PSK % "request")
    a.p.send_signal(signal.SIGHUP)
    expect("SIGHUP takes the new text", wait_until(lambda: mode() == "request", 3))
    expect("refresh finds nothing new", "the policy in force stays" in a.cordon("refresh")[1])
    write(path, PSK % "request-nothing")
    expect("and refuses what is wrong", a.cordon("refresh")[0] == 1)
    write(path, PSK % "require")
    expect("and takes what is new", a.cordon("refresh")[0] == 0 and mode() == "require")
    write(path, PSK % "request")
    a.cordon("refresh")
    write(path, "cordon: 1\nnonsense")
    a.p.send_signal(signal.SIGHUP)
    expect("a broken one is told", wait_until(lambda: "policy-refused" in a.events(), 3))
    a.kill()
    a.start(policy="cordon: 1\nnonsense")
    expect("and a restart goes on with the last good", mode() == "request")


# ---- break-glass and traces ------------------------------------------------------------------------------------------


def disabled():
    """disable opens, survives kill -9 and restart, enable closes again"""
    a, b = two_hosts()
    a.start(policy=PSK % "require")
    expect("closed", not reaches(a, b, B, wait=1)[1])
    expect("disable", a.cordon("disable", "--reason", "storm")[0] == 0)
    expect("open", reaches(a, b, B)[1])
    said = a.json("status")
    expect("status says so, with the reason", said["state"] == "disabled" and said["disabled"]["reason"] == "storm")
    a.kill()
    a.start(policy=PSK % "require")
    expect("still open after a restart", a.json("status")["state"] == "disabled" and reaches(a, b, B)[1])
    expect("a policy is taken, but not enforced", "disabled" in a.cordon("apply", a.policy(BLOCK))[1])
    expect("enable", a.cordon("enable")[0] == 0)
    expect("closed again", not reaches(a, b, B, wait=1)[1])
    b.start(policy=PSK % "require")
    a.cordon("rollback")
    expect("and with a peer, protected", a.pings(B))


def enabled():
    """who is told that protection is on may send at once: the answer comes when the data plane has begun, or is wanted no more"""
    a, b = two_hosts()
    a.start()
    b.start(policy=PSK % "require")
    pid = next(p["pid"] for p in a.json("status")["processes"] if p["name"] == "dataplane")

    def slowly(*words):
        """It is asked, and the data plane begins a second later."""
        os.kill(pid, signal.SIGSTOP)
        asked = a.begin(*words)
        time.sleep(1)
        waits = asked.poll() is None
        os.kill(pid, signal.SIGCONT)
        return waits and asked.wait(60) == 0

    for what, words in (("a first policy", ("apply", a.policy(PSK % "require"))), ("enable", ("enable",))):
        expect("%s: the answer waits" % what, slowly(*words))
        sent, heard, _ = reaches(a, b, B)
        expect("%s: what is sent then is not refused" % what, sent)
        expect("%s: and arrives" % what, heard)
        a.cordon("disable", "--reason", "test")
    os.kill(pid, signal.SIGSTOP)
    asked = a.begin("enable")
    expect("enabled", wait_until(lambda: [e for e in a.events() if e in ("enabled", "disabled")][-1] == "enabled"))
    expect("and waited for", asked.poll() is None)
    expect("until it is disabled", a.cordon("disable", "--reason", "test")[0] == 0 and asked.wait(60) == 0)
    os.kill(pid, signal.SIGCONT)


def uninstalled():
    """--uninstall-rules leaves nothing"""
    a, b = two_hosts()
    expect("nothing before", nothing_left(a))
    a.start(policy=PSK % "require")
    a.kill()
    expect("kill -9 leaves the rules", not nothing_left(a))
    a.p = subprocess.Popen(["ip", "netns", "exec", a.name, CORDOND, "--uninstall-rules"], stdout=subprocess.DEVNULL)
    expect("uninstall ends well", a.p.wait(20) == 0)
    expect("nothing after", nothing_left(a))
    expect("traffic flows", reaches(a, b, B)[1])


def flushed():
    """another program flushes the rules: they are back at once, with an event"""
    a, b = two_hosts()
    a.start(policy=PSK % "require")
    a.sh("nft", "flush", "ruleset")
    expect("an event tells", wait_until(lambda: "rules-restored" in a.events(), 3))
    expect("closed", not reaches(a, b, B, wait=1)[1])


# ---- refusals -----------------------------------------------------------------------------------------------------


def fails(host, *more, say):
    done = subprocess.run(host.command(*more), capture_output=True, text=True, timeout=20)
    expect("refused with 1 and words about %r" % say, done.returncode == 1 and say in done.stderr)
    if say not in done.stderr:
        print(done.stderr)


def kernel_lacks():
    """data-plane: kernel, and the kernel has no ESP: refused in words that name it, and nothing is opened"""
    a, b = two_hosts()
    page = a.folder + "/host.yaml"
    write(page, "cordon: 1\n")
    a.start("--config", page, policy=PSK % "require")
    plane = a.json("status")["plane"]
    if plane["kind"] == "kernel":
        expect("this kernel has ESP", True)
        return
    expect("status says which plane it is, and what the kernel lacks", plane["kind"] == "userspace" and "ESP" in plane["why"])
    b.start(policy=PSK % "require")
    expect("protected", a.pings(B))
    seen = Capture(a)
    write(page, "cordon: 1\ndata-plane: kernel\n")
    status, said = a.cordon("refresh")
    expect("a refresh is refused: " + said.strip()[-100:], status != 0 and "data-plane: kernel" in said and "ESP" in said)
    expect("what was in force goes on", a.pings(B) and a.json("status")["plane"]["kind"] == "userspace")
    a.kill()
    done = subprocess.run(a.command("--config", page, "--policy", a.folder + "/policy.yaml"), capture_output=True, text=True,
                          timeout=30)
    expect("cordond does not start, and says why", done.returncode != 0 and "data-plane: kernel is not possible here" in done.stderr)
    a.pings(B, 1)
    expect("nothing is clear", socket.IPPROTO_ICMP not in seen.protocols())


def refused():
    """a second daemon, no root, no policy file, a page with errors: an error, and nothing half done"""
    a, _ = two_hosts()
    a.start(policy=PSK % "require")
    rules = a.sh("nft", "list", "ruleset")
    fails(a, say="one host, one cordond")
    fails(a, "--run-dir", a.folder + "/run2", "--state-dir", a.folder + "/state2", say="UDP port 500 is taken")
    expect("the first one is untouched", a.sh("nft", "list", "ruleset") == rules and "rules-restored" not in a.events())
    c = Host("c")
    fails(c, "--policy", "/nonexistent/policy.yaml", say="/nonexistent/policy.yaml")
    fails(c, "--config", "/nonexistent/host.yaml", say="/nonexistent/host.yaml")
    write(c.folder + "/bad.yaml", PSK % "sometimes")
    fails(c, "--policy", c.folder + "/bad.yaml", say="sometimes")
    write(c.folder + "/host.yaml", "cordon: 1\nnme: x\n")
    fails(c, "--config", c.folder + "/host.yaml", say="nme")
    done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", CORDOND, "--run-dir", c.run_dir],
                          capture_output=True, text=True, timeout=20)
    expect("without root: said in words", done.returncode == 1 and "needs root" in done.stderr)
    if not by_kernel(a):  # which needs none
        done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev/net; exec \"$@\"", "sh", *c.command()],
                              capture_output=True, text=True, timeout=20)
        expect("without TUN: said in words", done.returncode == 1 and "TUN" in done.stderr)
    expect("nothing was left behind", nothing_left(c))
    status, said = c.cordon("status")
    expect("nobody on the socket: said in words", status == 1 and "nothing answers on" in said)

    def unanswered(word, host=a):
        return subprocess.run(["ip", "netns", "exec", host.name, CORDON, word, "--run-dir", host.run_dir], capture_output=True,
                              text=True, timeout=20).stderr
    expect("nor are rules of a policy there", "No rules of Cordon are in force: nothing is protected." in unanswered("status", c))
    a.kill()
    expect("rules that outlive cordond are told of", "The rules of the last policy stay in force" in unanswered("status"))
    a.sh(CORDOND, "--uninstall-rules")
    expect("and those that were removed are not", "No rules of Cordon are in force" in unanswered("events"))
    expect("wrong options: 2", subprocess.run(c.command("--nonsense"), capture_output=True).returncode == 2)


SQUATTER = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.bind(("", 4500))
        break
    except OSError:
        time.sleep(0.05)
print("there", flush=True)
time.sleep(60)
"""


def locked_out():
    """a local user keeps cordond from starting neither by its lock nor by its port over 1023"""
    a, b = two_hosts()
    a.start(policy=PSK % "require")
    a.kill()
    for folder in (a.folder, a.run_dir):
        os.chmod(folder, 0o755)  # as /run/cordon is
    taken = subprocess.Popen(["setpriv", "--reuid", "65534", "--clear-groups", "flock", a.run_dir + "/cordond.pid",
                              "sleep", "20"], stderr=subprocess.DEVNULL)
    on_exit(taken.kill)
    squatter = subprocess.Popen(["ip", "netns", "exec", a.name, "setpriv", "--reuid", "65534", "--clear-groups", "python3", "-c",
                                 SQUATTER], stdout=subprocess.PIPE)
    on_exit(squatter.kill)
    squatter.stdout.readline()  # killed daemons' children end a moment later
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    expect("it starts, and protects", a.pings(B))
    expect("port 4500 is missed in the log", "4500 is taken" in a.log())
    for p in taken, squatter:
        p.kill()
        p.wait()


def unread():
    """nobody reads what cordond says on standard error: it works, and stops when it is told to"""
    a, b = two_hosts()
    out, into = os.pipe()
    os.set_blocking(into, False)
    try:
        while os.write(into, b"full" * 1024):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(into, True)
    write(a.folder + "/policy.yaml", PSK % "require")
    a.p = subprocess.Popen(a.command("--policy", a.folder + "/policy.yaml"), stderr=into)
    os.close(into)
    b.start(policy=PSK % "require")
    expect("it works", wait_until(lambda: a.cordon("status")[0] == 0) and a.pings(B))
    refused_page = a.policy("cordon: 2")
    for _ in range(20):
        a.cordon("apply", refused_page)
    lost = a.json("status")["events"]["log_lost"]
    expect("the lines that found no room are counted: %d" % lost, lost >= 20)
    began = time.monotonic()
    expect("it stops (%.1f s)" % (time.monotonic() - began), a.kill(signal.SIGTERM) == 0 and time.monotonic() - began < 15)
    os.close(out)


def good(host):
    return host.policy(PSK % "require")


def checked():
    """--check says what is wrong and changes nothing"""
    a, _ = two_hosts()
    done = subprocess.run(a.command("--check", "--policy", good(a)), capture_output=True, text=True, timeout=20)
    expect("right", done.returncode == 0)
    done = subprocess.run(a.command("--check", "--policy", a.policy(PSK % "never")), capture_output=True, text=True,
                          timeout=20)
    expect("wrong", done.returncode == 1 and "never" in done.stderr)
    write(a.folder + "/host.yaml", "cordon: 1\nname: nobody\n")
    named = PSK % "require" + "hosts: { x: { address: 192.0.2.99 } }\n"
    done = subprocess.run(a.command("--check", "--config", a.folder + "/host.yaml", "--policy", a.policy(named)), capture_output=True,
                          text=True, timeout=20)
    expect("a name that the policy does not have is warned of", done.returncode == 0 and "[name-unknown]" in done.stderr)
    expect("nothing was changed", nothing_left(a) and not os.path.exists(a.state))
    page, keytab, ca = (a.folder + "/root/" + name for name in ("checked.yaml", "keytab", "ca.pem"))
    os.makedirs(a.folder + "/root", exist_ok=True)
    write(page, "cordon: 1\nkeytab: %s\ntrust: [%s]\n" % (keytab, ca))
    for what, octets, mode in ("missing", None, 0), ("garbage", "x", 0o600), ("empty", "", 0o600), ("open to all", "x", 0o644):
        if octets is not None:
            write(keytab, octets)
            os.chmod(keytab, mode)
        done = subprocess.run(a.command("--check", "--config", page, "--policy", good(a)), capture_output=True, text=True,
                              timeout=20)
        expect("a keytab that is %s is warned of, as is what is trusted: %s" % (what, done.stderr), done.returncode == 0 and
               "warning: " + keytab in done.stderr and "warning: " + ca in done.stderr and "2 warnings" in done.stdout)
    write(page, "cordon: 1\ndata-plane: kernel\n")
    done = subprocess.run(a.command("--check", "--config", page, "--policy", good(a)), capture_output=True, text=True,
                          timeout=20)
    started = subprocess.Popen(a.command("--config", page, "--policy", good(a)), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    on_exit(started.kill)
    if done.returncode:
        expect("a plane that cannot be is told: %s" % done.stderr, "data-plane: kernel is not possible here" in done.stderr and
               "can be enforced" not in done.stdout)
        expect("and starting fails, too", started.wait(20) == 1)
    else:
        expect("a plane that can be: it starts", wait_until(lambda: a.cordon("status")[0] == 0, 20))
        started.terminate()
        started.wait(20)
        subprocess.run(a.command("--uninstall-rules"), capture_output=True, timeout=20)
    expect("nothing was changed", nothing_left(a) and (not done.returncode or not os.path.exists(a.state)))


def events_follow():
    """events --follow tells as it happens, one JSON object a line"""
    a, _ = two_hosts()
    a.start()
    p = subprocess.Popen([CORDON, "events", "--follow", "--json", "--run-dir", a.run_dir], stdout=subprocess.PIPE, text=True)
    on_exit(lambda: p.kill())
    expect("what was", json.loads(p.stdout.readline())["event"] == "started")
    a.cordon("apply", good(a))
    expect("what comes", json.loads(p.stdout.readline())["event"] == "policy-applied")
    p.kill()
    p.wait()
    expect("a follower that goes is forgotten", a.cordon("status")[0] == 0)


def busy():
    """who asks at a terminal while cordond is busy is told after two seconds; so is who asked when it ends"""
    a, _ = two_hosts()
    a.start(policy=PSK % "require")
    a.p.send_signal(signal.SIGSTOP)
    ours, its = pty.openpty()
    p = subprocess.Popen([CORDON, "status", "--run-dir", a.run_dir], stdout=subprocess.PIPE, stderr=its, text=True)
    on_exit(p.kill)
    os.close(its)
    said = os.read(ours, 4096).decode()
    expect("what it waits for: %s" % said, "cordond is busy, it may be putting a policy in force; waiting" in said)
    a.p.send_signal(signal.SIGCONT)
    expect("then it has its answer", "Policy    v1" in p.communicate(timeout=20)[0])
    os.close(ours)
    a.p.send_signal(signal.SIGSTOP)
    p = subprocess.Popen([CORDON, "status", "--run-dir", a.run_dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    on_exit(p.kill)
    time.sleep(2.5)
    a.kill()
    said = p.communicate(timeout=20)[1]
    expect("that it ended is said, and to who is no terminal no more: %s" % said,
           said == "cordon: cordond ended while it was asked:  systemctl status cordon\n")


if __name__ == "__main__":
    main([thin_path, certificates, usage, killed, fallback, fallback_after_secured, addresses, moved, applied, probation, first_probation, own_connection, source,
          disabled, enabled, uninstalled, flushed, refused, kernel_lacks, locked_out, unread, checked, events_follow, busy])
