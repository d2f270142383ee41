#include "enforce/list_ports.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { PORTS = 65536 };

struct list_port_set {
	uint32_t number;
	char *elements;
};

void list_ports_begin(struct list_ports *p)
{
	if (!p->owners)
		p->owners = mem_new(PORTS, sizeof *p->owners);
	else if (p->lo <= p->hi)
		memset(&p->owners[p->lo], 0, (p->hi - p->lo + 1) * sizeof *p->owners);
	p->lo = PORTS;
	p->hi = 0;
	p->run_count = 0;
}

bool list_ports_add(struct list_ports *p, struct port_range ports, uint32_t rule)
{
	bool first = false;

	for (unsigned i = ports.lo; i <= ports.hi; i++) {
		if (p->owners[i])
			continue;
		p->owners[i] = rule + 1;
		first = true;
	}
	p->lo = ports.lo < p->lo ? ports.lo : p->lo;
	p->hi = ports.hi > p->hi ? ports.hi : p->hi;
	return first;
}

bool list_ports_end(struct list_ports *p)
{
	for (unsigned i = p->lo; i <= p->hi; i++) {
		struct pool_ports *last = p->run_count ? &p->runs[p->run_count - 1] : NULL;

		if (!p->owners[i])
			continue;
		if (last && last->hi + 1u == i && last->rule == p->owners[i] - 1) {
			last->hi = (uint16_t)i;
			continue;
		}
		p->runs = mem_grow(p->runs, p->run_count, &p->run_cap, sizeof *p->runs);
		p->runs[p->run_count++] = (struct pool_ports){ (uint16_t)i, (uint16_t)i, p->owners[i] - 1 };
	}
	return p->run_count > 0;
}

static void add_element(struct str *out, unsigned lo, unsigned hi)
{
	str_addf(out, "%s%u", out->len ? ", " : "", lo);
	if (hi != lo)
		str_addf(out, "-%u", hi);
}

static bool is_set(const void *value, const void *what)
{
	const struct list_port_set *s = value;

	return strcmp(s->elements, what) == 0;
}

uint32_t list_ports_set(struct list_ports *p)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct list_port_set *s;
	uint64_t hash;

	for (size_t i = 0, next; i < p->run_count; i = next) {
		next = i + 1;
		while (next < p->run_count && p->runs[next].lo == p->runs[next - 1].hi + 1u)
			next++;
		add_element(&text, p->runs[i].lo, p->runs[next - 1].hi);
	}
	hash = table_hash_secret(text.text, text.len, 0);
	if ((s = table_find(&p->sets_by, hash, is_set, str_text(&text))))
		return s->number;
	s = mem_new(1, sizeof *s);
	*s = (struct list_port_set){ (uint32_t)p->set_count, mem_string_n(text.text, text.len) };
	p->sets = mem_grow(p->sets, p->set_count, &p->set_cap, sizeof(struct list_port_set *));
	p->sets[p->set_count++] = s;
	table_add(&p->sets_by, hash, s);
	return s->number;
}

void list_ports_add_sets(const struct list_ports *p, struct str *out)
{
	for (size_t i = 0; i < p->set_count; i++)
		str_addf(out,
			 "\tset ports_%zu {\n\t\ttype inet_service\n\t\tflags interval\n\t\telements = { %s }\n\t}\n",
			 i, p->sets[i]->elements);
}

void list_ports_wipe(struct list_ports *p)
{
	for (size_t i = 0; i < p->set_count; i++) {
		free(p->sets[i]->elements);
		free(p->sets[i]);
	}
	free(p->sets);
	free(p->runs);
	free(p->owners);
	table_wipe(&p->sets_by);
	*p = (struct list_ports){ 0 };
}
