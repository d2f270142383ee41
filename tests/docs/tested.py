#!/usr/bin/env python3
"""What docs/platforms.md and docs/certificates.md call tested names a test, and that test is one of this build.

usage: tested.py BUILD SOURCES
"""
import json
import os
import re
import subprocess
import sys

build, root = sys.argv[1:]
tests = {t["name"] for t in json.loads(subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, check=True, text=True).stdout)}
# Names of tests look like this; whatever else stands in backticks has a dot, a slash, a space or an equals sign.
NAME = re.compile(r"`([a-z0-9]+(?:[-_][a-z0-9_]+)*)`")
bad = seen = 0
for page in ("docs/platforms.md", "docs/certificates.md"):
    with open(os.path.join(root, page), encoding="utf-8") as f:
        lines = f.read().split("\n")
    for number, line in enumerate(lines, 1):
        for said in re.findall(r"(?:\*\*tested\*\*|\*Tested\*|tested)[^|(;.]*[(:,][^)|;.]*`[^|;.)]*", line, re.I):
            for name in NAME.findall(said):
                seen += 1
                if name not in tests:
                    bad += 1
                    print(f"{page}:{number}: no test is called {name}")
print(f"{seen} names of tests, {bad} of which are not there")
sys.exit(1 if bad or seen < 10 else 0)
