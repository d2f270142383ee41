#!/usr/bin/env python3
"""What the commands say of a cordond that answers as this test tells it to: live.py CORDON

Failures as a person and as a program sees them: show peers, status, why."""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

POLICY = """cordon: 1
hosts:
  srv1: { address: 10.77.1.21 }
  srv7: { address: 10.77.1.27 }
authentication: { machine-certificate: [ { certificate: { extended-key-usage: ike-intermediate } } ] }
connection-security:
  - { name: All Server/PAW Require IPsec, endpoint1: [srv1], endpoint2: [srv7], mode: require,
      authentication: machine-certificate }
"""
# The web site is closed but for members of "trusted"; the policy says that xp is one, and the daemon knows better.
GROUPS = """cordon: 1
hosts:
  srv1: { address: 10.77.1.21 }
  xp: { address: 10.77.1.30, groups: [trusted] }
  guest: { address: 10.77.1.31 }
groups: { trusted: [ { directory-group: 'BIGFIRM\\trusted' } ] }
authentication: { domain: [ { kerberos: { realm: BIGFIRM.COM } } ] }
connection-security:
  - { name: Web, endpoint1: [any], endpoint2: [srv1], protocol: tcp, port2: 80, mode: require, authentication: domain }
firewall:
  hosts: [srv1]
  inbound: block
  outbound: allow
  rules:
    - { name: Web is closed, action: block, direction: in, traffic: [tcp/80] }
    - { name: Trusted, action: bypass, direction: in, traffic: [tcp/80], secure: authenticated, machines: { allow: [trusted] } }
"""
TEXT = ("we refused 10.77.1.27 (CN=srv7) in IKE_AUTH: CN=srv7 has extended key usage serverAuth only; 'machine-certificate' "
        "asks for ike-intermediate (rule 'All Server/PAW Require IPsec')")


in_force = ["x"]  # the file that the policy came from


def peers():
    now = int(time.time() * 1000)
    failed = {"code": "usage-missing", "brief": "the certificate lacks an extended key usage", "refused_by": "here",
              "step": "IKE_AUTH", "notify": None, "local": "10.77.1.21", "rule": "All Server/PAW Require IPsec",
              "identity": "CN=srv7", "times": 3, "left_out": 2, "next_try_ms": now + 11900, "matters": True}
    fails = {"remote": "10.77.1.27", "host": "srv7", "identity": None, "outcome": None, "main_modes": 0, "quick_modes": 0,
             "octets_in": 0, "octets_out": 0, "method": None, "negotiating": 0, "failure": TEXT, "failed_ms": now - 40000,
             "failed": failed}
    works = {"remote": "10.77.1.10", "host": "dc1", "identity": "CN=dc1", "outcome": "encrypted", "main_modes": 1,
             "quick_modes": 2, "octets_in": 1200000, "octets_out": 340000, "method": "certificate", "negotiating": 0,
             "failure": None, "failed_ms": None, "failed": None}
    xp = dict(works, remote="10.77.1.30", host="xp", identity="xp$@BIGFIRM.COM", outcome="authenticated", method="kerberos",
              groups=[], groups_not_known=[], membership_ms=now - 5000)
    guest = dict(xp, remote="10.77.1.31", host="guest", identity="guest$@BIGFIRM.COM", groups=["trusted"])
    return [works, fails], [xp, guest]


def answer(request):
    rows, members = peers()
    if request["request"] == "show":
        return {"ok": True, "what": "peers", "rows": rows}
    if request["request"] == "state":
        return {"ok": True, "peers": rows + members, "main-mode": [{"local": "10.77.1.21", "remote": "10.77.1.10"}]}
    return {"ok": True, "state": "failing", "host": "srv1", "disabled": None, "policy": {
                "version": 41, "rules": 3, "firewall_rules": 1, "rules_here": 1, "applied_ms": 0, "by": "root", "path": in_force[0], "pending": None},
            "peers": {"encrypted": 1, "authenticated": 0, "clear": 0, "failing": 1},
            "keying": {"main_mode": 1, "negotiating": 0, "quick_mode": 2, "failures": rows[1:]},
            "plane": {"kind": "userspace"}, "certificates": []}


def serve(listener):
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        length = struct.unpack(">I", link.recv(4, socket.MSG_WAITALL))[0]
        reply = json.dumps(answer(json.loads(link.recv(length, socket.MSG_WAITALL)))).encode()
        link.sendall(struct.pack(">I", len(reply)) + reply)
        link.close()


