#!/usr/bin/env python3
"""clang-tidy on every source of a build, in parallel, and only where something changed since it was last clean: the key
is what the preprocessor makes of the file, with the checks and the compiler's arguments.

usage: tidy.py BUILD
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys


def key(entry, checks):
    args = [a for a in shlex.split(entry["command"]) if a not in ("-c", "-MD")]
    for option in ("-o", "-MF", "-MQ"):
        while option in args:
            at = args.index(option)
            del args[at:at + 2]
    made = subprocess.run(args + ["-E", "-o", "-"], cwd=entry["directory"], capture_output=True)
    if made.returncode:
        return None
    return hashlib.sha256(checks + repr(args).encode() + made.stdout).hexdigest()


def tidy(entry, build, checks, cache):
    name = key(entry, checks)
    if name and os.path.exists(os.path.join(cache, name)):
        return ""
    ran = subprocess.run(["clang-tidy", "--quiet", "-p", build, os.path.join(entry["directory"], entry["file"])],
                         capture_output=True, text=True)
    if ran.returncode == 0 and name:
        open(os.path.join(cache, name), "w").close()
        return ""
    return ran.stdout or ran.stderr or "clang-tidy failed\n"


def main():
    build = os.path.abspath(sys.argv[1])
    cache = os.path.join(build, "tidy-cache")
    os.makedirs(cache, exist_ok=True)
    checks = b""
    for name in (".clang-tidy", "tests/.clang-tidy"):
        with open(name, "rb") as f:
            checks += f.read()
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = {e["file"]: e for e in json.load(f)}.values()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [text for text in pool.map(lambda e: tidy(e, build, checks, cache), entries) if text]
    print("".join(found), end="")
    return 1 if found else 0


sys.exit(main())
