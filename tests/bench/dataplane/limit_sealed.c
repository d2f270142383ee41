/* The least that a data plane does to TCP besides moving it: cut a super-packet, complete each piece's checksum, seal
 * and open it with AES-256-GCM, and join the pieces. Intel's library where it is there, else libcrypto by way of base/.
 */
#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "tests/bench/dataplane/limit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

enum {
	AAD = 8,
	IV = 8,
	ICV = 16,
	KEY = 32,
	SALT = 4,
	TRAILER = 2,
	IP_TCP_ = 6,
	PIECE = 9216,
	PIECES = 64,
};

static uint8_t pieces[PIECES][PIECE + ICV];
static uint8_t header[AAD + IV];
static uint64_t number;

#ifdef HAVE_IPSEC_MB
static IMB_MGR *manager;
static struct gcm_key_data keyed;

void limit_seal_begin(void)
{
	static const uint8_t key[KEY] = { 1 };
	IMB_ARCH arch;

	manager = alloc_mb_mgr(0);
	if (!manager)
		limit_die("ipsec-mb");
	init_mb_mgr_auto(manager, &arch);
	IMB_AES256_GCM_PRE(manager, key, &keyed);
}

static void seal_and_open(uint8_t *text, size_t n)
{
	struct gcm_context_data context;
	uint8_t nonce[SALT + IV] = { 7 }, again[ICV];

	memcpy(nonce + SALT, header + AAD, IV);
	IMB_AES256_GCM_ENC(manager, &keyed, &context, text, text, n, nonce, header, AAD, text + n, ICV);
	IMB_AES256_GCM_DEC(manager, &keyed, &context, text, text, n, nonce, header, AAD, again, ICV);
	if (memcmp(again, text + n, ICV) != 0)
		limit_die("opening");
}
#else
static struct seal *closing, *opening;

void limit_seal_begin(void)
{
	const struct algorithm *gcm = algorithm_by_name(ALG_ENCR, "aes256gcm", strlen("aes256gcm"));
	struct key key = { .len = KEY + SALT };
	struct diag d;

	if (seal_new(gcm, &key, NULL, NULL, &closing, &d) < 0 || seal_new(gcm, &key, NULL, NULL, &opening, &d) < 0)
		limit_die(d.text);
}

static void seal_and_open(uint8_t *text, size_t n)
{
	const struct sealed packet = {
		.iv = header + AAD, .text = text, .text_len = n, .aad = { header, AAD }, .icv = text + n
	};
	struct diag d;

	if (seal_close(closing, &packet, &d) < 0 || seal_open(opening, &packet, &d) < 0)
		limit_die(d.text);
}
#endif

static size_t headers_of(const uint8_t *ip)
{
	size_t ip_len = (size_t)(ip[0] & 15) * 4;

	return ip_len + (size_t)(ip[ip_len + 12] >> 4) * 4;
}

size_t limit_seal_and_open(const uint8_t *from, size_t n, uint8_t *to)
{
	const uint8_t *ip = from + VNET;
	struct virtio_net_hdr vnet;
	size_t head, size, ip_len, out = VNET, len = n - VNET;

	if (n < VNET + 40 || ip[0] >> 4 != 4 || ip[9] != IP_TCP_) {
		memcpy(to, from, n);
		return n;
	}
	memcpy(&vnet, from, sizeof vnet < VNET ? sizeof vnet : VNET);
	ip_len = (size_t)(ip[0] & 15) * 4;
	head = headers_of(ip);
	size = vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE ? len - head : vnet.gso_size;
	memcpy(to, from, VNET + head);
	out += head;
	for (size_t at = head, i = 0; i == 0 || at < len; at += size, i++) {
		size_t part = len - at < size ? len - at : size, whole = head + part;
		uint8_t *piece = pieces[i % PIECES];
		uint16_t sum;

		if (whole + TRAILER > PIECE)
			limit_die("a piece is too large: is the MTU over 9000?");
		memcpy(piece, ip, head);
		memcpy(piece + head, ip + at, part);
		memset(piece + ip_len + 16, 0, sizeof sum);
		sum = (uint16_t)~limit_sum(limit_pseudo(piece, whole - ip_len), piece + ip_len, whole - ip_len);
		memcpy(piece + ip_len + 16, &sum, sizeof sum);
		number++;
		memcpy(header + AAD, &number, IV);
		seal_and_open(piece + ip_len, whole - ip_len + TRAILER);
		memcpy(to + out, piece + head, part);
		out += part;
	}
	return out;
}
