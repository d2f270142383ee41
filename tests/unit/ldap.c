/* A conversation with a domain controller: the test is the controller and the guard. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/scope.h"
#include "daemon/sources/ldap_dialog.h"
#include "daemon/sources/ldap_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16 };

/* ---- answers, in BER ----------------------------------------------------------------------------------------------
 */

struct ber {
	uint8_t octets[ROOM];
	size_t len;
};

/* Wrap what is in b into one element. */
static void enclose(struct ber *b, size_t from, uint8_t tag)
{
	size_t n = b->len - from;
	uint8_t head[4] = { tag, 0x82, (uint8_t)(n >> 8), (uint8_t)n };

	assert_true(b->len + 4 <= sizeof b->octets);
	memmove(b->octets + from + 4, b->octets + from, n);
	memcpy(b->octets + from, head, 4);
	b->len += 4;
}

static void add(struct ber *b, uint8_t tag, const void *octets, size_t n)
{
	size_t from = b->len;

	assert_true(b->len + n <= sizeof b->octets);
	memcpy(b->octets + b->len, octets, n);
	b->len += n;
	enclose(b, from, tag);
}

static void add_text(struct ber *b, uint8_t tag, const char *text)
{
	add(b, tag, text, strlen(text));
}

static void add_id(struct ber *b, uint8_t id)
{
	add(b, 0x02, &id, 1);
}

static void result(struct ber *b, uint8_t id, uint8_t tag, uint8_t code, const char *token)
{
	size_t from;

	b->len = 0;
	add_id(b, id);
	from = b->len;
	add(b, 0x0a, &code, 1);
	add_text(b, 0x04, "");
	add_text(b, 0x04, code ? "80090308: some reason" : "");
	if (token)
		add_text(b, 0x87, token);
	enclose(b, from, tag);
	enclose(b, 0, 0x30);
}

struct pair {
	const char *type;
	const void *value;
	size_t len; /* 0: a text */
};

static void entry(struct ber *b, uint8_t id, const char *name, const struct pair *pairs, size_t count)
{
	size_t from, all;

	b->len = 0;
	add_id(b, id);
	from = b->len;
	add_text(b, 0x04, name);
	all = b->len;
	for (size_t i = 0; i < count; i++) {
		size_t one = b->len, values;

		add_text(b, 0x04, pairs[i].type);
		values = b->len;
		add(b, 0x04, pairs[i].value, pairs[i].len ? pairs[i].len : strlen(pairs[i].value));
		enclose(b, values, 0x31);
		enclose(b, one, 0x30);
	}
	enclose(b, all, 0x30);
	enclose(b, from, 0x64);
	enclose(b, 0, 0x30);
}

/* ---- the other side -----------------------------------------------------------------------------------------------
 */

struct other {
	struct ldap_dialog *g;
	uint8_t sent[ROOM];
	size_t sent_len;
	char target[LDAP_TARGET];
	unsigned steps, wraps, unwraps, ends;
	bool sealing;
	uint8_t asked[LDAP_SEALED_MOST];
	size_t asked_len;
	struct directory_replies *replies;
	char why[256];
};

static void sends(void *context, const void *octets, size_t n)
{
	struct other *o = context;

	assert_true(o->sent_len + n <= sizeof o->sent);
	memcpy(o->sent + o->sent_len, octets, n);
	o->sent_len += n;
}

static void steps(void *context, const char *target, struct octets token)
{
	struct other *o = context;

	(void)token;
	o->steps++;
	if (target)
		(void)snprintf(o->target, sizeof o->target, "%s", target);
}

static void asks(struct other *o, struct octets text)
{
	assert_true(text.len <= sizeof o->asked);
	memcpy(o->asked, text.at, text.len);
	o->asked_len = text.len;
}

static void wraps(void *context, struct octets text, bool seal)
{
	struct other *o = context;

	o->wraps++;
	o->sealing = seal;
	asks(o, text);
}

static void unwraps(void *context, struct octets text)
{
	struct other *o = context;

	o->unwraps++;
	asks(o, text);
}

static void ends(void *context, struct directory_replies *replies, const struct diag *why)
{
	struct other *o = context;

	o->ends++;
	o->replies = replies;
	if (why)
		(void)snprintf(o->why, sizeof o->why, "%.200s", why->text);
}

