#!/usr/bin/env python3
"""The process that holds the keys: nobody else has an octet of them, and whatever becomes of it, SAs go on.

usage: keys.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import re
import signal
import subprocess
import time

from certificates import Authority, events, page, pki_of, start
from daemon import A, B, ESP, Host, two_hosts, wait_until, write
from lib import Capture, expect, main, run

SECRET, MIXED = "no other process may know this one: Quo4ieThah", "nor what is mixed in: eeZ3aixoop8Uih"
POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication:
  machine:
    - %%s
    - %%s
key-exchange: { default: { proposals: [aes256gcm-sha384-x25519], ppk: [ { id: one, file: /etc/cordon/ppk } ] } }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: machine }
""" % (A, B)
CERTIFICATE, PSK = '{ certificate: { issuer: "CN=One" } }', "{ pre-shared-key: { file: /etc/cordon/psk } }"
REGION_MOST = 512 << 20  # the shadow of a sanitizer is larger


def processes(host):
    """by name; the parent too"""
    rows = {r["name"]: r["pid"] for r in host.json("status")["processes"]}
    with open("/proc/%d/task/%d/children" % (host.p.pid, host.p.pid), encoding="utf-8") as f:
        below = [int(pid) for pid in f.read().split()]
    # `ip netns exec` becomes cordond
    expect("status knows all children", sorted(below) == sorted(rows.values()))
    return {"cordond": host.p.pid, **rows}


def holder(host):
    """its process id; None: it is away"""
    return next(r["pid"] for r in host.json("status")["processes"] if r["name"] == "keys")


