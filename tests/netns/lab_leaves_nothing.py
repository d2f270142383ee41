#!/usr/bin/env python3
"""However a lab ends, no process, namespace, interface or folder of it is left.

usage: lab_leaves_nothing.py CORDON
"""
import os
import signal
import subprocess
import sys
import time

from lab_twin import BASE, Lab, check, folder_of, links, need_root

need_root()
links_before = links()


def nothing_left(lab, pid, how):
    check(lab.gone_within(5), "%s: processes are left: %s" % (how, lab.processes()))
    check(links() <= links_before, "%s: interfaces are left: %s" % (how, links() - links_before))


with Lab(sys.argv[1]) as lab:
    policy = lab.policy("{ from: a, to: b, traffic: tcp/445, expect: encrypted }")
    quick = lab.write("quick.yaml", "cordon: 1\nhosts: { a: { address: 10.0.0.1, agent: none }, "
                      "b: { address: 10.0.0.2, agent: none } }\n"
                      "tests: [ { from: a, to: b, traffic: icmp, expect: clear } ]\n")
    # At moments that fall into every stage: joining, issuing, starting, trying.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        for after in (0.0, 0.05, 0.15, 0.6, 2.0):
            p = lab.start("run", policy)
            time.sleep(after)
            p.send_signal(number)
            p.communicate(timeout=30)
            how = "%s after %.2f s" % (signal.Signals(number).name, after)
            nothing_left(lab, p.pid, how)
            if number != signal.SIGKILL:
                check(not folder_of(p.pid), how + ": its folder is left")
            left = p.pid
    # What a kill -9 left in files goes when the next lab starts.
    check(lab.run("run", quick)[0] == 0, "a lab after a killed one")
    check(not folder_of(left), "the folder of the killed lab is left")

    # Ctrl-C while one comes up that is to stay: a terminal's goes to the foreground's group.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for after in (0.0, 0.05, 0.1, 0.3):
            p = lab.start("up", policy, start_new_session=True)
            time.sleep(after)
            began = time.monotonic()
            (os.killpg if number == signal.SIGINT else os.kill)(p.pid, number)
            p.communicate(timeout=30)
            took, how = time.monotonic() - began, "up, %s after %.2f s" % (signal.Signals(number).name, after)
            if p.returncode == 0: # it was up before; then it stays
                check(lab.run("down")[0] == 0, how + ": it is up, and does not go down")
                continue
            check(took < 15, "%s: it took %.1f s" % (how, took))
            nothing_left(lab, p.pid, how)
            end = time.monotonic() + (5 if number == signal.SIGKILL else 0)
            while os.path.exists(BASE + "/up") and time.monotonic() < end:
                time.sleep(0.05)
            check(not os.path.exists(BASE + "/up"), how + ": its folder is left")
            status, out, err = lab.run("down")
            check(status == 1 and "no lab is up" in err, how + ": down says " + err)
    # Another terminal may take it down while it comes up.
    p = lab.start("up", policy)
    end = time.monotonic() + 10
    while not os.path.exists(BASE + "/up/lab.json") and time.monotonic() < end:
        time.sleep(0.001)
    check(lab.run("down")[0] == 0, "down while it comes up")
    p.communicate(timeout=10)
    nothing_left(lab, p.pid, "down while it comes up")

    # One that stays, is played with, and goes; and one whose keeper is killed.
    status, out, err = lab.run("up", policy)
    check(status == 0, "up: " + err)
    check(lab.run("up", policy)[0] == 1, "two labs are up at once")
    status, out, err = lab.run("exec", "b", "ip", "-o", "address")
    check(status == 0 and "192.168.7.2" in out, "exec: " + out + err)
    check(lab.run("exec", "b", "sh", "-c", "exit 7")[0] == 7, "exec hands the status on")
    status, out, err = lab.run("exec", "b", "cordon", "--version")
    check(status == 0 and out.startswith("cordon "), "exec finds the cordon that made the lab: " + out + err)
    status, out, err = lab.run("exec", "rogue", "cordon", "status")
    check(status == 1 and "no-daemon-on-this-host" in err, "exec on an outsider asks a daemon that is not the lab's: " + err)
    check(lab.run("exec", "nobody", "true")[0] == 1, "exec on a host that there is not")
    check(lab.run("exec", "a", "ping", "-c1", "-W2", "192.168.7.2")[0] == 0, "a and b do not reach each other")
    # What was begun there ends with it, even if it does not want to; what was begun elsewhere does not.
    sleeper = lab.write("sleeper", "#!/bin/sh\ntrap '' TERM HUP INT\nwhile :; do sleep 0.2; done\n")
    left = lab.write("left", "setsid sh %s >/dev/null 2>&1 &\nsetsid sh -c 'sleep 600; : %s' >/dev/null 2>&1 &\n"
                     % (sleeper, lab.folder))
    subprocess.run([lab.cordon, "lab", "exec", "a", "sh", left], timeout=20, check=True)
    check(len(lab.processes()) >= 5, "nothing runs there: the test is blind")
    here = subprocess.Popen(["sleep", "600"])
    check(lab.run("down")[0] == 0, "down")
    check(here.poll() is None, "down ended what is not the lab's")
    here.kill()
    here.wait()
    check(lab.run("down")[0] == 1, "down twice")
    nothing_left(lab, 0, "down")
    check(not os.path.exists(BASE + "/up"), "down: its folder is left")
    status, out, err = lab.run("up", policy)
    check(status == 0, "up again: " + err)
    for pid in lab.processes():
        os.kill(pid, signal.SIGKILL)
    nothing_left(lab, 0, "a killed keeper")
    check(lab.run("exec", "a", "true")[0] == 1, "exec in a lab whose keeper was killed")
    status, out, err = lab.run("up", policy)
    check(status == 0, "up after a killed keeper: " + err)
    check(lab.run("down")[0] == 0, "down after a killed keeper")
    nothing_left(lab, 0, "the end")
print("nothing is left")
