/* The groups in a ticket: Microsoft's own example (MS-PAC 3), made ones, and broken ones. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "identity/kerberos/pac.h"
#include "tests/unit/hex.h"

#include <string.h>

static const char microsoft[] = "01100800cccccccca00400000000000000000200d186660f656ac601ffffffffffffff7fffffffff"
				"ffffff7f17d439fe784ac6011794a328424bc601175424977a81c601080008000400020024002400"
				"08000200120012000c00020000000000100002000000000014000200000000001800020054100000"
				"97792c00010200001a0000001c000200200000000000000000000000000000000000000016001800"
				"200002000a000c002400020028000200000000000000000010000000000000000000000000000000"
				"000000000000000000000000000000000d0000002c00020000000000000000000000000004000000"
				"00000000040000006c007a00680075001200000000000000120000004c0069007100690061006e00"
				"670028004c006100720072007900290020005a00680075000900000000000000090000006e007400"
				"6400730032002e006200610074000000000000000000000000000000000000000000000000000000"
				"0000000000000000000000001a00000061c433000700000009c32d00070000005eb4320007000000"
				"010200000700000097b92c00070000002bf1320007000000ce30330007000000a72e2e0007000000"
				"2af132000700000098b92c000700000062c4330007000000940133000700000076c4330007000000"
				"aefe2d000700000032d22c00070000001608320007000000425b2e00070000005fb4320007000000"
				"ca9c35000700000085442d0007000000c2f0320007000000e9ea310007000000ed8e2e0007000000"
				"b6eb310007000000ab2e2e0007000000720e2e00070000000c000000000000000b0000004e005400"
				"4400450056002d00440043002d003000350000000600000000000000050000004e00540044004500"
				"56000000040000000104000000000005150000005951b81766725d2564633b0b0d00000030000200"
				"07000000340002000700002038000200070000203c00020007000020400002000700002044000200"
				"0700002048000200070000204c000200070000205000020007000020540002000700002058000200"
				"070000205c00020007000020600002000700002005000000010500000000000515000000b9301b2e"
				"b7414c6c8c3b351501020000050000000105000000000005150000005951b81766725d2564633b0b"
				"74542f00050000000105000000000005150000005951b81766725d2564633b0be838320005000000"
				"0105000000000005150000005951b81766725d2564633b0bcd383200050000000105000000000005"
				"150000005951b81766725d2564633b0b5db43200050000000105000000000005150000005951b817"
				"66725d2564633b0b41163500050000000105000000000005150000005951b81766725d2564633b0b"
				"e8ea3100050000000105000000000005150000005951b81766725d2564633b0bc119320005000000"
				"0105000000000005150000005951b81766725d2564633b0b29f13200050000000105000000000005"
				"150000005951b81766725d2564633b0b0f5f2e00050000000105000000000005150000005951b817"
				"66725d2564633b0b2f5b2e00050000000105000000000005150000005951b81766725d2564633b0b"
				"ef8f3100050000000105000000000005150000005951b81766725d2564633b0b075f2e0000000000";

enum { ROOM = 1 << 17 };
static uint8_t buf[ROOM];

static bool has(const struct sid_list *l, const char *text)
{
	struct sid s;

	assert_int_equal(sid_parse(text, strlen(text), &s, NULL), 0);
	return sid_list_has(l, &s);
}

static void the_example_of_microsoft_is_read(void **state)
{
	size_t len = hex(microsoft, buf, sizeof buf);
	struct sid_list l;
	struct diag d;

	(void)state;
	assert_int_equal(len, 1200);
	if (pac_logon_info_decode((struct octets){ buf, len }, &l, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(sid_list_count(&l), 1 + 26 + 13);
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-2914711")); /* the account */
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-513"));
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-3392609"));
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-3018354"));
	assert_true(has(&l, "S-1-5-21-773533881-1816936887-355810188-513"));
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-3101812"));
	assert_true(has(&l, "S-1-5-21-397955417-626881126-188441444-3038983"));
	assert_false(has(&l, "S-1-5-21-397955417-626881126-188441444-512"));
}

/* ---- made ones --------------------------------------------------------------------------------------------------- */

struct making {
	uint32_t user, primary, groups, extra, resources, flags, attributes;
	const char *extra_sid; /* of the first extra one */
	uint32_t counted;      /* groups in the fixed part, if another number */
	bool no_domain, no_resource_domain;
};

