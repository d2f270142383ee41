#include "tools/cli/live.h"

#include "base/diag.h"
#include "base/str.h"
#include "tools/cli/ask.h"
#include "tools/cli/exempt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_addr(const json_t *row, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT];

	return strcmp(ask_text(row, name), addr_text(a, text)) == 0;
}

/* Is this the daemon's own end? Its main modes and its failure say which address it speaks from. */
static bool is_ours(const json_t *state, const json_t *row, const struct addr *a)
{
	const json_t *mode;
	size_t i;

	if (is_addr(json_object_get(row, "failed"), "local", a))
		return true;
	json_array_foreach(json_object_get(state, "main-mode"), i, mode)
	{
		if (is_addr(mode, "local", a))
			return true;
	}
	return false;
}

static bool is_exempted(const json_t *row, const struct addr *a)
{
	const json_t *one;
	char text[ADDR_TEXT];
	size_t i;

	(void)addr_text(a, text);
	json_array_foreach(json_object_get(row, "addresses"), i, one)
	{
		if (strcmp(json_string_value(one), text) == 0)
			return true;
	}
	return false;
}

/* NULL: no daemon, or not for this caller. The policy's answer then stands alone. */
static json_t *ask_quietly(const char *run_dir, enum control_request what)
{
	const char *dir = run_dir ? run_dir : getenv("CORDON_RUN_DIR");
	json_t *request = control_request_new(what), *reply = NULL;
	struct diag why = { 0 };

	if (control_ask(dir && *dir ? dir : "/run/cordon", request, &reply, &why) < 0)
		reply = NULL;
	json_decref(request);
	return reply;
}

char *live_policy(const char *run_dir)
{
	json_t *status = ask_quietly(run_dir, CONTROL_STATUS);
	const char *path = ask_text(json_object_get(status, "policy"), "path");
	char *copy = *path ? strdup(path) : NULL;

	json_decref(status);
	return copy;
}

struct live_answer live_ask(const char *run_dir, const struct addr *a, const struct addr *b)
{
	json_t *state = ask_quietly(run_dir, CONTROL_STATE), *row;
	struct live_answer found = { 0 };
	size_t i;

	json_array_foreach(json_object_get(state, "peers"), i, row)
	{
		bool to = is_addr(row, "remote", a) && is_ours(state, row, b);

		if (to || (is_addr(row, "remote", b) && is_ours(state, row, a))) {
			found.peer = row;
			found.own = to;
		}
	}
	json_array_foreach(json_object_get(state, "exemptions"), i, row)
	{
		if (is_exempted(row, a) || is_exempted(row, b))
			found.exempted = row;
	}
	json_incref(found.peer);
	json_incref(found.exempted);
	json_decref(state);
	return found;
}

static void failure_words(const json_t *row, const json_t *failed, struct str *out)
{
	uint64_t now_ms = ask_now_ms(), at_ms = ask_number(row, "failed_ms");
	uint64_t next_ms = ask_number(failed, "next_try_ms");
	const char *step = ask_text(failed, "step");
	char span[AGO_TEXT];

	str_addf(out, "%s failed %s ago (%s): %s.",
		 strcmp(step, "CREATE_CHILD_SA") == 0 ? "quick mode" : "the negotiation",
		 ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, span), ask_text(failed, "code"),
		 ask_text(row, "failure"));
	if (next_ms > now_ms)
		str_addf(out, " It is tried again with the first packet in %s.",
			 ask_span((next_ms - now_ms + 999) / 1000, span));
	else if (next_ms)
		str_add(out, " It is tried again with the next packet.");
}

void live_exempted_words(const json_t *row, struct str *out)
{
	char who[EXEMPT_WHO], left[AGO_TEXT];

	str_addf(out,
		 "on this host %s is exempted for another %s (%s), so clear text is accepted from it, and sent to it "
		 "while "
		 "it has no SA; but for what a rule blocks.",
		 exempt_who(row, who), exempt_left(ask_number(row, "left_s"), left), ask_text(row, "reason"));
}

static const char *const *names_of(const json_t *list, struct arena *memory, size_t *ret_count)
{
	size_t n = json_array_size(list), i;
	const char **names = arena_new(memory, n + 1, sizeof *names);
	const json_t *one;

	*ret_count = 0;
	json_array_foreach(list, i, one)
	{
		if (json_is_string(one))
			names[(*ret_count)++] = json_string_value(one);
	}
	return names;
}

bool live_groups(const json_t *row, struct arena *memory, struct known_groups *ret)
{
	if (!row || !ask_number(row, "main_modes") || !ask_number(row, "membership_ms"))
		return false;
	ret->in = names_of(json_object_get(row, "groups"), memory, &ret->in_count);
	ret->may = names_of(json_object_get(row, "groups_not_known"), memory, &ret->may_count);
	return true;
}

static void add_names(const json_t *names, const char *before, struct str *out)
{
	const json_t *one;
	size_t i;

	json_array_foreach(names, i, one)
	{
		str_addf(out, "%s%s", i ? ", " : before, json_string_value(one));
	}
}

void live_membership_words(const json_t *row, struct str *out)
{
	const json_t *in = json_object_get(row, "groups"), *may = json_object_get(row, "groups_not_known");
	uint64_t now_ms = ask_now_ms(), at_ms = ask_number(row, "membership_ms");
	char span[AGO_TEXT];

	if (!at_ms)
		return;
	str_addf(out, "%s is %s", ask_text(row, "identity"),
		 json_array_size(in) ? "in " : "known to be in no group of the policy");
	add_names(in, "", out);
	str_addf(out, ", learnt %s ago.", ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, span));
	if (json_array_size(may)) {
		add_names(may, " Not known, so that it is let in nowhere by it: whether it is in ", out);
		str_add(out, ".");
	}
}

void live_words(const json_t *row, bool stopped, struct str *out)
{
	const json_t *failed = json_object_get(row, "failed");
	char in[AGO_TEXT], sent[AGO_TEXT];

	if (json_is_object(failed)) {
		failure_words(row, failed, out);
		return;
	}
	if (*ask_text(row, "outcome"))
		str_addf(out,
			 stopped ? "there are SAs (%s), but the firewall drops this traffic; " : "%s at this moment, ",
			 ask_text(row, "outcome"));
	str_addf(out, "%" PRIu64 " main mode, %" PRIu64 " quick mode, %s in, %s out.", ask_number(row, "main_modes"),
		 ask_number(row, "quick_modes"), ask_octets(ask_number(row, "octets_in"), in),
		 ask_octets(ask_number(row, "octets_out"), sent));
	if (strcmp(ask_text(row, "encapsulation"), "udp") == 0)
		str_add(out, " ESP goes in UDP 4500.");
}
