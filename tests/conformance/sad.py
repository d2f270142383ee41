#!/usr/bin/env python3
"""The promises of sad.h on one of the planes: makes the two hosts and what stands around the plane, and runs the program.

usage: sad.py PROGRAM userspace|workers|kernel [PROMISE ...]
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from lib import Namespace, address, need_root, on_exit, wire  # noqa: E402

HOST, PEER = ("10.202.0.1/24", "fd00:202::1/64"), ("10.202.0.2/24", "fd00:202::2/64")
GATEWAYS = "10.202.0.2", "fd00:202::2"
# Peers of transport mode, and what is behind the peer where it is the gateway of a tunnel.
OTHERS = ("10.203.0.0/16", "fd00:203::/64", "10.205.0.0/16", "fd00:205::/64", "10.206.0.0/16", "fd00:206::/64",
          "10.207.0.0/16", "fd00:207::/64", "fd00:208::/64")
PROTECT, OWN, MASK = 0x01000000, 0x02000000, 0x0F000000
BOUND_S = 240


def hosts():
    host, peer = Namespace("h"), Namespace("p")
    wire(host, peer)
    for n, own in ((host, HOST), (peer, PEER)):
        address(n, "eth0", *own)
    for others in OTHERS:
        host.sh("ip", "route", "add", others, "via", GATEWAYS[":" in others])
        peer.sh("ip", "route", "add", "local", others, "dev", "lo")
    # The peer is this program: its kernel has nothing to say.
    peer.nft("""table inet quiet {
      chain out { type filter hook output priority 0
        icmp type destination-unreachable drop
        icmpv6 type { destination-unreachable, parameter-problem } drop
      }
    }""")
    return host, peer


def around_userspace(host):
    """What enforce/ does around the plane: marks, and a route by mark."""
    host.nft("""table inet around {
      chain out { type route hook output priority mangle
        meta mark & %d == %d return
        ip daddr { %s } meta mark set %d
        ip6 daddr { %s } meta mark set %d
      }
      chain pre { type filter hook prerouting priority mangle; iifname cordon0 meta mark set %d; }
    }""" % (MASK, OWN, ", ".join(n for n in OTHERS if ":" not in n), PROTECT, ", ".join(n for n in OTHERS if ":" in n), PROTECT,
             PROTECT))
    for key in ("all", "eth0"):
        host.sysctl("net/ipv4/conf/%s/rp_filter" % key, "0")
    host.sysctl("net/ipv4/conf/all/src_valid_mark", "1")
    for family in ("-4", "-6"):
        host.sh("ip", family, "rule", "add", "fwmark", "%d/%d" % (PROTECT, MASK), "lookup", "100", "pri", "100")
        host.sh("ip", family, "route", "add", "default", "dev", "cordon0", "table", "100")


def main():
    program, plane, promises = sys.argv[1], sys.argv[2], sys.argv[3:]
    need_root()
    host, peer = hosts()
    p = subprocess.Popen([program, plane, host.name, peer.name, *promises], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True)
    on_exit(lambda: p.poll() is None and p.kill())
    if p.stdout.readline().strip() != "ready":
        sys.exit("the plane did not start")
    if plane != "kernel":
        around_userspace(host)
    print(p.communicate("go\n", timeout=BOUND_S)[0], end="")
    sys.exit(p.returncode)


main()
