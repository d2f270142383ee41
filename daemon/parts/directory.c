#include "daemon/parts/directory.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/messages/directory_wire.h"
#include "daemon/host/profiles.h"
#include "daemon/parts/accounts.h"
#include "daemon/parts/directory_cache.h"
#include "daemon/parts/parts.h"
#include "daemon/process/memory_file.h"
#include "identity/credential.h"
#include "identity/directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, NAMED_MOST = 5, HOME_WATCH_MS = 1000 };

struct directory {
	struct daemon *d;
	struct directory_names *names; /* of the policy in force; and what is known of each */
	struct directory_cache *cache;
	struct accounts *accounts;
	bool wants_accounts; /* some group of the policy is one of SIDs */
	uv_timer_t timer;
	struct directory_task running; /* what was asked last; without questions: nothing is */
	uint32_t number;               /* of that */
	char realm[DIRECTORY_NAME];    /* whose names are known */
	unsigned failures;             /* since the last answer */
	struct host_time asked;        /* when that was */
	uv_timer_t watch;              /* while there is a home: is it still one? */
	uint64_t answered_s;           /* when the directory said something last, Unix time */
	char why[ASK_WHY_MOST + 1];    /* it did not; empty: it did */
};

static uint64_t refresh_ms(const struct directory *t)
{
	return t->d->config ? t->d->config->directory.refresh_ms : HOST_DIRECTORY_REFRESH_MS;
}

/* ---- where we are ------------------------------------------------------------------------------------------------ */

static void ask_now(struct directory *t);
static bool wants_profile(const struct directory *t);
static void watched(uv_timer_t *timer);

/* An interface whose profile is open is the domain's once a controller has answered over it, and stays so for a while
 * if none does: controllers are restarted. */
static void arrived(struct directory *t, const struct addr *local)
{
	struct daemon *d = t->d;
	uint64_t hold_ms = 2 * refresh_ms(t) > HOST_HOME_MS ? 2 * refresh_ms(t) : HOST_HOME_MS;

	if (d->config && host_profiles_open(d->config) && local->family &&
	    host_homes_add(&d->homes, d->facts, local, &t->asked, hold_ms))
		daemon_look_at_addresses(d);
	if (d->homes.count)
		(void)uv_timer_start(&t->watch, watched, HOME_WATCH_MS, HOME_WATCH_MS);
}

/* True: from somewhere. */
static bool left(struct directory *t)
{
	struct host_time now;
	bool news;

	host_time_now(&now);
	if ((news = host_homes_drop(&t->d->homes, t->d->facts, &now)))
		daemon_look_at_addresses(t->d);
	if (!t->d->homes.count)
		(void)uv_timer_stop(&t->watch);
	return news;
}

/* The machine woke, or nobody has answered for too long. */
static void watched(uv_timer_t *timer)
{
	struct directory *t = timer->data;

	if (left(t) && wants_profile(t))
		ask_now(t);
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

static const char *realm_of(const struct daemon *d)
{
	const struct auth_set *sets;
	size_t n = d->policy ? policy_auth_sets(d->policy, &sets) : 0;

	if (d->config && d->config->directory.realm)
		return d->config->directory.realm;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < sets[i].count; j++)
			if (sets[i].methods[j].kind == AUTH_KERBEROS && sets[i].methods[j].realm)
				return sets[i].methods[j].realm;
	return NULL;
}

static void add_server(struct directory_task *t, const char *text)
{
	if (t->server_count < DIRECTORY_SERVERS_MOST && strlen(text) < DIRECTORY_NAME)
		(void)snprintf(t->servers[t->server_count++], DIRECTORY_NAME, "%s", text);
}

/* The page's; else those that the policy gives the role; else whom DNS names, which is for `sources` to ask. */
static void add_servers(const struct daemon *d, struct directory_task *t)
{
	const struct host *hosts;
	size_t n = policy_hosts(d->policy, &hosts);
	char text[ADDR_TEXT];

	for (size_t i = 0; d->config && i < d->config->directory.server_count; i++)
		add_server(t, d->config->directory.servers[i]);
	for (size_t i = 0; !(d->config && d->config->directory.server_count) && i < n; i++)
		for (size_t j = 0; hosts[i].roles & ROLE_KDC && j < hosts[i].address_count; j++)
			add_server(t, addr_text(&hosts[i].addresses[j].addr, text));
}

