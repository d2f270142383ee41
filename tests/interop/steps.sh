# shellcheck shell=bash
# The steps that rows.py names, and what each peer needs for them. Sourced in the guest.
# shellcheck disable=SC2154 # dir, build, peer, root and here come from world.sh
tool=$build/tests/interop/echo-tool
pluto_socket=/run/pluto/pluto.ctl
if [ "$peer" = libreswan ]; then whack=(env LD_LIBRARY_PATH="$root/usr/lib/x86_64-linux-gnu" "$root/usr/libexec/ipsec/whack" --ctlsocket "$pluto_socket"); fi
if [ "$peer" = openiked ]; then ikectl=("$root/usr/sbin/ikectl"); fi

in_ns() { # NAMESPACE COMMAND...
	local ns=$1
	shift
	ip netns exec "$ns" "$@"
}

# ---- the peers: peer_up, peer_ready, peer_begin NAME, peer_rekey NAME ike|child, peer_delete NAME ike|child, peer_sas
case $peer in
strongswan)
	peer_up() {
		cp -r "$dir/peer/." /etc/swanctl/
		STRONGSWAN_CONF=$dir/peer/strongswan.conf in_ns peer charon-systemd >"$dir/charon.out" 2>&1 &
		for _ in $(seq 200); do
			[ -S /run/charon.vici ] && break
			sleep 0.1
		done
		STRONGSWAN_CONF=$dir/peer/strongswan.conf swanctl --load-all && touch /run/peer.ready
	}
	peer_begin() { swanctl --initiate --child "$1" --timeout 50; }
	peer_rekey() { swanctl --rekey "--$2" "$1"; }
	peer_delete() { swanctl --terminate "--$2" "$1" --timeout 15; }
	peer_sas() { swanctl --list-sas; }
	;;
libreswan)
	peer_up() {
		mkdir -p /run/pluto /tmp/nss
		ln -sfn "$root/usr/libexec/ipsec" /usr/libexec/ipsec # pluto looks for its helpers there
		cp -r "$dir/peer/nss/." /tmp/nss/
		export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu
		in_ns peer "$root/usr/libexec/ipsec/pluto" --config "$dir/peer/ipsec.conf" --secretsfile "$dir/peer/ipsec.secrets" \
			--nssdir /tmp/nss --rundir /run/pluto --nofork --logfile "$dir/peer.log" &
		for _ in $(seq 200); do
			[ -S $pluto_socket ] && break
			sleep 0.1
		done
		in_ns peer "$root/usr/libexec/ipsec/addconn" --config "$dir/peer/ipsec.conf" --ctlsocket $pluto_socket --autoall
		in_ns peer "${whack[@]}" --listen && touch /run/peer.ready
		unset LD_LIBRARY_PATH
	}
	peer_begin() { timeout 50 "${whack[@]}" --name "$1" --initiate; }
	peer_rekey() { timeout 50 "${whack[@]}" --name "$1" "--rekey-$([ "$2" = ike ] && echo ike || echo ipsec)"; }
	peer_delete() { "${whack[@]}" --name "$1" --terminate; }
	peer_sas() { "${whack[@]}" --trafficstatus; "${whack[@]}" --showstates; }
	;;
openiked)
	peer_up() {
		grep -q '^_iked:' /etc/passwd || {
			echo '_iked:x:990:990::/var/empty:/usr/sbin/nologin' >>/etc/passwd
			echo '_iked:x:990:' >>/etc/group
		}
		mkdir -p /var/empty /etc/iked/{ca,certs,crls,private,pubkeys}
		cp -r "$dir/peer/iked/." /etc/iked/
		cp "$dir/peer/iked.conf" /etc/iked.conf
		chmod 600 /etc/iked.conf
		in_ns peer "$root/usr/sbin/iked" -dvv -f /etc/iked.conf >"$dir/peer.log" 2>&1 &
		for _ in $(seq 200); do
			[ -S /var/run/iked.sock ] && break
			sleep 0.1
		done
		touch /run/peer.ready
	}
	# It begins all that it is to begin at once.
	peer_begin() { mkdir /run/begun 2>/dev/null && "${ikectl[@]}" active; return 0; }
	peer_rekey() { echo "iked rekeys by time only"; return 1; }
	peer_delete() { "${ikectl[@]}" reset id "$3"; }
	peer_sas() { "${ikectl[@]}" show sa; }
	;;
esac
# Without a word to anybody, as when the power goes; what is left in the kernel goes with it.
peer_restart() {
	for p in $(ip netns pids peer); do
		case $(cat "/proc/$p/comm") in charon-systemd | pluto | iked) kill -9 "$p" ;; esac
	done
	ip -n peer xfrm state flush
	ip -n peer xfrm policy flush
	rm -rf /run/peer.ready /run/charon.vici /run/pluto /var/run/iked.sock /run/begun /tmp/nss
	peer_up
}
cordon_up() {
	ip netns exec cordon "$build/cordond" --config "$dir/host.yaml" --policy "$dir/policy.yaml" --run-dir /run/cordon \
		--state-dir /tmp/state >>"$dir/cordond.log" 2>&1 &
	echo $! >/run/cordond.pid
}
cordon_restart() {
	kill -9 "$(cat /run/cordond.pid)"
	sleep 1
	rm -f /run/cordon/control
	cordon_up
	for _ in $(seq 100); do
		[ -S /run/cordon/control ] && return
		sleep 0.2
	done
	return 1
}
peer_ready() { [ -e /run/peer.ready ]; }

