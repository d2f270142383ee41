#!/usr/bin/env python3
"""docs/certificates.md: certificates with the usages, keys and names that each authority gives, issued by openssl, against the
policy that the page says to write then.

usage: authorities.py SOURCES; CORDON and CORDOND name the programs
"""
import os
import re
import shutil
import subprocess
import sys

from daemon import A, B, CORDON, Host, wait_until, write
from lib import _clean, address, expect, finish, need_root, run, wire

USAGES = {"serverAuth": "server-auth", "clientAuth": "client-auth", "1.3.6.1.5.5.8.2.2": "ike-intermediate", "1.3.6.1.5.5.7.3.17": "ipsec-ike"}
KEYS = {"ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]}
RULE = """connection-security:
  - { name: all, endpoint1: %s, endpoint2: %s, mode: require }
""" % (A, B)


def subject(name):
    """As openssl takes it: the most general part first."""
    return "".join("/" + part for part in reversed(name.split(",")))


class Authority:
    def __init__(self, folder, name, key, below):
        self.folder, self.key = folder, key
        os.makedirs(folder)
        self.make("root", name, None)
        if below:
            self.make("middle", "CN=E99,O=Somebody,C=US", "root")
        self.signer = "middle" if below else "root"

    def path(self, name):
        return "%s/%s" % (self.folder, name)

    def make(self, name, of, signer, extensions="basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"):
        run("openssl", "genpkey", *KEYS[self.key], "-out", self.path(name + ".key"))
        os.chmod(self.path(name + ".key"), 0o600)
        write(self.path(name + ".ext"), extensions)
        run("openssl", "req", "-new", "-key", self.path(name + ".key"), "-subj", subject(of) if of else "/", "-out", self.path(name + ".csr"))
        by = ["-CA", self.path(signer + ".pem"), "-CAkey", self.path(signer + ".key"), "-CAcreateserial"] if signer else \
            ["-signkey", self.path(name + ".key")]
        run("openssl", "x509", "-req", "-in", self.path(name + ".csr"), *by, "-days", "30", "-extfile", self.path(name + ".ext"),
            "-out", self.path(name + ".pem"))

    def issue(self, host, name, of, usages):
        self.make(name, of, self.signer, "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
                  "extendedKeyUsage=%s\nsubjectAltName=%sDNS:%s\n" % (usages, "" if of else "critical,", name))
        to = host.root + "/etc/cordon/"
        text = open(self.path(name + ".pem"), encoding="utf-8").read()
        if self.signer == "middle":
            text += open(self.path("middle.pem"), encoding="utf-8").read()
        shutil.copy(self.path(name + ".key"), to + "host.key")
        write(to + "host.pem", text)
        write(to + "ca.pem", open(self.path("root.pem"), encoding="utf-8").read())
        write(to + "host.yaml", "cordon: 1\nname: %s\ncertificates: [ { certificate: /etc/cordon/host.pem, key: /etc/cordon/host.key } ]\n"
              "trust: [/etc/cordon/ca.pem]\n" % name.split(".")[0])


def answers(a, b, text):
    """Does b answer a under this policy, and what did each say that failed?"""
    for h in (a, b):
        h.start("--config", h.root + "/etc/cordon/host.yaml", policy=text)
    heard = a.pings(B, 2)
    rows = a.json("show", "main-mode")["rows"]
    codes = {r["failed"]["code"] for h in (a, b) for r in h.json("show", "peers")["rows"] if r["failed"]}
    for h in (a, b):
        h.end()
        run("rm", "-rf", h.state)
    return heard, [r["identity"] for r in rows if r["state"] == "established"], codes


def one(number, told, block):
    options = dict(w.partition("=")[::2] for w in told.split())
    name = re.search(r'issuer: "([^"]*)"', block).group(1)
    usages, below = options["usages"], "intermediate" in options
    title = "%d, issuer %s, usages %s" % (number, name, usages)
    a, b = Host("a"), Host("b")
    wire(a, b)
    address(a, "eth0", A + "/24")
    address(b, "eth0", B + "/24")
    ca = Authority("%s/ca" % a.folder, name, options["key"], below)

    def names(host):
        end = options.get("subject")
        return None if end == "none" else "CN=%s%s" % (host, "," + end if end else "")

    for h, host in ((a, "alpha.example.org"), (b, "beta.example.org")):
        ca.issue(h, host, names(host), usages)
    text = "cordon: 1\n" + block + RULE
    checked = subprocess.run([CORDON, "check", "-"], input=text, capture_output=True, text=True)
    expect("%s: the page's policy passes check: %s" % (title, checked.stdout.strip()), checked.returncode == 0 and "warning" not in checked.stdout)
    heard, who, codes = answers(a, b, text)
    expect("%s: it is encrypted (%s, %s)" % (title, who, codes), heard and any("beta" in (w or "") for w in who))
    lacking = [word for usage, word in USAGES.items() if usage not in usages.split(",")]
    if lacking:
        other = re.sub(r"extended-key-usage: (\[[^]]*\]|[\w-]+)", "extended-key-usage: " + lacking[0], block)
        heard, _, codes = answers(a, b, "cordon: 1\n" + other + RULE)
        expect("%s: asking for %s lets nobody in, in words (%s)" % (title, lacking[0], codes),
               not heard and codes & {"usage-missing", "no-credential", "not-accepted"})
    if "dns: beta" in block:
        ca.issue(b, "mallory.example.net", names("mallory.example.net"), usages)
        heard, _, codes = answers(a, b, text)
        expect("%s: somebody else with a certificate of it stays outside (%s)" % (title, codes), not heard and codes)
    _clean()


def main():
    need_root()
    page = open(os.path.join(sys.argv[1], "docs/certificates.md"), encoding="utf-8").read()
    found = re.findall(r"<!-- test: (.*?) -->\n```yaml\n(.*?)```", page, re.S)
    expect("the page has a policy for each of five kinds of certificates", len(found) == 5)
    for number, (told, block) in enumerate(found, 1):
        one(number, told, block)
    finish()


main()
