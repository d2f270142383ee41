#!/usr/bin/env python3
"""What the program prints, word for word: golden.py CORDON FILE... [--write]

A FILE holds cases: a line `$ cordon ...` with the arguments, run in the folder of the sources, then what it prints
(standard output, then standard error) and `[exit N]` unless N is 0. --write puts what is printed now in its place, to
be read before it is committed.
"""
import os
import shlex
import subprocess
import sys


def run(program, line):
    words = shlex.split(line)[1:]
    done = subprocess.run([program] + words, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    text = (done.stdout + done.stderr).decode()
    return text + (f"[exit {done.returncode}]\n" if done.returncode else "")


def cases(path):
    found = []
    for line in open(path, encoding="utf-8"):
        if line.startswith("$ cordon"):
            found.append([line[2:].strip(), ""])
        elif found:
            found[-1][1] += line
    return found


def main():
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    program, failed = os.path.abspath(arguments[0]), 0
    for path in map(os.path.abspath, arguments[1:]):
        os.chdir(os.path.join(os.path.dirname(path), "..", ".."))
        now = [(line, want, run(program, line)) for line, want in cases(path)]
        if "--write" in sys.argv:
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(f"$ {line}\n{got}" for line, _, got in now))
            continue
        for line, want, got in now:
            if want.rstrip("\n") != got.rstrip("\n"):
                failed += 1
                print(f"{path}: $ {line}\n--- want\n{want.rstrip()}\n--- got\n{got.rstrip()}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
