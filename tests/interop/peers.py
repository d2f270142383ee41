"""A row, in the words of each peer's configuration. Each class makes the files of one world below its folder."""
import os

import pki

SECRET = "a long secret that both ends of this row know"
PPK = "dzFVxtoNl3ZGXUMBCWUm6wK4tcIjYBYXaE9CgHUFFiY="
WRONG = "a secret that only one end of this row knows"
STRONGSWAN_ENCR = {"aes128gcm": "aes128gcm16", "aes192gcm": "aes192gcm16", "aes256gcm": "aes256gcm16"}
LIBRESWAN_GROUP = {"modp2048": "dh14", "modp3072": "dh15", "modp4096": "dh16", "modp6144": "dh17", "modp8192": "dh18",
                   "ecp256": "dh19", "ecp384": "dh20", "ecp521": "dh21", "x25519": "dh31"}
LIBRESWAN_HASH = {"sha1": "sha1", "sha256": "sha2_256", "sha384": "sha2_384", "sha512": "sha2_512"}
OPENIKED_GROUP = {"x25519": "curve25519"}
GROUPS = set(LIBRESWAN_GROUP) | {"x448", "modp1024", "modp1536"}


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)


def aead(encr):
    return "gcm" in encr or "gmac" in encr or encr.startswith("chacha20")


def child_parts(proposal):
    """esp-aes256-sha256-ecp384: ("esp", "aes256", "sha256", "ecp384"), with "" for what is not there. The integrity-only
    form esp-sha256-null names its parts the other way round."""
    words = proposal.split("-")
    protocol, words = words[0], words[1:]
    group = words.pop() if words[-1] in GROUPS else ""
    if protocol == "ah":
        return "ah", "", words[0], group
    if len(words) == 2 and words[1] == "null":
        return "esp", "null", words[0], group
    return "esp", words[0], words[1] if len(words) > 1 else "", group


def version(row):
    """What the peer speaks."""
    return 1 if "v1" in row.options or "v1-fallback" in row.options else 2


def has_ppk(row):
    """A post-quantum pre-shared key at the peer (RFC 8784)."""
    return any(o in ("peer-ppk", "peer-ppk-required", "peer-ppk-other") for o in row.options)


def ppk_of(row):
    """What it calls it, and the key."""
    return ("other-" + row.name, WRONG) if "peer-ppk-other" in row.options else ("ppk-" + row.name, PPK)


class Peer:
    def __init__(self, world):
        self.world = world          # its folder, rows and addresses
        self.folder = os.path.join(world.folder, "peer")

    def proof(self, row):
        return row.peer_proof or row.proof

    def secret(self, row):
        return WRONG if "wrong-secret" in row.options else SECRET


