#!/usr/bin/env python3
"""Policies as real traffic between real daemons: what is expected, what is predicted and what the wire saw agree for
every test, nothing leaks, and tshark decodes the captures with the exported keys.

usage: lab_scenarios.py CORDON POLICY... [--undecoded POLICY...]   (tshark does not know their ciphers)
"""
import glob
import os
import re
import shutil
import subprocess
import sys

from lab_twin import Lab, check, need_root

need_root()
MARKER = rb"lab [0-9a-f]{16} [0-9a-f]{6} "


def tshark(capture, tables, *words):
    env = dict(os.environ, WIRESHARK_CONFIG_DIR=tables, HOME=tables)
    return subprocess.run(["tshark", "-n", "-r", capture, "-o", "esp.enable_encryption_decode:TRUE", *words], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def decodes(keep, tables):
    """Every ESP packet opens, what AH carries can be read, and IKE_AUTH opens. (Check values are left alone: tshark 4.0 knows no extended sequence
    numbers, whose upper half is under the check value but not in the packet.)"""
    os.mkdir(tables)
    keys = set()
    for path in glob.glob(keep + "/*.keys"):
        with open(path) as f:
            keys |= set(f)
    for table in ("esp_sa", "ikev2_decryption_table"):
        with open(os.path.join(tables, table), "w") as f:
            f.writelines(sorted(k.split(": ", 1)[1] for k in keys if k.startswith(table + ": ")))
    sealed = opened = marked = auths = identities = signed = readable = 0
    for capture in sorted(glob.glob(keep + "/*.pcap"))[:2]:
        sealed += tshark(capture, tables, "-Y", "esp").count(b"\n")
        opened += tshark(capture, tables, "-Y", "esp && (tcp || udp || icmp || icmpv6 || gre || sctp)").count(b"\n")
        signed += tshark(capture, tables, "-Y", "ah").count(b"\n")
        readable += tshark(capture, tables, "-Y", "ah && (tcp || udp || icmp || icmpv6)").count(b"\n")
        marked += len(re.findall(MARKER, b"".join(
            bytes.fromhex(field.decode()) for line in tshark(
                capture, tables, "-Y", "esp", "-T", "fields", "-e", "esp.contained_data").split()
            for field in line.split(b",") if re.fullmatch(rb"([0-9a-f]{2})+", field))))
        auths += tshark(capture, tables, "-Y", "isakmp.exchangetype == 35").count(b"\n")
        identities += tshark(capture, tables, "-Y", "isakmp.exchangetype == 35 && isakmp.id.type").count(b"\n")
    check((sealed or signed) and sealed == opened, "%d of %d ESP packets opened" % (opened, sealed))
    check(signed == readable, "%d of %d AH packets can be read" % (readable, signed))
    check(marked or not sealed, "no marker inside the opened packets")
    check(auths and auths == identities, "%d of %d IKE_AUTH messages opened" % (identities, auths))


decode = True
for policy in sys.argv[2:]:
    if policy == "--undecoded":
        decode = False
        continue
    with Lab(sys.argv[1], None) as lab:
        keep = os.path.join(lab.folder, "keep")
        status, rows, err = lab.rows("--keep", keep, policy)
        check(rows and all(r["expected"] == r["predicted"] == r["seen"] for r in rows), "%s: %s\n%s" % (policy, rows, err))
        check(status == 0 and not err, "%s: status %d: %s" % (policy, status, err))
        if decode and shutil.which("tshark"):
            decodes(keep, os.path.join(lab.folder, "tables"))
        print("%s: %d of %d agree" % (os.path.basename(policy), len(rows), len(rows)))
