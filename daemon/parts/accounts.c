#include "daemon/parts/accounts.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

enum { ASKERS_MOST = 16 };

struct account {
	TAILQ_ENTRY(account) entry; /* in the order in which they were learnt or asked for */
	struct directory_question question;
	enum directory_state state;
	uint64_t learnt_s;
	struct sid_list *sids; /* of its own size only: read no further than its len */
	uint32_t askers[ASKERS_MOST];
	size_t asker_count;
};

struct accounts {
	TAILQ_HEAD(account_list, account) all;
	size_t count;
};

struct accounts *accounts_new(void)
{
	struct accounts *a = mem_new(1, sizeof *a);

	TAILQ_INIT(&a->all);
	return a;
}

static void drop(struct accounts *a, struct account *one)
{
	TAILQ_REMOVE(&a->all, one, entry);
	a->count--;
	free(one->sids);
	free(one);
}

void accounts_free(struct accounts *a)
{
	if (!a)
		return;
	for (struct account *one = TAILQ_FIRST(&a->all), *next; one; one = next) {
		next = TAILQ_NEXT(one, entry);
		drop(a, one);
	}
	free(a);
}

static struct account *find(const struct accounts *a, enum directory_question_kind kind, const char *name)
{
	struct account *one;

	TAILQ_FOREACH(one, &a->all, entry)
		if (one->question.kind == kind && strcasecmp(one->question.text, name) == 0)
			return one;
	return NULL;
}

static void tell(const struct account *one, struct channel *keying, uint32_t number)
{
	static const struct sid_list none;
	bool old = one->learnt_s + ACCOUNTS_OLD_S < (uint64_t)time(NULL);
	struct wire_out *out;

	if (!keying)
		return;
	out = channel_begin(keying, ASK_ACCOUNT_SAID);
	wire_put_u32(out, number);
	wire_put_u8(out, (uint8_t)(old ? DIRECTORY_NOT_LEARNT : one->state));
	wire_put_u64(out, one->learnt_s);
	sid_list_put(out, one->sids && !old ? one->sids : &none);
	channel_end(keying);
}

static void tell_all(struct account *one, struct channel *keying)
{
	for (size_t i = 0; i < one->asker_count; i++)
		tell(one, keying, one->askers[i]);
	one->asker_count = 0;
}

/* Room for one more: the oldest that nobody waits for goes. */
static void make_room(struct accounts *a)
{
	struct account *one = TAILQ_FIRST(&a->all), *after;

	for (; one && a->count >= ACCOUNTS_MOST; one = after) {
		after = TAILQ_NEXT(one, entry);
		if (!one->asker_count)
			drop(a, one);
	}
}

bool accounts_want(struct accounts *a, struct channel *keying, uint32_t number, bool upn, const char *name,
		   uint64_t fresh_s)
{
	enum directory_question_kind kind = upn ? QUESTION_UPN_ACCOUNT : QUESTION_DNS_ACCOUNT;
	struct account *one = find(a, kind, name);

	if (!one) {
		make_room(a);
		one = mem_new(1, sizeof *one);
		one->question.kind = kind;
		(void)strncpy(one->question.text, name, sizeof one->question.text - 1);
		TAILQ_INSERT_TAIL(&a->all, one, entry);
		a->count++;
	}
	if ((one->learnt_s && one->learnt_s + fresh_s > (uint64_t)time(NULL)) || one->asker_count == ASKERS_MOST ||
	    a->count > ACCOUNTS_MOST) {
		tell(one, keying, number);
		return true;
	}
	one->askers[one->asker_count++] = number;
	return false;
}

size_t accounts_questions(struct accounts *a, struct directory_question *ret)
{
	struct account *one;
	size_t n = 0;

	TAILQ_FOREACH(one, &a->all, entry)
		if (one->asker_count && n < ACCOUNTS_AT_ONCE)
			ret[n++] = one->question;
	return n;
}

static struct sid_list *copy(const struct sid_list *l)
{
	return l ? mem_copy(l, offsetof(struct sid_list, octets) + l->len) : NULL;
}

void accounts_said(struct accounts *a, struct channel *keying, const struct directory_question *q,
		   const struct directory_reply *r)
{
	struct account *one = find(a, q->kind, q->text);

	if (!one)
		return;
	one->state = r->state;
	one->learnt_s = (uint64_t)time(NULL);
	free(one->sids);
	one->sids = copy(r->sids);
	TAILQ_REMOVE(&a->all, one, entry);
	TAILQ_INSERT_TAIL(&a->all, one, entry);
	tell_all(one, keying);
}

void accounts_failed(struct accounts *a, struct channel *keying)
{
	struct account *one;

	TAILQ_FOREACH(one, &a->all, entry)
		tell_all(one, keying);
}

void accounts_forget_askers(struct accounts *a)
{
	struct account *one;

	TAILQ_FOREACH(one, &a->all, entry)
		one->asker_count = 0;
}
