#include "dataplane/esp/packet.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/wire.h"
#include "dataplane/esp/ah.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/octets.h"
#include "dataplane/esp/sa.h"

#include <errno.h>
#include <string.h>

enum { ESP_HEADER = 8, ESP_TRAILER = 2 };

static size_t encapsulation(const struct sa *sa)
{
	return sa->spec.encap_local_port ? UDP_HEADER : 0;
}

static bool is_ah(const struct sa *sa)
{
	return sa->spec.suite.protocol == PROTO_AH;
}

/* unit: a cipher's block or a header's alignment, so a power of two. */
static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

/* All but the header and the text. */
static size_t overhead(const struct sa *sa)
{
	return encapsulation(sa) + ESP_HEADER + sa->iv + sa->icv;
}

size_t esp_sealed_len(const struct sa *sa, const struct ip_packet *ip, size_t len)
{
	if (is_ah(sa))
		return ah_sealed_len(sa, len);
	return ip->head + overhead(sa) + round_up(len - ip->head + ESP_TRAILER, sa->align);
}

size_t esp_budget(const struct sa *sa, const struct ip_packet *ip, size_t mtu)
{
	size_t fixed = ip->head + overhead(sa);
	size_t text = mtu > fixed ? (mtu - fixed) & ~(sa->align - 1) : 0;

	if (is_ah(sa))
		return ah_budget(sa, ip, mtu);
	return ip->head + (text > ESP_TRAILER ? text - ESP_TRAILER : 0);
}

/* What the check value also covers though the packet holds it not, or not there: for an AEAD SPI and whole sequence
 * number, for a separate ICV the number's high half behind the text (RFC 4106 5, RFC 4303 2.2.1). */
struct cover {
	uint8_t aad[12], high[4];
	size_t aad_len;
};

/* Where it belongs, like what follows: to copy what was just written in pieces costs more than to write it. */
static void cover_make(const struct sa *sa, uint64_t seq, struct cover *c)
{
	put_u32(c->high, (uint32_t)(seq >> 32));
	if (sa->spec.esn) {
		put_u32(c->aad, sa->spec.spi);
		put_u64(c->aad + 4, seq);
		c->aad_len = 12;
	} else {
		put_u64(c->aad, (uint64_t)sa->spec.spi << 32 | (uint32_t)seq);
		c->aad_len = 8;
	}
}

/* from NULL: in place. */
static void sealed_make(const struct sa *sa, const struct cover *c, uint8_t *esp, const uint8_t *from, size_t text_len,
			struct sealed *s)
{
	s->iv = esp + ESP_HEADER;
	s->from = from;
	s->text = esp + ESP_HEADER + sa->iv;
	s->text_len = text_len;
	s->aad.at = c->aad;
	s->aad.len = c->aad_len;
	s->covered.at = esp;
	s->covered.len = ESP_HEADER + sa->iv + text_len;
	s->behind.at = c->high;
	s->behind.len = sa->spec.esn ? sizeof c->high : 0;
	s->icv = esp + ESP_HEADER + sa->iv + text_len;
}

/* A counter never repeats under one key, which is all that a stream cipher asks, and the least: CTR and every AEAD
 * (RFC 3686 2.1, 4106 3.1). CBC wants its IV unpredictable (RFC 3602 3). */
static int put_iv(const struct sa *sa, uint64_t seq, uint8_t *iv, struct diag *d)
{
	if (sa->spec.suite.encr->block == 1 && sa->iv == 8) {
		put_u64(iv, seq);
		return 0;
	}
	return sa->iv ? crypto_random(iv, sa->iv, d) : 0;
}

/* In IPv4 there is none (RFC 3948 2.1); in IPv6 one is needed, and what is on the way may drop zero (RFC 8200 8.1). */
void esp_udp_checksum(uint8_t *packet, size_t head, size_t len)
{
	uint8_t *udp = packet + head;
	uint64_t sum = checksum_add(len - head + IP_UDP, packet + 8, 2 * 16);
	uint16_t made;

	udp[6] = udp[7] = 0;
	made = (uint16_t)~checksum_fold(checksum_add(sum, udp, len - head));
	made = made ? made : 0xffff;
	put_u16(udp + 6, made);
}

size_t esp_gap(const struct sa *sa)
{
	return is_ah(sa) ? 0 : encapsulation(sa) + ESP_HEADER + sa->iv;
}

