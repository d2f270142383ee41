"""Which rows of tests/netns run in the guest, where cordond takes the kernel's data plane, and why the others do not. Each
program there, or each of its rows, is in one of the tables: tests/tree/guest_rows.py sees to it.

usage: rows.py PROGRAM: says why rows of it do not run there, and is skipped
"""
import sys

# In long runs; group: its rows, all in one guest.
GROUPS = {
    "daemon": ["daemon:thin_path", "daemon:certificates", "daemon:usage", "daemon:killed", "daemon:fallback",
               "daemon:fallback_after_secured", "daemon:addresses", "daemon:applied", "daemon:own_connection", "daemon:source",
               "daemon:disabled", "daemon:enabled", "daemon:uninstalled", "daemon:flushed", "daemon:refused", "daemon:events_follow"],
    "moved": ["daemon:moved", "daemon:probation", "daemon:first_probation", "daemon:locked_out"],
    "tunnel": ["tunnel:gateway_to_gateway", "tunnel:families", "tunnel:by_ah", "tunnel:nothing_clear", "tunnel:gateways_own",
               "tunnel:exemptions", "tunnel:protected_already", "tunnel:applied", "tunnel:host_to_gateway", "tunnel:dynamic",
               "tunnel:hub"],
    "deaths": ["planes:killed_in_request_mode", "keys:killed", "sources:killed", "processes:keying",
               "processes:others"],
    "exempt": ["exempt:repair", "exempt:bounds", "exempt:named"],
    "nat": ["nat:behind_ipv4", "nat:behind_ipv6", "nat:rebound", "nat:narrow", "nat:refused", "nat:port_forward", "nat:forgotten",
            "nat:keep_alives", "ah:narrow", "ah:changed"],
    "pressure": ["pressure:blaster", "pressure:blaster_udp", "pressure:rekeyed", "pressure:rekeyed_udp"],
    "identity": ["identity:admitted", "identity:refused", "identity:unknown", "identity:of_rules", "identity:lost",
                 "identity:told", "identity:shown", "identity:replaced", "identity:waits"],
    "events": ["events:drops", "events:connections", "events:flows"],
}

RULESET = "no data plane is in it: gate-tool puts in the userspace plane's ruleset; the kernel's is for unit-ruleset and kernel-plane"
KEYING = "what it promises is settled before a data plane is asked"
DIRECTORY = "a controller or KDC is not up in time on the guest's one processor, and no plane is asked for what it promises"
USERSPACE = "about the userspace plane alone"
LAB = "the lab's many hosts are too slow on the guest's one processor"
NATIVE = "where a policy says auto, as one end's does here, the kernel's plane has native ESP; kernel:in_udp is about UDP"
WITHOUT = "about a kernel or a container that lacks something"
# Program or row: why.
LEFT_OUT = {
    "adlab": DIRECTORY,
    "authorities": KEYING,
    "bad_wire": LAB,
    "certificates": KEYING,
    "coexistence": "the neighbours come with a message bus and folders of their own, too slow on the guest's one processor",
    "containers": WITHOUT,
    "daemon:busy": "about a daemon that stands still, whatever its plane",
    "daemon:checked": "it starts no plane",
    "daemon:kernel_lacks": WITHOUT,
    "daemon:unread": "about a daemon whose log nobody reads",
    "deaths": "one process after the other takes the guest too long; processes:others and kernel:killed are the short forms",
    "directory": DIRECTORY,
    "encapsulation": NATIVE,
    "esp_cut": USERSPACE,
    "esp_decoded": USERSPACE,
    "esp_pair": USERSPACE,
    "events:audit": KEYING,
    "events:filters": KEYING,
    "events:slow_reader": KEYING,
    "events:written": KEYING,
    "exempt:ends": RULESET,
    "exempt:keeps_blocks": RULESET,
    "exempt:opens_one": RULESET,
    "exempt:prefers_an_sa": RULESET,
    "exempt:survives": "its ten seconds are not long enough where all takes five times as long",
    "firewall": RULESET,
    "firewall_table": LAB,
    "gate": RULESET,
    "hostile": "its children are the test's own program, with the userspace plane's cage",
    "identity:deaths": "one process after the other takes the guest too long",
    "identity:many": "very many addresses are reached one after the other, which takes the guest too long",
    "init": "`cordon init` asks no data plane",
    "kerberos": DIRECTORY,
    "kerberos_directory": DIRECTORY,
    "kerberos_ends": KEYING,
    "kerberos_told": DIRECTORY,
    "keys:bad_files": KEYING,
    "keys:held": KEYING,
    "keys:hung": KEYING,
    "keytab": DIRECTORY,
    "lab_killed": LAB,
    "lab_leaves_nothing": LAB,
    "lab_played": LAB,
    "lab_refuses": LAB,
    "lab_scenarios": LAB,
    "lab_sees_clear": LAB,
    "many_rules": "so many rules take the guest's one processor too long",
    "planes:device_taken": USERSPACE,
    "planes:killed": "about the userspace plane's device; kernel:killed is the same for the kernel's",
    "processes:dies_again": USERSPACE,
    "processes:keying_hangs": KEYING,
    "processes:parent": "it wants protected traffic to stop, and the kernel goes on under its SAs; kernel:killed is about that",
    "sources:by_hosts": KEYING,
    "sources:by_name": KEYING,
    "sources:by_tls": KEYING,
    "sources:nobody_knows": KEYING,
    "strongswan": "it is about UDP ports and who has them, before a data plane is asked",
    "threads": USERSPACE,
    "workers": USERSPACE,
    "zones": KEYING,
    "tutorial": "its page shows what the userspace plane says",
}


def programs():
    """Those of which something is left out."""
    return sorted({name.partition(":")[0] for name in LEFT_OUT})


def why(program):
    """Each reason once, with the rows that it is for."""
    reasons = {}
    for name, reason in LEFT_OUT.items():
        of, _, row = name.partition(":")
        if of == program:
            reasons.setdefault(reason, []).append(row or "all of it")
    return "; ".join("%s: %s" % (", ".join(rows), reason) for reason, rows in reasons.items())


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in programs():
        sys.exit(__doc__)
    print("skipped: not on the kernel's plane: " + why(sys.argv[1]))
    sys.exit(77)
