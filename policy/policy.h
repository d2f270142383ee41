/* policy/policy.h - a checked policy for a whole network: what the YAML says, with every name resolved. Made by
 * policy_load, immutable, shared by reference. For analysis/ and tools/; who only wants to know what one host does
 * reads plan.h. All pointers live as long as the policy. */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H
#include "base/addr.h"
#include "base/algorithm.h"
#include "base/report.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The one vocabulary of protection outcomes, weakest first but for blocked. */
enum outcome { OUTCOME_CLEAR, OUTCOME_AUTHENTICATED, OUTCOME_ENCRYPTED, OUTCOME_BLOCKED };
const char *outcome_name(enum outcome o);

enum rule_mode { MODE_REQUIRE, MODE_REQUIRE_INBOUND, MODE_REQUEST, MODE_EXEMPT, MODE_BLOCK };
const char *rule_mode_name(enum rule_mode m);    /* "require-inbound" */
const char *rule_modules_name(unsigned modules); /* "[ikev2, ikev1]" */
static inline bool rule_mode_protects(enum rule_mode m)
{
	return m <= MODE_REQUEST;
}

enum keyword {
	KEYWORD_ANY,
	KEYWORD_SELF,
	KEYWORD_LOCAL_SUBNET,
	KEYWORD_DNS_SERVERS,
	KEYWORD_DHCP_SERVERS,
	KEYWORD_DEFAULT_GATEWAY,
	KEYWORD_WINS_SERVERS,
	KEYWORDS
};
const char *keyword_name(enum keyword k);

/* The addresses of a zone, a host or a literal. Elements are kept apart, never merged: the size of the smallest one
 * that matches decides which rule wins. Sorted by (lo, hi), without repetitions. */
struct address_set {
	const char *name; /* zone or host name, or the literal as written */
	struct place place;
	struct addr_range *elements;
	size_t count;
	uint32_t number; /* index among all sets of the policy, for tables about them */
};

/* One item of a rule's endpoint: a set or a keyword. */
struct end_item {
	const struct address_set *set; /* NULL: a keyword */
	enum keyword keyword;
	struct place place;
};

struct end {
	struct end_item *items;
	size_t count;
	struct place place;
};

struct port_range {
	uint16_t lo, hi; /* 0-65535: not given */
};
#define PORT_ANY ((struct port_range){ 0, 65535 })
static inline bool port_given(struct port_range r)
{
	return r.lo != 0 || r.hi != 65535;
}

enum { PROTOCOL_ANY = -1 };

/* What traffic a rule speaks of, port1 at endpoint 1 and port2 at endpoint 2. A rule with lists has one for each
 * combination. icmp: type and code as given, -1: any. */
struct service {
	int16_t protocol; /* IP protocol number or PROTOCOL_ANY */
	struct port_range port1, port2;
	int16_t icmp_type, icmp_code;
};

enum auth_kind { AUTH_PSK, AUTH_CERTIFICATE, AUTH_KERBEROS };
enum revocation { REVOCATION_OFF, REVOCATION_CHECK, REVOCATION_REQUIRE };

/* Windows' name types: alternative names, then parts of the subject. */
enum certificate_name { NAME_ANY, NAME_DNS, NAME_UPN, NAME_EMAIL, NAME_CN, NAME_OU, NAME_O, NAME_DC, NAME_TYPES };
enum issuer_type { ISSUER_ANY, ISSUER_ROOT, ISSUER_INTERMEDIATE };

/* What a certificate must be, beside its issuer. */
struct certificate_criteria {
	enum certificate_name name_type; /* NAME_ANY: no name is asked for */
	const char *name;
	const char *const *ekus; /* dotted OIDs that must all be there */
	size_t eku_count;
	const char *thumbprint; /* hexadecimal in lower case, SHA-1 or SHA-256; NULL: none is asked for */
	bool follow_renewal;    /* own ones: a successor of the certificate with that thumbprint will do */
};

