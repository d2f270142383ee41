/* Two engines prove themselves by Kerberos in IKEv1 (method 65001). */
#include "keying/v1/gss.h"
#include "tests/replay/v1.h"
#include "tests/unit/unit.h"

#include <string.h>

static void one_of_each(struct world *w)
{
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_UP], "host/a.example@EXAMPLE"));
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_UP], "host/b.example@EXAMPLE"));
}

static void tickets_prove(void **state)
{
	struct world *w = v1_world_kerberos();

	(void)state;
	one_of_each(w);
	assert_int_equal(w->ike_sent[0], 5);
	assert_int_equal(w->hosts[0].kdc.now, 0); /* the context is not kept */
	assert_int_equal(w->hosts[1].kdc.now, 0);
	assert_int_equal(w->hosts[0].events[EVENT_CREDENTIAL_CHOSEN], 0);
	world_free(w);
}

/* What the sources leave open: whatever the peer makes of it, it is understood. */
static void every_reading_is_taken(void **state)
{
	static const uint32_t switches[] = { GSS_NAME_TERMINATED,
					     GSS_NAME_LATIN,
					     GSS_HASH_PREFIX,
					     GSS_HASH_LATIN,
					     GSS_HASH_UNNAMED,
					     GSS_HASH_UNNAMED | GSS_HASH_PREFIX,
					     GSS_HASH_LATIN | GSS_HASH_PREFIX };

	(void)state;
	for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
		struct world *w = v1_world_kerberos();
		w->hosts[0].config.v1_kerberos = switches[i];
		keying_set_credentials(w->hosts[0].keying, &w->hosts[0].config, w->now_ms);
		one_of_each(w);
		/* a reading that is not the first is told */
		bool other = switches[i] >= GSS_HASH_PREFIX;
		assert_int_equal(w->hosts[1].events[EVENT_CREDENTIAL_CHOSEN], other);
		world_free(w);
	}
}

static void failures_are_told(void **state)
{
	struct world *w = v1_world_kerberos();

	(void)state;
	w->hosts[0].kdc.cannot = "the KDC does not answer";
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "the KDC does not answer"));
	assert_int_equal(world_ikes(w, 0), 0);
	world_free(w);

	w = v1_world_kerberos();
	w->hosts[1].kdc.rejects = "the clocks differ by 400 s";
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 5000);
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_FAILED], "the clocks differ by 400 s"));
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "does not accept our proof"));
	assert_int_equal(world_ikes(w, 0), 0);
	assert_int_equal(w->hosts[0].kdc.now, 0);
	assert_int_equal(w->hosts[1].kdc.now, 0);
	world_free(w);

	w = v1_world_kerberos();
	w->hosts[1].kdc.other_key = true;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 5000);
	assert_int_equal(world_ikes(w, 0), 0);
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

/* Whoever answers says who it is, unproven: no ticket is got for another service, whose place it might take. */
static void tickets_are_for_hosts_of_the_realm(void **state)
{
	static const struct {
		const char *principal;
		bool asked;
	} rows[] = {
		{ "host/c.example@EXAMPLE", true },
		{ "C$@EXAMPLE", true },
		{ "host/b.example", true },
		{ "ldap/dc1.example@EXAMPLE", false },
		{ "cifs/files.example@EXAMPLE", false },
		{ "krbtgt/EXAMPLE@EXAMPLE", false },
		{ "administrator@EXAMPLE", false },
		{ "host/b.example@OTHER", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world *w = v1_world_kerberos();

		world_set_principal(w, 1, rows[i].principal);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		if ((w->hosts[0].kdc.made > 0) != rows[i].asked)
			fail_msg("row %zu: %s: %u, %s, %s", i, rows[i].principal, w->hosts[0].kdc.made,
				 w->hosts[0].kdc.contexts[0].peer, w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED]);
		if (!rows[i].asked)
			assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED],
					       "which is no host of a realm that authentication 'machine' names"));
		world_free(w);
	}
}

