"""Datagrams that were lost by the peer's doing, as the captures and Cordon's events tell: a row is not judged by them."""
import re

from wire import ESP, UDP, exchange_of, is_ike, spi_of

CHILD_ANSWERED = (36, True)  # a response of CREATE_CHILD_SA
BEGUN = ((34, False), (2, False))  # IKE_SA_INIT, or main mode of IKEv1
QUICK_MODE = (32, False)
HELD_S = 5     # packets wait for an SA no longer
AT_HAND_S = 1  # so soon after the answer Cordon has the SA, also where the machine is slow


def excuse(row, line, mine, ours, events, plane):
    """Why what a failed step's line says is lost was lost by the peer; "" where it was not. mine: {side: packets}."""
    m = re.match(r"step (up|again|end): failed, .* (\d+) sent, (\d+) came back", line)
    if not m:
        return ""
    lost = int(m.group(2)) - int(m.group(3))
    if m.group(1) == "up":
        return before_there_was_an_sa(row, row.starts, lost, mine, ours)
    if m.group(1) == "again":
        return before_there_was_an_sa(row, "cordon", lost, {side: after_the_first_sa(p) for side, p in mine.items()}, ours)
    if "v1" in row.options:
        return unopened(row, lost, mine["right"], ours)
    return before_we_had_keys(lost, mine["left"], ours, events) if plane == "kernel" else ""


def after_the_first_sa(packets):
    """From where one end begins again."""
    first = {}  # source: the SPI
    for p in packets:
        if spi_of(p) is not None:
            first.setdefault(p.source, spi_of(p))
    ended = max((p.time for p in packets if spi_of(p) is not None and spi_of(p) == first[p.source]), default=0)
    return [p for p in packets if p.time > ended and (spi_of(p) is not None or not is_ike(p) or begins(p, packets, ended))]


def begins(p, packets, ended):
    """Of an IKE message: it is not about what there was before."""
    return p.time >= min((q.time for q in packets if q.time > ended and is_ike(q) and exchange_of(q) in BEGUN), default=float("inf"))


def before_there_was_an_sa(row, starts, lost, mine, ours):
    clear = answers_in_clear(mine["right"], ours)
    if "v1" in row.options and starts == "cordon" and lost <= clear:
        return "the peer answered %d in clear: it took them in before it knew what to protect" % clear
    ike = [p for p in mine["left"] if is_ike(p)]
    first = next((p.time for p in ike if p.source in ours), None)
    sealed = next((p.time for p in mine["left"] if p.source in ours and spi_of(p) is not None), float("inf"))
    last = max((p.time for p in ike if p.source not in ours and p.time < sealed), default=0)
    if starts == "cordon" and first is not None and last - first > HELD_S:
        return "the peer answered after %.1f s, and packets wait no longer than %d" % (last - first, HELD_S)
    early = before_quick_mode_was_read(mine["right"], ours)
    if starts == "cordon" and lost <= early:
        return "%d reached the peer within %d s of our last message of quick mode, and were not opened" % (early, AT_HAND_S)
    return ""


def before_quick_mode_was_read(packets, ours):
    """IKEv1's responder may take what it has agreed to when it has dealt with message 3, and a busy one is late. Of ours
    before the first that it sealed."""
    begun = min((p.time for p in packets if p.source in ours and spi_of(p) is not None), default=0)
    done = max((p.time for p in packets if p.source in ours and p.time < begun and is_ike(p) and exchange_of(p) == QUICK_MODE),
               default=None)
    answered = min((p.time for p in packets if p.source not in ours and spi_of(p) is not None), default=float("inf"))
    return sum(p.source in ours and spi_of(p) is not None and done < p.time < min(done + AT_HAND_S, answered)
               for p in packets) if done is not None else 0


def answers_in_clear(packets, ours):
    """Of the peer's, before the first that it sealed."""
    count = 0
    for p in packets:
        if p.source in ours or is_ike(p):
            continue
        if spi_of(p) is not None:
            break
        count += p.protocol == UDP
    return count


def before_we_had_keys(lost, packets, ours, events):
    """Who is asked for a new SA may send under it at once (RFC 7296 2.8). Until its answer is read nobody here has the keys,
    and the kernel keeps nothing for an SA that it has not; the userspace plane does."""
    count = 0
    for spi, up in ((e["spi"], e["time_ms"] / 1000) for e in events if e["event"] == "quick-mode-up" and "spi" in e):
        early = [p for p in packets if p.source not in ours and p.protocol == ESP and p.time < up and
                 spi_of(p) == spi.to_bytes(4, "big")]
        answers = [p for p in packets if is_ike(p) and p.time < up and exchange_of(p) == CHILD_ANSWERED]
        if early and answers and answers[-1].source not in ours:
            count += sum(p.time < answers[-1].time + AT_HAND_S for p in early)
    return "%d of the peer's came under an SA whose keys its answer had yet to bring" % count if 0 < lost <= count else ""


def unopened(row, lost, packets, ours):
    """IKEv1's responder has its inbound half when it has dealt with message 3: of each SA the first packet may be too early."""
    sealed = [p for p in packets if p.protocol == ESP]
    spis = {spi_of(p) for p in sealed if p.source in ours}
    reached = sum(p.source in ours for p in sealed)
    if row.child_life and 0 < lost <= min(len(spis), reached - (len(sealed) - reached)):
        return "%d reached the peer and were not opened there, no more than one for each SA" % lost
    return ""
