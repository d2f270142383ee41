/* cordon pki: a small authority, so that nobody needs to know openssl's incantations. */
#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"
#include "identity/pki.h"
#include "tools/cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern const struct command command_pki;

enum option_id {
	OPT_NAME = 1,
	OPT_KEY,
	OPT_DAYS,
	OPT_ADDRESS,
	OPT_DNS,
	OPT_EKU,
	OPT_OUT,
	OPT_SUBJECT,
	OPT_FORCE,
};

struct options {
	const char *name, *out, *subject;
	enum pki_key key;
	bool key_given, force;
	unsigned days;
	struct addr addresses[PKI_LIST_MOST];
	const char *dns[PKI_LIST_MOST], *ekus[PKI_LIST_MOST];
	size_t address_count, dns_count, eku_count;
};

static int failed(const struct diag *d)
{
	(void)fprintf(stderr, "cordon: %s\n", d->text);
	return EXIT_FAILED;
}

static int days_parse(const char *text, unsigned *ret)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || end == text || text[0] == '-' || v == 0 || v > 36500)
		return -EINVAL;
	*ret = (unsigned)v;
	return 0;
}

static int list_put(const char **list, size_t *count, const char *what)
{
	if (*count == PKI_LIST_MOST)
		return command_usage_error(&command_pki, "more than %d names", PKI_LIST_MOST);
	list[(*count)++] = what;
	return EXIT_OK;
}

static int option_take(struct options *o, int id, const char *value)
{
	struct diag d = { 0 };

	switch (id) {
	case OPT_NAME:
		o->name = value;
		return EXIT_OK;
	case OPT_SUBJECT:
		o->subject = value;
		return EXIT_OK;
	case OPT_OUT:
		o->out = value;
		return EXIT_OK;
	case OPT_FORCE:
		o->force = true;
		return EXIT_OK;
	case OPT_DNS:
		return list_put(o->dns, &o->dns_count, value);
	case OPT_EKU:
		return list_put(o->ekus, &o->eku_count, value);
	case OPT_KEY:
		o->key_given = pki_key_by_name(value, &o->key);
		if (!o->key_given)
			return command_usage_error(&command_pki,
						   "'%s' is no key type: ecdsa-p384, ecdsa-p256, rsa-3072 or ed25519",
						   value);
		return EXIT_OK;
	case OPT_DAYS:
		if (days_parse(value, &o->days) < 0)
			return command_usage_error(&command_pki, "--days takes a number from 1 to 36500, not '%s'",
						   value);
		return EXIT_OK;
	case OPT_ADDRESS:
		if (o->address_count == PKI_LIST_MOST)
			return command_usage_error(&command_pki, "more than %d addresses", PKI_LIST_MOST);
		if (addr_parse(value, strlen(value), &o->addresses[o->address_count], &d) < 0)
			return command_usage_error(&command_pki, "--address: %s", d.text);
		o->address_count++;
		return EXIT_OK;
	default: /* getopt has said what is wrong */
		return command_usage_error(&command_pki, "I do not know that option");
	}
}

