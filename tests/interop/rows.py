"""What is tried with each peer, as data. A row is two addresses of their own, a rule of Cordon's policy for them, a connection
of the peer's configuration, and steps that are taken one after another while other rows take theirs.

Steps, done in the guest by world.sh:
  up             traffic from our side until it passes, or the peer is told to begin, as the row says who starts
  refused        the same, and nothing may pass
  ping           an ICMP echo
  count N        N numbered datagrams, five a second, and back; not one may be lost
  tcp            a text by TCP, and back
  begin N [M] / end  numbered datagrams in the background while other steps are taken; M may be lost
  rekey ike|child, delete ike|child       the peer does it; it may only have begun, or have left it for what it is at
  rekeyed        there is a new SA in place of that of before the last `rekey child` (transport mode without a NAT)
  without        our policy is applied without the row's rule
  again          datagrams from our side, the first of which may have to wait for a new SA
  silent N       pings for N seconds, none of which is answered
  restart peer|cordon                     is killed, and starts again
  gone           the peer's kernel has no state with us any more
  sleep N, cut, mend                      the wire between the two
"""
from dataclasses import dataclass, field

PEERS = ("strongswan", "libreswan", "openiked")
IKE, ESP = "aes256-sha384-ecp384", "esp-aes256gcm"
IKED_ESP = "esp-aes256-sha384"  # what it offers and takes on Linux is fixed: AES-CBC with SHA-384, SHA-512 or SHA-1
QUICK = ("up", "ping", "count 5", "tcp")


@dataclass(frozen=True, eq=False)
class Row:
    name: str
    what: str                      # the table's line; a row of each start makes a column
    starts: str = "cordon"         # or "peer"
    peers: tuple = PEERS
    proof: str = "psk"             # or a kind of pki.py
    peer_proof: str = ""           # where the peer's differs
    trusts: str = ""               # the kind whose authority we ask for, where it is not the peer's
    family: int = 4
    ike: tuple = (IKE,)
    esp: tuple = (ESP,)
    peer_ike: tuple = ()           # where the peer offers or takes something else
    peer_esp: tuple = ()
    ike_life: int = 0              # ours, seconds
    child_life: int = 0
    options: tuple = ()            # words that peers.py knows
    steps: tuple = QUICK
    expect: str = "encrypted"      # authenticated | refused
    says: dict = field(default_factory=dict)   # "cordon" or a peer: expressions that its log must hold, in this order
    spis: int = 1                  # different SPIs in each direction, at least
    spis_most: int = 0
    long: bool = False             # only with --long
    world: str = "main"

    @property
    def lasts(self):
        return any(s.split()[0] in ("begin", "sleep", "silent") for s in self.steps)

    @property
    def alone(self):
        """While a policy is put in force the emulated machine has time for little else, and would be late for other rows."""
        return any(s.split()[0] in ("without", "restart") for s in self.steps) and not self.lasts

    @property
    def key(self):
        return "%s, %s starts" % (self.what, self.starts)


ROWS = []


def both(name, what, **kw):
    """Cordon starts, and the peer starts."""
    for starts in ("cordon", "peer"):
        over = kw.get(starts, {})
        ROWS.append(Row("%s-%s" % (name, starts[0]), what, starts, **{**{k: v for k, v in kw.items()
                                                                        if k not in ("cordon", "peer")}, **over}))


both("psk", "Pre-shared key")
both("psk6", "Pre-shared key over IPv6", family=6)
both("ecdsa384", "ECDSA P-384 certificates", proof="ecdsa-p384", peers=("strongswan", "libreswan"))
both("ecdsa256", "ECDSA P-256 certificates", proof="ecdsa-p256")
both("ecdsa521", "ECDSA P-521 certificates", proof="ecdsa-p521", peers=("strongswan", "libreswan"), long=True)
both("rsa3072", "RSA 3072 certificates", proof="rsa-3072", peers=("strongswan", "libreswan"))
both("rsa2048", "RSA 2048 certificates", proof="rsa-2048", peers=("strongswan", "libreswan"), long=True)
both("ed25519", "Ed25519 certificates", proof="ed25519", peers=("strongswan",))
both("fqdn", "Certificates without a subject, by DNS name", proof="fqdn", peers=("strongswan", "libreswan"))
both("eku", "Certificates with extended key usages, over IPv6", proof="eku", peers=("strongswan", "libreswan"), family=6)
both("chain", "A chain of 8 kB, IP fragments are lost on the way", proof="chain", peers=("strongswan", "libreswan"),
     options=("whole",))