# ---- the steps
row() { # NAME LOCAL REMOTE STARTS
	name=$1 local=$2 remote=$3 starts=$4
}

result() { # STEP STATUS [WORDS]
	if [ "$2" = 0 ]; then echo "step $1: ok, $SECONDS s ${3-}"; else echo "step $1: failed, $SECONDS s ${3-}"; fi
}

numbered() { # COUNT: prints how many, fails if one did not come back
	in_ns cordon "$tool" count "$local" "$remote" 200 "$1" 2>&1
}

peer_sends_by() { # the SPIs, a line each
	ip -n peer xfrm state | awk -v of="src $remote dst $local" '$0 == of { getline; print $4 }' | sort
}

step() { # WORDS
	local out
	case $1 in
	up)
		if [ "$starts" = peer ]; then
			peer_begin "$name" >>"$dir/rows/$name.peer" 2>&1
			[ "$peer" != openiked ] || for _ in $(seq 30); do # begins in its own time
				ip -n peer xfrm state | grep -q "src $remote dst $local" && break
				sleep 1
			done
		fi
		# iked says yes before its kernel has the SAs, so what we send at once may be lost there.
		if [ "$peer:$starts" = openiked:cordon ]; then out=$(numbered 1) || out=$(numbered 1) || out=$(numbered 3); else out=$(numbered 3); fi
		result "$*" $? "$out"
		;;
	refused)
		[ "$starts" = peer ] && peer_begin "$name" >>"$dir/rows/$name.peer" 2>&1
		out=$(in_ns cordon ping -q -c 5 -i 1 -W 2 -I "$local" "$remote" 2>&1 | grep transmitted)
		[[ $out == *" 0 received"* ]]
		result "$*" $? "$out"
		;;
	ping)
		out=$(in_ns cordon ping -q -c 1 -W 20 -I "$local" "$remote" 2>&1 | grep -E 'transmitted|error|ping:')
		[[ $out == *" 0% packet loss"* ]]
		result "$*" $? "${out//$'\n'/; }"
		;;
	count)
		out=$(numbered "$2")
		result "$*" $? "$out"
		;;
	tcp)
		out=$(in_ns cordon "$tool" ask "$local" "$remote" "marker of $name in clear" 2>&1)
		result "$*" $? "$out"
		;;
	begin)
		(
			out=$(numbered "$2") || [[ $out =~ ^([0-9]+)" sent, "([0-9]+) && $((BASH_REMATCH[1] - BASH_REMATCH[2])) -le ${3-0} ]]
			result "end" $? "$out" >"$dir/rows/$name.pings"
		) &
		;;
	end)
		wait
		cat "$dir/rows/$name.pings"
		;;
	rekey)
		sent_by=$(peer_sends_by)
		peer_rekey "$name" "$2" >>"$dir/rows/$name.peer" 2>&1
		result "$*" $?
		;;
	rekeyed) # what was only begun is done: a peer that was at something else has not heard it, and is told again
		out=1
		for i in $(seq 240); do
			[ -n "$(comm -13 <(echo "$sent_by") <(peer_sends_by))" ] && out=0 && break
			[ $((i % 24)) -ne 0 ] || peer_rekey "$name" child >>"$dir/rows/$name.peer" 2>&1
			sleep 0.25
		done
		result "$*" $out
		;;
	delete)
		peer_delete "$name" "$2" "$local" >>"$dir/rows/$name.peer" 2>&1
		result "$*" $?
		;;
	without)
		out=$(in_ns cordon "$build/cordon" apply "$dir/without-$name.yaml" --force 2>&1)
		result "$*" $? "${out//$'\n'/; }"
		;;
	restart)
		"${2}_restart" >>"$dir/rows/$name.peer" 2>&1
		result "$*" $?
		;;
	again)
		if [ "$peer:$starts" = openiked:cordon ]; then numbered 1 >/dev/null; fi
		out=$(numbered 3)
		result "$*" $? "$out"
		;;
	silent)
		out=$(in_ns cordon ping -q -c "$2" -i 1 -W 1 -I "$local" "$remote" 2>&1 | grep transmitted)
		[[ $out == *" 0 received"* ]]
		result "$*" $? "$out"
		;;
	gone) # the peer has no SA with us left
		for _ in $(seq 40); do
			out=$(ip -n peer xfrm state | grep -c "src $remote dst $local")
			[ "$out" = 0 ] && break
			sleep 0.5
		done
		result "$*" "$out" "$out states left"
		;;
	sleep)
		sleep "$2"
		;;
	cut)
		in_ns mid nft add element inet wire cut "{ $local, $remote }"
		;;
	mend)
		in_ns mid nft delete element inet wire cut "{ $local, $remote }"
		;;
	*)
		result "$*" 1 "no such step"
		;;
	esac
}
