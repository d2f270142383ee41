#!/usr/bin/env python3
"""Certificates as administrators suffer them: several of them, renewed, revoked, half-written, of authorities that are
replaced; two daemons, while packets flow.

usage: certificates.py [TEST ...]; CORDON and CORDOND name the programs
"""
import glob
import json
import os
import signal
import socket
import subprocess
import time

from daemon import A, B, Host, two_hosts, wait_until, write
from lib import expect, main, on_exit, run

KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"],
        "ed25519": ["ed25519"]}

POLICY = """cordon: 1
zones: { a: [%s], b: [%s] }
authentication:
  machine:
%%s
connection-security:
  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: machine }
""" % (A, B)
METHOD = "    - certificate: { %s }\n"


def policy(*methods):
    return POLICY % "".join(METHOD % m for m in methods)


class Authority:
    """An authority in a folder of its own, by the openssl program: with lists, and places where to find them."""

    def __init__(self, host, name):
        self.folder, self.name, self.serial = "%s/ca-%s" % (host.folder, name), name, 0x1000
        os.makedirs(self.folder)
        self.pem, self.key = self.folder + "/ca.pem", self.folder + "/ca.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
            "-out", self.pem, "-subj", "/CN=" + name, "-days", "100", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-addext", "basicConstraints=critical,CA:TRUE")
        write(self.folder + "/index.txt", "")
        write(self.folder + "/index.txt.attr", "unique_subject = no\n")
        write(self.folder + "/crlnumber", "01\n")
        write(self.folder + "/conf", "[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index.txt\ncrlnumber=%s/crlnumber\n"
              "default_md=sha256\n" % (self.folder, self.folder))

    def issue(self, name, to, days=60, url=None, usage="1.3.6.1.5.5.8.2.2", key="ecdsa", cn=None, keep_key=False):
        """NAME.pem and NAME.key in the folder `to`, both replaced whole; returns the serial number"""
        os.makedirs(to, exist_ok=True)
        self.serial += 1
        work = "%s/%s-%d" % (self.folder, name, self.serial)
        key_file = "%s/%s.key" % (to, name)
        write(work + ".ext", "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
              "extendedKeyUsage=%s\nsubjectAltName=DNS:%s\n%s" % (
                  usage, name, "crlDistributionPoints=URI:%s\n" % url if url else ""))
        if not keep_key:
            run("openssl", "genpkey", "-algorithm", *KEYS[key], "-out", work + ".key")
            os.chmod(work + ".key", 0o600)
        run("openssl", "req", "-new", "-key", key_file if keep_key else work + ".key", "-subj", "/CN=" + (cn or name),
            "-out", work + ".csr")
        run("openssl", "x509", "-req", "-in", work + ".csr", "-CA", self.pem, "-CAkey", self.key, "-set_serial",
            str(self.serial), "-days", str(days), "-extfile", work + ".ext", "-out", work + ".pem")
        if not keep_key:
            os.rename(work + ".key", key_file)
        os.rename(work + ".pem", "%s/%s.pem" % (to, name))
        return self.serial

    def revoke(self, serial):
        with open(self.folder + "/index.txt", "a", encoding="utf-8") as f:
            f.write("R\t400101000000Z\t250101000000Z\t%X\tunknown\t/CN=x\n" % serial)

    def list_to(self, path, hours=48):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        run("openssl", "ca", "-config", self.folder + "/conf", "-gencrl", "-keyfile", self.key, "-cert", self.pem,
            "-crlhours", str(hours), "-out", path + ".new")
        os.rename(path + ".new", path)


def pki_of(host):
    return host.folder + "/root/pki"


