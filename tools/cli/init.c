/* cordon init: a first policy and a first host's page. What they say is first.c's. */
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "identity/pki.h"
#include "tools/cli/arguments.h"
#include "tools/cli/first.h"
#include "tools/cli/networks.h"
#include "tools/cli/say.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct command command_init;

#define FOLDER "/etc/cordon"
#define PAGE FOLDER "/host.yaml"
#define AUTHORITY FOLDER "/ca.pem"
#define DEFAULT_ISSUER "CN=Cordon Root CA"

struct init {
	const char *output, *page, *issuer, *psk;
	bool force, json, page_written;
	struct networks networks;
	struct first *first;
	char issuer_found[256];
};

enum page_fate { PAGE_WRITTEN, PAGE_KEPT, PAGE_PRINTED };

static int arguments(int argc, char **argv, struct init *i)
{
	const struct argument_option options[] = {
		{ "--output", NULL, &i->output }, { "--host-page", NULL, &i->page }, { "--issuer", NULL, &i->issuer },
		{ "--psk", NULL, &i->psk },       { "--force", &i->force, NULL },    { "--json", &i->json, NULL },
	};
	size_t count;
	int r = arguments_read(&command_init, argc, argv, options, ARRAY_LEN(options), NULL, 0, &count);

	if (r != EXIT_OK)
		return r;
	if (i->psk && i->issuer)
		return command_usage_error(&command_init, "--psk and --issuer: one of the two");
	if (i->psk && i->psk[0] != '/')
		return command_usage_error(&command_init, "--psk takes the key's path on every host: it begins with /");
	for (const char *c = i->psk ? i->psk : ""; *c; c++)
		if (iscntrl((unsigned char)*c))
			return command_usage_error(&command_init, "--psk: a path without control characters");
	for (const char *c = i->issuer ? i->issuer : ""; *c; c++)
		if (iscntrl((unsigned char)*c))
			return command_usage_error(&command_init, "--issuer: a name without control characters");
	if (i->issuer && !strchr(i->issuer, '='))
		return command_usage_error(&command_init,
					   "--issuer takes the authority's name, such as \"CN=Office CA\"");
	if (i->json && i->output && strcmp(i->output, "-") == 0)
		return command_usage_error(&command_init, "--json and --output -: both want standard output");
	return EXIT_OK;
}

/* The folder of Cordon's own files is made if it is not there: it is where both belong. */
static void make_folder(const char *path)
{
	if (strncmp(path, FOLDER "/", strlen(FOLDER "/")) == 0)
		(void)mkdir(FOLDER, 0755);
}

static int write_new(const char *path, const struct str *text, bool force, struct diag *d)
{
	if (!force && access(path, F_OK) == 0)
		return diag_fail(d, EEXIST,
				 "%s is there already: it stays as it is. --force replaces it, --output FILE "
				 "writes elsewhere",
				 path);
	make_folder(path);
	return text_replace(path, text->text, text->len, 0644, d);
}

static enum page_fate put_page(const struct init *i, const char *path, bool asked, const struct str *page,
			       struct diag *why)
{
	if (!asked && i->output)
		return PAGE_PRINTED;
	if (access(path, F_OK) == 0 && !(asked && i->force))
		return PAGE_KEPT;
	make_folder(path);
	return text_replace(path, page->text, page->len, 0644, why) < 0 ? PAGE_PRINTED : PAGE_WRITTEN;
}

static void say_how(const struct init *i, const char *path, struct str *out)
{
	const struct first_options *o = &i->first->options;
	const char *name = i->first->name;

	if (o->psk)
		str_addf(out,
			 "\nHosts prove who they are by a pre-shared key, the same on all of them:\n"
			 "  (umask 077; openssl rand -base64 32 > %s)    and copy it to the others\n",
			 o->psk);
	else if (o->issuer_found)
		str_addf(out,
			 "\nHosts prove who they are by a certificate of '%s' (" AUTHORITY ").\n"
			 "  %s.pem and %s.key belong into " FOLDER ".\n",
			 o->issuer, name, name);
	else
		str_addf(out,
			 "\nHosts prove who they are by a certificate of '%s'. To make it and them:\n"
			 "  cordon pki init pki         once, on a machine that is kept safe\n"
			 "  cordon pki issue pki %-6s once for each host; it says which files go where\n"
			 "  Another authority: --issuer, and certificates.md. No certificates: --psk FILE\n",
			 o->issuer, name);
	str_addf(out,
		 "\nNext\n"
		 "  cordon check %s\n"
		 "%s"
		 "  cordon apply %s --confirm 2m\n"
		 "  cordon confirm              or the policy is taken back after two minutes\n"
		 "  cordon status               and when everybody is encrypted: `require` for `request`\n",
		 path,
		 i->page_written ? "  systemctl reload cordon     host.yaml and the policy are read, and in force\n"
				 : "",
		 path);
}

