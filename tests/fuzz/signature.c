/* An AUTH payload's data under a fixed key: no input is a signature, and identity texts stay within their buffer. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "identity/handle.h"
#include "identity/name.h"
#include "identity/signature.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static EVP_PKEY *keys[3];
	static const struct octets message = { "m", 1 };
	struct octets auth = { octets + 2, len - 2 };
	char text[PEER_TEXT];
	struct diag d;

	if (len < 2)
		return 0;
	if (!keys[0]) {
		keys[0] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
		keys[1] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
		keys[2] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	}
	if (signature_check(keys[octets[0] % 3], octets[0] & 4 ? 0 : 0xffff, octets[1], &auth, &message, &d) == 0)
		abort();
	(void)name_identity_text(octets[1], &auth, text);
	if (strlen(text) >= sizeof text)
		abort();
	return 0;
}
