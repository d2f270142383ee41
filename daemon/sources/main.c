/* The program `cordond-sources`: fetches what others publish - today revocation lists - for whoever may ask. It has
 * neither a secret nor a right; what it brings is parsed by who asked, and believed only if a trusted authority has
 * signed it. */
#include "base/diag.h"
#include "base/mem.h"
#include "daemon/process/child.h"
#include "daemon/sources/transfer.h"
#include "identity/revocation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

_Static_assert((int)TRANSFER_URL_MOST == (int)REVOCATION_URL_MOST && (int)ASK_URL_MOST + 1 == (int)REVOCATION_URL_MOST,
	       "every URL that is asked for fits");

struct request {
	LIST_ENTRY(request) entry;
	uint32_t own, number;  /* ours; the asker's */
	struct channel *asker; /* NULL: has died since */
};

static struct sources {
	struct transfers *transfers;
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

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void came(void *context, struct channel *peer)
{
	(void)context;
	(void)peer;
}

static void went(void *context, enum role peer)
{
	struct sources *s = context;
	struct request *r;

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

	(void)parent;
	LIST_INIT(&s->requests);
	return transfers_new(loop, REVOCATION_OCTETS_MOST, done, s, &s->transfers, d);
}

static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
	[ASK_FETCH] = on_fetch,
	[ASK_NAMES] = on_names,
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
