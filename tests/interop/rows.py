"""What is tried with each peer, as data. A row is two addresses of their own, a rule of Cordon's policy for them, a connection
of the peer's configuration, and steps that are taken one after another while other rows take theirs.

Steps, done in the guest by world.sh:
  up             traffic from our side until it passes, or the peer is told to begin, as the row says who starts
  refused        the same, and nothing may pass
  ping N         N pings, five a second; not one may be lost
  count N        N numbered datagrams, ten a second; not one may be lost
  tcp            a text by TCP, and back
  begin N / end  pings in the background while other steps are taken
  rekey ike|child, delete ike|child       the peer does it
  without        our policy is applied without the row's rule
  sleep N, cut, mend                      the wire between the two
"""
from dataclasses import dataclass, field

PEERS = ("strongswan", "libreswan", "openiked")
IKE, ESP = "aes256-sha384-ecp384", "esp-aes256gcm"
IKED_ESP = "esp-aes256-sha384"  # what it offers and takes on Linux is fixed: AES-CBC with SHA-384, SHA-512 or SHA-1
QUICK = ("up", "ping 5", "tcp")


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
both("eku", "Certificates with extended key usages, by IPv6", proof="eku", peers=("strongswan", "libreswan"), family=6)
