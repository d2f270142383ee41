#include "daemon/sources/guard.h"

#include "daemon/keys/messages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One for the process. */
static struct {
	struct channel *keys;
	struct guard_user user;
	uint64_t gss, job; /* of this one; the last that was asked for */
	uint32_t credential;
	bool there, asked, stepping;
} guard;

static void refuse(const struct diag *why)
{
	const struct octets none = { NULL, 0 };

	guard.asked = false;
	if (guard.stepping)
		guard.user.stepped(guard.user.context, none, false, why);
	else
		guard.user.used(guard.user.context, none, why);
}

void guard_keys(struct channel *keys)
{
	struct diag d = { 0 };

	guard.keys = keys;
	if (!guard.there || !guard.asked)
		return;
	(void)diag_fail(&d, EPIPE, "the process that has the keytab has ended");
	refuse(&d);
}

void guard_begin(const struct guard_user *user, uint32_t credential)
{
	guard_end();
	guard.user = *user;
	guard.credential = credential;
	guard.gss++;
	guard.there = true;
}

void guard_end(void)
{
	if (!guard.there)
		return;
	guard.there = guard.asked = false;
	if (!guard.keys)
		return;
	wire_put_u64(channel_begin(guard.keys, ASK_KEYS_GSS_END), guard.gss);
	channel_end(guard.keys);
}

/* False: there is nobody; that is told on the loop's next turn, by whoever comes or goes, or the time's end. */
static bool ask(bool stepping)
{
	guard.asked = true;
	guard.stepping = stepping;
	guard.job++;
	return guard.keys != NULL;
}

void guard_step(const char *target, struct octets token)
{
	struct keys_gss m = { .gss = guard.gss, .number = guard.credential, .initiator = true, .token = token };

	if (!ask(true))
		return;
	m.job = guard.job;
	if (target)
		(void)snprintf(m.target, sizeof m.target, "%s", target);
	keys_put_gss(channel_begin(guard.keys, ASK_KEYS_GSS), &m);
	channel_end(guard.keys);
}

void guard_use(enum guard_use use, struct octets text)
{
	static const uint8_t uses[] = {
		[GUARD_SEAL] = KEYS_USE_WRAP, [GUARD_SIGN] = KEYS_USE_SIGN, [GUARD_OPEN] = KEYS_USE_UNWRAP
	};
	struct keys_gss_use m = { .gss = guard.gss, .use = uses[use], .octets = text };

	if (!ask(false))
		return;
	m.job = guard.job;
	keys_put_gss_use(channel_begin(guard.keys, ASK_KEYS_GSS_USE), &m);
	channel_end(guard.keys);
}

/* Is it what was asked for last? What is late is passed over. */
static bool is_answer(uint64_t job, bool stepping)
{
	if (!guard.there || !guard.asked || job != guard.job || guard.stepping != stepping)
		return false;
	guard.asked = false;
	return true;
}

int guard_on_stepped(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys_stepped m;
	struct diag d = { 0 };
	int r = keys_get_stepped(body, &m);

	(void)context, (void)c, (void)fds;
	if (r < 0 || !is_answer(m.job, true))
		return r;
	if (m.error)
		(void)diag_fail(&d, m.error, "%s", m.words);
	guard.user.stepped(guard.user.context, m.token, m.complete, m.error ? &d : NULL);
	return 0;
}

int guard_on_text(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys_gss_text m;
	int r = keys_get_gss_text(body, &m);

	(void)context, (void)c, (void)fds;
	if (r == 0 && is_answer(m.job, false))
		guard.user.used(guard.user.context, m.octets, NULL);
	return r;
}

int guard_on_refused(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys_refused m;
	struct diag d = { 0 };
	int r = keys_get_refused(body, &m);

	(void)context, (void)c, (void)fds;
	if (r == 0 && guard.there && guard.asked && m.job == guard.job) {
		(void)diag_fail(&d, m.error, "%s", m.words);
		refuse(&d);
	}
	return r;
}