static int options_read(int argc, char **argv, struct options *o, const struct option *known)
{
	int id, e;

	optind = 0; /* getopt's own state, begun anew */
	opterr = 0;
	while ((id = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (id == '?')
			return command_usage_error(&command_pki, "'%s' is no option of `pki %s`, or lacks its value",
						   argv[optind > 1 ? optind - 1 : 1], argv[0]);
		if ((e = option_take(o, id, optarg)) != EXIT_OK)
			return e;
	}
	return EXIT_OK;
}

static void day_print(int64_t when)
{
	time_t t = (time_t)when;
	struct tm tm;
	char day[16] = "?";

	if (gmtime_r(&t, &tm))
		(void)strftime(day, sizeof day, "%Y-%m-%d", &tm);
	(void)printf("%s", day);
}

static int run_init(int argc, char **argv)
{
	static const struct option known[] = { { "name", required_argument, NULL, OPT_NAME },
					       { "key", required_argument, NULL, OPT_KEY },
					       { "days", required_argument, NULL, OPT_DAYS },
					       { 0 } };
	struct options o = { .name = "CN=Cordon Root CA", .key = PKI_ECDSA_P384, .days = PKI_AUTHORITY_DAYS };
	struct diag d = { 0 };
	const char *dir;
	int e;

	if ((e = options_read(argc, argv, &o, known)) != EXIT_OK)
		return e;
	if (argc - optind != 1)
		return command_usage_error(&command_pki, "init takes one folder");
	dir = argv[optind];
	if (pki_init(dir, o.name, o.key, o.days, &d) < 0)
		return failed(&d);
	(void)printf("Made the authority %s (%s) in %s, valid until ", o.name, pki_key_name(o.key), dir);
	day_print((int64_t)time(NULL) + (int64_t)o.days * 86400);
	(void)printf("\n  %s/ca.pem  its certificate: copy it to every host\n"
		     "  %s/ca.key  its key: whoever has it can be any host. Keep it off the hosts\n"
		     "\nIn every host's /etc/cordon/host.yaml\n"
		     "    trust: [/etc/cordon/ca.pem]\n"
		     "\nIn the policy\n"
		     "    authentication:\n"
		     "      machine-certificate:\n"
		     "        - certificate: { issuer: \"%s\", extended-key-usage: ike-intermediate }\n"
		     "\nNext: a certificate for each host\n"
		     "    cordon pki issue %s HOST --address 10.0.0.1\n",
		     dir, dir, o.name, dir);
	return EXIT_OK;
}

static int run_issue(int argc, char **argv)
{
	static const struct option known[] = { { "address", required_argument, NULL, OPT_ADDRESS },
					       { "dns", required_argument, NULL, OPT_DNS },
					       { "eku", required_argument, NULL, OPT_EKU },
					       { "subject", required_argument, NULL, OPT_SUBJECT },
					       { "key", required_argument, NULL, OPT_KEY },
					       { "days", required_argument, NULL, OPT_DAYS },
					       { "out", required_argument, NULL, OPT_OUT },
					       { "force", no_argument, NULL, OPT_FORCE },
					       { 0 } };
	struct options o = { .key = PKI_ECDSA_P384, .days = PKI_HOST_DAYS };
	struct pki_issued issued;
	struct diag d = { 0 };
	const char *dir, *name;
	int e;

	if ((e = options_read(argc, argv, &o, known)) != EXIT_OK)
		return e;
	if (argc - optind != 2)
		return command_usage_error(&command_pki, "issue takes the authority's folder and the host's name");
	dir = argv[optind];
	name = argv[optind + 1];
	struct pki_request r = { .name = name,
				 .subject = o.subject,
				 .addresses = o.addresses,
				 .address_count = o.address_count,
				 .dns = o.dns,
				 .dns_count = o.dns_count,
				 .ekus = o.ekus,
				 .eku_count = o.eku_count,
				 .key = o.key,
				 .days = o.days,
				 .replace = o.force };

	if (pki_issue(dir, &r, o.out ? o.out : dir, &issued, &d) < 0)
		return failed(&d);
	(void)printf("Issued %s by %s, valid until ", issued.subject, issued.issuer);
	day_print(issued.not_after_s);
	(void)printf("\n  %s\n  %s  (readable by its owner alone; leave it so)\n"
		     "\nCopy both and %s/ca.pem to /etc/cordon on %s, and write in its /etc/cordon/host.yaml\n"
		     "    name: %s\n"
		     "    certificates:\n"
		     "      - { certificate: /etc/cordon/%s.pem, key: /etc/cordon/%s.key }\n"
		     "    trust: [/etc/cordon/ca.pem]\n",
		     issued.certificate, issued.key, dir, name, name, name, name);
	return EXIT_OK;
}

static int run_show(int argc, char **argv)
{
	static const struct option known[] = { { 0 } };
	SCOPED(str_wipe) struct str out = { 0 };
	struct options o = { 0 };
	struct diag d = { 0 };
	int e;

	if ((e = options_read(argc, argv, &o, known)) != EXIT_OK)
		return e;
	if (optind == argc)
		return command_usage_error(&command_pki, "show takes a file of certificates");
	for (int i = optind; i < argc; i++) {
		if (i > optind)
			str_add(&out, "\n");
		if (pki_show(argv[i], time(NULL), &out, &d) < 0)
			return failed(&d);
	}
	(void)fputs(str_text(&out), stdout);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} rows[] = { { "init", run_init }, { "issue", run_issue }, { "show", run_show } };

	if (argc < 2)
		return command_usage_error(&command_pki, "say what to do: init, issue or show");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, argv[1]) == 0)
			return rows[i].run(argc - 1, argv + 1);
	return command_usage_error(&command_pki, "'%s' is not init, issue or show", argv[1]);
}

const struct command command_pki = {
	.name = "pki",
	.summary = "a small certificate authority: init, issue, show",
	.usage = "usage: cordon pki init DIR [--name DN] [--key TYPE] [--days N]\n"
		 "       cordon pki issue DIR HOST [--address IP]... [--dns NAME]... [--eku USAGE]...\n"
		 "                        [--subject DN] [--key TYPE] [--days N] [--out DIR] [--force]\n"
		 "       cordon pki show FILE...\n"
		 "\n"
		 "  init   makes an authority in the folder DIR: ca.pem and ca.key\n"
		 "  issue  makes HOST.pem and HOST.key for a host, signed by it\n"
		 "  show   prints what certificates say, and what is wrong with them\n"
		 "\n"
		 "  --name DN      the authority's name, as a policy's `issuer` asks for it: \"CN=Example Root CA\"\n"
		 "  --key TYPE     ecdsa-p384 (default), ecdsa-p256, rsa-3072 or ed25519\n"
		 "  --days N       how long it is valid: 3650 for an authority, 730 for a host\n"
		 "  --address IP   an address that the certificate names; may be repeated, as may:\n"
		 "  --dns NAME     a DNS name; default is the host's name\n"
		 "  --eku USAGE    an extended key usage; default: ike-intermediate, ipsecIKE, serverAuth, clientAuth\n"
		 "  --subject DN   the certificate's subject; default CN=HOST\n"
		 "  --out DIR      where the host's files go; default is the authority's folder\n"
		 "  --force        replace files that are there\n",
	.run = run,
};
