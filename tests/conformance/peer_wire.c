/* The hand-made peer: ESP with AES-256-GCM and AH with SHA-256, octet by octet, in IPv4 and IPv6. */
#include "base/wire.h"
#include "tests/conformance/world.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IP4_HEAD = 20,
	IP6_HEAD = 40,
	UDP_HEAD = 8,
	ESP_HEAD = 8,
	AH_HEAD = 12,
	IV = 8,
	ICV = 16,
	TAKE_MS = 1000,
	UDP = 17,
	IP_IN_IP = 4,
	IP6_IN_IP = 41,
	ESP = 50,
	AH = 51
};

static struct {
	uint8_t octets[PACKET_MOST];
	size_t len;
} last; /* what the peer sent */

static size_t ip_head(uint8_t family)
{
	return family == 6 ? IP6_HEAD : IP4_HEAD;
}

static uint16_t sum(uint32_t from, const uint8_t *octets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		from += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return (uint16_t)from;
}

static void put_ip(struct wire_out *out, const struct addr *from, const struct addr *to, uint8_t protocol,
		   size_t payload)
{
	size_t at = out->len;

	if (to->family == 6) {
		wire_put_u32(out, 6u << 28);
		wire_put_u16(out, (uint16_t)payload);
		wire_put_u8(out, protocol);
		wire_put_u8(out, 64);
		wire_put(out, from->octets, 16);
		wire_put(out, to->octets, 16);
		return;
	}
	wire_put_u16(out, 0x4500);
	wire_put_u16(out, (uint16_t)(IP4_HEAD + payload));
	wire_put_u32(out, 0x12344000); /* a number, which AH covers; may not be fragmented */
	wire_put_u8(out, 64);
	wire_put_u8(out, protocol);
	wire_put_u16(out, 0);
	wire_put(out, from->octets, 4);
	wire_put(out, to->octets, 4);
	wire_patch_u16(out, at + 10, (uint16_t)~sum(0, out->buf + at, IP4_HEAD));
}

/* That of UDP at `at`, to the end: IPv6 wants one. */
static void patch_udp_sum(struct wire_out *out, size_t at, const struct addr *from, const struct addr *to)
{
	size_t n = addr_octets(to);
	uint32_t head = UDP + (uint32_t)(out->len - at);

	if (to->family != 6)
		return;
	head = sum(head, from->octets, n);
	head = sum(head, to->octets, n);
	head = (uint16_t)~sum(head, out->buf + at, out->len - at);
	wire_patch_u16(out, at + 6, head ? (uint16_t)head : 0xffff);
}

static void put_udp(struct wire_out *out, uint16_t from, uint16_t to, size_t payload)
{
	wire_put_u16(out, from);
	wire_put_u16(out, to);
	wire_put_u16(out, (uint16_t)(UDP_HEAD + payload));
	wire_put_u16(out, 0);
}

static void put_aad(struct wire_out *out, uint32_t spi, bool esn, uint64_t number)
{
	wire_put_u32(out, spi);
	if (esn)
		wire_put_u32(out, (uint32_t)(number >> 32));
	wire_put_u32(out, (uint32_t)number);
}

static void send_last(struct world *w, const struct between *b)
{
	struct sockaddr_storage to;
	size_t len = addr_to_sockaddr(&b->outer_local, 0, &to);

	if (sendto(b->outer_family == 6 ? w->raw6 : w->raw, last.octets, last.len, 0, (struct sockaddr *)&to,
		   (socklen_t)len) < 0)
		(void)printf("      the peer cannot send: %s\n", strerror(errno));
	(void)world_run(w, 3, -1);
}

/* ---- what is protected ---- */

static size_t inner_len(const struct between *b, const char *text)
{
	return (b->tunnel ? ip_head(b->family) : 0) + UDP_HEAD + strlen(text);
}

