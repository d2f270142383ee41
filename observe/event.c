#include "observe/event.h"

#include "base/mem.h"
#include "base/scope.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

struct event_row {
	const char *name, *category;
	enum event_severity severity;
	unsigned tellers; /* enum event_teller */
};

/* The categories are those of Windows' audit policy, so that one search finds both kinds of machine. */
static const struct event_row rows[] = {
	[EVENT_STARTED] = { "started", "Other System Events", EVENT_INFO, TELLER_PARENT },
	[EVENT_STOPPED] = { "stopped", "Other System Events", EVENT_INFO, TELLER_PARENT },
	[EVENT_POLICY_APPLIED] = { "policy-applied", "Policy Change", EVENT_INFO, TELLER_PARENT },
	[EVENT_POLICY_REFUSED] = { "policy-refused", "Policy Change", EVENT_ERROR, TELLER_PARENT },
	[EVENT_POLICY_ROLLED_BACK] = { "policy-rolled-back", "Policy Change", EVENT_WARNING, TELLER_PARENT },
	[EVENT_POLICY_CONFIRMED] = { "policy-confirmed", "Policy Change", EVENT_INFO, TELLER_PARENT },
	[EVENT_DISABLED] = { "disabled", "Policy Change", EVENT_WARNING, TELLER_PARENT },
	[EVENT_ENABLED] = { "enabled", "Policy Change", EVENT_INFO, TELLER_PARENT },
	[EVENT_MAIN_MODE_UP] = { "main-mode-up", "Main Mode", EVENT_INFO, TELLER_KEYING },
	[EVENT_MAIN_MODE_DOWN] = { "main-mode-down", "Main Mode", EVENT_INFO, TELLER_KEYING },
	[EVENT_MAIN_MODE_FAILED] = { "main-mode-failed", "Main Mode", EVENT_ERROR, TELLER_KEYING },
	[EVENT_QUICK_MODE_UP] = { "quick-mode-up", "Quick Mode", EVENT_INFO, TELLER_KEYING },
	[EVENT_QUICK_MODE_DOWN] = { "quick-mode-down", "Quick Mode", EVENT_INFO, TELLER_KEYING },
	[EVENT_QUICK_MODE_FAILED] = { "quick-mode-failed", "Quick Mode", EVENT_ERROR, TELLER_KEYING },
	[EVENT_PEER_UNREACHABLE] = { "peer-unreachable", "Main Mode", EVENT_WARNING, TELLER_KEYING },
	[EVENT_FALLBACK] = { "fallback", "Main Mode", EVENT_WARNING, TELLER_KEYING },
	[EVENT_REDIRECT_REFUSED] = { "redirect-refused", "Main Mode", EVENT_WARNING, TELLER_KEYING },
	[EVENT_RULES_RESTORED] = { "rules-restored", "Policy Change", EVENT_WARNING, TELLER_PARENT },
	[EVENT_ADDRESSES_CHANGED] = { "addresses-changed", "Policy Change", EVENT_INFO, TELLER_PARENT },
	[EVENT_CREDENTIAL_CHOSEN] = { "credential-chosen", "Main Mode", EVENT_INFO, TELLER_KEYING },
	[EVENT_CREDENTIALS_CHANGED] = { "credentials-changed", "Policy Change", EVENT_INFO, TELLER_PARENT },
	[EVENT_CREDENTIALS_BAD] = { "credentials-bad", "Policy Change", EVENT_ERROR, TELLER_PARENT },
	[EVENT_CERTIFICATE_EXPIRES] = { "certificate-expires", "Other System Events", EVENT_WARNING, TELLER_PARENT },
	[EVENT_REVOCATION] = { "revocation-list", "Other System Events", EVENT_INFO, TELLER_PARENT | TELLER_SOURCES },
	[EVENT_REVOCATION_FAILED] = { "revocation-list-failed", "Other System Events", EVENT_WARNING,
				      TELLER_PARENT | TELLER_SOURCES },
	[EVENT_PROCESS_ENDED] = { "process-ended", "Other System Events", EVENT_ERROR, TELLER_PARENT },
	[EVENT_PROCESS_STARTED] = { "process-started", "Other System Events", EVENT_INFO, TELLER_PARENT },
	[EVENT_SA_DROP] = { "sa-drop", "IPsec Driver", EVENT_WARNING, TELLER_DATAPLANE },
};
_Static_assert(ARRAY_LEN(rows) == EVENT_COUNT, "every event has a row");

const char *event_name(enum event_id id)
{
	return rows[id].name;
}

const char *event_category(enum event_id id)
{
	return rows[id].category;
}

enum event_severity event_severity(enum event_id id)
{
	return rows[id].severity;
}

bool event_may_tell(enum event_id id, enum event_teller who)
{
	return (rows[id].tellers & who) != 0;
}

void observe(const struct observer *o, const struct event *e)
{
	if (o && o->emit)
		o->emit(o->context, e);
}

struct event_ring {
	struct event *events;
	size_t most;
	uint64_t next; /* number of the next one; number n lives at n % most */
};

struct event_ring *event_ring_new(size_t most)
{
	struct event_ring *r = mem_new(1, sizeof *r);

	assert(most > 0);
	r->events = mem_new(most, sizeof *r->events);
	r->most = most;
	r->next = 1;
	return r;
}

void event_ring_free(struct event_ring *r)
{
	if (!r)
		return;
	free(r->events);
	free(r);
}

void event_ring_add(struct event_ring *r, const struct event *e)
{
	struct event *at = &r->events[r->next++ % r->most];
	struct timespec now;

	*at = *e;
	if (at->time_ms)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	at->time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t event_ring_next(const struct event_ring *r)
{
	return r->next;
}

const struct event *event_ring_get(const struct event_ring *r, uint64_t n)
{
	if (n == 0 || n >= r->next || r->next - n > r->most)
		return NULL;
	return &r->events[n % r->most];
}