static void put32(struct wire_out *o, uint32_t v)
{
	wire_put_u32(o, __builtin_bswap32(v));
}

static void put_sid(struct wire_out *o, const char *text)
{
	struct sid s;

	assert_int_equal(sid_parse(text, strlen(text), &s, NULL), 0);
	put32(o, s.count);
	wire_put_u8(o, 1);
	wire_put_u8(o, s.count);
	wire_put_u16(o, (uint16_t)(s.authority >> 32));
	wire_put_u32(o, (uint32_t)s.authority);
	for (size_t i = 0; i < s.count; i++)
		put32(o, s.sub[i]);
}

static void put_rids(struct wire_out *o, uint32_t first, uint32_t count, uint32_t attributes)
{
	put32(o, count);
	for (uint32_t i = 0; i < count; i++) {
		put32(o, first + i);
		put32(o, attributes);
	}
}

static void put_fixed(struct wire_out *o, const struct making *m)
{
	put32(o, 0x20000);
	(void)wire_put_space(o, 48 + 48 + 4);
	put32(o, m->user);
	put32(o, m->primary);
	put32(o, m->counted ? m->counted : m->groups);
	put32(o, m->groups ? 1 : 0);
	put32(o, m->flags);
	(void)wire_put_space(o, 16 + 8 + 8);
	put32(o, m->no_domain ? 0 : 1);
	(void)wire_put_space(o, 8 + 4 + 4 + 16 + 8);
	put32(o, m->extra);
	put32(o, m->extra ? 1 : 0);
	put32(o, m->resources && !m->no_resource_domain ? 1 : 0);
	put32(o, m->resources);
	put32(o, m->resources ? 1 : 0);
}

static size_t make(const struct making *m)
{
	struct wire_out o = wire_out(buf, sizeof buf);

	wire_put(&o, "\x01\x10\x08\x00\xcc\xcc\xcc\xcc", 8);
	(void)wire_put_space(&o, 8);
	put_fixed(&o, m);
	if (m->groups)
		put_rids(&o, 2000, m->groups, m->attributes);
	if (!m->no_domain)
		put_sid(&o, "S-1-5-21-1-2-3");
	if (m->extra) {
		put32(&o, m->extra);
		for (uint32_t i = 0; i < m->extra; i++) {
			put32(&o, 4 + i);
			put32(&o, m->attributes);
		}
		for (uint32_t i = 0; i < m->extra; i++)
			put_sid(&o, m->extra_sid ? m->extra_sid : "S-1-5-21-7-8-9-512");
	}
	if (m->resources && !m->no_resource_domain)
		put_sid(&o, "S-1-5-21-4-5-6");
	if (m->resources)
		put_rids(&o, 3000, m->resources, m->attributes);
	assert_false(o.failed);
	buf[8] = (uint8_t)(o.len - 16);
	buf[9] = (uint8_t)((o.len - 16) >> 8);
	buf[10] = (uint8_t)((o.len - 16) >> 16);
	return o.len;
}

static int decode(const struct making *m, struct sid_list *ret, struct diag *d)
{
	return pac_logon_info_decode((struct octets){ buf, make(m) }, ret, d);
}

