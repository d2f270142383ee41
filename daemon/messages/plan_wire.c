#include "daemon/messages/plan_wire.h"

#include "base/addr_wire.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/text.h"
#include "base/wire.h"
#include "daemon/process/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	MAGIC = 0x63706c31, /* "cpl1" */
	TEXT_MOST = 4096,   /* a name, a path */
	FIXED_MOST = 4 + 8 + 2 * (2 + TEXT_MOST) + 2 * 4,
	ADDRESS_MOST = ADDR_WIRE_MOST + 2,
	SERVERS_MOST = KEYWORDS * (4 + PLAN_WIRE_SERVERS_MOST * ADDR_WIRE_MOST),
	HEAD_MOST = FIXED_MOST + PLAN_WIRE_ADDRESSES_MOST * ADDRESS_MOST + SERVERS_MOST,
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_text(struct wire_out *out, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n > TEXT_MOST) {
		out->failed = true;
		return;
	}
	wire_put_u16(out, (uint16_t)n);
	wire_put(out, text, n);
}

/* What stands before the policy's text. */
static void put_head(struct wire_out *out, uint64_t number, const char *path, const struct plan_host *h)
{
	wire_put_u32(out, MAGIC);
	wire_put_u64(out, number);
	put_text(out, path);
	put_text(out, h->name);
	wire_put_u32(out, h->profiles);
	wire_put_u32(out, (uint32_t)h->own_count);
	for (size_t i = 0; i < h->own_count; i++) {
		addr_encode(out, &h->own[i].addr);
		wire_put_u16(out, (uint16_t)h->own[i].prefix);
	}
	for (size_t k = 0; k < KEYWORDS; k++) {
		wire_put_u32(out, (uint32_t)h->server_counts[k]);
		for (size_t i = 0; i < h->server_counts[k]; i++)
			addr_encode(out, &h->servers[k][i]);
	}
}

int plan_wire_seal(uint64_t number, const struct text *policy, const struct plan_host *host, struct diag *d)
{
	uint8_t *head = mem_new(1, HEAD_MOST);
	struct wire_out out = wire_out(head, HEAD_MOST);
	int fd;

	put_head(&out, number, policy->path, host);
	if (out.failed || policy->len > PLAN_WIRE_POLICY_MOST)
		fd = diag_fail(d, E2BIG, "%s is too large to be handed on, or this host has too many addresses",
			       policy->path);
	else
		fd = memory_file_of("cordon-plan",
				    (const struct octets[]){ { head, out.len }, { policy->octets, policy->len } }, 2,
				    d);
	free(head);
	return fd;
}

struct plan_file {
	int fd;
	uint64_t number;
	unsigned references;
};

int plan_file_new(uint64_t number, const struct text *policy, const struct plan_host *host, struct plan_file **ret,
		  struct diag *d)
{
	int fd = plan_wire_seal(number, policy, host, d);
	struct plan_file *f;

	if (fd < 0)
		return fd;
	f = mem_new(1, sizeof *f);
	*f = (struct plan_file){ fd, number, 1 };
	*ret = f;
	return 0;
}

struct plan_file *plan_file_ref(struct plan_file *f)
{
	f->references++;
	return f;
}

void plan_file_free(struct plan_file *f)
{
	if (!f || --f->references)
		return;
	(void)close(f->fd);
	free(f);
}

uint64_t plan_file_number(const struct plan_file *f)
{
	return f->number;
}

