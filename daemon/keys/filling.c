#include "daemon/keys/filling.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/keys/messages.h"
#include "identity/credential.h"
#include "identity/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One secret, so that the next holder can be given it too. */
struct item {
	uint32_t number;
	unsigned uses;
	char *path; /* NULL: a former set's, whose file is another by now */
	struct octets publics[KEYRING_PUBLICS_MOST];
	size_t public_count;
	struct keytab_told *told; /* of a keytab: what the parent believes that it holds */
};

struct set {
	struct item *items;
	size_t count, cap;
};

struct keys_filling {
	struct children *const *children;
	void (*changed)(void *context);
	void *context;
	struct set now, next;
	bool is_prepared; /* the holder that is there has what is in `next` */
	uint32_t last;    /* ticket */
	uint32_t wanted;  /* the one that is waited for */
	bool answered;
	struct keys_answer answer;
	uv_timer_t stale;
};

static void is_stale(uv_timer_t *t)
{
	const struct keys_filling *f = t->data;

	f->changed(f->context);
}

static void item_wipe(struct item *i)
{
	free(i->path);
	free(i->told);
	for (size_t k = 0; k < i->public_count; k++)
		free((void *)(uintptr_t)i->publics[k].at);
}

static void set_wipe(struct set *s)
{
	for (size_t i = 0; i < s->count; i++)
		item_wipe(&s->items[i]);
	free(s->items);
	*s = (struct set){ 0 };
}

static void set_add(struct set *s, const struct keyring_item *item)
{
	struct item *i;

	s->items = mem_grow(s->items, s->count, &s->cap, sizeof *s->items);
	i = &s->items[s->count++];
	*i = (struct item){ .number = item->number, .uses = item->uses };
	i->path = item->path ? mem_string(item->path) : NULL;
	i->told = item->told ? mem_copy(item->told, sizeof *item->told) : NULL;
	for (; i->public_count < item->public_count; i->public_count++) {
		const struct octets *o = &item->publics[i->public_count];

		i->publics[i->public_count] = (struct octets){ mem_copy(o->at, o->len), o->len };
	}
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static int send_load(struct channel *c, uint32_t ticket, const struct keyring_item *item, struct diag *d)
{
	struct keys_load *m;
	int fd;

	if (item->public_count > KEYRING_PUBLICS_MOST || strlen(item->path) >= KEYS_PATH)
		return diag_fail(d, E2BIG, "%s %.80s", keyring_what(item->uses), item->path);
	for (size_t i = 0; i < item->public_count; i++)
		if (item->publics[i].len > KEYS_PUBLIC_MOST)
			return diag_fail(d, ERR_UNSUPPORTED, "a public key of %zu octets", item->publics[i].len);
	if ((fd = secret_file_open(item->path, keyring_what(item->uses), d)) < 0)
		return fd;
	m = mem_new(1, sizeof *m);
	m->ticket = ticket;
	m->number = item->number;
	m->uses = (uint8_t)item->uses;
	m->public_count = item->public_count;
	(void)snprintf(m->path, sizeof m->path, "%s", item->path);
	if (item->public_count) /* of a pre-shared key there is none */
		memcpy(m->publics, item->publics, item->public_count * sizeof *item->publics);
	keys_put_load(channel_begin(c, ASK_KEYS_LOAD), m);
	channel_end_fds(c, &fd, 1);
	(void)close(fd);
	free(m);
	return 0;
}

static void send_begin(struct channel *c)
{
	(void)channel_begin(c, ASK_KEYS_BEGIN);
	channel_end(c);
}

static void send_swap(struct channel *c, uint32_t ticket)
{
	wire_put_u32(channel_begin(c, ASK_KEYS_SWAP), ticket);
	channel_end(c);
}

/* The holder, if it is there or about to be. */
static struct channel *holder(const struct keys_filling *f)
{
	return children_wait(*f->children, ROLE_KEYS, KEYS_FILLING_MS);
}

/* Wait for the answer with f->wanted. */
static int wait_for(struct keys_filling *f, struct channel *c)
{
	int r = channel_wait(c, &f->answered, KEYS_FILLING_MS);

	f->wanted = 0;
	if (r == -ETIMEDOUT)
		children_end(*f->children, ROLE_KEYS, "did not answer in time");
	return r;
}

static void want(struct keys_filling *f)
{
	f->wanted = ++f->last;
	f->answered = false;
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

static int load(void *context, const struct keyring_item *item, size_t *ret_fits, struct diag *d)
{
	struct keys_filling *f = context;
	struct channel *c = f->is_prepared ? holder(f) : NULL;
	int r;

	*ret_fits = 0;
	if (c) {
		want(f);
		if ((r = send_load(c, f->wanted, item, d)) < 0)
			return r;
		if (wait_for(f, c) == 0) {
			if (f->answer.error < 0)
				return diag_fail(d, f->answer.error, "%s", f->answer.words);
			*ret_fits = f->answer.fits;
			if (item->told)
				*item->told = f->answer.told;
			if (f->answer.fits == 0)
				set_add(&f->next, item);
			return 0;
		}
	}
	f->is_prepared = false; /* the one that comes is given all of it */
	set_add(&f->next, item);
	return 0;
}

static int keep(void *context, uint32_t number, unsigned uses, struct diag *d)
{
	struct keys_filling *f = context;
	struct channel *c = f->is_prepared ? holder(f) : NULL;

	if (!c)
		return diag_fail(d, EAGAIN, "the process that held it is away");
	want(f);
	keys_put_keep(channel_begin(c, ASK_KEYS_KEEP),
		      &(struct keys_keep){ .ticket = f->wanted, .number = number, .uses = (uint8_t)uses });
	channel_end(c);
	if (wait_for(f, c) < 0)
		return diag_fail(d, EAGAIN, "the process that held it is away");
	if (f->answer.error < 0)
		return diag_fail(d, f->answer.error, "%s", f->answer.words);
	set_add(&f->next, &(struct keyring_item){ .number = number, .uses = uses });
	return 0;
}

void keys_filling_begin(struct keys_filling *f, struct credential_holder *ret)
{
	struct channel *c = holder(f);

	set_wipe(&f->next);
	f->is_prepared = c != NULL;
	if (c)
		send_begin(c);
	*ret = (struct credential_holder){ .load = load, .keep = keep, .context = f };
}

/* All that is in use, without waiting. What it answers is heard later. */
static void fill(struct keys_filling *f, struct channel *c)
{
	struct diag d;

	send_begin(c);
	for (size_t i = 0; i < f->now.count; i++) {
		const struct item *k = &f->now.items[i];
		const struct keyring_item item = { .number = k->number,
						   .uses = k->uses,
						   .path = k->path,
						   .publics = k->publics,
						   .public_count = k->public_count };

		if (!k->path || send_load(c, ++f->last, &item, &d) < 0)
			(void)uv_timer_start(&f->stale, is_stale, 0, 0);
	}
	send_swap(c, ++f->last);
}

void keys_filling_commit(struct keys_filling *f)
{
	struct channel *c = holder(f);

	set_wipe(&f->now);
	f->now = f->next;
	f->next = (struct set){ 0 };
	if (c && !f->is_prepared) {
		fill(f, c);
		channel_flush(c);
	} else if (c) {
		want(f);
		send_swap(c, f->wanted);
		(void)wait_for(f, c);
	}
	f->is_prepared = false;
}

/* ---- the holder's side ------------------------------------------------------------------------------------------- */

void keys_filling_came(struct keys_filling *f, struct channel *c)
{
	f->is_prepared = false;
	fill(f, c);
	channel_flush(c);
}

/* Of the keytab: it was taken unseen, or has changed while there was no holder. */
static bool is_news(const struct set *s, const struct keytab_told *told)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].told)
			return !keytab_told_equal(s->items[i].told, told);
	return false;
}

