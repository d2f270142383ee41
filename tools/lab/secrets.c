#include "tools/lab/secrets.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "identity/pki.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

enum { LAB_DAYS = 90, PSK_OCTETS = 24, PEM_MOST = 1 << 20 };

/* Where the policy accepts any authority, one of this name is made. */
static const char any_issuer[] = "CN=Lab Root CA";
static const char home[] = "/etc/cordon/lab"; /* below a host's root */

struct authority {
	const char *name;
	char *folder;
};

struct psk {
	const char *file; /* as the policy says */
	char key[2 * PSK_OCTETS + 1];
};

struct secrets {
	const struct policy *policy;
	struct authority *authorities;
	size_t authority_count, authority_cap;
	struct psk *psks;
	size_t psk_count, psk_cap;
	size_t certificates;
};

/* ---- for the whole network ------------------------------------------------------------------------------------- */

static const char *issuer_of(const struct auth_method *m)
{
	return m->issuer ? m->issuer : any_issuer;
}

static size_t authority_of(const struct secrets *s, const char *issuer)
{
	size_t i = 0;

	while (i < s->authority_count && strcmp(s->authorities[i].name, issuer) != 0)
		i++;
	return i;
}

static int add_authority(struct secrets *s, const char *folder, const char *issuer, struct diag *d)
{
	SCOPED(str_wipe) struct str path = { 0 };
	int e;

	if (authority_of(s, issuer) < s->authority_count)
		return 0;
	str_addf(&path, "%s/authority%zu", folder, s->authority_count);
	if ((e = pki_init(str_text(&path), issuer, PKI_ECDSA_P384, LAB_DAYS, d)) < 0)
		return diag_wrap(d, e, "authority %s", issuer);
	s->authorities = mem_grow(s->authorities, s->authority_count, &s->authority_cap, sizeof *s->authorities);
	s->authorities[s->authority_count++] = (struct authority){ issuer, mem_string(str_text(&path)) };
	return 0;
}

static const struct psk *psk_of(const struct secrets *s, const char *file)
{
	for (size_t i = 0; i < s->psk_count; i++)
		if (strcmp(s->psks[i].file, file) == 0)
			return &s->psks[i];
	return NULL;
}

static int add_psk(struct secrets *s, const char *file, struct diag *d)
{
	uint8_t octets[PSK_OCTETS];
	struct psk *p;

	if (psk_of(s, file))
		return 0;
	/* It is written below a host's root, and must stay there. */
	if (file[0] != '/' || strstr(file, "/../") || strlen(file) >= PKI_PATH / 2)
		return diag_fail(d, EINVAL, "pre-shared key %s: the lab wants a whole path, without ..", file);
	if (getrandom(octets, sizeof octets, 0) != (ssize_t)sizeof octets)
		return diag_errno(d, errno, "getrandom");
	s->psks = mem_grow(s->psks, s->psk_count, &s->psk_cap, sizeof *s->psks);
	p = &s->psks[s->psk_count++];
	p->file = file;
	for (size_t i = 0; i < sizeof octets; i++)
		(void)snprintf(p->key + 2 * i, 3, "%02x", octets[i]);
	explicit_bzero(octets, sizeof octets);
	return 0;
}

int secrets_new(const struct policy *p, const char *folder, struct secrets **ret, struct diag *d)
{
	SCOPED(secrets_freep) struct secrets *s = mem_new(1, sizeof *s);
	const struct key_exchange_set *exchanges;
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);
	int e = 0;

	s->policy = p;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const struct auth_method *m = &sets[i].methods[k];

			if (m->kind == AUTH_CERTIFICATE)
				e = add_authority(s, folder, issuer_of(m), d);
			else if (m->kind == AUTH_PSK)
				e = add_psk(s, m->psk_file, d);
			if (e < 0)
				return e;
		}
	size_t count = policy_key_exchange_sets(p, &exchanges);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < exchanges[i].ppk_count; k++)
			if ((e = add_psk(s, exchanges[i].ppks[k].file, d)) < 0)
				return e;
	*ret = TAKE(s);
	return 0;
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->authority_count; i++)
		free(s->authorities[i].folder);
	if (s->psks)
		explicit_bzero(s->psks, s->psk_count * sizeof *s->psks);
	free(s->authorities);
	free(s->psks);
	free(s);
}

