#!/usr/bin/env python3
"""Events: who wants which, what is written down, what is switched off, and what happens to whoever does not read.

usage: events.py [TEST ...]; CORDON and CORDOND name the programs
"""
import json
import os
import signal
import socket
import subprocess
import time

from daemon import A, B, CORDON, PSK, good, two_hosts, wait_until, write
from lib import expect, main, on_exit


def events(host, *more):
    code, out = host.cordon("events", *more, "--json")
    expect("cordon events %s answers" % " ".join(more), code == 0)
    return [json.loads(line) for line in out.splitlines()]


def names(rows):
    return [r["event"] for r in rows]


def filters():
    """each filter lets through what it names, past and to come; what there is not is refused in words"""
    a, _ = two_hosts()
    a.start()
    a.cordon("apply", good(a))
    a.cordon("disable", "--reason", "to see")
    a.cordon("enable")
    follower = subprocess.Popen([CORDON, "events", "--follow", "--event", "enabled", "--json", "--run-dir", a.run_dir],
                                stdout=subprocess.PIPE, text=True)
    on_exit(follower.kill)
    expect("what was", json.loads(follower.stdout.readline())["event"] == "enabled")
    expect("all", names(events(a))[:1] == ["started"])
    expect("by category", set(names(events(a, "--category", "policy-change"))) <=
           {"policy-applied", "disabled", "enabled", "addresses-changed", "credentials-changed"})
    expect("by name", names(events(a, "--event", "disabled,enabled")) == ["disabled", "enabled"])
    expect("by severity", "started" not in names(events(a, "--severity", "warning")))
    expect("the last one of those", names(events(a, "--event", "disabled,enabled", "--last", "1")) == ["enabled"])
    expect("who asked", events(a, "--event", "disabled")[0]["user"] == "root")
    expect("since then", "started" in names(events(a, "--since", "1h")))
    expect("not before", names(events(a, "--since", "2099-01-01 12:00")) == [])
    for wrong in (["--category", "middle-mode"], ["--event", "nonesuch"], ["--severity", "grave"]):
        code, out = a.cordon("events", *wrong)
        expect("%s is refused" % " ".join(wrong), code == 1 and wrong[1] in out)
    expect("a time that is none", a.cordon("events", "--since", "yesterday")[0] == 2)
    a.cordon("disable")
    a.cordon("enable")
    expect("what comes", json.loads(follower.stdout.readline())["event"] == "enabled")


def audit():
    """audit switches categories off and on, for success and failure, behind a restart too, and tells of it"""
    a, _ = two_hosts()
    a.start()
    code, out = a.cordon("audit", "show")
    expect("shown", code == 0 and "Main Mode" in out and "Connection           off" in out)
    expect("off", a.cordon("audit", "disable", "Policy Change", "--success")[0] == 0)
    changed = events(a, "--event", "audit-changed")
    expect("told", len(changed) == 1 and changed[0]["user"] == "root" and "Policy Change" in changed[0]["text"])
    a.cordon("apply", good(a))
    expect("nothing of it", "policy-applied" not in names(events(a)))
    a.kill(signal.SIGTERM)
    a.start()
    rows = {r["category"]: r for r in a.json("audit", "show")["rows"]}
    expect("a restart keeps it", rows["Policy Change"] == {"category": "Policy Change", "success": False, "failure": True})
    a.cordon("apply", a.policy("cordon: 1\nnonsense: 1\n"))
    expect("failures are told", "policy-refused" in names(events(a)))
    a.cordon("audit", "enable", "policy-change")
    a.cordon("disable")
    expect("on again", "disabled" in names(events(a)))
    expect("what there is not", a.cordon("audit", "enable", "middle-mode")[0] == 1)
    expect("wrong usage", a.cordon("audit", "enable")[0] == 2 and a.cordon("audit", "show", "Main Mode")[0] == 2)
    with open(a.state + "/audit.json", "w", encoding="utf-8") as f:
        f.write("{")
    a.kill(signal.SIGTERM)
    a.start()
    rows = {r["category"]: r for r in a.json("audit", "show")["rows"]}
    expect("a broken file is as by default, and said", rows["Policy Change"]["success"] and "audit.json" in a.log())


