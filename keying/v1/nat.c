/* keying/v1/nat.c - a NAT between us and a peer that speaks IKEv1 (RFC 3947; [MS-IKEE] 3.2): found by hashes in
 * messages 3 and 4, gone through on port 4500 from message 5 on. What else a NAT means is nat.h's, for both versions.
 */
#include "keying/v1/nat.h"
#include "base/diag.h"
#include "keying/failure.h"

/* What mm_put_vendors announces. */
enum { OURS = 1u << V1_VENDOR_NAT_T_RFC | 1u << V1_VENDOR_NAT_T_02 };

void v1_nat_put_vendors(struct ike_writer *w)
{
	v1_put_vendor(w, V1_VENDOR_NAT_T_RFC);
	v1_put_vendor(w, V1_VENDOR_NAT_T_02);
}

static void put(const struct ike_sa *sa, struct ike_writer *w, const struct addr *a, uint16_t port)
{
	uint8_t hash[64];
	size_t len;

	if (v1_nat_hash(sa->suite.prf, sa->spi_i, sa->spi_r, a, port, hash, &len, NULL) == 0)
		v1_put_nat_d(w, sa->v1->nat, (struct keying_octets){ hash, len });
}

void v1_nat_put(struct ike_sa *sa, struct ike_writer *w)
{
	sa->v1->nat = v1_nat_revision(OURS, sa->v1->vendors);
	if (sa->v1->nat == V1_NAT_NONE)
		return;
	put(sa, w, &sa->remote, sa->remote_port);
	put(sa, w, &sa->local, sa->local_port);
}

static bool is(const struct ike_sa *sa, const struct keying_octets *said, const struct addr *a, uint16_t port)
{
	uint8_t hash[64];
	size_t len;

	return v1_nat_hash(sa->suite.prf, sa->spi_i, sa->spi_r, a, port, hash, &len, NULL) == 0 && said->len == len &&
	       octets_equal(said->at, hash, len);
}

/* The first is of the address that they sent it to, the others of those that it may have come from. */
static unsigned find(const struct ike_sa *sa, const struct v1_msg *m)
{
	bool source_true = false;

	if (m->nat_d_count < 2)
		return 0;
	for (size_t i = 1; i < m->nat_d_count; i++)
		source_true |= is(sa, &m->nat_d[i], &sa->remote, sa->remote_port);
	return (source_true ? 0u : NAT_THERE) | (is(sa, &m->nat_d[0], &sa->local, sa->local_port) ? 0u : NAT_HERE);
}

int v1_nat_take(struct ike_sa *sa, const struct v1_msg *m, struct diag *d)
{
	const struct policy *p = plan_policy(sa->k->plan);
	char why[NAT_WHY];

	sa->v1->nat = v1_nat_revision(OURS, sa->v1->vendors);
	unsigned behind = sa->v1->nat == V1_NAT_NONE ? 0 : find(sa, m);
	if (!nat_allowed(p, sa->nat.began, behind))
		return diag_fail(d, failure_error(FAILURE_NAT), "%s", nat_why_not(p, sa, behind, why));
	nat_enter(sa, behind);
	return 0;
}

/* Both, the initiator's first: who is behind the NAT calls itself otherwise than the other end does (RFC 3947 5.2). */
void v1_nat_put_addresses(const struct ike_sa *sa, struct ike_writer *w, bool we_began, bool tunnel)
{
	if (!sa->nat.behind || tunnel)
		return;
	v1_put_nat_oa(w, sa->v1->nat, we_began ? &sa->local : &sa->remote);
	v1_put_nat_oa(w, sa->v1->nat, we_began ? &sa->remote : &sa->local);
}
