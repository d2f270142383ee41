"""The table of (mode x protection x firewall rules x peer x direction): the policy that it makes, and what must come of
each row by the words of the policy language alone. Nothing here asks Cordon.

One host, `server`, is ruled by a firewall section that blocks what no rule matches. Each combination of a mode, a
protection set and firewall rules has a port of its own, at whichever end is asked.
"""
from collections import namedtuple

SETS = {
    "sign": ["ah-sha256", "esp-sha256-null"],
    "hide": ["esp-aes256gcm"],
    "both": ["esp-sha256-null", "esp-aes256gcm"],  # integrity first, as Windows' default has it
}
MODES = ["require", "require-inbound", "request", "exempt"]
SECURES = ["authenticated", "encrypted", "encrypted-on-demand", "no-encapsulation"]

Host = namedtuple("Host", "address agent groups")
HOSTS = {
    "server": Host("10.79.0.10", "cordon", []),
    "member": Host("10.79.0.20", "cordon", ["trusted"]),
    "other": Host("10.79.0.30", "cordon", []),
    "outsider": Host("10.79.0.40", "none", []),
}
PEERS = ["member", "other", "outsider"]

# What the firewall section says of a port: rules as (action, secure, allow, except).
Rule = namedtuple("Rule", "action secure allow but")


def rule_lists():
    yield "none", []
    yield "allow", [Rule("allow", None, False, False)]
    yield "block and allow", [Rule("allow", None, False, False), Rule("block", None, False, False)]
    for secure in SECURES:
        yield "allow " + secure, [Rule("allow", secure, False, False)]
        yield "allow %s to some" % secure, [Rule("allow", secure, True, False)]
        yield "bypass " + secure, [Rule("block", None, False, False), Rule("bypass", secure, True, False)]
    yield "allow to all but some", [Rule("allow", "authenticated", False, True)]
    yield "bypass but blocked for others", [Rule("allow", None, False, False), Rule("block", None, False, False),
                                            Rule("bypass", "authenticated", True, False)]


Row = namedtuple("Row", "mode protection rules words port peer outward")


def combinations():
    for mode in MODES:
        for protection in SETS if mode != "exempt" else [None]:
            for words, rules in rule_lists():
                yield mode, protection, words, rules


def rows():
    for n, (mode, protection, words, rules) in enumerate(combinations()):
        for peer in PEERS:
            for outward in (False, True):
                yield Row(mode, protection, rules, words, 1000 + n, peer, outward)


def traffic(port):
    return "%s/%d" % ("udp" if port % 2 else "tcp", port)


def crossed(row):
    """What the connection security rule makes of it, before any firewall."""
    both = row.peer != "outsider"
    if row.mode == "exempt":
        return "clear"
    if not both:  # the server alone runs IPsec
        clear = row.mode == "request" or (row.mode == "require-inbound" and row.outward)
        return "clear" if clear else "blocked"
    if row.protection == "both":
        asks = {r.secure for r in row.rules}
        return "encrypted" if asks & {"encrypted", "encrypted-on-demand"} else "authenticated"
    return {"sign": "authenticated", "hide": "encrypted"}[row.protection]


def matches(rule, row, came):
    if rule.secure == "encrypted" and came != "encrypted":
        return False
    if rule.secure and came == "clear":
        return False
    member = row.peer == "member"
    return not (rule.allow and not member) and not (rule.but and member)


def expected(row):
    came = crossed(row)
    if came == "blocked":
        return came
    for action in ("bypass", "block", "allow"):
        if any(r.action == action and matches(r, row, came) for r in row.rules):
            return "blocked" if action == "block" else came
    return "blocked"


WARM = "tcp/999"  # one rule for all, by which everybody knows who the others are before the rows are tried


def policy():
    out = ["cordon: 1", "hosts:"]
    for name, h in HOSTS.items():
        out.append("  %s: { address: %s, agent: %s, groups: [%s] }" % (name, h.address, h.agent, ", ".join(h.groups)))
    out += ["groups: { trusted: [ { host: member } ] }",
            "authentication: { default: [ { certificate: {} } ] }", "protection:"]
    out += ["  %s: { proposals: [%s] }" % (k, ", ".join(v)) for k, v in SETS.items()]
    out += ["connection-security:",
            "  - { name: warm, endpoint1: [any], endpoint2: [any], traffic: [%s], mode: require, protection: hide }" % WARM]
    firewall = ["firewall:", "  hosts: [server]", "  inbound: block", "  outbound: block", "  rules:",
                "    - { name: warm, action: allow, direction: out, traffic: [%s] }" % WARM]
    for n, (mode, protection, words, rules) in enumerate(combinations()):
        port = 1000 + n
        out.append("  - { name: '%d %s', endpoint1: [any], endpoint2: [any], traffic: [%s], mode: %s%s }" % (
            port, mode, traffic(port), mode, ", protection: " + protection if protection else ""))
        for i, r in enumerate(rules):
            machines = "machines: { %s: [trusted] }" % ("allow" if r.allow else "except") if r.allow or r.but else ""
            for direction in ("in", "out"):
                words = ["name: '%d %d %s %s'" % (port, i, r.action, direction), "action: " + r.action,
                         "direction: " + direction, "traffic: [%s]" % traffic(port)]
                words += ["secure: " + r.secure] if r.secure else []
                words += [machines] if machines else []
                firewall.append("    - { %s }" % ", ".join(words))
    out += firewall + ["tests:"] + ["  - " + asks(row) for row in rows()]
    return "\n".join(out) + "\n"


def asks(row):
    ends = ("server", row.peer) if row.outward else (row.peer, "server")
    return "{ from: %s, to: %s, traffic: %s, expect: %s }" % (*ends, traffic(row.port), expected(row))


def scenario():
    out = ["cordon: 1", "steps:"]
    for peer in ("member", "other"):
        out.append("  - probe: { from: server, to: %s, traffic: %s, expect: encrypted }" % (peer, WARM))
    out.append("  - wait: 1s")
    return "\n".join(out + ["  - probe: " + asks(row) for row in rows()]) + "\n"
