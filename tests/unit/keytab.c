/* Keytabs: what is told of them, and files that are empty, cut, damaged, old or of other machines' keys. */
#include "tests/unit/unit.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "identity/kerberos/keytab.h"
#include "identity/kerberos/principal.h"

#include <stdio.h>
#include <string.h>

static uint8_t file[8192];

static void put_words(struct wire_out *out, const char *text)
{
	wire_put_u16(out, (uint16_t)strlen(text));
	wire_put(out, text, strlen(text));
}

/* name: its components, joined by '|' */
static void put_entry(struct wire_out *out, const char *name, const char *realm, uint32_t kvno, uint16_t enctype,
		      uint16_t key_len)
{
	size_t at = out->len;
	uint16_t count = 1;
	char part[256];

	wire_put_u32(out, 0);
	for (const char *c = name; *c; c++)
		count = (uint16_t)(count + (*c == '|'));
	wire_put_u16(out, count);
	put_words(out, realm);
	for (const char *c = name; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL) {
		(void)snprintf(part, sizeof part, "%.*s", (int)strcspn(c, "|"), c);
		put_words(out, part);
	}
	wire_put_u32(out, 1);
	wire_put_u32(out, 1700000000);
	wire_put_u8(out, (uint8_t)kvno);
	wire_put_u16(out, enctype);
	wire_put_u16(out, key_len);
	for (uint16_t i = 0; i < key_len; i++)
		wire_put_u8(out, (uint8_t)i);
	if (kvno > 255)
		wire_put_u32(out, kvno);
	wire_patch_u32(out, at, (uint32_t)(out->len - at - 4));
}

static struct wire_out begin(void)
{
	struct wire_out out = wire_out(file, sizeof file);

	wire_put_u16(&out, 0x0502);
	return out;
}

/* As adcli leaves it. */
static struct wire_out joined(void)
{
	struct wire_out out = begin();

	for (uint32_t kvno = 2; kvno <= 3; kvno++) {
		put_entry(&out, "SRV1$", "CORP.EXAMPLE", kvno, 18, 32);
		put_entry(&out, "SRV1$", "CORP.EXAMPLE", kvno, 17, 16);
		put_entry(&out, "SRV1$", "CORP.EXAMPLE", kvno, 23, 16);
		put_entry(&out, "host|SRV1", "CORP.EXAMPLE", kvno, 18, 32);
		put_entry(&out, "host|srv1.corp.example", "CORP.EXAMPLE", kvno, 18, 32);
		put_entry(&out, "RestrictedKrbHost|srv1.corp.example", "CORP.EXAMPLE", kvno, 18, 32);
	}
	return out;
}

static void what_it_holds_is_told(void **state)
{
	struct wire_out out = joined();
	SCOPED(keytab_freep) struct keytab *k = NULL;
	struct keytab_told t;
	struct diag d;

	(void)state;
	assert_int_equal(keytab_parse(&(struct octets){ file, out.len }, "/k", &k, &d), 0);
	assert_int_equal(k->count, 12);
	keytab_tell(k, &t);
	assert_int_equal(t.count, 4);
	assert_string_equal(t.all[0].name, "SRV1$@CORP.EXAMPLE");
	assert_int_equal(t.all[0].kvno_count, 2);
	assert_int_equal(t.all[0].kvnos[0], 3);
	assert_int_equal(t.all[0].kvnos[1], 2);
	assert_int_equal(t.all[0].enctype_count, 3);
	assert_string_equal(keytab_told_own(&t), "host/srv1.corp.example@CORP.EXAMPLE");
	assert_string_equal(keytab_told_client(&t), "SRV1$@CORP.EXAMPLE");
	SCOPED(keytab_freep) struct keytab *copy = keytab_copy(k);
	assert_true(keytab_equal(k, copy));
	copy->entries[3].key[0] ^= 1;
	assert_false(keytab_equal(k, copy));
}

static void a_host_without_an_account_is_itself(void **state)
{
	struct wire_out out = begin();
	SCOPED(keytab_freep) struct keytab *k = NULL;
	struct keytab_told t;

	(void)state;
	put_entry(&out, "nfs|b.krb.example", "KRB.EXAMPLE", 1, 18, 32);
	put_entry(&out, "host|b", "KRB.EXAMPLE", 70000, 18, 32);
	assert_int_equal(keytab_parse(&(struct octets){ file, out.len }, "/k", &k, NULL), 0);
	keytab_tell(k, &t);
	assert_string_equal(keytab_told_own(&t), "host/b@KRB.EXAMPLE");
	assert_string_equal(keytab_told_client(&t), "host/b@KRB.EXAMPLE");
	assert_int_equal(t.all[1].kvnos[0], 70000);
}

static void deleted_keys_are_holes(void **state)
{
	struct wire_out out = begin();
	SCOPED(keytab_freep) struct keytab *k = NULL;
	SCOPED(keytab_freep) struct keytab *again = NULL;

	(void)state;
	wire_put_u32(&out, (uint32_t)-20);
	for (int i = 0; i < 20; i++)
		wire_put_u8(&out, 0);
	put_entry(&out, "host|b", "KRB.EXAMPLE", 2, 18, 32);
	wire_put_u32(&out, (uint32_t)-4000); /* the last one may reach beyond the end */
	assert_int_equal(keytab_parse(&(struct octets){ file, out.len }, "/k", &k, NULL), 0);
	assert_int_equal(k->count, 1);
	out.len -= 4;
	wire_put_u32(&out, 0); /* as some writers end */
	assert_int_equal(keytab_parse(&(struct octets){ file, out.len }, "/k", &again, NULL), 0);
}