struct auth_method {
	enum auth_kind kind;
	struct place place;
	const char *psk_file; /* AUTH_PSK */
	const char *issuer;   /* AUTH_CERTIFICATE: distinguished name "CN=GAS Root CA", NULL: any trusted */
	enum issuer_type issuer_type;
	struct certificate_criteria both, own, peer; /* all of `both`, and of the one that fits */
	enum revocation revocation;
	bool address_identity; /* a peer that calls itself by the address that it speaks from may, whatever its
				  certificate says */
	bool maps_account; /* the peer's groups are those of the account that the directory has for its certificate */
	const char *realm; /* AUTH_KERBEROS */
};

struct auth_set {
	const char *name;
	struct place place;
	struct auth_method *methods; /* in order of preference */
	size_t count;
};

/* Do two methods ask for the same? Here, since those who compare need nothing else of this folder's code. */
static inline bool auth_text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static inline bool certificate_criteria_equal(const struct certificate_criteria *a,
					      const struct certificate_criteria *b)
{
	if (a->name_type != b->name_type || !auth_text_equal(a->name, b->name) || a->eku_count != b->eku_count ||
	    !auth_text_equal(a->thumbprint, b->thumbprint) || a->follow_renewal != b->follow_renewal)
		return false;
	for (size_t i = 0; i < a->eku_count; i++)
		if (strcmp(a->ekus[i], b->ekus[i]) != 0)
			return false;
	return true;
}

static inline bool auth_method_equal(const struct auth_method *a, const struct auth_method *b)
{
	return a->kind == b->kind && auth_text_equal(a->psk_file, b->psk_file) &&
	       auth_text_equal(a->issuer, b->issuer) && a->issuer_type == b->issuer_type &&
	       certificate_criteria_equal(&a->both, &b->both) && certificate_criteria_equal(&a->own, &b->own) &&
	       certificate_criteria_equal(&a->peer, &b->peer) && a->revocation == b->revocation &&
	       a->address_identity == b->address_identity && a->maps_account == b->maps_account &&
	       auth_text_equal(a->realm, b->realm);
}

/* A post-quantum pre-shared key (RFC 8784): known to both ends by its id. */
struct ppk {
	const char *id, *file;
};

struct key_exchange_set { /* main mode */
	const char *name; /* "default" for the built-in one too, then place.file is 0 */
	struct place place;
	struct ike_suite *suites;
	size_t count;
	uint32_t lifetime_s;
	uint32_t reauthenticate_s; /* 0: a proof holds as long as main mode is renewed */
	bool legacy;
	struct ppk *ppks; /* the first is offered, any is taken */
	size_t ppk_count;
	bool ppk_required; /* without one there is no main mode */
};

struct protection_set { /* quick mode */
	const char *name;
	struct place place;
	struct child_suite *suites; /* in order of preference */
	size_t count;
	bool require_encryption;
	bool legacy;
	uint32_t lifetime_s;
	uint64_t lifetime_octets; /* 0: no limit */
	uint32_t idle_s;          /* without traffic for so long it is deleted; 0: never */
};

enum { PROFILE_DOMAIN = 1, PROFILE_PRIVATE = 2, PROFILE_PUBLIC = 4, PROFILE_ALL = 7 };

/* Keying modules. IKEv2 is always tried first. */
enum { MODULE_IKEV2 = 1, MODULE_IKEV1 = 2 };

