#!/usr/bin/env python3
"""Of lost datagrams: which does the judge of the interop rows put down to the peer? Wires as busy machines showed them."""
import struct
import sys

import lost
from wire import ESP, UDP, Packet, without_early_answers

OURS, THEIRS = b"\x0a\x62\x00\x01", b"\x0a\x63\x00\x02"
FIRST, NEW = 0x1000, 0x2000


class Row:
    starts, options, child_life = "cordon", (), 24


class RowV1(Row):
    options = ("v1",)


def packet(time, source, protocol, body):
    p = Packet()
    p.time, p.source, p.to, p.protocol, p.body, p.fragment = time, source, THEIRS if source == OURS else OURS, protocol, body, False
    return p


def esp(time, source, spi=FIRST, sequence=2):
    return packet(time, source, ESP, struct.pack("!II", spi, sequence) + bytes(40))


def ike(time, source, exchange, response):
    return packet(time, source, UDP, struct.pack("!HHHH", 500, 500, 108, 0) + bytes(16) + bytes(
        (46, 0x20, exchange, 0x20 if response else 0x08)) + bytes(80))


def clear(time):
    return packet(time, THEIRS, UDP, struct.pack("!HHHH", 7777, 59783, 12, 0) + bytes(4))


def up(time, spi=NEW):
    return {"event": "quick-mode-up", "spi": spi, "time_ms": int(time * 1000)}


ASKED = [ike(10, OURS, 36, False), esp(10.1, THEIRS, NEW, 1), ike(10.2, THEIRS, 36, True), esp(10.3, THEIRS, NEW)]
ANSWERED = [ike(10, THEIRS, 36, False), ike(10.1, OURS, 36, True), esp(10.2, THEIRS, NEW, 1)]
LATE = ASKED + [esp(11.5, THEIRS, NEW)]
BEGIN_AGAIN = "step again: failed, 55 s 3 sent, 0 came back"
END, UP = "step end: failed, 63 s 200 sent, %d came back", "step up: failed, 26 s 3 sent, 0 came back"
SLOW = [ike(10, OURS, 34, False), ike(15.4, THEIRS, 35, True), esp(31, OURS)]
QUICK = [ike(10, OURS, 34, False), ike(10.4, THEIRS, 35, True), esp(31, OURS)]
OPENED = [esp(10, OURS), esp(10.1, THEIRS), esp(11, OURS, NEW, 1), esp(12, OURS, NEW), esp(12.1, THEIRS, NEW)]
EARLY = [esp(10, OURS)] * 3 + [clear(10.1)] * 3 + [esp(30, OURS), esp(30.1, THEIRS)]
DELETED = [esp(5, OURS), esp(5.1, THEIRS), ike(6, THEIRS, 37, False), ike(6.1, OURS, 37, True)]
AGAIN = DELETED + [ike(20, OURS, 34, False), ike(20.1, THEIRS, 34, True), ike(25.5, THEIRS, 35, True), esp(31, OURS, NEW)]
AT_ONCE = DELETED + [ike(20, OURS, 34, False), ike(20.1, THEIRS, 34, True), ike(20.5, THEIRS, 35, True), esp(31, OURS, NEW)]
BUSY = [ike(10, OURS, 32, False), ike(10.1, THEIRS, 32, False), ike(10.2, OURS, 32, False)] + [esp(10.4, OURS)] * 3 + [
    ike(10.5, THEIRS, 32, False), ike(10.6, OURS, 32, False), esp(30, OURS), esp(30.1, THEIRS), ike(40, OURS, 32, False)]
ROWS = (  # what, row, line, left, right, events, plane, excused
    ("the peer sends before its answer is read", Row, END % 198, ASKED, [], [up(10.6)], "kernel", True),
    ("more are lost than that", Row, END % 197, ASKED, [], [up(10.6)], "kernel", False),
    ("the userspace plane keeps them", Row, END % 198, ASKED, [], [up(10.6)], "userspace", False),
    ("Cordon is late by itself", Row, END % 197, LATE, [], [up(12)], "kernel", False),
    ("it was the peer that asked", Row, END % 199, ANSWERED, [], [up(10.6)], "kernel", False),
    ("nothing was early", Row, END % 199, ASKED, [], [up(10.05)], "kernel", False),
    ("the peer takes longer than packets wait", Row, UP, SLOW, [], [], "kernel", True),
    ("the peer was in time", Row, UP, QUICK, [], [], "kernel", False),
    ("it takes longer when we begin again", Row, BEGIN_AGAIN, AGAIN, [], [], "kernel", True),
    ("it was in time when we began again", Row, BEGIN_AGAIN, AT_ONCE, [], [], "kernel", False),
    ("the peer has yet to read that quick mode is done", Row, UP, [], BUSY, [], "kernel", True),
    ("the peer had time to read it", Row, UP, [], BUSY[:3] + [esp(11.4, OURS)] * 3, [], "kernel", False),
    ("answers in clear", RowV1, UP, QUICK, EARLY, [], "kernel", True),
    ("answers in clear of IKEv2 are no excuse", Row, UP, QUICK, EARLY, [], "kernel", False),
    ("the peer opens the first one of an SA not yet", RowV1, END % 199, [], OPENED, [], "kernel", True),
    ("more than it left unopened", RowV1, END % 198, [], OPENED, [], "kernel", False),
    ("nothing in numbers", Row, "step tcp: failed, 2 s", ASKED, [], [up(10.6)], "kernel", False),
)

failed = 0
for what, row, line, left, right, events, plane, excused in ROWS:
    why = lost.excuse(row, line, {"left": left, "right": right}, {OURS}, events, plane)
    if bool(why) != excused:
        print("FAIL  %s: %s" % (what, why or "not excused"))
        failed += 1
if any(p.protocol == UDP for p in without_early_answers(EARLY, {OURS})):
    print("FAIL  what the peer sent in clear early is judged")
    failed += 1
after = clear(31)
if after not in without_early_answers(EARLY + [after], {OURS}):
    print("FAIL  what the peer sent in clear later is not judged")
    failed += 1
sys.exit(1 if failed else 0)
