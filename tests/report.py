#!/usr/bin/env python3
"""Adds up what `meson test` wrote: names failures and skips with their reason, and ends with the one line of counts.

usage: report.py TESTLOG.json...
"""
import json
import sys

PASSED, SKIPPED = {"OK", "EXPECTEDFAIL"}, {"SKIP"}


def last_line(test):
    lines = [line for line in (test.get("stdout", "") + test.get("stderr", "")).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as log:
            for test in map(json.loads, log):
                if test["result"] in PASSED:
                    counts["passed"] += 1
                elif test["result"] in SKIPPED:
                    counts["skipped"] += 1
                    print(f"skipped  {test['name']}: {last_line(test)}")
                else:
                    counts["failed"] += 1
                    print(f"FAILED   {test['name']} ({test['result'].lower()}): {last_line(test)}")
    print(", ".join(f"{n} {what}" for what, n in counts.items()))
    return 1 if counts["failed"] else 0


sys.exit(main())
