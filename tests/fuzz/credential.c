/* What a peer sends to prove itself: certificates, an identity and a signature, cut from one input. Nothing that a
 * fuzzer makes up proves anything, and nothing reads past its end. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "base/wire.h"
#include "identity/credential.h"

#include <stdlib.h>

static struct octets piece(struct wire_in *in)
{
	uint16_t n = wire_u16(in);
	struct wire_in sub = wire_sub(in, n < in->left ? n : in->left);

	return (struct octets){ sub.at, sub.left };
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct credential_store *nobody;
	static const char *const usages[] = { "1.3.6.1.5.5.8.2.2" };
	static struct auth_method m = { .kind = AUTH_CERTIFICATE,
					.issuer = "CN=x",
					.both = { .ekus = usages, .eku_count = 1 } };
	static struct auth_set set = { .name = "set", .methods = &m, .count = 1 };
	struct wire_in in = wire_in(octets, len);
	struct octets chain[9];
	struct credential_proof p = { .set = &set, .chain = chain, .now_s = 1800000000 };
	struct peer peer;
	struct diag d;

	if (!nobody && credential_store_load(&(struct credential_sources){ 0 }, NULL, NULL, NULL, &nobody, &d) < 0)
		abort();
	p.auth_method = wire_u8(&in);
	p.id_type = wire_u8(&in);
	p.peer_hashes = wire_u16(&in);
	p.auth = piece(&in);
	p.id = piece(&in);
	p.signed_octets = piece(&in);
	for (size_t n = wire_u8(&in) % 10; p.chain_count < n; p.chain_count++)
		chain[p.chain_count] = piece(&in);
	if (credential_verify(nobody, &p, &peer, &d) == 0)
		abort();
	return 0;
}
