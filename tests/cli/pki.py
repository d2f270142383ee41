#!/usr/bin/env python3
"""cordon pki, as its page shows it: pki.py CORDON CORDOND. What the commands print to be written into host.yaml and the
policy is taken at its word, and OpenSSL is asked what it thinks of the certificates."""
import os
import re
import stat
import subprocess
import sys
import tempfile

cordon, cordond = map(os.path.abspath, sys.argv[1:3])


def run(*words, want=0):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    if done.returncode != want:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}, not {want}\n{done.stdout}{done.stderr}")
    return done.stdout if want == 0 else done.stderr


def must(what, condition):
    if not condition:
        sys.exit(f"not so: {what}")


def printed(text, heading):
    """The indented lines below a heading."""
    lines = text[text.index(heading):].splitlines()[1:]
    block = []
    for line in lines:
        if not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block) + "\n"


def try_kind(folder, kind):
    os.chdir(folder)
    pki, out = kind, f"{kind}-out"
    made = run(cordon, "pki", "init", pki, "--name", "CN=Test CA,O=Example", "--key", kind)
    issued = run(cordon, "pki", "issue", pki, "srv1", "--address", "10.77.1.21", "--address", "2001:db8::1", "--dns",
                 "srv1.example", "--key", kind, "--out", out)
    run("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "2001:db8::1", "-verify_hostname",
        "srv1.example", "-CAfile", f"{pki}/ca.pem", f"{out}/srv1.pem")
    for path in (f"{pki}/ca.key", f"{out}/srv1.key"):
        must(f"{path} is the owner's alone", stat.S_IMODE(os.stat(path).st_mode) == 0o600)
    shown = run(cordon, "pki", "show", f"{out}/srv1.pem", f"{pki}/ca.pem")
    must("show names the host, its key and its usages",
         re.search(rf"CN=srv1\n.*CN=Test CA,O=Example\n(.*\n)*.*{kind}\n.*ike-intermediate", shown))

    os.mkdir(f"{kind}-etc")
    page = printed(issued, "Copy both")
    for line in printed(made, "In every host's").splitlines():
        must(f"both commands say {line}", line in page)
    for name in (f"{pki}/ca.pem", f"{out}/srv1.pem", f"{out}/srv1.key"):
        os.link(name, f"{kind}-etc/{os.path.basename(name)}")
    with open(f"{kind}-etc/host.yaml", "w", encoding="utf-8") as f:
        f.write("cordon: 1\n" + page.replace("/etc/cordon/", ""))
    with open(f"{kind}-etc/policy.yaml", "w", encoding="utf-8") as f:
        f.write("cordon: 1\nzones: { a: [10.77.1.21], b: [10.77.1.22] }\n" + printed(made, "In the policy") +
                "connection-security:\n  - { name: all, endpoint1: [a], endpoint2: [b], mode: require,\n"
                "      authentication: machine-certificate }\n")
    run(cordon, "check", f"{kind}-etc/policy.yaml")
    run(cordond, "--check", "--config", f"{kind}-etc/host.yaml", "--policy", f"{kind}-etc/policy.yaml")


def mistakes(folder):
    os.chdir(folder)
    run(cordon, "pki", "init", "ca")
    for words, code, says in (
        (["init", "ca"], 1, "holds an authority already"),
        (["init"], 2, "init takes one folder"),
        (["init", "x", "--key", "dsa"], 2, "'dsa' is no key type"),
        (["init", "x", "--name", "Root"], 1, "write it as CN="),
        (["issue", "ca"], 2, "the authority's folder and the host's name"),
        (["issue", "nowhere", "srv1"], 1, "cordon pki init nowhere"),
        (["issue", "ca", "a/b"], 1, "is no name for a host"),
        (["issue", "ca", "srv1", "--address", "10.0.0"], 2, "--address"),
        (["issue", "ca", "srv1", "--days", "-1"], 2, "--days takes"),
        (["issue", "ca", "srv1", "--eku", "ike"], 1, "is no extended key usage"),
        (["issue", "ca", "srv1", "--wat"], 2, "'--wat' is no option"),
        (["show", "ca/ca.key"], 1, "holds no certificate"),
        (["show", "ca"], 1, "is a directory"),
        (["show"], 2, "takes a file"),
        (["revoke"], 2, "'revoke' is not init, issue or show"),
        ([], 2, "say what to do"),
    ):
        got = run(cordon, "pki", *words, want=code)
        must(f"pki {' '.join(words)} says '{says}': {got}", says in got)
    must("a mistake leaves nothing behind", sorted(os.listdir("ca")) == ["ca.key", "ca.pem"])


with tempfile.TemporaryDirectory() as where:
    for key in ("ecdsa-p384", "ecdsa-p256", "rsa-3072", "ed25519"):
        try_kind(where, key)
    mistakes(where)
