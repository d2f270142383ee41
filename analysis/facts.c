#include "analysis/facts.h"

#include "base/scope.h"
#include "base/str.h"

#include <string.h>

/* What has been assumed of a name that some rule has. */
static enum belongs assumed(const struct facts *f, const char *what, bool program)
{
	for (size_t i = 0; i < f->assumed_count; i++) {
		const struct fact *a = &f->assumed[i];

		if (a->program != program)
			continue;
		if (strcmp(a->what, what) == 0)
			return a->holds ? BELONGS_YES : BELONGS_NO;
		if (a->holds && !program) /* it is one interface; a program may be in slices within slices */
			return BELONGS_NO;
	}
	return BELONGS_MAYBE;
}

static enum belongs interface_fits(const struct facts *f, const char *interface)
{
	if (!interface)
		return BELONGS_YES;
	if (f->interface)
		return strcmp(f->interface, interface) == 0 ? BELONGS_YES : BELONGS_NO;
	return assumed(f, interface, false);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* Does the path of a control group go through this one: below it, or by a part of this name? */
static bool path_goes_through(const char *path, const char *group)
{
	size_t n = strlen(group);

	if (*group == '/')
		return strncmp(path, group, n) == 0 && (path[n] == '\0' || path[n] == '/');
	for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/'))
		if (strncmp(at + 1, group, n) == 0 && (at[n + 1] == '\0' || at[n + 1] == '/'))
			return true;
	return false;
}

/* A unit by its name alone: in which slices it is nobody said. */
static enum belongs program_fits(const struct facts *f, const char *program)
{
	const char *slash, *given = f->program;

	if (!program)
		return BELONGS_YES;
	if (!given)
		return assumed(f, program, true);
	if (*given == '/')
		return path_goes_through(given, program) ? BELONGS_YES : BELONGS_NO;
	slash = strrchr(program, '/');
	if (strcmp(slash ? slash + 1 : program, given) == 0)
		return BELONGS_YES;
	return ends_with(program, ".slice") ? assumed(f, program, true) : BELONGS_NO;
}

static unsigned profiles_of(const struct facts *f)
{
	return f->profiles ? f->profiles : PROFILE_ALL;
}

static enum belongs profile_fits(const struct facts *f, unsigned profiles)
{
	unsigned open = profiles_of(f);

	if (!(open & profiles))
		return BELONGS_NO;
	return open & ~profiles ? BELONGS_MAYBE : BELONGS_YES;
}

enum belongs facts_fit(const struct facts *f, const struct firewall_rule *r)
{
	static const struct facts nothing = { 0 };
	enum belongs fits[3], worst = BELONGS_YES;

	f = f ? f : &nothing;
	fits[0] = interface_fits(f, r->interface);
	fits[1] = program_fits(f, r->program);
	fits[2] = profile_fits(f, r->profiles);
	for (size_t i = 0; i < ARRAY_LEN(fits); i++)
		worst = fits[i] < worst ? fits[i] : worst;
	return worst;
}

static bool assume(struct facts *f, const char *what, bool program, bool holds)
{
	if (f->assumed_count == ASSUMPTIONS_MOST)
		return false;
	f->assumed[f->assumed_count++] = (struct fact){ what, program, holds };
	return true;
}

bool facts_assume(const struct facts *f, const struct firewall_rule *r, bool holds, struct facts *ret)
{
	struct facts next = *f;
	bool done = true;

	if (interface_fits(f, r->interface) == BELONGS_MAYBE) {
		done = assume(&next, r->interface, false, holds);
	} else if (program_fits(f, r->program) == BELONGS_MAYBE) {
		done = assume(&next, r->program, true, holds);
	} else if (profile_fits(f, r->profiles) == BELONGS_MAYBE) {
		next.profiles = profiles_of(f) & (holds ? r->profiles : ~r->profiles);
		next.profiles_assumed = true;
	} else {
		done = false;
	}
	*ret = next;
	return done;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool facts_equal(const struct facts *a, const struct facts *b)
{
	if (!same(a->interface, b->interface) || !same(a->program, b->program) || a->profiles != b->profiles ||
	    a->assumed_count != b->assumed_count)
		return false;
	for (size_t i = 0; i < a->assumed_count; i++)
		if (!same(a->assumed[i].what, b->assumed[i].what) || a->assumed[i].program != b->assumed[i].program ||
		    a->assumed[i].holds != b->assumed[i].holds)
			return false;
	return true;
}

/* "on interface eth1", "not by nginx.service or sshd.service": those that were assumed so. */
static void say_assumed(const struct facts *f, bool program, bool holds, struct str *out)
{
	static const char *const words[2][2] = { { "not on interface ", "on interface " }, { "not by ", "by " } };
	bool said = false;

	for (size_t i = 0; i < f->assumed_count; i++) {
		const struct fact *a = &f->assumed[i];

		if (a->program != program || a->holds != holds)
			continue;
		if (said)
			str_addf(out, " %s %s", holds ? "and" : "or", a->what);
		else
			str_addf(out, "%s%s%s", out->len ? ", " : "", words[program][holds], a->what);
		said = true;
	}
}

static bool on_one(const struct facts *f)
{
	for (size_t i = 0; i < f->assumed_count; i++)
		if (!f->assumed[i].program && f->assumed[i].holds)
			return true;
	return false;
}

void facts_text(const struct facts *f, struct str *out)
{
	static const char *const names[] = { "domain", "private", "public" };
	bool said = false;

	say_assumed(f, false, on_one(f), out); /* that says enough of the others */
	say_assumed(f, true, true, out);
	say_assumed(f, true, false, out);
	if (!f->profiles_assumed)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (f->profiles & 1u << i) {
			str_addf(out, "%s%s", said ? " or " : out->len ? ", in profile " : "in profile ", names[i]);
			said = true;
		}
}
