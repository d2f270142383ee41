/* keying/cookie.c - cookies: with many half-open IKE SAs a stranger must show that it hears us before we remember it or
 * work for it (RFC 7296 2.6). The secret is made by a job, changes, and the one before it is still accepted. */
#include "keying/engine.h"
#include <string.h>

enum { SECRET_MS = 60000, MAC = 32 };

bool cookie_wanted(const struct keying *k)
{
	return k->half_open_count >= k->config.half_open_cookie;
}

void cookie_refresh(struct keying *k)
{
	if (k->cookie_job || (k->secrets[0].have && k->now_ms - k->cookie_ms < SECRET_MS))
		return;
	k->cookie_job = job_ask(k, OWNER_COOKIE, 0, job_new(JOB_BEGIN));
}

void cookie_job_done(struct keying *k, const struct keying_result *r)
{
	k->cookie_job = 0;
	if (r->error)
		return;
	k->secrets[1] = k->secrets[0];
	memcpy(k->secrets[0].octets, r->nonce, sizeof r->nonce);
	k->secrets[0].have = true;
	k->cookie_version++;
	k->cookie_ms = k->now_ms;
}

/* version | HMAC(secret, Ni | IPi | SPIi) */
static int make(const struct cookie_secret *s, uint8_t version, const struct addr *remote, uint64_t spi_i,
		struct keying_octets nonce, uint8_t ret[1 + MAC], struct diag *d)
{
	const struct algorithm *prf = algorithm_by_name(ALG_PRF, "sha256", 6);
	SCOPED(key_wipe) struct key mac = { 0 };
	uint8_t spi[8];
	struct wire_out out = wire_out(spi, sizeof spi);
	int r;

	wire_put_u64(&out, spi_i);
	const struct octets parts[] = {
		{ nonce.at, nonce.len },
		{ remote->octets, addr_octets(remote) },
		{ spi, sizeof spi },
	};
	if ((r = crypto_prf(prf, s->octets, sizeof s->octets, parts, ARRAY_LEN(parts), &mac, d)) < 0)
		return r;
	ret[0] = version;
	memcpy(ret + 1, mac.octets, MAC);
	return 0;
}

int cookie_make(struct keying *k, const struct addr *remote, uint64_t spi_i, struct keying_octets nonce,
		uint8_t ret[IKE_COOKIE_MOST], size_t *ret_len, struct diag *d)
{
	if (!k->secrets[0].have)
		return diag_fail(d, ERR_UNEXPECTED, "there is no secret for cookies yet");
	*ret_len = 1 + MAC;
	return make(&k->secrets[0], k->cookie_version, remote, spi_i, nonce, ret, d);
}

bool cookie_good(struct keying *k, const struct addr *remote, uint64_t spi_i, struct keying_octets nonce,
		 struct keying_octets cookie)
{
	uint8_t want[1 + MAC];

	if (cookie.len != sizeof want)
		return false;
	uint8_t age = (uint8_t)(k->cookie_version - cookie.at[0]);
	if (age > 1 || !k->secrets[age].have ||
	    make(&k->secrets[age], cookie.at[0], remote, spi_i, nonce, want, NULL) < 0)
		return false;
	return octets_equal(want, cookie.at, sizeof want);
}
