#!/usr/bin/env python3
"""What the documentation shows must be so: each policy in it compiles, each link leads to a file of the repository, each manual
page can be made, and each command of the program has one.

usage: truth.py CORDON SOURCES
"""
import os
import re
import subprocess
import sys
import tempfile

cordon, root = sys.argv[1], sys.argv[2]
failures = []


def pages():
    yield "README.md"
    yield "CONTRIBUTING.md"
    for folder, _, names in os.walk(os.path.join(root, "docs")):
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), root)


def blocks(text):
    """The examples of a page: runs of indented lines, and fenced ones."""
    for fenced in re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M):
        yield fenced
    for run in re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.M):
        yield "".join(line[4:] if line.startswith("    ") else line for line in run.lstrip("\n").splitlines(True))


def check_policies(page, text):
    for block in blocks(text):
        if not block.startswith("cordon: 1\n") or "connection-security:" not in block:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
            f.write(block)
            f.flush()
            ran = subprocess.run([cordon, "check", f.name], capture_output=True, text=True)
        said = ran.stdout + ran.stderr
        if ran.returncode or "[never-protected]" in said or (page == "README.md" and "warning" in said):
            failures.append(f"{page}: a policy in it does not pass check:\n{ran.stdout}{ran.stderr}")


def check_links(page, text):
    text = re.sub(r"^ {4}[^\n]*$|```.*?```|`[^`]*`", "", text, flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target and not os.path.exists(os.path.join(root, os.path.dirname(page), target)):
            failures.append(f"{page}: the link to {target} leads nowhere")


def check_algorithms():
    """Whatever a proposal can name stands in the table of the language."""
    with open(os.path.join(root, "base", "algorithm.c"), encoding="utf-8") as f:
        names = set(re.findall(r'^\t\{ "(\w+)", +ALG_', f.read(), re.M))
    with open(os.path.join(root, "docs", "policy-language.md"), encoding="utf-8") as f:
        said = set(re.findall(r"`(\w+)`", f.read().split("## Algorithms")[1].split("\n## ")[0]))
    said |= {n + end for n in said if re.fullmatch(r"aes\d+[gc]cm", n) for end in ("8", "12")}
    if not names or names - said:
        failures.append(f"docs/policy-language.md: the table of algorithms lacks {sorted(names - said)}")


def check_manual():
    folder = os.path.join(root, "docs", "man")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            ran = subprocess.run(["scdoc"], stdin=f, capture_output=True)
        if ran.returncode:
            failures.append(f"docs/man/{name}: {ran.stderr.decode()}")
    said = "".join(open(os.path.join(folder, n), encoding="utf-8").read() for n in os.listdir(folder))
    listed = subprocess.run([cordon, "--help"], capture_output=True, text=True).stdout
    for command in re.findall(r"^  ([a-z]+)  ", listed, re.M):
        if not re.search(rf"(\*cordon {command}\*|cordon-{command}|\*{command}\*)", said):
            failures.append(f"cordon {command}: no manual page speaks of it")


for page in pages():
    with open(os.path.join(root, page), encoding="utf-8") as f:
        text = f.read()
    check_policies(page, text)
    check_links(page, text)
check_algorithms()
check_manual()
print("\n".join(failures) or "every policy, link and manual page holds")
sys.exit(1 if failures else 0)
