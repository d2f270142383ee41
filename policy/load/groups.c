/* Groups of machines: who may, by what a peer proved to be. */
#include "base/str.h"
#include "policy/model.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_MEMBERS_MOST = 10000, GROUP_NAME_MOST = 250 };

static bool is_sid(const char *text)
{
	size_t n = strlen(text);

	return n > 6 && strncmp(text, "S-1-", 4) == 0 && strspn(text + 4, "0123456789-") == n - 4 && text[n - 1] != '-';
}

/* What a sAMAccountName cannot hold; a domain stands before a backslash or behind an @. */
static bool is_group_name(struct load *l, uint32_t node, const char *text)
{
	size_t bad = strcspn(text, "\"/[]:;|=+*?<>");
	const char *slash = strchr(text, '\\');

	for (size_t i = 0; i < bad; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			bad = i;
	if (text[bad] == '\0' && !(slash && (slash == text || !slash[1] || strchr(slash + 1, '\\'))) &&
	    strlen(text) <= GROUP_NAME_MOST)
		return true;
	finding_advise(
		read_error(&l->rd, "bad-value", node, "'%.60s' cannot be a group of the directory", text),
		"A name is CORP\\trusted, trusted@corp.example or trusted, of up to %d characters, without any of\n"
		"\" / [ ] : ; | = + * ? < > and without control characters. YAML in \"double quotes\" takes a\n"
		"backslash for the beginning of something else (\\t is a tab): use 'single quotes'.",
		GROUP_NAME_MOST);
	return false;
}

static const struct group *group_named(struct load *l, uint32_t node, const char *what)
{
	const char *text;
	size_t len;
	const struct name *n;

	if (!read_word(&l->rd, node, what, &text, &len))
		return NULL;
	if (!(n = names_find(&l->groups, text, len)))
		load_unknown_name(l, node, "no group is called", &l->groups, NULL, 0);
	return n ? n->value : NULL;
}

/* A lone name: another group or a host. */
static bool short_member(struct load *l, uint32_t node, struct group_member *m)
{
	const char *text;
	size_t len;
	const struct name *n;

	if (!read_word(&l->rd, node, "a member of a group", &text, &len))
		return false;
	m->text = arena_string(&l->p->memory, text, len);
	if ((n = names_find(&l->groups, text, len))) {
		m->kind = MEMBER_GROUP;
		m->group = n->value;
		return true;
	}
	if ((n = names_find(&l->p->names, text, len)) && n->kind == NAME_HOST) {
		m->kind = MEMBER_HOST;
		m->host = n->value;
		return true;
	}
	finding_advise(
		read_error(&l->rd, "unknown-name", node, "no group or host is called '%.60s'", m->text),
		"a member is { directory-group: NAME }, { sid: S-1-... }, { certificate: PATTERN }, { host: NAME } or "
		"{ group: NAME }");
	return false;
}

static bool load_member(struct load *l, uint32_t node, struct group_member *m)
{
	enum { KEYS = MEMBER_GROUP + 1 };
	static const struct map_key keys[KEYS] = {
		[MEMBER_DIRECTORY_GROUP] = { "directory-group", false },
		[MEMBER_SID] = { "sid", false },
		[MEMBER_CERTIFICATE] = { "certificate", false },
		[MEMBER_HOST] = { "host", false },
		[MEMBER_GROUP] = { "group", false },
	};
	uint32_t v[KEYS], value = 0;
	unsigned count = 0;

	m->place = yaml_place(l->rd.y, node);
	if (!node_is_map(&l->rd, node))
		return short_member(l, node, m);
	if (!read_map(&l->rd, node, "a member of a group", keys, KEYS, v))
		return false;
	for (unsigned k = 0; k < KEYS; k++) {
		if (v[k]) {
			count++;
			value = v[k];
			m->kind = (enum group_member_kind)k;
		}
	}
	if (count != 1) {
		read_error(&l->rd, "bad-value", node, "a member of a group is one thing; several make a list");
		return false;
	}
	if (!read_string(&l->rd, value, keys[m->kind].name, &m->text))
		return false;
	switch (m->kind) {
	case MEMBER_DIRECTORY_GROUP:
		if (is_sid(m->text))
			m->kind = MEMBER_SID;
		return is_group_name(l, value, m->text);
	case MEMBER_SID:
		if (!is_sid(m->text))
			read_error(&l->rd, "bad-value", value, "'%.60s' is not a SID such as S-1-5-21-1-2-3-1105",
				   m->text);
		return is_sid(m->text);
	case MEMBER_HOST:
		return (m->host = load_host_named(l, value, "host"));
	case MEMBER_GROUP:
		return (m->group = group_named(l, value, "group"));
	case MEMBER_CERTIFICATE:
		break;
	}
	return true;
}

struct walk {
	const struct load *l;
	uint8_t *states; /* by group: 0 new, 1 on the path, 2 done */
	const struct group *path[NESTING_MOST + 1];
};

/* Follow groups in groups; false once something has been reported. */
static bool walk_group(struct walk *w, const struct group *g, struct place from, size_t depth)
{
	size_t number = (size_t)(g - w->l->p->groups);

	if (w->states[number] == 2)
		return true;
	if (w->states[number] == 1) {
		SCOPED(str_wipe) struct str circle = { 0 };
		size_t at = 0;

		while (at < depth && w->path[at] != g)
			at++;
		for (; at < depth; at++)
			str_addf(&circle, "%s -> ", w->path[at]->name);
		(void)report_add(w->l->rd.r, SEVERITY_ERROR, "cycle", from, "groups go in a circle: %s%s",
				 str_text(&circle), g->name);
		return false;
	}
	if (depth == NESTING_MOST) {
		(void)report_add(w->l->rd.r, SEVERITY_ERROR, "nesting", from, "groups are nested over %d deep",
				 NESTING_MOST);
		return false;
	}
	w->states[number] = 1;
	w->path[depth] = g;
	for (size_t i = 0; i < g->count; i++)
		if (g->members[i].kind == MEMBER_GROUP &&
		    !walk_group(w, g->members[i].group, g->members[i].place, depth + 1))
			break;
	w->states[number] = 2;
	return true;
}

void load_groups(struct load *l, uint32_t node)
{
	struct policy *p = l->p;
	uint32_t *values;
	struct walk w = { .l = l };
	size_t most;

	if (!node || !read_pairs(&l->rd, node, "groups:"))
		return;
	most = yaml_at(l->rd.y, node)->count;
	p->groups = arena_new(&p->memory, most, sizeof *p->groups);
	values = mem_new(most, sizeof *values);
	for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i)) {
		struct group *g = &p->groups[p->group_count];

		if (!load_register(l, &l->groups, i, "group", 0, g, &g->name))
			continue;
		g->place = yaml_place(l->rd.y, i);
		values[p->group_count++] = pair_value(&l->rd, i);
	}
	for (size_t g = 0; g < p->group_count; g++) {
		size_t n = item_count(&l->rd, values[g]);

		if (n == 0 || n > GROUP_MEMBERS_MOST) {
			read_error(&l->rd, "wrong-type", values[g], "a group is a list of 1 to %d members",
				   GROUP_MEMBERS_MOST);
			continue;
		}
		p->groups[g].members = arena_new(&p->memory, n, sizeof *p->groups[g].members);
		for (uint32_t i = item_first(&l->rd, values[g]); i; i = item_next(&l->rd, values[g], i))
			if (load_member(l, i, &p->groups[g].members[p->groups[g].count]))
				p->groups[g].count++;
	}
	w.states = mem_new(p->group_count, 1);
	for (size_t g = 0; g < p->group_count; g++)
		(void)walk_group(&w, &p->groups[g], p->groups[g].place, 0);
	free(w.states);
	free(values);
}

bool load_group_list(struct load *l, uint32_t node, const char *what, const struct group *const **ret,
		     size_t *ret_count)
{
	const struct group **list;
	size_t n = 0;
	bool good = true;

	if (node_is_map(&l->rd, node)) {
		read_error(&l->rd, "wrong-type", node, "%s is the name of a group, or a list of them", what);
		return false;
	}
	list = arena_new(&l->p->memory, item_count(&l->rd, node), sizeof(struct group *));
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		if ((list[n] = group_named(l, i, what)))
			n++;
		else
			good = false;
	}
	*ret = list;
	*ret_count = n;
	return good;
}
