/* The program `cordond-sources`: fetches what others publish - revocation lists - and asks the directory, for whoever
 * may ask. It has neither a secret nor a right. A list is parsed by who asked, and believed only if a trusted authority
 * has signed it; what the directory says is parsed here, and believed because the key holder has proven who says it. */
#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/process/child.h"
#include "daemon/process/memory_file.h"
#include "daemon/sources/directory.h"
#include "daemon/sources/guard.h"
#include "daemon/sources/kdc.h"
#include "daemon/sources/transfer.h"
#include "identity/revocation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

_Static_assert((int)TRANSFER_URL_MOST == (int)REVOCATION_URL_MOST && (int)ASK_URL_MOST + 1 == (int)REVOCATION_URL_MOST,
	       "every URL that is asked for fits");

struct request {
	LIST_ENTRY(request) entry;
	uint32_t own, number;  /* ours; the asker's */
	struct channel *asker; /* NULL: has died since */
};

static struct sources {
	struct transfers *transfers;
	struct channel *parent, *keys;
	LIST_HEAD(requests, request) requests;
	uint32_t last;
} sources;

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void answer(struct channel *c, uint32_t number, int fd, const struct diag *why)
{
	struct wire_out *out = channel_begin(c, fd < 0 ? ASK_FETCH_FAILED : ASK_FETCHED);

	wire_put_u32(out, number);
	if (fd >= 0) {
		channel_end_fds(c, &fd, 1);
		return;
	}
	wire_put(out, why->text, strnlen(why->text, ASK_WHY_MOST));
	channel_end(c);
}

static void done(void *context, uint32_t own, int fd, const struct diag *why)
{
	struct sources *s = context;
	struct request *r;

	LIST_FOREACH(r, &s->requests, entry)
		if (r->own == own)
			break;
	if (!r)
		return;
	if (r->asker)
		answer(r->asker, r->number, fd, why);
	LIST_REMOVE(r, entry);
	free(r);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static int on_fetch(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct sources *s = context;
	uint32_t number = wire_u32(body);
	size_t len = body->left;
	const uint8_t *at = wire_octets(body, len);
	char url[REVOCATION_URL_MOST] = "";
	struct request *r;

	(void)fds;
	if (!wire_done(body) || len >= sizeof url || memchr(at, '\0', len))
		return -EPROTO;
	memcpy(url, at, len);
	r = mem_new(1, sizeof *r);
	*r = (struct request){ .own = ++s->last, .number = number, .asker = c };
	LIST_INSERT_HEAD(&s->requests, r, entry);
	transfers_start(s->transfers, r->own, url);
	return 0;
}

static int on_names(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct sources *s = context;

	(void)c;
	(void)body;
	transfers_names(s->transfers, fds[0], fds[1]);
	return 0;
}

/* ---- the directory ----------------------------------------------------------------------------------------------- */

static int on_directory(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	SCOPED(directory_task_wipe) struct directory_task task = { 0 };
	SCOPED(text_freep) struct text *t = NULL;
	uint32_t number = wire_u32(body);
	struct wire_in in;
	struct diag d;

	(void)context, (void)c;
	if (!wire_done(body) || memory_file_read(fds[0], DIRECTORY_TASK_WIRE_MOST, &t, &d) < 0)
		return -EPROTO;
	in = wire_in(t->octets, t->len);
	if (directory_task_get(&in, &task, &d) < 0)
		return -EPROTO;
	directory_ask(number, &task);
	return 0;
}

static void put_replies(struct wire_out *out, const void *what)
{
	directory_replies_put(out, what);
}

static void directory_said(void *context, uint32_t number, const struct directory_replies *replies,
			   const struct diag *why)
{
	const struct sources *s = context;
	struct diag d = { 0 };
	struct wire_out *out;
	int fd = -1;

	if (replies &&
	    (fd = memory_file_make("cordon-directory", DIRECTORY_REPLIES_WIRE_MOST, put_replies, replies, &d)) < 0)
		why = &d;
	out = channel_begin(s->parent, fd < 0 ? ASK_DIRECTORY_FAILED : ASK_DIRECTORY_SAID);
	wire_put_u32(out, number);
	if (fd >= 0) {
		channel_end_fds(s->parent, &fd, 1);
		(void)close(fd);
		return;
	}
	wire_put(out, why->text, strnlen(why->text, ASK_WHY_MOST));
	channel_end(s->parent);
}

/* ---- KDCs -------------------------------------------------------------------------------------------------------- */

static int on_kdc(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct kdc_ask m;

	(void)context, (void)c, (void)fds;
	if (kdc_get_ask(body, &m) < 0)
		return -EPROTO;
	kdc_ask(&m);
	return 0;
}

static int on_kdcs(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	static struct kdc_realms m;

	(void)context, (void)c, (void)fds;
	if (kdc_get_realms(body, &m) < 0)
		return -EPROTO;
	kdc_realms(&m);
	return 0;
}

static void kdc_said(void *context, uint32_t number, const struct octets *reply, const char *why)
{
	const struct sources *s = context;
	struct kdc_failed failed = { .number = number };

	if (!s->keys)
		return;
	if (reply) {
		kdc_put_answer(channel_begin(s->keys, ASK_KDC_ANSWER), &(struct kdc_answer){ number, *reply });
	} else {
		(void)snprintf(failed.words, sizeof failed.words, "%s", why);
		kdc_put_failed(channel_begin(s->keys, ASK_KDC_FAILED), &failed);
	}
	channel_end(s->keys);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void came(void *context, struct channel *peer)
{
	struct sources *s = context;

	if (channel_peer(peer) != ROLE_KEYS)
		return;
	s->keys = peer;
	guard_keys(peer);
}

static void went(void *context, enum role peer)
{
	struct sources *s = context;
	struct request *r;

	if (peer == ROLE_KEYS) {
		s->keys = NULL;
		kdc_forget();
		guard_keys(NULL);
	}
	LIST_FOREACH(r, &s->requests, entry)
		if (r->asker && channel_peer(r->asker) == peer)
			r->asker = NULL;
}

static int prepare(void *context, struct diag *d)
{
	(void)context;
	return transfers_prepare(d);
}

static int begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	struct sources *s = context;

	int r;

	s->parent = parent;
	LIST_INIT(&s->requests);
	kdc_start(loop, kdc_said, s);
	if ((r = transfers_new(loop, REVOCATION_OCTETS_MOST, done, s, &s->transfers, d)) == 0)
		directory_start(loop, directory_said, s);
	return r;
}

static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
	[ASK_FETCH] = on_fetch,
	[ASK_NAMES] = on_names,
	[ASK_KDC] = on_kdc,
	[ASK_KDCS] = on_kdcs,
	[ASK_DIRECTORY] = on_directory,
	[ASK_KEYS_GSS_STEPPED] = guard_on_stepped,
	[ASK_KEYS_GSS_TEXT] = guard_on_text,
	[ASK_KEYS_REFUSED] = guard_on_refused,
};

int main(int argc, char **argv)
{
	static const struct child_program program = { .role = ROLE_SOURCES,
						      .name = "cordond-sources",
						      .handlers = handlers,
						      .context = &sources,
						      .prepare = prepare,
						      .begin = begin,
						      .came = came,
						      .went = went };

	return child_run(&program, argc, argv);
}