# ---- suites. `peer_esp` where a peer has another word: none yet.
SWAN = ("strongswan",)
NSS = ("strongswan", "libreswan")
for name, suite, peers, long in (
        ("i1", "aes128-sha256-ecp256", PEERS, False), ("i2", "aes256gcm-sha256-x25519", PEERS, False),
        ("i3", "aes256-sha512-ecp521", PEERS, True), ("i4", "aes256-sha256-modp2048", PEERS, False),
        ("i5", "aes192-sha384-modp3072", PEERS, True), ("i6", "aes128gcm-sha384-modp4096", PEERS, True),
        ("i7", "chacha20poly1305-sha256-x25519", NSS, False), ("i8", "aes256-sha384-x448", SWAN, True),
        ("i9", "aes256ctr-sha512-ecp384", NSS, True)):
    both(name, "Main mode " + suite, ike=(suite,), peers=peers, long=long)
for name, suite, peers, long in (
        ("e1", "esp-aes128gcm", NSS, True), ("e2", "esp-aes192gcm", NSS, True), ("e3", "esp-aes128-sha256", NSS, False),
        ("e4", "esp-aes192-sha384", PEERS, True), ("e5", "esp-aes256-sha512", PEERS, True),
        ("e6", "esp-aes256ctr-sha256", NSS, False), ("e7", "esp-chacha20poly1305", NSS, False),
        ("e8", "esp-aes256gcm-ecp384", NSS, True)):
    both(name, "Quick mode " + suite, esp=(suite,), peers=peers, long=long)
both("en", "Quick mode esp-sha256-null", esp=("esp-sha256-null",), peers=NSS, expect="authenticated", long=True)
both("eg", "Quick mode esp-aes256gmac", esp=("esp-aes256gmac",), peers=NSS, expect="authenticated")
both("a1", "AH, ah-sha256", esp=("ah-sha256",), peers=NSS, expect="authenticated")
both("a2", "AH over IPv6, ah-sha512", esp=("ah-sha512",), peers=NSS, expect="authenticated", family=6, long=True)
both("many", "Several suites at both ends, the first groups differ", ike=("aes256gcm-sha256-x25519", "aes256-sha384-ecp384"),
     peer_ike=("aes128-sha256-modp3072", "aes256-sha384-ecp384"), esp=("esp-aes256gcm", "esp-aes256-sha384"),
     peer_esp=("esp-aes128-sha256", "esp-aes256-sha384"))

# ---- renewal. Not one ping may be lost; and when the last one is older than the last SA, there are some under that one.
RENEWED = ("rekey child", "rekeyed", "sleep 3", "count 2")  # so that each SA has something to carry, however late it comes
LAST = ("end", "count 5")
both("rc", "CHILD SA rekeyed by the peer", steps=("up", "begin 90") + RENEWED + RENEWED + LAST, peers=NSS, spis=3)
both("ri", "IKE SA rekeyed by the peer", steps=("up", "begin 120", "rekey ike", "sleep 4", "rekey ike", "sleep 3") + RENEWED + LAST,
     peers=NSS, spis=2)
both("rcp", "CHILD SA rekeyed by the peer, with a key exchange", esp=("esp-aes256gcm-ecp384",), peers=NSS, spis=3, long=True,
     steps=("up", "begin 90") + RENEWED + RENEWED + LAST)
both("rt", "CHILD SA rekeyed by the peer's clock", steps=("up", "begin 175 3", "end"), peers=("openiked",), spis=2,
     options=("iked:lifetime 12 bytes 4G",))
both("rit", "IKE SA rekeyed by the peer's clock", steps=("up", "begin 175", "end"), peers=("openiked",),
     options=("iked:ikelifetime 15",))
