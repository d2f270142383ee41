#!/usr/bin/env python3
"""What ./dev test says at the end, of logs as meson writes them: its counts, and what a second try is worth.

usage: report.py REPOSITORY
"""
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(sys.argv[1], "tests"))

import report  # noqa: E402


def log(folder, name, **results):
    path = os.path.join(folder, name + ".json")
    with open(path, "w", encoding="utf-8") as f:
        for test, result in results.items():
            f.write(json.dumps({"name": "cordon:netns / " + test, "result": result, "stdout": "ok\n%s: %s\n" % (test, name)}) + "\n")
    return path


def main():
    bad = []

    def expect(what, is_so):
        if not is_so:
            bad.append(what)

    with tempfile.TemporaryDirectory() as folder:
        first = log(folder, "dev", a="OK", b="FAIL", c="SKIP", d="TIMEOUT", e="EXPECTEDFAIL")
        second = log(folder, "again", b="OK", d="FAIL")

        lines, failed = report.report([first])
        expect("a failure is a failure", failed == 2 and lines[-1] == "2 passed, 2 failed, 1 skipped")
        expect("with its reason", "FAILED   cordon:netns / b (fail): b: dev" in lines)
        expect("what is tried again is what failed", report.again([first]) == ["b", "d"])

        lines, failed = report.report([first], second)
        late = [line for line in lines if line.startswith("passed at the second try: ")]
        expect("a second try that passes is a pass", failed == 1 and lines[-1] == "3 passed, 1 failed, 1 skipped")
        expect("and is told, with the first reason and where its log is",
               len(late) == 1 and "netns / b (fail): b: dev" in late[0] and late[0].endswith("dev.txt"))
        expect("before the last line", late[0] == lines[-2])
        expect("one that fails twice has failed", "FAILED   cordon:netns / d (timeout): d: dev" in lines)
        skips = log(folder, "skips", b="SKIP", d="SKIP")
        expect("a second try that is skipped proves nothing", report.report([first], skips)[1] == 2)

        expect("of all logs together", report.again([first, log(folder, "other", z="FAIL")]) == ["b", "d", "z"] and
               report.again([first, log(folder, "others", y="FAIL", z="FAIL")]) == [])
        many = log(folder, "many", **{name: "FAIL" for name in "abcd"})
        expect("many failures are not tried again", report.again([many]) == [])
        expect("nor is what was broken off: tests behind it were not begun",
               report.again([log(folder, "broken-off", a="OK", b="FAIL", c="INTERRUPT")]) == [])
        expect("nor is nothing", report.again([log(folder, "none", a="OK", b="SKIP"), folder + "/not-there"]) == [])
    for what in bad:
        print("FAILED " + what)
    return 1 if bad else 0


sys.exit(main())