static void put_inner(struct wire_out *out, const struct between *b, const char *text, const struct forged *f)
{
	struct addr from = b->remote;
	size_t at;

	if (f->stranger)
		from.octets[1] ^= 0x80;
	if (b->tunnel)
		put_ip(out, &from, &b->local, UDP, UDP_HEAD + strlen(text));
	at = out->len;
	put_udp(out, PEER_PORT, f->port ? f->port : APP_PORT, strlen(text));
	wire_put(out, text, strlen(text));
	patch_udp_sum(out, at, &from, &b->local);
}

static uint8_t next_of(const struct between *b)
{
	return !b->tunnel ? UDP : b->family == 6 ? IP6_IN_IP : IP_IN_IP;
}

static void read_inner(const struct between *b, const uint8_t *octets, size_t n, struct taken *ret)
{
	size_t head = b->tunnel ? ip_head(b->family) : 0, addrs = addr_octets(&b->local), at = b->family == 6 ? 8 : 12;

	if (n < head + UDP_HEAD)
		return;
	ret->inner_right = !b->tunnel || (memcmp(octets + at, b->local.octets, addrs) == 0 &&
					  memcmp(octets + at + addrs, b->remote.octets, addrs) == 0 &&
					  octets[b->family == 6 ? 6 : 9] == UDP);
	(void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)(n - head - UDP_HEAD),
		       (const char *)octets + head + UDP_HEAD);
}

/* ---- ESP ---- */

static void put_esp(struct wire_out *out, struct between *b, const char *text, const struct forged *f, uint64_t number)
{
	size_t at = out->len, payload = inner_len(b, text), pad = (4 - (payload + 2) % 4) % 4;
	uint8_t aad_octets[12];
	struct wire_out aad = wire_out(aad_octets, sizeof aad_octets);
	struct sealed s;
	struct diag d;

	wire_put_u32(out, b->in);
	wire_put_u32(out, (uint32_t)number);
	wire_put_u64(out, number); /* IV */
	put_inner(out, b, text, f);
	for (size_t i = 1; i <= pad; i++)
		wire_put_u8(out, (uint8_t)i);
	wire_put_u8(out, (uint8_t)pad);
	wire_put_u8(out, f->next ? f->next : next_of(b));
	(void)wire_put_space(out, ICV);
	put_aad(&aad, b->in, b->esn, number + (f->other_high ? UINT64_C(1) << 32 : 0));
	s = (struct sealed){ .iv = out->buf + at + ESP_HEAD,
			     .text = out->buf + at + ESP_HEAD + IV,
			     .text_len = payload + pad + 2,
			     .aad = { aad_octets, aad.len },
			     .icv = out->buf + out->len - ICV };
	if (out->failed || seal_close(b->to_host, &s, &d) < 0)
		exit(EXIT_FAILURE);
}

static size_t esp_len(const struct between *b, const char *text)
{
	size_t payload = inner_len(b, text);

	return ESP_HEAD + IV + payload + (4 - (payload + 2) % 4) % 4 + 2 + ICV;
}

static bool open_esp(struct between *b, uint8_t *esp, size_t len, uint32_t high, struct taken *ret)
{
	uint8_t aad_octets[12], *text = esp + ESP_HEAD + IV;
	struct wire_out aad = wire_out(aad_octets, sizeof aad_octets);
	struct wire_in in = wire_in(esp, len);
	size_t n, pad;
	struct sealed s;
	struct diag d;

	if (len < ESP_HEAD + IV + 2 + ICV)
		return false;
	ret->spi = wire_u32(&in);
	ret->number = wire_u32(&in);
	n = len - ESP_HEAD - IV - ICV;
	put_aad(&aad, ret->spi, b->esn, (uint64_t)high << 32 | ret->number);
	s = (struct sealed){
		.iv = esp + ESP_HEAD, .text = text, .text_len = n, .aad = { aad_octets, aad.len }, .icv = text + n
	};
	ret->authentic = seal_open(b->from_host, &s, &d) == 0;
	if (!ret->authentic)
		return true;
	pad = text[n - 2];
	ret->next = text[n - 1];
	ret->padding_right = pad + 2 <= n && n % 4 == 0;
	for (size_t i = 0; ret->padding_right && i < pad; i++)
		ret->padding_right = text[n - 2 - pad + i] == i + 1;
	if (ret->padding_right)
		read_inner(b, text, n - 2 - pad, ret);
	return true;
}

