"""A KDC of MIT's, in a network namespace of its own: realms, principals, keytabs."""
import os, pathlib, shutil, subprocess, tempfile, time

SBIN = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])


def program(name):
    at = shutil.which(name, path=SBIN)
    if not at:
        raise SystemExit(f"{name} is missing: apt-get install krb5-kdc krb5-admin-server krb5-user")
    return at


class Kdc:
    """realms: the first is the KDC's own; all are served, each with a database of its own. In the namespace `ns` (which
    the caller makes; None: where we are), at `address`."""

    def __init__(self, ns, address="127.0.0.1", realms=("KRB.EXAMPLE",), life="10h", enctypes="aes256-cts:normal aes128-cts:normal"):
        self.ns, self.address, self.realms, self.process = ns, address, list(realms), None
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cordon-kdc-"))
        conf = self.dir / "krb5.conf"
        conf.write_text("[libdefaults]\n default_realm = %s\n dns_lookup_kdc = false\n rdns = false\n"
                        " dns_canonicalize_hostname = false\n[realms]\n%s[dbmodules]\n%s"
                        % (realms[0], "".join(f" {r} = {{\n  kdc = {address}\n }}\n" for r in realms), ""))
        kdc = "[kdcdefaults]\n kdc_listen = %s:88\n kdc_tcp_listen = %s:88\n[realms]\n" % (address, address)
        for r in realms:
            kdc += (f" {r} = {{\n  database_name = {self.dir}/{r}\n  key_stash_file = {self.dir}/{r}.stash\n"
                    f"  supported_enctypes = {enctypes}\n  max_life = {life}\n  max_renewable_life = 0\n }}\n")
        kdc += f"[logging]\n kdc = FILE:{self.dir}/kdc.log\n"
        (self.dir / "kdc.conf").write_text(kdc)
        self.env = dict(os.environ, KRB5_CONFIG=str(conf), KRB5_KDC_PROFILE=str(self.dir / "kdc.conf"))
        for r in realms:
            self.run("kdb5_util", "create", "-s", "-r", r, "-P", "master")
            self.admin(r, f"modprinc -maxlife \"{life}\" krbtgt/{r}")

    def run(self, name, *args):
        ns = ["ip", "netns", "exec", self.ns] if self.ns else []
        p = subprocess.run(ns + [program(name), *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        if p.returncode:
            raise RuntimeError(f"{name} {' '.join(args)}: {p.stdout}")
        return p.stdout

    def admin(self, realm, query):
        return self.run("kadmin.local", "-r", realm, "-q", query)

    def add(self, principal, *options):
        realm = principal.split("@")[1]
        out = self.admin(realm, f"addprinc {' '.join(options)} -randkey {principal}")
        assert "created" in out, out

    def keytab(self, name, *principals, keep=False):
        """Write the keys of these to a file; keep: the same keys, else new ones with the next number."""
        path = self.dir / f"{name}.keytab"
        path.unlink(missing_ok=True)
        for p in principals:
            self.admin(p.split("@")[1], f"ktadd -k {path} {'-norandkey ' if keep else ''}{p}")
        path.chmod(0o600)
        return str(path)

    def trust(self, one, other):
        """Tickets of one realm are good for services of the other, both ways."""
        for tgt in (f"krbtgt/{one}@{other}", f"krbtgt/{other}@{one}"):
            for realm in (one, other):
                self.admin(realm, f"addprinc -pw trusted {tgt}")

    def start(self):
        ns = ["ip", "netns", "exec", self.ns] if self.ns else []
        args = [a for r in self.realms for a in ("-r", r)]
        self.process = subprocess.Popen(ns + [program("krb5kdc"), "-n", *args], env=self.env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            p = subprocess.run(ns + ["bash", "-c", f"exec 3<>/dev/tcp/{self.address}/88"], stderr=subprocess.DEVNULL)
            if p.returncode == 0:
                return self
            time.sleep(0.05)
        raise RuntimeError("the KDC did not begin: " + (self.dir / "kdc.log").read_text())

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