# Lives of which the last quarter, in which the one that did not begin renews, is longer than a busy machine stands still.
both("cc", "CHILD SA rekeyed by Cordon", child_life=24, steps=("up", "begin 200", "end"), spis=3)
both("ci", "IKE SA rekeyed by Cordon", ike_life=30, steps=("up", "begin 200", "end"))
MET = "CHILD SA rekeyed by both ends at the same time"
both("cb", MET, child_life=20, spis=3, steps=("up", "begin 250", "end"), peers=SWAN,
     options=("swan-child:rekey_time = 16s", "swan-child:rand_time = 0s", "swan-child:life_time = 60s"))
# A busy Libreswan 4.10 takes our request that comes again while both are at it for a new one, and fails the first (table.py).
both("cbl", MET, child_life=20, spis=3, steps=("up", "begin 250", "end"), peers=("libreswan",), long=True,
     options=("pluto:salifetime=40s", "pluto:rekeymargin=24s", "pluto:rekeyfuzz=0%"))
# Not with Libreswan: its 4.10 fails an expectation of its own when two rekeys of an IKE SA meet, and ends.
both("cbi", "IKE and CHILD SA rekeyed by both ends at the same time", ike_life=44, child_life=20, spis=3,
     steps=("up", "begin 250", "end"), peers=SWAN,
     options=("swan:rekey_time = 36s", "swan:rand_time = 0s", "swan:over_time = 60s", "swan-child:rekey_time = 16s",
              "swan-child:rand_time = 0s", "swan-child:life_time = 60s"))
both("storm", "Rekeys one after another while pings run", peers=NSS, spis=3,
     steps=("up", "begin 250") + ("rekey child", "rekey ike") * 5 + RENEWED * 2 + LAST)
both("reauth", "Reauthentication by the peer", peers=SWAN, steps=("up", "begin 120", "end"), spis=2, long=True,
     options=("swan:reauth_time = 10s", "swan:rand_time = 0s"))

# ---- ends
both("di", "IKE SA deleted by the peer, then traffic again", steps=("up", "delete ike", "sleep 2", "again", "count 5"),
     peers=NSS, spis=2)
both("dc", "CHILD SA deleted by the peer, then traffic again", peers=NSS, spis=2,
     steps=("up", "delete child", "sleep 2", "again", "count 5"))
ROWS.append(Row("without", "A rule is taken back: Cordon deletes", steps=("up", "count 5", "without", "gone")))
both("dpd", "Liveness checks by the peer", steps=("up", "sleep 12", "count 5"), spis_most=1,
     options=("swan:dpd_delay = 2s", "pluto:dpddelay=2", "pluto:dpdtimeout=10", "pluto:dpdaction=clear",
              "iked-set:set dpd_check_interval 2"),
     says={"strongswan": [r"generating INFORMATIONAL request \d+ \[ \]", r"parsed INFORMATIONAL response \d+ \[ \]"]})
ROWS.append(Row("dead", "The wire is cut: Cordon notices, and begins again when it is whole", long=True, peers=NSS,
                steps=("up", "cut", "silent 40", "sleep 75", "mend", "sleep 20", "again", "count 5"), spis=2,
                says={"cordon": ["peer-unreachable"]}))
ROWS.append(Row("deadp", "The wire is cut: the peer notices, and begins again when it is whole", peers=SWAN, long=True,
                steps=("up", "cut", "sleep 60", "mend", "sleep 20", "again", "count 5"), spis=1, starts="peer",
                options=("swan:dpd_delay = 2s", "swan:keyingtries = 0", "swan-child:dpd_action = restart", "charon:retransmit_tries = 3",
                         "charon:retransmit_timeout = 2")))

# ---- refusals: who refuses, by which notification
REFUSED = {"steps": ("refused",), "expect": "refused"}
OURS, THEIRS = r"^(main|quick)-mode-failed (?!.*we refused).* refused ", r"^(main|quick)-mode-failed .*we refused"
both("wp", "Another pre-shared key", options=("wrong-secret",), **REFUSED,
     cordon={"says": {"cordon": [OURS + ".*AUTHENTICATION_FAILED"], "strongswan": [r"generating IKE_AUTH response 1 \[ N\(AUTH_FAILED\) \]"],
                      "libreswan": ["AUTHENTICATION_FAILED"]}},
     peer={"says": {"cordon": [THEIRS], "strongswan": [r"parsed IKE_AUTH response 1 \[ N\(AUTH_FAILED\)"],
                    "libreswan": ["AUTHENTICATION_FAILED"]}})
