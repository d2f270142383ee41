/* tests/unit/own.h - a store and the ring with its secrets, loaded by one program, as cordond and its key holder do it
 * by two. */
#ifndef TESTS_UNIT_OWN_H
#define TESTS_UNIT_OWN_H
#include "base/scope.h"
#include "identity/credential.h"
#include "identity/keyring.h"
#include "identity/signature.h"
#include <string.h>

struct own {
	struct credential_store *store;
	struct keyring *ring;
};

static inline void own_free(struct own *o)
{
	credential_store_free(o->store);
	keyring_free(o->ring);
	*o = (struct own){ 0 };
}

/* *ret is empty after a failure. */
static inline int own_load(const struct credential_sources *from, const struct own *before, credential_bad *bad,
			   void *context, struct own *ret, struct diag *d)
{
	struct keyring_loading loading = { .ring = keyring_new(), .before = before ? before->ring : NULL };
	struct credential_sources all = *from;
	struct credential_holder holder;
	int r;

	keyring_holder(&loading, &holder);
	all.holder = &holder;
	*ret = (struct own){ .ring = loading.ring };
	r = credential_store_load(&all, before ? before->store : NULL, bad, context, &ret->store, d);
	if (r < 0)
		own_free(ret);
	return r;
}

static inline int own_sign(const struct own *o, size_t index, const struct algorithm *prf, uint16_t peer_hashes,
			   const struct octets *octets, struct keyring_proof *ret, struct diag *d)
{
	return keyring_sign(o->ring, credential_get(o->store, index)->number, prf, peer_hashes, octets, ret, d);
}

/* Whichever kind the proof is of. prf: for pre-shared keys. */
static inline int own_verify(const struct own *o, const struct credential_proof *p, const struct algorithm *prf,
			     struct peer *ret, struct diag *d)
{
	uint32_t numbers[CREDENTIAL_PSKS_MOST];
	size_t lacks = 0;
	int n;

	if (p->auth_method != AUTH_SHARED_KEY)
		return credential_verify(o->store, p, ret, d);
	if ((n = credential_psks_of(p->set, numbers, d)) < 0)
		return n;
	return credential_psk_verdict(
		p, keyring_prove(o->ring, numbers, (size_t)n, prf, &p->signed_octets, &p->auth, &lacks, d), lacks, ret,
		d);
}

#endif