size_t secrets_certificates(const struct secrets *s)
{
	return s->certificates;
}

/* ---- for one host ---------------------------------------------------------------------------------------------- */

/* The folders that lead to `path`. */
static int make_way(const char *path, struct diag *d)
{
	char *way = mem_string(path);
	int e = 0;

	for (char *slash = strchr(way + 1, '/'); slash && e == 0; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(way, 0700) < 0 && errno != EEXIST)
			e = diag_errno(d, errno, "make the folder %s", way);
		*slash = '/';
	}
	free(way);
	return e;
}

static int put_file(const char *root, const char *file, const void *octets, size_t len, struct diag *d)
{
	SCOPED(str_wipe) struct str path = { 0 };
	int e;

	str_addf(&path, "%s%s", root, file);
	if ((e = make_way(str_text(&path), d)) < 0)
		return e;
	return text_replace(str_text(&path), octets, len, 0600, d);
}

static bool holds(const struct host *h, const struct auth_set *set)
{
	for (size_t i = 0; i < h->credential_count; i++)
		if (h->credentials[i] == set)
			return true;
	return h->credentials == NULL;
}

static bool same_certificate(const struct auth_method *a, const struct auth_method *b)
{
	return a->kind == AUTH_CERTIFICATE && strcmp(issuer_of(a), issuer_of(b)) == 0 &&
	       a->maps_account == b->maps_account && certificate_criteria_equal(&a->both, &b->both) &&
	       certificate_criteria_equal(&a->own, &b->own) && certificate_criteria_equal(&a->peer, &b->peer);
}

/* What the certificate must be for, and called, so that it is chosen here and taken there. */
struct made_to_measure {
	const char *ekus[PKI_LIST_MOST], *dns[2];
	size_t eku_count, dns_count;
	struct str parts; /* of the subject, behind the CN */
};

static void made_wipe(struct made_to_measure *made)
{
	str_wipe(&made->parts);
}

static void measure(const struct auth_method *m, const char *name, const char *account, struct made_to_measure *made)
{
	static const char *const parts[NAME_TYPES] = {
		[NAME_CN] = "CN", [NAME_OU] = "OU", [NAME_O] = "O", [NAME_DC] = "DC"
	};
	const struct certificate_criteria *const all[] = { &m->both, &m->own, &m->peer };

	if (m->maps_account && account)
		made->dns[made->dns_count++] = account;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		for (size_t k = 0; k < all[i]->eku_count && made->eku_count < PKI_LIST_MOST; k++)
			made->ekus[made->eku_count++] = all[i]->ekus[k];
		if (parts[all[i]->name_type])
			str_addf(&made->parts, ",%s=%s", parts[all[i]->name_type], all[i]->name);
		if (all[i]->name_type == NAME_DNS && made->dns_count == 0) {
			made->dns[made->dns_count++] = all[i]->name;
			made->dns[made->dns_count++] = name;
		}
	}
}

static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

/* "CN=name" as RFC 4514 writes it. */
static void add_subject(struct str *out, const char *name)
{
	str_add(out, "CN=");
	for (size_t i = 0; name[i]; i++) {
		bool end = i == 0 || !name[i + 1];

		str_addf(out, "%s%c", strchr(",+\"\\<>;=#", name[i]) || (end && name[i] == ' ') ? "\\" : "", name[i]);
	}
}

static int issue_certificate(struct secrets *s, const struct host *h, const struct auth_method *m, const char *account,
			     const char *root, size_t number, struct str *page, struct diag *d)
{
	SCOPED(str_wipe) struct str out = { 0 };
	struct addr *addresses = mem_new(h->address_count, sizeof *addresses);
	SCOPED(str_wipe) struct str subject = { 0 };
	SCOPED(made_wipe) struct made_to_measure made = { 0 };
	struct pki_request r = { .name = h->name,
				 .addresses = addresses,
				 .address_count = h->address_count,
				 .ekus = made.ekus,
				 .dns = made.dns,
				 .key = PKI_ECDSA_P384,
				 .days = LAB_DAYS };
	struct pki_issued *issued = mem_new(1, sizeof *issued);
	int e;

	for (size_t i = 0; i < h->address_count; i++)
		addresses[i] = h->addresses[i].addr;
	measure(m, h->name, account, &made);
	r.eku_count = made.eku_count;
	r.dns_count = made.dns_count;
	add_subject(&subject, h->name);
	str_add_n(&subject, str_text(&made.parts), made.parts.len);
	r.subject = str_text(&subject);
	/* A name that is no file's needs one of the file's own. */
	if (h->name[strspn(h->name, plain)] || h->name[0] == '.')
		r.name = "host";
	str_addf(&out, "%s%s/%zu/", root, home, number);
	if ((e = make_way(str_text(&out), d)) == 0 &&
	    (e = pki_issue(s->authorities[authority_of(s, issuer_of(m))].folder, &r, str_text(&out), issued, d)) == 0) {
		str_addf(page, "  - { certificate: %s, key: %s }\n", issued->certificate + strlen(root),
			 issued->key + strlen(root));
		s->certificates++;
	}
	free(addresses);
	free(issued);
	return e;
}

