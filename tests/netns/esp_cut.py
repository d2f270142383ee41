#!/usr/bin/env python3
"""Makes the namespace with two TUN devices that esp-cut wants, and runs it there.

usage: esp_cut.py ESP_CUT_PROGRAM
"""
import os
import subprocess
import sys

NS = f"cut{os.getpid()}"
SETUP = f"""
ip netns add {NS}
ip -n {NS} tuntap add dev in0 mode tun vnet_hdr
ip -n {NS} tuntap add dev out0 mode tun
ip -n {NS} link set in0 mtu 9000 addrgenmode none multicast off up
ip -n {NS} link set out0 mtu 9000 txqueuelen 5000 addrgenmode none multicast off up
ip -n {NS} route add 10.0.0.2/32 dev out0
ip -n {NS} -6 route add 2001:db8::2/128 dev out0
ip -n {NS} -6 route add 2001:db8::1/128 dev in0
ip netns exec {NS} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip netns exec {NS} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.in0.rp_filter=0
"""


def main():
    if os.geteuid() != 0 or not os.path.exists("/dev/net/tun"):
        print("skipped: needs root and /dev/net/tun")
        sys.exit(77)
    try:
        for line in SETUP.strip().splitlines():
            subprocess.run(line.split(), check=True)
        sys.exit(subprocess.run(["ip", "netns", "exec", NS, os.path.abspath(sys.argv[1]), "in0", "out0"]).returncode)
    finally:
        subprocess.run(["ip", "netns", "del", NS], check=False)


main()
