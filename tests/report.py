#!/usr/bin/env python3
"""Adds up what `meson test` wrote: names failures and skips with their reason, and ends with the one line of counts.

usage: report.py [--second TESTLOG.json] TESTLOG.json...   a failure that passed in the second log counts as passed, and is named
       report.py --again TESTLOG.json...                   the names of the failures, if they are few enough to be tried again

A log that is not there is of a run that was not asked for.
"""
import json
import os
import sys

PASSED, SKIPPED = {"OK", "EXPECTEDFAIL"}, {"SKIP"}
AGAIN_MOST = 3  # more than that are no accident


def last_line(test):
    lines = [line for line in (test.get("stdout", "") + test.get("stderr", "")).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed nothing"


def tests_of(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as log:
        return [json.loads(line) for line in log]


def is_failed(test):
    return test["result"] not in PASSED | SKIPPED


def again(paths):
    failed = [test for path in paths for test in tests_of(path) if is_failed(test)]
    if len(failed) > AGAIN_MOST or any(test["result"] == "INTERRUPT" for test in failed):  # by Ctrl-C: behind it none were begun
        return []
    return [test["name"].rpartition(" / ")[2] for test in failed]


def report(paths, second=None):
    """The lines to print, and how many failed."""
    mended = {t["name"] for t in tests_of(second) if t["result"] in PASSED} if second else set()
    counts, lines, late = {"passed": 0, "failed": 0, "skipped": 0}, [], []
    for path in paths:
        for test in tests_of(path):
            why = f"{test['name']} ({test['result'].lower()}): {last_line(test)}"
            if test["result"] in PASSED:
                counts["passed"] += 1
            elif test["result"] in SKIPPED:
                counts["skipped"] += 1
                lines.append(f"skipped  {test['name']}: {last_line(test)}")
            elif test["name"] in mended:
                counts["passed"] += 1
                late.append(f"passed at the second try: {why}; its first log is in {os.path.splitext(path)[0]}.txt")
            else:
                counts["failed"] += 1
                lines.append("FAILED   " + why)
    return lines + late + [", ".join(f"{n} {what}" for what, n in counts.items())], counts["failed"]


def main(words):
    if words[:1] == ["--again"]:
        sys.stdout.writelines(name + "\n" for name in again(words[1:]))
        return 0
    second = words[1] if words[:1] == ["--second"] else None
    lines, failed = report(words[2:] if second else words, second)
    print("\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
