#!/bin/bash
# One world of the interop rows, inside the guest: Cordon, a router between, and a peer, each in a namespace. The driver
# (run.py) made all the files; this takes the rows' steps, all rows at a time, and writes down what came of each.
#
#   world.sh FOLDER BUILD PEER PEER'S_ROOT
#
# In FOLDER/rows/NAME.sh: row LOCAL REMOTE STARTS, then steps. What they say goes to NAME.out: "step WORDS: ok", or why not.
set -u
dir=$1 build=$2 peer=$3 root=$4
here=$(dirname "$(realpath "$0")")
export dir build peer root here
# shellcheck source=tests/interop/steps.sh
. "$here/steps.sh"

say() {
	echo "world: ${EPOCHREALTIME%.*} $*" >>"$dir/world.log"
}

# The guest ends when nobody writes to its pipes any more.
stop() {
	for ns in cordon mid peer; do
		for p in $(ip netns pids $ns); do kill -9 "$p" 2>/dev/null; done
	done
}

for ns in cordon mid peer; do ip netns add $ns; done
ip link add left netns cordon type veth peer name left netns mid
ip link add right netns peer type veth peer name right netns mid
for ns in cordon mid peer; do ip -n $ns -batch "$dir/$ns.ip"; done
echo 1 >/proc/sys/net/ipv4/ip_forward
in_ns mid sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
in_ns mid nft -f "$dir/mid.nft"
say "the wires are up"

for side in left right; do
	in_ns mid tcpdump -Z root -i $side -s 400 -U -w "$dir/$side.pcap" 2>"$dir/$side.tcpdump" &
done
in_ns peer "$build/tests/interop/echo-tool" serve &
peer_up >>"$dir/peer.out" 2>&1
cordon_up
cordond=$(cat /run/cordond.pid)
for _ in $(seq 300); do
	[ -S /run/cordon/control ] && peer_ready && break
	sleep 0.2
done
trap stop EXIT
[ -S /run/cordon/control ] || { say "cordond does not answer"; exit 1; }
peer_ready || { say "the peer's daemon does not answer"; exit 1; }
in_ns cordon "$build/cordon" events --follow --json >"$dir/events.json" 2>&1 &
say "both daemons are up"

# Those that last all run at once, begun one a second; when they have ended the others, a few at a time; at the end, one
# after another, those that leave no time for others. One emulated processor for all at the same time is slow enough
# that packets would wait longer for an SA than they may.
export AT_A_TIME=5
rows=() of=""
run_row() { timeout 240 bash "$here/row.sh" "$dir/rows/$1.sh" >"$dir/rows/$1.out" 2>&1; }
wait_for_rows() {
	[ ${#rows[@]} = 0 ] || wait "${rows[@]}"
	rows=()
}
while read -r name when; do
	if [ "$when" != "$of" ] || [ "$when" = alone ]; then wait_for_rows; fi
	of=$when
	[ "$when" != quick ] || [ "$(jobs -r | grep -c run_row)" -lt $AT_A_TIME ] || wait -n
	run_row "$name" &
	rows+=($!)
	[ "$when" != lasts ] || sleep 1
done <"$dir/order"
wait_for_rows
say "the rows have ended"
in_ns cordon "$build/cordon" show quick-mode --json >"$dir/quick-mode.json"
peer_sas >"$dir/peer.sas" 2>&1
kill -0 "$(cat /run/cordond.pid)" 2>/dev/null && say "cordond lives"
kill "$(cat /run/cordond.pid)"
status=0
wait "$cordond" || status=$?
if [ "$(cat /run/cordond.pid)" != "$cordond" ]; then # a row has started it again: it is not our child
	status="no end"
	for _ in $(seq 100); do
		[ -d "/proc/$(cat /run/cordond.pid)" ] || { status=0 && break; }
		sleep 0.1
	done
fi
say "cordond ended with $status"
sleep 1
peer_sas >"$dir/peer.sas.after" 2>&1
ip -n peer xfrm state >"$dir/peer.xfrm.after"
say "done"