static void begin(struct other *o, const struct directory_task *task)
{
	const struct ldap_doors doors = { o, sends, steps, wraps, unwraps, ends };

	memset(o, 0, sizeof *o);
	o->g = ldap_dialog_new(task, &doors);
}

static void finish(struct other *o)
{
	ldap_dialog_free(o->g);
	if (o->replies)
		directory_replies_wipe(o->replies);
	free(o->replies);
}

/* The guard's seal is that nothing is changed. */
static void guard_does(struct other *o)
{
	uint8_t text[LDAP_SEALED_MOST];

	memcpy(text, o->asked, o->asked_len);
	ldap_dialog_guarded(o->g, (struct octets){ text, o->asked_len }, NULL);
}

static void says(struct other *o, const struct ber *b)
{
	ldap_dialog_received(o->g, b->octets, b->len);
}

/* In pieces of one octet, sealed. */
static void says_sealed(struct other *o, const struct ber *b)
{
	uint8_t head[4] = { 0, 0, (uint8_t)(b->len >> 8), (uint8_t)b->len };

	for (size_t i = 0; i < 4; i++)
		ldap_dialog_received(o->g, head + i, 1);
	for (size_t i = 0; i < b->len; i++)
		ldap_dialog_received(o->g, b->octets + i, 1);
	assert_int_equal(o->asked_len, b->len);
	guard_does(o);
}

static const struct pair root[] = { { "dnsHostName", "dc1.corp.example", 0 },
				    { "defaultNamingContext", "DC=corp,DC=example", 0 },
				    { "configurationNamingContext", "CN=Configuration,DC=corp,DC=example", 0 } };
/* S-1-5-21-1-2-3-1105 */
static const uint8_t trusted[] = { 1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0,    0, 1, 0,
				   0, 0, 2, 0, 0, 0, 3, 0, 0,  0, 0x51, 4, 0, 0 };
static const uint8_t computer[] = { 1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0,    0, 1, 0,
				    0, 0, 2, 0, 0, 0, 3, 0, 0,  0, 0x50, 4, 0, 0 };

static bool sent(const struct other *o, const char *text)
{
	return memmem(o->sent, o->sent_len, text, strlen(text));
}

/* Up to where everything is sealed, and the domain's short name is known. */
static void comes_in(struct other *o)
{
	static struct ber b;
	static const struct pair names[] = { { "nETBIOSName", "CORP", 0 } };

	entry(&b, 1, "", root, ARRAY_LEN(root));
	says(o, &b);
	result(&b, 1, 0x65, 0, NULL);
	says(o, &b);
	assert_int_equal(o->steps, 1);
	ldap_dialog_stepped(o->g, (struct octets){ "ticket", 6 }, false, NULL);
	assert_true(sent(o, "ticket") && sent(o, "GSSAPI"));
	result(&b, 2, 0x61, 14, "their token");
	says(o, &b);
	assert_int_equal(o->steps, 2);
	ldap_dialog_stepped(o->g, (struct octets){ NULL, 0 }, true, NULL);
	result(&b, 3, 0x61, 14, "\x07\x40\x40\x40");
	says(o, &b);
	assert_int_equal(o->unwraps, 1);
	guard_does(o);
	assert_true(o->wraps == 1 && !o->sealing && o->asked[0] == 4);
	guard_does(o);
	result(&b, 4, 0x61, 0, NULL);
	says(o, &b);
	assert_true(o->wraps == 2 && o->sealing);
	o->sent_len = 0;
	guard_does(o);
	assert_true(sent(o, "nCName"));
	entry(&b, 5, "CN=CORP", names, 1);
	says_sealed(o, &b);
	result(&b, 5, 0x65, 0, NULL);
	says_sealed(o, &b);
}

