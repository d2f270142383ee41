"""docs/performance.md, made from a run: the table, the ratios with their targets, and what was left out."""
import datetime
import os
import platform
import shutil
import statistics
import subprocess

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "performance.md")
NAMES = {
    "cordon": "Cordon, ESP in UDP",
    "cordon-native": "Cordon, native ESP",
    "cordon-null": "Cordon, signing only (`esp-sha256-null`)",
    "cordon-ah": "Cordon, signing only (`ah-sha256`)",
    "before": "Cordon, the build before",
    "strongswan": "strongSwan, kernel-libipsec",
    "wireguard-go": "wireguard-go, Debian's",
    "wireguard-go-new": "wireguard-go, the newer one",
    "limit-packet": "limit: TUN to TUN, a packet a call",
    "limit-super": "limit: the same with super-packets",
    "limit-sealed": "limit: super-packets cut, sealed and opened with AES-256-GCM, joined",
    "limit-wire": "limit: TUN, UDP_SEGMENT, UDP_GRO, TUN; no cryptography",
    "veth": "no protection: the wire alone",
    "kernel": "the kernel's data plane",
}
# what is promised: case, against whom (a name: their ratio; (case, who): another case; None: the figure itself),
# at least (or at most), words
TARGETS = [
    ("tcp-1", "wireguard-go-new", ">=", 2, "TCP, one stream: twice wireguard-go of May 2025"),
    ("tcp-1", "strongswan", ">=", 9, "TCP, one stream: 9 times strongSwan's kernel-libipsec"),
    ("tcp-1", "limit-sealed", ">=", 0.75, "TCP, one stream: 75 % of the limit that cuts, seals, opens and joins"),
    ("tcp-4", ("tcp-1", "cordon"), ">=", 1, "TCP: four streams as fast as one"),
    ("udp-64", "limit-wire", ">=", 0.75, "64-byte datagrams: 75 % of the limit by UDP_SEGMENT and UDP_GRO"),
    ("udp-64", None, ">=", 105, "64-byte datagrams: 105 kpps"),
    ("udp-64", "strongswan", ">=", 1.5, "64-byte datagrams: 1.5 times strongSwan's kernel-libipsec"),
    ("rtt-idle-p50", "best", "<=", 1, "Half round trip: that of the best peer"),
    ("idle", None, "<=", 0.004, "Processor time when nothing moves: none (at most two clock ticks in 5 s)"),
    ("sas-tcp", ("sas-10000", "sas-1"), ">=", 0.9, "10,000 SAs: at most 10 % slower than one, traffic under one of them"),
    ("sas-gateway", ("gateway-10000", "gateway-1"), ">=", 0.9,
     "10,000 SAs at work at once: at most 10 % slower than one that carries the same traffic"),
    ("kernel-tcp", "by-hand", "<=", 1.03, "Kernel's plane, TCP: the processor time of the same by `ip xfrm`"),
    ("kernel-tcp", ("kernel-tcp", "cordon-1000", "by-hand"), "<=", 1.03, "The same with 1,000 rules"),
    ("kernel-udp-64", "by-hand", "<=", 1.03, "Kernel's plane, 64-byte datagrams: the processor time of the same by `ip xfrm`"),
    ("sas-memory", ("sas-10000",), "<=", 1024, "Memory of an SA: at most 1 kB (besides keys and window, which are counted here)"),
]
PEERS = ("strongswan", "wireguard-go", "wireguard-go-new")
HEAD = """# How fast the data plane is

<!-- Made by `./dev bench dataplane --write`: change tests/bench/dataplane, not this page. -->

Isolation touches every packet, so it must not cost a network. This page says what Cordon's userspace data plane carries beside two
others that need no IPsec in the kernel, beside loops of a few lines that show what the kernel's interfaces allow, and beside the same
wire without protection. It is one run of `./dev bench dataplane` on one machine; make your own for yours.

Measured %(date)s on %(cpu)s, %(cores)d cores, Linux %(kernel)s, %(mtu)d-byte wire; %(runs)d runs of %(seconds)d s each, by turns. **Both ends
and the programs that send and receive share the machine's cores**: a figure is what the pair reaches together, and two machines reach more.
%(stolen)sRead ratios rather than absolute figures.

"""


