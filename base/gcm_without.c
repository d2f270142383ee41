/* Built without intel-ipsec-mb: libcrypto does AES-GCM. */
#include "base/gcm.h"

#include "base/diag.h"

#include <errno.h>

const char *crypto_gcm(struct diag *d)
{
	(void)diag_fail(d, ENOSYS, "this program was built without intel-ipsec-mb");
	return NULL;
}

bool crypto_gcm_broken(void)
{
	return false;
}

void gcm_allow(bool allowed)
{
	(void)allowed;
}

struct gcm *gcm_new(const uint8_t *key, size_t len)
{
	(void)key;
	(void)len;
	return NULL;
}

void gcm_free(struct gcm *g)
{
	(void)g;
}

void gcm_close(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, const uint8_t *from,
	       uint8_t *text, size_t len, uint8_t *icv, size_t icv_len)
{
	(void)g;
	(void)nonce;
	(void)aad;
	(void)from;
	(void)text;
	(void)len;
	(void)icv;
	(void)icv_len;
}

bool gcm_open(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, uint8_t *text, size_t len,
	      const uint8_t *icv, size_t icv_len)
{
	(void)g;
	(void)nonce;
	(void)aad;
	(void)text;
	(void)len;
	(void)icv;
	(void)icv_len;
	return false;
}
