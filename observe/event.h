/* observe/event.h - what happened, as typed records. One table (event.c) has each event's name, category, severity,
 * fields, meaning and Windows' number for it; text, JSON, the journal's fields and docs/events.md are views of it.
 * Emitting never blocks and never fails: a full sink counts what it left out. */
#ifndef OBSERVE_EVENT_H
#define OBSERVE_EVENT_H
#include "base/addr.h"
#include "observe/failure.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_id {
	EVENT_STARTED,
	EVENT_STOPPED,
	EVENT_POLICY_APPLIED,
	EVENT_POLICY_REFUSED,
	EVENT_POLICY_ROLLED_BACK,
	EVENT_POLICY_CONFIRMED,
	EVENT_DISABLED,
	EVENT_ENABLED,
	EVENT_EXEMPTION_BEGUN, /* a host under repair may speak in clear for a time */
	EVENT_EXEMPTION_ENDED,
	EVENT_MAIN_MODE_UP,
	EVENT_MAIN_MODE_DOWN,
	EVENT_MAIN_MODE_FAILED,
	EVENT_QUICK_MODE_UP,
	EVENT_QUICK_MODE_DOWN,
	EVENT_QUICK_MODE_FAILED,
	EVENT_PEER_UNREACHABLE, /* no answer at all; request modes fall back */
	EVENT_FALLBACK,         /* a peer is talked to in clear because it has no IKE */
	EVENT_OLDER_PROTOCOL,   /* a peer seems to have no IKEv2, and its rule allows IKEv1 */
	EVENT_UDP_BLOCKED, /* two hosts agreed on ESP in UDP 4500, and it does not get through: ESP goes by itself */
	EVENT_REDIRECT_REFUSED, /* a peer wants to send us to another gateway */
	EVENT_BYPASS_OVERRULED, /* another program's table may drop what a bypass lets in */
	EVENT_RULES_RESTORED,   /* somebody changed our rules, routes or table; they are back */
	EVENT_ADDRESSES_CHANGED,
	EVENT_PROFILE_CHANGED,     /* an interface is in another one */
	EVENT_CREDENTIAL_CHOSEN,   /* of several own certificates, this one was shown to a peer */
	EVENT_CREDENTIALS_CHANGED, /* certificates, keys, trust or lists were read again */
	EVENT_CREDENTIALS_BAD,     /* a file of them cannot be used */
	EVENT_CERTIFICATE_EXPIRES, /* in 30, 14, 3 days, or now */
	EVENT_REVOCATION,          /* a list was fetched */
	EVENT_REVOCATION_FAILED,   /* or could not be */
	EVENT_DIRECTORY_READ,      /* the directory was asked about the policy's groups */
	EVENT_DIRECTORY_FAILED,    /* or could not be */
	EVENT_GROUP_MISSING,       /* it has no such group */
	EVENT_GROUPS_UNKNOWN,      /* a peer's ticket says nothing of its groups that can be read */
	EVENT_PROCESS_ENDED,       /* one of ours, and not because we stop */
	EVENT_PROCESS_MISBEHAVED,  /* likewise: it did what it may not; maybe others rule it */
	EVENT_SELF_TEST_FAILED,    /* of the fast cryptography: the slower one is used */
	EVENT_PROCESS_STARTED,     /* it works again */
	EVENT_INTEGRITY_FAILED,    /* of packets under an SA: some of each kind and peer, the others are counted */
	EVENT_REPLAYED,
	EVENT_UNKNOWN_SPI,
	EVENT_SA_DROP,          /* all other reasons */
	EVENT_PACKET_DROPPED,   /* by the ruleset */
	EVENT_CONNECTION_CLEAR, /* one begins that an exemption or a request mode lets pass */
	EVENT_AUDIT_CHANGED,    /* which categories are told */
	EVENT_LEFT_OUT,         /* events came too fast, or a sink was too slow */
	EVENT_COUNT
};

enum { EVENT_TEXT = 640, EVENT_NAME = 128, EVENT_WORD = 64, EVENT_STEP = 32 };
enum event_severity { EVENT_INFO, EVENT_WARNING, EVENT_ERROR };
enum event_direction { EVENT_NO_WAY, EVENT_IN, EVENT_OUT, EVENT_DIRECTIONS };