def version(program):
    """As it says itself: wireguard-go v0.0.20250522."""
    said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return (said.stdout.splitlines() or ["wireguard-go"])[0]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return names[0] if names else platform.machine()


def number(value):
    if value < 0.01:
        return "%g" % round(value, 4)
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value


def spread(row):
    return "%s (%s to %s)" % tuple(number(row[key]) for key in ("median", "min", "max"))


class Rows:
    def __init__(self, rows):
        self.rows = {(r["case"], r["who"]): r for r in rows}

    def get(self, case, who):
        return self.rows.get((case, who))

    def cell(self, case, who):
        row = self.get(case, who)
        return spread(row) if row else ""

    def column(self, who):
        return any(w == who for _, w in self.rows)


def table(head, lines):
    return "| %s |\n|%s|\n%s\n" % (" | ".join(head), "---|" * (len(head) - 1) + "---",
                                  "\n".join("| %s |" % " | ".join(line) for line in lines))


def side_by_side(rows, size):
    cases = (("tcp-1", "Gbit/s, TCP 1 stream"), ("tcp-4", "4 streams"), ("udp-%d" % size, "kpps, %d-byte UDP received" % size),
             ("rtt-idle-p50", "µs, half round trip, p50"), ("rtt-idle-p99", "p99"), ("rtt-load-p50", "beside a TCP stream, p50"),
             ("rtt-load-p99", "p99"))
    lines = []
    for who, name in NAMES.items():
        cells = [rows.cell(case, who) for case, _ in cases]
        if any(cells):
            lines.append([name, *cells])
    return table(["median (min to max)", *(words for _, words in cases)], lines)


def processor(rows, size):
    """Seconds of processor time of each end for what it moved: daemons only, their kernel work by system calls included."""
    lines = []
    for who, name in NAMES.items():
        cells = []
        for case in ("tcp-1", "tcp-4", "udp-%d" % size):
            r = rows.get(case, who)
            cells.append("%.2f, %.2f; %.1f" % (r["cpu_a_s"], r["cpu_b_s"], r["busy_s"]) if r and "busy_s" in r else "")
        if any(cells):
            lines.append([name, *cells])
    return table(["CPU seconds of a run: sending end, receiving end; whole machine", "TCP 1 stream", "4 streams", "%d-byte UDP" % size],
                 lines)


def target(rows, quotient, case, against, how, wanted, words):
    own, ratio = rows.get(case, "cordon"), None
    if against is None:
        ratio = own
    elif against == "best":
        peers = [rows.get(case, p) for p in PEERS if rows.get(case, p)]
        best = min(peers, key=lambda r: r["median"]) if peers else None
        ratio = best.get("ratio") if best else None
    elif isinstance(against, str):
        ratio = (rows.get(case, against) or {}).get("ratio")
    elif len(against) == 3:
        ratio = quotient(against[:2], (against[0], against[2]))
    elif len(against) == 1:
        ratio = rows.get(case, against[0])
    elif against[1] == "cordon":
        ratio = quotient((case, "cordon"), against)
    else:
        ratio = quotient((case, against[0]), (case, against[1]))
    if not ratio:
        return [words, sign(how, wanted), "not measured", "–"]
    met = ratio["median"] >= wanted if how == ">=" else ratio["median"] <= wanted
    return [words, sign(how, wanted), spread(ratio), "yes" if met else "**no**"]


def sign(how, wanted):
    return {">=": "at least ", "<=": "at most "}[how] + number(wanted)


