#!/usr/bin/env python3
"""The table of (mode x protection x firewall rules x group member or not x direction): for every row what the language's
words make of it, what `cordon why` predicts and what the wire saw are the same.

usage: firewall_table.py CORDON
"""
import sys
from collections import Counter

import firewall_rows
from lab_twin import Lab, check, need_root

need_root()

with Lab(sys.argv[1], None) as lab:
    wanted = list(firewall_rows.rows())
    status, seen, err = lab.rows(lab.write("table.yaml", firewall_rows.policy()), timeout=280)
    check(len(seen) == len(wanted), "%d rows of %d" % (len(seen), len(wanted)))
    wrong = []
    for row, got in zip(wanted, seen):
        want = firewall_rows.expected(row)
        if not got["expected"] == got["predicted"] == got["seen"] == want:
            wrong.append("%s %s, %s, %s: %s %s: should be %s, predicted %s, seen %s" % (
                row.mode, row.protection or "", row.words, "outward to" if row.outward else "inward from", row.peer,
                got["traffic"], want, got["predicted"], got["seen"]))
    for line in wrong:
        print("FAIL  " + line)
    check(not wrong, "%d of %d rows" % (len(wrong), len(wanted)))
    check(status == 0 and not err, "status %d: %s" % (status, err))
    print("%d of %d rows agree: %s" % (len(wanted), len(wanted), ", ".join(
        "%d %s" % (n, word) for word, n in Counter(r["seen"] for r in seen).most_common())))