/* Message 5 is what proves it: whoever has once seen the AP-REQ of another can send that. */
static unsigned without_proof(struct world *w, struct datagram *d)
{
	unsigned *sent = w->context;

	return d->from == 0 && ++*sent > 2 ? 0 : 1;
}

static void a_ticket_without_its_proof_does_nothing(void **state)
{
	struct world *w = v1_world_kerberos();
	const struct ike_sa *sa;
	unsigned sent = 0;

	(void)state;
	w->wire = without_proof;
	w->context = &sent;
	w->hosts[1].kdc.good_ms = 5000;
	w->hosts[1].kdc.warning = "its ticket's groups count for nothing";
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 4000);
	assert_int_equal(w->hosts[1].kdc.accepts, 1);
	sa = TAILQ_FIRST(&w->hosts[1].keying->ikes);
	assert_non_null(sa);
	assert_null(sa->peer);
	assert_true(sa->proven_until_ms == UINT64_MAX);
	world_run(w, 200000);
	assert_int_equal(world_ikes(w, 1), 0);
	for (unsigned e = 0; e < EVENT_COUNT; e++)
		if (strstr(w->hosts[1].last_text[e], "a.example"))
			fail_msg("%s: %s", event_name(e), w->hosts[1].last_text[e]);
	assert_int_equal(w->hosts[1].kdc.now, 0);
	world_free(w);
}

/* Of the groups of who has proven itself: the end that read the ticket says it. */
static void groups_that_cannot_be_read_are_an_event(void **state)
{
	struct world *w = v1_world_kerberos();

	(void)state;
	w->hosts[1].kdc.warning = "its ticket's groups count for nothing: 3 SIDs are cut";
	one_of_each(w);
	assert_int_equal(w->hosts[1].events[EVENT_GROUPS_UNKNOWN], 1);
	assert_string_equal(w->hosts[1].last[EVENT_GROUPS_UNKNOWN].peer, "host/a.example@EXAMPLE");
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_GROUPS_UNKNOWN], "3 SIDs are cut"));
	assert_int_equal(w->hosts[0].events[EVENT_GROUPS_UNKNOWN], 0);
	world_free(w);

	w = v1_world_kerberos(); /* no groups, and the policy has none */
	one_of_each(w);
	assert_int_equal(w->hosts[1].events[EVENT_GROUPS_UNKNOWN], 0);
	world_free(w);
}

/* A ticket with 1,000 groups in it. */
static void tokens_may_be_long(void **state)
{
	struct world *w = v1_world_kerberos();

	(void)state;
	w->hosts[0].kdc.token_octets = 3500;
	one_of_each(w);
	world_free(w);
}

static void principals_are_read(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		const char *want; /* NULL: refused */
	} rows[] = {
		{ "h\0o\0s\0t\0/\0a\0@\0R\0", 16, "host/a@R" },
		{ "h\0o\0s\0t\0/\0a\0@\0R\0\0\0", 18, "host/a@R" },
		{ "h\0o\0s\0t\0/\0a\0", 12, "host/a@EXAMPLE" },
		{ "host/a@R", 8, "host/a@R" },
		{ "DC1$@R", 6, "DC1$@R" },
		{ "", 0, NULL },
		{ "\0\0", 2, NULL },
		{ "a\0 \0b\0", 6, NULL },
		{ "a\0\0\0b\0", 6, NULL },
		{ "a\0\xac\x20", 4, NULL },
	};
	char got[GSS_PRINCIPAL];
	struct diag d = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct keying_octets name = { (const uint8_t *)rows[i].name, rows[i].len };
		int r = gss_principal(name, "EXAMPLE", got, &d);
		if (!rows[i].want != (r < 0) || (r == 0 && strcmp(got, rows[i].want) != 0))
			fail_msg("row %zu: %s", i, r < 0 ? d.text : got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_prove),
		cmocka_unit_test(every_reading_is_taken),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(tokens_may_be_long),
		cmocka_unit_test(principals_are_read),
		cmocka_unit_test(tickets_are_for_hosts_of_the_realm),
		cmocka_unit_test(a_ticket_without_its_proof_does_nothing),
		cmocka_unit_test(groups_that_cannot_be_read_are_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
