#!/usr/bin/env python3
"""A strongSwan on the same host: who comes second is told so, and changes nothing.

usage: strongswan.py; CORDON and CORDOND name the programs; needs charon-systemd
"""
import os
import shutil
import signal
import subprocess

from daemon import A, PSK, Host, nothing_left, two_hosts, wait_until, write
from lib import expect, main, on_exit, run, skip

CHARON = "/usr/sbin/charon-systemd"


class Swan:
    """charon, with its files in the host's folder."""

    def __init__(self, host):
        self.host, self.log = host, host.folder + "/swan.log"
        write(host.folder + "/strongswan.conf", """include /etc/strongswan.conf
charon-systemd {
  plugins { vici { socket = unix://%s/vici } }
  filelog { log { path = %s
    default = 1
    flush_line = yes } }
}
""" % (host.folder, self.log))

    def start(self):
        # Its pid file lies in /run, which is this system's: it gets one of its own.
        self.p = subprocess.Popen(["ip", "netns", "exec", self.host.name, "unshare", "-m", "sh", "-c",
                                   "mount -t tmpfs tmpfs /run && exec " + CHARON], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "STRONGSWAN_CONF": self.host.folder + "/strongswan.conf"})
        on_exit(self.end)

    def end(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(10)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()

    def said(self):
        return open(self.log, encoding="utf-8").read() if os.path.exists(self.log) else ""


def holds_500(host):
    with host:
        return ":500 " in run("ss", "-Hlun")


def first():
    """cordond beside a strongSwan that is there says who is in its way, and leaves nothing; when that one goes it starts"""
    a = Host("a")
    swan = Swan(a)
    swan.start()
    if not wait_until(lambda: holds_500(a), 20):
        skip("charon does not run here: " + swan.said()[-300:])
    write(a.folder + "/policy.yaml", PSK % "require")
    done = subprocess.run(a.command("--policy", a.folder + "/policy.yaml"), capture_output=True, text=True, timeout=30)
    said = done.stdout + done.stderr
    expect("it ends, and says whose fault it is: %s" % said.strip(), done.returncode == 1 and "UDP port 500 is taken" in said and "strongSwan" in said)
    expect("and how to find out", "ss -lunp" in said)
    expect("no rule, no route is left", nothing_left(a))
    expect("strongSwan is as it was", holds_500(a) and swan.p.poll() is None)
    swan.end()
    a.start("--policy", a.folder + "/policy.yaml")
    expect("when that one is gone it starts", a.cordon("status")[0] in (0, 1) and holds_500(a))


def second():
    """a strongSwan that is started beside cordond finds the ports taken; protected traffic goes on"""
    a, b = two_hosts()
    a.start(policy=PSK % "require")
    b.start(policy=PSK % "require")
    expect("it works", a.pings("10.77.0.2"))
    swan = Swan(a)
    swan.start()
    wait_until(lambda: "bind" in swan.said(), 20)
    expect("strongSwan says that it cannot bind: %s" % swan.said()[-200:], "unable to bind socket" in swan.said())
    expect("and packets go on", a.pings("10.77.0.2") and b.pings(A))
    swan.end()
    expect("also when it is gone", a.pings("10.77.0.2") and b.pings(A))


if __name__ == "__main__":
    if not shutil.which(CHARON):
        skip("needs charon-systemd")
    main([first, second])
