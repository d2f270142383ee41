#include "daemon/host/page.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/force/force.h"
#include "daemon/host/zone_watch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_MOST = 1 << 20 };

static const char default_page[] = "/etc/cordon/host.yaml", default_source[] = "/etc/cordon/policy.yaml";

/* What was read, before it takes the place of what there is. */
struct page {
	struct host_config *config;
	const char *name, *source; /* in it, or for ever */
	bool source_named;
	uint8_t digest[PAGE_DIGEST];
};

static void page_wipe(struct page *p)
{
	host_config_free(p->config);
	*p = (struct page){ 0 };
}

static void say_report(const struct report *r)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_text(r, isatty(STDERR_FILENO) == 1, &out);
	(void)fputs(str_text(&out), stderr);
}

static const char *system_name(void)
{
	static char name[256];

	if (gethostname(name, sizeof name - 1) < 0)
		return NULL;
	name[strcspn(name, ".")] = '\0';
	return name;
}

static struct host_config *defaults(void)
{
	struct host_config *c = mem_new(1, sizeof *c);

	c->memory = mem_new(1, sizeof *c->memory);
	c->nat_keepalive_ms = HOST_NAT_KEEPALIVE_MS;
	c->longest_exemption_ms = HOST_LONGEST_EXEMPTION_MS;
	c->events = (struct host_events){ .size = HOST_EVENTS_SIZE, .count = HOST_EVENTS_COUNT };
	return c;
}

/* told: whoever runs it sees the report above the error, which then need not quote it. */
static int parse(const char *path, bool told, struct page *p, struct diag *why)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str first = { 0 };
	struct text *text = NULL;
	uint8_t digest[DIGEST_MAX];
	size_t len = 0;
	int code;

	if ((code = text_read(path, PAGE_MOST, &text, why)) < 0)
		return diag_wrap(why, code, "this host's page");
	if (crypto_digest("SHA256", &(struct octets){ text->octets, text->len }, 1, digest, &len, NULL) == 0)
		memcpy(p->digest, digest, sizeof p->digest);
	code = host_config_parse(text, r, &p->config);
	say_report(r);
	report_first(r, &first);
	if (code == 0)
		return 0;
	if (told)
		return diag_fail(why, code, "this host's page %s has errors", path);
	return diag_fail(why, code, "this host's page has errors: %s", first.len ? str_text(&first) : path);
}

static int look(const struct options *o, struct page *ret, struct diag *why)
{
	const char *path = o->config ? o->config : default_page;
	SCOPED(page_wipe) struct page p = { 0 };
	int r;

	if (!o->config && access(path, F_OK) < 0)
		p.config = defaults();
	else if ((r = parse(path, o->check, &p, why)) < 0)
		return r;
	assert(p.config); /* there is one where there was no error */
	if (p.config->policy_file_count > 1)
		return diag_fail(why, ENOTSUP,
				 "%s: names %zu policy files; merging several is not possible yet, name one", path,
				 p.config->policy_file_count);
	p.name = p.config->name ? p.config->name : system_name();
	p.source = o->policy ? o->policy : default_source;
	if (!o->policy && p.config->policy_file_count)
		p.source = p.config->policy_files[0];
	p.source_named = strcmp(p.source, default_source) != 0;
	*ret = p;
	p = (struct page){ 0 };
	return 0;
}

/* *p holds what there was. */
static void exchange(struct daemon *d, struct page *p)
{
	struct page before = {
		.config = d->config, .name = d->name, .source = d->source, .source_named = d->source_named
	};

	memcpy(before.digest, d->page_digest, sizeof before.digest);
	d->config = p->config;
	d->name = p->name;
	d->source = p->source;
	d->source_named = p->source_named;
	memcpy(d->page_digest, p->digest, sizeof d->page_digest);
	*p = before;
}

int page_read(struct daemon *d, struct diag *why)
{
	SCOPED(page_wipe) struct page p = { 0 };
	int r = look(&d->options, &p, why);

	if (r == 0)
		exchange(d, &p);
	d->config_first = d->config;
	return r;
}

/* ---- again ------------------------------------------------------------------------------------------------------- */

static bool same_file(const struct host_events *a, const struct host_events *b)
{
	return a->none == b->none && !a->file == !b->file && (!a->file || strcmp(a->file, b->file) == 0);
}

void page_waits(const struct daemon *d, struct str *out)
{
	static const char counts[] = "from the next start: systemctl restart cordon\n";
	const struct host_config *now = d->config, *first = d->config_first;

	if (!now || !first)
		return;
	if (d->plane && plane_workers_wait(d->plane, now->workers)) {
		if (now->workers)
			str_addf(out, "workers: %u counts %s", now->workers, counts);
		else
			str_addf(out, "workers: auto counts %s", counts);
	}
	if (!same_file(&now->events, &first->events))
		str_addf(out, "events go to another file %s", counts);
	else if (now->events.size != first->events.size || now->events.count != first->events.count)
		str_addf(out, "events: another size or count of files counts %s", counts);
}

static void say_waits(const struct daemon *d)
{
	SCOPED(str_wipe) struct str all = { 0 };
	char *rest = NULL;

	page_waits(d, &all);
	for (char *line = all.text ? strtok_r(all.text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
		log_warning("%s", line);
}

static int put_in_force(struct daemon *d, struct diag *why)
{
	struct host_facts *facts = NULL, *before = d->facts;
	int r = host_facts_read(d->config, &d->homes, d->options.root, &facts, why);

	if (r < 0)
		return r;
	d->facts = facts;
	if ((r = force_again(d, why)) < 0) {
		d->facts = before;
		host_facts_free(facts);
		return r;
	}
	host_facts_free(before);
	return 0;
}

int page_again(struct daemon *d, bool *ret_changed, struct diag *why)
{
	SCOPED(page_wipe) struct page p = { 0 };
	int r = look(&d->options, &p, why);

	*ret_changed = false;
	if (r == 0 && memcmp(p.digest, d->page_digest, sizeof p.digest) == 0)
		return 0;
	if (r == 0) {
		exchange(d, &p);
		if ((r = put_in_force(d, why)) < 0)
			exchange(d, &p);
	}
	if (r < 0) {
		daemon_event(d, EVENT_POLICY_REFUSED, "this host's page cannot be used, what it said before stays: %s",
			     why->text);
		return r;
	}
	*ret_changed = true;
	if (p.config == d->config_first)
		p.config = NULL; /* it is still compared with */
	zone_watch_again(d);
	say_waits(d);
	return 0;
}
