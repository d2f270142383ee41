"""A real Active Directory for tests: Samba's domain controller in a network namespace, made by `Domain(host, address)` in under 10 s and
removed when the test ends. Accounts, groups and keytabs are made straight in its database.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from lib import on_exit, run, skip

PYTHON = "/usr/bin/python3"
ADMIN = "Adm1n.Pass-9"
# Only what answers machines: no files, no printers, nothing that goes out to look for others.
SERVICES = "ldap, cldap, kdc, dns, rpc"
CONF = """[global]
    netbios name = {name}
    realm = {realm}
    workgroup = {netbios}
    server role = active directory domain controller
    server services = {services}
    interfaces = lo {address}
    bind interfaces only = yes
    private dir = {at}/private
    state directory = {at}/state
    cache directory = {at}/cache
    lock directory = {at}
    pid directory = {at}
    ncalrpc dir = {at}/ncalrpc
    ntp signd socket directory = {at}/ntp_signd
    binddns dir = {at}/bind-dns
    log file = {at}/log.%m
    logging = file
    load printers = no
    printcap name = /dev/null
    disable spoolss = yes
    dns forwarder =
    {more}
"""
KRB5 = """[libdefaults]
    default_realm = {realm}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    rdns = false
    dns_canonicalize_hostname = false
    udp_preference_limit = 1
    forwardable = false
[realms]
    {realm} = {{
        kdc = {address}
        admin_server = {address}
    }}
[domain_realm]
    .{dns} = {realm}
    {dns} = {realm}
