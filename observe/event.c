#include "observe/event.h"

#include "base/scope.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PEERS (FIELD_LOCAL | FIELD_REMOTE | FIELD_RULE | FIELD_PEER)

/* Who installed the SA knows its rule. */
#define DROPS (TELLER_DATAPLANE | TELLER_KEYING)

/* Success and failure as Windows has them: that a forged packet was found out is a success of the IPsec driver. */
const struct event_row event_rows[EVENT_COUNT] = {
	[EVENT_STARTED] = { "started", CATEGORY_DRIVER, EVENT_INFO, EVENT_SUCCESS, 5478, 0, TELLER_PARENT, 0,
			    "cordond has started and watches over this host" },
	[EVENT_STOPPED] = { "stopped", CATEGORY_DRIVER, EVENT_INFO, EVENT_SUCCESS, 5479, 0, TELLER_PARENT, 0,
			    "cordond has stopped; the rules that it made stay in force" },
	[EVENT_POLICY_APPLIED] = { "policy-applied", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 5460, 0, TELLER_PARENT,
				   FIELD_USER, "A policy was put in force" },
	[EVENT_POLICY_REFUSED] = { "policy-refused", CATEGORY_POLICY, EVENT_ERROR, EVENT_FAILURE, 5461, 0,
				   TELLER_PARENT, FIELD_USER,
				   "A policy was not put in force, or could not be taken back" },
	[EVENT_POLICY_ROLLED_BACK] = { "policy-rolled-back", CATEGORY_POLICY, EVENT_WARNING, EVENT_SUCCESS, 5460, 0,
				       TELLER_PARENT, FIELD_USER, "An earlier policy is in force again" },
	[EVENT_POLICY_CONFIRMED] = { "policy-confirmed", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 0, 0,
				     TELLER_PARENT, FIELD_USER, "A policy on probation was confirmed" },
	[EVENT_DISABLED] = { "disabled", CATEGORY_POLICY, EVENT_WARNING, EVENT_SUCCESS, 4710, 0, TELLER_PARENT,
			     FIELD_USER, "Protection was switched off on this host" },
	[EVENT_ENABLED] = { "enabled", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 4709, 0, TELLER_PARENT, FIELD_USER,
			    "Protection was switched on again" },
	[EVENT_EXEMPTION_BEGUN] = { "exemption-begun", CATEGORY_POLICY, EVENT_WARNING, EVENT_SUCCESS, 0, 0,
				    TELLER_PARENT, FIELD_USER, "A host may speak with this one in clear for a time" },
	[EVENT_EXEMPTION_ENDED] = { "exemption-ended", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 0, 0, TELLER_PARENT,
				    FIELD_USER, "A temporary exemption has ended" },
	[EVENT_MAIN_MODE_UP] = { "main-mode-up", CATEGORY_MAIN, EVENT_INFO, EVENT_SUCCESS, 4650, 4651, TELLER_KEYING,
				 PEERS | FIELD_SUITE | FIELD_METHOD,
				 "A peer has proven itself, and a main mode SA is there" },
	[EVENT_MAIN_MODE_DOWN] = { "main-mode-down", CATEGORY_MAIN, EVENT_INFO, EVENT_SUCCESS, 4655, 0, TELLER_KEYING,
				   PEERS, "A main mode SA has ended" },
	[EVENT_MAIN_MODE_FAILED] = { "main-mode-failed", CATEGORY_MAIN, EVENT_ERROR, EVENT_FAILURE, 4653, 4652,
				     TELLER_KEYING, PEERS | FIELD_FAILURE | FIELD_LEFT_OUT,
				     "A main mode could not be negotiated" },
	[EVENT_QUICK_MODE_UP] = { "quick-mode-up", CATEGORY_QUICK, EVENT_INFO, EVENT_SUCCESS, 5451, 0, TELLER_KEYING,
				  PEERS | FIELD_SPI | FIELD_SUITE, "Traffic is protected: a quick mode SA is there" },
	[EVENT_QUICK_MODE_DOWN] = { "quick-mode-down", CATEGORY_QUICK, EVENT_INFO, EVENT_SUCCESS, 5452, 0,
				    TELLER_KEYING, PEERS | FIELD_SPI, "A quick mode SA has ended" },
	[EVENT_QUICK_MODE_FAILED] = { "quick-mode-failed", CATEGORY_QUICK, EVENT_ERROR, EVENT_FAILURE, 4654, 0,
				      TELLER_KEYING, PEERS | FIELD_FAILURE | FIELD_LEFT_OUT,
				      "A quick mode could not be negotiated" },
	[EVENT_PEER_UNREACHABLE] = { "peer-unreachable", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 4653, 0,
				     TELLER_KEYING, PEERS | FIELD_FAILURE | FIELD_LEFT_OUT, "A peer does not answer" },
	[EVENT_FALLBACK] = { "fallback", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 0, 0, TELLER_KEYING, PEERS,
			     "A rule only requests protection, and a peer without it is talked to in clear" },
	[EVENT_OLDER_PROTOCOL] = { "older-protocol", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 0, 0, TELLER_KEYING,
				   PEERS, "A peer does not take IKEv2, and its rule allows IKEv1, which is tried" },
	[EVENT_UDP_BLOCKED] = { "udp-blocked", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 0, 0, TELLER_KEYING, PEERS,
				"Two hosts agreed on ESP in UDP, UDP 4500 does not get through, and ESP goes by "
				"itself" },
	[EVENT_REDIRECT_REFUSED] = { "redirect-refused", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 0, 0,
				     TELLER_KEYING, PEERS, "A peer wanted to send us to another gateway" },
	[EVENT_RULES_RESTORED] = { "rules-restored", CATEGORY_POLICY, EVENT_WARNING, EVENT_SUCCESS, 0, 0,
				   TELLER_PARENT | TELLER_DATAPLANE, 0,
				   "Somebody changed our table, rules, routes or IPsec policies, and they are as they "
				   "should be again" },
	[EVENT_BYPASS_OVERRULED] = { "bypass-overruled", CATEGORY_POLICY, EVENT_WARNING, EVENT_FAILURE, 0, 0,
				     TELLER_PARENT, 0,
				     "Another program's table may drop what a bypass of the policy lets in" },
	[EVENT_ADDRESSES_CHANGED] = { "addresses-changed", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 0, 0,
				      TELLER_PARENT, 0, "This host's addresses changed, and its rules with them" },
	[EVENT_PROFILE_CHANGED] = { "profile-changed", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 0, 0, TELLER_PARENT,
				    0, "An interface of this host is in another profile" },
	[EVENT_CREDENTIAL_CHOSEN] = { "credential-chosen", CATEGORY_MAIN, EVENT_INFO, EVENT_SUCCESS, 0, 0,
				      TELLER_KEYING, PEERS,
				      "Of several own certificates this one was shown to a peer" },
	[EVENT_CREDENTIALS_CHANGED] = { "credentials-changed", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 0, 0,
					TELLER_PARENT, 0,
					"Certificates, keys, trust or revocation lists were read again" },
	[EVENT_CREDENTIALS_BAD] = { "credentials-bad", CATEGORY_POLICY, EVENT_ERROR, EVENT_FAILURE, 0, 0, TELLER_PARENT,
				    0, "A file of credentials cannot be used" },
	[EVENT_CERTIFICATE_EXPIRES] = { "certificate-expires", CATEGORY_SYSTEM, EVENT_WARNING, EVENT_SUCCESS, 0, 0,
					TELLER_PARENT, 0, "A certificate of this host ends soon" },
	[EVENT_REVOCATION] = { "revocation-list", CATEGORY_SYSTEM, EVENT_INFO, EVENT_SUCCESS, 0, 0, TELLER_KEYING, 0,
			       "A revocation list was fetched" },
	[EVENT_REVOCATION_FAILED] = { "revocation-list-failed", CATEGORY_SYSTEM, EVENT_WARNING, EVENT_FAILURE, 0, 0,
				      TELLER_KEYING, 0, "A revocation list could not be fetched" },
	[EVENT_DIRECTORY_READ] = { "directory-read", CATEGORY_SYSTEM, EVENT_INFO, EVENT_SUCCESS, 0, 0, TELLER_PARENT, 0,
				   "The directory was asked about the policy's groups, and something is new" },
	[EVENT_DIRECTORY_FAILED] = { "directory-failed", CATEGORY_SYSTEM, EVENT_WARNING, EVENT_FAILURE, 0, 0,
				     TELLER_PARENT, 0,
				     "The directory could not be asked; what it said before, if it ever did, stays in "
				     "force" },
	[EVENT_GROUP_MISSING] = { "group-missing", CATEGORY_POLICY, EVENT_WARNING, EVENT_FAILURE, 0, 0, TELLER_PARENT,
				  0,
				  "The policy names a group that the directory does not have: nobody is let in as "
				  "its member" },
	[EVENT_GROUPS_UNKNOWN] = { "groups-unknown", CATEGORY_MAIN, EVENT_WARNING, EVENT_FAILURE, 0, 0, TELLER_KEYING,
				   PEERS,
				   "A peer's Kerberos ticket says nothing of its groups, or nothing that can be read" },
	[EVENT_PROCESS_ENDED] = { "process-ended", CATEGORY_SYSTEM, EVENT_ERROR, EVENT_FAILURE, 0, 0, TELLER_PARENT, 0,
				  "A process of cordond has ended by itself" },
	[EVENT_PROCESS_MISBEHAVED] = { "process-misbehaved", CATEGORY_SYSTEM, EVENT_ERROR, EVENT_FAILURE, 0, 0,
				       TELLER_PARENT, 0,
				       "One of cordond's processes did what it may not; maybe somebody else rules it. "
				       "It was ended and is started again" },
	[EVENT_SELF_TEST_FAILED] = { "self-test-failed", CATEGORY_SYSTEM, EVENT_ERROR, EVENT_FAILURE, 0, 0,
				     TELLER_DATAPLANE, 0,
				     "The fast AES-GCM gave wrong answers when it was tried at the start, and the one "
				     "of "
				     "libcrypto is used" },
	[EVENT_PROCESS_STARTED] = { "process-started", CATEGORY_SYSTEM, EVENT_INFO, EVENT_SUCCESS, 0, 0, TELLER_PARENT,
				    0, "A process of cordond works again" },
	[EVENT_INTEGRITY_FAILED] = { "integrity-failed", CATEGORY_DRIVER, EVENT_WARNING, EVENT_SUCCESS, 4960, 0, DROPS,
				     PEERS | FIELD_SPI | FIELD_REASON | FIELD_LEFT_OUT,
				     "A packet's check value was wrong: damaged, forged or under another key" },
	[EVENT_REPLAYED] = { "replayed", CATEGORY_DRIVER, EVENT_WARNING, EVENT_SUCCESS, 4961, 0, DROPS,
			     PEERS | FIELD_SPI | FIELD_REASON | FIELD_LEFT_OUT, "A packet came twice, or too late" },
	[EVENT_UNKNOWN_SPI] = { "unknown-spi", CATEGORY_DRIVER, EVENT_WARNING, EVENT_SUCCESS, 4965, 0, DROPS,
				FIELD_LOCAL | FIELD_REMOTE | FIELD_SPI | FIELD_REASON | FIELD_LEFT_OUT,
				"A packet came under an SA that this host does not have" },
	[EVENT_SA_DROP] = { "sa-drop", CATEGORY_DRIVER, EVENT_WARNING, EVENT_SUCCESS, 0, 0, DROPS,
			    PEERS | FIELD_SPI | FIELD_REASON | FIELD_LEFT_OUT,
			    "A packet came under an SA that may not carry it, or made no sense" },
	[EVENT_PACKET_DROPPED] = { "packet-dropped", CATEGORY_DROP, EVENT_WARNING, EVENT_FAILURE, 5152, 0,
				   TELLER_DATAPLANE,
				   PEERS | FIELD_DIRECTION | FIELD_PORTS | FIELD_REASON | FIELD_LEFT_OUT,
				   "The ruleset dropped a packet that should have been protected, or that a rule "
				   "blocks" },
	[EVENT_CONNECTION_CLEAR] = { "connection-clear", CATEGORY_CONNECTION, EVENT_INFO, EVENT_SUCCESS, 5156, 0,
				     TELLER_DATAPLANE,
				     FIELD_LOCAL | FIELD_REMOTE | FIELD_RULE | FIELD_DIRECTION | FIELD_PORTS |
					     FIELD_REASON | FIELD_LEFT_OUT,
				     "A connection begins in clear, as an exemption or a request mode allows" },
	[EVENT_AUDIT_CHANGED] = { "audit-changed", CATEGORY_POLICY, EVENT_INFO, EVENT_SUCCESS, 4719, 0, TELLER_PARENT,
				  FIELD_USER, "It was changed which categories of events are told" },
	[EVENT_LEFT_OUT] = { "events-left-out", CATEGORY_SYSTEM, EVENT_WARNING, EVENT_FAILURE, 4612, 0, TELLER_PARENT,
			     FIELD_REASON | FIELD_LEFT_OUT,
			     "Events were not told: they came too fast, or a sink was too slow" },
};

