#include "tests/unit/sides.h"

#include "dataplane/esp/packet.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

uint64_t side_clock_ms = 1000000;
const uint8_t no_offload[OFFLOAD_HEADER];

/* ---- policies ---- */

static const struct auth_method by_certificate = { .kind = AUTH_CERTIFICATE, .issuer = "CN=A" };
static const struct auth_method by_other = { .kind = AUTH_CERTIFICATE, .issuer = "CN=B" };
const struct auth_set auth_a = { .name = "a", .methods = (struct auth_method *)&by_certificate, .count = 1 };
const struct auth_set auth_b = { .name = "b", .methods = (struct auth_method *)&by_other, .count = 1 };
struct child_suite gcm, null_sha;
struct protection_set encrypt = { .name = "encrypt", .suites = &gcm, .count = 1, .require_encryption = true };
struct protection_set sign = { .name = "sign", .suites = &null_sha, .count = 1 };

struct rule all = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &encrypt };
struct rule web = { .name = "Web", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &sign };
struct rule exempt = { .name = "Exempt", .mode = MODE_EXEMPT };

const struct plan_entry all_entries[1] = { FLAT_ALL(&all) };
struct plan plan_of_all = { all_entries, ARRAY_LEN(all_entries), 1 };

void sides_protect_by(struct child_suite *suite)
{
	encrypt.suites = suite;
	encrypt.require_encryption = child_suite_encrypts(suite);
}

/* ---- hosts ---- */

static uint64_t now_ms(void *context)
{
	(void)context;
	return side_clock_ms;
}

static void keep_event(void *context, const struct sad_event *e)
{
	struct side *h = context;

	if (e->kind == SAD_DROPPED) {
		h->dropped = *e;
		h->dropped_count++;
		h->dropped_left_out += e->left_out;
		return;
	}
	assert_true(h->event_count < EVENTS_MOST);
	h->events[h->event_count++] = *e;
}

static void keep_packets(void *context, struct packet_list *out)
{
	struct side *h = context;

	for (size_t i = 0; i < out->count; i++) {
		struct sent *s = &h->sent[h->count++];

		assert_true(h->count <= SENT_MOST);
		*s = (struct sent){ malloc(out->rows[i].len), out->rows[i].len, out->rows[i].to_tun };
		memcpy(s->octets, out->octets + out->rows[i].at, s->len);
		if (out->rows[i].in_udp && s->octets[0] >> 4 == 6) /* as its sockets do */
			esp_udp_checksum(s->octets, IP6_HEADER, s->len);
	}
}

static uint32_t tell_mtu(void *context, const struct addr *local, const struct addr *remote)
{
	const struct side *h = context;

	(void)local;
	(void)remote;
	return h->mtu;
}

void side_forget(struct side *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->sent[i].octets);
	h->count = h->event_count = 0;
}

void side_up(struct side *h, unsigned number, struct plan *plan)
{
	struct plane_config c = { .plan = plan,
				  .event = keep_event,
				  .now_ms = now_ms,
				  .context = h,
				  .flush = keep_packets,
				  .path_mtu = tell_mtu,
				  .io = h };

	*h = (struct side){ .number = number, .mtu = 1500 };
	if (!gcm.encr) {
		assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &gcm, NULL), 0);
		assert_int_equal(child_suite_parse("esp-sha256-null", 15, &null_sha, NULL), 0);
	}
	assert_int_equal(plane_new(&c, &h->sad, NULL), 0);
}

void side_down(struct side *h)
{
	side_forget(h);
	sad_free(h->sad);
}

uint64_t side_dropped(const struct side *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		n += sad_dropped(h->sad, (enum sad_drop)i);
	return n;
}

uint32_t side_reserve(struct side *h, unsigned family)
{
	struct addr local = end_of(family, h->number), remote = end_of(family, 3 - h->number);
	uint32_t spi;

	assert_int_equal(sad_reserve_spi(h->sad, &local, &remote, 5, NULL), 0);
	assert_int_equal(h->events[h->event_count - 1].kind, SAD_SPI_RESERVED);
	assert_int_equal(h->events[h->event_count - 1].request, 5);
	spi = h->events[--h->event_count].spi;
	assert_true(spi >= 256);
	return spi;
}

struct sa_spec side_spec(const struct side *h, unsigned family, const struct rule *rule,
			 const struct child_suite *suite)
{
	struct addr local = end_of(family, h->number), remote = end_of(family, 3 - h->number);
	struct sa_spec s = flat_spec(&local, &remote, suite, rule);

	s.pair = PAIR;
	return s;
}

void sides_join_specs(struct side *a, struct side *b, struct sa_spec of_a, struct sa_spec of_b)
{
	unsigned family = of_a.local.family;
	uint32_t to_b = side_reserve(b, family), to_a = side_reserve(a, family);
	struct sa_spec in_a = of_a, in_b = of_b;

	in_a.inbound = in_b.inbound = true;
	of_a.spi = in_b.spi = to_b;
	of_b.spi = in_a.spi = to_a;
	assert_int_equal(sad_install(a->sad, &in_a, 1, NULL), 0);
	assert_int_equal(sad_install(b->sad, &in_b, 1, NULL), 0);
	assert_int_equal(sad_install(a->sad, &of_a, 1, NULL), 0);
	assert_int_equal(sad_install(b->sad, &of_b, 1, NULL), 0);
}

void sides_join(struct side *a, struct side *b, unsigned family)
{
	sides_join_specs(a, b, side_spec(a, family, &all, &gcm), side_spec(b, family, &all, &gcm));
}

void side_send_octets(struct side *h, const uint8_t *packet, size_t len, const uint8_t *offload)
{
	uint8_t *mutable = malloc(len);

	memcpy(mutable, packet, len);
	plane_enter(h->sad);
	plane_send(h->sad, offload, mutable, len);
	plane_leave(h->sad);
	free(mutable);
}

void side_send(struct side *h, const struct shape *s)
{
	static uint8_t packet[PACKET_ROOM];

	side_send_octets(h, packet, packet_make(s, packet), no_offload);
}

void side_receive(struct side *h, const uint8_t *packet, size_t len)
{
	uint8_t *mutable = malloc(len ? len : 1);

	if (len)
		memcpy(mutable, packet, len);
	plane_enter(h->sad);
	plane_receive(h->sad, mutable, len);
	plane_leave(h->sad);
	free(mutable);
}

void side_carry(struct side *from, struct side *to)
{
	for (size_t i = 0; i < from->count; i++)
		if (!from->sent[i].to_tun)
			side_receive(to, from->sent[i].octets, from->sent[i].len);
}

const struct shape udp4 = { .family = 4, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 100 };
