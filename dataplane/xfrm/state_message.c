/* States, as the kernel wants them. */
#include "dataplane/xfrm/message.h"

#include "base/diag.h"
#include "dataplane/xfrm/build.h"
#include "dataplane/xfrm/convert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>

enum { WINDOW_OUT = 32 }; /* of what is sent: the kernel wants one */

static uint8_t protocol_of(const struct sa_spec *s)
{
	return s->suite.protocol == PROTO_AH ? IPPROTO_AH : IPPROTO_ESP;
}

struct state_id state_id_of(const struct sa_spec *s)
{
	return (struct state_id){ .to = s->inbound ? s->local : s->remote, .spi = s->spi, .protocol = protocol_of(s) };
}

/* ---- can it be? ---- */

static int check_key(const struct algorithm *a, const struct key *k, struct diag *d)
{
	if (!a->xfrm)
		return diag_fail(d, ERR_UNSUPPORTED, "the kernel has no %s: data-plane: userspace has", a->name);
	if (k->len != (size_t)a->key + a->salt)
		return diag_fail(d, EINVAL, "%s: a key of %zu octets, not %d", a->name, k->len, a->key + a->salt);
	return 0;
}

int message_state_check(const struct sa_spec *s, struct diag *d)
{
	const struct algorithm *encr = s->suite.encr, *integ = s->suite.integ;
	bool ah = s->suite.protocol == PROTO_AH;
	int r;

	if (ah ? !integ : !encr)
		return diag_fail(d, EINVAL, "the SA names no algorithm");
	if (ah && integ->aead)
		return diag_fail(d, ERR_UNSUPPORTED, "the kernel has no AH with %s: data-plane: userspace has",
				 integ->name);
	if (ah && s->encap_local_port)
		return diag_fail(d, ERR_UNSUPPORTED,
				 "AH covers the addresses of the packet: it cannot pass a NAT, nor go inside UDP. Use "
				 "ESP for this peer");
	if (!ah && !encr->aead && !integ)
		return diag_fail(d, ERR_UNSUPPORTED, "ESP with %s and no integrity check", encr->name);
	if (!ah && (r = check_key(encr, &s->encr_key, d)) < 0)
		return r;
	return ah || !encr->aead ? check_key(integ, &s->integ_key, d) : 0;
}

/* ---- one state ---- */

static void name_copy(char to[64], const char *name)
{
	memcpy(to, name, strnlen(name, 63));
}

/* An update wants keys of the right length, and takes no notice of them. */
static void put_aead(struct build *b, const struct algorithm *a, const struct key *k, bool update)
{
	size_t n = (size_t)a->key + a->salt;
	struct xfrm_algo_aead *to = build_space(b, XFRMA_ALG_AEAD, sizeof *to + n);

	if (!to)
		return;
	name_copy(to->alg_name, a->xfrm);
	to->alg_key_len = (unsigned)n * 8;
	to->alg_icv_len = a->icv * 8u;
	if (!update)
		memcpy(to->alg_key, k->octets, n);
}

static void put_crypt(struct build *b, const struct algorithm *a, const struct key *k, bool update)
{
	size_t n = (size_t)a->key + a->salt;
	struct xfrm_algo *to = build_space(b, XFRMA_ALG_CRYPT, sizeof *to + n);

	if (!to)
		return;
	name_copy(to->alg_name, a->xfrm);
	to->alg_key_len = (unsigned)n * 8;
	if (!update)
		memcpy(to->alg_key, k->octets, n);
}

static void put_auth(struct build *b, const struct algorithm *a, const struct key *k, bool update)
{
	struct xfrm_algo_auth *to = build_space(b, XFRMA_ALG_AUTH_TRUNC, sizeof *to + a->key);

	if (!to)
		return;
	name_copy(to->alg_name, a->xfrm);
	to->alg_key_len = a->key * 8u;
	to->alg_trunc_len = a->icv * 8u;
	if (!update)
		memcpy(to->alg_key, k->octets, a->key);
}

static void put_algorithms(struct build *b, const struct sa_spec *s, bool update)
{
	const struct algorithm *encr = s->suite.encr;

	if (s->suite.protocol == PROTO_ESP && encr->aead) {
		put_aead(b, encr, &s->encr_key, update);
		return;
	}
	if (s->suite.protocol == PROTO_ESP)
		put_crypt(b, encr, &s->encr_key, update);
	put_auth(b, s->suite.integ, &s->integ_key, update);
}

static void put_window(struct build *b, const struct sa_spec *s)
{
	uint32_t window = s->inbound ? s->replay_window : WINDOW_OUT;
	uint32_t words = (window + 31) / 32;
	struct xfrm_replay_state_esn *r = build_space(b, XFRMA_REPLAY_ESN_VAL, sizeof *r + words * sizeof r->bmp[0]);

	if (!r)
		return;
	r->bmp_len = words;
	r->replay_window = window;
}

static void put_encap(struct build *b, const struct sa_spec *s)
{
	uint16_t from = s->inbound ? s->encap_remote_port : s->encap_local_port;
	uint16_t to = s->inbound ? s->encap_local_port : s->encap_remote_port;
	struct xfrm_encap_tmpl e = { .encap_type = UDP_ENCAP_ESPINUDP,
				     .encap_sport = htons(from),
				     .encap_dport = htons(to) };

	if (s->encap_local_port)
		build_put(b, XFRMA_ENCAP, &e, sizeof e);
}

