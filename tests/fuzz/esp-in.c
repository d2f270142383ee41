/* Whatever comes from the wire. The first octet says what the others are: a packet as the raw socket gives it, the text
 * of a packet that the key's holder sealed, or what an ICMP error quotes. Only packets between the SA's ends reach the
 * TUN. */
#include "tests/fuzz/esp_plane.h"

enum { RAW, TEXT4, TEXT6, QUOTE, KINDS, TEXT_MOST = 4096, ICV = 16 };

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

/* A good packet of the peer around a text that may be anything. */
static size_t seal_text(struct sad *s, unsigned family, const uint8_t *text, size_t len, uint8_t *to)
{
	struct shape shape = { .family = family, .protocol = IP_UDP, .reply = true };
	size_t head = family == 4 ? 20 : 40, total = head + 8 + len + ICV;
	uint8_t *esp = to + head;
	struct sealed p = { .text = esp + 8, .text_len = len, .covered = { esp, 8 + len }, .icv = esp + 8 + len };

	(void)packet_make(&shape, to);
	memset(esp, 0, 8);
	put16(esp, spi_in >> 16);
	put16(esp + 2, spi_in);
	esp[7] = 1;
	memcpy(esp + 8, text, len);
	to[family == 4 ? 9 : 6] = IP_ESP;
	put16(to + (family == 4 ? 2 : 4), family == 4 ? total : total - head);
	if (seal_close(sa_find_in(&s->sas, spi_in)->seal, &p, NULL) < 0)
		abort();
	return total;
}

static void run(struct sad *s, unsigned kind, const uint8_t *octets, size_t len)
{
	static uint8_t packet[TEXT_MOST + 128];
	size_t n = len;
	uint8_t *exact;

	if (kind == QUOTE) {
		plane_too_big(s, octets, len, (uint32_t)len);
		return;
	}
	if (kind == RAW && len)
		memcpy(packet, octets, len);
	else if (kind != RAW)
		n = seal_text(s, kind == TEXT4 ? 4 : 6, octets, len, packet);
	exact = malloc(n ? n : 1); /* one octet too far is the sanitizer's to see */
	memcpy(exact, packet, n);
	plane_receive(s, exact, n);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct sad *planes[2];
	static uint32_t spis[2];
	unsigned kind, six;

	if (len == 0 || len > TEXT_MOST)
		return 0;
	kind = octets[0] % KINDS;
	six = kind == TEXT6;
	if (!planes[six]) {
		planes[six] = fuzz_plane();
		fuzz_install(planes[six], six ? 6 : 4, true);
		fuzz_install(planes[six], six ? 6 : 4, false);
		spis[six] = spi_in;
	}
	spi_in = spis[six];
	plane_enter(planes[six]);
	run(planes[six], kind, octets + 1, len - 1);
	plane_leave(planes[six]);
	fuzz_reset(planes[six]);
	return 0;
}