both("wc", "A peer's certificate of an authority that we do not trust", proof="ecdsa-p256", peer_proof="stranger", peers=NSS,
     **REFUSED,
     cordon={"says": {"cordon": [THEIRS + ".*issued under"], "strongswan": [r"parsed INFORMATIONAL request \d+ \[ N\(AUTH_FAILED\)"]}},
     peer={"says": {"cordon": [THEIRS + ".*issued under"], "strongswan": [r"parsed IKE_AUTH response 1 \[ N\(AUTH_FAILED\)"],
                    "libreswan": ["AUTHENTICATION_FAILED"]}})
both("wt", "Our certificate of an authority that the peer does not trust", proof="ecdsa-p256", trusts="stranger", peers=NSS,
     **REFUSED,
     cordon={"says": {"cordon": [OURS + ".*AUTHENTICATION_FAILED"], "strongswan": [r"generating IKE_AUTH response 1 \[ N\(AUTH_FAILED\)"],
                      "libreswan": ["AUTHENTICATION_FAILED"]}},
     peer={"says": {"cordon": [r"main-mode-(failed|down)"]}})
both("wi", "No main mode suite in common", peer_ike=("aes128-sha256-ecp256",), **REFUSED,
     cordon={"says": {"cordon": [OURS + ".*NO_PROPOSAL_CHOSEN"]}},
     peer={"says": {"cordon": [THEIRS], "strongswan": [r"parsed IKE_SA_INIT response 0 \[ N\(NO_PROP\)"],
                    "libreswan": ["NO_PROPOSAL_CHOSEN"]}})
both("we", "No quick mode suite in common", peer_esp=("esp-aes128-sha256",), esp=("esp-chacha20poly1305",), **REFUSED, peers=NSS,
     cordon={"says": {"cordon": [OURS + ".*NO_PROPOSAL_CHOSEN"]}},
     peer={"says": {"cordon": ["-failed "], "strongswan": [r"parsed IKE_AUTH response 1 \[.*N\(NO_PROP\)"],
                    "libreswan": ["NO_PROPOSAL_CHOSEN"]}})
# ---- post-quantum pre-shared keys (RFC 8784), and IKE SAs without a CHILD SA (RFC 6023)
PPK_USED = {"cordon": [r"post-quantum"], "strongswan": [r"using PPK for PPK_ID"]}
both("pq", "Post-quantum pre-shared key, required at both ends", peers=NSS, options=("ppk-required", "peer-ppk-required"),
     says=PPK_USED)
both("pqo", "The same, optional at both ends", peers=NSS, options=("ppk", "peer-ppk"), says=PPK_USED)
both("pqn", "The same, optional here, and the peer has none", peers=NSS, options=("ppk",))
both("pqm", "The same, optional at the peer, and we have none", peers=NSS, options=("peer-ppk",))
both("pqc", "The same with certificates", proof="ecdsa-p256", peers=("strongswan",), options=("ppk", "peer-ppk"), says=PPK_USED)
# strongSwan takes no proof without a key when it has one of its own to name.
both("pqx", "Two different ones, optional at both ends", peers=("strongswan",), options=("ppk", "peer-ppk-other"),
     cordon={"steps": ("refused",), "expect": "refused"})
both("pqr", "Required here, and the peer has none", peers=NSS, options=("ppk-required",), steps=("refused",), expect="refused",
     says={"cordon": [r"post-quantum pre-shared key"]})
both("pqf", "Required at the peer, and we have none", peers=NSS, options=("peer-ppk-required",), steps=("refused",),
     expect="refused")
both("cl", "The peer allows IKE SAs without a CHILD SA only", peers=("strongswan",), options=("swan:childless = force",))

