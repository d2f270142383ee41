/* keying/failure.c - what a peer's refusal means and what to do about it, as a table; when a failure is told. */
#include "keying/failure.h"
#include "base/table.h"
#include "base/scope.h"
#include "keying/selector.h"
#include <stdio.h>
#include <string.h>

enum {
	AGAIN_MS = 600000, /* the same failure is told again after so long */
	MINUTE_MS = 60000, /* and in so long ... */
	TOLD_MINUTE = 8,   /* ... at most so many of one peer, ... */
	TOLD_STRANGER = 5, /* ... of which others may have forged so many in its name */
	ANY_EXCHANGE = 0,
};

static const struct refusal_row {
	uint16_t notify;
	uint8_t exchange; /* where it is said */
	enum failure_code code;
	bool ours; /* the sentence ends with what we have */
	const char *meaning;
} rows[] = {
	{ N_NO_PROPOSAL_CHOSEN, IKE_SA_INIT, FAILURE_NO_PROPOSAL, true,
	  "it has no rule for this host, or its rule wants another main mode: compare `key-exchange` of the two "
	  "policies. We offer " },
	{ N_NO_PROPOSAL_CHOSEN, ANY_EXCHANGE, FAILURE_NO_PROPOSAL, true,
	  "its rule wants another quick mode (or another transport or tunnel mode): compare `protection` of the two "
	  "policies. We offer " },
	{ N_INVALID_KE_PAYLOAD, ANY_EXCHANGE, FAILURE_NO_GROUP, true,
	  "it wants a key exchange group that we did not offer. We offer " },
	{ N_AUTHENTICATION_FAILED, ANY_EXCHANGE, FAILURE_NOT_ACCEPTED, true,
	  "it does not accept our proof, and why stands in its own log only. Mostly its authentication asks for "
	  "another "
	  "issuer, usage or name, does not trust our issuer, the pre-shared keys differ, or Kerberos fails there. We "
	  "proved ourselves by " },
	{ N_TS_UNACCEPTABLE, ANY_EXCHANGE, FAILURE_SELECTORS, true,
	  "none of its rules protects just that traffic: the rules of the two policies differ in addresses, protocol "
	  "or "
	  "ports. We asked for " },
	{ N_SINGLE_PAIR_REQUIRED, ANY_EXCHANGE, FAILURE_SELECTORS, true,
	  "it wants a negotiation for each pair of addresses alone. We asked for " },
	{ N_INVALID_SELECTORS, ANY_EXCHANGE, FAILURE_SELECTORS, true,
	  "traffic did not fit its selectors. We asked for " },
	{ N_NO_ADDITIONAL_SAS, ANY_EXCHANGE, FAILURE_BUSY, false,
	  "it can or will not have another quick mode with us" },
	{ N_TEMPORARY_FAILURE, ANY_EXCHANGE, FAILURE_BUSY, false, "it is busy, and may be asked again" },
	{ N_CHILD_SA_NOT_FOUND, ANY_EXCHANGE, FAILURE_REFUSED, false, "it no longer has what was to be renewed" },
	{ N_FAILED_CP_REQUIRED, ANY_EXCHANGE, FAILURE_ADDRESS_REQUEST, false,
	  "it hands out internal addresses and wants us to ask for one, as remote access clients do; Cordon does not. "
	  "Make its connection one between two hosts" },
	{ N_INTERNAL_ADDRESS_FAILURE, ANY_EXCHANGE, FAILURE_ADDRESS_REQUEST, false,
	  "it has no internal address for us, and we asked for none: make its connection one between two hosts" },
	{ N_INVALID_SYNTAX, ANY_EXCHANGE, FAILURE_MALFORMED, false,
	  "it says that it cannot read our message: one of the two programs is wrong; a capture of UDP 500 and 4500 "
	  "shows "
	  "which" },
	{ N_UNSUPPORTED_CRITICAL_PAYLOAD, ANY_EXCHANGE, FAILURE_UNSUPPORTED, false,
	  "it does not know a part of our message that must not be left out" },
	{ N_INVALID_MAJOR_VERSION, ANY_EXCHANGE, FAILURE_UNSUPPORTED, false,
	  "it does not speak IKEv2: set the peer to IKEv2" },
	{ N_INVALID_IKE_SPI, ANY_EXCHANGE, FAILURE_REFUSED, false,
	  "it does not know this negotiation any more; it may have restarted" },
	{ N_INVALID_MESSAGE_ID, ANY_EXCHANGE, FAILURE_MALFORMED, false, "it has lost count of the messages" },
	{ N_REDIRECT, ANY_EXCHANGE, FAILURE_REDIRECT, false,
	  "Cordon does not follow redirects, because a rule names its peers; name the other gateway in the policy" },
	{ N_WINDOWS_STATUS, ANY_EXCHANGE, FAILURE_NOT_ACCEPTED, false,
	  "it is a Windows host and tells a status code of its own; its Security log (events 4652 to 4654) says why" },
};

