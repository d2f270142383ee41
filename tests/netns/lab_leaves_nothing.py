#!/usr/bin/env python3
"""However a lab ends, no process, namespace, interface or folder of it is left.

usage: lab_leaves_nothing.py CORDON
"""
import os
import signal
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
    check(lab.run("down")[0] == 0, "down")
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