static void groups_and_accounts_are_found(void **state)
{
	struct directory_question questions[] = {
		{ QUESTION_GROUP, "corp\\Trusted" },         { QUESTION_GROUP, "OTHER\\trusted" },
		{ QUESTION_GROUP, "g*)(x@corp.example" },    { QUESTION_GROUP, "post" },
		{ QUESTION_DNS_ACCOUNT, "m1.corp.example" }, { QUESTION_DNS_ACCOUNT, "m2.corp.example" }
	};
	const struct directory_task task = { .realm = "CORP.EXAMPLE", .questions = questions, .question_count = 6 };
	static const struct pair group[] = { { "sAMAccountName", "trusted", 0 },
					     { "objectSid", trusted, sizeof trusted },
					     { "groupType", "-2147483646", 0 } },
				 post[] = { { "sAMAccountName", "post", 0 },
					    { "objectSid", computer, sizeof computer },
					    { "groupType", "2", 0 } },
				 account[] = { { "objectSid", computer, sizeof computer },
					       { "userAccountControl", "4096", 0 } },
				 token[] = { { "tokenGroups", trusted, sizeof trusted } };
	static struct other o;
	static struct ber b;

	(void)state;
	begin(&o, &task);
	comes_in(&o);
	assert_string_equal(o.target, "ldap/dc1.corp.example/corp.example@CORP.EXAMPLE");
	o.sent_len = 0;
	guard_does(&o);
	assert_true(sent(&o, "g*)(x") && sent(&o, "Trusted") && !sent(&o, "OTHER"));
	entry(&b, 6, "CN=trusted", group, ARRAY_LEN(group));
	says_sealed(&o, &b);
	entry(&b, 6, "CN=post", post, ARRAY_LEN(post));
	says_sealed(&o, &b);
	result(&b, 6, 0x65, 0, NULL);
	says_sealed(&o, &b);
	guard_does(&o); /* the account's search is sealed */
	entry(&b, 7, "CN=m1,DC=corp,DC=example", account, ARRAY_LEN(account));
	says_sealed(&o, &b);
	result(&b, 7, 0x65, 0, NULL);
	says_sealed(&o, &b);
	guard_does(&o);
	entry(&b, 8, "CN=m1,DC=corp,DC=example", token, ARRAY_LEN(token));
	says_sealed(&o, &b);
	result(&b, 8, 0x65, 0, NULL);
	says_sealed(&o, &b);
	guard_does(&o);
	result(&b, 9, 0x65, 0, NULL); /* there is no m2 */
	says_sealed(&o, &b);
	assert_int_equal(o.ends, 1);
	assert_non_null(o.replies);
	assert_int_equal(o.replies->count, 6);
	assert_int_equal(o.replies->replies[0].state, DIRECTORY_FOUND);
	assert_int_equal(o.replies->replies[0].sid.sub[4], 1105);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(o.replies->replies[i].state, DIRECTORY_MISSING);
	assert_int_equal(sid_list_count(o.replies->replies[4].sids), 2);
	assert_int_equal(o.replies->replies[5].state, DIRECTORY_MISSING);
	finish(&o);
}

static const struct directory_task nothing = { .realm = "CORP.EXAMPLE" };

static void servers_that_are_not_the_domains_are_left(void **state)
{
	static const struct {
		struct pair pairs[3];
		size_t count;
		const char *want;
	} rows[] = {
		{ { { "dnsHostName", "dc1.corp.example", 0 },
		    { "defaultNamingContext", "DC=evil,DC=example", 0 },
		    { "configurationNamingContext", "CN=C", 0 } },
		  3,
		  "another domain" },
		{ { { "dnsHostName", "dc1.corp.example/evil@X", 0 },
		    { "defaultNamingContext", "DC=corp,DC=example", 0 },
		    { "configurationNamingContext", "CN=C", 0 } },
		  3,
		  "no domain controller" },
		{ { { "vendorName", "OpenLDAP", 0 } }, 1, "no domain controller" },
	};
	static struct other o;
	static struct ber b;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&o, &nothing);
		entry(&b, 1, "", rows[i].pairs, rows[i].count);
		says(&o, &b);
		assert_int_equal(o.ends, 1);
		if (!strstr(o.why, rows[i].want))
			fail_msg("row %zu: %s", i, o.why);
		assert_int_equal(o.steps, 0);
		finish(&o);
	}
	begin(&o, &(struct directory_task){ .realm = "CORP EXAMPLE" });
	assert_non_null(strstr(o.why, "not the name of a domain"));
	finish(&o);
}

