/* base/gcm_functions.h - what gcm.c takes from intel-ipsec-mb for one length of key, and whether it can be trusted. */
#ifndef BASE_GCM_FUNCTIONS_H
#define BASE_GCM_FUNCTIONS_H
#include <intel-ipsec-mb.h>
#include <stdbool.h>
#include <stddef.h>

enum { GCM_SIZES = 3 }; /* keys of 16, 24 and 32 octets */

struct gcm_functions {
	aes_gcm_pre_t expand;
	aes_gcm_enc_dec_t close, open;
};

/* Those that this CPU is best served with; false: none. */
bool gcm_functions_find(struct gcm_functions ret[GCM_SIZES], const char **ret_arch, bool *ret_library_failed);
/* Do they give the answers that others published, and the same as libcrypto for packets of all kinds of lengths? */
bool gcm_functions_right(const struct gcm_functions f[GCM_SIZES]);

#endif