class Strongswan(Peer):
    @staticmethod
    def ike(proposal):
        encr, prf, group = proposal.split("-")
        encr = STRONGSWAN_ENCR.get(encr, encr)
        return "%s-%s-%s" % (encr, "prf" + prf if aead(encr) else prf, group)

    @staticmethod
    def child(proposal):
        _, encr, integ, group = child_parts(proposal)
        return "-".join(w for w in (STRONGSWAN_ENCR.get(encr, encr), integ, group) if w)

    def connection(self, row):
        w, o = self.world, row.options
        kind, trusted = self.proof(row), row.trusts or row.proof
        if kind == "psk":
            local, remote = "auth = psk\n    id = %s" % w.peer_own(row), "auth = psk\n    id = %s" % w.local(row)
        else:
            k = pki.KINDS[kind]
            local = "auth = pubkey\n    certs = %s.pem\n    id = \"%s\"" % (
                kind, pki.forwards(pki.host_name(kind, "peer")) if k.subject else pki.dns_name(kind, "peer"))
            ours = pki.KINDS[trusted]
            remote = "auth = pubkey\n    cacerts = %s.pem\n    id = \"%s\"" % (
                trusted, pki.forwards(pki.host_name(row.proof, "cordon")) if ours.subject else pki.dns_name(row.proof, "cordon"))
        lines = ["version = %d" % version(row), "unique = never", "local_addrs = %s" % w.peer_own(row), "remote_addrs = %s" % w.local_seen(row),
                 "proposals = %s" % ",".join(map(self.ike, row.peer_ike or row.ike)),
                 "local {\n    %s\n  }" % local, "remote {\n    %s\n  }" % remote]
        child = ["mode = %s" % ("tunnel" if "tunnel" in o else "transport"), "start_action = none"]
        if "our-net" in o:
            child.append("remote_ts = %s" % w.local_net(row))
        if "peer-net" in o:
            child.append("local_ts = %s" % w.remote_net(row))
        if version(row) == 1 and kind != "psk":
            lines.append("send_cert = always")
        protocol = child_parts((row.peer_esp or row.esp)[0])[0]
        child.append("%s_proposals = %s" % (protocol, ",".join(map(self.child, row.peer_esp or row.esp))))
        if has_ppk(row):
            lines.append("ppk_id = %s" % ppk_of(row)[0])
            lines.append("ppk_required = %s" % ("yes" if "peer-ppk-required" in o else "no"))
        for word in o:
            if word.startswith("swan:"):
                lines.append(word[5:])
            if word.startswith("swan-child:"):
                child.append(word[11:])
        return "%s {\n  %s\n  children { %s {\n    %s\n  } }\n}\n" % (row.name, "\n  ".join(lines), row.name,
                                                                     "\n    ".join(child))

    def write(self):
        conf, secrets = [], []
        for row in self.world.rows:
            conf.append(self.connection(row))
            kind = self.proof(row)
            if has_ppk(row):
                secrets.append('ppk-%s { id = %s\n  secret = "%s" }\n' % (row.name, *ppk_of(row)))
            if kind == "psk":
                secrets.append('ike-%s { id-a = %s\n  id-b = %s\n  secret = "%s" }\n' % (
                    row.name, self.world.local(row), self.world.peer_own(row), self.secret(row)))
                continue
            for k in {kind, row.trusts or row.proof}:
                at = pki.make(self.world.pki, k)
                write_from(os.path.join(self.folder, "x509ca", k + ".pem"), at + "/root.pem")
            at = pki.make(self.world.pki, kind)
            write_from(os.path.join(self.folder, "x509", kind + ".pem"), at + "/peer.pem")
            write_from(os.path.join(self.folder, "private", kind + ".pem"), at + "/peer.key")
            if pki.KINDS[kind].intermediates:
                for i in range(pki.KINDS[kind].intermediates):
                    write_from(os.path.join(self.folder, "x509ca", "%s%d.pem" % (kind, i)), at + "/between%d.pem" % i)
        write(os.path.join(self.folder, "swanctl.conf"),
              "connections {\n%s}\nsecrets {\n%s}\n" % ("".join(conf), "".join(secrets)))
        write(os.path.join(self.folder, "strongswan.conf"), """include /etc/strongswan.conf
charon-systemd {
  threads = 64
  %s
  filelog { log {
    path = %s/peer.log
    default = 1
    flush_line = yes
    time_format = %%H:%%M:%%S
    enc = 1
  } }
}
""" % ("\n  ".join(self.world.charon), self.world.folder))