def signing(rows):
    lines = [[NAMES[who].replace("Cordon, ESP in UDP", "Cordon, encrypting (`esp-aes256gcm`)"), rows.cell("signing", who)]
             for who in ("cordon", "cordon-null", "cordon-ah") if rows.get("signing", who)]
    return "## Signing only\n\nTCP, one stream, Gbit/s. AES-256-GCM encrypts and signs in one pass; signing alone is HMAC-SHA-256, which is " \
           "slower on most\nprocessors, so choose it for what it lets others read, not for speed.\n\n" + \
           table(["", "Gbit/s"], lines) if lines else ""


def growth(rows):
    text, lines = "", []
    for count in (1, 1000, 10000):
        who = "sas-%d" % count
        if rows.get("sas-tcp", who):
            lines.append(["{:,}".format(count), rows.cell("sas-tcp", who), rows.cell("sas-spread", who), rows.cell("sas-memory", who)])
    if lines:
        text += "## Many SAs\n\nTwo planes keyed by hand (the daemon without keying), ESP in UDP, each SA between another two addresses. " \
                "The stream goes under one of them,\nthe datagrams under all by turns: each goes to another address, so there is nothing to " \
                "send or join together, and every packet finds\nanother SA, another route and another cache line. Memory is of one direction, " \
                "keys and replay window included, while no packet has\ncome for it lately: the ciphers of the 32,768 SAs used last stay keyed, which " \
                "takes more.\n\n"
        text += table(["SAs each way", "Gbit/s, TCP 1 stream", "kpps, 64-byte UDP under all", "octets of memory an SA"], lines) + "\n"
    lines = [["{:,}".format(count), rows.cell("sas-gateway", "gateway-%d" % count)] for count in (1, 1000, 10000)
             if rows.get("sas-gateway", "gateway-%d" % count)]
    if lines:
        text += "How much of that is the SAs', and how much the kernel's with so many peers? The same datagrams to 10,000 addresses behind " \
                "one gateway, by\ntunnels that share the addresses:\n\n" + \
                table(["tunnels", "kpps, 64-byte UDP to 10,000 addresses"], lines) + "\n"
    if rows.get("spread-1", "veth-spread"):
        text += "Without any protection: %s kpps to one address, %s to 10,000.\n\n" % (
            rows.cell("spread-1", "veth-spread"), rows.cell("spread-10000", "veth-spread"))
    lines = []
    for count in (1, 1000, 10000, 100000):
        who = "rules-%d" % count
        if rows.get("rules-tcp", who):
            lines.append(["{:,}".format(count), rows.cell("rules-tcp", who), rows.cell("rules-udp", who)])
    if lines:
        text += "## Many rules\n\nTwo cordonds; each rule but one speaks of the host and somebody else.%s\n\n" % (
            "" if rows.get("rules-tcp", "rules-100000") else " 100,000 of them are measured with `--long`.")
        text += table(["rules", "Gbit/s, TCP 1 stream", "kpps, 64-byte UDP"], lines) + "\n"
    return text


def manned(rows, size):
    lines = []
    for count in (1, 2, 4):
        who = "workers-%d" % count
        if rows.get("workers-tcp", who):
            lines.append([str(count), *(rows.cell(case, who) for case in ("workers-tcp", "workers-tcp-cost", "workers-udp", "workers-udp-cost",
                                                                         "workers-memory", "idle"))])
    return "## Several workers\n\nTwo cordonds with so many [workers](host-configuration.md#workers) each; four streams, and then two flows of datagrams, " \
           "to an address each,\nwhose SAs are different workers'. All of them, both ends and the programs that send and receive share this machine's **%d processors**, so it shows what " \
           "sharing the\nwork out costs; what it gains is seen where processors are idle with one. Memory is of one data plane, the smallest before the first packet.\n\n" % os.cpu_count() + \
           table(["workers", "Gbit/s, TCP 4 streams", "CPU seconds a Gbit", "kpps, %d-byte UDP" % size, "CPU seconds a million", "MB of memory",
                  "CPU when nothing moves"], lines) + "\n" if lines else ""