# ---- tunnels. The peer's end of a network is a single host of it.
both("th", "Tunnel mode between two hosts", options=("tunnel",))
both("th6", "Tunnel mode between two hosts, over IPv6", options=("tunnel",), family=6, long=True)
both("tg", "Tunnel mode, a host and a network behind the peer", options=("tunnel", "peer-net"))
both("tn", "Tunnel mode, a network behind each", options=("tunnel", "our-net", "peer-net"), proof="ecdsa-p256")
both("tc", "Tunnel mode, CHILD SA rekeyed by Cordon", options=("tunnel", "our-net", "peer-net"), child_life=24, spis=3, long=True,
     steps=("up", "begin 200", "end"))

# ---- through a NAT, in a world of its own, because the policy allows it for all rules or none. Libreswan 4.10 does not put the
# addresses that it sees into IKEv2's selectors of transport mode (RFC 7296 2.23.1), so through a NAT it does tunnels only.
NAT = {"world": "nat"}
OURS_IS, PEERS_IS = "We are behind a NAT, ", "The peer is behind a NAT, "
NETS = ("tunnel", "our-net", "peer-net")
ROWS += [
    Row("no", OURS_IS + "transport mode", options=("nat-ours",), peers=SWAN, **NAT),
    Row("np", PEERS_IS + "transport mode", options=("nat-peer",), starts="peer", peers=SWAN, **NAT),
    Row("noc", OURS_IS + "transport mode, certificates", options=("nat-ours",), proof="ecdsa-p384", peers=SWAN, **NAT),
    Row("npc", PEERS_IS + "transport mode, certificates", options=("nat-peer",), starts="peer", proof="ecdsa-p384", peers=SWAN, **NAT),
    Row("not", OURS_IS + "tunnel mode", options=("nat-ours",) + NETS, peers=NSS, **NAT),
    Row("npt", PEERS_IS + "tunnel mode", options=("nat-peer",) + NETS, starts="peer", peers=NSS, **NAT),
    Row("nor", OURS_IS + "CHILD and IKE SA rekeyed by Cordon", options=("nat-ours",) + NETS, peers=NSS, child_life=20, ike_life=36, spis=3,
        steps=("up", "begin 200", "end"), **NAT),
    Row("npr", PEERS_IS + "CHILD and IKE SA rekeyed by it", options=("nat-peer",) + NETS, starts="peer", peers=NSS, spis=2,
        steps=("up", "begin 120", "rekey child", "sleep 4", "rekey ike", "sleep 4", "rekey child") + LAST, **NAT),
]
both("ne", "The peer insists on UDP without a NAT", options=("swan:encap = yes", "pluto:encapsulation=yes"), peers=NSS, **NAT)

# ---- IKEv1: main mode and quick mode. Libreswan's has no ECDSA certificates.
V1 = {"options": ("v1",), "peers": NSS}
both("1psk", "IKEv1, pre-shared key", **V1)
both("1psk6", "IKEv1, pre-shared key over IPv6", family=6, long=True, **V1)
both("1rsa", "IKEv1, RSA 3072 certificates", proof="rsa-3072", **V1)
both("1ec2", "IKEv1, ECDSA P-256 certificates", proof="ecdsa-p256", options=("v1",), peers=SWAN)
both("1ec3", "IKEv1, ECDSA P-384 certificates, main mode by SHA-256", proof="ecdsa-p384", options=("v1",), peers=SWAN,
     ike=("aes128-sha256-ecp256",))
both("1old", "IKEv1 as old peers have it: aes128-sha1-modp2048, then esp-aes128-sha1-modp2048", options=("v1", "legacy"), peers=NSS,
     ike=("aes128-sha1-modp2048",), esp=("esp-aes128-sha1-modp2048",))
both("1many", "IKEv1, several suites at both ends", ike=("aes256gcm-sha256-x25519", "aes128-sha256-ecp256", "aes256-sha384-ecp384"),
     peer_ike=("aes256-sha512-modp3072", "aes256-sha384-ecp384"), esp=("esp-aes256gcm", "esp-aes256-sha256"),
     peer_esp=("esp-aes128-sha1", "esp-aes256-sha256"), **V1)
