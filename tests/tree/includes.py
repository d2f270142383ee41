#!/usr/bin/env python3
"""Holds the folders to their boundary headers: data flows one way, and only daemon/ sees all.

usage: includes.py REPOSITORY
"""
import os
import re
import sys

# Everybody may include these, and a folder its own headers.
ANYONE = ["base/", "observe/event.h"]

# folder: what it may include besides. A name that ends in / is a whole folder.
POLICY = ["policy/policy.h", "policy/plan.h", "policy/reqid.h"]
MAY = {
    "base": [],
    "observe": [],
    "policy": [],
    "analysis": POLICY,
    "identity": POLICY,
    "dataplane": POLICY + ["identity/peer.h"],
    "enforce": POLICY + ["identity/peer.h", "identity/groups.h"],
    "keying": POLICY + ["identity/peer.h", "identity/groups.h", "identity/kerberos/principal.h", "dataplane/sad.h"],
    "control": [],
    "tools/lab": POLICY + ["policy/host_config.h", "policy/steps.h", "analysis/", "identity/credential.h", "identity/peer.h",
                           "identity/pki.h", "control/"],
    "tools/cli": POLICY + ["policy/host_config.h", "analysis/", "identity/credential.h", "identity/peer.h",
                           "identity/pki.h", "control/", "tools/lab/lab.h"],
    "daemon": [""],  # wiring: sees all
    "tests": [""],
}

# base/ knows nothing of IPsec, so nobody's headers are its business.
NOT_EVEN_ANYONE = {"base": ["base/"]}

# Pure folders: no socket, clock or thread. Files come in through base/text.h.
PURE = ["policy", "analysis", "keying"]
IMPURE = ["sys/socket.h", "sys/epoll.h", "sys/ioctl.h", "sys/time.h", "sys/wait.h", "time.h", "unistd.h", "fcntl.h", "poll.h",
          "pthread.h", "threads.h", "uv.h", "netdb.h", "net/if.h", "libmnl/libmnl.h", "pcap.h"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


def folder_of(path):
    """The longest row of MAY that the path lies in."""
    rows = [f for f in MAY if path.startswith(f + "/")]
    return max(rows, key=len) if rows else None


def allowed(folder, header):
    if header.startswith(folder + "/"):
        return True
    rows = MAY[folder] + NOT_EVEN_ANYONE.get(folder, ANYONE)
    return any(header == row or row == "" or (row.endswith("/") and header.startswith(row)) for row in rows)


def complaints(root):
    for where, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "build")))
        for name in sorted(files):
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.relpath(os.path.join(where, name), root)
            folder = folder_of(path)
            if not folder:
                yield f"{path}: lies in no folder of the tree (tests/tree/includes.py lists them)"
                continue
            with open(os.path.join(root, path), encoding="utf-8") as f:
                text = f.read()
            for found in INCLUDE.finditer(text):
                line, (mark, header) = text.count("\n", 0, found.start()) + 1, found.groups()
                ours = os.path.exists(os.path.join(root, header))
                if mark == '"' and not ours:
                    yield f"{path}:{line}: \"{header}\" is no file of the tree; includes count from its root"
                elif ours and "/" in header and not allowed(folder, header):
                    yield f"{path}:{line}: {folder}/ may not include {header}"
                elif mark == "<" and folder in PURE and header in IMPURE:
                    yield f"{path}:{line}: {folder}/ is pure and may not include <{header}>"


def main():
    found = list(complaints(sys.argv[1]))
    print("\n".join(found) or "every include crosses by a boundary header")
    return 1 if found else 0


sys.exit(main())
