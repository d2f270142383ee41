/* The kernel knows SAs by their rule's number alone, which is made from its name: two rules of one policy must not come
 * to the same one, or an SA of the weaker would do for the other. Where names do, the one that sorts behind takes the
 * next number of its name, so that who reads the same rules comes to the same numbers, in whatever order they stand. */
#include "policy/model.h"

#include "base/mem.h"
#include "base/table.h"
#include "policy/reqid.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
	const struct rule *x = *(struct rule *const *)a, *y = *(struct rule *const *)b;
	int c = strcmp(x->name, y->name);

	if (c)
		return c;
	return rule_variant(x) < rule_variant(y) ? -1 : rule_variant(x) > rule_variant(y);
}

static size_t gather(struct rule *rules, size_t count, struct rule **to)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (rule_mode_protects(rules[i].mode) && rules[i].name)
			to[n++] = &rules[i];
	return n;
}

void load_reqids(struct policy *p)
{
	struct rule **rules = mem_new(p->rule_count + p->stand_in_count + 1, sizeof(struct rule *));
	struct table taken = { 0 };
	size_t n = gather(p->rules, p->rule_count, rules);

	n += gather(p->stand_ins, p->stand_in_count, rules + n);
	qsort(rules, n, sizeof(struct rule *), by_name);
	for (size_t i = 0; i < n; i++) {
		while (table_find(&taken, rule_reqid(rules[i]), NULL, NULL))
			rules[i]->reqid_turn++;
		table_add(&taken, rule_reqid(rules[i]), rules[i]);
	}
	table_wipe(&taken);
	free(rules);
}
