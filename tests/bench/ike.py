#!/usr/bin/env python3
"""Set-ups per second between two cordonds in two network namespaces: IKE_SA_INIT and IKE_AUTH with one CHILD SA each, all
of them new and kept. The initiator has many addresses and sends one packet from each, so every pair of addresses needs
an SA of its own; the time is from the first packet to the last CHILD SA at the responder. Both daemons share the
machine, so the rate is for the pair.

The same policy between two strongSwans runs by turns with ours where Debian's is installed (ike_strongswan.py); the
pure cost of the public-key operations is bench-crypto's.

usage: ike.py BUILD [--json] [--count N] [--runs N] [--many N] [CASE ...]
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
import ike_strongswan  # noqa: E402
from lib import Namespace, need_root, on_exit, run, wire  # noqa: E402

# case: how peers prove themselves, the group
CASES = {"psk-x25519": ("psk", "x25519"), "psk-ecp384": ("psk", "ecp384"), "ecdsa-ecp384": ("ecdsa-p384", "ecp384"),
         "ecdsa-x25519": ("ecdsa-p256", "x25519")}
RESPONDERS = ["10.89.0.%d" % n for n in (1, 2, 3, 4)]  # a host has at most 4,096 addresses
POLICY = """cordon: 1
zones: { many: [10.88.0.0/16], one: [10.89.0.0/24] }
authentication: { how: [ %s ] }
key-exchange: { default: { proposals: [aes256gcm-sha384-%s], lifetime: 8h } }
connection-security:
  - { name: all, endpoint1: [many], endpoint2: [one], mode: require, authentication: how }
