#!/usr/bin/env python3
"""The lab believes the wire and not the hosts: with daemons that protect nothing it must see clear, name every flow that
leaked, and say no.

usage: lab_sees_clear.py CORDON
"""
import sys

from lab_twin import Lab, check, need_root

need_root()
with Lab(sys.argv[1]) as lab:
    policy = lab.policy("{ from: a, to: b, traffic: tcp/445, expect: encrypted }",
                        "{ from: rogue, to: a, traffic: udp/53, expect: blocked }",
                        "{ from: rogue, to: other, traffic: icmp, expect: clear }",
                        "{ from: other, to: rogue, traffic: gre, expect: clear }")
    status, rows, err = lab.rows(policy)
    check(status == 1, "the lab is content")
    check([r["seen"] for r in rows] == ["clear"] * 4, "seen: %s" % rows)
    check([r["predicted"] for r in rows] == ["encrypted", "blocked", "clear", "clear"], "predicted: %s" % rows)
    for words in ("a sent", "b sent", "10.0.0.1", "2001:db8:1::1", "'all' says encrypted", "'all' says blocked"):
        check(words in err, "'%s' is not in: %s" % (words, err))
    check("rogue sent" not in err and "other sent" not in err, "an outsider is blamed: " + err)
print("clear was seen")
