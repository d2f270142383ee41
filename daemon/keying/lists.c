#include "daemon/keying/lists.h"

#include <string.h>

enum { RENEW_MS = 60000 };

static struct {
	struct channel *parent, *sources;
	struct fetcher *fetcher;
	uv_timer_t renew;
} here;

/* Who is away is asked again when it has come. */
static void fetch(void *context, uint32_t number, const char *url)
{
	struct wire_out *out;

	(void)context;
	if (!here.sources)
		return;
	out = channel_begin(here.sources, ASK_FETCH);
	wire_put_u32(out, number);
	wire_put(out, url, strlen(url));
	channel_end(here.sources);
}

static void recall(void *context, uint32_t number, const char *url)
{
	struct wire_out *out = channel_begin(here.parent, ASK_LIST_RECALL);

	(void)context;
	wire_put_u32(out, number);
	wire_put(out, url, strlen(url));
	channel_end(here.parent);
}

static void keep(void *context, const char *url, int fd)
{
	(void)context;
	wire_put(channel_begin(here.parent, ASK_LIST_KEEP), url, strlen(url));
	channel_end_fds(here.parent, &fd, 1);
}

static void renew_rang(uv_timer_t *t)
{
	(void)t;
	fetcher_renew(here.fetcher);
}

void lists_begin(uv_loop_t *loop, struct channel *parent, struct revocation_lists *lists,
		 const struct observer *observer, void (*changed)(void *context), void *context)
{
	static const struct fetch_means means = { fetch, recall, keep, NULL };

	here.parent = parent;
	here.fetcher = fetcher_new(loop, &means, lists, observer, changed, context);
	(void)uv_timer_init(loop, &here.renew);
	(void)uv_timer_start(&here.renew, renew_rang, RENEW_MS, RENEW_MS);
}

struct fetcher *const *lists_fetcher(void)
{
	return &here.fetcher;
}

void lists_sources(struct channel *c)
{
	here.sources = c;
	if (c)
		fetcher_again(here.fetcher);
}

int lists_on_fetched(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context, (void)c;
	return fetcher_fetched(here.fetcher, wire_u32(body), fds[0], NULL);
}

int lists_on_fetch_failed(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint32_t number = wire_u32(body);
	char why[ASK_WHY_MOST + 1] = "";

	(void)context, (void)c, (void)fds;
	wire_copy(body, why, body->left);
	return fetcher_fetched(here.fetcher, number, -1, why);
}

int lists_on_recalled(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context, (void)c;
	return fetcher_recalled(here.fetcher, wire_u32(body), fds[0]);
}

int lists_on_none(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context, (void)c, (void)fds;
	return fetcher_recalled(here.fetcher, wire_u32(body), -1);
}
