/* A host behind us (a container, a virtual machine) whose connections leave with our address is protected as we are.
 * Which address it will get is for somebody else's NAT rule to say, when the packet has been routed already: too late
 * to send it into the TUN, where that rule might not even apply. So the first packet of such a connection is dropped at
 * the end and what NAT did is remembered; the next attempt (TCP's comes after a second) and all further connections to
 * the same port are sent into the TUN, and get the same address there from us. */
#include "enforce/ruleset.h"

#include "base/scope.h"
#include "base/str.h"

enum { REMEMBER_S = 600, MOST = 65536 };

/* For IPv6 the destination alone tells the address: nft 1.0.6 cannot update a map by two (its registers run out). */
static const struct {
	const char *family, *type, *between, *between_types;
} families[] = {
	{ "ip", "ipv4_addr", "ct original ip saddr . ct original ip daddr", "ipv4_addr . ipv4_addr" },
	{ "ip6", "ipv6_addr", "ct original ip6 daddr", "ipv6_addr" },
};
static const char *const protocols[] = { "tcp", "udp" };

/* Who asked whom for what, before any NAT: of a packet that just came, and of a connection. */
static void add_key(struct ruleset *r, const char *family, bool of_connection)
{
	if (of_connection)
		str_addf(r->out, "ct original %s saddr . ct original %s daddr . meta l4proto . ct original proto-dst",
			 family, family);
	else
		str_addf(r->out, "%s saddr . %s daddr . meta l4proto . th dport", family, family);
}

/* The set knows for which service a connection is to be protected, the map which address it gets. */
static void add_sets(struct ruleset *r)
{
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		str_addf(r->out,
			 "\tset masqueraded_%s {\n\t\ttype %s . %s . inet_proto . inet_service\n"
			 "\t\tflags dynamic,timeout\n\t\ttimeout %ds\n\t\tsize %d\n\t}\n"
			 "\tmap masquerade_%s {\n\t\ttype %s : %s\n"
			 "\t\tflags dynamic,timeout\n\t\ttimeout %ds\n\t\tsize %d\n\t}\n",
			 families[f].family, families[f].type, families[f].type, REMEMBER_S, MOST, families[f].family,
			 families[f].between_types, families[f].type, REMEMBER_S, MOST);
}

static void add_learn(struct ruleset *r)
{
	char name[GATE_COUNTER_NAME];

	str_add(r->out, "\tchain masquerade_learn {\n");
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		const char *family = families[f].family;

		/* the map first: who is known must have an address */
		str_addf(r->out, "\t\tct direction original update @masquerade_%s { %s : %s saddr }\n", family,
			 families[f].between, family);
		for (size_t p = 0; p < ARRAY_LEN(protocols); p++) {
			str_addf(r->out, "\t\tct direction original meta l4proto %s update @masqueraded_%s { ",
				 protocols[p], family);
			add_key(r, family, true);
			str_add(r->out, " }\n");
		}
	}
	str_addf(r->out, "\t\tcounter name %s drop\n\t}\n", gate_counter_name(GATE_COUNT_MASQUERADED, 0, name));
}

/* The peer has no IKE, and what goes to it in clear needs no way through the TUN. */
static void add_forget(struct ruleset *r)
{
	str_add(r->out, "\tchain masquerade_forget {\n");
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		for (size_t p = 0; p < ARRAY_LEN(protocols); p++) {
			str_addf(r->out, "\t\tct direction original meta l4proto %s delete @masqueraded_%s { ",
				 protocols[p], families[f].family);
			add_key(r, families[f].family, true);
			str_add(r->out, " }\n");
		}
	}
	str_add(r->out, "\t}\n");
}

static void add_known(struct ruleset *r)
{
	str_add(r->out, "\tchain masquerade_known {\n");
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		str_addf(r->out, "\t\t%s daddr @fallen_%s return\n\t\t%s daddr @exempted_%s return\n",
			 families[f].family, families[f].family, families[f].family, families[f].family);
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		str_add(r->out, "\t\tmeta l4proto { tcp, udp } ");
		add_key(r, families[f].family, false);
		str_addf(r->out, " @masqueraded_%s meta mark set meta mark & 0x%08x | 0x%08x\n", families[f].family,
			 ~r->config->mark_mask, r->config->mark_protect);
	}
	str_add(r->out, "\t}\n");
}

/* Before the NAT rules of others, which might take an address of the TUN's choice. */
static void add_nat(struct ruleset *r)
{
	str_add(r->out, "\tchain masquerade_nat {\n\t\ttype nat hook postrouting priority 99; policy accept;\n");
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		const char *family = families[f].family;

		str_addf(r->out, "\t\toifname \"%s\" snat %s to %s map @masquerade_%s\n", r->config->tun, family,
			 families[f].between, family);
	}
	str_add(r->out, "\t}\n");
}

void ruleset_masquerade(struct ruleset *r)
{
	add_sets(r);
	add_learn(r);
	add_forget(r);
	add_known(r);
	add_nat(r);
}
