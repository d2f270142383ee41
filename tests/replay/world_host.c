/* tests/replay/world_host.c - hosts begin under a policy, get another one, and end. */
#include "tests/replay/world_inside.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char world_policy[] = "cordon: 1\n"
			    "authentication:\n"
			    "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			    "key-exchange:\n"
			    "  default: { proposals: [aes256gcm-sha256-x25519, aes256-sha384-ecp384] }\n"
			    "connection-security:\n"
			    "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
			    "      authentication: password }\n";

const char *world_policy_mode(const char *mode)
{
	static char text[1024];

	(void)snprintf(text, sizeof text,
		       "cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
		       "connection-security:\n"
		       "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: %s, "
		       "authentication: password }\n",
		       mode);
	return text;
}

bool world_is_ipv6(void)
{
	return getenv("CORDON_TEST_IPV6") != NULL;
}

struct addr world_addr(uint8_t a, uint8_t b, uint8_t c, uint8_t n)
{
	struct addr six = { 6, { 0x20, 1, 0xd, 0xb8, 0, a == 10 ? 0 : 2, [15] = n } };

	return world_is_ipv6() ? six : addr_v4(a, b, c, n);
}

/* The policy's addresses in the other family, quoted as YAML wants them. */
static void to_ipv6(const char *text, struct str *out)
{
	static const struct {
		const char *four, *six;
	} prefixes[] = { { "10.0.0.", "2001:db8::" }, { "192.0.2.", "2001:db8:2::" } };

	while (*text) {
		size_t i = 0, digits;

		while (i < ARRAY_LEN(prefixes) && strncmp(text, prefixes[i].four, strlen(prefixes[i].four)) != 0)
			i++;
		if (i == ARRAY_LEN(prefixes)) {
			str_add_n(out, text++, 1);
			continue;
		}
		text += strlen(prefixes[i].four);
		digits = strspn(text, "0123456789");
		if (text[digits] == '/') {
			str_addf(out, "\"%s/64\"", prefixes[i].six);
			text += digits + 1;
			text += strspn(text, "0123456789");
		} else {
			str_addf(out, "\"%s%lx\"", prefixes[i].six, strtoul(text, NULL, 10));
			text += digits;
		}
	}
}

/* Every pre-shared key of the policy becomes Kerberos. */
static void to_kerberos(const char *text, struct str *out)
{
	static const char psk[] = "pre-shared-key: { file: /etc/cordon/psk }";
	const char *at;

	for (; (at = strstr(text, psk)); text = at + strlen(psk)) {
		str_add_n(out, text, (size_t)(at - text));
		str_addf(out, "kerberos: { realm: EXAMPLE }");
	}
	str_addf(out, "%s", text);
}

static struct policy *parse(struct world *w, const char *text)
{
	SCOPED(str_wipe) struct str six = { 0 }, kerberos = { 0 };
	struct policy *p = NULL;

	if (getenv("CORDON_TEST_KERBEROS")) {
		to_kerberos(text, &kerberos);
		text = str_text(&kerberos);
	}

	if (world_is_ipv6()) {
		to_ipv6(text, &six);
		text = str_text(&six);
	}

	if (policy_parse(text_new("test.yaml", text, strlen(text)), NULL, w->report, &p) < 0) {
		struct str out = { 0 };
		report_text(w->report, false, &out);
		fail_msg("%s", str_text(&out));
	}
	return p;
}

static struct plan *compile(struct world *w, const struct policy *p, const struct addr *own)
{
	struct host_address address = { .addr = *own, .prefix = own->family == 4 ? 24 : 64 };
	struct plan_host host = { .own = &address, .own_count = 1 };
	struct plan *plan = NULL;

	assert_int_equal(plan_compile(p, &host, w->report, &plan), 0);
	return plan;
}

static void kerberos_of(struct world_host *h, const struct auth_set *sets, size_t n)
{
	struct keying_credential *c = &h->credentials[1];

	*c = (struct keying_credential){ .number = 1,
					 .kind = AUTH_KERBEROS,
					 .subject = h->kdc.principal,
					 .satisfies = h->by_kerberos,
					 .ranks = h->ranks[1] };
	for (size_t i = 0; h->kdc.principal && i < n; i++)
		for (size_t m = 0; m < sets[i].count && c->satisfies_count < ARRAY_LEN(h->by_kerberos); m++)
			if (sets[i].methods[m].kind == AUTH_KERBEROS) {
				h->ranks[1][c->satisfies_count] = (uint8_t)m;
				h->by_kerberos[c->satisfies_count++] = &sets[i];
				break;
			}
}

