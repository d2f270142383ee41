"""What the captures of the two wires hold."""
import struct

ESP, AH, UDP, ICMP, IGMP = 50, 51, 17, 1, 2


class Packet:
    __slots__ = ("source", "to", "protocol", "body", "fragment", "time")


def frames(path):
    """The IP packets of a capture."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except FileNotFoundError:
        return
    at = 24
    while at + 16 <= len(data):
        s, us, have, _ = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16:at + 16 + have]
        at += 16 + have
        kind = struct.unpack_from("!H", frame, 12)[0] if len(frame) >= 14 else 0
        p, ip = Packet(), frame[14:]
        p.time, p.fragment = s + us / 1e6, False
        if kind == 0x800 and len(ip) >= 20:
            p.source, p.to, p.protocol = ip[12:16], ip[16:20], ip[9]
            p.fragment = bool(struct.unpack_from("!H", ip, 6)[0] & 0x3fff)
            p.body = ip[(ip[0] & 15) * 4:]
        elif kind == 0x86dd and len(ip) >= 40:
            p.source, p.to, p.protocol, p.body = ip[8:24], ip[24:40], ip[6], ip[40:]
            if p.protocol == 44 and len(p.body) >= 8:
                p.protocol, p.body, p.fragment = p.body[0], p.body[8:], True
        else:
            continue
        yield p


def spi_of(p):
    """The SPI of a protected packet, also in UDP; None for another."""
    if p.protocol == ESP and len(p.body) >= 8:
        return p.body[:4]
    if p.protocol == AH and len(p.body) >= 8:
        return p.body[4:8]
    if p.protocol == UDP and len(p.body) >= 16 and 4500 in struct.unpack_from("!HH", p.body) and p.body[8:12] != b"\0\0\0\0":
        return p.body[8:12]
    return None


def is_ike(p):
    return p.protocol == UDP and (p.fragment or bool({500, 4500} & set(struct.unpack_from("!HH", p.body))))


def exchange_of(p):
    """Which kind of IKE message it is, and whether it is a response (IKEv2); None where that cannot be seen."""
    at = 8 + (4 if 4500 in struct.unpack_from("!HH", p.body) else 0)
    if p.fragment or len(p.body) < at + 20:
        return None
    return p.body[at + 18], bool(p.body[at + 19] & 0x20)


def has_ike_fragment(p):
    """An IKE message whose first payload is an encrypted fragment (RFC 7383)."""
    if p.protocol != UDP or p.fragment:
        return False
    at = 8 + (4 if 4500 in struct.unpack_from("!HH", p.body) else 0)
    return len(p.body) > at + 16 and p.body[at + 16] == 53


def is_exempt(p):
    """Neighbour discovery, ICMP errors (about UDP 500 before the peer's daemon is there, for one), and what the kernel says
    of groups that it is in, to all routers."""
    return (p.protocol == 58 and (133 <= p.body[0] <= 137 or p.body[0] < 128)) or (
        p.protocol == ICMP and p.body[0] in (3, 11, 12)) or p.protocol == IGMP


def without_early_answers(packets, local):
    """There are peers that give their kernel the SAs first and what is to be sent under them afterwards: an answer in between
    goes in clear, from their end. After their first protected packet none may."""
    first = next((i for i, p in enumerate(packets) if p.source not in local and spi_of(p) is not None), len(packets))
    return [p for i, p in enumerate(packets) if i > first or p.source in local or spi_of(p) is not None or is_ike(p)]


def judge_wire(row, packets, local, least):
    """least: SPIs that must be in each direction."""
    wrong = []
    packets = [p for p in packets if not is_exempt(p)]
    spis = {True: [], False: []}
    clear = [p for p in packets if spi_of(p) is None and not is_ike(p)]
    for p in packets:
        spi = spi_of(p)
        if spi is not None:
            spis[p.source in local].append(spi)
    if clear:
        wrong.append("%d clear packets, the first of protocol %d" % (len(clear), clear[0].protocol))
    if "nat" in row.world and any(p.protocol in (ESP, AH) for p in packets):
        wrong.append("ESP outside of UDP")
    if "nat" not in row.world and any(p.protocol == UDP and not p.fragment and spi_of(p) is not None for p in packets):
        wrong.append("ESP in UDP, and no NAT: the peer never agreed to that")
    if "whole" in row.options and not any(has_ike_fragment(p) for p in packets):
        wrong.append("no IKE fragment was seen")
    if row.expect == "encrypted" and any(b"marker of" in p.body for p in packets):
        wrong.append("the text can be read")
    if row.expect == "authenticated" and "tcp" in row.steps and not any(b"marker of" in p.body for p in packets):
        wrong.append("the text cannot be read, although only its integrity is protected")
    for ours, seen in spis.items():
        whose = "ours" if ours else "the peer's"
        if row.expect == "refused":
            # A peer that began hears our proof when we are done: what we send before it says no is sealed, and nobody opens it.
            if seen and not (ours and row.starts == "peer"):
                wrong.append("%d protected packets of %s" % (len(seen), whose))
            continue
        if len(seen) < 5:
            wrong.append("only %d protected packets of %s" % (len(seen), whose))
        elif len(set(seen)) < least:
            wrong.append("%d SPIs in %s packets, at least %d were to be" % (len(set(seen)), whose, least))
        if row.spis_most and len(set(seen)) > row.spis_most:
            wrong.append("%d SPIs in %s packets, at most %d were to be" % (len(set(seen)), whose, row.spis_most))
    return wrong