static bool has_keytab(const struct daemon *d, uint32_t *ret_number)
{
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;

	for (size_t i = 0; s && i < credential_count(s); i++)
		if (credential_get(s, i)->kind == AUTH_KERBEROS) {
			*ret_number = credential_get(s, i)->number;
			return true;
		}
	return false;
}

/* One that is named and cannot be used is another case than none. */
static int no_keytab(const struct daemon *d, struct diag *why)
{
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;
	const char *failure = s ? credential_keytab_failure(s) : NULL;

	if (!d->config || !d->config->keytab)
		return diag_fail(
			why, ENOENT,
			"this host has no keytab to prove itself to the directory with (keytab: in host.yaml)");
	return diag_fail(why, ENOENT, "this host's keytab cannot be used: %s",
			 failure ? failure : "it has not been read yet");
}

/* Negative: it can't be asked, and why. */
static int make_task(const struct directory *t, struct directory_task *ret, struct diag *why)
{
	const struct daemon *d = t->d;
	const char *realm = realm_of(d);
	size_t n = directory_names_count(t->names);
	struct directory_question accounts[ACCOUNTS_AT_ONCE];
	size_t m = accounts_questions(t->accounts, accounts);

	*ret = (struct directory_task){ 0 };
	if (!realm)
		return diag_fail(why, ENOENT,
				 "of which domain? Neither an authentication set names a Kerberos realm nor does "
				 "host.yaml (directory: { realm: ... })");
	if (!has_keytab(d, &ret->credential))
		return no_keytab(d, why);
	(void)snprintf(ret->realm, sizeof ret->realm, "%.250s", realm);
	add_servers(d, ret);
	ret->questions = mem_new(n + m + 1, sizeof *ret->questions);
	for (; ret->question_count < n; ret->question_count++) {
		struct directory_question *q = &ret->questions[ret->question_count];

		q->kind = QUESTION_GROUP;
		memcpy(q->text, directory_names_at(t->names, ret->question_count)->text, sizeof q->text);
	}
	memcpy(ret->questions + n, accounts, m * sizeof *accounts);
	ret->question_count += m;
	return 0;
}

