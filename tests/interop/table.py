#!/usr/bin/env python3
"""docs/interop.md, from what the runs left behind.

usage: table.py BUILD             writes the page to standard output; every row must have been run (CORDON_TEST_LONG)
       table.py --kernel BUILD PAGE   makes the part about the kernel's data plane again, of whichever rows have been run with it
       table.py --check PAGE      does the page speak of the rows that there are? Exit 1 and words if not
"""
import datetime
import json
import os
import re
import sys

from rows import PEERS, ROWS

NAMES = {"strongswan": "strongSwan", "libreswan": "Libreswan", "openiked": "OpenIKED"}
HEAD = """# Cordon and other IPsec stacks

Made by `tests/interop/table.py` from a run of all rows: do not edit. Each cell is one negotiation between Cordon and the peer as Debian
packages it, Cordon with its userspace data plane, the peer with the kernel's ESP and AH, and traffic through it where the line does not
say that it is refused. What counts as *yes*: the step's packets all came back (rekeys: not one of up to 250 numbered datagrams lost), and
the captures on both sides of the router between them hold IKE, ESP or AH and neighbour discovery, nothing else. Where something is refused, both
logs have the right notification. A row that was run again counts as it came out last.

"""
NOTES = """
Blank: the peer cannot do it, or there is no way to make it. In particular:

- **strongSwan** has `unique = never` here: all rows are one identity at many addresses, and the INITIAL_CONTACT of one would end the others.
- **Libreswan 4.10** ends ("EXPECTATION FAILED") when two rekeys of one IKE SA meet, so this is not tried with it. When it is so busy that
  our CREATE_CHILD_SA request comes to it again while it is about to rekey the same CHILD SA, it takes the repetition for a new request, fails to
  install the SA that it has, and refuses what it had accepted; that row is one of the long runs. It wants RSA-PSS without the default
  trailer field, and gets it. It sends its intermediate authorities only with `sendca=all`. It has no Ed25519 certificates and no X448.
- **IKEv1** is spoken where a rule says so (`modules`). With ECDSA certificates both ends sign HASH_I itself, made by the curve's hash
  (RFC 2409 5.1, RFC 4754 4), whatever main mode has agreed on; Libreswan has none in IKEv1. Until it has dealt with our third message of quick mode
  strongSwan takes nothing of ours, and Libreswan answers in clear (a busy strongSwan may, too): we wait 0.2 s.
- **OpenIKED 7.2 on Linux** offers and takes AES-CBC with SHA-384, SHA-512 or SHA-1 alone: what `childsa` says is sent without key lengths, and nobody
  can take it (openiked-portable issue 126). So our rules for it say `esp-aes256-sha384`. It answers before its kernel has the SAs: the first
  packet that we send at once may be lost there, or, if only what is to be sent under them is missing, be answered in clear. It deletes an old SA at once: what is on its way under it is lost (three of 175 datagrams
  may be, in *rekeyed by the peer's clock*). It rekeys by the clock only, and has one key for all its certificates.

Run them with `./dev test --long interop`; what came of each, with captures and logs of both ends, is left in `build/interop/`.
"""


def lines():
    """The table's lines in order, and for each the rows by (peer, who starts)."""
    found = {}
    for row in ROWS:
        line = found.setdefault(row.what, {})
        for peer in row.peers:
            line[peer, row.starts] = row
    return found


KERNEL = "\n## With the kernel's data plane\n"


def runs(build, plane):
    """{(peer, row): faults} and {peer: version}."""
    results, versions = {}, {}
    paths = [os.path.join(build, "interop", e, "results.json") for e in os.listdir(os.path.join(build, "interop"))]
    for path in sorted(filter(os.path.exists, paths), key=os.path.getmtime):  # a row that was run again counts as it came out last
        with open(path, encoding="utf-8") as f:
            r = json.load(f)
        if r.get("plane", "userspace") != plane:
            continue
        versions[r["peer"]] = r["version"]
        results.update({(r["peer"], name): faults for name, faults in r["rows"].items()})
    there = {(p, row.name) for row in ROWS for p in row.peers}
    return {k: faults for k, faults in results.items() if k in there}, versions


def by_kernel(build):
    """Cordon's end there, too: a line for each peer."""
    results, versions = runs(build, "kernel")
    out = [KERNEL + "\nThe same rows where Cordon's end has the kernel's data plane, too, run on %s.\n\n" % datetime.date.today().isoformat()]
    for p in PEERS:
        mine = {name: faults for (peer, name), faults in results.items() if peer == p}
        bad = sorted(name for name, faults in mine.items() if faults)
        if mine:
            out.append("- %s %s: %d of its %d rows were run, %d hold%s.\n" % (
                NAMES[p], versions[p], len(mine), sum(p in row.peers for row in ROWS), len(mine) - len(bad),
                "; not: " + ", ".join("%s (%s)" % (row.what, name) for name in bad for row in ROWS if row.name == name) if bad else ""))
    return "".join(out) if versions else ""


def renew_kernel(build, path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    part = by_kernel(build)
    if not part:
        sys.exit("no row has been run with the kernel's data plane: CORDON_TEST_PLANE=kernel tests/interop/run.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.partition(KERNEL)[0] + part)


def page(build):
    results, versions = runs(build, "userspace")
    missing = [(p, row.name) for row in ROWS for p in row.peers if (p, row.name) not in results]
    if missing:
        sys.exit("these rows have not been run: %s" % ", ".join("%s %s" % m for m in missing))
    out = [HEAD, "Made on %s with %s.\n\n" % (datetime.date.today().isoformat(),
                                            ", ".join("%s %s" % (NAMES[p], versions[p]) for p in PEERS))]
    out.append("| | " + " | ".join("Cordon to %s | %s to Cordon" % (NAMES[p], NAMES[p]) for p in PEERS) + " |\n")
    out.append("|---" * 7 + "|\n")
    for what, cells in lines().items():
        row = []
        for peer in PEERS:
            for starts in ("cordon", "peer"):
                r = cells.get((peer, starts))
                row.append("" if not r else "**no**" if results[peer, r.name] else "yes")
        out.append("| %s | %s |\n" % (what, " | ".join(row)))
    out.append("\n%d of %d rows hold.\n" % (sum(not faults for faults in results.values()), len(results)))
    return "".join(out) + NOTES + by_kernel(build)


def check(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    there = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 7 and cells[0] and not cells[0].startswith("-"):
            there[cells[0]] = cells[1:]
    wanted, wrong = lines(), []
    wrong += ["no line '%s'" % w for w in wanted if w not in there]
    wrong += ["line '%s' is of no row" % w for w in there if w not in wanted]
    for what in set(wanted) & set(there):
        for i, (peer, starts) in enumerate((p, s) for p in PEERS for s in ("cordon", "peer")):
            if bool(there[what][i]) != ((peer, starts) in wanted[what]):
                wrong.append("'%s', %s, %s starts: %s" % (what, peer, starts, "not in the page" if not there[what][i] else "not a row"))
    if not re.search(r"^Made on \d{4}-\d\d-\d\d with strongSwan \S+, Libreswan \S+, OpenIKED \S+\.$", text, re.M):
        wrong.append("it does not say when it was made, and with which versions")
    for w in wrong:
        print("%s: %s" % (path, w))
    if wrong:
        print("make it again: ./dev test --long interop; tests/interop/table.py build >docs/interop.md")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    if len(sys.argv) == 4 and sys.argv[1] == "--kernel":
        sys.exit(renew_kernel(*sys.argv[2:]))
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.stdout.write(page(sys.argv[1]))