static void names_keep_their_meaning(void **state)
{
	struct wire_out out = begin();
	SCOPED(keytab_freep) struct keytab *k = NULL;

	(void)state;
	put_entry(&out, "a@b|c/d\\", "R", 1, 18, 32);
	assert_int_equal(keytab_parse(&(struct octets){ file, out.len }, "/k", &k, NULL), 0);
	assert_string_equal(k->entries[0].principal, "a\\@b/c\\/d\\\\@R");
	assert_string_equal(principal_realm(k->entries[0].principal), "R");
}

static void refused(size_t len, const char *words)
{
	struct keytab *k = NULL;
	struct diag d = { 0 };

	if (keytab_parse(&(struct octets){ file, len }, "/k", &k, &d) == 0 || k || !strstr(d.text, words))
		fail_msg("'%s' instead of '%s'", d.text, words);
}

static void what_is_no_keytab_is_refused_in_words(void **state)
{
	struct wire_out out;

	(void)state;
	refused(0, "is empty");
	memcpy(file, "-----BEGIN", 10);
	refused(10, "is no keytab");
	memcpy(file, "\5\1", 2);
	refused(2, "old format 5.1");
	out = begin();
	refused(out.len, "holds no key");
	put_entry(&out, "host|b", "R", 1, 3, 8);
	put_entry(&out, "host|b", "R", 1, 16, 24);
	refused(out.len, "no key of an encryption type that is still used");
	out = begin();
	put_entry(&out, "host|b", "R", 1, 18, 31); /* a key of another length than its kind */
	refused(out.len, "no key of an encryption type");
	out = begin();
	put_entry(&out, "host|b\x1b", "R", 1, 18, 32);
	refused(out.len, "entry 1 means nothing");
	out = begin();
	put_entry(&out, "host|b", "", 1, 18, 32);
	refused(out.len, "entry 1 means nothing");
	out = begin();
	wire_put_u32(&out, 0x7fffffff);
	refused(out.len, "is cut");
	out = begin();
	for (int i = 0; i < 3; i++)
		put_entry(&out, "host|b", "R", 1, 18, 32);
	file[2 + 4] = 0xff; /* of the first, 65,281 components */
	refused(out.len, "entry 1 means nothing");
}

static void a_cut_one_is_never_taken_for_whole(void **state)
{
	struct wire_out out = joined();
	size_t whole = out.len;

	(void)state;
	for (size_t n = 0; n < whole; n++) {
		SCOPED(keytab_freep) struct keytab *k = NULL;

		/* Between two entries it is a keytab of fewer. */
		if (keytab_parse(&(struct octets){ file, n }, "/k", &k, NULL) == 0)
			assert_true(k->count < 12);
	}
}

static void kinds_of_principals(void **state)
{
	static const struct {
		const char *name, *realm;
		bool host, machine;
	} rows[] = {
		{ "host/a.b@R", "R", true, false }, { "HOST/A@R", "R", true, false },
		{ "A$@R", "R", false, true },       { "host/A$@R", "R", true, false },
		{ "a\\@b@R", "R", false, false },   { "host/@R", "R", false, false },
		{ "nobody", "", false, false },     { "$@R", "R", false, false },
		{ "trailing\\", "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(principal_realm(rows[i].name), rows[i].realm) != 0 ||
		    principal_is_host(rows[i].name) != rows[i].host ||
		    principal_is_machine(rows[i].name) != rows[i].machine)
			fail_msg("%s", rows[i].name);
}

static void whose_a_principal_is(void **state)
{
	static const struct {
		const char *principal, *machine;
		bool is;
	} rows[] = {
		{ "host/srv1.corp.example@R", "srv1", true },
		{ "HOST/SRV1@R", "srv1", true },
		{ "host/srv1.corp.example@R", "srv1.other.example", true },
		{ "SRV1$@R", "srv1", true },
		{ "AVERYLONGNAMEOF$@R", "averylongnameofamachine", true },
		{ "host/srv1.corp.example@R", "srv", false },
		{ "host/srv1.corp.example@R", "srv10", false },
		{ "SRV1$@R", "srv10", false },
		{ "SRV10$@R", "srv1", false },
		{ "srv1@R", "srv1", false },
		{ "cifs/srv1.corp.example@R", "srv1", false },
		{ "host/srv1.corp.example@R", "", false },
		{ "$@R", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (principal_is_of(rows[i].principal, rows[i].machine) != rows[i].is)
			fail_msg("%s of %s", rows[i].principal, rows[i].machine);
}

static void one_is_weak_if_all_its_keys_are_of_rc4(void **state)
{
	static struct keytab_told t;

	(void)state;
	t = (struct keytab_told){ 0 };
	assert_false(keytab_told_weak(&t)); /* none at all is told otherwise */
	t.count = 2;
	t.all[0] = (struct keytab_principal){ .enctypes = { 23 }, .enctype_count = 1 };
	t.all[1] = t.all[0];
	assert_true(keytab_told_weak(&t));
	t.all[1].enctypes[1] = 18;
	t.all[1].enctype_count = 2;
	assert_false(keytab_told_weak(&t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_holds_is_told),
		cmocka_unit_test(a_host_without_an_account_is_itself),
		cmocka_unit_test(deleted_keys_are_holes),
		cmocka_unit_test(names_keep_their_meaning),
		cmocka_unit_test(what_is_no_keytab_is_refused_in_words),
		cmocka_unit_test(a_cut_one_is_never_taken_for_whole),
		cmocka_unit_test(kinds_of_principals),
		cmocka_unit_test(whose_a_principal_is),
		cmocka_unit_test(one_is_weak_if_all_its_keys_are_of_rc4),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
