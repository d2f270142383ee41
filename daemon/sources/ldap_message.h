/* daemon/sources/ldap_message.h - the messages of LDAP (RFC 4511) that look-ups in a directory need: bind by SASL,
 * search, and what a server answers. Pure; what comes is an outsider's, and nothing in it is believed to fit. Values
 * are octets with their length in both directions: a name with a star or a bracket in it is just such a name. */
#ifndef DAEMON_SOURCES_LDAP_MESSAGE_H
#define DAEMON_SOURCES_LDAP_MESSAGE_H
#include "base/crypto.h"
#include "base/wire.h"

struct diag;

enum { LDAP_MESSAGE_MOST = 1 << 20, LDAP_REQUEST_MOST = 2048, LDAP_RESULT_TEXT = 128 };

/* Result codes that mean something to us (RFC 4511 4.1.9). */
enum { LDAP_OK = 0, LDAP_REFERRAL = 10, LDAP_SASL_GOES_ON = 14, LDAP_NO_SUCH_OBJECT = 32, LDAP_BAD_CREDENTIALS = 49 };

/* ---- requests: each a whole message --------------------------------------------------------------------------- */

void ldap_put_bind(struct wire_out *out, uint32_t id, const char *mechanism, struct octets token);
void ldap_put_unbind(struct wire_out *out, uint32_t id);

enum ldap_scope { LDAP_BASE = 0, LDAP_SUBTREE = 2 };

/* (&(first.attribute=first.value)(|(attribute=one)(attribute=another)...)); without values: the first alone; without a
 * first.attribute: (objectClass=*). */
struct ldap_search {
	const char *base;
	enum ldap_scope scope;
	uint32_t most; /* entries, above which the server shall refuse */
	struct {
		const char *attribute, *value;
	} first;
	const char *attribute;
	const char *const *values;
	size_t value_count;
	const char *const *wanted; /* attributes */
	size_t wanted_count;
};
void ldap_put_search(struct wire_out *out, uint32_t id, const struct ldap_search *s);

/* ---- answers ------------------------------------------------------------------------------------------------------
 */

/* Of the octets that have come, how many are the first message? 0: it is not all there. Negative: it is none, or longer
 * than any should be. */
int ldap_message_length(const void *octets, size_t n, size_t *ret, struct diag *d);

enum ldap_kind { LDAP_BOUND, LDAP_ENTRY, LDAP_REFERENCE, LDAP_DONE, LDAP_NOTICE };

/* Readers and octets are in the message. */
struct ldap_answer {
	uint32_t id;
	enum ldap_kind kind;
	uint32_t code;               /* BOUND, DONE, NOTICE */
	char text[LDAP_RESULT_TEXT]; /* the server's words, printable */
	struct octets token;         /* BOUND */
	struct octets name;          /* ENTRY: its distinguished name */
	struct wire_in attributes;   /* ENTRY */
};
/* Exactly one message. */
int ldap_answer_decode(const void *octets, size_t n, struct ldap_answer *ret, struct diag *d);

/* while (ldap_next_attribute(&a.attributes, &type, &values)) while (ldap_next_value(&values, &v)) ... An answer that
 * was decoded has well-formed ones. */
bool ldap_next_attribute(struct wire_in *attributes, struct octets *ret_type, struct wire_in *ret_values);
bool ldap_next_value(struct wire_in *values, struct octets *ret);
/* Is it this text, whatever its case? */
bool ldap_is(struct octets o, const char *text);

#endif