static void put_task(struct wire_out *out, const void *what)
{
	directory_task_put(out, what);
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

static void due(uv_timer_t *timer)
{
	ask_now(timer->data);
}

static void ask_in(struct directory *t, uint64_t ms)
{
	(void)uv_timer_start(&t->timer, due, ms, 0);
}

static void ask_when_failed(struct directory *t)
{
	uint64_t ms = DIRECTORY_RETRY_MS;

	for (unsigned i = 1; i < t->failures && ms < DIRECTORY_RETRY_MOST_MS; i++)
		ms *= 2;
	ask_in(t, ms < DIRECTORY_RETRY_MOST_MS ? ms : DIRECTORY_RETRY_MOST_MS);
}

static bool knows_something(const struct directory_names *names)
{
	for (size_t i = 0; i < directory_names_count(names); i++)
		if (directory_names_at(names, i)->state != DIRECTORY_NOT_LEARNT)
			return true;
	return false;
}

static const char *what_holds(const struct directory *t)
{
	if (t->answered_s)
		return "What it said before stays in force";
	if (knows_something(t->names))
		return "Only what was known of it from before is in force";
	if (directory_names_count(t->names))
		return "Nothing is known of any group yet: rules that let one in let nobody in, those that except "
		       "one except everybody";
	return "Nothing is known of it yet";
}

/* asked: it did not answer; else it was not even asked. */
static void failed(struct directory *t, const char *why, bool asked)
{
	struct event e = { .id = EVENT_DIRECTORY_FAILED };
	bool news = strcmp(t->why, why) != 0;

	directory_task_wipe(&t->running);
	accounts_failed(t->accounts, parts_channel(t->d, ROLE_KEYING));
	t->failures++;
	(void)snprintf(t->why, sizeof t->why, "%s", why);
	if (news) {
		(void)snprintf(e.text, sizeof e.text, "the directory %s: %.200s. %s",
			       asked ? "does not answer" : "cannot be asked", t->why, what_holds(t));
		observe(&t->d->observer, &e);
	}
	(void)left(t);
	ask_when_failed(t);
}

/* Also if nothing else is asked: does it answer over an interface whose profile is open? */
static bool wants_profile(const struct directory *t)
{
	uint32_t unused;

	return t->d->config && host_profiles_open(t->d->config) && realm_of(t->d) && has_keytab(t->d, &unused);
}

static void ask_now(struct directory *t)
{
	struct channel *c = parts_channel(t->d, ROLE_SOURCES);
	struct diag why = { 0 };
	int fd;

	struct directory_question waiting[ACCOUNTS_AT_ONCE];

	if (!directory_names_count(t->names) && !accounts_questions(t->accounts, waiting) && !wants_profile(t))
		return;
	if (!c) /* it comes, and then this is called */
		return;
	directory_task_wipe(&t->running);
	if (make_task(t, &t->running, &why) < 0 ||
	    (fd = memory_file_make("cordon-directory-task", DIRECTORY_TASK_WIRE_MOST, put_task, &t->running, &why)) <
		    0) {
		failed(t, why.text, false);
		return;
	}
	host_time_now(&t->asked);
	wire_put_u32(channel_begin(c, ASK_DIRECTORY), ++t->number);
	channel_end_fds(c, &fd, 1);
	(void)close(fd);
	ask_in(t, DIRECTORY_PATIENCE_MS);
}

/* ---- what it said ------------------------------------------------------------------------------------------------ */

static void put_names(struct wire_out *out, const void *what)
{
	directory_names_put(out, what);
}

void directory_tell_keying(struct daemon *d, struct channel *keying)
{
	struct diag why = { 0 };
	int fd;

	if (!keying || !d->directory)
		return;
	if ((fd = memory_file_make("cordon-directory-names", DIRECTORY_NAMES_WIRE_MOST, put_names, d->directory->names,
				   &why)) < 0) {
		log_error("keying is not told what the directory says: %s", why.text);
		return;
	}
	(void)channel_begin(keying, ASK_KEYING_NAMES);
	channel_end_fds(keying, &fd, 1);
	(void)close(fd);
}

static void tell_missing(const struct directory *t, const char *name)
{
	struct event e = { .id = EVENT_GROUP_MISSING };

	(void)snprintf(e.text, sizeof e.text,
		       "there is no group %.200s in the directory: a rule that lets it in lets nobody in, one that "
		       "excepts it excepts everybody",
		       name);
	observe(&t->d->observer, &e);
}

/* True: whoever judges by it must know. */
static bool learn(const struct directory *t, struct directory_name *n, const struct directory_reply *r, uint64_t now_s)
{
	bool news = n->state != r->state || (r->state == DIRECTORY_FOUND && !sid_equal(&n->sid, &r->sid));

	if (news && r->state == DIRECTORY_MISSING)
		tell_missing(t, n->text);
	n->state = r->state;
	n->sid = r->sid;
	n->learnt_s = now_s;
	return news;
}

static void learn_all(struct directory *t, const struct directory_replies *r)
{
	uint64_t now_s = (uint64_t)time(NULL);
	struct event e = { .id = EVENT_DIRECTORY_READ };
	struct channel *keying = parts_channel(t->d, ROLE_KEYING);
	struct directory_question waiting[ACCOUNTS_AT_ONCE];
	size_t groups = directory_names_count(t->names);
	bool news = false, was_away = t->failures > 0 || t->answered_s == 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct directory_question *q = &t->running.questions[i];

		if (q->kind != QUESTION_GROUP)
			accounts_said(t->accounts, keying, q, &r->replies[i]);
		else
			news |= learn(t, directory_names_add(t->names, q->text), &r->replies[i], now_s);
	}
	t->failures = 0;
	t->answered_s = now_s;
	*t->why = '\0';
	if (news || was_away) {
		(void)snprintf(e.text, sizeof e.text, "the directory of %.120s was asked about %zu group%s",
			       t->running.realm, groups, groups == 1 ? "" : "s");
		observe(&t->d->observer, &e);
	}
	if (news)
		directory_tell_keying(t->d, keying);
	directory_cache_keep(t->cache, t->running.realm, t->names);
	directory_task_wipe(&t->running);
	(void)left(t);
	arrived(t, &r->local);
	if (accounts_questions(t->accounts, waiting))
		ask_now(t);
	else
		ask_in(t, refresh_ms(t));
}

