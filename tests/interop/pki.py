"""Authorities and certificates for the rows, by openssl(1): not by our own program, so that ours meets others' habits."""
import fcntl
import os
import subprocess

KEYS = {
    "rsa-2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "rsa-3072": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    "rsa-4096": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
    "ecdsa-p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa-p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ecdsa-p521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["-algorithm", "ED25519"],
}
EXTENSIONS = """[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[host]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = %s
%s
"""


class Kind:
    """A way to make certificates. Of a chain, the host's file holds the intermediate authorities too."""

    def __init__(self, key, intermediates=0, subject=True, extra=""):
        self.key, self.intermediates, self.subject, self.extra = key, intermediates, subject, extra


KINDS = {k: Kind(k) for k in KEYS}
KINDS["chain"] = Kind("rsa-2048", intermediates=3, extra="nsComment = " + "a long chain " * 150)
KINDS["fqdn"] = Kind("ecdsa-p256", subject=False)
KINDS["eku"] = Kind("ecdsa-p384", extra="extendedKeyUsage = 1.3.6.1.5.5.8.2.2, serverAuth, clientAuth")
KINDS["stranger"] = Kind("ecdsa-p256")  # of an authority that the other end does not trust


def root_name(kind):
    return "CN=Interop %s root,O=Cordon tests" % kind


def host_name(kind, host):
    """As RFC 4514 writes it, the least general first; the peers write names the other way round."""
    return "CN=%s-%s,O=Cordon tests" % (host, kind)


def forwards(name):
    return ", ".join(reversed(name.split(",")))


def dns_name(kind, host):
    return "%s-%s.interop.example" % (host, kind)


def openssl(*words, text=None):
    done = subprocess.run(["openssl", *words], input=text, text=True, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (" ".join(words), done.stderr.strip()))
    return done.stdout


def subject_words(name):
    """CN=a,O=b as openssl takes it, which writes the most general first."""
    return "/" + "/".join(reversed(name.split(",")))


def sign(folder, name, subject, key_options, issuer, section, san="DNS:unused", extra=""):
    """FOLDER/NAME.key and .pem, signed by ISSUER (a path without ending), or by itself."""
    path = os.path.join(folder, name)
    conf = path + ".cnf"
    with open(conf, "w", encoding="utf-8") as f:
        f.write("[req]\ndistinguished_name = dn\n[dn]\n" + EXTENSIONS % (san, extra))
    openssl("genpkey", *key_options, "-out", path + ".key")
    words = ["req", "-new", "-x509", "-config", conf, "-key", path + ".key", "-subj", subject, "-days", "300",
             "-extensions", section, "-out", path + ".pem"]
    if "ED25519" not in key_options:
        words.append("-sha384" if "P-384" in " ".join(key_options) else "-sha256")
    if issuer:
        words += ["-CA", issuer + ".pem", "-CAkey", issuer + ".key"]
    openssl(*words)
    return path


def make(folder, kind):
    """Everything of one kind, once: FOLDER/KIND/{root,cordon,peer}.{pem,key}; NAME.chain.pem holds the whole chain but
    the root, the host's own first; authorities.pem the intermediate ones."""
    at = os.path.join(folder, kind)
    os.makedirs(at, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:  # worlds run two at a time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(at, "done")):
            make_anew(at, kind)
    return at


def make_anew(at, kind):
    k = KINDS[kind]
    options = KEYS[k.key]
    issuer = sign(at, "root", subject_words(root_name(kind)), options, None, "ca")
    between = ""
    for i in range(k.intermediates):
        issuer = sign(at, "between%d" % i, subject_words("CN=Interop %s authority %d,O=Cordon tests" % (kind, i)), options,
                      issuer, "ca")
        with open(issuer + ".pem", encoding="utf-8") as f:
            between = f.read() + between
    with open(os.path.join(at, "authorities.pem"), "w", encoding="utf-8") as f:
        f.write(between)
    for host in ("cordon", "peer"):
        san = "DNS:" + dns_name(kind, host)
        path = sign(at, host, subject_words(host_name(kind, host)) if k.subject else "/", options, issuer, "host",
                    san if k.subject else "critical," + san, k.extra)
        with open(path + ".pem", encoding="utf-8") as f, open(path + ".chain.pem", "w", encoding="utf-8") as out:
            out.write(f.read() + between)
    with open(os.path.join(at, "done"), "w", encoding="utf-8"):
        pass