static void credential_of(struct world_host *h, const struct policy *p)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);

	h->credential = (struct keying_credential){ .number = 0, .kind = AUTH_PSK, .satisfies = h->satisfies };
	for (size_t i = 0; i < n && i < ARRAY_LEN(h->satisfies); i++)
		for (size_t m = 0; m < sets[i].count; m++)
			if (sets[i].methods[m].kind == AUTH_PSK) {
				h->credential.psk_file = sets[i].methods[m].psk_file;
				h->ranks[0][h->credential.satisfies_count] = (uint8_t)m;
				h->satisfies[h->credential.satisfies_count++] = &sets[i];
				break;
			}
	h->credential.ranks = h->ranks[0];
	kerberos_of(h, sets, n);
	const struct key_exchange_set *ke;
	size_t count = policy_key_exchange_sets(p, &ke);
	h->config.ppk_count = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t m = 0; m < ke[i].ppk_count && h->config.ppk_count < ARRAY_LEN(h->ppks); m++)
			h->ppks[h->config.ppk_count++] = ke[i].ppks[m].file;
	h->config.ppks = h->ppks;
	h->credentials[0] = h->credential;
	h->config.credentials = h->credentials[1].satisfies_count ? h->credentials : &h->credential;
	h->config.credential_count = h->credentials[1].satisfies_count ? 2 : 1;
}

void world_set_principal(struct world *w, unsigned host, const char *principal)
{
	struct world_host *h = &w->hosts[host];

	h->kdc.principal = principal;
	credential_of(h, plan_policy(h->plan));
	keying_set_credentials(h->keying, &h->config, w->now_ms);
}

static void host_begin(struct world *w, struct world_host *h, const char *policy, const struct addr *addr)
{
	struct policy *p = parse(w, policy);
	struct diag d = { 0 };

	h->addr = *addr;
	h->plan = compile(w, p, &h->addr);
	h->config = keying_default;
	credential_of(h, p);
	policy_free(p); /* the plan has it */
	if (keying_new(&h->config, h->plan, &h->keying, &d) < 0)
		fail_msg("%s", d.text);
}

static struct world *new_at(const char *policy0, const char *policy1, const struct addr addrs[HOSTS])
{
	struct world *w = mem_new(1, sizeof *w);
	const char *texts[HOSTS] = { policy0, policy1 };

	w->report = report_new();
	w->latency_ms = 1;
	w->now_ms = 1000;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct world_host *h = &w->hosts[i];
		h->psk = "a secret between us";
		h->ppk = "another one, of 256 bits";
		h->random = 17 + i;
		h->next_spi = 0x1000 * (i + 1);
		h->kdc.principal = i ? "host/b.example@EXAMPLE" : "host/a.example@EXAMPLE";
		host_begin(w, h, texts[i], &addrs[i]);
	}
	return w;
}

struct world *world_new_two(const char *policy0, const char *policy1)
{
	return new_at(policy0, policy1, (struct addr[HOSTS]){ world_addr(10, 0, 0, 1), world_addr(10, 0, 0, 2) });
}

struct world *world_new_ipv6(const char *policy)
{
	return new_at(policy, policy,
		      (struct addr[HOSTS]){ { 6, { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
					    { 6, { 0x20, 1, 0xd, 0xb8, [15] = 2 } } });
}

struct world *world_new(const char *policy)
{
	return world_new_two(policy, policy);
}

void world_replace(struct world *w, unsigned host, const char *policy, const struct addr *addr)
{
	struct world_host *h = &w->hosts[host];

	keying_free(h->keying);
	plan_free(h->plan);
	for (size_t i = 0; i < w->job_count;) {
		if (w->jobs[i].host != host) {
			i++;
			continue;
		}
		keying_job_free(w->jobs[i].job);
		w->jobs[i] = w->jobs[--w->job_count];
	}
	memset(h->sas, 0, sizeof h->sas);
	memset(&h->credential, 0, sizeof h->credential);
	h->held_count = 0;
	host_begin(w, h, policy, addr);
}

void world_set_plan(struct world *w, unsigned host, const char *policy)
{
	struct world_host *h = &w->hosts[host];
	struct policy *p = parse(w, policy);
	struct plan *plan = compile(w, p, &h->addr);

	credential_of(h, p);
	keying_set_plan(h->keying, &h->config, plan, w->now_ms);
	plan_free(h->plan);
	h->plan = plan;
	policy_free(p);
}

void world_restart(struct world *w, unsigned host)
{
	struct world_host *h = &w->hosts[host];
	struct diag d = { 0 };

	keying_free(h->keying);
	for (size_t i = 0; i < SAS_MOST; i++)
		h->sas[i].used = false;
	h->held_count = 0;
	for (size_t i = 0; i < w->job_count;) {
		if (w->jobs[i].host != host) {
			i++;
			continue;
		}
		keying_job_free(w->jobs[i].job);
		w->jobs[i] = w->jobs[--w->job_count];
	}
	if (keying_new(&h->config, h->plan, &h->keying, &d) < 0)
		fail_msg("%s", d.text);
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		keying_free(w->hosts[i].keying);
		plan_free(w->hosts[i].plan);
	}
	for (size_t i = 0; i < w->job_count; i++)
		keying_job_free(w->jobs[i].job);
	for (size_t i = 0; i < w->queued; i++)
		free(w->queue[i]);
	report_free(w->report);
	free(w);
}
