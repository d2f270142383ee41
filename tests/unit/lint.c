#include "tests/unit/unit.h"

#include "analysis/lint/lint.h"
#include "tests/unit/ask.h"

#define AUTH "authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ] }\n"
#define R "connection-security:\n"
#define NET "zones: { net: [10.0.0.0/24], dcs: [10.0.0.10, 10.0.0.11], far: [10.9.0.5] }\n"
#define HOSTS \
	"hosts:\n" \
	"  dc1: { address: 10.0.0.10, roles: [dns] }\n" \
	"  dc2: { address: 10.0.0.11, roles: [dns] }\n" \
	"  a: { address: 10.0.0.21 }\n" \
	"  rover: { address: 10.9.0.5, agent: none }\n"
#define REQUIRE "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require }\n"

#define KERBEROS "authentication: { default: [ { kerberos: { realm: X.Y } } ] }\n"
#define KHOSTS "hosts: { dc: { address: 10.0.0.10, roles: [kdc, dns] }, a: { address: 10.0.0.21 } }\n"
#define FAR "  - { name: e, endpoint1: [far], endpoint2: [dc], mode: exempt }\n" /* the way in for an emergency */
#define EXEMPT(traffic) "  - { name: x, endpoint1: [net], endpoint2: [dc], traffic: [" traffic "], mode: exempt }\n"
#define REQUIRE_INBOUND "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require-inbound }\n"
#define REQUEST "  - { name: all, endpoint1: [net], endpoint2: [net], mode: request }\n"
#define GROUPS "groups: { trusted: [ { directory-group: 'X\\t' } ] }\n"
#define WALL(hosts, action, local) \
	"firewall:\n  hosts: [" hosts \
	"]\n  inbound: block\n  outbound: allow\n  rules:\n    - { name: w, action: " action \
	", direction: in, local: [" local \
	"], traffic: [tcp/80], secure: authenticated, machines: { allow: [trusted] } }\n"

/* a rule that asks who it is, another one beside it, and what decides where neither does */
#define ACCOUNTS "authentication: { default: [ { certificate: { issuer: 'CN=CA', map-to-account: true } } ] }\n"
#define PSK "authentication: { default: [ { pre-shared-key: { file: /k } } ] }\n"
#define SIGN "protection: { default: { proposals: [ah-sha256, esp-sha256-null] } }\n"
#define WEB "  - { name: web, endpoint1: [net], endpoint2: [a], traffic: [tcp/80], mode: request }\n"
#define ASKS(inbound, asks, more) \
	"firewall:\n  hosts: [a]\n  inbound: " inbound "\n  outbound: allow\n  rules:\n" \
	"    - { name: f, direction: in, traffic: [tcp/80], " asks " }\n" more
#define BESIDE(words) "    - { name: beside, direction: in, " words " }\n"
#define OF_TRUSTED "action: allow, secure: authenticated, machines: { allow: [trusted] }"
#define BUT_TRUSTED "action: allow, secure: authenticated, machines: { except: [trusted] }"