def page(host, names, trust, lists=None):
    """host.yaml, with all that it names"""
    pki = pki_of(host)
    os.makedirs(pki, exist_ok=True)
    for ca in trust:
        with open(ca.pem, encoding="utf-8") as f:
            write("%s/trust-%s.pem" % (pki, ca.name), f.read())
    write(host.folder + "/root/host.yaml", "cordon: 1\nname: %s\n%strust: [%s]\n%s" % (
        host.name, "certificates:\n" + "".join("  - { certificate: /pki/%s.pem, key: /pki/%s.key }\n" % (n, n)
                                               for n in names) if names else "",
        ", ".join("/pki/trust-%s.pem" % ca.name for ca in trust),
        "revocation-lists: [%s]\n" % lists if lists else ""))


def start(host, text):
    host.start("--config", host.folder + "/root/host.yaml", policy=text)


def events(host, name):
    said = [json.loads(line) for line in host.cordon("events", "--json")[1].splitlines()]
    return [e["text"] for e in said if e["event"] == name]


def spis(host):
    return sorted((r["spi_i"], r["spi_r"]) for r in host.json("show", "main-mode")["rows"] if r["state"] == "established")


def failures(host):
    return " ".join(f["failure"] for f in host.json("status")["keying"]["failures"])


class Web:
    """A web server on a host's loopback address, whose requests are counted."""

    def __init__(self, host, port=8080):
        self.folder, self.log = host.folder + "/web", host.folder + "/web.log"
        os.makedirs(self.folder)
        self.host, self.port, self.p = host, port, None
        on_exit(self.stop)

    def start(self):
        with open(self.log, "a", encoding="utf-8") as log:
            self.p = subprocess.Popen(["ip", "netns", "exec", self.host.name, "python3", "-u", "-m", "http.server",
                                       str(self.port), "--bind", "127.0.0.1", "--directory", self.folder],
                                      stdout=log, stderr=log)

        def up():
            s = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                s.connect(("127.0.0.1", self.port))
                return True
            except OSError:
                return False
            finally:
                s.close()
        expect("a web server runs", wait_until(up))

    def stop(self):
        if self.p:
            self.p.kill()
            self.p.wait()
            self.p = None

    def asked(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read().count('"GET ')


# ---- which one ----------------------------------------------------------------------------------------------------


def several():
    """of several certificates the one that the peer asks for is shown, else the one that lasts; and it is told why"""
    a, b = two_hosts()
    one, two = Authority(a, "One"), Authority(a, "Two")
    one.issue("short", pki_of(a), days=20, cn="a-short")
    one.issue("long", pki_of(a), days=50, cn="a-long")
    two.issue("other", pki_of(a), days=90, cn="a-other")
    one.issue("wrong", pki_of(a), days=95, cn="a-wrong", usage="serverAuth")
    page(a, ["short", "long", "other", "wrong"], [one, two])
    one.issue("b", pki_of(b))
    page(b, ["b"], [one])
    text = policy("extended-key-usage: ike-intermediate")
    start(a, text)
    start(b, text)
    expect("a ping arrives", a.pings(B))
    row = b.json("show", "main-mode")["rows"][0]
    expect("the peer sees the certificate of its authority that lasts longest", row["identity"] == "CN=a-long")
    expect("and show main-mode says so here", a.json("show", "main-mode")["rows"][0]["shown"] == "CN=a-long")
    said = "".join(events(a, "credential-chosen"))
    expect("the choice is told: " + said, "chose CN=a-long because" in said)
    expect("why not the shorter", "not CN=a-short: it expires sooner" in said)
    expect("why not the other authority's", "not CN=a-other: the peer does not ask for its authority" in said)
    rows = {r["subject"]: r for r in a.json("show", "credentials")["rows"]}
    expect("show credentials knows which is in use", rows["CN=a-long"]["main_modes"] == 1 and
           rows["CN=a-other"]["main_modes"] == 0)
    expect("and what one of them lacks", "extended key usage serverAuth only" in rows["CN=a-wrong"]["lacks"]["machine"])
    expect("status tells which ends first", "Expires   certificate CN=a-short in 20 days" in a.cordon("status")[1]
           or "Expires   certificate CN=a-short in 19 days" in a.cordon("status")[1])
    expect("and an event, once", len(events(a, "certificate-expires")) == 1)


def lacking():
    """when none fits, the failure says of each why not"""
    a, b = two_hosts()
    one, two = Authority(a, "One"), Authority(a, "Two")
    one.issue("web", pki_of(a), usage="serverAuth", cn="a-web")
    two.issue("two", pki_of(a), cn="a-two")
    page(a, ["web", "two"], [one, two])
    one.issue("b", pki_of(b))
    page(b, ["b"], [one])
    text = policy('issuer: "CN=One", extended-key-usage: ike-intermediate')
    start(a, text)
    start(b, text)
    expect("nothing arrives", not a.pings(B, 1))
    said = failures(a)
    expect("of the one: " + said, "CN=a-web has extended key usage serverAuth only" in said)
    expect("of the other", "CN=a-two was issued under CN=Two" in said)


# ---- renewal ------------------------------------------------------------------------------------------------------


def renewed():
    """new files are taken while an SA stays; bad ones leave the old in use, and it is told"""
    a, b = two_hosts()
    ca = Authority(a, "One")
    for host, name in (a, "a"), (b, "b"):
        ca.issue(name, pki_of(host))
        page(host, [name], [ca])
        start(host, policy('issuer: "CN=One"'))
    expect("a ping arrives", a.pings(B))
    before = spis(a)
    ca.issue("a", pki_of(a), cn="a-renewed")
    expect("a new certificate is taken", wait_until(
        lambda: [r["subject"] for r in a.json("show", "credentials")["rows"] if not r["replaced"]] == ["CN=a-renewed"]))
    expect("no SA has ended", spis(a) == before and a.pings(B))
    b.kill()
    start(b, policy('issuer: "CN=One"'))
    expect("the next negotiation shows it", b.pings(A) and
           b.json("show", "main-mode")["rows"][0]["identity"] == "CN=a-renewed")
    with open(pki_of(a) + "/a.pem", encoding="utf-8") as f:
        whole = f.read()
    write(pki_of(a) + "/a.pem", whole[:200])
    expect("half a certificate is told", wait_until(lambda: "".join(events(a, "credentials-bad")).count("a.pem cannot") == 1))
    expect("with what stays", "what it held before stays in use" in events(a, "credentials-bad")[-1])
    b.kill()
    start(b, policy('issuer: "CN=One"'))
    expect("and the old one works on", b.pings(A))
    write(pki_of(a) + "/a.pem", whole)
    expect("the rest comes", wait_until(lambda: len(events(a, "credentials-changed")) >= 3))
    write(pki_of(a) + "/trust-One.pem", "nothing\n")
    expect("trust is kept likewise", wait_until(lambda: "trust-One.pem cannot" in "".join(events(a, "credentials-bad"))))
    b.kill()
    start(b, policy('issuer: "CN=One"'))
    expect("and works on", wait_until(lambda: b.pings(A, 2)))
    status, said = a.cordon("refresh")
    expect("refresh reads everything again", status == 0 and len(events(a, "credentials-changed")) >= 4)


def page_again():
    """a host's page is read again when it is told to; one with an error changes nothing"""
    a, b = two_hosts()
    ca = Authority(a, "One")
    for host, name in (a, "a"), (b, "b"):
        ca.issue(name, pki_of(host))
        page(host, [name] if host is b else [], [ca])
        start(host, policy('issuer: "CN=One"'))
    expect("without a certificate nobody is proven", not a.pings(B, 1))
    page(a, ["a"], [ca])
    a.p.send_signal(signal.SIGHUP)
    expect("SIGHUP reads the page", wait_until(lambda: len(a.json("show", "credentials")["rows"]) == 1))
    expect("and a ping arrives", wait_until(lambda: a.pings(B, 2)))
    before = spis(a)
    with open(a.root + "/host.yaml", encoding="utf-8") as f:
        whole = f.read()
    write(a.root + "/host.yaml", whole + "longest-exemption: 0\ncertificats: []\n")
    status, said = a.cordon("refresh")
    expect("an error is told", status != 0 and "this host's page has errors" in said and "certificats" in said)
    expect("with its place", "host.yaml:7:" in a.log() and "certificats" in a.log())
    expect("and an event", "what it said before stays" in events(a, "policy-refused")[-1])
    expect("and changes nothing", a.cordon("exempt", B, "--for", "1m", "--reason", "x")[0] == 0 and a.cordon("exempt", "--end", B)[0] == 0)
    write(a.root + "/host.yaml", whole + "longest-exemption: 0\nevents: { size: 1MB }\n")
    status, said = a.cordon("refresh")
    expect("without it, it is taken", status == 0)
    expect("at once", a.cordon("exempt", B, "--for", "1m", "--reason", "x")[0] != 0)
    waits = "events: another size or count of files counts from the next start: systemctl restart cordon\n"
    expect("what waits for a restart is said", waits in a.log() and waits in said and "another file" not in a.log())
    lines = [line for line in whole.splitlines(True) if not line.startswith("workers:")]
    write(a.root + "/host.yaml", "".join(lines) + "longest-exemption: 0\nworkers: 3\n")
    waits = "workers: 3 counts from the next start: systemctl restart cordon\n"
    said = a.cordon("refresh")[1]
    expect("so it is of workers", waits in a.log() and waits in said and "events" not in said)
    expect("as long as it waits", a.json("refresh")["next_start"] == [waits.strip()])
    expect("and no SA has ended", before and spis(a) == before and a.pings(B))


def rollover():
    """from one authority to the next, host by host, and not one failure"""
    a, b = two_hosts()
    one, two = Authority(a, "One"), Authority(a, "Two")
    text = policy("extended-key-usage: ike-intermediate")
    hosts = ((a, "a", B), (b, "b", A))
    for host, name, _ in hosts:
        one.issue(name + "1", pki_of(host))
        page(host, [name + "1", name + "2"], [one, two])
        os.unlink(pki_of(host) + "/trust-Two.pem")
        start(host, text)
    expect("it begins with the old", a.pings(B))

    def trust(host, ca):
        with open(ca.pem, encoding="utf-8") as f:
            write("%s/trust-%s.pem" % (pki_of(host), ca.name), f.read())

    def distrust(host, ca):
        with open(two.pem, encoding="utf-8") as f:
            write("%s/trust-%s.pem" % (pki_of(host), ca.name), f.read())

    steps = [("both trust the new: ", lambda h, n: trust(h, two)),
             ("each gets a certificate of it: ", lambda h, n: two.issue(n + "2", pki_of(h), days=90)),
             ("each drops the old authority: ", lambda h, n: distrust(h, one))]
    for what, do in steps:
        for host, name, to in hosts:
            before = len(events(host, "credentials-changed"))
            do(host, name)
            expect(what + name, wait_until(lambda: len(events(host, "credentials-changed")) > before))
            expect("traffic flows", host.pings(to))
            other = b if host is a else a
            other.kill()
            start(other, text)
            expect("and negotiations succeed", other.pings(A if other is b else B))
    for host, _, _ in hosts:
        expect("nobody failed", not events(host, "main-mode-failed"))
    expect("the new one is in use", a.json("show", "main-mode")["rows"][0]["identity"] == "CN=b2")


# ---- revocation ---------------------------------------------------------------------------------------------------


def revoked_by_file():
    """a list in a folder ends the SA of whom it names, and keeps it out"""
    a, b = two_hosts()
    ca = Authority(a, "One")
    for host, name in (a, "a"), (b, "b"):
        serial = ca.issue(name, pki_of(host))
        page(host, [name], [ca], lists="/crls" if host is a else None)
    ca.list_to(a.folder + "/root/crls/one.crl")
    start(a, policy("revocation: require"))
    start(b, policy("revocation: check"))
    expect("with a list that names nobody a ping arrives", a.pings(B))
    rows = a.json("show", "revocation-lists")["rows"]
    expect("the list is shown", len(rows) == 1 and rows[0]["issuer"] == "CN=One" and rows[0]["revoked"] == 0)
    ca.revoke(serial)
    ca.list_to(a.folder + "/root/crls/one.crl")
    expect("the SA ends when the list names it", wait_until(lambda: not spis(a)))
    expect("in words", "has been revoked, says the list of CN=One" in "".join(events(a, "main-mode-down")))
    expect("it does not come in again", not b.pings(A, 1))
    expect("and it is told why", wait_until(lambda: "CN=b: the certificate has been revoked" in failures(a)))


def revoked_by_http():
    """lists are fetched from where certificates say, for those who have proven themselves, and kept"""
    a, b = two_hosts()
    ca, stranger, url = Authority(a, "One"), Authority(b, "Stranger"), "http://127.0.0.1:8080/one.crl"
    web = Web(a)
    for host, name in (a, "a"), (b, "b"):
        serial = ca.issue(name, pki_of(host), url=url)
        page(host, [name], [ca])
    start(a, policy("revocation: require"))
    start(b, policy("revocation: off"))
    expect("without a server, require refuses", not a.pings(B, 1))
    expect("in words", wait_until(lambda: "is not known: there is no list of CN=One" in failures(a)))
    expect("and tells of the fetch", "no revocation list from " + url in "".join(events(a, "revocation-list-failed")))
    a.kill()
    start(a, policy("revocation: check"))
    expect("check lets it pass", a.pings(B, 6))
    a.kill()
    ca.list_to(web.folder + "/one.crl")
    web.start()
    start(a, policy("revocation: require"))
    expect("with a server require lets it pass", a.pings(B, 6))
    expect("and says so", "good until" in "".join(events(a, "revocation-list")))
    b.kill()
    start(b, policy("revocation: off"))
    expect("and again", b.pings(A))
    expect("asked once", web.asked() == 1)
    a.kill()
    start(a, policy("revocation: require"))
    expect("after a restart it is there from disk", a.pings(B) and web.asked() == 1)
    b.kill()
    stranger.issue("b", pki_of(b), url=url.replace("one", "evil"))
    start(b, policy("revocation: off"))
    expect("a stranger is refused", not b.pings(A, 1))
    expect("and nothing is fetched for it", web.asked() == 1)
    b.kill()
    serial = ca.issue("b", pki_of(b), url=url)
    start(b, policy("revocation: off"))
    expect("the right one comes in", b.pings(A))
    ca.revoke(serial)
    ca.list_to(web.folder + "/one.crl")
    a.kill()
    for path in glob.glob(a.state + "/revocation-lists/*"):
        os.unlink(path)
    start(a, policy("revocation: check"))
    expect("once the list names it, it is out", not a.pings(B, 2))
    expect("in words", wait_until(lambda: "has been revoked" in failures(a)))


def redirected():
    """a server that answers with something else than a list, or sends elsewhere, gives none"""
    a, b = two_hosts()
    ca, url = Authority(a, "One"), "http://127.0.0.1:8080/folder"
    web = Web(a)
    os.makedirs(web.folder + "/folder")  # the server redirects to folder/
    for host, name in (a, "a"), (b, "b"):
        ca.issue(name, pki_of(host), url=url)
        page(host, [name], [ca])
    web.start()
    start(a, policy("revocation: require"))
    start(b, policy("revocation: off"))
    expect("no list, no SA", not a.pings(B, 1))
    expect("redirects are not followed", wait_until(lambda: "redirects are not followed" in "".join(
        events(a, "revocation-list-failed"))))
    expect("nobody asked elsewhere", web.asked() == 1)
    a.kill()
    os.rmdir(web.folder + "/folder")
    write(web.folder + "/folder", "no list at all\n")
    start(a, policy("revocation: require"))
    expect("what is no list is none", not a.pings(B, 1) and wait_until(lambda: "holds no revocation list" in "".join(
        events(a, "revocation-list-failed"))))


if __name__ == "__main__":
    main([several, lacking, renewed, rollover, revoked_by_file, revoked_by_http, redirected, page_again])
