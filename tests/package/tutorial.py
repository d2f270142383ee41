#!/usr/bin/env python3
"""docs/tutorial.md, typed on two clean Debians that have booted: with their systemd, their apt, and the package. Only scp is done
by this program. What purge leaves behind on their disks, in their kernels and among their processes is counted.

usage: tutorial.py; CORDON_DEB names a ready package
"""
import os
import shlex
import shutil

from machine import SOURCES, Machine, differences, files_of, network_of, package
from lib import address, expect, main, wire
from tutorial_page import copy_to, follow


class Reader(Machine):
    def type(self, command, machines):
        words = shlex.split(command)
        if words[0] == "scp":
            return copy_to(words[1:], self.root, machines)
        return self.run("bash", "-c", "cd /root && " + command, timeout=120)


def followed():
    """every command of the page is typed, every answer is the page's, and nothing is left in the end"""
    deb = package()
    machines = {"alpha": Reader("alpha", deb), "beta": Reader("beta", deb)}
    alpha, beta = machines.values()
    wire(alpha, beta)
    for (name, m), host in zip(machines.items(), (11, 12)):
        address(m, "eth0", "192.0.2.%d/24" % host)
        m.sh("ip", "route", "add", "default", "via", "192.0.2.1")
        m.write("/etc/hostname", name + "\n")
        m.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.11 alpha\n192.0.2.12 beta\n")
        m.write("/etc/resolv.conf", "nameserver 192.0.2.53\n")
        shutil.copy(deb, m.root + "/root/cordon_0.1.0_amd64.deb")
        m.boot()
    before = {name: (files_of(m), network_of(m)) for name, m in machines.items()}
    follow(os.path.join(SOURCES, "docs/tutorial.md"), machines)
    for name, m in machines.items():
        files, network = before[name]
        left = differences(files, files_of(m)) + differences(network, network_of(m))
        expect("no file, user, rule, route or device is left on %s: %s" % (name, left), not left)
        status, found = m.run("pgrep", "-l", "cordon")
        expect("and no process: %s" % found, status == 1)


if __name__ == "__main__":
    main([followed])