def memory_has(pid, what):
    """which of these octets are in what the process can write to"""
    found = set()
    with open("/proc/%d/maps" % pid, encoding="utf-8") as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            begin, end, rights = re.match("([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            begin, end = int(begin, 16), int(end, 16)
            if "w" not in rights or "r" not in rights or end - begin > REGION_MOST:
                continue
            try:
                memory.seek(begin)
                octets = memory.read(end - begin)
            except OSError:
                continue
            found |= {name for name, some in what.items() if any(one in octets for one in some)}
    return found


def scalar(path):
    """a private key's number, as bytes are written and as libcrypto computes with it"""
    text = run("openssl", "pkey", "-in", path, "-noout", "-text")
    octets = bytes.fromhex(re.search(r"priv:\s*((?:[0-9a-f:]+\s*)+)", text).group(1).replace(":", "").replace(" ", "")
                           .replace("\n", "")).lstrip(b"\0")
    return octets, octets[::-1]


def text_of(path):
    """its form in the file: the first line of base64"""
    with open(path, "rb") as f:
        return f.read().splitlines()[1]


def both(**more):
    """two hosts that can prove themselves in both ways"""
    a, b = two_hosts(psk=SECRET, **more)
    ca = Authority(a, "One")
    for host, name in (a, "a"), (b, "b"):
        ca.issue(name, pki_of(host))
        write(host.root + "/etc/cordon/ppk", MIXED + "\n", 0o600)
        page(host, [name], [ca])
    return a, b


def up(a, b, *methods):
    for host in a, b:
        start(host, POLICY % methods)


def negotiates(a, b):
    """a new main mode, whatever there was"""
    a.cordon("rekey", "--main-mode")
    b.kill()
    start(b, POLICY % (CERTIFICATE, PSK))
    return b.pings(A, 5)


def ended(host):
    return next(r["ended"] or "" for r in host.json("status")["processes"] if r["name"] == "keys")


def stopped(host, pid):
    """It hears nothing any more."""
    os.kill(pid, signal.SIGSTOP)
    return wait_until(lambda: open("/proc/%d/stat" % pid, encoding="utf-8").read().rsplit(")", 1)[1].split()[0] in "tT")


# ---- promises -------------------------------------------------------------------------------------------------------


def held():
    """no process but one has an octet of a pre-shared key, of one that is mixed in, or of a private key"""
    a, b = both()
    up(a, b, CERTIFICATE, PSK)
    expect("they prove themselves by certificates", a.pings(B))
    b.kill()
    start(b, POLICY % (PSK, CERTIFICATE))
    expect("and by the pre-shared key", b.pings(A) or a.pings(B))
    write(a.root + "/etc/cordon/psk", SECRET + "\n", 0o600)  # and it was read again
    expect("it is read again", wait_until(lambda: events(a, "credentials-changed")))
    key = pki_of(a) + "/a.key"
    secrets = {"psk": [SECRET.encode()], "ppk": [MIXED.encode()], "private": scalar(key), "file": [text_of(key)]}
    rows = processes(a)
    for name, pid in sorted(rows.items()):
        found = memory_has(pid, secrets)
        if name == "keys":
            expect("the key holder has them: %s" % sorted(found), {"psk", "ppk", "private"} <= found)
        else:
            expect("%s has none of them: %s" % (name, sorted(found)), not found)


def killed():
    """SAs go on without it, what it was asked is asked again of the next one, and no clear packet leaves"""
    a, b = both()
    up(a, b, CERTIFICATE, PSK)
    expect("a ping arrives", a.pings(B))
    seen = Capture(a)
    pid = holder(a)
    os.kill(pid, signal.SIGKILL)
    expect("without it packets flow", a.pings(B))
    expect("there is another", wait_until(lambda: holder(a) not in (None, pid), 5))
    expect("how the last one ended is told", "signal 9" in ended(a))
    expect("and with it peers are proven", negotiates(a, b))
    # one that was asked and did not answer before it died
    pid = holder(a)
    expect("it does not hear", stopped(a, pid))
    b.kill()
    start(b, POLICY % (CERTIFICATE, PSK))
    ping = subprocess.Popen(["ip", "netns", "exec", b.name, "ping", "-c1", "-W6", A], stdout=subprocess.DEVNULL)
    time.sleep(1)
    os.kill(pid, signal.SIGKILL)
    expect("what it was asked the next one is asked", ping.wait() == 0)
    expect("no clear packet", 1 not in seen.protocols() and ESP in seen.protocols())
    expect("status tells how often", [r["restarts"] for r in a.json("status")["processes"] if r["name"] == "keys"] == [2])


def hung():
    """one that does not answer is ended within seconds, and nothing else waits for it"""
    a, b = both()
    up(a, b, CERTIFICATE, PSK)
    expect("a ping arrives", a.pings(B))
    pid = holder(a)
    expect("it does not hear", stopped(a, pid))
    begun = time.time()
    a.p.send_signal(signal.SIGHUP)
    expect("it is ended", wait_until(lambda: "did not answer in time" in ended(a), 8))
    expect("soon", time.time() - begun < 6)
    expect("packets flow", a.pings(B))
    expect("there is another", wait_until(lambda: holder(a) not in (None, pid), 5))
    expect("and with it peers are proven", negotiates(a, b))


def bad_files():
    """a key's file that is bad leaves the old key in use, as long as somebody has it"""
    a, b = both()
    up(a, b, PSK, PSK)
    expect("a ping arrives", a.pings(B))
    write(a.root + "/etc/cordon/psk", "one\ntwo\n", 0o600)
    expect("it is told", wait_until(lambda: "more than one line" in "".join(events(a, "credentials-bad"))))
    expect("with what stays", "what it held before stays in use" in events(a, "credentials-bad")[-1])
    b.kill()
    start(b, POLICY % (PSK, PSK))
    expect("the old one works on", b.pings(A, 5))
    pid = holder(a)
    os.kill(pid, signal.SIGKILL)
    expect("there is another", wait_until(lambda: holder(a) not in (None, pid), 5))
    expect("which has no such key, and it is told", wait_until(
        lambda: "psk cannot be used: " in events(a, "credentials-bad")[-1]))
    b.kill()
    start(b, POLICY % (PSK, PSK))
    expect("then nobody is proven", not b.pings(A, 2))
    write(a.root + "/etc/cordon/psk", SECRET + "\n", 0o600)
    expect("until there is a good file", wait_until(lambda: b.pings(A, 2), 20))
    os.chmod(a.root + "/etc/cordon/psk", 0o644)
    expect("a key that others can read is none", wait_until(
        lambda: "is open to other users (mode 0644)" in "".join(events(a, "credentials-bad"))))


if __name__ == "__main__":
    main([held, killed, hung, bad_files])