def main():
    failures = 0
    with tempfile.TemporaryDirectory(prefix="cordon-test-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(folder + "/control")
        listener.listen(8)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        with open(folder + "/policy.yaml", "w", encoding="utf-8") as f:
            f.write(POLICY)
        with open(folder + "/groups.yaml", "w", encoding="utf-8") as f:
            f.write(GROUPS)

        def cordon(*words, run_dir=folder):
            done = subprocess.run([sys.argv[1], *words], env={**os.environ, "CORDON_RUN_DIR": run_dir}, capture_output=True,
                                  text=True, timeout=60, check=False)
            return done.returncode, "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines())

        def expect(what, got, want):
            nonlocal failures
            if want not in got:
                failures += 1
                print("%s\n--- want\n%s\n--- got\n%s" % (what, want, got))

        ask = ("why", "--policy", folder + "/policy.yaml", "srv7", "srv1", "tcp/445")
        expect("show peers has one line for each peer", cordon("show", "peers")[1],
               "HOST  ADDRESS     OUTCOME    IDENTITY  METHOD       GROUPS  MODES                IN     OUT  LAST FAILURE\n"
               "dc1   10.77.1.10  encrypted  CN=dc1    certificate  -       1 main, 2 quick  1.2 MB  340 kB\n"
               "srv7  10.77.1.27  fails      -         -            -       -                   0 B     0 B  "
               "usage-missing 40 s ago, 3 times, next try in 12 s: " + TEXT)
        status, said = cordon("status")
        expect("status names who fails and why in a few words", said,
               "Keying    1 main mode, 2 quick mode; 1 peer fails: srv7 (the certificate lacks an extended key usage)\n"
               "          srv7 10.77.1.27, 40 s ago, usage-missing: " + TEXT)
        expect("status exits 1", str(status), "1")
        expect("it counts both kinds of rules", said, "Policy    v41, 3 rules, 1 firewall rule, applied ")
        expect("why ends with what is the case just now", cordon(*ask)[1],
               "Live      the negotiation failed 40 s ago (usage-missing): we refused")
        expect("why says when it is tried again", " ".join(cordon(*ask)[1].split()),
               "It is tried again with the first packet in 12 s.")
        live = json.loads(cordon(*ask, "--json")[1])["live"]
        expect("why --json has the row", live["failed"]["code"], "usage-missing")
        others = cordon("why", "--policy", folder + "/policy.yaml", "10.77.1.99", "srv1", "tcp/445", "--json")[1]
        expect("why of others has none", str("live" in json.loads(others)), "False")
        expect("why without a daemon has none", str("live" in json.loads(cordon(*ask, "--json", run_dir=folder + "/nowhere")[1])),
               "False")
        helped = cordon("lab", "exec", "srv1", "ls", "--help")[1]
        expect("lab exec leaves --help to its command", str("usage: cordon lab" in helped), "False")
        for words in (("exec", "--help"), ("exec", "srv1", "--help"), ("run", "x", "--help")):
            expect("lab %s is the lab's own" % " ".join(words), cordon("lab", *words)[1], "usage: cordon lab run")
        expect("and says nothing of it", str(cordon(*ask, run_dir=folder + "/nowhere")[1].count("Live")), "0")

        web = lambda who, port="tcp/80": ("why", "--policy", folder + "/groups.yaml", who, "srv1", port)
        got = " ".join(cordon(*web("xp"))[1].split())
        expect("a group that is not proven blocks, whatever the policy says", got,
               "blocked xp 10.77.1.30 -> srv1 10.77.1.21 tcp/80 at this moment Because firewall rule 'Web is closed' of srv1 blocks "
               "it; 'Trusted' does not let it past, because xp has not proven that it is in trusted.")
        expect("what to do", got, "To allow put xp in a group that 'Trusted' allows; then, on xp, `cordon refresh` and "
               "`cordon rekey --proof`")
        expect("what the policy has", got, "Policy by the policy alone it would be encrypted; what xp has proven of its groups decides.")
        expect("the SAs do not help", got, "Live there are SAs (authenticated), but the firewall drops this traffic; 1 main mode")
        expect("it is not accepted", str("accepted" in got), "False")
        now = json.loads(cordon(*web("xp"), "--json")[1])
        expect("why --json has both", now["verdict"] + " " + now["now"]["verdict"], "encrypted blocked")
        expect("why --json says what to do", now["now"]["advice"], "cordon rekey --proof")
        expect("of all TCP the port has it too", str([c["now"]["verdict"] for c in json.loads(
            cordon(*web("xp", "tcp"), "--json")[1])["cases"] if "now" in c]), "['blocked']")
        got = " ".join(cordon(*web("guest"))[1].split())
        expect("a group that is proven lets in, whatever the policy says", got, "encrypted guest 10.77.1.31 -> srv1 10.77.1.21 "
               "tcp/80 at this moment")
        expect("and what the policy has", got, "Policy by the policy alone it would be blocked")
        now = json.loads(cordon(*web("guest"), "--json")[1])["now"]
        expect("nothing to do", str((now["verdict"], now["firewall"], now["advice"])), "('encrypted', 'Trusted', None)")
        in_force[0] = folder + "/groups.yaml"
        expect("without --policy, that which is in force", cordon("why", "guest", "srv1", "tcp/80")[1], "at this moment")
        expect("--run-dir tells whom to ask", cordon("why", "--run-dir", folder, "guest", "srv1", "tcp/80",
                                                     run_dir=folder + "/nowhere")[1], "at this moment")
        in_force[0] = folder + "/gone.yaml"
        status, said = cordon("why", "guest", "srv1", "tcp/80")
        expect("its file is gone", "%d %s" % (status, said), "1 error: %s/gone.yaml: No such file" % folder)
        expect("and what to do", said, "it is where the policy in force came from; name another one by --policy")
        got = cordon(*web("xp"), run_dir=folder + "/nowhere")[1]
        expect("where nobody knows, the policy", str(("at this moment" in got, got.startswith("encrypted"))), "(False, True)")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
