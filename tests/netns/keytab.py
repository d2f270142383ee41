#!/usr/bin/env python3
"""A host's keytab while cordond runs: what is told of it, one that changes, one that is bad, and the death of who holds it;
and the KDC, where the host's own page says that it is. Of the exchange itself kerberos.py is the test.

usage: keytab.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import shutil
import signal
import subprocess

from daemon import A, B, two_hosts, wait_until, write
from kdc import Kdc
from lib import expect, main, on_exit

REALM = "KRB.EXAMPLE"
NAMES = {"a": "host/a.krb.example@" + REALM, "b": "host/b.krb.example@" + REALM}
POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication: { domain: [ { kerberos: { realm: %s } } ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: domain }
  - { name: tickets, endpoint1: [a], endpoint2: [b], traffic: [kerberos], mode: exempt }
""" % (A, B, REALM)


def put(host, keytab, mode=0o600):
    shutil.copy(keytab, host.root + "/keytab.new")
    os.chmod(host.root + "/keytab.new", mode)
    os.rename(host.root + "/keytab.new", host.root + "/keytab")


def hosts():
    """The KDC is on b; where, only the hosts' own pages say."""
    a, b = two_hosts()
    k = Kdc(b.name, B, realms=(REALM,))
    on_exit(k.close)
    for name in NAMES.values():
        k.add(name)
    k.start()
    for host, name in ((a, "a"), (b, "b")):
        put(host, k.keytab(name, NAMES[name]))
        write(host.root + "/host.yaml", "cordon: 1\nname: %s\nkeytab: /keytab\nkerberos: { %s: { kdc: [192.0.2.1, %s] } }\n"
              % (name, REALM, B))
        host.start("--config", host.root + "/host.yaml", policy=POLICY)
    return a, b, k


def again(host):
    """Its SAs are gone: peers have to prove themselves anew."""
    host.kill()
    host.start("--config", host.root + "/host.yaml", policy=POLICY)


def kept(host):
    return [c for c in host.json("show", "credentials")["rows"] if c["kind"] == "kerberos"]


def versions(host):
    rows = kept(host)
    return rows[0]["keytab"][0]["key_versions"] if rows else []


def main_modes(host):
    return [(m.get("spi_i"), m["method"]) for m in host.json("show", "main-mode")["rows"] if m.get("state") == "established"]


def checked(host, name):
    """What cordond --check says where the host is called so."""
    page = host.root + "/checked.yaml"
    write(page, "cordon: 1\nname: %s\nkeytab: /keytab\n" % name)
    return subprocess.run(host.command("--check", "--config", page, "--policy", host.folder + "/policy.yaml"), capture_output=True,
                          text=True, timeout=60).stderr


def changes():
    """a new password and keytab: SAs stay, new ones are made with it"""
    a, b, k = hosts()
    told = kept(b)
    expect("the keytab is told: %s" % told, [c["subject"] for c in told] == [NAMES["b"]] and told[0]["satisfies"] == ["domain"])
    expect("with its keys", told[0]["keytab"][0]["encryption_types"] == ["aes256-cts", "aes128-cts"] and versions(b) == [2])
    expect("by the KDC that the page names second", a.pings(B, 10))
    before = main_modes(a)
    expect("it is Kerberos: %s" % before, [m[1] for m in before] == ["kerberos"])
    put(b, k.keytab("b", NAMES["b"]))
    expect("the new keytab is read by itself", wait_until(lambda: versions(b) == [3]))
    expect("and the SA stayed", a.pings(B) and main_modes(a) == before)
    a.cordon("refresh")  # a new ticket, when one is needed
    again(b)
    expect("a ticket under the new key is taken", wait_until(lambda: a.pings(B) and main_modes(a) not in ([], before), 20))
    put(b, k.keytab("b", NAMES["b"]), 0o644)
    expect("one that everybody may read is refused in words",
           wait_until(lambda: "is open to other users" in b.cordon("events")[1]))
    expect("and the former stays in use", versions(b) == [3] and a.pings(B))
    shown = b.cordon("show", "credentials")[1]
    expect("show credentials warns of it: %s" % shown, "\nwarning: the keytab cannot be used as it is now, what it held before stays in use: " in shown)
    write(b.root + "/keytab", "", 0o600)
    expect("so is an empty one", wait_until(lambda: "is empty" in b.cordon("events")[1]))
    put(b, k.keytab("b", NAMES["b"]))
    for name, others in ("b", False), ("c", True):
        said = checked(b, name)
        expect("named %s, --check says whether it is another's: %s" % (name, said),
               ("has a key of %s, and none of this host: it should have one of host/c" % NAMES["b"] in said) == others)
    write(b.root + "/host.yaml", "cordon: 1\nname: c\nkeytab: /keytab\nkerberos: { %s: { kdc: [%s] } }\n" % (REALM, B))
    b.cordon("refresh")
    words = "has a key of %s, and none of this host: it should have one of host/c" % NAMES["b"]
    expect("so does cordon status", wait_until(lambda: words in b.cordon("status")[1]))
    expect("and show credentials: %s" % kept(b), [w for w in kept(b)[0]["warnings"] if words in w] and words in b.cordon("show", "credentials")[1])
    page, policy = b.root + "/none.yaml", b.folder + "/policy.yaml"
    write(page, "cordon: 1\nname: b\n")
    said = subprocess.run(b.command("--check", "--config", page, "--policy", policy), capture_output=True, text=True, timeout=60)
    expect("without any, --check says what the start says: %s" % said.stderr,
           "nothing of this host satisfies 'domain', so its rules let nothing through: it has no Kerberos keytab" in said.stderr)
    strange = POLICY.replace("realm: " + REALM, "realm: ELSE.EXAMPLE")
    write(b.root + "/strange.yaml", strange)
    said = subprocess.run(b.command("--check", "--config", b.root + "/host.yaml", "--policy", b.root + "/strange.yaml"),
                          capture_output=True, text=True, timeout=60)
    expect("of another realm likewise: %s" % said.stderr, "is not of the realm ELSE.EXAMPLE" in said.stderr)


def outdated():
    """the account has another password than the keytab is of: nothing is proven, and show credentials says why"""
    a, _, k = hosts()
    expect("all is well at first", not kept(a)[0]["warnings"])
    k.keytab("a", NAMES["a"])
    a.pings(B, 3)
    told = wait_until(lambda: [w for w in kept(a)[0]["warnings"] if w.startswith("no ticket can be had with ")], 20)
    expect("the warning has the KDC's reason: %s" % kept(a)[0]["warnings"], told)
    expect("and is shown", "\nwarning: no ticket can be had with " in a.cordon("show", "credentials")[1])


def holder_dies():
    """its keytab is given to the next one, and what is up stays up"""
    a, b, _ = hosts()
    expect("it works", a.pings(B, 10))
    for host in (a, b):
        pid = [c["pid"] for c in host.json("status")["processes"] if c["name"] == "keys"][0]
        os.kill(pid, signal.SIGKILL)
        expect("another one begins", wait_until(
            lambda h=host, p=pid: [c for c in h.json("status")["processes"] if c["name"] == "keys" and c["ready"] and c["pid"] != p]))
    expect("what is up stays up", a.pings(B))
    before = main_modes(a)
    again(b)
    expect("a new SA is proven by Kerberos", wait_until(lambda: a.pings(B) and main_modes(a) not in ([], before), 20))
    expect("and the keytab is told as before", [c["subject"] for c in kept(a)] == [NAMES["a"]])


if __name__ == "__main__":
    main([changes, outdated, holder_dies])