/* What is 0 or empty does not apply. */
struct event {
	enum event_id id;
	uint64_t time_ms;          /* Unix time; the observer fills it in if 0 */
	struct addr local, remote; /* ours and theirs, whoever sent */
	char rule[EVENT_NAME];
	char peer[EVENT_NAME]; /* identity in words */
	char text[EVENT_TEXT]; /* the sentence for people: what is the case, why */
	uint32_t spi;
	/* A failed negotiation. */
	enum failure_code failure;
	enum failure_side by;
	char step[EVENT_STEP]; /* "IKE_AUTH"; empty: before the first message */
	unsigned left_out;     /* of this kind that were not told since the last event of it */
	/* Packets. */
	enum event_direction direction;
	uint8_t protocol;
	uint16_t local_port, remote_port;
	uint64_t packets, octets;
	char reason[EVENT_WORD]; /* a counter's name: "clear-in", "bad-icv" */
	/* What an SA was made of, and how its peer proved itself. */
	char suite[EVENT_WORD], method[EVENT_WORD];
	char user[EVENT_WORD]; /* who asked for it at this host */
};

/* Windows' audit subcategories, so that one search finds both kinds of machine; and what it has none for. */
enum event_category {
	CATEGORY_DRIVER,
	CATEGORY_MAIN,
	CATEGORY_QUICK,
	CATEGORY_EXTENDED,
	CATEGORY_DROP,
	CATEGORY_CONNECTION,
	CATEGORY_POLICY,
	CATEGORY_SYSTEM,
	CATEGORY_COUNT
};
enum event_result { EVENT_SUCCESS, EVENT_FAILURE, EVENT_RESULTS };

/* Which members of the record an event has, besides those that all have. */
enum event_field {
	FIELD_LOCAL = 1,
	FIELD_REMOTE = 2,
	FIELD_RULE = 4,
	FIELD_PEER = 8,
	FIELD_SPI = 16,
	FIELD_FAILURE = 32, /* failure, by, step */
	FIELD_LEFT_OUT = 64,
	FIELD_DIRECTION = 128,
	FIELD_PORTS = 256,  /* and the protocol */
	FIELD_COUNTS = 512, /* packets, octets */
	FIELD_REASON = 1024,
	FIELD_SUITE = 2048,
	FIELD_METHOD = 4096,
	FIELD_USER = 8192,
	EVENT_FIELDS = 16384 /* above all of them */
};

struct event_row {
	const char *name; /* "main-mode-failed" */
	enum event_category category;
	enum event_severity severity;
	enum event_result result;
	uint16_t windows;             /* the number of Windows' event; 0: it has none */
	uint16_t windows_certificate; /* the same where a certificate was used; 0: no other */
	unsigned tellers;             /* enum event_teller */
	unsigned fields;              /* enum event_field */
	const char *meaning;          /* one sentence */
};
extern const struct event_row event_rows[EVENT_COUNT];

const char *event_name(enum event_id id);
const char *event_category(enum event_id id); /* "Main Mode" */
enum event_severity event_severity(enum event_id id);
unsigned event_windows(const struct event *e); /* 0: none */
/* EVENT_COUNT: none is called so. */
enum event_id event_by_name(const char *name);

/* Of its one or first member in the JSON: "local", "code", "protocol", "packets". */
const char *event_field_name(enum event_field f);
const char *event_category_name(enum event_category c);
/* "Main Mode", "main-mode", "IPsec Main Mode": as auditpol has it, however it is written. CATEGORY_COUNT: none. */
enum event_category event_category_by_name(const char *name);
const char *event_severity_name(enum event_severity s);   /* "info", "warning", "error" */
const char *event_result_name(enum event_result r);       /* "success", "failure" */
const char *event_direction_name(enum event_direction d); /* "", "in", "out" */

/* The processes of cordond. Each may tell of its own work only: of what another sent, the parent asks this. */
enum event_teller {
	TELLER_PARENT = 1,
	TELLER_KEYING = 2,
	TELLER_DATAPLANE = 4,
	TELLER_SOURCES = 8,
};
bool event_may_tell(enum event_id id, enum event_teller who);

/* A sink: story folders are handed one and know nothing of what is behind it. */
struct observer {
	void (*emit)(void *context, const struct event *e);
	void *context;
};
void observe(const struct observer *o, const struct event *e); /* o or its emit may be NULL */

/* The last events, in order; the oldest are overwritten. */
struct event_ring;
struct event_ring *event_ring_new(size_t most);
void event_ring_free(struct event_ring *r);
void event_ring_add(struct event_ring *r, const struct event *e);
uint64_t event_ring_next(const struct event_ring *r); /* number that the next event will get; numbers start at 1 */
/* Event number n, NULL if it is gone or not there yet. */
const struct event *event_ring_get(const struct event_ring *r, uint64_t n);

#endif