static void refusals_are_told(void **state)
{
	static struct other o;
	static struct ber b;
	const struct diag clock = { -ERR_AUTH, "the clocks differ by 7 minutes" };

	(void)state;
	begin(&o, &nothing);
	entry(&b, 1, "", root, ARRAY_LEN(root));
	says(&o, &b);
	result(&b, 1, 0x65, 0, NULL);
	says(&o, &b);
	ldap_dialog_stepped(o.g, (struct octets){ NULL, 0 }, false, &clock);
	assert_string_equal(o.why, clock.text);
	finish(&o);

	begin(&o, &nothing);
	entry(&b, 1, "", root, ARRAY_LEN(root));
	says(&o, &b);
	result(&b, 1, 0x65, 0, NULL);
	says(&o, &b);
	ldap_dialog_stepped(o.g, (struct octets){ "ticket", 6 }, false, NULL);
	result(&b, 2, 0x61, 49, NULL);
	says(&o, &b);
	assert_non_null(strstr(o.why, "does not believe our ticket: 80090308: some reason"));
	finish(&o);
}

/* Sealing is what keeps others from answering: a server without it is none. */
static void servers_without_sealing_are_left(void **state)
{
	static struct other o;
	static struct ber b;

	(void)state;
	begin(&o, &nothing);
	entry(&b, 1, "", root, ARRAY_LEN(root));
	says(&o, &b);
	result(&b, 1, 0x65, 0, NULL);
	says(&o, &b);
	ldap_dialog_stepped(o.g, (struct octets){ "ticket", 6 }, true, NULL);
	result(&b, 2, 0x61, 14, "\x03\x40\x40\x40");
	says(&o, &b);
	guard_does(&o);
	assert_non_null(strstr(o.why, "offers no sealing"));
	finish(&o);

	begin(&o, &nothing); /* nor is one that lets in at once */
	entry(&b, 1, "", root, ARRAY_LEN(root));
	says(&o, &b);
	result(&b, 1, 0x65, 0, NULL);
	says(&o, &b);
	ldap_dialog_stepped(o.g, (struct octets){ "ticket", 6 }, true, NULL);
	result(&b, 2, 0x61, 0, NULL);
	says(&o, &b);
	assert_int_equal(o.ends, 1);
	assert_null(o.replies);
	finish(&o);
}

static void what_is_no_ldap_ends_it(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
	} rows[] = {
		{ "HTTP/1.1 400 Bad Request", 24 },
		{ "\x30\x84\xff\xff\xff\xff", 6 },
		{ "\x30\x80\x00\x00\x00\x00", 6 },
		{ "\x30\x03\x02\x01\x01", 5 },
		{ "\x30\x05\x02\x01\x07\x65\x00", 7 },
		{ "\x30\x0c\x02\x01\x07\x65\x07\x0a\x01\x00\x04\x00\x04\x00", 14 }, /* of another number */
	};
	static struct other o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&o, &nothing);
		ldap_dialog_received(o.g, rows[i].octets, rows[i].len);
		if (o.ends != 1 || o.replies)
			fail_msg("row %zu", i);
		ldap_dialog_received(o.g, rows[i].octets, rows[i].len); /* nothing more is heard */
		assert_int_equal(o.ends, 1);
		finish(&o);
	}
}

static void cut_and_changed_answers_do_no_harm(void **state)
{
	static struct ber b;
	struct ldap_answer a;
	uint8_t *own;

	(void)state;
	entry(&b, 1, "CN=x", root, ARRAY_LEN(root));
	for (size_t n = 0; n < b.len; n++) {
		own = malloc(n ? n : 1);
		assert_non_null(own);
		memcpy(own, b.octets, n);
		assert_true(ldap_answer_decode(own, n, &a, NULL) < 0);
		free(own);
	}
	for (size_t i = 0; i < b.len; i++)
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			struct wire_in values;
			struct octets type, value;

			b.octets[i] ^= (uint8_t)v;
			if (ldap_answer_decode(b.octets, b.len, &a, NULL) == 0 && a.kind == LDAP_ENTRY)
				while (ldap_next_attribute(&a.attributes, &type, &values))
					while (ldap_next_value(&values, &value))
						assert_true(value.len <= b.len);
			b.octets[i] ^= (uint8_t)v;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_and_accounts_are_found),
		cmocka_unit_test(servers_that_are_not_the_domains_are_left),
		cmocka_unit_test(refusals_are_told),
		cmocka_unit_test(servers_without_sealing_are_left),
		cmocka_unit_test(what_is_no_ldap_ends_it),
		cmocka_unit_test(cut_and_changed_answers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
