#include "policy/load/read.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MOST = 48, WORD_MOST = 1024, INTERFACE_MOST = 15 };

struct finding *read_error(const struct reading *rd, const char *code, uint32_t node, const char *fmt, ...)
{
	SCOPED(str_wipe) struct str words = { 0 };
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) >= 0)
		str_add(&words, text);
	va_end(ap);
	free(text);
	return report_add(rd->r, SEVERITY_ERROR, code, node ? yaml_place(rd->y, node) : (struct place){ 0 }, "%s",
			  str_text(&words));
}

static bool same(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

static const char *kind_name(const struct reading *rd, uint32_t node)
{
	static const char *const names[] = {
		[YAML_SCALAR] = "a single value",
		[YAML_LIST] = "a list",
		[YAML_MAP] = "a mapping",
	};

	return names[yaml_at(rd->y, node)->kind];
}

/* Keys that are right, but elsewhere than people look for them. */
static const char *belongs(const char *word)
{
	static const char policy[] = "in the policy, on its top level: it holds for all rules and hosts";
	static const char page[] = "in each host's own page, host.yaml";
	static const struct {
		const char *key, *where;
	} rows[] = {
		{ "encapsulation", policy },   { "nat-traversal", policy }, { "connection-security", policy },
		{ "firewall", policy },        { "data-plane", page },      { "nat-keepalive", page },
		{ "longest-exemption", page }, { "keytab", page },          { "ikev1-kerberos", page },
		{ "certificates", page },      { "trust", page },           { "revocation-lists", page },
		{ "interfaces", page },        { "workers", page },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(word, rows[i].key) == 0)
			return rows[i].where;
	return NULL;
}

/* Returns the number of the key that was probably meant, KEYS_MOST if none. */
static size_t unknown_key(const struct reading *rd, uint32_t node, const char *what, const struct map_key *keys,
			  size_t n)
{
	const char *names[KEYS_MOST], *near;
	size_t len;
	const char *text = yaml_text(rd->y, node, &len);
	SCOPED(str_wipe) struct str word = { 0 }, all = { 0 };
	struct finding *f;

	str_add_n(&word, text, len < WORD_MOST ? len : WORD_MOST);
	if (report_count(rd->r, SEVERITY_ERROR) > REPORT_FINDINGS_MOST)
		n = 0; /* nobody will read the advice */
	for (size_t i = 0; i < n; i++) {
		names[i] = keys[i].name;
		str_addf(&all, "%s%s", i ? ", " : "", keys[i].name);
	}
	f = read_error(rd, "unknown-key", node, "%s has no '%.60s'", what, str_text(&word));
	near = report_nearest(str_text(&word), names, n);
	if (!near && belongs(str_text(&word))) {
		finding_advise(f, "it belongs %s", belongs(str_text(&word)));
		return KEYS_MOST;
	}
	if (!near) {
		finding_advise(f, "it may have: %s", str_text(&all));
		return KEYS_MOST;
	}
	finding_advise(f, "did you mean '%s'?", near);
	for (size_t i = 0; i < n; i++)
		if (names[i] == near)
			return i;
	return KEYS_MOST;
}

bool read_map(const struct reading *rd, uint32_t node, const char *what, const struct map_key *keys, size_t n,
	      uint32_t *ret)
{
	bool good = true, meant[KEYS_MOST + 1] = { false };

	memset(ret, 0, n * sizeof *ret);
	if (yaml_at(rd->y, node)->kind != YAML_MAP) {
		read_error(rd, "wrong-type", node, "%s is a mapping (key: value), not %s", what, kind_name(rd, node));
		return false;
	}
	for (uint32_t pair = pair_first(rd, node); pair; pair = pair_next(rd, pair)) {
		size_t len, i = 0;
		const char *text = yaml_text(rd->y, pair, &len);

		while (i < n && !same(text, len, keys[i].name))
			i++;
		if (i == n) {
			meant[unknown_key(rd, pair, what, keys, n)] = true;
			good = false;
		} else if (ret[i]) {
			read_error(rd, "duplicate-key", pair, "%s has '%s' twice", what, keys[i].name);
			good = false;
		} else {
			ret[i] = pair_value(rd, pair);
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (keys[i].required && !ret[i]) {
			if (!meant[i]) /* else that has been said */
				read_error(rd, "missing-key", node, "%s needs '%s'", what, keys[i].name);
			good = false;
		}
	}
	return good;
}

uint32_t item_first(const struct reading *rd, uint32_t node)
{
	return yaml_at(rd->y, node)->kind == YAML_LIST ? yaml_at(rd->y, node)->first : node;
}

uint32_t item_next(const struct reading *rd, uint32_t node, uint32_t item)
{
	return item == node ? 0 : yaml_at(rd->y, item)->next;
}

size_t item_count(const struct reading *rd, uint32_t node)
{
	return yaml_at(rd->y, node)->kind == YAML_LIST ? yaml_at(rd->y, node)->count : 1;
}

bool read_pairs(const struct reading *rd, uint32_t node, const char *what)
{
	if (yaml_at(rd->y, node)->kind == YAML_MAP)
		return true;
	read_error(rd, "wrong-type", node, "%s is a mapping (name: value), not %s", what, kind_name(rd, node));
	return false;
}

uint32_t pair_first(const struct reading *rd, uint32_t node)
{
	return yaml_at(rd->y, node)->first;
}

uint32_t pair_value(const struct reading *rd, uint32_t pair)
{
	return yaml_at(rd->y, pair)->next;
}

uint32_t pair_next(const struct reading *rd, uint32_t pair)
{
	return yaml_at(rd->y, pair_value(rd, pair))->next;
}

bool node_is_map(const struct reading *rd, uint32_t node)
{
	return yaml_at(rd->y, node)->kind == YAML_MAP;
}

bool node_is(const struct reading *rd, uint32_t node, const char *text)
{
	size_t len;
	const char *at;

	if (yaml_at(rd->y, node)->kind != YAML_SCALAR)
		return false;
	at = yaml_text(rd->y, node, &len);
	return same(at, len, text);
}

bool read_word(const struct reading *rd, uint32_t node, const char *what, const char **ret, size_t *ret_len)
{
	size_t len;
	const char *text;

	if (yaml_at(rd->y, node)->kind != YAML_SCALAR) {
		read_error(rd, "wrong-type", node, "%s is a single value, not %s", what, kind_name(rd, node));
		return false;
	}
	text = yaml_text(rd->y, node, &len);
	if (len == 0) {
		read_error(rd, "wrong-type", node, "%s is empty", what);
		return false;
	}
	if (len > WORD_MOST || memchr(text, '\0', len)) {
		read_error(rd, "bad-value", node, "%s is longer than %d characters or holds a NUL", what, WORD_MOST);
		return false;
	}
	*ret = text;
	*ret_len = len;
	return true;
}

bool read_string(const struct reading *rd, uint32_t node, const char *what, const char **ret)
{
	const char *text;
	size_t len;

	if (!read_word(rd, node, what, &text, &len))
		return false;
	*ret = arena_string(rd->memory, text, len);
	return true;
}

bool text_plain(const char *text, const char *forbidden)
{
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~' || strchr(forbidden, *at))
			return false;
	return *text;
}

bool read_interface(const struct reading *rd, uint32_t node, const char **ret)
{
	const char *name;

	if (!read_string(rd, node, "the name of an interface", &name))
		return false;
	if (!text_plain(name, "\"*/\\") || strlen(name) > INTERFACE_MOST) {
		read_error(rd, "bad-interface", node,
			   "'%.60s' cannot be an interface: a name has up to %d letters, digits and signs, no space, * "
			   "or /",
			   name, INTERFACE_MOST);
		return false;
	}
	*ret = name;
	return true;
}

bool read_bool(const struct reading *rd, uint32_t node, const char *what, bool *ret)
{
	if (!node_is(rd, node, "true") && !node_is(rd, node, "false")) {
		read_error(rd, "wrong-type", node, "%s is true or false", what);
		return false;
	}
	*ret = node_is(rd, node, "true");
	return true;
}

/* Digits at the start of text; false if there are none or too many. */
static bool digits(const char *text, size_t len, uint64_t *ret, size_t *ret_used)
{
	uint64_t v = 0;
	size_t i = 0;

	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = 10 * v + (uint64_t)(text[i] - '0');
	}
	*ret = v;
	*ret_used = i;
	return i > 0;
}

bool read_number(const struct reading *rd, uint32_t node, const char *what, uint64_t most, uint64_t *ret)
{
	const char *text;
	size_t len, used;
	uint64_t v;

	if (!read_word(rd, node, what, &text, &len))
		return false;
	if (!digits(text, len, &v, &used) || used != len || v > most) {
		read_error(rd, "bad-value", node, "%s is a number from 0 to %llu, not '%.*s'", what,
			   (unsigned long long)most, len > 40 ? 40 : (int)len, text);
		return false;
	}
	*ret = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t times;
};

static bool read_with_unit(const struct reading *rd, uint32_t node, const char *what, const struct unit *units,
			   size_t n, const char *example, const char *or_else, uint64_t *ret)
{
	const char *text;
	size_t len, used;
	uint64_t v;

	if (!read_word(rd, node, what, &text, &len))
		return false;
	if (digits(text, len, &v, &used)) {
		size_t at = used;

		if (v == 0 && used == len) {
			*ret = 0;
			return true;
		}
		while (at < len && text[at] == ' ')
			at++;
		for (size_t i = 0; i < n; i++) {
			if (!same(text + at, len - at, units[i].name))
				continue;
			if (v > UINT64_MAX / units[i].times)
				break;
			*ret = v * units[i].times;
			return true;
		}
	}
	read_error(rd, "bad-value", node, "%s is a number with its unit, %s%s, not '%.*s'", what, example, or_else,
		   len > 40 ? 40 : (int)len, text);
	return false;
}

bool read_duration_ms_or(const struct reading *rd, uint32_t node, const char *what, const char *or_else, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 },
	};

	return read_with_unit(rd, node, what, units, ARRAY_LEN(units), "like 500ms, 30s, 10m, 8h or 1d", or_else, ret);
}

