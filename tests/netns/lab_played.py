#!/usr/bin/env python3
"""Scenarios over time: the shipped one is as it says, and one with wrong expectations is not.

usage: lab_played.py CORDON FOLDER
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from lab_twin import Lab, check, need_root

need_root()
with Lab(sys.argv[1], None) as lab:
    env = dict(os.environ, CORDON_LAB_DIR=os.path.join(lab.folder, "labs"))

    def play(folder):
        done = subprocess.run([sys.argv[1], "lab", "run", "--json", folder], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=200)
        return done.returncode, json.loads(done.stdout), done.stderr

    status, said, err = play(sys.argv[2])
    wrong = [s for s in said["steps"] if not s["ok"]]
    check(status == 0 and said["ok"] and not wrong, "%s: status %d, %s\n%s" % (sys.argv[2], status, wrong, err))
    outsider = [r for r in said["rows"] if "rogue" in (r["from"], r["to"])]
    check(len(outsider) >= 6 and all(r["seen"] == "blocked" for r in outsider), "the outsider: %s" % outsider)
    print("%d steps as expected" % len(said["steps"]))

    folder = os.path.join(lab.folder, "wrong")
    os.mkdir(folder)
    shutil.copy(os.path.join(sys.argv[2], "policy.yaml"), folder)
    with open(os.path.join(folder, "scenario.yaml"), "w") as f:
        f.write("""cordon: 1
steps:
  - probe: { from: srv1, to: srv2, traffic: tcp/445, expect: encrypted }
  - probe: { from: rogue, to: srv1, traffic: tcp/445, expect: clear }
  - run: { on: srv1, command: [exempt, srv2] }
  - kill: srv2
  - start: srv2
  - cut: srv3
  - probe: { from: rogue, to: srv3, traffic: udp/53, expect: blocked }
  - mend: srv3
  - wait: 100ms
  - probe: { from: srv2, to: srv3, traffic: udp/53, expect: encrypted }
""")
    status, said, err = play(folder)
    differs = [s["step"] for s in said["steps"] if not s["ok"]]
    check(status == 1 and not said["ok"] and differs == [2, 3], "wrong expectations: %s %s %s" % (status, said, err))

    with open(os.path.join(folder, "scenario.yaml"), "w") as f:
        f.write("cordon: 1\nsteps:\n  - kill: nobody\n")
    done = subprocess.run([sys.argv[1], "lab", "run", folder], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 1 and "scenario.yaml:3:11: error" in done.stderr, "a mistake: %s" % done.stderr)