def written():
    """the file of events has each as a JSON line, is replaced as it grows, and need not be there"""
    a, _ = two_hosts()
    path = a.folder + "/logs/events.json"
    page = a.folder + "/host.yaml"
    write(page, "cordon: 1\nname: a\nevents: { file: %s, size: 100kB, count: 2 }\n" % path)
    a.start("--config", page)
    for _ in range(300):
        a.cordon("refresh")
        a.cordon("disable", "--reason", "x" * 200)
        a.cordon("enable")
        if os.path.exists(path + ".1"):
            break
    a.kill(signal.SIGTERM)
    rows = []
    for name in (path + ".1", path):
        with open(name, encoding="utf-8") as f:
            rows += [json.loads(line) for line in f]
    expect("whole, in order", [r["number"] for r in rows] == list(range(rows[0]["number"], rows[-1]["number"] + 1)))
    expect("to the last", rows[-1]["event"] == "stopped")
    expect("not longer than it may", os.stat(path + ".1").st_size <= 100000)
    expect("not for everybody", os.stat(path).st_mode & 0o777 == 0o640)
    write(page, "cordon: 1\nname: a\nevents: { file: none }\n")
    os.unlink(path)
    a.start("--config", page)
    a.kill(signal.SIGTERM)
    expect("none", not os.path.exists(path) and not os.path.exists(a.state + "/events.json"))


