/* Patterns on the names of a certificate. A `*` never reaches from one part of a name into another, however the parts'
 * values are written: whoever names a machine "x,OU=Servers" gets no new part by it. */
#include "identity/groups.h"

#include <ctype.h>
#include <string.h>

enum { PARTS_MOST = 64 };

struct part {
	const char *at;
	size_t len;
};

/* One character of a name as RFC 4514 2.4 writes it; 0 at the end. *ret_quoted: it was escaped. */
static int next(struct part *p, bool *ret_quoted)
{
	int c;

	*ret_quoted = false;
	if (!p->len)
		return 0;
	c = (unsigned char)*p->at++;
	p->len--;
	if (c != '\\' || !p->len)
		return tolower(c);
	*ret_quoted = true;
	if (p->len >= 2 && isxdigit((unsigned char)p->at[0]) && isxdigit((unsigned char)p->at[1])) {
		c = 0;
		for (int i = 0; i < 2; i++) {
			int digit = tolower((unsigned char)p->at[i]);

			c = c * 16 + (isdigit(digit) ? digit - '0' : digit - 'a' + 10);
		}
		p->at += 2;
		p->len -= 2;
		return tolower(c);
	}
	c = (unsigned char)*p->at++;
	p->len--;
	return tolower(c);
}

/* As next, of a name in which nothing is escaped. */
static int next_plain(struct part *p)
{
	if (!p->len)
		return 0;
	p->len--;
	return tolower((unsigned char)*p->at++);
}

static int next_of(struct part *p, bool escapes)
{
	bool quoted;

	return escapes ? next(p, &quoted) : next_plain(p);
}

static bool fits(struct part pattern, struct part text, bool escapes)
{
	struct part star = { 0 }, star_text = { 0 }; /* behind the last `*`, and where it was */
	bool have_star = false;

	for (;;) {
		struct part p = pattern, t = text;
		bool quoted;
		int want = next(&p, &quoted), is;

		if (want == '*' && !quoted) {
			have_star = true;
			pattern = star = p;
			star_text = text;
			continue;
		}
		if (!pattern.len && !text.len)
			return true;
		is = next_of(&t, escapes);
		if (pattern.len && text.len && (want == is || (want == '?' && !quoted))) {
			pattern = p;
			text = t;
			continue;
		}
		if (!have_star || !star_text.len)
			return false;
		(void)next_of(&star_text, escapes);
		pattern = star;
		text = star_text;
	}
}

/* The parts of a name, which `separator` divides where it is not escaped; 0: there are too many. */
static size_t split(struct part all, char separator, struct part parts[PARTS_MOST])
{
	size_t n = 0, start = 0;

	for (size_t i = 0; i <= all.len; i++) {
		if (i < all.len && all.at[i] == '\\') {
			i++;
			continue;
		}
		if (i < all.len && all.at[i] != separator)
			continue;
		if (n == PARTS_MOST)
			return 0;
		while (start < i && all.at[start] == ' ')
			start++;
		parts[n++] = (struct part){ all.at + start, i - start };
		start = i + 1;
	}
	return n;
}

static bool one_fits(struct part pattern, struct part rdn)
{
	struct part values[PARTS_MOST];
	size_t n;

	if (fits(pattern, rdn, true))
		return true;
	n = split(rdn, '+', values);
	for (size_t i = 0; n > 1 && i < n; i++)
		if (fits(pattern, values[i], true))
			return true;
	return false;
}

static bool all_fit(const struct part *patterns, const struct part *parts, size_t n, bool backwards)
{
	for (size_t i = 0; i < n; i++)
		if (!fits(patterns[i], parts[backwards ? n - 1 - i : i], true))
			return false;
	return true;
}

static enum member subject_fits(const char *pattern, const char *subject)
{
	struct part patterns[PARTS_MOST], parts[PARTS_MOST];
	struct part all = { subject, strnlen(subject, PEER_TEXT) };
	size_t m = split((struct part){ pattern, strlen(pattern) }, ',', patterns), n = split(all, ',', parts);
	/* What was cut off may have made it fit, or not: of such a name nothing is sure. */
	bool cut = all.len >= PEER_TEXT - 1 || n == 0;
	bool yes = false;

	if (!m)
		return cut ? MEMBER_MAYBE : MEMBER_NO;
	if (m == 1)
		for (size_t i = 0; i < n && !yes; i++)
			yes = one_fits(patterns[0], parts[i]);
	else
		yes = m == n && (all_fit(patterns, parts, n, false) || all_fit(patterns, parts, n, true));
	if (cut)
		return MEMBER_MAYBE;
	return yes ? MEMBER_YES : MEMBER_NO;
}

static enum member alternative_fits(const char *pattern, const struct peer *peer)
{
	enum member is = peer->name_count == PEER_NAMES ? MEMBER_MAYBE : MEMBER_NO;

	for (size_t i = 0; i < peer->name_count; i++) {
		size_t len = strnlen(peer->names[i], PEER_TEXT);

		if (len >= PEER_TEXT - 1)
			is = MEMBER_MAYBE;
		else if (fits((struct part){ pattern, strlen(pattern) }, (struct part){ peer->names[i], len }, false))
			return MEMBER_YES;
	}
	return is;
}

enum member group_pattern_fits(const char *pattern, const struct peer *peer)
{
	return strchr(pattern, '=') ? subject_fits(pattern, peer->subject) : alternative_fits(pattern, peer);
}
