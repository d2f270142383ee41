#include "tests/unit/unit.h"

#include "base/wire.h"

static void wire_reader_past_its_end_yields_zeroes_and_stays_failed(void **state)
{
	uint8_t octets[] = { 1, 2, 3 };
	struct wire_in in = wire_in(octets, sizeof octets);

	(void)state;
	assert_int_equal(wire_u16(&in), 0x0102);
	assert_int_equal(wire_u16(&in), 0);
	assert_true(in.failed);
	assert_int_equal(wire_u8(&in), 0); /* the third octet is there, but the cursor has failed */
	assert_false(wire_done(&in));
}

static void wire_child_cannot_see_past_its_parent(void **state)
{
	uint8_t octets[] = { 1, 2, 3, 4 };
	struct wire_in in = wire_in(octets, sizeof octets), child = wire_sub(&in, 2), none;

	(void)state;
	assert_int_equal(wire_u16(&child), 0x0102);
	assert_true(wire_done(&child));
	assert_int_equal(wire_u8(&child), 0);
	assert_int_equal(in.left, 2);
	none = wire_sub(&in, 3);
	assert_true(none.failed);
	assert_true(in.failed);
}

static void wire_writer_never_passes_its_capacity(void **state)
{
	uint8_t buf[5] = { [4] = 0xee };
	struct wire_out out = wire_out(buf, 4);

	(void)state;
	wire_put_u16(&out, 0xaabb);
	wire_put_u32(&out, 1);
	assert_true(out.failed);
	assert_int_equal(buf[4], 0xee);
	wire_put_u8(&out, 1);
	assert_true(out.failed);
}

static void wire_what_is_written_is_read(void **state)
{
	uint8_t buf[32];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	wire_put_u16(&out, 0);
	wire_put_u32(&out, 0x01020304);
	wire_put_u64(&out, 0x05060708090a0b0cu);
	wire_patch_u16(&out, 0, 0xbeef);
	wire_patch_u16(&out, out.len - 1, 1); /* would end past the last octet */
	assert_true(out.failed);
	in = wire_in(buf, out.len);
	assert_int_equal(wire_u16(&in), 0xbeef);
	assert_int_equal(wire_u32(&in), 0x01020304);
	assert_true(wire_u64(&in) == 0x05060708090a0b0cu);
	assert_true(wire_done(&in));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_reader_past_its_end_yields_zeroes_and_stays_failed),
		cmocka_unit_test(wire_child_cannot_see_past_its_parent),
		cmocka_unit_test(wire_writer_never_passes_its_capacity),
		cmocka_unit_test(wire_what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