/* One for each authority and usage that the sets which it is to satisfy ask for. */
static int issue_certificates(struct secrets *s, const struct host *h, const char *account, const char *root,
			      struct str *page, struct diag *d)
{
	const struct auth_method **issued = NULL;
	const struct auth_set *sets;
	size_t n = policy_auth_sets(s->policy, &sets), count = 0, cap = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i < n; i++)
		for (size_t k = 0; e == 0 && holds(h, &sets[i]) && k < sets[i].count; k++) {
			const struct auth_method *m = &sets[i].methods[k];
			bool has = m->kind != AUTH_CERTIFICATE;

			for (size_t q = 0; q < count && !has; q++)
				has = same_certificate(issued[q], m);
			if (has)
				continue;
			if (count == 0)
				str_add(page, "certificates:\n");
			issued = mem_grow(issued, count, &cap, sizeof *issued);
			issued[count++] = m;
			e = issue_certificate(s, h, m, account, root, count - 1, page, d);
		}
	free(issued);
	return e;
}

static int give_authorities(const struct secrets *s, const char *root, struct str *page, struct diag *d)
{
	for (size_t i = 0; i < s->authority_count; i++) {
		SCOPED(str_wipe) struct str from = { 0 }, to = { 0 }, trust = { 0 };
		SCOPED(text_freep) struct text *pem = NULL;
		int e;

		str_addf(&from, "%s/ca.pem", s->authorities[i].folder);
		str_addf(&to, "%s/authority%zu.pem", home, i);
		if ((e = text_read(str_text(&from), PEM_MOST, &pem, d)) < 0)
			return e;
		/* With a revocation list, so that a policy can ask for one. */
		str_add_n(&trust, pem->octets, pem->len);
		if ((e = pki_revocations(s->authorities[i].folder, LAB_DAYS, &trust, d)) < 0 ||
		    (e = put_file(root, str_text(&to), str_text(&trust), trust.len, d)) < 0)
			return e;
		str_addf(page, "%s  - %s\n", i ? "" : "trust:\n", str_text(&to));
	}
	return 0;
}

static int give_psks(const struct secrets *s, const struct host *h, const char *root, struct diag *d)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(s->policy, &sets);
	int e;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; holds(h, &sets[i]) && k < sets[i].count; k++) {
			const struct auth_method *m = &sets[i].methods[k];
			const struct psk *p = m->kind == AUTH_PSK ? psk_of(s, m->psk_file) : NULL;

			if (p && (e = put_file(root, p->file, p->key, strlen(p->key), d)) < 0)
				return e;
		}
	return 0;
}

/* Post-quantum pre-shared keys: every host has them all, as the policy's hosts would. */
static int give_ppks(const struct secrets *s, const char *root, struct diag *d)
{
	const struct key_exchange_set *sets;
	size_t n = policy_key_exchange_sets(s->policy, &sets);
	int e;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i].ppk_count; k++) {
			const struct psk *p = psk_of(s, sets[i].ppks[k].file);

			if (p && (e = put_file(root, p->file, p->key, strlen(p->key), d)) < 0)
				return e;
		}
	return 0;
}

int secrets_issue(struct secrets *s, const struct host *h, const char *account, const char *root, struct str *page,
		  struct diag *d)
{
	int e;

	if ((e = issue_certificates(s, h, account, root, page, d)) < 0 || (e = give_authorities(s, root, page, d)) < 0)
		return e;
	if ((e = give_psks(s, h, root, d)) < 0)
		return e;
	return give_ppks(s, root, d);
}
