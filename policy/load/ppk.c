/* Post-quantum pre-shared keys of a key-exchange set (RFC 8784). */
#include "policy/model.h"

#include <string.h>

enum { PPKS_MOST = 8, ID_MOST = 64 };

/* What every IKE implementation can be told as a PPK_ID: base64's letters (RFC 8784 5.1), and what names are made of.
 */
static bool is_id(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/=-_.@";
	size_t n = strlen(text);

	return n > 0 && n <= ID_MOST && strspn(text, letters) == n;
}

#define PPK_RIGHT "ppk: { id: NAME, file: /etc/cordon/ppk, required: false }"

/* A key may stand in the policy under any name but these. */
static bool holds_a_secret(struct load *l, uint32_t node)
{
	if (!node_is_map(&l->rd, node)) {
		load_refuse_key(l, node, PPK_RIGHT);
		return true;
	}
	for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i))
		if (!node_is(&l->rd, i, "id") && !node_is(&l->rd, i, "file") && !node_is(&l->rd, i, "required")) {
			load_refuse_key(l, pair_value(&l->rd, i), PPK_RIGHT);
			return true;
		}
	return false;
}

static void read_ppk(struct load *l, uint32_t node, struct key_exchange_set *s)
{
	enum { ID, FILE, REQUIRED, KEYS };
	static const struct map_key keys[KEYS] = {
		[ID] = { "id", true },
		[FILE] = { "file", true },
		[REQUIRED] = { "required", false },
	};
	struct ppk ppk = { 0 };
	bool required = false;
	uint32_t v[KEYS];

	if (holds_a_secret(l, node) || !read_map(&l->rd, node, "ppk", keys, KEYS, v) ||
	    !read_string(&l->rd, v[ID], "id", &ppk.id) || !read_string(&l->rd, v[FILE], "file", &ppk.file))
		return;
	if (v[REQUIRED] && read_bool(&l->rd, v[REQUIRED], "required", &required))
		s->ppk_required |= required;
	if (!is_id(ppk.id)) {
		read_error(&l->rd, "bad-value", v[ID], "the id of a ppk is 1 to %d letters, digits or + / = - _ . @",
			   ID_MOST);
		return;
	}
	if (ppk.file[0] != '/') {
		read_error(&l->rd, "bad-value", v[FILE], "the file of a ppk is an absolute path");
		return;
	}
	for (size_t i = 0; i < s->ppk_count; i++)
		if (strcmp(s->ppks[i].id, ppk.id) == 0) {
			read_error(&l->rd, "bad-value", v[ID], "this set has a ppk called '%s' already", ppk.id);
			return;
		}
	s->ppks[s->ppk_count++] = ppk;
}

void load_ppks(struct load *l, uint32_t node, struct key_exchange_set *s)
{
	size_t n = item_count(&l->rd, node);

	if (n == 0 || n > PPKS_MOST) {
		read_error(&l->rd, "wrong-type", node, "ppk is one mapping of id and file, or a list of 1 to %d",
			   PPKS_MOST);
		return;
	}
	s->ppks = arena_new(&l->p->memory, n, sizeof *s->ppks);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
		read_ppk(l, i, s);
}
