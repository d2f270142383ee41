#!/usr/bin/env python3
"""The data plane beside its peers and beside what the kernel's interfaces allow: two hosts in two network namespaces
that share the machine. All who are measured stand at the same time and have their turns one after the other, as often as
--runs says, so that what disturbs the machine disturbs all.

usage: main.py BUILD [--runs N] [--seconds N] [--mtu N] [--size N] [--only WHO,WHO] [--against BUILD] [--long] [--write] [--json]
               [CASE ...]

Cases: tcp-1 tcp-4 udp rtt idle signing workers sas rules kernel. WIREGUARD_GO names a wireguard-go to be measured besides the packaged
one. --against: another build of Cordon beside this one. --write makes docs/performance.md.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import ends  # noqa: E402
import in_guest  # noqa: E402
import page  # noqa: E402
from lib import need_root, run, skip  # noqa: E402

# case: who has a part in it besides cordon (and `before`)
CASES = {
    "tcp-1": ("cordon-native", "strongswan", "wireguard-go", "wireguard-go-new", "limit-packet", "limit-super",
              "limit-sealed", "veth"),
    "tcp-4": ("cordon-native", "strongswan", "wireguard-go", "wireguard-go-new", "limit-packet", "limit-super",
              "limit-sealed", "veth"),
    "udp": ("cordon-native", "strongswan", "wireguard-go", "wireguard-go-new", "limit-packet", "limit-wire", "veth"),
    "rtt": ("cordon-native", "strongswan", "wireguard-go", "wireguard-go-new", "limit-wire", "veth"),
    "idle": ("cordon-native", "strongswan", "wireguard-go", "wireguard-go-new", "workers-1", "workers-2", "workers-4"),
    "signing": ("cordon-null", "cordon-ah"),
    "workers": ("workers-1", "workers-2", "workers-4"),
    "sas": ("sas-1", "sas-1000", "sas-10000", "gateway-1", "gateway-1000", "gateway-10000", "veth-spread"),
    "rules": ("rules-1", "rules-1000", "rules-10000"),
    "kernel": (),  # of itself, in a guest (in_guest.py)
}
IDLE_S, FLOWS = 5, 2
ALONE = ("sas", "rules", "workers")  # nobody else has a part in them
MANY = 10000
PORT = 5402


def rules(count):
    """Rules about this host and others, besides the one that is used: each of another peer."""
    return "".join("  - { name: r%d, endpoint1: [%s, %s], endpoint2: [10.%d.%d.%d], mode: require, authentication: how }\n" %
                   (n, ends.A, ends.B, 100 + n // 62500, n // 250 % 250, n % 250 + 1) for n in range(1, count))


MAKERS = {
    "cordon": lambda o: ends.Cordon(o, encapsulation=o.encapsulation),
    "before": lambda o: ends.Cordon(o, build=o.against, encapsulation=o.encapsulation),
    "cordon-native": lambda o: ends.Cordon(o, encapsulation="native"),
    "cordon-null": lambda o: ends.Cordon(o, proposal="esp-sha256-null", encapsulation=o.encapsulation),
    "cordon-ah": lambda o: ends.Cordon(o, proposal="ah-sha256"),
    "strongswan": ends.StrongSwan,
    "wireguard-go": ends.WireGuard,
    "wireguard-go-new": lambda o: ends.WireGuard(o, os.environ["WIREGUARD_GO"]),
    **{"workers-%d" % n: lambda o, n=n: ends.Workers(o, n) for n in (1, 2, 4)},
    "limit-packet": lambda o: ends.Limit(o, "packet"),
    "limit-super": lambda o: ends.Limit(o, "super"),
    "limit-sealed": lambda o: ends.Limit(o, "sealed"),
    "limit-wire": lambda o: ends.Limit(o, "wire"),
    "veth": ends.Veth,
    "veth-spread": ends.Spread,
    **{"sas-%d" % n: lambda o, n=n: ends.Keyed(o, n) for n in (1, 1000, MANY)},
    **{"gateway-%d" % n: lambda o, n=n: ends.Keyed(o, n, MANY) for n in (1, 1000, MANY)},
    **{"rules-%d" % n: lambda o, n=n: ends.Cordon(o, encapsulation=o.encapsulation, rules=rules(n))
       for n in (1, 1000, 10000, 100000)},
}


def say(text):
    print("bench dataplane: " + text, file=sys.stderr, flush=True)


class Standing:
    """Who stands already; who cannot is told once."""

    def __init__(self, o):
        self.o, self.there, self.missing = o, {}, {}

    def get(self, who):
        if who in self.missing or self.o.only and who not in self.o.only:
            return None
        if who == "wireguard-go-new" and not os.environ.get("WIREGUARD_GO"):
            self.missing[who] = "WIREGUARD_GO does not name one"
        elif who not in self.there:
            begun = time.monotonic()
            try:
                self.there[who] = MAKERS[who](self.o)
                self.there[who].reach()
            except (ends.Missing, RuntimeError, OSError, ValueError, subprocess.SubprocessError) as e:
                self.missing[who] = str(e)
                self.there.pop(who, None)
            else:
                say("%s stands after %.1f s" % (who, time.monotonic() - begun))
        if who in self.missing:
            say("%s is left out: %s" % (who, self.missing[who]))
        return self.there.get(who)


# ---- single measurements: each returns {row's case: (value, unit)} -----------------------------------------------------


class Load:
    """iperf3, from a to b. It begins when it is told so."""

    def __init__(self, pair, seconds, streams, to=None, port=5201):
        self.server = subprocess.Popen(["ip", "netns", "exec", pair.b.name, "iperf3", "-s", "-1", "-p", str(port)],
                                       stdout=subprocess.DEVNULL)
        self.words = ["ip", "netns", "exec", pair.a.name, "timeout", str(seconds + 10), "iperf3", "-c", to or pair.to, "-p", str(port),
                      "-J", "-t", str(seconds), "-P", str(streams)]
        self.client = None

    def begin(self):
        self.client = subprocess.Popen(self.words, stdout=subprocess.PIPE, text=True)
        return self

    def end(self):
        said = self.client.communicate()[0]
        try:
            self.server.wait(3)
        except subprocess.TimeoutExpired:
            ends.kill(self.server)
        try:
            return json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e9
        except (ValueError, KeyError):
            return None


def load_begun(pair, seconds, streams):
    load = Load(pair, seconds, streams)
    time.sleep(0.3)
    return load.begin()


def tcp(o, pair, streams):
    gbits = load_begun(pair, o.seconds, streams).end()
    return {"tcp-%d" % streams: (gbits, "Gbit/s")} if gbits else {}


def blast(o, pair, spread=1):
    program = o.build + "/tests/bench/bench-blast"
    sink = ends.background(pair.b, program, "sink", str(PORT), str(o.seconds + 5), ready="ready")
    sent = json.loads(pair.a.sh(program, "send", pair.to, str(PORT), str(o.size), str(o.seconds), "0", str(spread)))
    got = json.loads(sink.stdout.readline())
    sink.wait()
    return got["packets"] / sent["seconds"] / 1e3 if got["packets"] else None


def udp(o, pair):
    return {"udp-%d" % o.size: (blast(o, pair), "kpps")}


def ping(o, pair, seconds):
    return json.loads(pair.a.sh(o.build + "/tests/bench/bench-blast", "ping", pair.to, str(PORT + 1), "64", str(seconds)))


def rtt(o, pair):
    echo = ends.background(pair.b, o.build + "/tests/bench/bench-blast", "echo", str(PORT + 1), ready="ready")
    try:
        idle = ping(o, pair, max(1, o.seconds / 2))
        load = load_begun(pair, o.seconds + 1, 1)
        time.sleep(0.4)
        loaded = ping(o, pair, max(1, o.seconds / 2))
        load.end()
    finally:
        ends.kill(echo)
    return {"rtt-%s-%s" % (when, p): (said[p + "_us"], "us")
            for when, said in (("idle", idle), ("load", loaded)) for p in ("p50", "p99")}


def all_idle(o, pairs, seen):
    """In one window."""
    before = {who: sum(pair.cpu_s()) for who, pair in pairs.items()}
    time.sleep(IDLE_S)
    for who, pair in pairs.items():
        seen.setdefault(("idle", who), []).append({"value": (sum(pair.cpu_s()) - before[who]) / IDLE_S, "unit": "cpu-s/s",
                                                   "round": o.round})


def many(o, pair):
    """Datagrams to one address and to many: without protection; to MANY behind a gateway, by so many SAs; to a peer each."""
    if isinstance(pair, ends.Spread):
        return {"spread-1": (blast(o, pair), "kpps"), "spread-%d" % MANY: (blast(o, pair, MANY), "kpps")}
    if pair.gateway:
        return {"sas-gateway": (blast(o, pair, pair.count), "kpps")}
    found = {"sas-tcp": tcp(o, pair, 1).get("tcp-1", (None, "Gbit/s")), "sas-spread": (blast(o, pair, pair.count), "kpps")}
    if pair.count >= 1000:
        found["sas-memory"] = (float(pair.said["per_sa"]), "octets")
    return found


def ruled(o, pair):
    return {"rules-tcp": tcp(o, pair, 1).get("tcp-1", (None, "Gbit/s")), "rules-udp": (blast(o, pair), "kpps")}


def streams_of(o, pair):
    """A stream to each of several addresses; Gbit/s."""
    loads = [Load(pair, o.seconds, 1, to, 5210 + n) for n, to in enumerate(pair.PEERS)]
    time.sleep(0.3)
    for load in loads:
        load.begin()
    gbits = [load.end() for load in loads]
    return sum(gbits) if all(gbits) else None


def datagrams_of(o, pair):
    """A flow to each of two addresses; kpps. More programs that send would leave those that receive no processor."""
    program, sinks, senders = o.build + "/tests/bench/bench-blast", [], []
    for n in range(FLOWS):
        sinks.append(ends.background(pair.b, program, "sink", str(PORT + 10 + n), str(o.seconds + 5), ready="ready"))
    for n, to in enumerate(pair.PEERS[:FLOWS]):
        senders.append(subprocess.Popen(["ip", "netns", "exec", pair.a.name, program, "send", to, str(PORT + 10 + n), str(o.size),
                                         str(o.seconds), "0"], stdout=subprocess.PIPE, text=True))
    seconds = max(json.loads(p.communicate()[0])["seconds"] for p in senders)
    got = [json.loads(sink.stdout.readline())["packets"] for sink in sinks]
    for sink in sinks:
        sink.wait()
    return sum(got) / seconds / 1e3 if all(got) else None


def manned(o, pair):
    """Rates, and the processor time of both planes for what was moved."""
    found = {"workers-memory": (pair.memory(), "MB")}
    for name, what, unit, seconds in (("workers-tcp", streams_of, "Gbit/s", o.seconds), ("workers-udp", datagrams_of, "kpps", o.seconds / 1e3)):
        before = sum(pair.cpu_s())
        rate = what(o, pair)
        found[name] = (rate, unit)
        if rate:
            found[name + "-cost"] = ((sum(pair.cpu_s()) - before) / rate / seconds, "cpu-s")
    return found


MEASURES = {"tcp-1": lambda o, p: tcp(o, p, 1), "tcp-4": lambda o, p: tcp(o, p, 4), "udp": udp, "rtt": rtt,
            "signing": lambda o, p: {"signing": tcp(o, p, 1).get("tcp-1", (None, "Gbit/s"))}, "workers": manned,
            "sas": many, "rules": ruled}


def busy_s():
    """Of all processors since the start; what the hypervisor took."""
    with open("/proc/stat", encoding="utf-8") as f:
        t = [int(word) / os.sysconf("SC_CLK_TCK") for word in f.readline().split()[1:]]
    return t[0] + t[1] + t[2] + t[5] + t[6], t[7]


def turn(o, case, who, pair, seen):
    before, busy = pair.cpu_s(), busy_s()
    try:
        found = MEASURES[case](o, pair)
    except (RuntimeError, ValueError, OSError) as e:
        say("%s of %s came to nothing: %s" % (case, who, e))
        return
    after, end = pair.cpu_s(), busy_s()
    cost = {"cpu_a_s": after[0] - before[0], "cpu_b_s": after[1] - before[1], "busy_s": end[0] - busy[0],
            "stolen_s": end[1] - busy[1]}
    for name, (value, unit) in found.items():
        if value is not None:
            seen.setdefault((name, who), []).append({"value": value, "unit": unit, "round": o.round, **cost})


def by_kernel(o, standing, seen):
    """The kernel's data plane, beside the same by hand."""
    if not in_guest.is_ready():
        standing.missing["kernel"] = "no guest kernel: tests/guest/run --prepare makes it"
    else:
        try:
            for case, who, cost, unit, number in in_guest.measure(o.build, o.runs, o.seconds, o.size):
                seen.setdefault((case, who), []).append({"value": cost, "unit": unit, "round": number})
            say("the kernel's plane is done")
        except RuntimeError as e:
            standing.missing["kernel"] = str(e)
    if "kernel" in standing.missing:
        say("the kernel's plane is left out: " + standing.missing["kernel"])


