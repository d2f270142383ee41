/* What keying tells of itself arrives as it was, and nothing that is not well-formed does. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/text.h"
#include "daemon/messages/keying_wire.h"
#include "daemon/process/memory_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, strlen(text), &a, NULL), 0);
	return a;
}

static struct peer_kept *keep(struct peer *p, const struct sid *group)
{
	p->learnt_s = 88;
	assert_true(sid_list_add(&p->sids, group));
	return peer_keep(p);
}

static size_t made(uint8_t *buf, size_t cap)
{
	struct peer dc1 = { .method = PEER_CERTIFICATE, .id = "CN=dc1", .certificate = { 1, 2, 3 } };
	const struct sid trusted = { .authority = 5, .count = 2, .sub = { 32, 544 } };
	struct peer_kept *kept = keep(&dc1, &trusted);
	struct keying_ike_row ike[2] = { { .local = address("10.0.0.1"),
					   .remote = address("10.0.0.2"),
					   .outer = address("10.0.0.3"),
					   .spi_i = 5,
					   .spi_r = 6,
					   .established = true,
					   .ppk = true,
					   .version = 1,
					   .nat = 2,
					   .udp = true,
					   .remote_port = 4500,
					   .peer = kept,
					   .auth_set = "machine",
					   .credential = 77,
					   .up_at_ms = 1000,
					   .rekey_at_ms = UINT64_MAX,
					   .children = 3 },
					 { .local = address("fd00::1"), .remote = address("fd00::2") } };
	struct keying_child_row child = {
		.local = address("10.0.0.1"),
		.remote = address("10.0.0.2"),
		.pair = 9,
		.spi_in = 0xabc,
		.udp = true,
		.selector = { .local = address("10.0.0.1"), .remote = address("10.0.0.2"), .protocol = PROTOCOL_ANY },
		.peer = kept
	};
	struct keying_failure failure = { .remote = address("10.0.0.9"),
					  .code = FAILURE_NO_ANSWER,
					  .by = SIDE_NOBODY,
					  .step = "IKE_SA_INIT",
					  .times = 4,
					  .stranger = true,
					  .text = "nobody answered" };
	struct sa_usage usage = { .pair = 9, .octets_in = 1234 };
	struct revocation_row list = { .source = "http://ca/x", .issuer = "CN=CA", .revoked = 12 };
	struct keying_rows rows = { .ike = ike,
				    .ike_count = 2,
				    .children = &child,
				    .child_count = 1,
				    .failures = &failure,
				    .failure_count = 1,
				    .usage = &usage,
				    .usage_count = 1,
				    .lists = &list,
				    .list_count = 1,
				    .dropped = { 1, 2 } };
	struct wire_out out = wire_out(buf, cap);

	assert_int_equal(ike_suite_parse("aes256gcm-sha384-x25519", 23, &ike[0].suite, NULL), 0);
	assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &child.suite, NULL), 0);
	keying_rows_encode(&out, &rows, 4);
	free(kept);
	assert_false(out.failed);
	return out.len;
}

static void rows_arrive_as_they_were(void **state)
{
	uint8_t *buf = mem_new(1, ROOM);
	struct wire_in in = wire_in(buf, made(buf, ROOM));
	struct keying_rows h = { 0 };
	char suite[SUITE_TEXT];
	struct sid_list sids;

	(void)state;
	assert_int_equal(keying_rows_decode(&in, 4, NULL, &h, NULL), 0);
	assert_int_equal(h.ike_count, 2);
	assert_int_equal(h.child_count, 1);
	assert_int_equal(h.failure_count, 1);
	assert_int_equal(h.list_count, 1);
	assert_int_equal(h.dropped[1], 2);
	assert_string_equal(peer_kept_id(h.ike[0].peer), "CN=dc1");
	assert_int_equal(peer_kept_certificate(h.ike[0].peer)[2], 3);
	peer_kept_sids(h.ike[0].peer, &sids);
	assert_true(sid_list_has(&sids, &(struct sid){ .authority = 5, .count = 2, .sub = { 32, 544 } }));
	assert_int_equal(peer_kept_learnt_s(h.children[0].peer), 88);
	assert_string_equal(h.ike[0].auth_set, "machine");
	assert_string_equal(ike_suite_text(&h.ike[0].suite, suite), "aes256gcm-sha384-x25519");
	assert_true(h.ike[0].established && h.ike[0].ppk && !h.ike[0].initiator);
	assert_true(h.ike[0].udp && !h.ike[1].udp && h.children[0].udp);
	assert_int_equal(h.ike[0].version, 1);
	assert_int_equal(h.ike[0].credential, 77);
	assert_true(h.ike[0].rekey_at_ms == UINT64_MAX);
	assert_null(h.ike[1].peer);
	assert_null(h.ike[1].suite.encr);
	assert_string_equal(child_suite_text(&h.children[0].suite, suite), "esp-aes256gcm");
	assert_int_equal(h.children[0].spi_in, 0xabc);
	assert_null(h.children[0].rule);
	assert_string_equal(h.failures[0].step, "IKE_SA_INIT");
	assert_null(h.failures[0].notify);
	assert_string_equal(h.failures[0].text, "nobody answered");
	assert_true(h.failures[0].stranger);
	assert_int_equal(h.usage_count, 1);
	assert_int_equal(h.usage[0].octets_in, 1234);
	assert_int_equal(h.lists[0].revoked, 12);
	keying_rows_wipe(&h);
	free(buf);
}

static void rows_that_are_cut_are_refused(void **state)
{
	uint8_t *buf = mem_new(1, ROOM);
	size_t len = made(buf, ROOM);
	struct keying_rows h = { 0 };

	(void)state;
	for (size_t n = 0; n <= len + 1; n++) {
		struct wire_in in = wire_in(buf, n);

		if (n != len && keying_rows_decode(&in, 4, NULL, &h, NULL) == 0)
			fail_msg("%zu of %zu octets were taken", n, len);
	}
	free(buf);
}

/* Whatever octet is another one: no harm is done, and what is taken can be shown. */
static void rows_with_any_octet_changed_do_no_harm(void **state)
{
	uint8_t *buf = mem_new(1, ROOM);
	size_t len = made(buf, ROOM);

	(void)state;
	for (size_t i = 0; i < len; i++)
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			struct wire_in in = wire_in(buf, len);
			struct keying_rows h = { 0 };
			char text[SUITE_TEXT];

			buf[i] ^= (uint8_t)v;
			if (keying_rows_decode(&in, 4, NULL, &h, NULL) == 0) {
				for (size_t k = 0; k < h.child_count; k++)
					(void)child_suite_text(&h.children[k].suite, text);
				for (size_t k = 0; k < h.ike_count; k++)
					if (h.ike[k].suite.encr)
						(void)ike_suite_text(&h.ike[k].suite, text);
				for (size_t k = 0; k < h.failure_count; k++)
					(void)failure_name(h.failures[k].code);
				keying_rows_wipe(&h);
			}
			buf[i] ^= (uint8_t)v;
		}
	free(buf);
}

