#!/usr/bin/env python3
"""Every row of tests/netns runs on the kernel's plane as well, or tests/guest/rows.py says why not; and what that table has is
there, and is run.

usage: guest_rows.py REPOSITORY
"""
import os
import re
import sys

from rows_run import rows


def main():
    root, bad = sys.argv[1], []
    sys.path.insert(0, os.path.join(root, "tests/guest"))
    import rows as table  # pylint: disable=import-outside-toplevel # the folder is known from here on
    with open(os.path.join(root, "tests/netns/meson.build"), encoding="utf-8") as f:
        build = f.read()
    there = {}
    for name in sorted(os.listdir(os.path.join(root, "tests/netns"))):
        program = name[:-3]
        if name.endswith(".py") and re.search(r"'%s(?:\.py)?'" % program, build):  # the others are what tests share
            there[program] = rows(os.path.join(root, "tests/netns", name))
    runs = [row for group in table.GROUPS.values() for row in group]
    known = set(runs) | set(table.LEFT_OUT)
    for program, names in there.items():
        missing = [row for row in names if program + ":" + row not in known]
        if program not in known and (missing or not names):
            bad.append("tests/netns/%s.py: does %s run on the kernel's plane? Say it in tests/guest/rows.py" %
                       (program, ", ".join(missing) or "it"))
    for name in sorted(known):
        program, _, row = name.partition(":")
        if program not in there or row and row not in there[program]:
            bad.append("tests/guest/rows.py: there is no %s" % name)
    bad += ["tests/guest/rows.py: %s is there twice" % row for row in sorted(known)
            if runs.count(row) + (row in table.LEFT_OUT) > 1]
    bad += ["tests/netns/meson.build: nothing runs the group %s of tests/guest/rows.py" % g for g in table.GROUPS
            if not re.search(r"guest_groups = [^\]]*'%s'" % g, build)]
    bad += ["tests/netns/meson.build: nothing says why rows of %s do not run in the guest" % p for p in table.programs()
            if not re.search(r"guest_left_out = [^\]]*'%s'" % p, build)]
    print("\n".join(bad))
    if len(there) < 20 or len(runs) < 50:
        sys.exit("only %d programs were seen: this check is blind" % len(there))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