int directory_on_said(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = context;
	struct directory *t = d->directory;
	SCOPED(directory_replies_wipe) struct directory_replies replies = { 0 };
	SCOPED(text_freep) struct text *text = NULL;
	uint32_t number = wire_u32(body);
	struct diag why;
	struct wire_in in;

	(void)c;
	if (!wire_done(body) || memory_file_read(fds[0], DIRECTORY_REPLIES_WIRE_MOST, &text, &why) < 0)
		return -EPROTO;
	in = wire_in(text->octets, text->len);
	if (directory_replies_get(&in, &replies, &why) < 0)
		return -EPROTO;
	if (number != t->number || !t->running.questions) /* late */
		return 0;
	if (replies.count != t->running.question_count)
		return -EPROTO;
	for (size_t i = 0; i < replies.count; i++)
		if (!replies.replies[i].sids !=
		    (t->running.questions[i].kind == QUESTION_GROUP || replies.replies[i].state == DIRECTORY_MISSING))
			return -EPROTO;
	learn_all(t, &replies);
	return 0;
}

int directory_on_failed(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = context;
	struct directory *t = d->directory;
	uint32_t number = wire_u32(body);
	size_t len = body->left;
	const uint8_t *at = wire_octets(body, len);
	char why[ASK_WHY_MOST + 1] = "";

	(void)c, (void)fds;
	if (!wire_done(body) || len > ASK_WHY_MOST)
		return -EPROTO;
	for (size_t i = 0; i < len; i++)
		why[i] = at[i] >= ' ' && at[i] != 0x7f ? (char)at[i] : '?';
	if (number == t->number && t->running.questions)
		failed(t, why, true);
	return 0;
}

void directory_sources_came(struct daemon *d)
{
	if (d->directory)
		ask_now(d->directory);
}

void directory_sources_went(struct daemon *d)
{
	if (d->directory)
		directory_task_wipe(&d->directory->running); /* it is asked again when it is back */
}

/* ---- accounts ---------------------------------------------------------------------------------------------------- */

int directory_on_account(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = context;
	struct directory *t = d->directory;
	uint32_t number = wire_u32(body);
	uint8_t upn = wire_u8(body);
	size_t len = body->left;
	const uint8_t *at = wire_octets(body, len);
	char name[DIRECTORY_NAME] = "";

	(void)fds;
	if (!wire_done(body) || upn > 1 || len == 0 || len >= sizeof name || memchr(at, '\0', len))
		return -EPROTO;
	memcpy(name, at, len);
	if (accounts_want(t->accounts, c, number, upn, name, refresh_ms(t) / 1000))
		return 0;
	if (!t->wants_accounts || t->failures > 1) /* it is asked by itself again; nobody waits for that */
		accounts_failed(t->accounts, c);
	else if (!t->running.questions)
		ask_now(t);
	return 0;
}

void directory_keying_went(struct daemon *d)
{
	if (d->directory)
		accounts_forget_askers(d->directory->accounts);
}

/* ---- a policy ---------------------------------------------------------------------------------------------------- */

static void add_names(const struct daemon *d, struct directory_names *to, bool *ret_sids)
{
	const struct group *groups;
	size_t n = d->policy ? policy_groups(d->policy, &groups) : 0;

	*ret_sids = false;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < groups[i].count; j++) {
			*ret_sids |= groups[i].members[j].kind == MEMBER_DIRECTORY_GROUP ||
				     groups[i].members[j].kind == MEMBER_SID;
			if (groups[i].members[j].kind == MEMBER_DIRECTORY_GROUP &&
			    !directory_names_add(to, groups[i].members[j].text))
				log_error("the directory is not asked about %.100s: it is too long, or one of over %d",
					  groups[i].members[j].text, DIRECTORY_NAMES_MOST);
		}
}

/* What was known of them, from memory or from disk. */
static void remember(const struct directory *t, struct directory_names *names)
{
	const struct directory_names *kept = directory_cache_names(t->cache, realm_of(t->d));

	for (size_t i = 0; i < directory_names_count(names); i++) {
		const char *text = directory_names_at(names, i)->text;
		const struct directory_name *old = directory_names_find(t->names, text);

		if (!old || old->state == DIRECTORY_NOT_LEARNT)
			old = directory_names_find(kept, text);
		if (old)
			*directory_names_add(names, text) = *old;
	}
}