def three(values):
    return {"min": round(min(values), 4), "median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def quotient(own, other):
    """Each of ours against what was measured in the same round."""
    beside = {r["round"]: r["value"] for r in other}
    ratios = [r["value"] / beside[r["round"]] for r in own if beside.get(r["round"])]
    return three(ratios) if ratios else None


def rows_of(seen):
    rows = []
    for (case, who), runs in seen.items():
        row = {"bench": "dataplane", "case": case, "who": who, "unit": runs[0]["unit"], **three([r["value"] for r in runs]),
               "runs": len(runs)}
        for key in ("cpu_a_s", "cpu_b_s", "busy_s", "stolen_s"):
            if key in runs[0]:
                row[key] = round(statistics.median(r[key] for r in runs), 3)
        ratio = quotient(seen.get((case, "cordon"), []), runs)
        if who != "cordon" and ratio:
            row["ratio"] = ratio
        rows.append(row)
    return rows


def programs(build):
    run("ninja", "-C", build, "tests/bench/bench-limit", "tests/bench/bench-blast", "tests/bench/bench-sas", "cordon", "cordond",
        "cordond-keying", "cordond-keys", "cordond-dataplane", "cordond-sources")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--mtu", type=int, default=1500)
    parser.add_argument("--size", type=int, default=64, help="octets in a datagram")
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--against", type=os.path.abspath)
    parser.add_argument("--encapsulation", default="udp")
    parser.add_argument("--long", action="store_true", help="100,000 rules, too")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("cases", nargs="*")
    o = parser.parse_intermixed_args()
    o.build, o.round = os.path.abspath(o.build), 0
    o.cases = o.cases or list(CASES)
    wrong = [c for c in o.cases if c not in CASES]
    if wrong:
        parser.error("no case is called '%s': %s" % (wrong[0], " ".join(CASES)))
    return o


def main():
    o = arguments()
    need_root()
    if not shutil.which("iperf3"):
        skip("measures with iperf3: install iperf3")
    programs(o.build)
    if o.encapsulation and not ends.knows_encapsulation(o.build):
        say("this build's policy language does not know `encapsulation`: what is called cordon is native ESP")
        o.encapsulation = None
    standing, seen, begun = Standing(o), {}, time.monotonic()
    if "kernel" in o.cases:  # first: later there is company
        by_kernel(o, standing, seen)
        o.cases.remove("kernel")
    for o.round in range(o.runs if o.cases else 0):
        for case in o.cases:
            more = ["rules-100000"] if o.long and case == "rules" else []
            names = (["cordon"] + (["before"] if o.against else []) if case not in ALONE else []) + list(CASES[case]) + more
            at = o.round % len(names)
            pairs = {who: standing.get(who) for who in names[at:] + names[:at]}
            pairs = {who: pair for who, pair in pairs.items() if pair}
            if case == "idle":
                all_idle(o, pairs, seen)
                continue
            for who, pair in pairs.items():
                turn(o, case, who, pair, seen)
        say("round %d of %d is done after %d s" % (o.round + 1, o.runs, time.monotonic() - begun))
    rows = rows_of(seen)
    for row in rows:
        print(json.dumps(row), flush=True)
    if o.write:
        page.write(o, rows, lambda a, b: quotient(seen.get(a, []), seen.get(b, [])), standing.missing, time.monotonic() - begun)


if __name__ == "__main__":
    main()