static const struct row {
	const char *policy;
	const char *codes; /* in the order of the report: worst first, then by place */
	const char *words; /* in message or advice of the first of them */
} rows[] = {
	{ NET HOSTS AUTH R REQUIRE, "", NULL },
	{ NET AUTH R REQUIRE, "", NULL }, /* no hosts at all */
	{ "", "", NULL },

	/* null-encryption */
	{ NET HOSTS AUTH "protection: { default: { proposals: [esp-sha256-null, esp-aes256gcm] } }\n" R REQUIRE,
	  "null-encryption", "anyone can read along" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [esp-aes256gcm, esp-sha256-null] } }\n" R REQUIRE,
	  "null-encryption", "does not promise encryption: it also allows esp-sha256-null" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [ah-sha256] } }\n" R REQUIRE, "null-encryption",
	  "authenticates only" },
	{ NET HOSTS AUTH "protection: { unused: { proposals: [esp-sha256-null, esp-aes256gcm] } }\n" R REQUIRE, "",
	  NULL },

	/* pre-shared-key */
	{ NET HOSTS "authentication: { default: [ { pre-shared-key: { file: /k } } ] }\n" R REQUIRE, "pre-shared-key",
	  "whoever has it can be any host" },
	{ NET HOSTS AUTH "  \n" R REQUIRE, "", NULL },

	/* ikev1, ikev1-impossible, second-authentication */
	{ NET HOSTS AUTH R
	  "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, modules: [ikev2, ikev1] }\n",
	  "ikev1", "'all' may also be negotiated by IKEv1, which is weaker" },
	{ NET HOSTS AUTH
	  "key-exchange: { default: { proposals: [aes256gcm-sha256-x25519] } }\n" R
	  "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, modules: [ikev2, ikev1] }\n",
	  "ikev1-impossible ikev1", NULL },
	{ NET HOSTS AUTH "key-exchange: { default: { proposals: [aes256gcm-sha256-x25519] } }\n" R
			 "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, modules: ikev1 }\n",
	  "ikev1-impossible ikev1", "key-exchange 'default' has no main mode proposal that it can do" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [esp-chacha20poly1305] } }\n" R
			 "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, modules: ikev1 }\n",
	  "ikev1-impossible ikev1", "protection 'default' has no quick mode proposal that it can do" },
	{ NET HOSTS AUTH R "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, modules: ikev1 }\n",
	  "ikev1", "'all' is always negotiated by IKEv1" },
	{ NET HOSTS AUTH R
	  "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, second-authentication: default }\n",
	  "second-authentication", "neither IKEv2 nor IKEv1 has one" },

	/* wide-exemption */
	{ NET HOSTS AUTH R REQUIRE "  - { name: e, endpoint1: [dcs, far], endpoint2: [dcs, far], mode: exempt }\n",
	  "wide-exemption", "'e' also exempts dc1 <-> dc2" },
	{ NET AUTH R REQUIRE "  - { name: e, endpoint1: [dcs, far], endpoint2: [dcs, far], mode: exempt }\n",
	  "wide-exemption", "10.0.0.10 <-> 10.0.0.11" },
	{ NET HOSTS AUTH R REQUIRE "  - { name: e, endpoint1: [net], endpoint2: [dcs], mode: exempt }\n",
	  "wide-exemption", "dc1 <-> dc2" },
	{ NET HOSTS AUTH R REQUIRE "  - { name: e, endpoint1: [far], endpoint2: [dcs], mode: exempt }\n", "", NULL },
	{ NET HOSTS AUTH R REQUIRE "  - { name: e, endpoint1: [dcs], endpoint2: [dcs], mode: exempt }\n", "", NULL },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: e, endpoint1: [net], endpoint2: [dcs], traffic: [dns], mode: exempt }\n",
	  "", NULL },
	/* nobody would have protected it */
	{ NET HOSTS AUTH R "  - { name: e, endpoint1: [dcs, far], endpoint2: [dcs, far], mode: exempt }\n", "", NULL },

	/* port-at-wrong-end */
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: e, endpoint1: [net], endpoint2: [dcs], traffic: [tcp/53], mode: exempt }\n"
	  "  - { name: w, endpoint1: [net], endpoint2: [dcs], protocol: udp, port1: 53, mode: exempt }\n",
	  "port-at-wrong-end", "'w' exempts port 53 at endpoint 1" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: w, endpoint1: [dcs], endpoint2: [net], protocol: tcp, port2: 53, mode: exempt }\n",
	  "port-at-wrong-end", "use port1: 53" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: ok, endpoint1: [dcs], endpoint2: [net], protocol: tcp, port1: 53, mode: exempt }\n",
	  "", NULL },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: w, endpoint1: [any], endpoint2: [a], protocol: tcp, port1: 443, mode: exempt }\n",
	  "port-at-wrong-end", "use port2: 443" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: ok, endpoint1: [a], endpoint2: [any], protocol: tcp, port1: 443, mode: exempt }\n",
	  "", NULL },

	/* dns-udp-only */
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: e, endpoint1: [net], endpoint2: [dcs], protocol: udp, port2: 53, mode: exempt }\n",
	  "dns-udp-only", "tcp/53 is encrypted here ('all')" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: e, endpoint1: [net], endpoint2: [dcs], protocol: udp, port2: 53, mode: exempt }\n"
	  "  - { name: t, endpoint1: [net], endpoint2: [dcs], protocol: tcp, port2: 53, mode: exempt }\n",
	  "", NULL },
	{ NET HOSTS R "  - { name: e, endpoint1: [net], endpoint2: [dcs], protocol: udp, port2: 53, mode: exempt }\n",
	  "", NULL },

	/* never-matches */
	{ NET HOSTS AUTH R REQUIRE "  - { name: v6, endpoint1: [net], endpoint2: ['fd00::/64'], mode: require }\n",
	  "never-matches", "One end has only IPv4 addresses" },
	{ NET HOSTS AUTH R REQUIRE "  - { name: self, endpoint1: [a], endpoint2: [10.0.0.21], mode: exempt }\n",
	  "never-matches", "Both ends are the same address" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: one, endpoint1: [a], endpoint2: [net], mode: require }\n"
	  "  - { name: same, endpoint1: [a], endpoint2: [net], protocol: tcp, mode: exempt }\n"
	  "  - { name: never, endpoint1: [a], endpoint2: [10.0.0.0/24], protocol: tcp, mode: exempt }\n",
	  "never-matches", "'same' is more specific" },
	{ NET HOSTS AUTH R REQUIRE "  - { name: ll, endpoint1: [a], endpoint2: [169.254.0.0/16], mode: exempt }\n",
	  "never-matches", "outside every rule" },
	/* a wide rule whose every pair is taken by narrower ones */
	{ "hosts: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }\n" AUTH R
	  "  - { name: narrow, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require }\n"
	  "  - { name: wide, endpoint1: [10.0.0.1], endpoint2: [10.0.0.1-10.0.0.2], mode: exempt }\n",
	  "never-matches", "'narrow' is more specific" },

	/* family-not-covered */
	{ "zones: { net: [10.0.0.0/24] }\nhosts: { a: { address: [10.0.0.1, 'fd00::1'] }, b: { address: 10.0.0.2 } "
	  "}\n" AUTH R REQUIRE,
	  "family-not-covered", "no rule speaks of its address fd00::1" },
	{ "zones: { net: [10.0.0.0/24, 'fd00::/64'] }\n"
	  "hosts: { a: { address: [10.0.0.1, 'fd00::1'] }, b: { address: 10.0.0.2 } }\n" AUTH R REQUIRE,
	  "", NULL },

	/* no-emergency-exemption */
	{ NET "hosts: { dc: { address: 10.0.0.1, roles: [policy-server] }, a: { address: 10.0.0.2 } }\n" AUTH R REQUIRE,
	  "no-emergency-exemption", "'all' covers dc" },
	{ NET "hosts: { dc: { address: 10.0.0.1, roles: [policy-server] }, a: { address: 10.0.0.2 } }\n" AUTH R REQUIRE
	      "  - { name: e, endpoint1: [far], endpoint2: [dc], mode: exempt }\n",
	  "", NULL },
	{ NET "hosts: { dc: { address: 10.0.0.1, roles: [policy-server] }, a: { address: 10.0.0.2 } }\n" AUTH R REQUIRE
	      "  - { name: e, endpoint1: [far], endpoint2: [dc], traffic: [tcp/22], mode: exempt }\n",
	  "", NULL },
	{ NET "hosts: { dc: { address: 10.0.0.1, roles: [policy-server] }, a: { address: 10.0.0.2 } }\n" AUTH R REQUIRE
	      "  - { name: e, endpoint1: [any], endpoint2: [dc], traffic: [dns], mode: exempt }\n",
	  "no-emergency-exemption", NULL },

	/* kerberos-circle */
	{ NET KHOSTS KERBEROS R REQUIRE FAR, "kerberos-circle", "(udp/88, tcp/88, udp/464, tcp/464, udp/53, tcp/53)" },
	{ NET KHOSTS KERBEROS R REQUIRE FAR, "kerberos-circle", "traffic: [kerberos, dns]" },
	/* the one who gives tickets is of the same kind as those who want them */
	{ NET KHOSTS KERBEROS R REQUIRE "  - { name: e, endpoint1: [far], endpoint2: [net], mode: exempt }\n",
	  "kerberos-circle", "a can get its first ticket only with a ticket" },
	{ NET KHOSTS KERBEROS R REQUIRE FAR EXEMPT("kerberos"), "kerberos-circle",
	  "knows where tickets are given (udp/53" },
	{ NET KHOSTS KERBEROS R REQUIRE FAR EXEMPT("kerberos, dns"), "", NULL },
	{ NET KHOSTS KERBEROS R REQUIRE FAR EXEMPT("dns, udp/88, udp/464, tcp/464"), "kerberos-circle", "(tcp/88)" },
	{ NET KHOSTS KERBEROS R REQUIRE_INBOUND FAR, "kerberos-circle", NULL },
	{ NET KHOSTS KERBEROS R REQUEST FAR, "", NULL }, /* falls back to clear */
	{ NET KHOSTS AUTH R REQUIRE FAR, "", NULL },
	{ NET KHOSTS
	  "authentication: { default: [ { kerberos: { realm: X.Y } }, { certificate: { issuer: 'CN=CA' } } ] }\n" R
		  REQUIRE FAR,
	  "", NULL }, /* another way */
	{ NET "hosts: { dc: { address: 10.0.0.10, roles: [kdc], agent: none }, a: { address: 10.0.0.21 } }\n" KERBEROS R
		  REQUIRE,
	  "kerberos-circle", "the way to dc" },
	/* not on the way: the server's own traffic to others */
	{ NET KHOSTS KERBEROS R
	  "  - { name: web, endpoint1: [any], endpoint2: [a], mode: require, traffic: [tcp/80] }\n",
	  "", NULL },

	/* bypass-group-shared */
	{ NET HOSTS ACCOUNTS GROUPS R REQUIRE WALL("any", "bypass", "a"), "", NULL },
	{ NET HOSTS ACCOUNTS GROUPS R REQUIRE WALL("any", "bypass", "net"), "bypass-group-shared",
	  "passes the firewall of 3 servers: dc1, dc2, a" },
	{ NET HOSTS ACCOUNTS GROUPS R REQUIRE WALL("dc1, dc2", "bypass", "net"), "bypass-group-shared",
	  "of 2 servers: dc1, dc2" },
	{ NET HOSTS ACCOUNTS GROUPS R REQUIRE WALL("any", "allow", "net"), "", NULL },

	/* group-not-learnt */
	{ NET HOSTS PSK GROUPS R WEB ASKS("block", OF_TRUSTED, ""), "pre-shared-key group-not-learnt", NULL },
	{ NET HOSTS AUTH GROUPS R WEB ASKS("block", OF_TRUSTED, ""), "group-not-learnt", "Nobody is let in by it" },
	{ NET HOSTS AUTH GROUPS R WEB ASKS("block", BUT_TRUSTED, ""), "group-not-learnt",
	  "Anybody may be, so nobody is let in." },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, ""), "", NULL },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", BUT_TRUSTED, ""), "", NULL },
	{ NET HOSTS AUTH "groups: { trusted: [ dc1 ] }\n" R WEB ASKS("block", OF_TRUSTED, ""), "", NULL },
	{ NET HOSTS AUTH "groups: { trusted: [ { certificate: 'CN=d*' } ] }\n" R WEB ASKS("block", OF_TRUSTED, ""), "",
	  NULL },
	{ NET HOSTS AUTH "groups: { trusted: [ inner, dc1 ], inner: [ { sid: S-1-5-21-1-2-3-1105 } ] }\n" R WEB ASKS(
		  "block", OF_TRUSTED, ""),
	  "group-not-learnt", "Only its other members count" },
	{ NET HOSTS "authentication: { default: [ { kerberos: { realm: X.Y } } ] }\n"
		    "groups: { trusted: [ { certificate: 'CN=d*' } ] }\n" R WEB ASKS("block", OF_TRUSTED, ""),
	  "group-not-learnt", "without a certificate" },
	/* one of two methods will do */
	{ NET HOSTS
	  "authentication: { default: [ { certificate: { issuer: 'CN=CA' } }, { kerberos: { realm: X.Y } } ] }\n" GROUPS
		  R WEB ASKS("block", OF_TRUSTED, ""),
	  "", NULL },
	/* the same of a rule's authorised machines */
	{ NET HOSTS AUTH GROUPS R
	  "  - { name: web, endpoint1: [net], endpoint2: [a], traffic: [tcp/80], mode: require, machines: trusted }\n",
	  "group-not-learnt", "'web' names the group 'trusted'" },
	{ NET HOSTS ACCOUNTS GROUPS R
	  "  - { name: web, endpoint1: [net], endpoint2: [a], traffic: [tcp/80], mode: require, machines: trusted }\n",
	  "", NULL },

	/* never-protected */
	{ NET HOSTS AUTH R
	  "  - { name: web, endpoint1: [net], endpoint2: [a], traffic: [tcp/81], mode: request }\n" ASKS(
		  "block", "action: allow, secure: authenticated", ""),
	  "never-protected", "no rule protects that traffic" },
	{ NET HOSTS AUTH R WEB
	  "  - { name: x, endpoint1: [any], endpoint2: [a], traffic: [tcp/80], mode: exempt }\n" ASKS(
		  "block", "action: allow, secure: authenticated", ""),
	  "", NULL }, /* the exemption is wider, and loses to it */
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: x, endpoint1: [net], endpoint2: [a], traffic: [tcp/80], mode: exempt }\n" ASKS(
		  "block", "action: allow, secure: authenticated", ""),
	  "never-protected", "'x' decides of it" },
	{ NET HOSTS AUTH R WEB ASKS("block", "action: allow, secure: authenticated", ""), "", NULL },
	/* hosts that are alike, to each other */
	{ "hosts: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }\nzones: { net: [10.0.0.0/24] }\n" AUTH R
		  REQUIRE "firewall:\n  hosts: [net]\n  inbound: block\n  outbound: allow\n  rules:\n"
	  "    - { name: f, direction: in, action: allow, secure: authenticated, remote: [net] }\n",
	  "", NULL },
	{ "zones: { net: [10.0.0.0/24] }\n" AUTH R REQUIRE
	  "firewall:\n  hosts: [net]\n  inbound: block\n  outbound: allow\n  rules:\n"
	  "    - { name: f, direction: in, action: allow, secure: authenticated, remote: [net] }\n",
	  "", NULL },
	/* only each host knows what the rule speaks of */
	{ NET HOSTS AUTH R
	  "  - { name: g, endpoint1: [self], endpoint2: [default-gateway], traffic: [tcp/80], mode: request }\n" ASKS(
		  "block", "action: allow, secure: authenticated", ""),
	  "keyword-of-each-host", NULL },

	/* never-encrypted */
	{ NET HOSTS AUTH SIGN R WEB ASKS("block", "action: allow, secure: encrypted", ""),
	  "never-encrypted null-encryption", "'web' has that traffic protected by ah-sha256, esp-sha256-null" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [ah-sha256, esp-aes256gcm] } }\n" R WEB ASKS(
		  "block", "action: allow, secure: encrypted", ""),
	  "", NULL }, /* what it says to do: only what encrypts is offered there */
	{ NET HOSTS AUTH "protection: { default: { proposals: [esp-aes256gcm, ah-sha256] } }\n" R WEB ASKS(
		  "block", "action: allow, secure: encrypted", ""),
	  "", NULL },
	{ NET HOSTS AUTH "protection: { default: { proposals: [ah-sha256, esp-aes256gcm] } }\n" R WEB ASKS(
		  "block", "action: allow, secure: encrypted-on-demand", ""),
	  "null-encryption", "esp-aes256gcm is offered first; a peer\nthat has only ah-sha256 is accepted too" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [ah-sha256, esp-aes256gcm] } }\n" R REQUIRE ASKS(
		  "block", "action: allow, secure: encrypted", ""),
	  "null-encryption", "is never reached but where a firewall rule asks for it" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [esp-aes256gcm, ah-sha256] } }\n" R REQUIRE ASKS(
		  "block", "action: allow, secure: encrypted", ""),
	  "null-encryption", "where no firewall rule asks for encryption" },
	{ NET HOSTS AUTH "protection: { default: { proposals: [ah-sha256, esp-aes256gcm] } }\n" R WEB ASKS(
		  "block", "action: allow, secure: authenticated", ""),
	  "null-encryption", "is never reached." },
	{ NET HOSTS AUTH SIGN R WEB ASKS("block", "action: allow, secure: encrypted-on-demand", ""), "null-encryption",
	  NULL },

	/* let-in-anyway */
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, BESIDE("action: allow")), "let-in-anyway",
	  "'beside' lets the same in" },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("allow", OF_TRUSTED, ""), "let-in-anyway", "what no rule speaks of" },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, BESIDE("action: allow, secure: authenticated")),
	  "let-in-anyway", NULL },
	{ NET HOSTS AUTH R WEB ASKS("block", "action: allow, secure: authenticated", BESIDE("action: allow")),
	  "let-in-anyway", NULL },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, BESIDE("action: allow, traffic: [tcp/81]")), "",
	  NULL },
	/* only elsewhere, or not of all */
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, BESIDE("action: allow, interface: eth1")), "",
	  NULL },
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("block", OF_TRUSTED, BESIDE("action: allow, remote: [dcs]")), "", NULL },
	/* a bypass goes past a block that stops the others */
	{ NET HOSTS ACCOUNTS GROUPS R WEB ASKS("allow",
					       "action: bypass, secure: authenticated, machines: { allow: [trusted] }",
					       BESIDE("action: block, traffic: [tcp/80]")),
	  "", NULL },

	/* foreign-group */
	{ "groups: { g: [ { directory-group: g@other.example }, { directory-group: G@x.y }, { directory-group: g } ] "
	  "}\n" KERBEROS,
	  "foreign-group", "'g@other.example' of group 'g' is not of the domain X.Y" },
	{ "groups: { g: [ { directory-group: g@other.example } ] }\n" AUTH, "", NULL }, /* no domain is named */

	/* keyword-of-each-host */
	{ NET "hosts: { a: { address: 10.0.0.2 } }\n" AUTH R REQUIRE
	      "  - { name: e, endpoint1: [net], endpoint2: [dns-servers], traffic: [dns], mode: exempt }\n",
	  "keyword-of-each-host", "no host has the role dns" },
	{ NET HOSTS AUTH R REQUIRE
	  "  - { name: e, endpoint1: [net], endpoint2: [dns-servers], traffic: [dns], mode: exempt }\n",
	  "", NULL },
};

static void lint_finds_what_it_should_and_nothing_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct finding *const *all;
		struct str codes = { 0 };
		struct asked_policy p;
		size_t n;

		ask_open(&p, rows[i].policy);
		lint_run(p.why, p.alike, p.report);
		n = report_findings(p.report, &all);
		for (size_t k = 0; k < n; k++)
			str_addf(&codes, "%s%s", k ? " " : "", all[k]->code);
		if (strcmp(str_text(&codes), rows[i].codes) != 0)
			fail_msg("row %zu: found '%s', want '%s' (%s)\n%s", i, str_text(&codes), rows[i].codes,
				 n ? all[0]->message : "", rows[i].policy);
		if (rows[i].words && !strstr(all[0]->message, rows[i].words) &&
		    !(all[0]->advice && strstr(all[0]->advice, rows[i].words)))
			fail_msg("row %zu: %s\n%s", i, all[0]->message, all[0]->advice ? all[0]->advice : "");
		str_wipe(&codes);
		ask_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lint_finds_what_it_should_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