def ask(host, request):
    """A connection that asked, as a program of one's own would."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(host.run_dir + "/control")
    octets = json.dumps(request).encode()
    s.sendall(len(octets).to_bytes(4, "big") + octets)
    return s


def reply(s):
    def exactly(n):
        octets = b""
        while len(octets) < n:
            more = s.recv(n - len(octets))
            if not more:
                raise EOFError
            octets += more
        return octets
    return json.loads(exactly(int.from_bytes(exactly(4), "big")))


def slow_reader():
    """a follower that does not read loses events and is told how many; others, and the daemon, go on"""
    a, _ = two_hosts()
    a.start()
    offered = 2500
    slow = ask(a, {"request": "events", "follow": True, "last": 0, "event": "policy-refused"})
    expect("it follows", reply(slow)["ok"])
    refused = 0
    for _ in range(offered):
        with ask(a, {"request": "apply", "policy": "cordon: 2", "path": "/" + "x" * 600}) as c:
            refused += not reply(c)["ok"]
    expect("each is refused", refused == offered)
    expect("the daemon is well", a.cordon("status")[0] in (0, 1))
    slow.settimeout(2)
    got = early = 0
    try:
        while True:
            early += "missed" in reply(slow)
            got += 1
    except (socket.timeout, TimeoutError):
        pass
    expect("some came, and some did not", 0 < got < offered and not early)
    with ask(a, {"request": "apply", "policy": "cordon: 2", "path": "/last"}) as c:
        reply(c)
    last = reply(slow)
    expect("all that did not are counted", last["missed"] + got == offered)
    slow.close()
    time.sleep(1.5)
    left_out = events(a, "--event", "events-left-out")
    expect("and told", [r for r in left_out if r["reason"] == "follower" and r["left_out"] > 0])


def drops():
    """a dropped packet is told with rule, direction, both ends and ports; a flood of them costs a few lines, and all are counted"""
    a, b = two_hosts()
    b.start(policy=PSK % "require")
    flood = a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=(A, 49812))
    flood.sendto(b"clear", (B, 445))
    expect("it is told", wait_until(lambda: "packet-dropped" in b.events(), 5))
    e = events(b, "--category", "packet-drop")[0]
    want = {"rule": "all", "direction": "in", "local": B, "remote": A, "protocol": 17, "local_port": 445, "remote_port": 49812,
            "reason": "clear-in", "windows": 5152, "result": "failure"}
    expect("with all that is known: %s" % e, {k: e.get(k) for k in want} == want)
    sent = 1
    end = time.time() + 4
    while time.time() < end:
        for _ in range(200):
            flood.sendto(b"clear", (B, 445))
        sent += 200
        time.sleep(0.001)
    time.sleep(1.5)
    flood.sendto(b"clear", (B, 445))
    sent += 1
    time.sleep(0.5)
    rows = events(b, "--category", "packet-drop", "--peer", A)
    expect("few lines for %d packets: %d" % (sent, len(rows)), 2 <= len(rows) <= 25)
    expect("which say how many were not told", max(r["left_out"] for r in rows) > 20)
    counted = [r["count"] for r in b.json("show", "drops")["rows"] if r["name"] == "clear-in"]
    expect("all are counted", counted == [sent])
    b.cordon("audit", "disable", "packet-drop")
    before = len(events(b, "--category", "packet-drop"))
    time.sleep(1.5)
    flood.sendto(b"clear", (B, 445))
    time.sleep(1)
    expect("not told when that is off", len(events(b, "--category", "packet-drop")) == before)
    b.cordon("audit", "enable", "packet-drop")
    plane = [r for r in b.json("status")["processes"] if r["name"] == "dataplane"][0]["pid"]
    os.kill(plane, signal.SIGKILL)
    time.sleep(2)
    flood.sendto(b"clear", (B, 446))
    expect("also by the next process", wait_until(lambda: [r for r in events(b, "--category", "packet-drop")
                                                           if r.get("local_port") == 446], 5))
    flood.close()


def connections():
    """a connection in clear is told where an exemption or a request mode allows it, if one wants to know"""
    a, b = two_hosts()
    b.start(policy=PSK % "request")
    s = a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=(A, 0))
    s.sendto(b"clear", (B, 445))
    time.sleep(1)
    expect("not by default", "connection-clear" not in b.events())
    b.cordon("audit", "enable", "connection", "--success")
    for _ in range(5):
        s.sendto(b"clear", (B, 446))
    expect("it is told", wait_until(lambda: "connection-clear" in b.events(), 5))
    rows = events(b, "--event", "connection-clear")
    expect("once, not for each packet: %d" % len(rows), [(r["rule"], r["reason"], r["local_port"], r["direction"]) for r in rows] ==
           [("all", "clear-accepted", 446, "in")])
    s.close()


def flows():
    """the ledger knows who was encrypted, blocked or in clear, under which rule, how much, and who it was"""
    a, b = two_hosts()
    policy = PSK % "require"
    a.start(policy=policy)
    s = a.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=(A, 0))
    a.cordon("disable")
    b.start(policy=policy)
    s.sendto(b"clear", (B, 445))
    expect("who was blocked", wait_until(lambda: [f for f in b.json("show", "flows")["rows"] if f["outcome"] == "blocked"], 5))
    a.cordon("enable")
    expect("then it is protected", wait_until(lambda: a.pings(B), 20))
    rows = {f["outcome"]: f for f in b.json("show", "flows")["rows"]}
    f = rows.get("encrypted", {})
    expect("who is encrypted: %s" % f, f.get("remote") == A and f.get("rule") == "all" and f.get("octets_in", 0) > 0 and
           f.get("packets_out", 0) > 0 and f.get("identity") and f["first_ms"] <= f["last_ms"])
    expect("who was blocked is the same one: %s" % rows.get("blocked"), rows.get("blocked", {}).get("identity") == f.get("identity"))
    again = {f["outcome"]: f for f in b.json("show", "flows")["rows"]}["encrypted"]
    expect("looking again adds nothing", again["packets_out"] <= f["packets_out"] + 4)
    expect("status counts the hour", b.json("status")["last_hour"]["blocked"] == 1)
    code, out = b.cordon("show", "flows")
    expect("for people", code == 0 and "encrypted" in out and "blocked" in out)
    s.close()


if __name__ == "__main__":
    main([filters, audit, written, slow_reader, drops, connections, flows])