struct rule {
	const char *name;
	struct place place; /* of the name */
	uint32_t index;     /* in policy_rules; of one that stands in another's place behind them */
	enum rule_mode mode;
	struct end end1, end2;
	struct service *services; /* at least one */
	size_t service_count;
	bool mirrored;
	unsigned profiles; /* PROFILE_ bits */
	bool tunnel;
	bool exempt_protected;                       /* of a tunnel: what is ESP already goes beside it */
	struct addr tunnel1, tunnel2;                /* tunnel endpoints; family 0: any */
	const struct auth_set *auth, *second_auth;   /* NULL: none */
	const struct protection_set *protection;     /* never NULL for a mode that protects */
	const struct key_exchange_set *key_exchange; /* likewise */
	const struct group *const *machines;         /* authorised machines; NULL: all */
	size_t machine_count;
	uint32_t fallback_after_ms;
	unsigned modules; /* MODULE_ bits: what its SAs may be negotiated by; 0 for a mode that protects nothing */
	/* The same rule for traffic of which a firewall rule asks that it be encrypted, or would rather have it so,
	 * where the rule's own protection set leaves that open: it stands in its place, with a protection set that does
	 * not. NULL: nobody asks, or the set cannot, or does in any case. base: whose place it takes; NULL: it is a
	 * rule as written. */
	const struct rule *encrypted, *encrypted_first, *base;
	unsigned reqid_turn; /* which of its name's numbers it has (policy/reqid.h): the first that no other rule has */
	/* For findings; file 0 if not written. */
	struct place mode_place, auth_place, second_auth_place, protection_place, ports_place, modules_place;
};

static inline const struct rule *rule_as_written(const struct rule *r)
{
	return r->base ? r->base : r;
}

enum host_role {
	ROLE_DNS = 1,
	ROLE_KDC = 2,
	ROLE_POLICY_SERVER = 4,
	ROLE_DHCP = 8,
	ROLE_WINS = 16,
	ROLE_CA = 32,
	ROLE_TIME = 64
};
enum host_agent { AGENT_CORDON, AGENT_WINDOWS, AGENT_NONE };

struct host_address {
	struct addr addr;
	int prefix; /* -1: not said */
};

struct host {
	const char *name;
	struct place place;
	struct host_address *addresses;
	size_t address_count;
	const struct address_set *set; /* the same addresses, as a rule names them */
	unsigned roles;
	enum host_agent agent;
	const struct group *const *groups; /* as written on the host */
	size_t group_count;
	const struct auth_set *const *credentials; /* NULL: every set */
	size_t credential_count;
	struct addr nat_address; /* family 0: none */
};

enum group_member_kind { MEMBER_DIRECTORY_GROUP, MEMBER_SID, MEMBER_CERTIFICATE, MEMBER_HOST, MEMBER_GROUP };
struct group_member {
	enum group_member_kind kind;
	const char *text; /* name, SID, or pattern on the subject or a subject alternative name */
	const struct host *host;
	const struct group *group;
	struct place place;
};
struct group {
	const char *name;
	struct place place;
	struct group_member *members;
	size_t count;
};

enum firewall_action { FIREWALL_ALLOW, FIREWALL_BLOCK, FIREWALL_BYPASS };
enum firewall_secure {
	SECURE_NOT_ASKED,
	SECURE_AUTHENTICATED,
	SECURE_ENCRYPTED,
	SECURE_ENCRYPTED_ON_DEMAND,
	SECURE_NO_ENCAPSULATION
};
enum { DIRECTION_IN = 1, DIRECTION_OUT = 2 };

struct firewall_rule {
	const char *name;
	struct place place;
	enum firewall_action action;
	unsigned direction;       /* DIRECTION_ bits */
	struct end local, remote; /* count 0: any */
	struct service
		*services; /* port1 local, port2 remote, where direction is out: what `traffic` names is the far end */
	size_t service_count;
	enum firewall_secure secure;
	const struct group *const *machines_allow, *const *machines_except;
	size_t allow_count, except_count;
	unsigned profiles;
	const char *interface, *program; /* NULL: any */
};

struct firewall {
	struct end hosts; /* whom the section rules */
	struct place place;
	enum firewall_action inbound, outbound; /* allow or block */
	struct firewall_rule *rules;
	size_t count;
};

struct policy_test {
	struct place place;
	const char *from, *to; /* host names */
	const struct host *from_host, *to_host;
	struct service service; /* port2 is the port asked for */
	const char *traffic;    /* as written: "tcp/389" */
	/* What a firewall rule asks for and only the host knows: NULL and 0 if the test does not say it. */
	const char *interface, *program;
	unsigned profiles;
	enum outcome expect;
	struct place expect_place;
};

