#!/usr/bin/env python3
"""Packets per second and octets under SAs, between two cordonds in two network namespaces that share the machine: TCP with
one stream, and datagrams of 64 octets as fast as one program sends them, counted where they arrive. `limit` is the same
wire without Cordon. Two builds can be compared, by turns: before a change and after it.

usage: dataplane.py BUILD [--against BUILD] [--json] [--runs N] [--seconds N] [CASE ...]
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from ike import Daemon  # noqa: E402
from lib import Namespace, need_root, on_exit, run, skip, wire  # noqa: E402

A, B = "10.86.0.1", "10.86.0.2"
POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { how: [ { pre-shared-key: { file: /etc/cordon/psk } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: how }
""" % (A, B)
CASES = {"tcp-1": ([], "Gbit/s"), "udp-64": (["-u", "-l", "64", "-b", "0"], "kpps")}


def hosts():
    a, b = Namespace("a"), Namespace("b")
    wire(a, b)
    for host, address in ((a, A), (b, B)):
        host.sh("ip", "addr", "add", address + "/24", "dev", "eth0")
    return a, b


def measure(case, seconds, a, b):
    """With the offloads that a real network card has: `wire` takes them away for captures."""
    for host in (a, b):
        host.sh("ethtool", "-K", "eth0", "tso", "on", "gso", "on", "gro", "on", "tx", "on", check=False)
    server = subprocess.Popen(["ip", "netns", "exec", b.name, "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL)
    on_exit(server.kill)
    time.sleep(0.5)
    said = json.loads(a.sh("iperf3", "-c", B, "-J", "-t", str(seconds), *CASES[case][0], check=False))
    server.wait(20)
    end = said["end"]
    if case == "tcp-1":
        return end["sum_received"]["bits_per_second"] / 1e9
    return (end["sum"]["packets"] - end["sum"]["lost_packets"]) / end["sum"]["seconds"] / 1e3


def one_run(build, case, seconds, a, b):
    if not build:
        return measure(case, seconds, a, b), 0
    both = [Daemon(build, h, name, POLICY, None, None) for h, name in ((b, "b"), (a, "a"))]
    a.sh("ping", "-c1", "-W5", B)
    before = sum(d.cpu_s() for d in both)
    value = measure(case, seconds, a, b)
    cpu = sum(d.cpu_s() for d in both) - before
    for d in both:
        d.stop()
    for host in (a, b):
        run("ip", "netns", "exec", host.name, build + "/cordond", "--uninstall-rules")
    return value, cpu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--against")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("cases", nargs="*")
    o = parser.parse_intermixed_args()
    need_root()
    if not shutil.which("iperf3"):
        skip("measures with iperf3: install iperf3")
    a, b = hosts()
    who = {"cordon": os.path.abspath(o.build), "limit": None}
    if o.against:
        who["before"] = os.path.abspath(o.against)
    seen = {}
    for _ in range(o.runs):
        for case in o.cases or CASES:
            for name, build in who.items():
                seen.setdefault((case, name), []).append(one_run(build, case, o.seconds, a, b))
    for (case, name), rows in seen.items():
        values = [v for v, _ in rows]
        row = {"bench": "dataplane", "case": case, "who": name, "unit": CASES[case][1], "min": round(min(values), 3),
               "median": round(statistics.median(values), 3), "max": round(max(values), 3),
               "cpu_s": round(statistics.median(c for _, c in rows), 3)}
        if o.json:
            print(json.dumps(row), flush=True)
        else:
            print("%-8s %-8s %9.2f %9.2f %9.2f %s" % (case, name, row["min"], row["median"], row["max"], row["unit"]))


if __name__ == "__main__":
    main()