static void say_text(const struct init *i, const char *path, const char *page_path, enum page_fate fate,
		     const struct str *page, const struct diag *why)
{
	struct str out = { 0 };

	if (i->first->zone_count == 0)
		str_addf(&out,
			 "Wrote %s, without a rule: this host is in no network that it could protect.\n"
			 "  Write the one that you mean into it, or call this again when there is one.\n",
			 path);
	else
		str_addf(&out, "Wrote %s: every rule is in mode request, so it cuts nobody off.\n", path);
	if (fate == PAGE_WRITTEN)
		str_addf(&out, "Wrote %s: this host is called %s.\n", page_path, i->first->name);
	else if (fate == PAGE_KEPT)
		str_addf(&out, "Kept %s, which was there.\n", page_path);
	str_add(&out, i->first->zone_count || i->first->left_count ? "\n" : "");
	first_networks(i->first, &out);
	if (fate == PAGE_PRINTED) {
		if (why->code)
			str_addf(&out, "\n%s\n", why->text);
		str_addf(&out, "\nA page for %s, if there is none:\n\n", page_path);
		str_add_n(&out, page->text, page->len);
	}
	say_how(i, path, &out);
	say_print(&out);
}

static int say_as_json(const struct init *i, const char *path, const char *page_path, enum page_fate fate,
		       const struct str *page)
{
	static const char *const fates[] = { "written", "kept", "not-written" };
	json_t *all = first_json(i->first);

	(void)json_object_set_new(all, "ok", json_true());
	(void)json_object_set_new(all, "policy", json_pack("{s:o}", "path", say_string_json(path)));
	(void)json_object_set_new(all, "host_page",
				  json_pack("{s:o, s:s, s:o}", "path", say_string_json(page_path), "fate", fates[fate],
					    "text", say_string_json(str_text(page))));
	return say_json(all);
}

static int failed(const struct init *i, const struct diag *d)
{
	if (i->json)
		(void)say_json(json_pack("{s:b, s:o}", "ok", 0, "error", say_string_json(d->text)));
	else
		(void)fprintf(stderr, "cordon: %s\n%s", d->text,
			      d->code == -EEXIST ? "" : "  To write it elsewhere:  cordon init --output policy.yaml\n");
	return EXIT_FAILED;
}

static int write_all(struct init *i)
{
	const char *path = i->output ? i->output : SAY_DEFAULT_POLICY, *page_path = i->page ? i->page : PAGE;
	SCOPED(str_wipe) struct str policy = { 0 }, page = { 0 };
	struct diag d = { 0 }, why = { 0 };
	enum page_fate fate;

	first_policy(i->first, strcmp(path, "-") == 0 ? "FILE" : path, &policy);
	first_page(i->first, &page);
	if (strcmp(path, "-") == 0) {
		(void)fputs(str_text(&policy), stdout);
		return EXIT_OK;
	}
	if (write_new(path, &policy, i->force, &d) < 0) {
		return failed(i, &d);
	}
	fate = put_page(i, page_path, i->page != NULL, &page, &why);
	i->page_written = fate == PAGE_WRITTEN;
	if (i->json)
		return say_as_json(i, path, page_path, fate, &page);
	say_text(i, path, page_path, fate, &page, &why);
	return EXIT_OK;
}

static int init(int argc, char **argv)
{
	struct init i = { 0 };
	struct diag d = { 0 };
	struct first_options o = { 0 };
	int r;

	if ((r = arguments(argc, argv, &i)) != EXIT_OK)
		return r;
	if (networks_read(&i.networks, &d) < 0)
		return failed(&i, &d);
	o.psk = i.psk;
	o.issuer = i.issuer ? i.issuer : DEFAULT_ISSUER;
	if (!i.issuer && !i.psk && pki_subject(AUTHORITY, i.issuer_found, sizeof i.issuer_found, NULL) == 0) {
		o.issuer = i.issuer_found;
		o.issuer_found = true;
	}
	i.first = first_new(&i.networks, &o);
	r = write_all(&i);
	first_free(i.first);
	networks_wipe(&i.networks);
	return r;
}

const struct command command_init = {
	.name = "init",
	.summary = "a first policy from this host's networks, every rule in `request`",
	.usage = "usage: cordon init [--output FILE] [--host-page FILE] [--issuer DN | --psk FILE] [--force] "
		 "[--json]\n\n"
		 "Writes a first policy to /etc/cordon/policy.yaml, from the networks that this host is in, and a "
		 "first\n"
		 "/etc/cordon/host.yaml if there is none. Every rule that protects is in mode `request`, so that it "
		 "cuts\n"
		 "nobody off. Asks nothing, puts nothing in force, needs no daemon and, with --output, no root.\n\n"
		 "  --output FILE      the policy goes there; - is standard output. host.yaml is printed, not written\n"
		 "  --host-page FILE   the host's page goes there\n"
		 "  --issuer DN        the authority of the hosts' certificates, as \"CN=Office CA\"; default: the one "
		 "of\n"
		 "                     /etc/cordon/ca.pem, or else \"CN=Cordon Root CA\", which `cordon pki init` "
		 "makes\n"
		 "  --psk FILE         a pre-shared key in that file of every host, instead of certificates\n"
		 "  --force            replace the policy, and a page named by --host-page, if they are there\n"
		 "  --json             what was found and written, machine-readable\n",
	.run = init,
};