static bool same(const struct directory_names *a, const struct directory_names *b)
{
	bool is = directory_names_count(a) == directory_names_count(b);

	for (size_t i = 0; is && i < directory_names_count(a); i++)
		is = strcmp(directory_names_at(a, i)->text, directory_names_at(b, i)->text) == 0;
	return is;
}

/* What a name was in another realm it is not in this one. */
static void forget_other_realm(struct directory *t)
{
	const char *realm = realm_of(t->d);

	if (strcmp(t->realm, realm ? realm : "") == 0)
		return;
	directory_names_free(t->names);
	t->names = directory_names_new();
	(void)snprintf(t->realm, sizeof t->realm, "%s", realm ? realm : "");
}

void directory_loaded(struct daemon *d)
{
	struct directory *t = d->directory;
	struct directory_names *names;
	bool news;

	if (!t)
		return;
	forget_other_realm(t);
	names = directory_names_new();
	add_names(d, names, &t->wants_accounts);
	remember(t, names);
	news = !same(names, t->names);
	directory_names_free(t->names);
	t->names = names;
	if (news) {
		t->answered_s = 0;
		directory_tell_keying(d, parts_channel(d, ROLE_KEYING));
	}
	if (!directory_names_count(names) && !wants_profile(t)) {
		(void)uv_timer_stop(&t->timer);
		directory_task_wipe(&t->running);
		*t->why = '\0';
		t->failures = 0;
		return;
	}
	ask_now(t);
}

void directory_addresses_changed(struct daemon *d)
{
	struct directory *t = d->directory;

	if (!t)
		return;
	(void)left(t);
	if (wants_profile(t))
		ask_now(t);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

json_t *directory_json(const struct daemon *d)
{
	const struct directory *t = d->directory;
	size_t n = t ? directory_names_count(t->names) : 0;
	json_t *missing = json_array(), *unknown = json_array();
	uint64_t oldest_s = 0;
	json_int_t known = 0;

	for (size_t i = 0; i < n; i++) {
		const struct directory_name *one = directory_names_at(t->names, i);

		if (one->state == DIRECTORY_FOUND)
			known++;
		else if (json_array_size(one->state == DIRECTORY_MISSING ? missing : unknown) < NAMED_MOST)
			(void)json_array_append_new(one->state == DIRECTORY_MISSING ? missing : unknown,
						    json_string(one->text));
		if (one->learnt_s && (!oldest_s || one->learnt_s < oldest_s))
			oldest_s = one->learnt_s;
	}
	if (!n) {
		json_decref(missing);
		json_decref(unknown);
		return json_null();
	}
	return json_pack("{s:I,s:I,s:o,s:o,s:I,s:o}", "groups", (json_int_t)n, "known", known, "missing", missing,
			 "not_learnt", unknown, "learnt_ms", (json_int_t)oldest_s * 1000, "failure",
			 *t->why ? json_string(t->why) : json_null());
}

void directory_new(struct daemon *d)
{
	struct directory *t = mem_new(1, sizeof *t);
	char path[PATH_TEXT];

	t->d = d;
	t->names = directory_names_new();
	t->accounts = accounts_new();
	t->timer.data = t;
	(void)uv_timer_init(&d->loop, &t->timer);
	t->watch.data = t;
	(void)uv_timer_init(&d->loop, &t->watch);
	(void)snprintf(path, sizeof path, "%.4000s/directory", d->options.state_dir);
	t->cache = directory_cache_new(&d->loop, path);
	d->directory = t;
}

static void watch_closed(uv_handle_t *h)
{
	free(h->data);
}

static void timer_closed(uv_handle_t *h)
{
	struct directory *t = h->data;

	uv_close((uv_handle_t *)&t->watch, watch_closed);
}

void directory_close(struct daemon *d)
{
	struct directory *t = TAKE(d->directory);

	if (!t)
		return;
	directory_names_free(TAKE(t->names));
	directory_task_wipe(&t->running);
	directory_cache_close(t->cache);
	accounts_free(t->accounts);
	(void)uv_timer_stop(&t->watch);
	uv_close((uv_handle_t *)&t->timer, timer_closed);
}
