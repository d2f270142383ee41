/* Every suite that a policy can name is agreed on by two engines, for main mode and quick mode, ESP and AH; and what is
 * agreed on where an offer mixes both. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "base/diag.h"

#include <stdio.h>
#include <string.h>

static const char *policy_of(const char *ike, const char *child)
{
	static char text[2][1024];
	static unsigned turn;
	char *at = text[turn++ % 2];

	(void)snprintf(at, sizeof text[0],
		       "cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n  default: { proposals: [%s], legacy: allow }\n"
		       "protection:\n  default: { proposals: [%s], lifetime: { time: 10m }, legacy: allow }\n"
		       "connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], "
		       "mode: require, authentication: password }\n",
		       ike, child);
	return at;
}

/* The newest outbound SA of a host. */
static const struct world_sa *sends(const struct world *w, unsigned host)
{
	const struct world_sa *newest = NULL;

	for (size_t i = 0; i < SAS_MOST; i++) {
		const struct world_sa *sa = &w->hosts[host].sas[i];
		if (sa->used && !sa->inbound && (!newest || sa->order > newest->order))
			newest = sa;
	}
	return newest;
}

static void renew(struct world *w)
{
	struct keying_child_row row;

	assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .spi = row.spi_out, .pair = row.pair };
	world_sad_event(w, 0, &e);
}

static void agree(const char *ike, const char *child)
{
	struct world *w = world_new(policy_of(ike, child));
	char text[SUITE_TEXT];

	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	if (world_ikes(w, 0) != 1 || world_children(w, 0) != 1)
		fail_msg("%s and %s: %s%s", ike, child, w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED],
			 w->hosts[0].last_text[EVENT_QUICK_MODE_FAILED]);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	renew(w); /* with the group, if it has one; and the Delete of the old one names its protocol */
	world_run(w, 8000);
	world_expect_one(w, 1);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_QUICK_MODE_UP], "renewed"));
	/* The suite says no group: the first one had none. */
	assert_int_equal(strncmp(child, child_suite_text(&sends(w, 0)->suite, text), strlen(text)), 0);
	world_free(w);
}

static void every_main_mode_is_agreed_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];
		char text[3 * SUITE_TEXT];
		struct ike_suite suite;

		if (a->kind == ALG_ENCR)
			(void)snprintf(text, sizeof text, "%s-sha256-x25519", a->name);
		else if (a->kind == ALG_PRF)
			(void)snprintf(text, sizeof text, "aes128-%s-x25519, aes256gcm-%s-x25519", a->name, a->name);
		else if (a->kind == ALG_GROUP)
			(void)snprintf(text, sizeof text, "aes256-sha384-%s", a->name);
		else
			continue;
		if (a->kind == ALG_ENCR && ike_suite_parse(text, strlen(text), &suite, NULL) < 0)
			continue; /* hides nothing */
		agree(text, "esp-aes256gcm");
		if (a->kind == ALG_PRF)
			agree(strchr(text, ' ') + 1, "esp-aes256gcm");
	}
}

static void every_quick_mode_is_agreed_on(void **state)
{
	static const char ike[] = "aes256gcm-sha256-x25519";

	(void)state;
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];
		char text[SUITE_TEXT];

		if (a->kind == ALG_ENCR) {
			(void)snprintf(text, sizeof text, "esp-%s%s", a->name, a->aead ? "" : "-sha256");
			agree(ike, strcmp(a->name, "null") == 0 ? "esp-sha256-null" : text);
		} else if (a->kind == ALG_INTEG) {
			(void)snprintf(text, sizeof text, "ah-%s", a->name);
			agree(ike, text);
			if (!a->aead) {
				(void)snprintf(text, sizeof text, "esp-aes128-%s", a->name);
				agree(ike, text);
			}
		} else if (a->kind == ALG_GROUP) {
			(void)snprintf(text, sizeof text, "ah-sha256-%s", a->name);
			agree(ike, text);
		}
	}
}

static void an_offer_may_mix_ah_and_esp(void **state)
{
	static const struct {
		const char *asks, *answers, *agreed;
	} rows[] = {
		{ "ah-sha256, esp-sha256-null", "ah-sha256, esp-sha256-null", "ah-sha256" },
		{ "ah-sha256, esp-sha256-null", "esp-sha256-null", "esp-sha256-null" },
		{ "esp-sha256-null, ah-sha256", "ah-sha256", "ah-sha256" },
		{ "esp-aes256gcm, ah-sha512, ah-sha384", "ah-sha384, esp-aes128gcm", "ah-sha384" },
		{ "ah-aes256gmac, esp-aes256gmac", "esp-aes256gmac", "esp-aes256gmac" },
		{ "ah-sha256, ah-sha384", "esp-sha256-null", NULL },
		{ "esp-sha256-null", "ah-sha256", NULL },
		{ "ah-aes256gmac", "ah-aes128gmac", NULL },
	};
	static const char ike[] = "aes256gcm-sha256-x25519";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new_two(policy_of(ike, rows[i].asks), policy_of(ike, rows[i].answers));
		const struct world_sa *sa;
		char text[SUITE_TEXT];

		world_packet(w, 0, 6, 1, 1);
		world_run(w, 4000);
		sa = sends(w, 0);
		if (!rows[i].agreed) {
			assert_null(sa);
			assert_true(w->hosts[0].events[EVENT_QUICK_MODE_FAILED] > 0);
			world_free(w);
			continue;
		}
		world_expect_one(w, 1);
		assert_non_null(sa);
		assert_string_equal(child_suite_text(&sa->suite, text), rows[i].agreed);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_main_mode_is_agreed_on),
		cmocka_unit_test(every_quick_mode_is_agreed_on),
		cmocka_unit_test(an_offer_may_mix_ah_and_esp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