const char *event_name(enum event_id id)
{
	return event_rows[id].name;
}

const char *event_category(enum event_id id)
{
	return event_category_name(event_rows[id].category);
}

enum event_severity event_severity(enum event_id id)
{
	return event_rows[id].severity;
}

static bool by_certificate(const struct event *e)
{
	return strcmp(e->method, "certificate") == 0 ||
	       (e->failure >= FAILURE_CERTIFICATE_MISSING && e->failure <= FAILURE_CRITERIA);
}

unsigned event_windows(const struct event *e)
{
	const struct event_row *r = &event_rows[e->id];

	return r->windows_certificate && by_certificate(e) ? r->windows_certificate : r->windows;
}

enum event_id event_by_name(const char *name)
{
	for (unsigned i = 0; i < EVENT_COUNT; i++)
		if (strcmp(event_rows[i].name, name) == 0)
			return (enum event_id)i;
	return EVENT_COUNT;
}

bool event_may_tell(enum event_id id, enum event_teller who)
{
	return (event_rows[id].tellers & who) != 0;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static const char *const categories[CATEGORY_COUNT] = {
	[CATEGORY_DRIVER] = "IPsec Driver",  [CATEGORY_MAIN] = "Main Mode",
	[CATEGORY_QUICK] = "Quick Mode",     [CATEGORY_EXTENDED] = "Extended Mode",
	[CATEGORY_DROP] = "Packet Drop",     [CATEGORY_CONNECTION] = "Connection",
	[CATEGORY_POLICY] = "Policy Change", [CATEGORY_SYSTEM] = "Other System Events",
};

const char *event_category_name(enum event_category c)
{
	return categories[c];
}

/* Letters only, in one case: "main-mode" is "Main Mode". */
static bool same_words(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == ' ' || *a == '-' || *a == '_')
			a++;
		while (*b == ' ' || *b == '-' || *b == '_')
			b++;
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return false;
		if (!*a)
			return true;
	}
}

