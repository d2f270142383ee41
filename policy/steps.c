#include "policy/steps.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "policy/load/read.h"
#include "policy/load/yaml.h"

#include <stdlib.h>
#include <string.h>

enum {
	FILE_MOST = 1 << 20,
	WAIT_MOST_MS = 10 * 60 * 1000,
	/* Samba takes a ticket that is good for two minutes or less for one that may only change a password. */
	LIFETIME_LEAST_MS = 130 * 1000,
	LIFETIME_MOST_MS = 10 * 3600 * 1000,
};

const char *const step_names[STEP_KINDS] = {
	[STEP_PROBE] = "probe",
	[STEP_RUN] = "run",
	[STEP_POLICY] = "policy",
	[STEP_WAIT] = "wait",
	[STEP_KILL] = "kill",
	[STEP_START] = "start",
	[STEP_CUT] = "cut",
	[STEP_MEND] = "mend",
	[STEP_OFF] = "off",
	[STEP_BOOT] = "boot",
	[STEP_DIRECTORY] = "directory",
	[STEP_FORGET_TICKETS] = "forget-tickets",
};

struct loading {
	struct reading rd;
	const struct policy *policy;
};

static const struct host *read_host(struct loading *l, uint32_t node, const char *what)
{
	const struct host *h = NULL;
	const char *name;

	if (node && read_string(&l->rd, node, what, &name) && !(h = policy_host_by_name(l->policy, name)))
		read_error(&l->rd, "unknown-host", node, "the policy has no host '%.60s'", name);
	return h;
}

/* Something is done to a cordond, so there must be one. */
static void read_place(struct loading *l, uint32_t node, struct step *s)
{
	if ((s->host = read_host(l, node, "the host of a step")) && s->host->agent == AGENT_NONE &&
	    s->kind != STEP_CUT && s->kind != STEP_MEND && s->kind != STEP_OFF && s->kind != STEP_BOOT)
		read_error(&l->rd, "bad-value", node, "'%s' has agent: none, so there is no cordond on it",
			   s->host->name);
}

static void read_probe(struct loading *l, uint32_t node, struct step *s)
{
	enum { FROM, TO, TRAFFIC, EXPECT, KEYS };
	static const struct map_key keys[KEYS] = { [FROM] = { "from", true },
						   [TO] = { "to", true },
						   [TRAFFIC] = { "traffic", true },
						   [EXPECT] = { "expect", true } };
	static const struct choice outcomes[] = { { "clear", OUTCOME_CLEAR },
						  { "authenticated", OUTCOME_AUTHENTICATED },
						  { "encrypted", OUTCOME_ENCRYPTED },
						  { "blocked", OUTCOME_BLOCKED } };
	struct policy_test *t = &s->test;
	struct diag d = { 0 };
	unsigned expect = 0;
	uint32_t v[KEYS];
	size_t count;

	if (!read_map(&l->rd, node, "a probe", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	t->place = yaml_place(l->rd.y, node);
	if ((t->from_host = read_host(l, v[FROM], "from")))
		t->from = t->from_host->name;
	if ((t->to_host = read_host(l, v[TO], "to")))
		t->to = t->to_host->name;
	if (t->from_host && t->from_host == t->to_host)
		read_error(&l->rd, "bad-value", v[TO], "'%s' is at both ends", t->to);
	if (v[TRAFFIC] && read_string(&l->rd, v[TRAFFIC], "traffic of a probe", &t->traffic) &&
	    (policy_traffic_parse(l->policy, t->traffic, strlen(t->traffic), &t->service, 1, &count, &d) < 0 ||
	     t->service.port2.lo != t->service.port2.hi))
		finding_advise(read_error(&l->rd, "bad-value", v[TRAFFIC], "%s",
					  *d.text ? d.text : "a probe asks for one port, not a range"),
			       "a probe asks for one protocol and port, such as tcp/445");
	if (v[EXPECT] && read_choice(&l->rd, v[EXPECT], "expect", outcomes, ARRAY_LEN(outcomes), &expect))
		t->expect = (enum outcome)expect;
}

/* What asks or tells the host's own cordond, and nothing else: a scenario is data, not a program. */
static bool may_run(const char *word)
{
	static const char *const commands[] = { "apply",   "confirm", "disable",  "enable", "exempt",
						"refresh", "rekey",   "rollback", "show",   "status" };

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i], word) == 0)
			return true;
	return false;
}

