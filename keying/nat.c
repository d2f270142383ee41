/* keying/nat.c - NAT detection (RFC 7296 2.23): told truthfully to the peer, and read. What follows from a NAT (UDP
 * encapsulation, RFC 3948) is not done yet, so a NAT ends the negotiation, in words. */
#include "keying/engine.h"
#include <string.h>

int nat_hash(uint64_t spi_i, uint64_t spi_r, const struct addr *a, uint16_t port, uint8_t ret[20], struct diag *d)
{
	uint8_t text[16 + 16 + 2], digest[DIGEST_MAX];
	struct wire_out out = wire_out(text, sizeof text);
	size_t len;
	int r;

	wire_put_u64(&out, spi_i);
	wire_put_u64(&out, spi_r);
	wire_put(&out, a->octets, addr_octets(a));
	wire_put_u16(&out, port);
	struct octets part = { text, out.len };
	if ((r = crypto_digest("SHA1", &part, 1, digest, &len, d)) < 0)
		return r;
	if (len != 20)
		return diag_fail(d, ERR_CRYPTO, "SHA1 gave %zu octets", len);
	memcpy(ret, digest, 20);
	return 0;
}

void nat_put(struct ike_sa *sa, struct ike_writer *w)
{
	uint8_t hash[20];

	if (nat_hash(sa->spi_i, sa->spi_r, &sa->local, sa->local_port, hash, NULL) == 0)
		ike_put_notify(w, N_NAT_DETECTION_SOURCE_IP, hash, sizeof hash);
	if (nat_hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, hash, NULL) == 0)
		ike_put_notify(w, N_NAT_DETECTION_DESTINATION_IP, hash, sizeof hash);
}

static bool same(const struct ike_notification *n, const uint8_t hash[20])
{
	return n->data.len == 20 && memcmp(n->data.at, hash, 20) == 0;
}

bool nat_between(const struct ike_sa *sa, const struct ike_msg *m)
{
	uint8_t theirs[20], ours[20];
	bool source_said = false, source_true = false, destination_false = false;

	/* With the SPIs of this very message: the responder's is zero in the first request. */
	if (nat_hash(m->h.spi_i, m->h.spi_r, &sa->remote, sa->remote_port, theirs, NULL) < 0 ||
	    nat_hash(m->h.spi_i, m->h.spi_r, &sa->local, sa->local_port, ours, NULL) < 0)
		return false;
	for (size_t i = 0; i < m->notify_count; i++) {
		const struct ike_notification *n = &m->notifies[i];
		if (n->type == N_NAT_DETECTION_SOURCE_IP) { /* one for each address that it might have sent from */
			source_said = true;
			source_true |= same(n, theirs);
		} else if (n->type == N_NAT_DETECTION_DESTINATION_IP) {
			destination_false |= !same(n, ours);
		}
	}
	return (source_said && !source_true) || destination_false;
}
