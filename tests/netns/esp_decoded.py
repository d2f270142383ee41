#!/usr/bin/env python3
"""What the userspace plane puts on the wire, read by another program that has the keys: tshark opens every packet, finds
its check value right, its padding as RFC 4303 2.4 wants it and what was sent in it, and numbers without a gap.

usage: esp_decoded.py ESP_PAIR_PROGRAM
"""
import os
import subprocess
import sys
import tempfile

import esp_pair
from esp_pair import A, B, R, V4, V6, Planes, datagrams, need, net_down, net_up, ping

# As esp_pair.c keys its sides: octets that count from a first one.
FROM_A, FROM_B, INTEGRITY = 101, 1, 6
SUITES = {  # suite: tshark's name of the cipher, octets of its key, that of the integrity, octets
    "esp-aes256gcm": ("AES-GCM with 16 octet ICV [RFC4106]", 36, "NULL", 0),
    "esp-aes128gcm": ("AES-GCM with 16 octet ICV [RFC4106]", 20, "NULL", 0),
    "esp-aes256-sha256": ("AES-CBC [RFC3602]", 32, "HMAC-SHA-256-128 [RFC4868]", 32),
    "esp-sha256-null": ("NULL", 0, "HMAC-SHA-256-128 [RFC4868]", 32),
}
FIELDS = ("ip.src", "ipv6.src", "esp.spi", "esp.sequence", "esp.pad", "esp.pad_len", "esp.protocol", "esp.icv_good",
          "udp.checksum.status", "tcp.checksum.status", "tcp.checksum", "_ws.malformed")


def octets(first, n):
    return "0x" + "".join("%02x" % ((first + i) % 256) for i in range(n)) if n else ""


def keys_of(suite):
    cipher, cipher_len, integrity, integrity_len = SUITES[suite]
    for family, (a, b) in (("IPv4", V4), ("IPv6", V6)):
        for source, to, first in ((a, b, FROM_A), (b, a, FROM_B)):
            row = [family, source, to, "*", cipher, octets(first, cipher_len), integrity,
                   octets(first + INTEGRITY, integrity_len)]
            yield "-o"
            yield "uat:esp_sa:" + ",".join('"%s"' % word for word in row)


def decoded(path, suite):
    command = ["tshark", "-r", path, "-Y", "esp", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f",
               "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE",
               "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", *keys_of(suite)]
    for name in FIELDS:
        command += ["-e", name]
    # what programs send is anything: nobody is to guess what it means
    command += ["-d", "udp.port==1-65535,data", "-d", "tcp.port==1-65535,data"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in said.stdout.splitlines():
        yield dict(zip(FIELDS, line.split("|")))


def traffic(path):
    command = ["ip", "netns", "exec", R, "tcpdump", "-i", "ra", "-w", path, "-U", "-s", "0", "--immediate-mode", "-B", "16384"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as p:
        if "listening" not in p.stderr.readline():
            raise RuntimeError("tcpdump does not listen")
        for pair in (V4, V6):
            for size in (0, 1, 2, 3, 17, 56, 1000):
                ping(A, pair[1], size)
            datagrams(pair)
            esp_pair.bulk(A, B, pair[1], 300000)
        p.terminate()


def check(suite, path):
    last, kinds, rows = {}, set(), 0
    for row in decoded(path, suite):
        where = "%s: %s" % (suite, row)
        number, size = int(row["esp.sequence"]), int(row["esp.pad_len"] or -1)
        assert row["esp.icv_good"] in ("1", "True"), "the check value: " + where
        protocol = int(row["esp.protocol"] or "0", 16)
        assert protocol in (6, 17, 1, 58, 44), "not opened: " + where
        assert row["esp.pad"].replace(":", "") == "".join("%02x" % (i + 1) for i in range(size)), "the padding: " + where
        assert number == last.get(row["esp.spi"], 0) + 1, "the number: " + where
        assert not row["_ws.malformed"], "malformed: " + where
        # 1: good. TCP may say zero by its other form (RFC 1624), which tshark does not like.
        assert row["udp.checksum.status"] in ("", "1"), "the checksum inside: " + where
        assert row["tcp.checksum.status"] in ("", "1") or row["tcp.checksum"] == "0xffff", "the checksum inside: " + where
        last[row["esp.spi"]] = number
        kinds.add((protocol, size))
        rows += 1
    assert rows > 100 and len(last) == 4, "%s: %d packets under %d SAs" % (suite, rows, len(last))
    assert {p for p, _ in kinds} >= {6, 17, 1, 58}, kinds
    assert len({size for _, size in kinds}) >= 3, "too few lengths of padding: %s" % kinds
    return rows


def main():
    need("tshark")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        try:
            net_up()
            for suite in SUITES:
                path = os.path.join(folder, suite + ".pcap")
                with Planes(os.path.abspath(sys.argv[1]), suite):
                    traffic(path)
                print("%s: tshark opened %d packets and found them right" % (suite, check(suite, path)))
        finally:
            net_down()


if __name__ == "__main__":
    main()
