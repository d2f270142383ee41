"""A real NetworkManager in a host's namespace, with a message bus and folders of its own."""
import os
import shutil
import subprocess

from daemon import wait_until, write
from lib import expect, on_exit

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/></policy></busconfig>"""


def missing():
    return not all(map(shutil.which, ("NetworkManager", "nmcli", "dbus-daemon")))


class NetworkManager:
    """It sees the folders /run/NetworkManager and /etc/NetworkManager of the host's root. What is the machine's it may read: left
    alone, it writes /etc/resolv.conf and takes the machine's name servers away."""

    def __init__(self, host):
        self.host, self.p, self.bus = host, None, host.folder + "/bus"
        write(host.folder + "/bus.conf", BUS % self.bus)
        write(host.root + "/etc/NetworkManager/NetworkManager.conf",
              "[main]\nplugins=keyfile\ndhcp=internal\nauth-polkit=false\nno-auto-default=*\n"
              "dns=none\nrc-manager=unmanaged\nhostname-mode=none\n")
        self.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=" + self.bus}
        dbus = subprocess.Popen(["dbus-daemon", "--nofork", "--config-file", host.folder + "/bus.conf"], stderr=subprocess.DEVNULL)
        on_exit(lambda: (dbus.terminate(), dbus.wait()))
        wait_until(lambda: os.path.exists(self.bus), 5)
        on_exit(self.stop)

    def start(self):
        root = self.host.root
        os.makedirs(root + "/run/NetworkManager", exist_ok=True)
        # without a /sys that it could write it does not ask udev, which knows nothing of namespaces
        script = ("mount -o bind,remount,ro /sys && mount --bind /etc /etc && mount -o bind,remount,ro /etc && "
                  "mount -t tmpfs none /run && mkdir /run/NetworkManager && "
                  "mount --bind %s/run/NetworkManager /run/NetworkManager && mount --bind %s/etc/NetworkManager /etc/NetworkManager && "
                  "mount -t tmpfs none /var/lib/NetworkManager && exec NetworkManager --debug" % (root, root))
        with open(self.host.folder + "/nm.log", "ab") as log:
            self.p = subprocess.Popen(["ip", "netns", "exec", self.host.name, "unshare", "-mu", "sh", "-ec", script], env=self.env,
                                      stdout=log, stderr=log)
        runs = wait_until(lambda: self.cli("-g", "RUNNING", "general", check=False).strip() == "running", 20)
        expect("NetworkManager runs%s" % ("" if runs else ": " + self.log()), runs)

    def log(self):
        with open(self.host.folder + "/nm.log", encoding="utf-8") as f:
            return f.read()[-4000:]

    def stop(self):
        if self.p and self.p.poll() is None:
            self.p.terminate()
            self.p.wait(20)

    def cli(self, *words, check=True):
        done = subprocess.run(["nmcli", *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if check and done.returncode:
            raise RuntimeError("nmcli %s: %s%s" % (" ".join(words), done.stdout, self.log()))
        return done.stdout

    def add(self, name, *addresses, zone=""):
        four, six = [a + "/24" for a in addresses if ":" not in a], [a + "/64" for a in addresses if ":" in a]
        words = ["ipv6.method", "manual", "ipv6.addresses", ",".join(six)] if six else ["ipv6.method", "disabled"]
        self.cli("connection", "add", "type", "ethernet", "con-name", name, "ifname", "eth0", "autoconnect", "no", "connection.zone", zone,
                 "ipv4.method", "manual", "ipv4.addresses", ",".join(four), *words)