/* An answer that nobody waits for is about a set that a new holder was given: its file is no longer what it was. */
int keys_filling_heard(struct keys_filling *f, struct wire_in *body)
{
	struct keys_answer a;

	if (keys_get_answer(body, &a) < 0)
		return -EPROTO;
	if (a.ticket == f->wanted) {
		f->answer = a;
		f->answered = true;
	} else if (a.error < 0 || a.fits) {
		log_warning("a key is not what it was: %s",
			    a.error < 0 ? a.words : "it belongs to another certificate");
		(void)uv_timer_start(&f->stale, is_stale, 0, 0);
	} else if (a.told.count && is_news(&f->now, &a.told)) {
		(void)uv_timer_start(&f->stale, is_stale, 0, 0);
	}
	return 0;
}

struct keys_filling *keys_filling_new(uv_loop_t *loop, struct children *const *children, void (*changed)(void *context),
				      void *context)
{
	struct keys_filling *f = mem_new(1, sizeof *f);

	f->children = children;
	f->changed = changed;
	f->context = context;
	f->stale.data = f;
	(void)uv_timer_init(loop, &f->stale);
	return f;
}

static void stale_closed(uv_handle_t *h)
{
	struct keys_filling *f = h->data;

	set_wipe(&f->now);
	set_wipe(&f->next);
	free(f);
}

void keys_filling_close(struct keys_filling *f)
{
	if (f)
		uv_close((uv_handle_t *)&f->stale, stale_closed);
}