static void read_run(struct loading *l, uint32_t node, struct step *s)
{
	enum { ON, COMMAND, FAILS, KEYS };
	static const struct map_key keys[KEYS] = {
		[ON] = { "on", true }, [COMMAND] = { "command", true }, [FAILS] = { "fails", false }
	};
	uint32_t v[KEYS];

	if (!read_map(&l->rd, node, "run", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	read_place(l, v[ON], s);
	if (v[FAILS])
		(void)read_bool(&l->rd, v[FAILS], "fails", &s->fails);
	for (uint32_t i = v[COMMAND] ? item_first(&l->rd, v[COMMAND]) : 0; i; i = item_next(&l->rd, v[COMMAND], i)) {
		if (s->word_count == STEP_WORDS_MOST) {
			read_error(&l->rd, "too-many", i, "a command has at most %d words", STEP_WORDS_MOST);
			return;
		}
		if (!read_string(&l->rd, i, "a word of the command", &s->words[s->word_count]))
			return;
		if (s->word_count++ == 0 && !may_run(s->words[0]))
			finding_advise(read_error(&l->rd, "bad-value", i, "a scenario cannot run '%.60s'", s->words[0]),
				       "it can run the commands of cordon that speak with the host's cordond: apply, "
				       "confirm, disable, enable, exempt, refresh, rekey, rollback, show, status");
	}
	if (v[COMMAND] && s->word_count == 0)
		read_error(&l->rd, "bad-value", v[COMMAND], "a command has at least one word, such as [refresh]");
}

static void read_policy(struct loading *l, uint32_t node, struct step *s)
{
	enum { ON, FILE_NAME, KEYS };
	static const struct map_key keys[KEYS] = { [ON] = { "on", true }, [FILE_NAME] = { "file", true } };
	uint32_t v[KEYS];

	if (!read_map(&l->rd, node, "policy", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	read_place(l, v[ON], s);
	if (v[FILE_NAME] && read_string(&l->rd, v[FILE_NAME], "file", &s->file) &&
	    (strchr(s->file, '/') || s->file[0] == '.'))
		read_error(&l->rd, "bad-value", v[FILE_NAME], "'%.60s' is not the name of a file beside the scenario",
			   s->file);
}

/* What an administrator does in the directory: { add: HOST, to: GROUP }, { remove: HOST, from: GROUP }, { delete: GROUP
 * }. */
static void read_directory(struct loading *l, uint32_t node, struct step *s)
{
	enum { ADD, TO, REMOVE, FROM, DELETE, KEYS };
	static const struct map_key keys[KEYS] = { [ADD] = { "add", false },
						   [TO] = { "to", false },
						   [REMOVE] = { "remove", false },
						   [FROM] = { "from", false },
						   [DELETE] = { "delete", false } };
	uint32_t v[KEYS];
	bool add, remove, away;

	if (!read_map(&l->rd, node, "directory", keys, KEYS, v))
		return;
	add = v[ADD] && v[TO] && !v[REMOVE] && !v[FROM] && !v[DELETE];
	remove = v[REMOVE] && v[FROM] && !v[ADD] && !v[TO] && !v[DELETE];
	away = v[DELETE] && !v[ADD] && !v[TO] && !v[REMOVE] && !v[FROM];
	if (!add && !remove && !away) {
		finding_advise(read_error(&l->rd, "bad-value", node, "directory does one thing"),
			       "one of { add: HOST, to: GROUP }, { remove: HOST, from: GROUP }, { delete: GROUP }");
		return;
	}
	s->change = add ? CHANGE_ADD : remove ? CHANGE_REMOVE : CHANGE_DELETE;
	if (!away)
		s->host = read_host(l, v[add ? ADD : REMOVE], "a machine of the directory");
	(void)read_string(&l->rd, v[add ? TO : remove ? FROM : DELETE], "a group of the directory", &s->group);
}

static void read_step(struct loading *l, uint32_t node, struct step *s)
{
	struct map_key keys[STEP_KINDS];
	uint32_t v[STEP_KINDS];
	unsigned given = 0;

	for (size_t i = 0; i < STEP_KINDS; i++)
		keys[i] = (struct map_key){ step_names[i], false };
	s->place = yaml_place(l->rd.y, node);
	if (!read_map(&l->rd, node, "a step", keys, STEP_KINDS, v))
		return;
	for (unsigned i = 0; i < STEP_KINDS; i++) {
		if (!v[i])
			continue;
		s->kind = (enum step_kind)i;
		given++;
	}
	if (given != 1) {
		finding_advise(read_error(&l->rd, "bad-value", node, "a step does one thing, this one %u", given),
			       "one of probe, run, policy, wait, kill, start, cut, mend, off, boot, directory, "
			       "forget-tickets");
		return;
	}
	node = v[s->kind];
	if (s->kind == STEP_PROBE)
		read_probe(l, node, s);
	else if (s->kind == STEP_RUN)
		read_run(l, node, s);
	else if (s->kind == STEP_POLICY)
		read_policy(l, node, s);
	else if (s->kind == STEP_DIRECTORY)
		read_directory(l, node, s);
	else if (s->kind == STEP_WAIT && read_duration_ms(&l->rd, node, "wait", &s->wait_ms) &&
		 s->wait_ms > WAIT_MOST_MS)
		read_error(&l->rd, "bad-value", node, "a step waits at most 10m");
	else if (s->kind != STEP_WAIT)
		read_place(l, node, s);
}

static void read_lifetime(struct loading *l, uint32_t node, struct steps *s)
{
	uint64_t ms = 0;

	if (!read_duration_ms(&l->rd, node, "ticket-lifetime", &ms))
		return;
	if (ms < LIFETIME_LEAST_MS || ms > LIFETIME_MOST_MS)
		finding_advise(read_error(&l->rd, "bad-value", node, "tickets live for 130s to 10h"),
			       "Samba takes one of two minutes or less for a ticket that may only change a password.");
	s->ticket_lifetime_s = (uint32_t)(ms / 1000);
}

static void read_steps(struct loading *l, struct steps *s)
{
	enum { CORDON, LIFETIME, STEPS, KEYS };
	static const struct map_key keys[KEYS] = {
		[CORDON] = { "cordon", true }, [LIFETIME] = { "ticket-lifetime", false }, [STEPS] = { "steps", true }
	};
	uint32_t v[KEYS], root = l->rd.y->root;

	if (!read_map(&l->rd, root, "a scenario", keys, KEYS, v) && !node_is_map(&l->rd, root))
		return;
	if (v[CORDON] && !node_is(&l->rd, v[CORDON], "1"))
		read_error(&l->rd, "bad-value", v[CORDON], "this program knows version 1 of scenarios: cordon: 1");
	if (v[LIFETIME])
		read_lifetime(l, v[LIFETIME], s);
	if (!v[STEPS])
		return;
	if (yaml_at(l->rd.y, v[STEPS])->kind != YAML_LIST) {
		read_error(&l->rd, "wrong-type", v[STEPS], "steps: is a list; begin each with '- probe: { ... }'");
		return;
	}
	for (uint32_t i = item_first(&l->rd, v[STEPS]); i; i = item_next(&l->rd, v[STEPS], i)) {
		if (s->count == STEPS_MOST) {
			read_error(&l->rd, "too-many", i, "a scenario has at most %d steps", STEPS_MOST);
			return;
		}
		read_step(l, i, &s->rows[s->count++]);
	}
	if (s->count == 0)
		read_error(&l->rd, "bad-value", v[STEPS], "a scenario without a step tries nothing");
}

int steps_load(const char *path, const struct policy *p, struct report *r, struct steps **ret)
{
	SCOPED(steps_freep) struct steps *s = mem_new(1, sizeof *s);
	SCOPED(yaml_freep) struct yaml *y = NULL;
	size_t before = report_count(r, SEVERITY_ERROR);
	struct loading l = { .policy = p };
	struct text *text = NULL;
	struct diag d = { 0 };
	int e;

	s->memory = mem_new(1, sizeof *s->memory);
	if ((e = text_read(path, FILE_MOST, &text, &d)) < 0) {
		(void)report_add(r, SEVERITY_ERROR, "unreadable", (struct place){ 0 }, "%s", d.text);
		return e;
	}
	if ((e = yaml_parse(text, r, &y)) < 0)
		return e;
	l.rd = (struct reading){ .y = y, .r = r, .memory = s->memory };
	read_steps(&l, s);
	if (report_count(r, SEVERITY_ERROR) > before)
		return -ERR_POLICY;
	*ret = TAKE(s);
	return 0;
}

void steps_free(struct steps *s)
{
	if (!s)
		return;
	if (s->memory)
		arena_wipe(s->memory);
	free(s->memory);
	free(s);
}
