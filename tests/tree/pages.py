#!/usr/bin/env python3
"""Every page of the documentation is named in the index of its folder, and what pages point to is there: links, and files of
the tree that stand between backticks.

usage: pages.py REPOSITORY
"""
import glob
import os
import re
import sys

INDEXES = {"docs": "docs/README.md", "docs/protocols": "docs/README.md", "docs/decisions": "docs/decisions/README.md"}
PAGES = ["*.md"] + [f"{folder}/*.md" for folder in INDEXES]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`([\w.-]+/[\w./-]*[\w-]\.(?:c|h|py|md|yaml|build))`")


def text_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def targets(root, page, text):
    """What the page points to: (as it is written, path from the root)."""
    for link in LINK.findall(text):
        yield link, os.path.join(os.path.dirname(page), link)
    for name in FILE.findall(text):
        beside = os.path.join(os.path.dirname(page), name)
        yield name, beside if os.path.exists(os.path.join(root, beside)) else name


def complaints(root):
    pages = sorted({os.path.relpath(p, root) for pattern in PAGES for p in glob.glob(os.path.join(root, pattern))})
    for page in pages:
        text = text_of(root, page)
        for written, path in targets(root, page, text):
            if not os.path.exists(os.path.join(root, path)):
                yield f"{page}: {written} is not there"
        index = INDEXES.get(os.path.dirname(page))
        if index and page != index and f"({os.path.relpath(page, os.path.dirname(index))})" not in text_of(root, index):
            yield f"{page}: {index} does not name it"
    if not pages:
        yield "no pages: this check is blind"


def main():
    found = list(complaints(sys.argv[1]))
    print("\n".join(found) or "every page is found, and finds what it names")
    return 1 if found else 0


sys.exit(main())