bool read_duration_ms(const struct reading *rd, uint32_t node, const char *what, uint64_t *ret)
{
	return read_duration_ms_or(rd, node, what, "", ret);
}

bool read_octets(const struct reading *rd, uint32_t node, const char *what, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "B", 1 },
		{ "kB", 1000 },
		{ "KB", 1000 },
		{ "MB", 1000000 },
		{ "GB", 1000000000 },
		{ "TB", 1000000000000 },
		{ "KiB", 1024 },
		{ "MiB", 1048576 },
		{ "GiB", 1073741824 },
		{ "TiB", 1099511627776 },
	};

	return read_with_unit(rd, node, what, units, ARRAY_LEN(units), "like 500MB or 100GB", "", ret);
}

bool read_choice(const struct reading *rd, uint32_t node, const char *what, const struct choice *choices, size_t n,
		 unsigned *ret)
{
	const char *text, *names[KEYS_MOST], *near;
	size_t len;
	struct finding *f;
	SCOPED(str_wipe) struct str word = { 0 }, all = { 0 };

	for (size_t i = 0; i < n; i++) {
		names[i] = choices[i].name;
		str_addf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", choices[i].name);
	}
	if (node_is(rd, node, "")) {
		read_error(rd, "wrong-type", node, "%s is empty; it is %s", what, str_text(&all));
		return false;
	}
	if (!read_word(rd, node, what, &text, &len))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (same(text, len, choices[i].name)) {
			*ret = choices[i].value;
			return true;
		}
	}
	str_add_n(&word, text, len);
	f = read_error(rd, "bad-value", node, "%s is %s, not '%.60s'", what, str_text(&all), str_text(&word));
	if ((near = report_nearest(str_text(&word), names, n)))
		finding_advise(f, "did you mean '%s'?", near);
	return false;
}

bool read_choices(const struct reading *rd, uint32_t node, const char *what, const struct choice *choices, size_t n,
		  unsigned *ret)
{
	unsigned all = 0, one;
	bool good = true;

	for (uint32_t i = item_first(rd, node); i; i = item_next(rd, node, i)) {
		if (read_choice(rd, i, what, choices, n, &one))
			all |= one;
		else
			good = false;
	}
	if (good)
		*ret = all;
	return good;
}
