/* cordon support: what somebody who helps wants to see of this host, in one archive, without secrets. */
#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/cli/archive.h"
#include "tools/cli/ask.h"
#include "tools/cli/program.h"
#include "tools/cli/redact.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, MEMBER_MOST = 8 << 20, PROGRAM_S = 20, WORDS_MOST = 10, NAME_TEXT = 80 };

static int run(int argc, char **argv);

const struct command command_support = {
	"support", "collect what somebody who helps wants to see, without secrets",
	"usage: cordon support [--out FILE]\n\n"
	"Writes an archive (.tar.gz, readable by its owner alone): versions, the host's page and policy, what status,\n"
	"show and events say, rules, routes and links, the service's state and journal. Files of keys are never\n"
	"copied, and what stands in them is taken out of everything else. Names and addresses stay in.\n\n"
	"  --out FILE      default: cordon-support-HOST-TIME.tar.gz in this folder\n"
	"  --config FILE   the host's own page (default /etc/cordon/host.yaml)\n"
	"  --policy FILE   the policy's source (default /etc/cordon/policy.yaml)\n"
	"  --state-dir DIR (default /var/lib/cordon)\n"
	"  --run-dir DIR   where cordond answers (default /run/cordon)\n",
	run
};

/* ---- what is collected ------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *words[WORDS_MOST];
} programs[] = {
	{ "system/kernel", { "uname", "-a" } },
	{ "system/distribution", { "cat", "/etc/os-release" } },
	{ "system/package", { "dpkg-query", "-W", "cordon", "nftables", "systemd", "libssl3", "libuv1" } },
	{ "system/nft-version", { "nft", "--version" } },
	{ "system/modules", { "cat", "/proc/modules" } },
	{ "system/processes", { "ps", "-eo", "pid,ppid,user,stat,rss,etime,comm" } },
	{ "network/ruleset", { "nft", "list", "ruleset" } },
	{ "network/addresses", { "ip", "-d", "-s", "address" } },
	{ "network/rules", { "ip", "rule" } },
	{ "network/rules-ipv6", { "ip", "-6", "rule" } },
	{ "network/routes", { "ip", "route", "show", "table", "all" } },
	{ "network/routes-ipv6", { "ip", "-6", "route", "show", "table", "all" } },
	{ "network/who-has-the-ports", { "ss", "-lunp", "( sport = :500 or sport = :4500 )" } },
	{ "network/xfrm-policies", { "ip", "xfrm", "policy" } },
	{ "network/sysctl",
	  { "sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter",
	    "net.ipv4.conf.all.src_valid_mark" } },
	{ "service/status", { "systemctl", "status", "--no-pager", "--lines=0", "cordon", "cordon-ruleset" } },
	{ "service/units", { "systemctl", "cat", "--no-pager", "cordon", "cordon-ruleset" } },
	{ "service/others",
	  { "systemctl", "is-active", "nftables", "firewalld", "ufw", "docker", "strongswan", "ipsec" } },
	{ "service/journal", { "journalctl", "--no-pager", "-n", "5000", "-o", "short-iso-precise", "-u", "cordon*" } },
};

/* One request each; the reply as it comes. */
static const struct {
	const char *name;
	enum control_request request;
	const char *what;
} questions[] = {
	{ "cordon/status.json", CONTROL_STATUS, NULL },
	{ "cordon/state.json", CONTROL_STATE, NULL },
	{ "cordon/history.json", CONTROL_HISTORY, NULL },
	{ "cordon/events.json", CONTROL_EVENTS, NULL },
	{ "cordon/show-exemptions.json", CONTROL_SHOW, "exemptions" },
};

struct collection {
	struct archive *archive;
	struct redactor *redactor;
	struct str *contents; /* what is in it, for its first page */
	size_t removed;
};

