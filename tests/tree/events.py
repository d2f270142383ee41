#!/usr/bin/env python3
"""docs/events.md says of each event what the table says, and has no others.

usage: events.py REPOSITORY CORDON
"""
import json
import re
import subprocess
import sys

FACTS = re.compile(r"^(.+), (success|failure), (info|warning|error)\. Windows: (-|\d+)(?: \(with a certificate (\d+)\))?\. "
                   r"Members: (.+)\.$", re.M)


def documented(text):
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        name, body = part.split("\n", 1)
        facts = FACTS.search(body)
        after = body[facts.end():].strip() if facts else ""
        yield name.strip(), body, facts, after


def complaints(root, cordon):
    with open(root + "/docs/events.md", encoding="utf-8") as f:
        seen = {name: (body, facts, after) for name, body, facts, after in documented(f.read())}
    rows = [json.loads(line) for line in
            subprocess.run([cordon, "events", "--list", "--json"], capture_output=True, check=True, text=True).stdout.splitlines()]
    for r in rows:
        if r["event"] not in seen:
            yield "%s is not documented" % r["event"]
            continue
        body, facts, after = seen.pop(r["event"])
        if r["meaning"].rstrip(".") + "." not in body:
            yield "%s: its meaning is not '%s.'" % (r["event"], r["meaning"])
        if not facts:
            yield "%s: no line of category, result, severity, Windows' number and members" % r["event"]
            continue
        want = (r["category"], r["result"], r["severity"], str(r["windows"] or "-"),
                str(r["windows_certificate"]) if r["windows_certificate"] else None,
                ", ".join("`%s`" % f for f in r["fields"]) or "-")
        if facts.groups() != want:
            yield "%s: %s, but the table has %s" % (r["event"], facts.groups(), want)
        if not after:
            yield "%s: what to do about it is not said" % r["event"]
    for name in seen:
        yield "%s is documented, but there is no such event" % name


def main():
    found = list(complaints(sys.argv[1], sys.argv[2]))
    for line in found:
        print("docs/events.md: " + line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
