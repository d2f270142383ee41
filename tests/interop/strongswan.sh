#!/bin/bash
# strongSwan as the other peer, in transport mode, with the kernel's ESP at its end and ours in userspace at the other.
# Runs inside the guest (tests/guest), whose kernel has ESP:
#
#   strongswan.sh BUILD psk|KEY cordon|strongswan        how they prove themselves (KEY: a certificate of that kind, as
#                                                        `cordon pki` names it), and who starts
#
# Passes when the SAs are up, a TCP marker and pings cross, and the capture between the two holds ESP and no clear packet.
set -u
build=$1 proof=$2 initiator=$3
work=$(mktemp -d /tmp/interop.XXXXXX)
ours=it-cordon peer=it-swan
fail() {
	echo "FAIL: $*"
	echo "--- cordond"; tail -40 "$work/cordond.log"
	echo "--- charon"; tail -40 "$work/charon.log"
	exit 1
}
finish() {
	exec 2>/dev/null # what the shell says of those it killed
	for ns in $ours $peer; do
		for p in $(ip netns pids "$ns" 2>/dev/null); do kill -9 "$p" 2>/dev/null; done
		ip netns del "$ns" 2>/dev/null
	done
	wait
	rm -rf "$work"
}
trap finish EXIT

ip netns add $ours && ip netns add $peer || exit 1
ip -n $ours link add eth0 type veth peer name eth0 netns $peer
ip -n $ours addr add 10.98.0.1/24 dev eth0
ip -n $peer addr add 10.98.0.2/24 dev eth0
for ns in $ours $peer; do
	ip -n "$ns" link set lo up
	ip -n "$ns" link set eth0 up
done

# --- credentials and policy
mkdir -p "$work/swan/x509" "$work/swan/x509ca" "$work/swan/private" "$work/run" "$work/state"
chmod 700 "$work"
if [ "$proof" != psk ]; then
	{
		"$build/cordon" pki init "$work/ca" --name "CN=Interop CA" --key "$proof"
		"$build/cordon" pki issue "$work/ca" ours --address 10.98.0.1 --key "$proof" --out "$work/ours"
		"$build/cordon" pki issue "$work/ca" peer --address 10.98.0.2 --key "$proof" --out "$work/peer"
	} >"$work/pki.log"
	[ -s "$work/peer/peer.pem" ] || fail "cordon pki made no certificates: $(cat "$work/pki.log")"
	cp "$work/peer/peer.pem" "$work/swan/x509/peer.pem"
	cp "$work/peer/peer.key" "$work/swan/private/peer.pem"
	cp "$work/ca/ca.pem" "$work/swan/x509ca/ca.pem"
	method='certificate: { issuer: "CN=Interop CA", extended-key-usage: ike-intermediate }'
	page="certificates: [ { certificate: $work/ours/ours.pem, key: $work/ours/ours.key } ]
trust: [ $work/ca/ca.pem ]"
	local='auth = pubkey
      certs = peer.pem' remote='auth = pubkey' secret=''
else
	(umask 077; echo -n 'a long secret that both ends know' >"$work/psk")
	method="pre-shared-key: { file: $work/psk }"
	page=''
	local='auth = psk' remote='auth = psk' secret='secrets { ike { secret = "a long secret that both ends know" } }'
fi
cat >"$work/policy.yaml" <<P
cordon: 1
authentication:
  proof: [ { $method } ]
key-exchange:
  default: { proposals: [aes256-sha384-ecp384] }
protection:
  default: { proposals: [esp-aes256gcm], require-encryption: true }
connection-security:
  - { name: All is encrypted, endpoint1: [10.98.0.1], endpoint2: [10.98.0.2], mode: require, authentication: proof }
P
printf 'cordon: 1\nname: ours\n%s\n' "$page" >"$work/host.yaml"
cat >"$work/swan/swanctl.conf" <<C
connections { t { version = 2
    local_addrs = 10.98.0.2
    remote_addrs = 10.98.0.1
    proposals = aes256-sha384-ecp384
    local { $local
    }
    remote { $remote
    }
    children { t { mode = transport
        esp_proposals = aes256gcm16
        start_action = none } } } }
$secret
C

# --- both daemons
ip netns exec $peer unshare -m bash -c "
	mount --make-rprivate /
	mount -t tmpfs tmpfs /run
	mount -t tmpfs tmpfs /etc/swanctl && cp -r $work/swan/. /etc/swanctl/
	charon-systemd >$work/charon.log 2>&1 &
	for i in \$(seq 200); do [ -S /run/charon.vici ] && break; sleep 0.1; done
	swanctl --load-all >>$work/charon.log 2>&1
	touch $work/charon.ready
	while :; do
		[ -e $work/initiate ] && { rm $work/initiate; swanctl --initiate --child t --timeout 30 >>$work/charon.log 2>&1; swanctl --list-sas >$work/sas; touch $work/initiated; }
		sleep 0.2
	done" &
ip netns exec $ours "$build/cordond" --config "$work/host.yaml" --policy "$work/policy.yaml" --run-dir "$work/run" \
	--state-dir "$work/state" >"$work/cordond.log" 2>&1 &
for _ in $(seq 300); do [ -e "$work/charon.ready" ] && [ -S "$work/run/control" ] && break; sleep 0.1; done
[ -S "$work/run/control" ] || fail "cordond does not answer"

# The capture starts when both daemons are there and before any packet of ours: no clear one may ever be seen.
ip netns exec $peer tcpdump -i eth0 -U -w "$work/wire.pcap" 2>"$work/tcpdump.log" &
for _ in $(seq 100); do grep -q listening "$work/tcpdump.log" && break; sleep 0.1; done

# --- traffic
if [ "$initiator" = strongswan ]; then
	touch "$work/initiate"
	for _ in $(seq 400); do [ -e "$work/initiated" ] && break; sleep 0.1; done
	grep -q 'INSTALLED, TRANSPORT' "$work/sas" || fail "strongSwan's CHILD SA is not installed in transport mode"
fi
ip netns exec $ours ping -c 5 -i 0.3 -W 5 10.98.0.2 >"$work/ping" || true
grep -q ' 0% packet loss' "$work/ping" || fail "pings were lost: $(tail -2 "$work/ping")"
marker="marker-$RANDOM-$RANDOM"
ip netns exec $peer timeout 20 nc -l -p 7777 >"$work/got" &
sleep 1
echo $marker | ip netns exec $ours timeout 10 nc -q 1 10.98.0.2 7777
wait $! 2>/dev/null
sleep 0.5
grep -q "$marker" "$work/got" || fail "the TCP marker did not arrive"
ip -n $peer xfrm state | grep -q 'mode transport' || fail "no transport state in strongSwan's kernel"
sleep 0.5
esp=$(tcpdump -r "$work/wire.pcap" -n 'ip proto 50' 2>/dev/null | wc -l)
# IKE may come in fragments, of which only the first has ports: nothing else of ours is UDP.
not_clear='ip proto 50 or udp port 500 or udp port 4500 or (ip proto 17 and ip[6:2] & 0x1fff != 0)'
clear=$(tcpdump -r "$work/wire.pcap" -n "ip and not ($not_clear)" 2>/dev/null | wc -l)
[ "$esp" -ge 10 ] || fail "only $esp ESP packets on the wire"
[ "$clear" = 0 ] || fail "$clear clear packets: $(tcpdump -r "$work/wire.pcap" -n "ip and not ($not_clear)" 2>/dev/null | head -3)"
grep -q "$marker" "$work/wire.pcap" && fail "the marker is readable on the wire"
echo "ok: $proof, $initiator starts: $esp ESP packets, none clear"
