"""One world: the files of Cordon and of the wires, and what was seen of each row afterwards."""
import ipaddress
import json
import os
import re
import shutil

import lost
import pki
from peers import PPK, KINDS, SECRET, write
from wire import frames, judge_wire, without_early_answers



class World:
    def __init__(self, folder, peer, rows, tool, pki_folder, kernel=False):
        self.kernel = kernel  # our end's data plane is the kernel's
        self.folder, self.rows, self.tool, self.pki = folder, rows, tool, pki_folder
        self.peer_name = peer
        self.charon = sorted({o[7:] for r in rows for o in r.options if o.startswith("charon:")})
        self.iked = sorted({o[9:] + "\n" for r in rows for o in r.options if o.startswith("iked-set:")})
        self.peer = KINDS[peer](self)
        self.excused = {}  # row: what was lost by the peer's doing

    def number(self, row):
        return self.rows.index(row) + 1

    def local(self, row):
        n = self.number(row)
        return "10.98.%d.1" % n if row.family == 4 else "fd98:%x::1" % n

    # Behind a NAT the others see another address; behind a tunnel's end is a network.
    def local_seen(self, row):
        return "10.94.%d.1" % self.number(row) if "nat-ours" in row.options else self.local(row)

    def peer_own(self, row):
        return self.remote_of(row, False)

    def remote(self, row):
        return self.remote_of(row, "nat-peer" in row.options)

    def remote_of(self, row, behind_nat):
        n = self.number(row)
        if row.family == 6:
            return "fd99:%x::2" % n
        return "10.9%d.%d.2" % (5 if behind_nat else 9, n)

    def local_net(self, row):
        return "10.96.%d.0/24" % self.number(row) if "our-net" in row.options else self.local(row)

    def remote_net(self, row):
        return "10.97.%d.0/24" % self.number(row) if "peer-net" in row.options else self.remote(row)

    def traffic(self, row):
        """Between which addresses it is sent."""
        return [n.replace(".0/24", ".9") for n in (self.local_net(row), self.remote_net(row))]

    # ---- what is made

    def write(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "rows"))
        self.write_wires()
        self.write_cordon()
        self.peer.write()
        when = {r: "lasts" if r.lasts else "alone" if r.alone else "quick" for r in self.rows}
        order = sorted(self.rows, key=lambda r: ("lasts", "quick", "alone").index(when[r]))
        write(os.path.join(self.folder, "order"), "".join("%s %s\n" % (r.name, when[r]) for r in order))
        for row in self.rows:
            lines = ["row %s %s %s %s" % (row.name, *self.traffic(row), row.starts)]
            lines += ["step " + s for s in row.steps]
            write(os.path.join(self.folder, "rows", row.name + ".sh"), "\n".join(lines) + "\n")

    def write_wires(self):
        sides = {"cordon": ("left", self.local, "10.98.255.254", "fd98:ffff::fe"),
                 "peer": ("right", self.peer_own, "10.99.255.254", "fd99:ffff::fe")}
        mid = ["link set lo up"]
        for ns, (dev, address, router, router6) in sides.items():
            lines = ["link set lo up", "link set %s up" % dev]
            for row in self.rows:
                lines.append("addr add %s/16 dev %s%s" % (address(row), dev, " nodad" if row.family == 6 else ""))
                inner = self.traffic(row)[ns == "peer"]
                if ("our-net" if ns == "cordon" else "peer-net") in row.options:
                    lines.append("addr add %s/32 dev %s" % (inner, dev))
            other = self.remote if ns == "cordon" else self.local_seen
            for row in self.rows:  # there are daemons that let the kernel choose the address that they send from
                lines.append("route add %s via %s src %s" % (other(row), router if row.family == 4 else router6, address(row)))
            lines.append("route add default via " + router)
            if any(row.family == 6 for row in self.rows):
                lines.append("route add default via " + router6)
            write(os.path.join(self.folder, ns + ".ip"), "\n".join(lines) + "\n")
            mid += ["link set %s up" % dev, "addr add %s/16 dev %s" % (router, dev), "addr add %s/16 dev %s nodad" % (router6, dev)]
        write(os.path.join(self.folder, "mid.ip"), "\n".join(mid) + "\n")
        nat = ""
        for row in self.rows:
            if "nat-ours" in row.options:
                nat += "\t\tip saddr %s meta l4proto udp snat to %s:20000-30000\n" % (self.local(row), self.local_seen(row))
            if "nat-peer" in row.options:
                nat += "\t\tip saddr %s meta l4proto udp snat to %s:20000-30000\n" % (self.peer_own(row), self.remote(row))
        if nat:
            nat = "table ip nat {\n\tchain behind {\n\t\ttype nat hook postrouting priority 100\n%s\t}\n}\n" % nat
        write(os.path.join(self.folder, "mid.nft"), nat + """table inet wire {
	set cut { type ipv4_addr; }
	chain forward {
		type filter hook forward priority 0
		ip saddr @cut drop
		ip daddr @cut drop
	}
	set whole { type ipv4_addr; %s }
	chain before { # ahead of what puts fragments together
		type filter hook prerouting priority -450
		ip frag-off & 0x3fff != 0 ip saddr @whole drop
	}
}
""" % self.elements(a for r in self.rows if "whole" in r.options for a in (self.local(r), self.peer_own(r))))

    @staticmethod
    def elements(addresses):
        text = ", ".join(addresses)
        return "elements = { %s }" % text if text else ""

    def write_cordon(self):
        kinds = {r.proof for r in self.rows if r.proof != "psk"}
        trusted = kinds | {r.trusts for r in self.rows if r.trusts}
        for kind in trusted:
            pki.make(self.pki, kind)
        write(os.path.join(self.folder, "psk"), SECRET, 0o600)
        write(os.path.join(self.folder, "ppk"), PPK, 0o600)
        page = ["cordon: 1", "name: ours", "data-plane: " + ("kernel" if self.kernel else "userspace")]
        if kinds:
            page.append("certificates:")
            page += ["  - { certificate: %s/%s/cordon.chain.pem, key: %s/%s/cordon.key }" % (self.pki, k, self.pki, k)
                     for k in sorted(kinds)]
            page.append("trust: [%s]" % ", ".join("%s/%s/root.pem" % (self.pki, k) for k in sorted(trusted)))
        write(os.path.join(self.folder, "host.yaml"), "\n".join(page) + "\n")
        write(os.path.join(self.folder, "policy.yaml"), self.policy(self.rows))
        for row in self.rows:
            if "without" in row.steps:
                write(os.path.join(self.folder, "without-%s.yaml" % row.name),
                      self.policy([r for r in self.rows if r is not row]))

    def policy(self, rows):
        auth, ike, child, rules = [], [], [], []
        for r in rows:
            method = ("pre-shared-key: { file: %s/psk }" % self.folder if r.proof == "psk"
                      else 'certificate: { issuer: "%s" }' % pki.root_name(r.proof))
            auth.append("  %s: [ { %s } ]" % (r.name, method))
            ike.append("  %s: { proposals: [%s]%s%s%s }" % (r.name, ", ".join(r.ike), self.ppk(r),
                       ", lifetime: %ds" % r.ike_life if r.ike_life else "", ", legacy: allow" if "legacy" in r.options else ""))
            child.append("  %s: { proposals: [%s]%s%s }" % (r.name, ", ".join(r.esp),
                         ", lifetime: %ds" % r.child_life if r.child_life else "",
                         ", legacy: allow" if "legacy" in r.options else ""))
            tunnel = (', tunnel: { endpoint1: "%s", endpoint2: "%s" }' % (self.local(r), self.remote(r))
                      if "tunnel" in r.options else "")
            rules.append('  - { name: %s, endpoint1: ["%s"], endpoint2: ["%s"], mode: require, authentication: %s, '
                         'key-exchange: %s, protection: %s%s%s }' % (r.name, self.local_net(r), self.remote_net(r), r.name, r.name,
                                                                     r.name, tunnel, self.modules(r)))
        nat = "nat-traversal: both\n" if any(r.world == "nat" for r in rows) else ""
        return "cordon: 1\n" + nat + "authentication:\n%s\nkey-exchange:\n%s\nprotection:\n%s\nconnection-security:\n%s\n" % tuple(
            map("\n".join, (auth, ike, child, rules)))

    @staticmethod
    def modules(row):
        if "v1" in row.options:
            return ", modules: ikev1"
        return ", modules: [ikev2, ikev1]" if "v1-fallback" in row.options or "v1-both" in row.options else ""

    def ppk(self, row):
        if "ppk" not in row.options and "ppk-required" not in row.options:
            return ""
        return ", ppk: { id: ppk-%s, file: %s/ppk, required: %s }" % (
            row.name, self.folder, "true" if "ppk-required" in row.options else "false")

    # ---- what was seen

    def read(self, name):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def judge(self):
        """{row: [what is wrong with it]}, and what is wrong with the world."""
        wires = {side: list(frames(os.path.join(self.folder, side + ".pcap"))) for side in ("left", "right")}
        events = [json.loads(line) for line in self.read("events.json").splitlines() if line.startswith("{")]
        wrong = []
        if "cordond lives" not in self.read("world.log"):
            wrong.append("cordond did not live to the end")
        elif "cordond ended with 0" not in self.read("world.log"):
            wrong.append("cordond did not end well: " + self.read("world.log").strip().splitlines()[-1])
        return {row: self.judge_row(row, wires, events) for row in self.rows}, wrong

    def judge_row(self, row, wires, events):
        wrong = []
        ours = {self.local(row), self.local_seen(row), self.traffic(row)[0]}
        theirs = {self.peer_own(row), self.remote(row), self.traffic(row)[1]}
        ours, theirs = ({ipaddress.ip_address(a).packed for a in ends} for ends in (ours, theirs))
        mine = {side: [p for p in packets if {p.source, p.to} & (ours | theirs)] for side, packets in wires.items()}
        said, spis = self.read("rows/%s.out" % row.name), row.spis
        for line in said.splitlines():
            if line.startswith("step ") and ": ok" not in line:
                why = lost.excuse(row, line, mine, ours, [e for e in events if e.get("rule") == row.name],
                                  "kernel" if self.kernel else "userspace")
                if why:
                    self.excused.setdefault(row, []).append("%s: %s" % (line, why))
                    spis -= " 0 came back" in line  # nothing went through it
                else:
                    wrong.append(line)
            elif not line.startswith(("step ", "row: ")):
                wrong.append("said: " + line)
        if "row: done" not in said:
            wrong.append("the row did not come to its end")
        for side, packets in mine.items():
            if self.answers_early(row):
                packets = without_early_answers(packets, ours)
            wrong += ["on the %s wire: %s" % (side, w) for w in judge_wire(row, packets, ours, spis)]
        for who, expressions in row.says.items():
            if who in ("cordon", self.peer_name):
                wrong += self.judge_words(row, who, expressions, events)
        return wrong

    def answers_early(self, row):
        """pluto in IKEv1 has its outbound half when it has dealt with message 3, and its inbound half since message 2; a
        busy charon is in between for a moment."""
        return self.peer_name == "openiked" or ("v1" in row.options and row.starts == "cordon")

    def words(self, row, who, events):
        """What a daemon's log has to say about a row, one line each."""
        local, remote = self.local(row), self.remote(row)
        if who == "cordon":
            return ["%s %s" % (e["event"], e["text"]) for e in events if e.get("remote") == remote or e.get("rule") == row.name]
        log = self.read("peer.log").splitlines()
        if who == "strongswan":
            return list(strongswan_messages(log, self.peer_own(row), self.local_seen(row)))
        if who == "libreswan":
            return [x for x in log if '"%s"' % row.name in x or local in x]
        spis = {m for x in log if local in x for m in re.findall(r"spi=(0x[0-9a-f]+)", x)}
        return [x for x in log if local in x or any(s in x for s in spis)]

    def judge_words(self, row, who, expressions, events):
        lines = self.words(row, who, events)
        at = 0
        for e in expressions:
            while at < len(lines) and not re.search(e, lines[at]):
                at += 1
            if at == len(lines):
                return ["%s's log has no '%s'%s" % (who, e, " where it should be" if any(re.search(e, x) for x in lines) else "")]
            at += 1
        return []


def strongswan_messages(log, remote, local):
    """What charon decoded and made, with the addresses that stand in the neighbouring line of the same thread."""
    parsed = {}  # thread: the addresses of what it received last
    made = {}
    for line in log:
        m = re.match(r"\S+ (\d+)\[(\w+)\] (?:<[^>]*> )?(.*)", line)
        if not m:
            continue
        thread, group, text = m.groups()
        a = re.search(r"from (\S+)\[\d+\] to (\S+)\[\d+\]", text)
        if group == "NET" and a:
            ends = {a.group(1), a.group(2)}
            if text.startswith("received packet"):
                parsed[thread] = ends
            elif text.startswith("sending packet"):
                for t in made.pop(thread, []):
                    if ends == {remote, local}:
                        yield t
        elif group == "ENC" and text.startswith("parsed") and parsed.get(thread) == {remote, local}:
            yield text
        elif group == "ENC" and text.startswith("generating"):
            made.setdefault(thread, []).append(text)
        elif parsed.get(thread) == {remote, local}:
            yield text
