#!/usr/bin/env python3
"""The peers' packages. strongSwan is installed as usual. Debian's Libreswan conflicts with it, and OpenIKED would start a daemon
of its own: these are downloaded, checked by apt, and unpacked to a folder, never installed.

usage: fetch.py                 downloads and unpacks what is missing (root); exit 1 if something cannot be had
"""
import os
import re
import shutil
import subprocess
import sys

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME", "/var/cache"), "cordon-interop")
PACKAGES = {
    "libreswan": ("libreswan", "libldns3", "libevent-pthreads-2.1-7", "libevent-2.1-7", "libevent-core-2.1-7",
                  "libnss3-tools", "libnss3", "libnspr4", "dns-root-data", "libcurl3-nss", "libunbound8"),
    "openiked": ("openiked", "libevent-2.1-7", "libevent-core-2.1-7"),
}
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def fetch(peer):
    root = os.path.join(CACHE, peer)
    if os.path.exists(os.path.join(root, "done")):
        return
    new = root + ".new"
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(os.path.join(new, "debs"))
    subprocess.run(["apt-get", "-qq", "download", *PACKAGES[peer]], cwd=os.path.join(new, "debs"), check=True,
                   stderr=subprocess.DEVNULL)
    for deb in os.listdir(os.path.join(new, "debs")):
        subprocess.run(["dpkg-deb", "-x", os.path.join(new, "debs", deb), new], check=True)
    with open(os.path.join(new, "done"), "w", encoding="utf-8") as f:
        f.write([d for d in os.listdir(os.path.join(new, "debs")) if d.startswith(peer + "_")][0].split("_")[1] + "\n")
    shutil.rmtree(os.path.join(new, "debs"))
    shutil.rmtree(root, ignore_errors=True)
    os.rename(new, root)


def peer(name):
    """(folder, version, None) or (None, None, why not)."""
    if name == "strongswan":
        if not shutil.which("swanctl"):
            return None, None, "strongSwan is not installed: ./dev test installs it"
        said = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "charon-systemd"], capture_output=True, text=True,
                              check=False).stdout
        return "/", said or "unknown", None
    root = os.path.join(CACHE, name)
    try:
        with open(os.path.join(root, "done"), encoding="utf-8") as f:
            return root, f.read().strip(), None
    except FileNotFoundError:
        return None, None, "%s is not there: tests/interop/fetch.py fetches it from Debian" % name


def tool(root, *words):
    """A program of an unpacked package."""
    env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(root, LIBRARIES))
    done = subprocess.run([os.path.join(root, "usr/bin", words[0]), *words[1:]], env=env, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError("%s: %s" % (" ".join(words), re.sub(r"\s+", " ", done.stderr + done.stdout)))
    return done.stdout


def main():
    failed = 0
    os.makedirs(CACHE, exist_ok=True)
    for name in PACKAGES:
        try:
            fetch(name)
        except (subprocess.CalledProcessError, OSError) as e:
            print("interop: %s cannot be had, its rows will be skipped: %s" % (name, e), file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