/* ---- AH ---- */

/* RFC 4302 3.3.3.2.1: to whole 64 bits in IPv6. */
static size_t ah_head(const struct between *b)
{
	return AH_HEAD + ICV + (b->outer_family == 6 ? 4 : 0);
}

/* Over the headers without what a router may change, and without the check value itself. */
static bool ah_icv(const struct between *b, bool to_host, const uint8_t *ip, const uint8_t *ah, const uint8_t *payload,
		   size_t len, uint32_t high, uint8_t ret[ICV])
{
	uint8_t head[IP6_HEAD + AH_HEAD + ICV + 4], high_octets[4] = { 0 };
	struct wire_out behind = wire_out(high_octets, sizeof high_octets);
	size_t n = ip_head(b->outer_family), own = ah_head(b);
	struct octets parts[3] = { { head, n + own }, { payload, len }, { high_octets, b->esn ? 4 : 0 } };
	struct key key, mac;

	memcpy(head, ip, n);
	memcpy(head + n, ah, own);
	memset(head + n + AH_HEAD, 0, ICV); /* what fills it up is covered, whatever it is */
	if (b->outer_family == 6) {
		memset(head, 0, 4);
		head[0] = 0x60;
		head[7] = 0;
	} else {
		head[1] = head[8] = 0;
		memset(head + 6, 0, 2);
		memset(head + 10, 0, 2);
	}
	wire_put_u32(&behind, high);
	between_key(b, to_host, &key);
	if (crypto_prf(between_suite(b)->integ, key.octets, key.len, parts, 3, &mac, NULL) < 0)
		return false;
	memcpy(ret, mac.octets, ICV);
	return true;
}

static void put_ah(struct wire_out *out, struct between *b, const char *text, const struct forged *f, uint64_t number)
{
	size_t at = out->len, ip = at - ip_head(b->outer_family);
	uint8_t *icv;

	wire_put_u8(out, f->next ? f->next : next_of(b));
	wire_put_u8(out, (uint8_t)(ah_head(b) / 4 - 2));
	wire_put_u16(out, 0);
	wire_put_u32(out, b->in);
	wire_put_u32(out, (uint32_t)number);
	icv = wire_put_space(out, ah_head(b) - AH_HEAD);
	if (!icv)
		exit(EXIT_FAILURE);
	memset(icv, 0xa5, ah_head(b) - AH_HEAD);
	put_inner(out, b, text, f);
	if (out->failed || !ah_icv(b, true, out->buf + ip, out->buf + at, out->buf + at + ah_head(b),
				   out->len - at - ah_head(b), (uint32_t)(number >> 32) + f->other_high, icv))
		exit(EXIT_FAILURE);
}

static bool open_ah(struct between *b, const uint8_t *ip, const uint8_t *ah, size_t len, uint32_t high,
		    struct taken *ret)
{
	struct wire_in in = wire_in(ah, len);
	uint8_t icv[ICV];

	ret->next = wire_u8(&in);
	ret->padding_right = wire_u8(&in) == ah_head(b) / 4 - 2 && wire_u16(&in) == 0;
	ret->spi = wire_u32(&in);
	ret->number = wire_u32(&in);
	if (len < ah_head(b))
		return false;
	ret->authentic = ah_icv(b, false, ip, ah, ah + ah_head(b), len - ah_head(b), high, icv) &&
			 memcmp(icv, ah + AH_HEAD, ICV) == 0;
	if (ret->authentic)
		read_inner(b, ah + ah_head(b), len - ah_head(b), ret);
	return true;
}

