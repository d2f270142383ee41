#!/usr/bin/env python3
"""The JSON that other programs rely on has exactly the members that docs/json.md promises: members.py CORDON SOURCES"""
import json
import os
import subprocess
import sys
import tempfile

OUTCOMES = {"clear", "authenticated", "encrypted", "blocked"}
FINDING = {"code", "severity", "message", "file", "line", "column"}


def ask(status, *words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, timeout=60)
    assert done.returncode == status, (words, done.returncode, done.stderr)
    return json.loads(done.stdout)


def members(value, *names):
    assert set(value) == set(names), (sorted(value), sorted(names))


def check_is_as_promised(path, status=0):
    answer = ask(status, "check", "--json", path)
    members(answer, "ok", "errors", "warnings", "tests")
    assert answer["ok"] is (status == 0)
    members(answer["tests"], "passed", "failed", "failures")
    assert answer["tests"]["failed"] == len(answer["tests"]["failures"])
    for finding in answer["errors"] + answer["warnings"]:
        members(finding, *FINDING)
        assert finding["message"] and finding["code"]
    assert all(f["severity"] == "error" for f in answer["errors"])
    assert all(f["severity"] in ("warning", "note") for f in answer["warnings"])
    for failure in answer["tests"]["failures"]:
        members(failure, "from", "to", "traffic", "expected", "got", "reason", "line", "column")
        assert {failure["expected"], failure["got"]} <= OUTCOMES
    return answer


def why_is_as_promised(*words):
    answer = ask(0, "why", "--json", *words)
    cases = answer.pop("cases", None)
    members(answer, "verdict", "guaranteed", "rule", "reason", "firewall", "when", "bounded", "ends", "contest")
    assert {answer["verdict"], answer["guaranteed"]} <= OUTCOMES
    assert len(answer["ends"]) == 2
    for end in answer["ends"]:
        members(end, "host", "address", "rule", "mode", "verdict")
    for row in answer["contest"]:
        members(row, "rule", "file", "line", "won", "reason")
    for case in cases or []:
        members(case, "verdict", "guaranteed", "rule", "reason", "firewall", "when", "traffic", "pairs")
    return answer, cases


def main():
    isolation, published = "examples/domain-isolation.yaml", "examples/domain-isolation-as-published.yaml"
    answer = check_is_as_promised(isolation)
    assert answer == {"ok": True, "errors": [], "warnings": [], "tests": {"passed": 10, "failed": 0, "failures": []}}
    codes = {w["code"]: w for w in check_is_as_promised(published)["warnings"]}
    assert {"wide-exemption", "port-at-wrong-end"} <= set(codes)
    assert "dc1 <-> dc2" in codes["wide-exemption"]["message"]
    assert "All Server/PAW Require IPsec" in codes["wide-exemption"]["message"]
    assert not check_is_as_promised("tests/cli/policies/mistakes.yaml", 1)["ok"]
    assert check_is_as_promised("tests/cli/policies/failing-test.yaml", 1)["tests"]["failed"] == 1
    assert check_is_as_promised("no-such-file.yaml", 1)["errors"][0]["code"] == "unreadable"

    answer, cases = why_is_as_promised("--policy", isolation, "paw1", "dc1", "udp/53")
    assert answer["verdict"] == "clear" and cases is None
    assert [row["won"] for row in answer["contest"]] == [True, False]
    answer, _ = why_is_as_promised("rogue", "srv1", "tcp/445", "--policy", isolation)
    assert answer["verdict"] == "blocked" and answer["ends"][0]["rule"] is None
    _, cases = why_is_as_promised("servers", "dc1", "tcp/445", "--policy", isolation)
    assert len(cases) == 2
    answer, _ = why_is_as_promised("--policy", "examples/ipsec-bypass.yaml", "other", "server1", "tcp/80")
    assert answer["firewall"] == "Web is closed"

    with tempfile.TemporaryDirectory() as folder:
        answer = ask(0, "init", "--json", "--output", folder + "/p.yaml", "--host-page", folder + "/h.yaml")
        members(answer, "ok", "policy", "host_page", "name", "authentication", "zones", "hosts", "left_out")
        members(answer["host_page"], "path", "fate", "text")
        assert answer["host_page"]["fate"] == "written" and answer["policy"]["path"] == folder + "/p.yaml"
        members(ask(1, "init", "--json", "--output", folder + "/p.yaml"), "ok", "error")

    cells = ask(0, "matrix", "--json", isolation)["cells"]
    for cell in cells:
        members(cell, "from", "to", "traffic", "verdict", "rule")
    table = {(c["from"], c["to"], c["traffic"]): c["verdict"] for c in cells}
    assert table["paw1", "dc2", "udp/53"] == "clear"
    assert table["srv2", "srv1", "any other"] == "encrypted"
    assert table["rogue", "srv2", "tcp/445"] == "blocked"
    return 0


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv[1])
    os.chdir(sys.argv[2])
    sys.exit(main())
