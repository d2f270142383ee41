#!/usr/bin/env python3
"""What a host says of itself when something about its Kerberos is wrong: `cordon status`, its exit code, and `show credentials`.
The words of each failure are kerberos_ends.py's test.

usage: kerberos_told.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os

from daemon import A, B, wait_until, write
from kerberos import KERBEROS, NAMES, POLICY, begin, keytabs, with_kdc
from lib import expect, main

TEXT = POLICY % ("{ %s }" % KERBEROS)
GROUPS = TEXT + """groups: { staff: [ { directory-group: S-1-5-21-1-2-3-1105 } ] }
firewall:
  hosts: [b]
  inbound: allow
  outbound: allow
  rules:
    - { name: staff, action: bypass, direction: in, local: [b], traffic: [tcp/22], secure: authenticated, machines: { allow: [staff] } }
"""


def status(host):
    return host.cordon("status")


def says(host, code, *words):
    def there():
        got, out = status(host)
        return got == code and all(w in out for w in words)
    good = wait_until(there, 20)
    if not good:
        print(*status(host))
    return good


def keytab_is_bad():
    """each way a file can be unusable is told as that way, with the file, before any peer is spoken to"""
    a, _, k = with_kdc()
    of_a, _ = keytabs(k)
    k.add("host/a.other.example@OTHER.EXAMPLE")
    other = k.keytab("o", "host/a.other.example@OTHER.EXAMPLE")
    path = a.root + "/keytab"

    def with_file(what, *words, text=None, mode=0o600, source=None, remove=False):
        begin(a, "a", source or of_a, TEXT) if not remove else None
        if remove:
            os.unlink(path)
            a.start("--config", a.root + "/host.yaml", policy=TEXT)
        elif text is not None or mode != 0o600:
            a.kill()
            if text is not None:
                write(path, text)
            os.chmod(path, mode)
            a.start("--config", a.root + "/host.yaml", policy=TEXT)
        expect("%s: status says it and ends 1" % what, says(a, 1, "nothing of this host satisfies 'domain'", *words))
        expect("%s: it does not say that all is well" % what, "as promised" not in status(a)[1])
        expect("%s: and not that there is none" % what, "it has no Kerberos keytab" not in status(a)[1])
        out = a.cordon("show", "credentials")[1]
        expect("%s: `show credentials` has the reason: %s" % (what, out), "keytab" in out and words[-1] in out)
        a.kill()

    with_file("no keytab at all", "its keytab cannot be used", "is no keytab", text="this is something else\n")
    with_file("an empty file", "its keytab cannot be used", "is empty", text="")
    with_file("readable by all", "its keytab cannot be used", "is open to other users", mode=0o644)
    with_file("not there", "its keytab cannot be used", "No such file", remove=True)
    with_file("another realm", "host/a.other.example@OTHER.EXAMPLE is not of the realm KRB.EXAMPLE", "the policy asks for", source=other)


def ticket():
    """from no ticket to one, through a KDC that is away and one that refuses"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    k.stop()
    begin(a, "a", of_a, TEXT)
    begin(b, "b", of_b, TEXT)
    expect("nobody has asked yet", says(a, 0, "Kerberos  " + NAMES["a"] + " has no ticket yet"))
    out = a.cordon("show", "credentials")[1]
    expect("its principal, version and types are shown: " + out, NAMES["a"] in out and "version 2: aes256-cts, aes128-cts" in out)
    expect("no KDC, nothing goes", not a.pings(B, 3))
    expect("status says which", says(a, 1, "has no ticket: no KDC answers", B))
    k.start()
    expect("a KDC again, and it goes", wait_until(lambda: a.pings(B, 3), 60))
    expect("status has the ticket and its life", wait_until(lambda: "ticket good for another 9 h" in status(a)[1] or "ticket good for another 10 h" in status(a)[1]))
    out = a.cordon("refresh")[1]
    expect("refresh says what it does to tickets: " + out, "Kerberos tickets are got anew" in out and "cordon rekey --proof" in out)
    out = a.cordon("rekey", "--proof")[1]
    expect("and rekey what will be: " + out, "1 main mode SA is made again from scratch" in out and "cordon show peers" in out)
    k.stop()
    expect("what is up lives on", a.pings(B))


def rotated():
    """keys that the KDC has replaced, and a service that it does not know"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    begin(a, "a", of_a, TEXT)
    begin(b, "b", of_b, TEXT)
    k.admin("KRB.EXAMPLE", "cpw -randkey " + NAMES["a"])
    expect("an older key: nothing goes", not a.pings(B, 3))
    expect("and status says it", says(a, 1, "has no ticket: the KDC refuses this host's key of " + NAMES["a"], "version 2", "write the keytab again"))
    a.kill()
    b.kill()
    of_a = k.keytab("a", NAMES["a"])
    k.admin("KRB.EXAMPLE", "delprinc -force " + NAMES["b"])
    begin(a, "a", of_a, TEXT)
    begin(b, "b", of_b, TEXT)
    expect("a service that is not there: nothing goes", not a.pings(B, 3))
    expect("and status says it", says(a, 1, "knows no service " + NAMES["b"]))
    expect("though this host has a ticket", says(a, 1, "ticket good for another"))


def other_realm():
    """a peer of another realm than the rule asks for makes both ends say so"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    begin(a, "a", of_a, TEXT)
    begin(b, "b", of_b, TEXT.replace("KRB.EXAMPLE", "WRONG.EXAMPLE"))
    expect("it says what would be right", says(b, 1, NAMES["b"] + " is not of the realm WRONG.EXAMPLE", "/keytab"))
    expect("nothing goes", not a.pings(B, 3))
    expect("the other end does not say that all is well", says(a, 1, "not everybody gets through"))
    write(b.folder + "/right.yaml", TEXT)
    code, out = b.cordon("apply", b.folder + "/right.yaml")
    expect("the right realm is applied: " + out, code == 0)
    expect("and takes effect", wait_until(lambda: a.pings(B, 3), 60))
    expect("all is well", says(b, 0, "Protected as promised", NAMES["b"]))


def no_groups():
    """tickets of a KDC that knows no groups, where the policy has some"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    begin(a, "a", of_a, TEXT)
    begin(b, "b", of_b, GROUPS)
    expect("a packet goes", a.pings(B, 5))
    expect("that its groups are not known is an event where there are groups", wait_until(lambda: "groups-unknown" in b.events()))
    out = b.cordon("events")[1]
    expect("that names the peer: " + out, NAMES["a"] + ": its Kerberos ticket says nothing of groups" in out)
    may = b.json("show", "peers")["rows"][0]["groups_not_known"]
    expect("it may be in any of them: %s" % may, may == ["staff"])
    expect("and nowhere else", "groups-unknown" not in a.events())


if __name__ == "__main__":
    main([keytab_is_bad, ticket, rotated, other_realm, no_groups])