static void add(struct collection *c, const char *name, const struct str *text)
{
	SCOPED(str_wipe) struct str clean = { 0 };
	size_t n = redactor_copy(c->redactor, str_text(text), text->len, &clean);

	archive_add(c->archive, name, str_text(&clean), clean.len);
	str_addf(c->contents, "  %-32s %8zu octets%s\n", name, clean.len, n ? ", secrets taken out" : "");
	c->removed += n;
}

static void add_file(struct collection *c, const char *name, const char *path)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(str_wipe) struct str out = { 0 };
	struct diag why = { 0 };

	if (text_read(path, MEMBER_MOST, &t, &why) == 0)
		str_add_n(&out, t->octets, t->len);
	else
		str_addf(&out, "[not read: %s]\n", why.text);
	add(c, name, &out);
}

static void add_program(struct collection *c, const char *name, const char *const *words)
{
	SCOPED(str_wipe) struct str out = { 0 };

	for (size_t i = 0; words[i]; i++)
		str_addf(&out, "%s%s", i ? " " : "$ ", words[i]);
	str_add(&out, "\n");
	program_output(words, PROGRAM_S, MEMBER_MOST, &out);
	add(c, name, &out);
}

static void add_answer(struct collection *c, const char *run_dir, size_t question)
{
	SCOPED(str_wipe) struct str out = { 0 };
	struct diag why = { 0 };
	json_t *request = control_request_new(questions[question].request), *reply = NULL;
	char *text;

	if (questions[question].what)
		(void)json_object_set_new(request, "what", json_string(questions[question].what));
	if (control_ask(run_dir, request, &reply, &why) < 0)
		str_addf(&out, "[no answer: %s]\n", why.text);
	else if ((text = json_dumps(reply, JSON_INDENT(1) | JSON_PRESERVE_ORDER))) {
		str_add(&out, text);
		str_add(&out, "\n");
		free(text);
	}
	json_decref(reply);
	json_decref(request);
	add(c, questions[question].name, &out);
}

/* ---- where secrets are ------------------------------------------------------------------------------------------- */

static void learn_named_in(struct redactor *r, const char *path)
{
	SCOPED(text_freep) struct text *t = NULL;

	if (text_read(path, MEMBER_MOST, &t, NULL) == 0)
		redactor_learn_named(r, t->octets, t->len);
}

/* A daemon in a lab may have been told to write keys down. */
static void learn_exported(struct redactor *r)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[64], line[PATH_TEXT];
		FILE *f = NULL;
		size_t n = 0;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		(void)snprintf(path, sizeof path, "/proc/%.20s/cmdline", e->d_name);
		if ((f = fopen(path, "re"))) {
			n = fread(line, 1, sizeof line - 1, f);
			(void)fclose(f);
		}
		line[n] = '\0';
		for (const char *at = line; at < line + n; at += strlen(at) + 1)
			if (strcmp(at, "--export-keys") == 0 && at + strlen(at) + 1 < line + n)
				(void)redactor_learn(r, at + strlen(at) + 1);
	}
	if (d)
		(void)closedir(d);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

struct places {
	const char *page, *policy, *state_dir, *run_dir;
	char in_force[PATH_TEXT]; /* the text of the version in force; empty: none */
};

static void find_in_force(struct places *p)
{
	char path[PATH_TEXT];
	json_t *o;

	(void)snprintf(path, sizeof path, "%s/state.json", p->state_dir);
	o = json_load_file(path, 0, NULL);
	if (ask_number(o, "current"))
		(void)snprintf(p->in_force, sizeof p->in_force, "%s/history/%03" PRIu64 ".yaml", p->state_dir,
			       ask_number(o, "current"));
	json_decref(o);
}

static void learn_secrets(struct redactor *r, const struct places *p)
{
	const char *const known[] = { p->page, p->policy, NULL };
	char path[PATH_TEXT];

	redactor_learn_folder(r, "/etc/cordon", known);
	learn_named_in(r, p->page);
	learn_named_in(r, p->policy);
	if (*p->in_force)
		learn_named_in(r, p->in_force);
	(void)snprintf(path, sizeof path, "%s/crash-secret", p->state_dir);
	(void)redactor_learn(r, path);
	learn_exported(r);
}

