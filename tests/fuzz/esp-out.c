/* Whatever comes from the TUN, behind whatever virtio header: what leaves for the wire is ESP between the two ends that
 * have SAs, in packets that fit the path, or, where the first octet says so, waits and is released in clear. */
#include "tests/fuzz/esp_plane.h"

#ifndef SEALED_AS
#define SEALED_AS IP_ESP
#endif

enum { MTU = 1500, CLEAR = 1 };

static bool clear;

static void look(void *context, struct packet_list *out)
{
	(void)context;
	for (size_t i = 0; i < out->count; i++) {
		const uint8_t *packet = out->octets + out->rows[i].at;
		struct ip_packet ip;
		struct diag d;

		if (ip_parse(packet, out->rows[i].len, &ip, &d) < 0)
			abort();
		if (out->rows[i].to_tun)
			continue;
		if (ip.len > MTU)
			abort();
		if (!clear && ip.next != SEALED_AS)
			abort();
	}
}

static void run(struct sad *s, const uint8_t *octets, size_t len)
{
	uint8_t *packet = malloc(len); /* one octet too far is the sanitizer's to see */

	memcpy(packet, octets, len);
	plane_enter(s);
	plane_send(s, packet + 1, packet + 1 + OFFLOAD_HEADER, len - 1 - OFFLOAD_HEADER);
	plane_leave(s);
	free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct sad *with_sas, *without;

	if (len < 1 + OFFLOAD_HEADER)
		return 0;
	clear = octets[0] & CLEAR;
	if (!with_sas) {
		with_sas = fuzz_plane();
		fuzz_install(with_sas, 4, false);
		fuzz_install(with_sas, 6, false);
	}
	if (!without)
		without = fuzz_plane();
	run(clear ? without : with_sas, octets, len);
	fuzz_reset(with_sas);
	for (unsigned family = 4; clear && family <= 6; family += 2) {
		struct sa_selector all = { .local = end_of(family, 1),
					   .remote = end_of(family, 2),
					   .protocol = PROTOCOL_ANY,
					   .local_port = PORT_ANY,
					   .remote_port = PORT_ANY };

		sad_release_held(without, &all, octets[0] & 2);
	}
	if (without->held.queues > 2) { /* of other addresses: they would fill it up */
		sad_free(without);
		without = NULL;
	}
	return 0;
}
