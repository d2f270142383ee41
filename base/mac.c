#include "base/mac.h"

#include "base/scope.h"

#include <string.h>

/* RFC 4434 2: a short key is padded with zeroes, a long one is put through the MAC. RFC 4615 3: both are put through.
 */
static void key_fit(enum aesmac_kind kind, const uint8_t *key, size_t len, uint8_t ret[AESMAC_OCTETS])
{
	static const uint8_t zeroes[AESMAC_OCTETS];
	struct aesmac m;

	if (len == AESMAC_OCTETS || (kind == AESMAC_XCBC && len < AESMAC_OCTETS)) {
		memset(ret, 0, AESMAC_OCTETS);
		if (len)
			memcpy(ret, key, len);
		return;
	}
	aesmac_init(&m, kind, zeroes);
	aesmac_add(&m, key, len);
	aesmac_end(&m, ret, AESMAC_OCTETS);
	explicit_bzero(&m, sizeof m);
}

bool mac_init(struct mac *m, const char *name, const void *key, size_t key_len)
{
	static const struct {
		const char *name;
		enum aesmac_kind kind;
	} rows[] = { { "AES-XCBC", AESMAC_XCBC }, { "AES-CMAC", AESMAC_CMAC } };
	uint8_t fit[AESMAC_OCTETS];

	m->is_aes = false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, name) != 0)
			continue;
		key_fit(rows[i].kind, key, key_len, fit);
		aesmac_init(&m->aes, rows[i].kind, fit);
		explicit_bzero(fit, sizeof fit);
		m->is_aes = true;
		return true;
	}
	return hmac_init(&m->hmac, name, key, key_len);
}

size_t mac_octets(const struct mac *m)
{
	return m->is_aes ? AESMAC_OCTETS : hmac_octets(&m->hmac);
}

void mac_add(struct mac *m, const void *octets, size_t n)
{
	if (m->is_aes)
		aesmac_add(&m->aes, octets, n);
	else
		hmac_add(&m->hmac, octets, n);
}

void mac_end(struct mac *m, uint8_t *ret, size_t n)
{
	if (m->is_aes)
		aesmac_end(&m->aes, ret, n);
	else
		hmac_end(&m->hmac, ret, n);
}

void mac_wipe(struct mac *m)
{
	explicit_bzero(m, sizeof *m);
}
