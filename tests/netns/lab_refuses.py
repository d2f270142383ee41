#!/usr/bin/env python3
"""What a lab cannot do it says in words, before or instead of a verdict.

usage: lab_refuses.py CORDON
"""
import os
import subprocess
import sys

from lab_twin import IDLE, Lab, check, folder_of, need_root

need_root()
TEST = "{ from: a, to: b, traffic: tcp/445, expect: encrypted }"
DIES = "import sys\nprint('no such thing as a network', file=sys.stderr)\nsys.exit(3)\n"
DIES_LATER = IDLE.replace("signal.pause()", "import time; time.sleep(1); os._exit(4)")
ENDS_BADLY = IDLE.replace("os._exit(0)", "os._exit(9)")
HOSTS = "cordon: 1\nhosts: { a: { address: 10.0.0.1, agent: none }, b: { address: 10.0.0.2, agent: none } }\n"


def refuses(lab, words, *scenario):
    status, out, err = lab.run("run", *scenario)
    check(status in (1, 2), "%s: status %d" % (scenario, status))
    for w in words:
        check(w in err, "'%s' is not in: %s" % (w, err))


with Lab(sys.argv[1]) as lab:
    refuses(lab, ["No such file"], "/nowhere/policy.yaml")
    refuses(lab, ["which scenario"])
    refuses(lab, ["no option"], "--hurry", "x.yaml")
    refuses(lab, ["no hosts"], lab.write("empty.yaml", "cordon: 1\n"))
    refuses(lab, ["no tests"], lab.write("untested.yaml", HOSTS))
    refuses(lab, ["wrong.yaml:3:"], lab.write("wrong.yaml", HOSTS + "zone: {}\n"))
    status, rows, err = lab.rows(lab.write("taken.yaml", HOSTS.replace("agent: none }, b", "agent: none }, c: "
                                           "{ address: [10.0.0.3, 2001:db8::3], agent: none }, b") +
                                           "tests:\n"
                                           "  - { from: a, to: b, traffic: tcp/1, expect: blocked }\n"))
    check(status == 1 and rows[0]["seen"] == "clear" and rows[0]["expected"] == "blocked", "a wrong test: %s" % rows)
    # Nobody but root can make namespaces; it must say so rather than half do it.
    os.chmod(lab.folder, 0o755)
    p = subprocess.run([lab.cordon, "lab", "run", lab.policy(TEST)], user=65534, capture_output=True, text=True)
    check(p.returncode == 1 and "needs root" in p.stderr, "without root: " + p.stderr)

for text, words in ((DIES, ["ended with status 3", "no such thing as a network"]),
                    (DIES_LATER, ["ended with status 4"])):
    with Lab(sys.argv[1], text) as lab:
        refuses(lab, words, lab.policy(TEST))

with Lab(sys.argv[1], ENDS_BADLY) as lab:
    status, rows, err = lab.rows(lab.policy("{ from: rogue, to: other, traffic: icmp, expect: clear }"))
    check(status == 1 and rows[0]["seen"] == "clear" and "ended with status 9" in err, "a daemon that ends badly: " + err)
print("it says what it cannot do")
