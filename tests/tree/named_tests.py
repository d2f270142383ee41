#!/usr/bin/env python3
"""The tests that a page of the documentation names are there, and run.

usage: named_tests.py REPOSITORY

A name is `tests/FOLDER/FILE.c: test`, or `test` alone behind one, of the same file.
"""
import os
import re
import sys

PAGES = ["docs/protocols/ikev2.md"]
NAME = re.compile(r"`(?:(tests/[\w/]+\.c): )?(\w+)`")


def main():
    root, bad, seen = sys.argv[1], 0, 0
    for page in PAGES:
        with open(os.path.join(root, page), encoding="utf-8") as f:
            lines = f.read().splitlines()
        for number, line in enumerate(lines, 1):
            path = None
            if "`tests/" not in line or ".c: " not in line:
                continue
            for found, test in NAME.findall(line):
                path = found or path
                if not path:
                    continue
                seen += 1
                try:
                    with open(os.path.join(root, path), encoding="utf-8") as f:
                        there = f"cmocka_unit_test({test})" in f.read()
                except OSError:
                    there = False
                if not there:
                    print(f"{page}:{number}: {path} runs no test {test}")
                    bad += 1
    if not seen:
        sys.exit("no page names a test any more: this check is blind")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