"""
BOUND_S = 120


class Daemon:
    """cordond on a host, with what it can prove."""
    ready_s = 30

    def __init__(self, build, host, name, policy, ca, key):
        self.build, self.folder = build, tempfile.mkdtemp(prefix="cordon-bench-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        os.makedirs(self.folder + "/etc/cordon")
        self.put("etc/cordon/psk", "for this bench only, a shared secret of some length\n")
        self.put("policy.yaml", policy)
        page = "cordon: 1\nname: %s\n" % name
        if ca:
            run(build + "/cordon", "pki", "issue", ca, name, "--key", key, "--out", self.folder + "/pki")
            shutil.copy(ca + "/ca.pem", self.folder + "/pki/ca.pem")
            page += "certificates: [ { certificate: /pki/%s.pem, key: /pki/%s.key } ]\ntrust: [/pki/ca.pem]\n" % (name, name)
        self.put("host.yaml", page)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(self.folder + "/notify")
        ready.settimeout(self.ready_s)
        self.p = subprocess.Popen(
            ["ip", "netns", "exec", host.name, build + "/cordond", "--config", self.folder + "/host.yaml", "--policy",
             self.folder + "/policy.yaml", "--run-dir", self.folder + "/run", "--state-dir", self.folder + "/state",
             "--root", self.folder], env={**os.environ, "NOTIFY_SOCKET": self.folder + "/notify"},
            stderr=open(self.folder + "/log", "w", encoding="utf-8"))
        on_exit(self.stop)
        ready.recv(4096)
        ready.close()

    def put(self, name, text):
        with open(os.open(self.folder + "/" + name, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
            f.write(text)

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGKILL)
            self.p.wait()

    def processes(self):
        """cordond and its children, which do most of the work."""
        with open("/proc/%d/task/%d/children" % (self.p.pid, self.p.pid), encoding="utf-8") as f:
            return [self.p.pid] + [int(word) for word in f.read().split()]

    def processes(self):
        """cordond and its children"""
        with open("/proc/%d/task/%d/children" % (self.p.pid, self.p.pid), encoding="utf-8") as f:
            return [self.p.pid, *map(int, f.read().split())]

    def cpu_s(self):
        ticks = 0
        for pid in self.processes():
            with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        octets = 0
        for pid in self.processes():
            with open("/proc/%d/status" % pid, encoding="utf-8") as f:
                octets += next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
        return octets

    def set_up(self):
        said = run(self.build + "/cordon", "status", "--json", "--run-dir", self.folder + "/run", check=False)
        keying = json.loads(said)["keying"]
        return min(keying["main_mode"], keying["quick_mode"])


def addresses(count):
    return ["10.88.%d.%d" % (n // 250, n % 250 + 1) for n in range((count + len(RESPONDERS) - 1) // len(RESPONDERS))]


def hosts(count):
    a, b = Namespace("a"), Namespace("b")
    wire(a, b)
    many = "".join("addr add %s/32 dev eth0\n" % address for address in addresses(count))
    subprocess.run(["ip", "-n", a.name, "-batch", "-"], input=many, text=True, check=True)
    for address in RESPONDERS:
        b.sh("ip", "addr", "add", address + "/32", "dev", "eth0")
        a.sh("ip", "route", "add", address + "/32", "dev", "eth0")
    # By way of one address: the kernel's neighbour table has room for 1,024.
    a.sh("ip", "addr", "add", "10.87.0.1/24", "dev", "eth0")
    b.sh("ip", "addr", "add", "10.87.0.2/24", "dev", "eth0")
    b.sh("ip", "route", "add", "10.88.0.0/16", "via", "10.87.0.1")
    return a, b


def send_each(sockets, count):
    for n in range(count):
        sockets[n // len(RESPONDERS)].sendto(b"x", (RESPONDERS[n % len(RESPONDERS)], 9))
        if n % 64 == 63:  # as fast as the daemon takes them, not as fast as the kernel could drop them
            time.sleep(0.005)


def one_run(build, case, count, a, b):
    proof, group = CASES[case]
    ca = None
    if proof == "psk":
        how = "{ pre-shared-key: { file: /etc/cordon/psk } }"
    else:
        how, folder = '{ certificate: { issuer: "CN=bench CA" } }', tempfile.mkdtemp(prefix="cordon-bench-")
        on_exit(lambda: shutil.rmtree(folder, ignore_errors=True))
        ca = folder + "/ca"
        run(build + "/cordon", "pki", "init", ca, "--name", "CN=bench CA", "--key", proof)
    policy = POLICY % (how, group)
    responder, initiator = (Daemon(build, h, name, policy, ca, proof) for h, name in ((b, "one"), (a, "many")))
    memory, cpu = responder.memory(), (initiator.cpu_s(), responder.cpu_s())
    sockets = [a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=(address, 0)) for address in addresses(count)]
    begin = time.monotonic()
    send_each(sockets, count)
    done, end = 0, begin
    while done < count and time.monotonic() - begin < BOUND_S:
        time.sleep(0.05)
        now, end = responder.set_up(), time.monotonic()
        if now == done < count:  # packets that the kernel dropped before the daemon saw them
            send_each(sockets, count)
        done = now
    result = {"rate": done / (end - begin), "done": done, "cpu_s": initiator.cpu_s() + responder.cpu_s() - sum(cpu),
              "per_sa": (responder.memory() - memory) / max(1, done)}
    for s in sockets:
        s.close()
    for d in (initiator, responder):
        d.stop()
    for host in (a, b):
        run("ip", "netns", "exec", host.name, build + "/cordond", "--uninstall-rules")
    return result


def report(case, who, unit, values, cpu, as_json):
    if not values:
        return
    row = {"bench": "ike", "case": case, "who": who, "unit": unit, "min": round(min(values), 3),
           "median": round(statistics.median(values), 3), "max": round(max(values), 3), "cpu_s": round(cpu, 3)}
    if as_json:
        print(json.dumps(row), flush=True)
    else:
        print("%-20s %-10s %10.1f %10.1f %10.1f %s" % (case, who, row["min"], row["median"], row["max"], unit), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--many", type=int, default=10000)
    parser.add_argument("cases", nargs="*")
    o = parser.parse_intermixed_args()
    build = os.path.abspath(o.build)
    need_root()
    a, b = hosts(max(o.count, o.many))
    peer = ike_strongswan.Pair(build) if ike_strongswan.is_here() else None
    runs = {}
    for _ in range(o.runs):
        for case in o.cases or CASES:
            ours = one_run(build, case, o.count, a, b)
            runs.setdefault((case, "cordon"), []).append(ours)
            if ours["done"] < o.count:
                print("%s: %d of %d came up" % (case, ours["done"], o.count), file=sys.stderr)
            if peer:
                runs.setdefault((case, "strongswan"), []).append(peer.one_run(*CASES[case], o.count // 2))
    for (case, who), all_of in runs.items():
        cpu = statistics.median(r["cpu_s"] for r in all_of)
        report(case, who, "set-ups/s", [r["rate"] for r in all_of], cpu, o.json)
        report(case + "-cpu", who, "ms", [r["cpu_s"] / r["done"] * 1000 for r in all_of if r["done"]], cpu, o.json)
    # Many pairs: what each costs, and whether the last ones come up as fast as the first.
    if o.many:
        ours = one_run(build, "psk-x25519", o.many, a, b)
        report("psk-x25519-%d" % o.many, "cordon", "set-ups/s", [ours["rate"]], ours["cpu_s"], o.json)
        report("memory-per-sa", "cordon", "bytes", [ours["per_sa"]], 0, o.json)
        if peer:  # a tenth of them: it takes a minute
            theirs = peer.one_run(*CASES["psk-x25519"], o.many // 10)
            report("memory-per-sa", "strongswan", "bytes", [theirs["per_sa"]], 0, o.json)


if __name__ == "__main__":
    main()