/* auditpol has these words before some of its names. */
static const char *const before[] = { "", "IPsec ", "Filtering Platform " };

enum event_category event_category_by_name(const char *name)
{
	char full[64];

	for (unsigned c = 0; c < CATEGORY_COUNT; c++)
		for (size_t i = 0; i < ARRAY_LEN(before); i++) {
			(void)snprintf(full, sizeof full, "%s%s", before[i], categories[c]);
			if (same_words(full, name))
				return (enum event_category)c;
		}
	return CATEGORY_COUNT;
}

const char *event_severity_name(enum event_severity s)
{
	static const char *const names[] = {
		[EVENT_INFO] = "info", [EVENT_WARNING] = "warning", [EVENT_ERROR] = "error"
	};

	return names[s];
}

const char *event_result_name(enum event_result r)
{
	return r == EVENT_SUCCESS ? "success" : "failure";
}

const char *event_direction_name(enum event_direction d)
{
	static const char *const names[EVENT_DIRECTIONS] = {
		[EVENT_NO_WAY] = "", [EVENT_IN] = "in", [EVENT_OUT] = "out"
	};

	return names[d];
}

const char *event_field_name(enum event_field f)
{
	static const char *const names[] = { "local",  "remote",   "rule",      "peer",     "spi",
					     "code",   "left_out", "direction", "protocol", "packets",
					     "reason", "suite",    "method",    "user" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((unsigned)f == 1u << i)
			return names[i];
	return "";
}

void observe(const struct observer *o, const struct event *e)
{
	if (o && o->emit)
		o->emit(o->context, e);
}