static void rows_of_no_engine_are_none(void **state)
{
	struct keying_rows rows = { 0 }, h = { 0 };
	struct diag d = { 0 };
	int fd;

	(void)state;
	assert_true((fd = keying_rows_seal(&rows, 1, &d)) >= 0);
	assert_int_equal(keying_rows_read(fd, 1, NULL, &h, &d), 0);
	assert_int_equal(h.ike_count + h.child_count + h.failure_count + h.list_count, 0);
	keying_rows_wipe(&h);
	(void)close(fd);
}

static void put_a_lot(struct wire_out *out, const void *what)
{
	for (size_t i = 0; i < *(const size_t *)what; i++)
		wire_put_u8(out, (uint8_t)i);
}

static void a_memory_file_has_its_bound(void **state)
{
	size_t len = 200000;
	struct diag d = { 0 };
	struct text *t = NULL;
	int fd = memory_file_make("test", len, put_a_lot, &len, &d), tube[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(memory_file_read(fd, len - 1, &t, &d), -ERR_SYNTAX);
	assert_int_equal(memory_file_read(fd, len, &t, &d), 0);
	assert_int_equal(t->len, len);
	assert_int_equal((uint8_t)t->octets[777], 777 % 256);
	text_free(t);
	assert_true(write(fd, "x", 1) < 0);
	(void)close(fd);
	assert_true(memory_file_make("test", len - 1, put_a_lot, &len, &d) < 0);
	assert_int_equal(pipe(tube), 0); /* not a file, and not sealed */
	assert_int_equal(memory_file_read(tube[0], len, &t, &d), -ERR_SYNTAX);
	(void)close(tube[0]);
	(void)close(tube[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_arrive_as_they_were),
		cmocka_unit_test(rows_that_are_cut_are_refused),
		cmocka_unit_test(rows_with_any_octet_changed_do_no_harm),
		cmocka_unit_test(rows_of_no_engine_are_none),
		cmocka_unit_test(a_memory_file_has_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
