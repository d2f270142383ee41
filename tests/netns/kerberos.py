#!/usr/bin/env python3
"""Two hosts that prove themselves by Kerberos in IKEv2, and a KDC of MIT's: the whole way, from the keytab to ESP on the
wire. What IKE makes of it in every order is tests/replay/gspm's, what Kerberos does kerberos_ends.py's.

usage: kerberos.py [TEST ...]; CORDON and CORDOND name the programs
"""
import shutil

from daemon import A, B, two_hosts, wait_until, write
from kdc import Kdc
from lib import Capture, carries, expect, main, on_exit
from sources import Dns, resolvers

REALM = "KRB.EXAMPLE"
NAMES = {"a": "host/a.krb.example@" + REALM, "b": "host/b.krb.example@" + REALM}
POLICY = """cordon: 1
hosts:
  a: { address: %s }
  b: { address: %s, roles: [kdc] }
authentication: { domain: [ %%s ] }
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: domain }
  - { name: tickets, endpoint1: [a], endpoint2: [b], traffic: [kerberos], mode: exempt }
""" % (A, B)
KERBEROS = "kerberos: { realm: %s }" % REALM
PSK = "pre-shared-key: { file: /etc/cordon/psk }"
ICMP, TCP, UDP, ESP, UNREACHABLE = 1, 6, 17, 50, 3
OPEN = [port.to_bytes(2, "big") for port in (88, 464, 500, 4500)]


def with_kdc():
    """the KDC is on b, where a may ask it in clear"""
    a, b = two_hosts()
    k = Kdc(b.name, B, realms=(REALM, "OTHER.EXAMPLE"))
    on_exit(k.close)
    for name in NAMES.values():
        k.add(name)
    k.start()
    return a, b, k


def begin(host, name, keytab, policy):
    """with this keytab; None: none"""
    page = "cordon: 1\nname: %s\n" % name
    if keytab:
        shutil.copy(keytab, host.root + "/keytab")
        page += "keytab: /keytab\n"
    write(host.root + "/host.yaml", page)
    return host.start("--config", host.root + "/host.yaml", policy=policy)


def keytabs(k):
    return k.keytab("a", NAMES["a"]), k.keytab("b", NAMES["b"])


def proven(host):
    return [(m["identity"], m["method"]) for m in host.json("show", "main-mode")["rows"] if m.get("state") == "established"]


def clear_frames(seen):
    """what is neither ESP nor a way to a ticket or an SA; that nobody listens there is said in clear, too"""
    return [f for f in seen.read() if f[12:14] == b"\x08\x00" and carries(f) != ESP and not
            (f[23] in (TCP, UDP) and (f[34:36] in OPEN or f[36:38] in OPEN) or f[23] == ICMP and f[34] == UNREACHABLE)]


def both_ways():
    """each end shows a ticket of its own; on the wire is ESP and nothing else of theirs"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    seen = Capture(a)
    begin(a, "a", of_a, POLICY % ("{ %s }" % KERBEROS))
    begin(b, "b", of_b, POLICY % ("{ %s }" % KERBEROS))
    expect("a packet goes", a.pings(B))
    expect("ESP is seen", ESP in seen.protocols())
    expect("and nothing in clear", not clear_frames(seen))
    expect("the initiator knows who answered: %s" % proven(a), proven(a) == [(NAMES["b"], "kerberos")])
    expect("the responder knows who asked: %s" % proven(b), proven(b) == [(NAMES["a"], "kerberos")])
    out = a.cordon("show", "peers")[1]
    expect("`show peers` names it", NAMES["b"] in out and "kerberos" in out)
    b.cordon("rekey", "--main-mode")
    expect("and after a rekey", a.pings(B) and proven(a)[:1] == [(NAMES["b"], "kerberos")])
    k.stop()
    expect("what is up needs no KDC", a.pings(B))


def in_ikev1():
    """the same as Windows 2000 to 2003 do it: main mode by GSS-API, authentication method 65001"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    seen = Capture(a)
    policy = (POLICY % ("{ %s }" % KERBEROS)).replace("mode: require,", "mode: require, modules: [ikev1],")
    begin(a, "a", of_a, policy)
    begin(b, "b", of_b, policy)
    expect("a packet goes", a.pings(B, 5))
    expect("ESP is seen", ESP in seen.protocols())
    expect("and nothing in clear", not clear_frames(seen))
    modes = [m for m in a.json("show", "main-mode")["rows"] if m.get("state") == "established"]
    expect("by IKEv1: %s" % [m["version"] for m in modes], [m["version"] for m in modes] == [1])
    expect("the initiator knows who answered: %s" % proven(a), proven(a) == [(NAMES["b"], "kerberos")])
    expect("the responder knows who asked: %s" % proven(b), proven(b) == [(NAMES["a"], "kerberos")])


