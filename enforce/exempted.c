/* A host under repair: clear packets of its address are accepted, and what we send to it goes clear, whatever protects
 * otherwise; but a rule that blocks still blocks, and while there is an SA with it, what we send is protected. */
#include "enforce/exempted.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "enforce/ruleset.h"
#include "enforce/shows.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name, *type;
	uint8_t family;
} families[] = { { "ip", "ipv4_addr", 4 }, { "ip6", "ipv6_addr", 6 } };

/* ---- the gate's list --------------------------------------------------------------------------------------------- */

static struct exempted_row *find(const struct exempted *e, const struct addr *a)
{
	for (size_t i = 0; i < e->count; i++)
		if (addr_equal(&e->rows[i].addr, a))
			return &e->rows[i];
	return NULL;
}

bool exempted_enter(struct exempted *e, const struct addr *a, uint64_t until_ms)
{
	struct exempted_row *row = find(e, a);

	if (!row) {
		if (e->count >= GATE_EXEMPTED_MOST)
			return false;
		e->rows = mem_grow(e->rows, e->count, &e->cap, sizeof *e->rows);
		row = &e->rows[e->count++];
		row->addr = *a;
	}
	row->until_ms = until_ms;
	return true;
}

void exempted_leave(struct exempted *e, const struct addr *a)
{
	struct exempted_row *row = find(e, a);

	if (row)
		*row = e->rows[--e->count];
}

void exempted_wipe(struct exempted *e)
{
	free(e->rows);
	*e = (struct exempted){ 0 };
}

uint32_t exempted_left_s(uint64_t until_ms)
{
	struct timespec t;
	uint64_t now_ms;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	return until_ms > now_ms ? (uint32_t)((until_ms - now_ms) / 1000) : 0;
}

void exempted_carry(const struct exempted *e, struct ruleset_carry *carry)
{
	carry->exempted = mem_new(e->count + 1, sizeof *carry->exempted);
	for (size_t i = 0; i < e->count; i++) {
		uint32_t left_s = exempted_left_s(e->rows[i].until_ms);

		if (left_s)
			carry->exempted[carry->exempted_count++] =
				(struct ruleset_pair){ .remote = e->rows[i].addr, .left_s = left_s };
	}
}

/* ---- the ruleset ------------------------------------------------------------------------------------------------- */

static void add_set(struct ruleset *r, size_t family, const struct ruleset_carry *carry)
{
	size_t added = 0;
	char text[ADDR_TEXT];

	str_addf(r->out, "\tset exempted_%s {\n\t\ttype %s\n\t\tflags timeout\n\t\tsize %d\n", families[family].name,
		 families[family].type, GATE_EXEMPTED_MOST);
	for (size_t i = 0; carry && i < carry->exempted_count; i++)
		if (carry->exempted[i].remote.family == families[family].family)
			str_addf(r->out, "%s%s timeout %us", added++ ? ",\n" : "\t\telements = {\n",
				 addr_text(&carry->exempted[i].remote, text), carry->exempted[i].left_s);
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

void ruleset_exempted_sets(struct ruleset *r, const struct ruleset_carry *carry)
{
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		add_set(r, f, carry);
}

void ruleset_ask_exempted(struct ruleset *r, const char *remote)
{
	const char *at = strstr(remote, "%s");

	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		str_add(r->out, "\t\t");
		str_add_n(r->out, remote, (size_t)(at - remote));
		str_addf(r->out, "%s%s @exempted_%s jump exempted\n", families[f].name, at + 2, families[f].name);
	}
}

static void add_form(struct ruleset *r, enum ruleset_way form)
{
	uint32_t clear = form == WAY_IN_EXEMPTED && !shows_own_device(r->config) ? r->config->mark_clear : 0;

	str_addf(r->out, " meta mark set meta mark & 0x%08x | 0x%08x return\n", ~r->config->mark_way,
		 ruleset_way_mark(r->config, form) | clear);
}

void ruleset_exempted(struct ruleset *r)
{
	char name[GATE_COUNTER_NAME];

	gate_counter_name(GATE_COUNT_EXEMPTED, 0, name);
	str_add(r->out, "\tchain exempted {\n\t\t");
	ruleset_add_way(r, WAY_IN);
	str_addf(r->out, " counter name %s", name);
	add_form(r, WAY_IN_EXEMPTED);
	/* The peer may be sound already: then it wants what we send as it was agreed. */
	ruleset_ask_pair(r, "secured", "return");
	str_add(r->out, "\t\t");
	ruleset_add_way(r, WAY_LAST); /* counted when it leaves, not when it is judged first */
	str_addf(r->out, " counter name %s\n\t\t", name);
	str_addf(r->out, "meta mark & 0x%08x != 0", r->config->mark_way);
	add_form(r, WAY_OUT_EXEMPTED);
	str_add(r->out, "\t}\n");
}