"""


def need_samba():
    for program in ("samba", "samba-tool"):
        if not shutil.which(program):
            skip("%s is not installed" % program)
    if subprocess.run([PYTHON, "-c", "import samba.dckeytab"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("python3-samba is not installed")


class Domain:
    """A domain of one controller, which runs in the namespace of `host`, at `address`, which that has already. `more`: lines of
    smb.conf."""

    def __init__(self, host, address, realm="CORP.EXAMPLE", netbios="CORP", name="dc1", more=""):
        need_samba()
        self.host, self.address, self.realm, self.netbios, self.name = host, address, realm, netbios, name
        self.dns = realm.lower()
        self.base = "DC=" + self.dns.replace(".", ",DC=")
        self.folder = tempfile.mkdtemp(prefix="cordon-samba-")
        on_exit(lambda: shutil.rmtree(self.folder, ignore_errors=True))
        self.at, self.p, self.db = self.folder + "/dc", None, None
        self.conf = self.at + "/etc/smb.conf"
        self.krb5 = self.folder + "/krb5.conf"
        with open(self.krb5, "w", encoding="utf-8") as f:
            f.write(KRB5.format(realm=realm, address=address, dns=self.dns))
        self._provision(more)
        on_exit(self._end)
        self.start()

    def _end(self):
        self.db.kill()
        self.db.wait()
        self.stop()

    def _provision(self, more):
        run("ip", "netns", "exec", self.host.name, "samba-tool", "domain", "provision", "--realm=" + self.realm,
            "--domain=" + self.netbios, "--server-role=dc", "--dns-backend=SAMBA_INTERNAL", "--targetdir=" + self.at,
            "--adminpass=" + ADMIN, "--host-name=" + self.name, "--host-ip=" + self.address)
        # Provision keeps paths of the system's own Samba in smb.conf.
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(CONF.format(name=self.name.upper(), realm=self.realm, netbios=self.netbios, services=SERVICES,
                                address=self.address, at=self.at, more=more))
        for folder in ("cache", "ncalrpc", "ntp_signd"):
            os.makedirs("%s/%s" % (self.at, folder), exist_ok=True)
        os.chmod(self.at + "/ntp_signd", 0o750)
        self._open()
        # The service that would add these also asks names of the system's own DNS.
        host = "%s.%s" % (self.name, self.dns)
        self._do("add", self.name + "$", "servicePrincipalName",
                 ["ldap/" + host, "ldap/" + self.name, "ldap/%s/%s" % (host, self.dns)])

    # ---- the server ---------------------------------------------------------------------------------------------

    def start(self):
        with open(self.folder + "/out", "a", encoding="utf-8") as out:
            # smbd's folder is the program's own wherever smb.conf says, so this one has its own /run/samba.
            self.p = subprocess.Popen(
                ["ip", "netns", "exec", self.host.name, "sh", "-c",
                 "mkdir -p /run/samba && mount -t tmpfs -o mode=755 tmpfs /run/samba && exec samba -F --no-process-group -s \"$1\"", "sh",
                 self.conf], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={k: v for k, v in os.environ.items() if not k.startswith("KRB5")})
        end = time.time() + 60
        while not all(self._answers(port) for port in (389, 88)):
            if self.p.poll() is not None or time.time() > end:
                with open(self.folder + "/out", encoding="utf-8") as f:
                    raise RuntimeError("samba does not start: " + f.read()[-2000:])
            time.sleep(0.1)
        return self

    def _answers(self, port):
        s = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.connect((self.address, port))
            return True
        except OSError:
            return False
        finally:
            s.close()

    def stop(self):
        """As when its power fails: nothing of it answers any more. Each of its servers is a session of its own, and what one of them began
        after we had looked is nobody's child; but all have the mounts that start() made for them. A busy machine takes its time to end
        what was killed, and until then its ports answer, for which the next start() would take its own."""
        if self.p is None:
            return
        first = self.p.pid
        mounts = _mounts_of(first)
        _kill(_below(first) + [first])
        self.p.wait(60)
        self.p = None
        end = time.monotonic() + 60
        while mounts and mounts != _mounts_of("self") and (left := [pid for pid in _all() if _mounts_of(pid) == mounts]):
            if time.monotonic() > end:
                raise RuntimeError("Samba does not end: %s" % left)
            _kill(left)
            time.sleep(0.02)

    # ---- what is in it: samba_db.py does it ----------------------------------------------------------------------------

    def _open(self):
        # Samba's modules are the system's Python's, whichever runs this.
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samba_db.py")
        self.db = subprocess.Popen([PYTHON, program, self.conf, self.at + "/private/sam.ldb"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def _do(self, what, *arguments):
        self.db.stdin.write(json.dumps([what, *arguments]) + "\n")
        self.db.stdin.flush()
        answer = json.loads(self.db.stdout.readline() or '{"error": "samba_db.py has ended"}')
        if "error" in answer:
            raise RuntimeError("%s %s: %s" % (what, arguments, answer["error"]))
        return answer["is"]

    def sid(self, name):
        """Of an account or group, as text."""
        return self._do("sid", name)

    def group(self, name, *members, local=False):
        """Made if it is not there; its members are accounts or groups. local: it counts within the domain only."""
        self._do("group", name, members, local)

    def groups(self, prefix, count, member):
        """Many at once: prefix0, prefix1 ..., each with that member."""
        self._do("groups", prefix, count, member)

    def leave(self, group, member):
        self._do("leave", group, member)

    def delete_group(self, name):
        self._do("delete", name)

    def machine(self, name, *groups):
        """An account with its service names, in these groups; the path of its keytab."""
        path = "%s/%s.keytab" % (self.folder, name)
        self._do("machine", name, "%s.%s" % (name, self.dns), path)
        for group in groups:
            self.group(group, name + "$")
        return path

    def replace(self, name, attribute, *values):
        """An attribute of an account or group."""
        self._do("replace", name, attribute, values)


def _all():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _mounts_of(pid):
    """Its mount namespace; of what is dead, or of nobody any more, none."""
    try:
        return os.readlink("/proc/%s/ns/mnt" % pid)
    except OSError:
        return None


def _kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _below(pid):
    """All that descend from it."""
    parents = {}
    for entry in _all():
        try:
            with open("/proc/%d/stat" % entry, encoding="utf-8") as f:
                parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(entry)
        except OSError:
            pass
    found, ask = [], [pid]
    while ask:
        children = parents.get(ask.pop(), [])
        found += children
        ask += children
    return found