/* ---- to the host ---- */

void peer_sends(struct world *w, struct between *b, const char *text, const struct forged *how)
{
	static const struct forged plain;
	const struct forged *f = how ? how : &plain;
	uint64_t number = f->number ? f->number : b->number + 1;
	size_t len = b->ah ? ah_head(b) + inner_len(b, text) : esp_len(b, text), at;
	struct wire_out out = wire_out(last.octets, sizeof last.octets);

	b->number = f->number ? b->number : number;
	put_ip(&out, &b->from, &b->outer_local,
	       b->udp  ? UDP
	       : b->ah ? AH
		       : ESP,
	       len + (b->udp ? (size_t)UDP_HEAD : 0) - f->cut);
	at = out.len;
	if (b->udp)
		put_udp(&out, b->from_port, ENCAP_PORT, len - f->cut);
	if (b->ah)
		put_ah(&out, b, text, f, number);
	else
		put_esp(&out, b, text, f, number);
	if (f->flip)
		last.octets[out.len - (size_t)f->flip] ^= 0x10;
	last.len = out.len -= f->cut;
	if (b->udp)
		patch_udp_sum(&out, at, &b->from, &b->outer_local);
	send_last(w, b);
}

void peer_repeats(struct world *w, struct between *b)
{
	send_last(w, b);
}

/* ---- from the host ---- */

/* Frames of the peer's wire, without those it sent itself. */
static ssize_t next_packet(struct world *w, uint8_t *packet)
{
	struct sockaddr_ll from = { 0 };
	socklen_t len = sizeof from;
	ssize_t n;

	do {
		len = sizeof from;
		n = recvfrom(w->tap, packet, PACKET_MOST, 0, (struct sockaddr *)&from, &len);
	} while (n > 0 && from.sll_pkttype == PACKET_OUTGOING);
	return n;
}

static bool is_between(const struct between *b, const uint8_t *packet, size_t n, struct taken *ret)
{
	size_t at = b->outer_family == 6 ? 8 : 12, addrs = addr_octets(&b->outer);

	if (n < ip_head(b->outer_family) + ESP_HEAD || packet[0] >> 4 != (b->outer_family == 6 ? 6 : 4))
		return false;
	*ret = (struct taken){ .to = { .family = b->outer_family } };
	memcpy(ret->to.octets, packet + at + addrs, addrs);
	return addr_equal(&ret->to, &b->from) && memcmp(packet + at, b->outer_local.octets, addrs) == 0;
}

bool peer_takes(struct world *w, struct between *b, uint32_t high, struct taken *ret)
{
	uint64_t end = world_now_ms(NULL) + TAKE_MS;
	uint8_t packet[PACKET_MOST];

	while (world_now_ms(NULL) < end) {
		ssize_t n = next_packet(w, packet);
		size_t head = ip_head(b->outer_family);
		uint8_t protocol;

		if (n < 0) {
			(void)world_run(w, 50, w->tap);
			continue;
		}
		if (!is_between(b, packet, (size_t)n, ret))
			continue;         /* of another promise */
		if (b->outer_family == 4) /* a short frame is filled up */
			n = packet[2] << 8 | packet[3];
		protocol = packet[b->outer_family == 6 ? 6 : 9];
		if (protocol != (b->udp ? UDP : b->ah ? AH : ESP))
			continue;
		if (b->udp) {
			if ((packet[head] << 8 | packet[head + 1]) != ENCAP_PORT ||
			    (size_t)n < head + UDP_HEAD + ESP_HEAD)
				continue;
			ret->to_port = (uint16_t)(packet[head + 2] << 8 | packet[head + 3]);
			head += UDP_HEAD;
		}
		return b->ah ? open_ah(b, packet, packet + head, (size_t)n - head, high, ret)
			     : open_esp(b, packet + head, (size_t)n - head, high, ret);
	}
	return false;
}