def refusals():
    """what fails is told with its reason, and nothing goes in clear"""
    a, b, k = with_kdc()
    k.add("host/o.other.example@OTHER.EXAMPLE")
    of_a, of_b = keytabs(k)
    other = k.keytab("o", "host/o.other.example@OTHER.EXAMPLE")
    seen = Capture(a)
    policy = POLICY % ("{ %s }" % KERBEROS)

    def told(host, *words):
        return wait_until(lambda: all(w in host.cordon("show", "peers")[1] + host.cordon("events")[1] for w in words), 20)

    begin(a, "a", of_a, policy)
    begin(b, "b", None, policy)
    expect("no keytab there: nothing goes", not a.pings(B, 3))
    expect("and why", told(a, "the peer does not take Kerberos in IKEv2"))
    b.kill()
    begin(b, "b", other, policy)
    expect("a keytab of another realm: nothing goes", not a.pings(B, 4))
    expect("and it satisfies nothing", "domain" not in b.cordon("show", "credentials")[1])
    b.kill()
    k.stop()
    begin(b, "b", of_b, policy)
    expect("no KDC: nothing goes", not a.pings(B, 4))
    expect("and why", told(a, "we have no Kerberos ticket to show"))
    k.start()
    expect("a KDC again, and it goes", wait_until(lambda: a.pings(B, 3), 60))
    expect("nothing was in clear", not clear_frames(seen))


def stand_in():
    """a set that names something else behind Kerberos"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    policy = POLICY % ("{ %s }, { %s }" % (KERBEROS, PSK))
    k.stop()
    begin(a, "a", of_a, policy)
    begin(b, "b", of_b, policy)
    expect("without a KDC the key stands in", a.pings(B, 10))
    expect("which is told: %s" % proven(a), [m for _, m in proven(a)] == ["pre-shared-key"])


def found_by_dns():
    """no host of the policy is a KDC and no page names one: DNS does, by the realm's SRV records"""
    a, b, k = with_kdc()
    of_a, of_b = keytabs(k)
    policy = (POLICY % ("{ %s }" % KERBEROS)).replace(", roles: [kdc]", "")
    service = "_kerberos._tcp." + REALM
    asked = [Dns(h, "kdc.krb.example", B, [service]) for h in (a, b)]
    for host in a, b:
        resolvers(host, "nameserver 127.0.0.1\n")
    seen = Capture(a)
    begin(a, "a", of_a, policy)
    begin(b, "b", of_b, policy)
    expect("a packet goes", a.pings(B, 10))
    expect("a proved itself by Kerberos: %s" % proven(b), proven(b) == [(NAMES["a"], "kerberos")])
    expect("for which DNS was asked: %s" % asked[0].services, asked[0].services[service.lower()] > 0 and asked[0].asked > 0)
    expect("and nothing in clear", not clear_frames(seen))
    a.kill()
    asked[0].services.clear() # DNS knows of none
    begin(a, "a", of_a, policy)
    expect("without it nothing goes", not a.pings(B, 3))
    expect("and why", wait_until(lambda: "_kerberos._tcp." in a.cordon("show", "peers")[1] + a.cordon("events")[1], 20))


if __name__ == "__main__":
    main([both_ways, in_ikev1, refusals, stand_in, found_by_dns])