int plan_file_fd(const struct plan_file *f)
{
	return f->fd;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const char *get_text(struct wire_in *in, size_t *ret_len)
{
	size_t n = wire_u16(in);
	const uint8_t *p;

	if (n > TEXT_MOST)
		in->failed = true;
	p = wire_octets(in, n);
	if (p && memchr(p, 0, n))
		in->failed = true;
	*ret_len = p ? n : 0;
	return (const char *)p;
}

static size_t get_count(struct wire_in *in, size_t most, size_t each)
{
	size_t n = wire_u32(in);

	if (n > most || n * each > in->left) /* each takes an octet at least, so memory is bounded by what came */
		in->failed = true;
	return in->failed ? 0 : n;
}

static void get_own(struct wire_in *in, struct plan_parts *p)
{
	p->host.own_count = get_count(in, PLAN_WIRE_ADDRESSES_MOST, 3);
	p->own = mem_new(p->host.own_count + 1, sizeof *p->own);
	for (size_t i = 0; i < p->host.own_count; i++) {
		struct host_address *a = &p->own[i];

		a->addr = addr_decode(in);
		a->prefix = (int16_t)wire_u16(in);
		if (!a->addr.family || a->prefix < -1 || a->prefix > (int)addr_bits(&a->addr))
			in->failed = true;
	}
	p->host.own = p->own;
}

static void get_servers(struct wire_in *in, struct plan_parts *p)
{
	p->servers = mem_new(KEYWORDS * PLAN_WIRE_SERVERS_MOST, sizeof *p->servers);
	for (size_t k = 0; k < KEYWORDS; k++) {
		struct addr *at = p->servers + k * PLAN_WIRE_SERVERS_MOST;

		p->host.server_counts[k] = get_count(in, PLAN_WIRE_SERVERS_MOST, 1);
		p->host.servers[k] = at;
		for (size_t i = 0; i < p->host.server_counts[k]; i++)
			if (!(at[i] = addr_decode(in)).family)
				in->failed = true;
	}
}

int plan_parts_decode(const void *octets, size_t len, struct plan_parts *ret, struct diag *d)
{
	struct plan_parts p = { 0 };
	struct wire_in in = wire_in(octets, len);
	const char *name;
	size_t name_len;

	if (wire_u32(&in) != MAGIC)
		in.failed = true;
	p.number = wire_u64(&in);
	p.path = get_text(&in, &p.path_len);
	name = get_text(&in, &name_len);
	if (name && name_len)
		p.name = mem_string_n(name, name_len);
	p.host.name = p.name;
	p.host.profiles = wire_u32(&in);
	if (p.host.profiles & ~(unsigned)PROFILE_ALL)
		in.failed = true;
	get_own(&in, &p);
	get_servers(&in, &p);
	if (in.failed || in.left > PLAN_WIRE_POLICY_MOST) {
		plan_parts_wipe(&p);
		return diag_fail(d, ERR_SYNTAX, "what a plan is made from: not well-formed");
	}
	p.policy = (const char *)in.at;
	p.policy_len = in.left;
	*ret = p;
	return 0;
}

void plan_parts_wipe(struct plan_parts *p)
{
	free(p->name);
	free(p->own);
	free(p->servers);
	*p = (struct plan_parts){ 0 };
}

static int compile(const struct plan_parts *p, struct plan_made *ret, struct diag *d)
{
	struct plan_made m = { .number = p->number, .report = report_new() };
	char *path = mem_string_n(p->path, p->path_len);
	struct text *text = text_new(path, p->policy, p->policy_len);
	int r;

	free(path);
	if ((r = policy_parse(text, &(struct policy_load_options){ 0 }, m.report, &m.policy)) < 0 ||
	    (r = plan_compile(m.policy, &p->host, m.report, &m.plan)) < 0) {
		plan_made_wipe(&m);
		return diag_fail(d, r, "plan %llu cannot be compiled here", (unsigned long long)p->number);
	}
	*ret = m;
	return 0;
}

int plan_wire_open(int fd, struct plan_made *ret, struct diag *d)
{
	SCOPED(plan_parts_wipe) struct plan_parts parts = { 0 };
	struct stat s;
	void *all;
	int r;

	if (fstat(fd, &s) < 0)
		return diag_errno(d, errno, "what a plan is made from");
	if (s.st_size <= 0 || s.st_size > (off_t)HEAD_MOST + PLAN_WIRE_POLICY_MOST)
		return diag_fail(d, ERR_SYNTAX, "what a plan is made from: %lld octets", (long long)s.st_size);
	all = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (all == MAP_FAILED)
		return diag_errno(d, errno, "read a memory file");
	if ((r = plan_parts_decode(all, (size_t)s.st_size, &parts, d)) == 0)
		r = compile(&parts, ret, d);
	(void)munmap(all, (size_t)s.st_size);
	return r;
}

void plan_made_wipe(struct plan_made *m)
{
	plan_free(m->plan);
	policy_free(m->policy);
	report_free(m->report);
	*m = (struct plan_made){ 0 };
}