/* packet: where it stands, in place or elsewhere. */
static int seal(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t len, uint8_t *at, struct diag *d)
{
	size_t payload = len - ip->head, total = esp_sealed_len(sa, ip, len);
	size_t text = round_up(payload + ESP_TRAILER, sa->align), pad = text - payload - ESP_TRAILER;
	uint8_t *udp = at + ip->head, *esp = at + ip->head + encapsulation(sa), *behind = packet + len;
	bool in_place = packet == at + esp_gap(sa);
	struct cover cover;
	struct sealed sealed;
	uint64_t seq;
	int r;

	if ((r = sa_number(sa, &seq, d)) < 0)
		return r;
	if (total > IP_PACKET_MOST)
		return diag_fail(d, EMSGSIZE, "%zu octets sealed are more than a packet holds", total);
	memmove(at, packet, ip->head);
	if (encapsulation(sa)) {
		put_u16(udp, sa->spec.encap_local_port);
		put_u16(udp + 2, sa->spec.encap_remote_port);
		put_u16(udp + 4, (uint16_t)(total - ip->head));
		put_u16(udp + 6, 0);
	}
	put_u32(esp, sa->spec.spi);
	put_u32(esp + 4, (uint32_t)seq);
	if ((r = put_iv(sa, seq, esp + ESP_HEADER, d)) < 0)
		return r;
	for (size_t i = 0; i < pad; i++)
		behind[i] = (uint8_t)(i + 1);
	behind[pad] = (uint8_t)pad;
	behind[pad + 1] = ip->next;
	cover_make(sa, seq, &cover);
	sealed_make(sa, &cover, esp, in_place ? NULL : packet + ip->head, text, &sealed);
	sa_use(sa);
	if ((r = seal_close(sa->seal, &sealed, d)) < 0)
		return r;
	if (!addr_equal(&sa->spec.remote, &ip->destination)) /* a NAT has moved the peer since */
		memcpy(at + (ip->source.family == 4 ? 16 : 24), sa->spec.remote.octets, addr_octets(&sa->spec.remote));
	ip_patch(at, ip, total, encapsulation(sa) ? IP_UDP : IP_ESP);
	sa->packets++;
	sa->octets += payload;
	return 0;
}

int esp_seal_here(struct sa *sa, const struct ip_packet *ip, uint8_t *at, size_t len, struct diag *d)
{
	return seal(sa, ip, at + esp_gap(sa), len, at, d);
}

int esp_seal_from(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t len, uint8_t *at, struct diag *d)
{
	uint8_t behind[ESP_TAIL_MOST];
	int r;

	memcpy(behind, packet + len, sizeof behind);
	r = seal(sa, ip, packet, len, at, d);
	memcpy(packet + len, behind, sizeof behind);
	return r;
}

int esp_seal(struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len, struct wire_out *out,
	     struct diag *d)
{
	size_t start = out->len, total = esp_sealed_len(sa, ip, len);
	uint8_t *at;
	int r;

	if (is_ah(sa))
		return ah_seal(sa, ip, packet, len, out, d);
	at = wire_put_space(out, total);
	if (!at)
		return diag_fail(d, ENOBUFS, "no room for %zu octets", total);
	memcpy(at + esp_gap(sa), packet, len);
	r = esp_seal_here(sa, ip, at, len, d);
	if (r < 0)
		out->len = start;
	else if (encapsulation(sa) && ip->source.family == 6)
		esp_udp_checksum(at, ip->head, total);
	return r;
}

/* Padding counts 1, 2, 3, ... (RFC 4303 2.4); anything else was not made by the key's holder for this purpose. */
static bool padding_right(const uint8_t *text, size_t len, size_t *ret_payload, uint8_t *ret_next)
{
	size_t pad = text[len - 2];

	if (pad > len - ESP_TRAILER)
		return false;
	for (size_t i = 0; i < pad; i++)
		if (text[len - ESP_TRAILER - pad + i] != i + 1)
			return false;
	*ret_payload = len - ESP_TRAILER - pad;
	*ret_next = text[len - 1];
	return true;
}

int esp_open(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t at, size_t *ret_start, size_t *ret_len,
	     uint8_t *ret_next, struct diag *d)
{
	struct wire_in in = wire_in(packet + at, ip->len - at);
	const uint8_t *header = wire_octets(&in, ESP_HEADER + sa->iv);
	const uint32_t spi = sa->spec.spi, low = header ? get_u32(header + 4) : 0;
	size_t block, text, payload;
	uint64_t seq = low;
	uint8_t *esp = packet + at;
	struct cover cover;
	struct sealed sealed;
	int r;

	if (is_ah(sa))
		return ah_open(sa, ip, packet, at, ret_start, ret_len, ret_next, d);
	block = sa->spec.suite.encr->block;
	if (in.failed || in.left < sa->icv + ESP_TRAILER)
		return diag_fail(d, ERR_SYNTAX, "SPI %08x: %zu octets are too few", spi, ip->len - at);
	text = in.left - sa->icv;
	if (block > 1 && text & (block - 1))
		return diag_fail(d, ERR_SYNTAX, "SPI %08x: %zu octets are no whole blocks", spi, text);
	if (sa->spec.esn && !replay_extend(&sa->replay, low, &seq))
		return diag_fail(d, ESTALE, "SPI %08x: sequence number before the first", spi);
	if ((r = replay_check(&sa->replay, seq)) < 0)
		return diag_fail(d, r, "SPI %08x: replayed", spi);
	cover_make(sa, seq, &cover);
	sealed_make(sa, &cover, esp, NULL, text, &sealed);
	sa_use(sa);
	if ((r = seal_open(sa->seal, &sealed, d)) < 0)
		return r;
	if ((r = replay_accept(&sa->replay, seq)) < 0)
		return diag_fail(d, r, "SPI %08x: replayed", spi);
	if (!padding_right(sealed.text, text, &payload, ret_next))
		return diag_fail(d, ERR_SYNTAX, "SPI %08x: the padding is not 1, 2, 3, ...", spi);
	*ret_start = at - ip->head + ESP_HEADER + sa->iv;
	*ret_len = ip->head + payload;
	memmove(packet + *ret_start, packet, ip->head);
	ip_patch(packet + *ret_start, ip, *ret_len, *ret_next);
	return 0;
}
