#!/usr/bin/env python3
"""Tests of tests/netns in a guest whose kernel has ESP, where cordond takes the kernel's data plane by itself.

usage: netns.py SCRIPT:ROW ...     kernel:chosen is row "chosen" of tests/netns/kernel.py
       netns.py --group NAME       a group of rows.py
       environment: CORDON, CORDOND and whatever else the rows want

Each row is a process of its own. A second may take longer there (CORDON_TEST_SLOW, 3).
"""
import os
import subprocess
import sys

import rows as table

HERE = os.path.dirname(os.path.realpath(__file__))
NETNS = os.path.join(HERE, "../netns")
ROW_S = 600


def outside(rows):
    if subprocess.run([HERE + "/run", "--ready"], check=False).returncode != 0:
        print("skipped: no guest kernel: tests/guest/run --prepare makes it")
        return 77
    os.environ.setdefault("CORDON_TEST_SLOW", "3")
    return subprocess.run([HERE + "/run", "--timeout", str(ROW_S * len(rows)), "--", sys.executable, os.path.realpath(__file__),
                           "--inside", *rows], check=False).returncode


def inside(rows):
    failed = 0
    for row in rows:
        script, _, name = row.partition(":")
        try:
            done = subprocess.run([sys.executable, os.path.join(NETNS, script + ".py"), name], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, errors="replace", timeout=ROW_S)
            status, said = done.returncode, done.stdout
        except subprocess.TimeoutExpired as e:
            status, said = "time is up", (e.stdout or b"").decode(errors="replace")
        print("%-6s %s" % ({0: "ok", 77: "skipped"}.get(status, "FAILED"), row), flush=True)
        if status not in (0, 77):
            failed += 1
            print("  " + "\n  ".join(said.splitlines()[-60:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] == "--group":
        sys.exit(outside(table.GROUPS[sys.argv[2]]))
    sys.exit(inside(sys.argv[2:]) if sys.argv[1] == "--inside" else outside(sys.argv[1:]))
