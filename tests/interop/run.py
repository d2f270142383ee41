#!/usr/bin/env python3
"""Cordon and a peer that we did not write, in the guest whose kernel has ESP: all rows of one world.

usage: run.py BUILD PEER WORLD [ROW ...]

Prints a line for each row. With CORDON_TEST_LONG the long rows too. CORDON_TEST_PLANE=kernel: our end's data plane is the kernel's. What came of it is left in BUILD/interop/PEER-WORLD.
"""
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import fetch
import rows as table
from world import World

HERE = os.path.dirname(os.path.realpath(__file__))
GUEST = os.path.join(HERE, "../guest/run")


def skip(why):
    print("skipped: " + why)
    sys.exit(77)


def main(build, peer, name, only):
    if os.geteuid() != 0:
        skip("needs root, to write the peer's configuration where it looks for it")
    if subprocess.run([GUEST, "--ready"], check=False).returncode != 0:
        skip("no guest kernel: tests/guest/run --prepare makes it")
    root, version, why = fetch.peer(peer)
    if not root:
        skip(why)
    everything = bool(os.environ.get("CORDON_TEST_LONG")) or bool(only)
    rows = [r for r in table.ROWS if peer in r.peers and r.world == name and (everything or not r.long) and
            (not only or r.name in only)]
    if not rows:
        skip("all rows of this world are long: ./dev test --long")
    if peer == "openiked":
        rows = [replace(r, esp=(table.IKED_ESP,)) if r.esp == (table.ESP,) else r for r in rows]
    kernel = os.environ.get("CORDON_TEST_PLANE") == "kernel"
    folder = os.path.join(build, "interop", "%s-%s%s%s" % (peer, name, "-some" if only else "", "-kernel" if kernel else ""))
    w = World(folder, peer, rows, lambda *words: fetch.tool(root, *words), os.path.join(build, "interop", "pki"), kernel)
    w.write()
    began = time.monotonic()
    with open(os.path.join(folder, "guest.log"), "w", encoding="utf-8") as log:
        guest = subprocess.run([GUEST, "--mem", "1500", "--timeout", "1500", "--rw", folder, "--", "bash",
                                os.path.join(HERE, "world.sh"), folder, build, peer, root],
                               stdout=log, stderr=subprocess.STDOUT, check=False)
    took = time.monotonic() - began
    results, wrong = w.judge()
    if guest.returncode != 0:
        wrong.append("the guest ended with %d: %s/guest.log" % (guest.returncode, folder))
    for row, faults in results.items():
        print("%-6s %-14s %s" % ("FAILED" if faults else "ok", row.name, row.key))
        for fault in faults:
            print("         " + fault)
        for why in w.excused.get(row, []):
            print("         not held against Cordon: " + why)
    for fault in wrong:
        print("FAILED " + fault)
    failed = sum(bool(f) for f in results.values())
    with open(os.path.join(folder, "results.json"), "w", encoding="utf-8") as f:
        json.dump({"peer": peer, "version": version, "world": name, "plane": "kernel" if kernel else "userspace", "wrong": wrong, "seconds": round(took),
                   "long": everything and not only, "rows": {r.name: f for r, f in results.items()},
                   "excused": {r.name: why for r, why in w.excused.items()}}, f, indent=1)
    print("%s %s: %d rows, %d failed, %.0f s; in %s" % (peer, version, len(rows), failed, took, folder))
    return 1 if failed or wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]))
