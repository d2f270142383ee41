#!/usr/bin/env python3
"""The table of (mode x protection x firewall rules x group member or not x direction): for every row what the language's
words make of it, what `cordon why` predicts and what the wire saw are the same.

Who is asked by name for the first time is not known yet, so two probes go before the rows (docs/firewall.md).

usage: firewall_table.py CORDON
"""
import json
import subprocess
import sys
from collections import Counter

import firewall_rows
from lab_twin import Lab, check, need_root

need_root()

with Lab(sys.argv[1], None) as lab:
    wanted = list(firewall_rows.rows())
    policy = lab.write("policy.yaml", firewall_rows.policy())
    lab.write("scenario.yaml", firewall_rows.scenario())
    asked = subprocess.run([sys.argv[1], "check", "--json", policy], stdout=subprocess.PIPE, check=False)
    tests = json.loads(asked.stdout)["tests"]
    check(tests["passed"] == len(wanted) and tests["failed"] == 0, "predicted otherwise: %s" % tests["failures"][:5])
    status, out, err = lab.run("run", "--json", lab.folder, timeout=280)
    seen = [row for row in json.loads(out)["rows"] if row["traffic"] != firewall_rows.WARM]
    check(len(seen) == len(wanted), "%d rows of %d: %s" % (len(seen), len(wanted), err))
    wrong = []
    for row, got in zip(wanted, seen):
        want = firewall_rows.expected(row)
        if not got["expected"] == got["seen"] == want:
            wrong.append("%s %s, %s, %s %s: %s: should be %s, seen %s" % (
                row.mode, row.protection or "", row.words, "outward to" if row.outward else "inward from", row.peer,
                got["traffic"], want, got["seen"]))
    for line in wrong:
        print("FAIL  " + line)
    check(not wrong, "%d of %d rows" % (len(wrong), len(wanted)))
    check(status == 0 and not err, "status %d: %s" % (status, err))
    print("%d of %d rows agree: %s" % (len(wanted), len(wanted), ", ".join(
        "%d %s" % (n, word) for word, n in Counter(r["seen"] for r in seen).most_common())))
