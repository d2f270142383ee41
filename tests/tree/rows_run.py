#!/usr/bin/env python3
"""What a program of rows could run is run: each function that it hands to main() is named in the meson.build beside it.

usage: rows_run.py REPOSITORY
"""
import ast
import os
import re
import sys

FOLDERS = ["tests/netns", "tests/package"]


def rows(path):
    """The names in the list that main() or TESTS is given; the first part of one that is made of several."""
    with open(path, encoding="utf-8") as f:
        tree = ast.parse(f.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "main" and node.args:
            listed = node.args[0]
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "TESTS":
            listed = node.value
        else:
            continue
        while isinstance(listed, ast.BinOp):
            listed = listed.left
        if isinstance(listed, ast.List):
            return [e.id for e in listed.elts if isinstance(e, ast.Name)]
    return []


def main():
    root, bad, seen = sys.argv[1], 0, 0
    for folder in FOLDERS:
        with open(os.path.join(root, folder, "meson.build"), encoding="utf-8") as f:
            build = f.read()
        for name in sorted(os.listdir(os.path.join(root, folder))):
            if not name.endswith(".py"):
                continue
            there = rows(os.path.join(root, folder, name))
            for row in there if len(there) > 1 else []:  # a single one needs no name
                seen += 1
                if not re.search(r"'(?:%s:)?%s'" % (name[:-3], row), build):
                    print("%s/%s: nothing runs the row %s: name it in %s/meson.build" % (folder, name, row, folder))
                    bad += 1
    if seen < 100:
        sys.exit("only %d rows were seen: this check is blind" % seen)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