class Libreswan(Peer):
    @staticmethod
    def encr(name):
        if name in ("null", "3des"):
            return name
        if name == "chacha20poly1305":
            return "chacha20_poly1305"
        for end, form in (("gcm", "aes_gcm%s"), ("ctr", "aes_ctr%s"), ("gmac", "null_auth_aes_gmac%s"), ("", "aes%s")):
            if name.endswith(end):
                return form % name[3:6]
        raise ValueError(name)

    def ike(self, proposal):
        encr, prf, group = proposal.split("-")
        return "%s-%s;%s" % (self.encr(encr), LIBRESWAN_HASH[prf], LIBRESWAN_GROUP[group])

    def child(self, proposal):
        protocol, encr, integ, group = child_parts(proposal)
        words = [self.encr(encr)] if encr else []
        if integ:
            words.append(LIBRESWAN_HASH[integ])
        return "-".join(words) + (";" + LIBRESWAN_GROUP[group] if group else "")

    def connection(self, row):
        w, kind = self.world, self.proof(row)
        proposals = row.peer_esp or row.esp
        protocol, _, _, group = child_parts(proposals[0])
        lines = ["ikev2=%s" % ("no" if version(row) == 1 else "insist"), "auto=add", "left=%s" % w.peer_own(row), "right=%s" % w.local_seen(row),
                 "type=%s" % ("tunnel" if "tunnel" in row.options else "transport"), "leftupdown=%disabled",
                 "ike=%s" % ",".join(map(self.ike, row.peer_ike or row.ike)),
                 "phase2=%s" % protocol, "phase2alg=%s" % ",".join(map(self.child, proposals)),
                 "pfs=%s" % ("yes" if group else "no")]
        if kind == "psk":
            lines.append("authby=secret")
            if row.world == "nat":
                lines.append("rightid=%s" % w.local(row))
        else:
            mine, ours = pki.KINDS[kind], pki.KINDS[row.proof]
            lines += ["authby=%s" % ("ecdsa" if mine.key.startswith("ecdsa") else "rsasig"), "leftcert=peer-%s" % kind,
                      "leftsendcert=always", "sendca=all", "rightca=\"%s\"" % pki.forwards(pki.root_name(row.trusts or row.proof)),
                      "leftid=%s" % ("%fromcert" if mine.subject else "@" + pki.dns_name(kind, "peer")),
                      "rightid=\"%s\"" % (pki.forwards(pki.host_name(row.proof, "cordon")) if ours.subject
                                          else "@" + pki.dns_name(row.proof, "cordon"))]
            if pki.KINDS[row.trusts or row.proof].intermediates:
                lines = [x for x in lines if not x.startswith("rightca=")]
        if "our-net" in row.options:
            lines.append("rightsubnet=%s" % w.local_net(row))
        if "peer-net" in row.options:
            lines.append("leftsubnet=%s" % w.remote_net(row))
        if has_ppk(row):
            lines.append("ppk=%s" % ("insist" if "peer-ppk-required" in row.options else "propose"))
        for word in row.options:
            if word.startswith("pluto:"):
                lines.append(word[6:])
        return "conn %s\n\t%s\n" % (row.name, "\n\t".join(lines))

    def write(self):
        conf = ["config setup\n\tdumpdir=/run/pluto\n\tlogtime=no\n\tuniqueids=no\n\tikev1-policy=accept\n"]
        secrets, kinds, roots = [], set(), set()
        for row in self.world.rows:
            conf.append(self.connection(row))
            if has_ppk(row):
                secrets.append("%s %s : PPKS \"%s\" \"%s\"\n" % (self.world.peer_own(row), self.world.local(row), *ppk_of(row)))
            if self.proof(row) == "psk":
                secrets.append("%s %s : PSK \"%s\"\n" % (self.world.peer_own(row), self.world.local(row), self.secret(row)))
            else:
                kinds.add(self.proof(row))
                roots |= {self.proof(row), row.trusts or row.proof}
        nss = os.path.join(self.folder, "nss")
        os.makedirs(nss, exist_ok=True)
        tool = self.world.tool
        tool("certutil", "-N", "-d", "sql:" + nss, "--empty-password")
        for kind in sorted(roots):
            at = pki.make(self.world.pki, kind)
            tool("certutil", "-A", "-d", "sql:" + nss, "-n", "root-" + kind, "-t", "CT,,", "-i", at + "/root.pem")
            for i in range(pki.KINDS[kind].intermediates):
                tool("certutil", "-A", "-d", "sql:" + nss, "-n", "between-%s-%d" % (kind, i), "-t", ",,", "-i",
                     at + "/between%d.pem" % i)
        for kind in sorted(kinds):
            at = pki.make(self.world.pki, kind)
            bag = os.path.join(self.folder, kind + ".p12")
            pki.openssl("pkcs12", "-export", "-in", at + "/peer.pem", "-inkey", at + "/peer.key", "-name", "peer-" + kind,
                        "-out", bag, "-passout", "pass:")
            tool("pk12util", "-i", bag, "-d", "sql:" + nss, "-W", "")
        write(os.path.join(self.folder, "ipsec.conf"), "".join(conf))
        write(os.path.join(self.folder, "ipsec.secrets"), "".join(secrets), 0o600)


