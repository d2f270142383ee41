/* Whatever comes from the wire where the SA is of AH. The first octet says what the others are: a packet as the raw
 * socket gives it; one whose check value is made right, as the key's holder could; or what an ICMP error quotes. Only
 * packets between the SA's ends reach the TUN. */
#define FUZZ_SUITE "ah-sha256"
#include "tests/fuzz/esp_plane.h"

#include "dataplane/esp/ah.h"

enum { RAW4, RAW6, SIGNED4, SIGNED6, QUOTE4, QUOTE6, KINDS, OCTETS_MOST = 4096, AH_FIXED = 12, ICV = 16 };

static void look(void *context, struct packet_list *out)
{
	(void)context;
	for (size_t i = 0; i < out->count; i++) {
		const uint8_t *packet = out->octets + out->rows[i].at;
		struct addr local, remote;
		struct ip_packet ip;

		if (!out->rows[i].to_tun || ip_parse(packet, out->rows[i].len, &ip, NULL) < 0)
			abort();
		local = end_of(ip.source.family, 1);
		remote = end_of(ip.source.family, 2);
		if (!addr_equal(&ip.source, &remote) || !addr_equal(&ip.destination, &local))
			abort();
	}
}

/* Where there is room for AH, make its SPI, number and check value right. */
static void sign(struct sad *s, uint8_t *packet, size_t len)
{
	static uint8_t copy[OCTETS_MOST];
	struct ip_packet ip;
	struct sealed p = { .covered = { copy, len } };
	uint8_t *ah;

	if (ip_parse(packet, len, &ip, NULL) < 0 || ip.next != IP_AH || len - ip.head < AH_FIXED + ICV)
		return;
	ah = packet + ip.head;
	put16(ah + 4, spi_in >> 16);
	put16(ah + 6, spi_in);
	memset(ah + 8, 0, 4 + ICV);
	ah[11] = 1;
	memcpy(copy, packet, len);
	if (!ah_mask(copy, ip.head))
		return;
	p.icv = ah + AH_FIXED;
	if (seal_close(sa_find_in(&s->sas, spi_in)->seal, &p, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct sad *planes[2];
	static uint32_t spis[2];
	unsigned kind, six;
	struct sad *s;
	uint8_t *exact;

	if (len == 0 || len > OCTETS_MOST)
		return 0;
	kind = octets[0] % KINDS;
	six = kind & 1;
	if (!planes[six]) {
		planes[six] = fuzz_plane();
		fuzz_install(planes[six], six ? 6 : 4, true);
		fuzz_install(planes[six], six ? 6 : 4, false);
		spis[six] = spi_in;
	}
	s = planes[six];
	spi_in = spis[six];
	len--;
	exact = malloc(len ? len : 1); /* one octet too far is the sanitizer's to see */
	memcpy(exact, octets + 1, len);
	plane_enter(s);
	if (kind == QUOTE4 || kind == QUOTE6) {
		plane_too_big(s, exact, len, (uint32_t)len);
	} else {
		if (kind == SIGNED4 || kind == SIGNED6)
			sign(s, exact, len);
		plane_receive(s, exact, len);
	}
	plane_leave(s);
	fuzz_reset(s);
	free(exact);
	return 0;
}