both("1null", "IKEv1, quick mode esp-sha256-null", esp=("esp-sha256-null",), expect="authenticated", **V1)
both("1ah", "IKEv1, AH, ah-sha256", esp=("ah-sha256",), expect="authenticated", **V1)
both("1tun", "IKEv1, tunnel mode, a network behind each", options=("v1", "tunnel", "our-net", "peer-net"), peers=NSS)
# Libreswan's whack renews nothing of IKEv1. Of two quick modes within ten seconds of each other Cordon takes it that both
# ends began at once, and keeps to its own.
both("1rc", "IKEv1, quick mode renewed by the peer", spis=3, options=("v1",), peers=SWAN,
     steps=("up", "sleep 11", "begin 100") + RENEWED + RENEWED + LAST)
both("1ri", "IKEv1, main mode renewed by the peer", long=True, options=("v1",), peers=SWAN,
     steps=("up", "begin 100", "rekey ike", "sleep 4") + RENEWED + LAST)
both("1cc", "IKEv1, quick mode renewed by Cordon", child_life=28, steps=("up", "begin 225", "end"), spis=3, **V1)
both("1ci", "IKEv1, main mode renewed by Cordon", ike_life=20, steps=("up", "begin 125", "end"), **V1)
both("1di", "IKEv1, deleted by the peer, then traffic again", steps=("up", "delete ike", "sleep 2", "again", "count 5"), spis=2, **V1)
both("1dpd", "IKEv1, liveness checks by the peer", steps=("up", "sleep 12", "count 5"), spis_most=1, peers=NSS,
     options=("v1", "swan:dpd_delay = 2s", "pluto:dpddelay=2", "pluto:dpdtimeout=10", "pluto:dpdaction=clear"),
     says={"strongswan": [r"generating INFORMATIONAL_V1 request \d+ \[ HASH N\(DPD\) \]",
                          r"parsed INFORMATIONAL_V1 request \d+ \[ HASH N\(DPD_ACK\) \]"]})
both("1wp", "IKEv1, another pre-shared key", options=("v1", "wrong-secret"), peers=NSS, **REFUSED)
both("1we", "IKEv1, no quick mode suite in common", peer_esp=("esp-aes128-sha256",), esp=("esp-aes256-sha512",), **V1, **REFUSED,
     says={"cordon": ["-failed .*NO.PROPOSAL.CHOSEN|quick-mode-failed"]})
ROWS += [
    Row("1fb", "A rule for both, and the peer has IKEv1 alone", options=("v1-fallback",), peers=NSS,
        says={"cordon": [r"main-mode-up .*IKEv1"]}),
    Row("1fbp", "A rule for both, and the peer has IKEv1 alone", options=("v1-fallback",), peers=NSS, starts="peer"),
    Row("1both", "A rule for both, and the peer has both", options=("v1-both",), peers=NSS, says={"cordon": [r"main-mode-up (?!.*IKEv1)"]}),
    Row("1bothp", "A rule for both, and the peer has both", options=("v1-both",), peers=NSS, starts="peer"),
    Row("1no", "IKEv1. " + OURS_IS + "transport mode", options=("v1", "nat-ours"), peers=NSS, **NAT),
    Row("1np", "IKEv1. " + PEERS_IS + "transport mode", options=("v1", "nat-peer"), starts="peer", peers=NSS, **NAT),
    Row("1not", "IKEv1. " + OURS_IS + "tunnel mode, RSA certificates", options=("v1", "nat-ours") + NETS, peers=NSS, proof="rsa-3072", **NAT),
    Row("1npt", "IKEv1. " + PEERS_IS + "tunnel mode, RSA certificates", options=("v1", "nat-peer") + NETS, starts="peer", peers=NSS,
        proof="rsa-3072", **NAT),
]

# ---- we lose our memory, in a world of its own
ROWS += [
    Row("sc", "Cordon is killed and starts again, then it has traffic", steps=("up", "count 5", "restart cordon", "again", "count 5"),
        spis=2, world="cordon-restarts", long=True),
]

assert len({r.name for r in ROWS}) == len(ROWS), "two rows of one name"
