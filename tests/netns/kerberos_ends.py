"""identity/kerberos/kerberos.h against a KDC of MIT's: two ends in one program. kerberos_ends.py PROGRAM"""
import os, re, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kdc import Kdc

ENDS = sys.argv[1]
NS = f"krbends-{os.getpid()}"
R = "KRB.EXAMPLE"
A, B, MACHINE = f"host/a.krb.example@{R}", f"host/b.krb.example@{R}", f"A$@{R}"
failures = []


def ends(*args):
    p = subprocess.run(["ip", "netns", "exec", NS, ENDS, "127.0.0.1", *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    return p.stdout + ("" if p.returncode == 0 else f"exit {p.returncode}\n")


def expect(what, out, *patterns):
    lines = out.splitlines()
    ok = len(lines) == len(patterns) and all(re.search(p, line) for p, line in zip(patterns, lines))
    print(("ok   " if ok else "FAIL ") + what)
    if not ok:
        failures.append(what)
    if not ok or os.environ.get("V"):
        print("     " + out.replace("\n", "\n     "))


def damaged(path, name, change):
    to = os.path.join(os.path.dirname(path), name)
    data = bytearray(open(path, "rb").read())
    with open(to, "wb") as f:
        f.write(change(data))
    return to


def main():
    k = Kdc(NS, realms=(R, "OTHER.EXAMPLE"))
    try:
        run(k.start())
    finally:
        k.close()


def run(k):
    for p in (A, B, MACHINE):
        k.add(p)
    k.add("host/o.other.example@OTHER.EXAMPLE")
    k.trust(R, "OTHER.EXAMPLE")
    a, b = k.keytab("a", A, MACHINE), k.keytab("b", B)
    o = k.keytab("o", "host/o.other.example@OTHER.EXAMPLE")
    done = rf"^complete A\$@{R} of {B} good=(359\d\d|36000)/(359\d\d|36000) wrap=\d\d token=\d+ sids=0 learnt=\d+ $"

    expect("a context, by the account's key", ends(a, b, B), done)
    expect("small requests by datagram", ends(a, b, B, "udp"), done, r"^udp [1-9]\d* tcp \d+$")
    expect("cross-realm", ends(a, o, "host/o.other.example@OTHER.EXAMPLE"), r"^complete A\$@KRB.EXAMPLE of host/o")
    expect("bound alike", ends(a, b, B, "bind=x,x"), done)
    expect("bound otherwise", ends(a, b, B, "bind=x,y"), r"^failed acceptor: .*bound to another exchange", "^told initiator")
    expect("bound at the acceptor alone", ends(a, b, B, "bind=-,y"), r"^failed acceptor: .*not bound to this exchange", "^told|^failed")
    # A token twice: a context again, but its keys need the session key, which only the initiator has.
    expect("no replay cache", ends(a, b, B, "twice"), done, r"again: taken")
    expect("the ticket does without a KDC", ends(a, b, B, "again"), done, done, done)
    expect("unknown service", ends(a, b, f"host/c.krb.example@{R}"), r"^failed initiator: .*knows no service host/c.*servicePrincipalName")
    expect("unknown realm", ends(a, b, "host/c@NOWHERE"), r"^failed initiator: ")
    expect("no realm", ends(a, b, "host/c"), r"^failed initiator: .*no principal with a realm")
    expect("no KDC", ends(a, b, B, "dead"), r"^failed initiator: no KDC answers")
    # An initiator goes by its KDC's time.
    expect("a clock ahead of the KDC's and the peer's", ends(a, b, B, "ahead=720"), done)
    expect("a clock behind", ends(a, b, B, "behind=720"), done)
    expect("the acceptor's clock ahead", ends(a, b, B, "late=660"),
           r"^failed acceptor: this host's clock is 11 min ahead of the peer's \(5 min are allowed\)",
           r"^told initiator: this host's clock is 11 min behind the peer's")
    expect("a ticket that has ended", ends(a, b, B, "late=40000"), r"^failed acceptor: ", r"^told initiator: ")
    expect("a keytab of another host", ends(a, a, B), rf"^failed acceptor: its ticket is for {B} .*no key of this host's keytab opens",
           r"^told initiator: .*cannot open this host's ticket")
    old = shutil.copy(b, b + ".old")
    new = k.keytab("b", B)
    expect("a keytab that is older than the password", ends(a, old, B),
           rf"^failed acceptor: its ticket for {B} wants key version 3 \(aes256-cts\), and this host's keytab has 2: ", r"^told initiator: ")
    expect("a keytab that is replaced", ends(a, old, B, f"swap={new}"), r"^failed acceptor", r"^told initiator", done)
    older = shutil.copy(a, a + ".old")
    k.keytab("a", A, MACHINE)
    expect("an account whose password was changed", ends(older, new, B), r"^failed initiator: the KDC refuses this host's key of A\$@KRB.EXAMPLE \(version 2 in the keytab\)")
    a = k.keytab("a", A, MACHINE)
    k.admin(R, f"modprinc -allow_tix {MACHINE}")
    expect("an account that is disabled", ends(a, new, B), r"^failed initiator: .*disabled or locked")
    k.admin(R, f"delprinc -force {MACHINE}")
    expect("an account that is gone", ends(a, new, B), r"^failed initiator: .*does not know this host's account A\$@")
    only = k.keytab("only", A)
    expect("a host without a machine account", ends(only, new, B), rf"^complete {A} of {B} ")
    expect("an empty keytab", ends(damaged(new, "empty", lambda d: b""), new, B), r"^initiator: keytab .* is empty", r"^failed initiator: this host has no Kerberos keytab")
    expect("a cut keytab", ends(damaged(only, "cut", lambda d: d[:-7]), new, B), r"is cut", r"^failed initiator")


if os.geteuid():
    sys.exit("needs root")
subprocess.run(["ip", "netns", "add", NS], check=True)
subprocess.run(["ip", "-n", NS, "link", "set", "lo", "up"], check=True)
try:
    main()
finally:
    subprocess.run(["ip", "netns", "del", NS], check=True)
sys.exit(1 if failures else 0)