/* Through which NAT IPsec may go, as Windows has it. The server is who answers, the client who began. */
enum nat_traversal {
	NAT_TRAVERSAL_NEVER,  /* no SA where an address is changed on the way */
	NAT_TRAVERSAL_SERVER, /* the server may be behind a NAT */
	NAT_TRAVERSAL_BOTH,   /* either end, or both */
};
const char *nat_traversal_name(enum nat_traversal t);

/* ESP between two Cordon hosts that no NAT separates: by itself (protocol 50), or in UDP 4500. */
enum encapsulation {
	ENCAPSULATION_AUTO,   /* in UDP where both have the userspace plane, which is faster so */
	ENCAPSULATION_NATIVE, /* by itself, always */
	ENCAPSULATION_UDP,    /* in UDP, whatever the planes */
};
const char *encapsulation_name(enum encapsulation e);

enum exemption { EXEMPT_ICMP = 1, EXEMPT_NEIGHBOR_DISCOVERY = 2, EXEMPT_ROUTER_DISCOVERY = 4, EXEMPT_DHCP = 8 };

struct policy;

/* Read and check a policy. Every mistake goes into the report; 0 if there was no error, and only then *ret is set.
 * The file's text is kept by the report. imported: equal-rank overlaps are warnings (design: import). */
struct policy_load_options {
	bool imported;
};
int policy_load(const char *path, const struct policy_load_options *o, struct report *r, struct policy **ret);
int policy_parse(struct text *text, const struct policy_load_options *o, struct report *r, struct policy **ret);
struct policy *policy_ref(const struct policy *p);
void policy_free(struct policy *p); /* drops one reference */
SCOPE_FREEP(struct policy, policy)

size_t policy_rules(const struct policy *p, const struct rule **ret); /* as written */
/* By its index, also those that stand in another's place; NULL: there is none. */
const struct rule *policy_rule_at(const struct policy *p, uint32_t index);
size_t policy_hosts(const struct policy *p, const struct host **ret);
/* All sets that rules can name: zones, hosts and literals; set->number is its index here. */
size_t policy_address_sets(const struct policy *p, const struct address_set *const **ret);
size_t policy_zones(const struct policy *p, const struct address_set **ret);
size_t policy_auth_sets(const struct policy *p, const struct auth_set **ret);
size_t policy_protection_sets(const struct policy *p, const struct protection_set **ret);
size_t policy_key_exchange_sets(const struct policy *p, const struct key_exchange_set **ret);
size_t policy_groups(const struct policy *p, const struct group **ret);
size_t policy_firewalls(const struct policy *p, const struct firewall **ret);
size_t policy_firewall_rule_count(const struct policy *p); /* of all sections */
size_t policy_tests(const struct policy *p, const struct policy_test **ret);
unsigned policy_exemptions(const struct policy *p); /* EXEMPT_ bits */
enum nat_traversal policy_nat_traversal(const struct policy *p);
enum encapsulation policy_encapsulation(const struct policy *p);
bool policy_is_imported(const struct policy *p);
const char *policy_path(const struct policy *p);

const struct host *policy_host_by_name(const struct policy *p, const char *name);
/* The host that has this address, or NULL. */
const struct host *policy_host_by_address(const struct policy *p, const struct addr *a);
/* The only host that others see under this address, through a NAT, or NULL: of several nobody knows which it is. */
const struct host *policy_host_behind(const struct policy *p, const struct addr *nat_address);
const struct address_set *policy_zone_by_name(const struct policy *p, const char *name);

/* "tcp/445", "udp/53", "icmp", "tcp", "47": what the CLI and tests call traffic. A list name ("dns") gives several. */
int policy_traffic_parse(const struct policy *p, const char *text, size_t n, struct service *ret, size_t cap,
			 size_t *ret_count, struct diag *d);

#endif
