/* keying/crash.c - quick crash detection (RFC 6290): each end gives the other a token that only it can make, for this
 * pair of SPIs. Who has lost an SA and is spoken to under it shows the token, unprotected, beside INVALID_IKE_SPI; the
 * peer then need not ask whether the hint is true, and begins anew. The token is made from a secret that outlives the
 * process; it is never made for an SA that we have, however somebody asks for it. */
#include "keying/engine.h"
#include <string.h>

enum { TOKEN = 32, TOKEN_LEAST = 16, TOKEN_MOST = 128, SHOWN_MOST = 64 };

static bool has_secret(const struct keying *k)
{
	static const uint8_t none[KEYING_CRASH_SECRET];

	return memcmp(k->config.crash_secret, none, sizeof none) != 0;
}

/* HMAC(secret, SPIi | SPIr | the peer's address) */
static bool make(const struct keying *k, uint64_t spi_i, uint64_t spi_r, const struct addr *remote, uint8_t ret[TOKEN])
{
	const struct algorithm *prf = algorithm_by_name(ALG_PRF, "sha256", 6);
	SCOPED(key_wipe) struct key mac = { 0 };
	uint8_t spis[16];
	struct wire_out out = wire_out(spis, sizeof spis);

	wire_put_u64(&out, spi_i);
	wire_put_u64(&out, spi_r);
	const struct octets parts[] = { { spis, sizeof spis }, { remote->octets, addr_octets(remote) } };
	if (!has_secret(k) ||
	    crypto_prf(prf, k->config.crash_secret, KEYING_CRASH_SECRET, parts, ARRAY_LEN(parts), &mac, NULL) < 0)
		return false;
	memcpy(ret, mac.octets, TOKEN);
	return true;
}

void crash_put(const struct ike_sa *sa, struct ike_writer *w)
{
	uint8_t token[TOKEN];

	if (make(sa->k, sa->spi_i, sa->spi_r, &sa->nat.outer, token))
		ike_put_notify_of_ike(w, N_QCD_TOKEN, token, sizeof token);
}

void crash_take(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notification *n = ike_find_notify(m, N_QCD_TOKEN);

	if (n && n->data.len >= TOKEN_LEAST && n->data.len <= TOKEN_MOST)
		owned_set(&sa->crash_token, n->data.at, n->data.len);
}

/* Both SPIs are asked for: with the flag of the direction turned round, another one would be looked up. */
void crash_show(struct keying *k, const struct ike_header *h, const struct addr *remote, struct ike_writer *w)
{
	uint8_t token[TOKEN];

	if (h->spi_i && h->spi_r && !table_find(&k->spis, h->spi_i, NULL, NULL) &&
	    !table_find(&k->spis, h->spi_r, NULL, NULL) && make(k, h->spi_i, h->spi_r, remote, token))
		ike_put_notify_of_ike(w, N_QCD_TOKEN, token, sizeof token);
}

bool crash_shown(struct ike_sa *sa, const struct ike_msg *m)
{
	struct keying *k = sa->k;

	if (!sa->crash_token.len)
		return false;
	for (size_t i = 0; i < m->notify_count; i++) {
		const struct ike_notification *n = &m->notifies[i];
		if (n->type != N_QCD_TOKEN || n->data.len != sa->crash_token.len)
			continue;
		if (k->now_ms - k->shown_ms >= 1000) {
			k->shown_ms = k->now_ms;
			k->shown = 0;
		}
		if (k->shown++ >= SHOWN_MOST) /* nobody guesses 256 bits, and nobody keeps us busy with it */
			return false;
		if (octets_equal(n->data.at, sa->crash_token.at, n->data.len))
			return true;
	}
	return false;
}