static const struct refusal_row *row_of(uint8_t exchange, uint16_t notify)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].notify == notify && (rows[i].exchange == ANY_EXCHANGE || rows[i].exchange == exchange))
			return &rows[i];
	return NULL;
}

struct fault fault_of_notify(uint8_t exchange, uint16_t notify)
{
	const struct refusal_row *row = row_of(exchange, notify);

	return (struct fault){
		.code = row ? row->code : FAILURE_REFUSED, .by = SIDE_PEER, .exchange = exchange, .notify = notify
	};
}

const char *refusal_words(uint8_t exchange, uint16_t notify, const char *ours, char buf[REFUSAL_TEXT])
{
	const struct refusal_row *row = row_of(exchange, notify);

	if (!row)
		(void)snprintf(buf, REFUSAL_TEXT, "error notification %u (%s): why stands in its own log", notify,
			       ike_notify_name(notify));
	else
		(void)snprintf(buf, REFUSAL_TEXT, "%s: %s%s", ike_notify_name(notify), row->meaning,
			       row->ours ? ours ? ours : "what the rule says" : "");
	return buf;
}

/* ---- traffic ----------------------------------------------------------------------------------------------------- */

static size_t put_ts_text(const struct ike_ts_list *list, char *buf, size_t cap)
{
	char lo[ADDR_TEXT], hi[ADDR_TEXT];
	size_t n = 0;

	for (size_t i = 0; i < list->count && n < cap; i++) {
		const struct ike_ts *ts = &list->at[i];
		bool one = addr_equal(&ts->range.lo, &ts->range.hi);
		n += (size_t)snprintf(buf + n, cap - n, "%s%s%s%s", i ? "," : "", addr_text(&ts->range.lo, lo),
				      one ? "" : "-", one ? "" : addr_text(&ts->range.hi, hi));
		if (n < cap && ts->protocol)
			n += (size_t)snprintf(buf + n, cap - n, " protocol %u", ts->protocol);
		if (n < cap && ts->port_lo == ts->port_hi)
			n += (size_t)snprintf(buf + n, cap - n, " port %u", ts->port_lo);
		else if (n < cap && (ts->port_lo || ts->port_hi != 65535))
			n += (size_t)snprintf(buf + n, cap - n, " ports %u-%u", ts->port_lo, ts->port_hi);
	}
	return n;
}

const char *asked_text(const struct ike_msg *m, char buf[ASKED_TEXT])
{
	size_t n;

	(void)snprintf(buf, ASKED_TEXT, "nothing");
	if (!m->has_ts_i || !m->has_ts_r)
		return buf;
	n = put_ts_text(&m->ts_i, buf, ASKED_TEXT);
	if (n < ASKED_TEXT)
		n += (size_t)snprintf(buf + n, ASKED_TEXT - n, " <-> ");
	if (n < ASKED_TEXT)
		(void)put_ts_text(&m->ts_r, buf + n, ASKED_TEXT - n);
	return buf;
}

const char *rules_text(const struct plan *plan, const struct addr *local, const struct addr *remote,
		       char buf[ASKED_TEXT])
{
	struct selector_walk w = { .plan = plan, .local = local, .remote = remote };
	struct candidate c;
	char one[SELECTOR_TEXT];
	size_t n = 0;

	(void)snprintf(buf, ASKED_TEXT, "none");
	while (n < ASKED_TEXT && selector_next(&w, &c))
		n += (size_t)snprintf(buf + n, ASKED_TEXT - n, "%s'%s' %s", n ? ", " : "", c.entry->rule->name,
				      selector_text(&c.whole, one));
	return buf;
}

/* ---- how often ----------------------------------------------------------------------------------------------------
 */

static uint64_t digest_of(const struct keying_failure *f)
{
	return table_hash(f->text, strlen(f->text), f->code);
}

bool failure_may_be_told(struct failure_record *r, bool stranger, uint64_t now_ms)
{
	uint64_t what = digest_of(&r->last);
	size_t oldest = 0;

	if (!r->minute_ms || now_ms - r->minute_ms >= MINUTE_MS) {
		r->minute_ms = now_ms;
		r->told_now = 0;
	}
	for (size_t i = 0; i < TOLD_MOST; i++) {
		if (r->told[i].what == what && r->told[i].at_ms && now_ms - r->told[i].at_ms < AGAIN_MS)
			return false;
		if (r->told[i].what == what) {
			oldest = i;
			break;
		}
		if (r->told[i].at_ms < r->told[oldest].at_ms)
			oldest = i;
	}
	if (r->told_now >= (stranger ? TOLD_STRANGER : TOLD_MINUTE))
		return false;
	r->told_now++;
	r->told[oldest].what = what;
	r->told[oldest].at_ms = now_ms;
	return true;
}