static void which_sids_count(void **state)
{
	static const struct {
		const char *name, *sid;
		struct making make;
		bool want;
	} rows[] = {
		{ "account", "S-1-5-21-1-2-3-1103", { .user = 1103 }, true },
		{ "primary group", "S-1-5-21-1-2-3-515", { .user = 1103, .primary = 515 }, true },
		{ "group", "S-1-5-21-1-2-3-2001", { .groups = 2, .attributes = 7 }, true },
		{ "group that is not enabled", "S-1-5-21-1-2-3-2001", { .groups = 2, .attributes = 3 }, false },
		{ "SID history", "S-1-5-21-7-8-9-512", { .extra = 1, .flags = 0x20, .attributes = 7 }, true },
		{ "extra SID without the flag", "S-1-5-21-7-8-9-512", { .extra = 1, .attributes = 7 }, false },
		{ "resource group",
		  "S-1-5-21-4-5-6-3000",
		  { .resources = 1, .flags = 0x200, .attributes = 0x20000007 },
		  true },
		{ "resource group without the flag",
		  "S-1-5-21-4-5-6-3000",
		  { .resources = 1, .attributes = 7 },
		  false },
		{ "asserted identity",
		  "S-1-18-1",
		  { .extra = 1, .flags = 0x20, .attributes = 7, .extra_sid = "S-1-18-1" },
		  true },
		{ "the local administrators",
		  "S-1-5-32-544",
		  { .extra = 1, .flags = 0x20, .attributes = 7, .extra_sid = "S-1-5-32-544" },
		  false },
		{ "everyone",
		  "S-1-1-0",
		  { .extra = 1, .flags = 0x20, .attributes = 7, .extra_sid = "S-1-1-0" },
		  false },
		{ "the system",
		  "S-1-5-18",
		  { .extra = 1, .flags = 0x20, .attributes = 7, .extra_sid = "S-1-5-18" },
		  false },
		{ "a high integrity",
		  "S-1-16-12288",
		  { .extra = 1, .flags = 0x20, .attributes = 7, .extra_sid = "S-1-16-12288" },
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sid_list l;
		struct diag d;

		if (decode(&rows[i].make, &l, &d) < 0)
			fail_msg("%s: %s", rows[i].name, d.text);
		if (has(&l, rows[i].sid) != rows[i].want)
			fail_msg("%s: %s", rows[i].name, rows[i].sid);
	}
}

static void tickets_of_1500_groups_are_read_whole(void **state)
{
	struct sid_list l;
	struct diag d;

	(void)state;
	if (decode(&(struct making){ .user = 1103, .groups = 1500, .attributes = 7 }, &l, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(sid_list_count(&l), 1501);
	assert_true(has(&l, "S-1-5-21-1-2-3-3499"));
	assert_false(l.cut);
	assert_int_equal(decode(&(struct making){ .user = 1103, .groups = 4096, .attributes = 7 }, &l, &d), 0);
	assert_true(l.cut);
}

static void broken_ones_have_no_groups_and_a_reason(void **state)
{
	static const struct {
		const char *words;
		struct making make;
	} rows[] = {
		{ "4096 are the most", { .groups = 4097, .attributes = 7 } },
		{ "4000000000 groups", { .groups = 1, .counted = 4000000000u } },
		{ "counts and what it has differ", { .groups = 2, .counted = 3 } },
		{ "without the domain", { .groups = 2, .no_domain = true } },
		{ "without the domain", { .resources = 2, .no_resource_domain = true } },
		{ "none are there", { .counted = 3 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sid_list l = { .len = 1 };
		struct diag d = { 0 };

		if (decode(&rows[i].make, &l, &d) == 0)
			fail_msg("row %zu was taken", i);
		assert_int_equal(l.len, 0);
		if (!strstr(d.text, rows[i].words) || !strstr(d.text, "the groups in the ticket can't be read"))
			fail_msg("row %zu: %s", i, d.text);
	}
}

static void cut_and_changed_ones_do_no_harm(void **state)
{
	uint8_t *own;
	struct sid_list l;
	struct diag d;
	size_t len = make(&(struct making){
		.user = 1, .groups = 3, .extra = 2, .resources = 2, .flags = 0x220, .attributes = 7 });

	(void)state;
	own = malloc(len);
	assert_non_null(own);
	memcpy(own, buf, len);
	for (size_t n = 0; n < len; n++) {
		uint8_t *shorter = malloc(n ? n : 1); /* the sanitizer sees one octet too far */

		assert_non_null(shorter);
		memcpy(shorter, own, n);
		assert_true(pac_logon_info_decode((struct octets){ shorter, n }, &l, &d) < 0);
		if (n > 16) {
			shorter[8] = (uint8_t)(n - 16); /* and it says so itself */
			shorter[9] = (uint8_t)((n - 16) >> 8);
			assert_true(pac_logon_info_decode((struct octets){ shorter, n }, &l, &d) < 0);
		}
		free(shorter);
	}
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			own[i] ^= (uint8_t)v;
			if (pac_logon_info_decode((struct octets){ own, len }, &l, &d) < 0)
				assert_int_equal(l.len, 0);
			own[i] ^= (uint8_t)v;
		}
	free(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_of_microsoft_is_read),
		cmocka_unit_test(which_sids_count),
		cmocka_unit_test(tickets_of_1500_groups_are_read_whole),
		cmocka_unit_test(broken_ones_have_no_groups_and_a_reason),
		cmocka_unit_test(cut_and_changed_ones_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