class Openiked(Peer):
    """Has one key for all its certificates: a world has one kind."""

    @staticmethod
    def encr(name):
        for end in ("gcm", "ctr", "gmac"):
            if name.endswith(end):
                return "aes-%s-%s" % (name[3:6], end)
        return {"chacha20poly1305": "chacha20-poly1305", "3des": "3des", "null": "null"}.get(name) or "aes-" + name[3:]

    def ike(self, proposal):
        encr, prf, group = proposal.split("-")
        integ = "" if aead(encr) else " auth hmac-%s" % sha(prf)
        return "ikesa%s enc %s prf hmac-%s group %s" % (integ, self.encr(encr), sha(prf), OPENIKED_GROUP.get(group, group))

    def policy(self, row):
        w, kind = self.world, self.proof(row)
        proposals = row.peer_esp or row.esp
        lines = ['ikev2 "%s" %s %s %s %s' % (row.name, "active" if row.starts == "peer" else "passive",
                                           "tunnel" if "tunnel" in row.options else "transport",
                                           child_parts(proposals[0])[0], "inet6" if row.family == 6 else "inet"),
                 "from %s to %s" % (w.remote_net(row) if "peer-net" in row.options else w.peer_own(row), w.local_net(row)),
                 "local %s peer %s" % (w.peer_own(row), w.local_seen(row))]
        lines += map(self.ike, row.peer_ike or row.ike)
        # No `childsa`: on Linux it is sent without key lengths and extended sequence numbers, and nobody can take it, iked itself
        # neither. So its defaults meet what our policy asks for.
        if kind == "psk":
            lines += ["srcid %s dstid %s" % (w.peer_own(row), w.local(row))]
        else:
            lines += ["srcid %s" % pki.dns_name(kind, "peer"), 'dstid "%s"' % (
                pki.subject_words(pki.host_name(row.proof, "cordon")) if pki.KINDS[row.proof].subject
                else pki.dns_name(row.proof, "cordon"))]
        for word in row.options:
            if word.startswith("iked:"):
                lines.append(word[5:])
        if kind == "psk":
            lines.append('psk "%s"' % self.secret(row))
        return " \\\n\t".join(lines) + "\n"

    def write(self):
        text = ["set passive\n"] + self.world.iked
        # Without a key of its own it does not start.
        write_from(os.path.join(self.folder, "iked/private/local.key"), pki.make(self.world.pki, "ecdsa-p256") + "/peer.key")
        for row in self.world.rows:
            text.append(self.policy(row))
            if self.proof(row) == "psk":
                continue
            for kind in {self.proof(row), row.trusts or row.proof}:
                at = pki.make(self.world.pki, kind)
                write_from(os.path.join(self.folder, "iked/ca", kind + ".crt"), at + "/root.pem", 0o644)
            at = pki.make(self.world.pki, self.proof(row))
            write_from(os.path.join(self.folder, "iked/certs", self.proof(row) + ".crt"), at + "/peer.pem", 0o644)
            write_from(os.path.join(self.folder, "iked/private/local.key"), at + "/peer.key")
        write(os.path.join(self.folder, "iked.conf"), "".join(text), 0o600)


def sha(name):
    return name if name == "sha1" else "sha2-" + name[3:]


def write_from(path, source, mode=0o600):
    with open(source, encoding="utf-8") as f:
        write(path, f.read(), mode)


KINDS = {"strongswan": Strongswan, "libreswan": Libreswan, "openiked": Openiked}
