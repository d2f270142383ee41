#include "daemon/force/boot.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/force/force.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, RULES_MOST = 256 << 20 };

static const char first_line[] = "# the ruleset of policy version %" PRIu32 "; cordond writes this file\n";

static int rules_path(const struct daemon *d, char ret[PATH_TEXT], struct diag *why)
{
	if (snprintf(ret, PATH_TEXT, "%s/%s", d->options.state_dir, BOOT_RULES) >= PATH_TEXT)
		return diag_fail(why, ENAMETOOLONG, "%s", d->options.state_dir);
	return 0;
}

/* 0: no such file, or not ours. */
static uint32_t version_kept(const char *path)
{
	char line[sizeof first_line + 16] = "";
	uint32_t version = 0;
	FILE *f = fopen(path, "re");

	if (!f)
		return 0;
	if (!fgets(line, sizeof line, f) || sscanf(line, first_line, &version) != 1)
		version = 0;
	(void)fclose(f);
	return version;
}

/* A machine that goes down loses its addresses while we still look: what is kept would be of no use. */
static bool is_going(const struct daemon *d, const char *path)
{
	return d->facts->own_count == 0 && version_kept(path) == d->state->current;
}

void boot_keep(struct daemon *d, const struct plan *plan)
{
	SCOPED(str_wipe) struct str text = { 0 };
	char path[PATH_TEXT];
	struct diag why = { 0 };
	int r;

	if ((r = rules_path(d, path, &why)) == 0 && !plan && unlink(path) < 0 && errno != ENOENT)
		r = diag_errno(&why, errno, "remove %s", path);
	if (r == 0 && plan && !is_going(d, path)) {
		str_addf(&text, first_line, d->state->current);
		gate_ruleset(&d->gate_config, plan, &text);
		r = text_replace(path, str_text(&text), text.len, 0600, &why);
	}
	if (r < 0)
		log_warning("the rules are not kept for the next boot: %s", why.text);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* What was on probation too long does not come back by a boot. */
static uint32_t version_to_load(const struct state *s)
{
	struct state_clock now;

	state_clock_now(&now);
	if (s->pending.version && s->pending.version == s->current && state_pending_left_ms(s, &now) == 0)
		return s->pending.previous;
	return s->current;
}

static int load_kept(const struct daemon *d, const char *path, struct diag *why)
{
	SCOPED(text_freep) struct text *t = NULL;
	int r;

	if ((r = text_read(path, RULES_MOST, &t, why)) < 0)
		return r;
	return gate_load(&d->gate_config, t->octets, t->len, why);
}

static void say_report(const struct report *r)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_text(r, false, &out);
	(void)fputs(str_text(&out), stderr);
}

/* version 0: what stands at the policy's source. */
static int load_compiled(struct daemon *d, uint32_t version, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	SCOPED(str_wipe) struct str text = { 0 };
	struct text *policy = NULL;
	int r;

	if (!d->config)
		return diag_fail(why, EINVAL, "this host's page cannot be read");
	if ((r = host_facts_read(d->config, &d->homes, d->options.root, &d->facts, why)) < 0 ||
	    (r = version ? state_policy(d->state, version, &policy, why)
			 : text_read(d->source, CONTROL_POLICY_MOST, &policy, why)) < 0)
		return r;
	if ((r = candidate_make(d, policy, &c, why)) < 0) {
		say_report(c.report);
		return r;
	}
	gate_ruleset(&d->gate_config, c.plan, &text);
	return gate_load(&d->gate_config, str_text(&text), text.len, why);
}

/* On a machine that was made with its policy, and starts for the first time. */
static bool has_first_policy(const struct daemon *d)
{
	return d->state->newest == 0 && d->source && access(d->source, F_OK) == 0;
}

static bool is_disabled(const struct daemon *d)
{
	char path[PATH_TEXT];

	return snprintf(path, sizeof path, "%s/disabled", d->options.state_dir) < (int)sizeof path &&
	       access(path, F_OK) == 0;
}

int boot_load(struct daemon *d, struct diag *why)
{
	char path[PATH_TEXT];
	uint32_t version, kept;
	int r;

	if ((r = rules_path(d, path, why)) < 0)
		return r;
	if (is_disabled(d)) {
		(void)puts("Protection is disabled: no rules are loaded.");
		return 0;
	}
	if (gate_is_loaded()) {
		(void)puts("Rules of Cordon are in force already; they are left as they are.");
		return 0;
	}
	kept = version_kept(path);
	if ((r = state_open(d->options.state_dir, &d->state, why)) == 0) {
		if ((version = version_to_load(d->state)) == 0 && !has_first_policy(d)) {
			(void)puts("There is no policy yet, so no rules are loaded.");
			return 0;
		}
		r = version && version == kept ? load_kept(d, path, why) : load_compiled(d, version, why);
		if (r == 0)
			(void)printf(
				"The rules of the %s policy are in force. Until cordond runs, exempt traffic flows and "
				"protected traffic waits.\n",
				version ? "last good" : "first");
	}
	if (r == 0 || kept == 0)
		return r;
	/* Better those of a moment ago than none. */
	log_error("%s; the rules that were in force last, of v%" PRIu32 ", are loaded instead", why->text, kept);
	return load_kept(d, path, why);
}
