#include "daemon/host/keyfile.h"

#include <string.h>

/* The next line, without its end; false: there is none. The only place that moves on. */
static bool next_line(struct keyfile_span *rest, struct keyfile_span *ret)
{
	const char *end;

	if (rest->len == 0)
		return false;
	end = memchr(rest->at, '\n', rest->len);
	*ret = (struct keyfile_span){ rest->at, end ? (size_t)(end - rest->at) : rest->len };
	rest->at += ret->len + (end ? 1 : 0);
	rest->len -= ret->len + (end ? 1 : 0);
	if (ret->len && ret->at[ret->len - 1] == '\r')
		ret->len--;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct keyfile_span without_blanks(struct keyfile_span s)
{
	for (; s.len && is_blank(*s.at); s.at++)
		s.len--;
	return s;
}

static struct keyfile_span without_blanks_behind(struct keyfile_span s)
{
	while (s.len && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

static bool is(struct keyfile_span s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.at, word, s.len) == 0;
}

/* "[connection]": also one that cannot be ends the group before it. */
static bool heads(struct keyfile_span line, const char *group)
{
	line = without_blanks_behind(line);
	return line.len > 2 && line.at[line.len - 1] == ']' &&
	       is((struct keyfile_span){ line.at + 1, line.len - 2 }, group);
}

bool keyfile_find(struct keyfile_span file, const char *group, const char *key, struct keyfile_span *ret)
{
	struct keyfile_span line, name;
	bool inside = false, found = false;

	while (next_line(&file, &line)) {
		const char *equals;

		line = without_blanks(line);
		if (line.len && *line.at == '[')
			inside = heads(line, group);
		if (!inside || line.len == 0 || *line.at == '[' || *line.at == '#' ||
		    !(equals = memchr(line.at, '=', line.len)))
			continue;
		name = without_blanks_behind((struct keyfile_span){ line.at, (size_t)(equals - line.at) });
		if (!is(name, key))
			continue;
		*ret = without_blanks((struct keyfile_span){ equals + 1, line.len - (size_t)(equals - line.at) - 1 });
		found = true;
	}
	return found;
}

bool keyfile_copy(struct keyfile_span value, char *ret, size_t size)
{
	if (value.len >= size || (value.len && memchr(value.at, '\0', value.len)))
		return false;
	if (value.len)
		memcpy(ret, value.at, value.len);
	ret[value.len] = '\0';
	return true;
}