/* A state has one prefix, and one block of ports a side: the smallest around what was agreed on. What lies beside it
 * has no policy that asks for this SA, or one that this SA's peer refuses. */
static struct xfrm_selector selector_of(const struct sa_selector *s, bool inbound)
{
	struct addr_range locals = sa_selector_locals(s), remotes = sa_selector_remotes(s);
	struct convert_ends e = { .local = convert_prefix_around(&locals),
				  .remote = convert_prefix_around(&remotes),
				  .local_port = convert_ports_around(s->local_port),
				  .remote_port = convert_ports_around(s->remote_port),
				  .protocol = s->protocol };

	convert_icmp(&e, s->local_port);
	return convert_selector(&e, inbound);
}

static void put_mark(struct build *b, const struct sa_spec *s, struct xfrm_mark leaves)
{
	if (s->inbound || leaves.m == 0)
		return;
	build_put(b, XFRMA_SET_MARK, &leaves.v, sizeof leaves.v);
	build_put(b, XFRMA_SET_MARK_MASK, &leaves.m, sizeof leaves.m);
}

size_t message_state(void *buf, size_t cap, const struct sa_spec *s, uint32_t reqid, struct xfrm_mark leaves,
		     uint32_t hard_s, bool update)
{
	struct state_id id = state_id_of(s);
	struct build b;
	struct xfrm_usersa_info *i = build_begin(&b, buf, cap, update ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, 0, sizeof *i);

	if (!i)
		return 0;
	i->sel = selector_of(&s->selector, s->inbound);
	i->id.daddr = convert_addr(&id.to);
	i->id.spi = htonl(id.spi);
	i->id.proto = id.protocol;
	i->saddr = convert_addr(s->inbound ? &s->remote : &s->local);
	build_lifetime(&i->lft, s->soft_octets, s->hard_octets, hard_s);
	i->reqid = reqid;
	i->family = convert_family(s->local.family);
	i->mode = s->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
	if (s->esn)
		i->flags |= XFRM_STATE_ESN;
	if (s->suite.protocol == PROTO_AH && s->local.family == 4)
		i->flags |= XFRM_STATE_ALIGN4; /* RFC 4302 3.3.3.2.1: 32 bits in IPv4 */
	put_algorithms(&b, s, update);
	put_window(&b, s);
	put_encap(&b, s);
	put_mark(&b, s, leaves);
	return build_end(&b);
}

static size_t about(void *buf, size_t cap, uint16_t type, const struct state_id *id)
{
	struct build b;
	struct xfrm_usersa_id *i = build_begin(&b, buf, cap, type, 0, sizeof *i);

	if (!i)
		return 0;
	i->daddr = convert_addr(&id->to);
	i->spi = htonl(id->spi);
	i->family = convert_family(id->to.family);
	i->proto = id->protocol;
	return build_end(&b);
}

size_t message_state_remove(void *buf, size_t cap, const struct state_id *id)
{
	return about(buf, cap, XFRM_MSG_DELSA, id);
}

size_t message_state_get(void *buf, size_t cap, const struct state_id *id)
{
	return about(buf, cap, XFRM_MSG_GETSA, id);
}

size_t message_state_list(void *buf, size_t cap)
{
	struct build b;

	if (!build_begin(&b, buf, cap, XFRM_MSG_GETSA, NLM_F_DUMP, sizeof(struct xfrm_usersa_id)))
		return 0;
	return build_end(&b);
}

static size_t in_place_of(void *buf, size_t cap, const struct larval *l, const struct xfrm_selector *selector,
			  uint64_t packets)
{
	static const struct key none = { 0 };
	struct build b;
	struct xfrm_usersa_info *i = build_begin(&b, buf, cap, XFRM_MSG_NEWSA, 0, sizeof *i);
	const struct algorithm *encr = algorithm_by_name(ALG_ENCR, "null", 4);
	const struct algorithm *integ = algorithm_by_name(ALG_INTEG, "sha256", 6);

	if (!i || !encr || !integ)
		return 0;
	i->sel = *selector;
	i->id.daddr = convert_addr(&l->to);
	i->id.spi = htonl(l->spi);
	i->id.proto = l->protocol;
	i->saddr = convert_addr(&l->from);
	build_lifetime(&i->lft, 0, 0, 1);
	i->lft.hard_packet_limit = packets;
	i->seq = l->seq;
	i->reqid = l->reqid;
	i->family = convert_family(l->to.family);
	i->mode = l->mode;
	if (l->protocol == IPPROTO_ESP)
		put_crypt(&b, encr, &none, true);
	put_auth(&b, integ, &none, true);
	return build_end(&b);
}

/* The selector is one that no packet has: protocol 255 from port 1 to itself. */
size_t message_larval_replace(void *buf, size_t cap, const struct larval *l)
{
	struct addr_range all = { l->to, l->to };
	struct prefix to = convert_prefix_around(&all);
	struct xfrm_selector none = convert_selector(&(struct convert_ends){ .local = to,
									     .remote = to,
									     .local_port = { 1, 0xffff },
									     .remote_port = { 1, 0xffff },
									     .protocol = 255 },
						     false);

	return in_place_of(buf, cap, l, &none, XFRM_INF);
}

size_t message_larval_drops(void *buf, size_t cap, const struct larval *l, const struct sa_selector *selector)
{
	struct xfrm_selector its = selector_of(selector, false);

	return in_place_of(buf, cap, l, &its, 0);
}