def by_kernel(rows, quotient, size):
    lines = []
    for who, name in (("by-hand", "`ip xfrm` by hand, no firewall"), ("by-hand-wall", "the same, and three rules of nftables that let nothing in in clear"),
                      ("cordon", "Cordon, 5 rules"), ("cordon-1000", "Cordon, 1,000 rules")):
        cells = []
        for case in ("kernel-tcp", "kernel-udp-%d" % size):
            ratio = quotient((case, who), (case, "by-hand"))
            cells += [rows.cell(case, who), spread(ratio) if ratio else ""]
        if any(cells):
            lines.append([name, *cells])
    if not lines:
        return ""
    return "## The kernel's data plane\n\nWhere the kernel has ESP, it carries the packets, and what Cordon adds is its ruleset. Two hosts in a guest " \
           "(user-mode Linux 6.1, one\nprocessor, AES in C) that move the same with states and policies made by hand and with Cordon's: AES-256-GCM, transport " \
           "mode, ESN, the\nsame window. Processor time of the guest, both ends together; the ratio is to what is by hand without a firewall. A packet of any\n" \
           "size pays the same for conntrack and for each chain that it passes, so small ones show it and full ones hide it.\n\n" + \
           table(["", "CPU seconds a Gbit, TCP 1 stream", "ratio", "CPU seconds a million %d-byte datagrams" % size, "ratio"], lines) + "\n"


HOW = """## How it is measured

Two network namespaces joined by a veth pair with the offloads of a network card. TCP is iperf3's from one to the other. Datagrams are sent
as fast as one program can by `sendmmsg` of 64 and counted where they arrive; much of a core goes to sending them. The half round trip is half
of what one datagram takes there and back, one at a time. All who are compared stand all the time and have their turns one after
another, each round beginning with another of them; a ratio is of two figures of one round. Cordon, strongSwan and the loops use
AES-256-GCM, WireGuard ChaCha20-Poly1305.

`./dev bench dataplane` prints the table; names of cases behind it (`tcp-1 tcp-4 udp rtt idle signing workers sas rules kernel`) measure only those, `--runs`,
`--seconds`, `--mtu`, `--size` and `--only WHO,WHO` change how, `--json` gives one object a line. `WIREGUARD_GO=/path/to/wireguard-go` adds a newer
wireguard-go than Debian's (that of Debian unstable's package will do, unpacked by `dpkg-deb -x`). It needs root, and about %(minutes)d minutes like this.
"""


def write(o, rows, quotient, missing, seconds):
    for who, program in (("wireguard-go", shutil.which("wireguard-go")), ("wireguard-go-new", os.environ.get("WIREGUARD_GO"))):
        if program:
            NAMES[who] = version(program)
    size, rows = o.size, Rows(rows)
    taken = [r["stolen_s"] for r in rows.rows.values() if "stolen_s" in r]
    stolen = statistics.mean(taken) if taken else 0
    text = HEAD % {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%d %B %Y").lstrip("0"), "cpu": machine(),
                   "cores": os.cpu_count(), "kernel": platform.release(), "mtu": o.mtu, "runs": o.runs, "seconds": o.seconds,
                   "stolen": "The machine is virtual, and its hypervisor took %.1f s of a run on average. " % stolen
                   if stolen >= 0.1 else ""}
    text += side_by_side(rows, size) + "\n"
    for who, why in missing.items():
        text += "Left out: %s (%s).\n" % (NAMES.get(who, who), why)
    text += "\n## What was aimed at\n\nMedian of the rounds' ratios, with the smallest and the largest.\n\n"
    text += table(["", "aim", "measured", "met"], [target(rows, quotient, *t) for t in TARGETS]) + "\n"
    text += "## What it costs\n\n" + processor(rows, size) + "\n" + signing(rows) + "\n" + manned(rows, size) + growth(rows) + by_kernel(rows, quotient, size)
    text += HOW % {"minutes": max(1, round(seconds / 60))}
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(text)