static void collect(struct collection *c, const struct places *p)
{
	char path[PATH_TEXT];

	add_file(c, "etc/host.yaml", p->page);
	add_file(c, "etc/policy.yaml", p->policy);
	(void)snprintf(path, sizeof path, "%s/state.json", p->state_dir);
	add_file(c, "state/state.json", path);
	(void)snprintf(path, sizeof path, "%s/boot.nft", p->state_dir);
	add_file(c, "state/boot.nft", path);
	if (*p->in_force)
		add_file(c, "state/policy-in-force.yaml", p->in_force);
	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		add_answer(c, p->run_dir, i);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		add_program(c, programs[i].name, programs[i].words);
}

static void add_first_page(struct collection *c)
{
	SCOPED(str_wipe) struct str page = { 0 };

	str_addf(&page,
		 "What cordon support " CORDON_VERSION
		 " collected. Files of keys were not copied; where what stands in them, a\n"
		 "private key or a password stood elsewhere, it was taken out (%zu times). Names, addresses and "
		 "subjects of\n"
		 "certificates are in it.\n\n%s",
		 c->removed, str_text(c->contents));
	archive_add(c->archive, "README", page.text, page.len);
}

static void default_name(char ret[NAME_TEXT])
{
	char host[32] = "host", when[24] = "";
	time_t now = time(NULL);
	struct tm t;

	(void)gethostname(host, sizeof host - 1);
	host[sizeof host - 1] = '\0';
	for (char *at = host; *at; at++)
		if (!isalnum((unsigned char)*at))
			*at = '-';
	if (localtime_r(&now, &t))
		(void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &t);
	(void)snprintf(ret, NAME_TEXT, "cordon-support-%s-%s", host, when);
}

static int run(int argc, char **argv)
{
	SCOPED(redactor_freep) struct redactor *r = redactor_new();
	SCOPED(str_wipe) struct str contents = { 0 };
	struct places p = { "/etc/cordon/host.yaml", "/etc/cordon/policy.yaml", "/var/lib/cordon", NULL, "" };
	const char *out = NULL;
	const struct argument_option options[] = { { "--out", NULL, &out },
						   { "--config", NULL, &p.page },
						   { "--policy", NULL, &p.policy },
						   { "--state-dir", NULL, &p.state_dir },
						   { "--run-dir", NULL, &p.run_dir } };
	struct collection c = { .redactor = r, .contents = &contents };
	char name[NAME_TEXT], path[NAME_TEXT + 8];
	struct diag why = { 0 };
	size_t n;

	if (arguments_read(&command_support, argc, argv, options, ARRAY_LEN(options), NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	p.run_dir = p.run_dir ? p.run_dir : getenv("CORDON_RUN_DIR");
	p.run_dir = p.run_dir && *p.run_dir ? p.run_dir : "/run/cordon";
	default_name(name);
	(void)snprintf(path, sizeof path, "%s.tar.gz", name);
	out = out ? out : path;
	if (geteuid() != 0)
		(void)fputs("cordon: not root: what only root may read is left out, and secrets cannot be looked for\n",
			    stderr);
	find_in_force(&p);
	learn_secrets(r, &p);
	if (archive_new(out, name, &c.archive, &why) == 0) {
		collect(&c, &p);
		add_first_page(&c);
		if (archive_end(c.archive, &why) == 0) {
			(void)printf("Wrote %s. It names hosts, addresses and certificates: look through it before you "
				     "give it "
				     "away.\n",
				     out);
			return EXIT_OK;
		}
	}
	(void)fprintf(stderr, "cordon: %s\n", why.text);
	return EXIT_FAILED;
}
