/* keying/v1/proposal.c - suites of the policy as IKEv1 proposals, and the choice among what a peer offers. */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/proposal.h"
#include <stdio.h>
#include <string.h>

enum { KEY_IKE = 1 };

static struct v1_proposal *next_proposal(struct v1_offer *o, uint8_t protocol)
{
	struct v1_proposal *p;

	if (o->count == V1_PROPOSALS_MOST)
		return NULL;
	p = &o->proposals[o->count++];
	*p = (struct v1_proposal){ .number = (uint8_t)o->count, .protocol = protocol, .first = o->transform_count };
	return p;
}

static void add_transform(struct v1_offer *o, struct v1_proposal *p, const struct v1_transform *t)
{
	if (o->transform_count == V1_TRANSFORMS_MOST)
		return;
	struct v1_transform *to = &o->transforms[o->transform_count++];
	*to = *t;
	to->number = (uint8_t)++p->count;
}

/* ---- main mode --------------------------------------------------------------------------------------------------- */

static struct v1_transform main_transform(const struct v1_main_wish *wish, const struct ike_suite *s, uint16_t method)
{
	struct v1_transform t = { .id = KEY_IKE,
				  .encr = s->encr->ikev1,
				  .key_bits = s->encr->key_bits,
				  .hash = s->prf->ikev1,
				  .group = s->group->ikev1,
				  .method = method,
				  .life_s = wish->set->lifetime_s };

	if (method == V1_METHOD_GSS)
		t.gss_name = wish->gss_name;
	return t;
}

int v1_offer_main(const struct v1_main_wish *wish, struct v1_offer *ret, struct diag *d)
{
	struct v1_proposal *p;
	char set[PROPOSALS_TEXT];

	ret->count = ret->transform_count = 0;
	p = next_proposal(ret, V1_PROTO_ISAKMP);
	for (size_t i = 0; i < wish->set->count; i++)
		for (size_t k = 0; ike_suite_ikev1(&wish->set->suites[i]) && k < wish->method_count; k++) {
			const struct v1_transform t = main_transform(wish, &wish->set->suites[i], wish->methods[k]);
			add_transform(ret, p, &t);
		}
	if (p->count)
		return 0;
	return diag_fail(
		d, ERR_POLICY,
		"key-exchange '%s' (%s) has nothing that IKEv1 can do in main mode: it has no AEAD and no x25519; "
		"aes256-sha256-ecp256 would do",
		wish->set->name, proposal_set_text(wish->set, set));
}

static bool method_wished(const struct v1_main_wish *wish, uint16_t method)
{
	for (size_t i = 0; i < wish->method_count; i++)
		if (wish->methods[i] == method)
			return true;
	return false;
}

static bool fits_main(const struct v1_transform *t, const struct ike_suite *s)
{
	return !t->strange && t->id == KEY_IKE && !t->prf && ike_suite_ikev1(s) && t->encr == s->encr->ikev1 &&
	       t->key_bits == s->encr->key_bits && t->hash == s->prf->ikev1 && t->group == s->group->ikev1;
}

static bool choose_among(const struct v1_offer *offer, const struct v1_proposal *p, const struct v1_main_wish *wish,
			 struct v1_main_choice *ret)
{
	for (size_t i = p->first; i < p->first + p->count; i++) {
		const struct v1_transform *t = &offer->transforms[i];
		for (size_t s = 0; method_wished(wish, t->method) && s < wish->set->count; s++) {
			if (!fits_main(t, &wish->set->suites[s]))
				continue;
			*ret = (struct v1_main_choice){ .suite = wish->set->suites[s],
							.method = t->method,
							.life_s = t->life_s,
							.proposal = p->number,
							.transform = t->number,
							.of = t };
			return true;
		}
	}
	return false;
}

bool v1_choose_main(const struct v1_offer *offer, const struct v1_main_wish *wish, struct v1_main_choice *ret)
{
	for (size_t i = 0; i < offer->count; i++)
		if (offer->proposals[i].protocol == V1_PROTO_ISAKMP &&
		    choose_among(offer, &offer->proposals[i], wish, ret))
			return true;
	return false;
}

bool v1_accept_main(const struct v1_offer *answer, const struct v1_main_wish *wish, struct v1_main_choice *ret)
{
	return answer->count == 1 && answer->proposals[0].count == 1 && v1_choose_main(answer, wish, ret);
}

void v1_answer_main(const struct v1_main_choice *choice, struct keying_octets gss_name, struct v1_offer *ret)
{
	ret->count = ret->transform_count = 0;
	struct v1_proposal *p = next_proposal(ret, V1_PROTO_ISAKMP);
	struct v1_transform *t = &ret->transforms[ret->transform_count++];

	p->number = choice->proposal;
	p->count = 1;
	*t = *choice->of;
	if (gss_name.len)
		t->gss_name = gss_name;
}

/* ---- quick mode -------------------------------------------------------------------------------------------------- */

static uint16_t encapsulation_of(const struct v1_quick_wish *wish)
{
	switch (wish->nat) {
	case V1_NAT_RFC:
		return wish->tunnel ? V1_UDP_TUNNEL : V1_UDP_TRANSPORT;
	case V1_NAT_DRAFT:
		return wish->tunnel ? V1_UDP_TUNNEL_DRAFT : V1_UDP_TRANSPORT_DRAFT;
	case V1_NAT_NONE:
		break;
	}
	return wish->tunnel ? V1_TUNNEL : V1_TRANSPORT;
}

/* AH covers the addresses, which a NAT changes. */
static bool usable(const struct v1_quick_wish *wish, const struct child_suite *s)
{
	return child_suite_ikev1(s) && (wish->nat == V1_NAT_NONE || s->protocol != PROTO_AH);
}

static uint8_t transform_of(const struct child_suite *s)
{
	return s->protocol == PROTO_AH ? algorithm_ikev1_ah(s->integ) : (uint8_t)s->encr->ikev1_esp;
}

static uint32_t kilobytes(uint64_t octets)
{
	uint64_t kb = octets / 1024;

	return kb > UINT32_MAX ? UINT32_MAX : (uint32_t)kb;
}

static struct v1_transform quick_transform(const struct v1_quick_wish *wish, const struct child_suite *s)
{
	return (struct v1_transform){ .id = transform_of(s),
				      .key_bits = s->encr ? s->encr->key_bits : 0,
				      .integ = s->integ ? s->integ->ikev1_esp : 0,
				      .group = s->group ? s->group->ikev1_esp : 0,
				      .encapsulation = encapsulation_of(wish),
				      .life_s = wish->set->lifetime_s,
				      .life_kb = kilobytes(wish->set->lifetime_octets) };
}

int v1_offer_quick(const struct v1_quick_wish *wish, uint32_t spi, struct v1_offer *ret,
		   const struct algorithm **ret_group, struct diag *d)
{
	const struct algorithm *group = NULL;
	char set[PROPOSALS_TEXT];

	ret->count = ret->transform_count = 0;
	for (size_t i = 0; i < wish->set->count; i++) {
		const struct child_suite *s = &wish->set->suites[i];
		struct v1_proposal *p;

		if (!usable(wish, s) || (ret->count && s->group != group) ||
		    !(p = next_proposal(ret, (uint8_t)s->protocol)))
			continue;
		const struct v1_transform t = quick_transform(wish, s);
		group = s->group;
		p->spi_len = 4;
		p->spi = spi;
		add_transform(ret, p, &t);
	}
	*ret_group = group;
	if (ret->count)
		return 0;
	return diag_fail(d, ERR_POLICY, "protection '%s' (%s) has nothing that IKEv1 can do%s", wish->set->name,
			 proposal_protection_text(wish->set, set), wish->nat != V1_NAT_NONE ? " through a NAT" : "");
}

/* A rule that asks for a group gets it; one that asks for none lets the peer have its wish. */
static bool fits_group(const struct v1_transform *t, const struct child_suite *s, const struct algorithm **ret)
{
	*ret = s->group;
	if (s->group)
		return t->group == s->group->ikev1_esp;
	if (!t->group)
		return true;
	*ret = algorithm_by_ikev1_quick(ALG_GROUP, t->group, 0);
	return *ret && !(*ret)->legacy;
}

/* Without the attribute it is for the hosts to say (RFC 2407 4.5): ours is transport. */
static bool fits_mode(const struct v1_transform *t, const struct v1_quick_wish *wish)
{
	uint16_t mode = t->encapsulation ? t->encapsulation : V1_TRANSPORT;

	return mode == encapsulation_of(wish);
}

static bool fits_quick(const struct v1_proposal *p, const struct v1_transform *t, const struct v1_quick_wish *wish,
		       const struct child_suite *s, struct v1_quick_choice *ret)
{
	const struct algorithm *group;

	if (t->strange || !usable(wish, s) || p->protocol != (uint8_t)s->protocol || p->spi_len != 4 || p->spi < 256 ||
	    t->id != transform_of(s) || t->key_bits != (s->encr ? s->encr->key_bits : 0) ||
	    t->integ != (s->integ ? s->integ->ikev1_esp : 0) || !fits_mode(t, wish) || !fits_group(t, s, &group))
		return false;
	*ret = (struct v1_quick_choice){ .suite = *s,
					 .spi = p->spi,
					 .esn = t->esn,
					 .udp = wish->nat != V1_NAT_NONE,
					 .life_s = t->life_s,
					 .life_kb = t->life_kb,
					 .proposal = p->number,
					 .of = t };
	ret->suite.group = group;
	return true;
}

/* One of several that have to be taken together (AH and ESP)? We take one alone. */
static bool bundled(const struct v1_offer *offer, size_t which)
{
	for (size_t i = 0; i < offer->count; i++)
		if (i != which && offer->proposals[i].number == offer->proposals[which].number)
			return true;
	return false;
}

bool v1_choose_quick(const struct v1_offer *offer, const struct v1_quick_wish *wish, struct v1_quick_choice *ret)
{
	for (size_t i = 0; i < offer->count; i++) {
		const struct v1_proposal *p = &offer->proposals[i];
		if (bundled(offer, i))
			continue;
		for (size_t k = p->first; k < p->first + p->count; k++)
			for (size_t s = 0; s < wish->set->count; s++)
				if (fits_quick(p, &offer->transforms[k], wish, &wish->set->suites[s], ret))
					return true;
	}
	return false;
}

bool v1_accept_quick(const struct v1_offer *answer, const struct v1_quick_wish *wish, struct v1_quick_choice *ret)
{
	return answer->count == 1 && answer->proposals[0].count == 1 && v1_choose_quick(answer, wish, ret);
}

void v1_answer_quick(const struct v1_quick_choice *choice, uint32_t spi, struct v1_offer *ret)
{
	ret->count = ret->transform_count = 0;
	struct v1_proposal *p = next_proposal(ret, (uint8_t)choice->suite.protocol);

	p->number = choice->proposal;
	p->spi_len = 4;
	p->spi = spi;
	p->count = 1;
	ret->transforms[ret->transform_count++] = *choice->of;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static void append_algorithm(char *buf, const struct algorithm *a, const char *what, unsigned number)
{
	const char *hyphen = *buf && buf[strlen(buf) - 1] != ' ' ? "-" : "";

	if (a)
		proposal_append(buf, "%s%s", hyphen, a->name);
	else if (number)
		proposal_append(buf, "%s%s%u", hyphen, what, number);
}

static void append_main(char *buf, const struct v1_transform *t)
{
	append_algorithm(buf, algorithm_by_ikev1(ALG_ENCR, t->encr, t->key_bits), "cipher ", t->encr);
	append_algorithm(buf, algorithm_by_ikev1(ALG_PRF, t->hash, 0), "hash ", t->hash);
	append_algorithm(buf, algorithm_by_ikev1(ALG_GROUP, t->group, 0), "group ", t->group);
	proposal_append(buf, " (%s)", v1_method_name(t->method));
}

static void append_quick(char *buf, const struct v1_proposal *p, const struct v1_transform *t)
{
	proposal_append(buf, "%s", p->protocol == V1_PROTO_AH ? "ah" : p->protocol == V1_PROTO_ESP ? "esp" : "other");
	if (p->protocol != V1_PROTO_AH)
		append_algorithm(buf, algorithm_by_ikev1_quick(ALG_ENCR, t->id, t->key_bits), "transform ", t->id);
	append_algorithm(buf, algorithm_by_ikev1_quick(ALG_INTEG, t->integ, 0), "integrity ", t->integ);
	append_algorithm(buf, algorithm_by_ikev1_quick(ALG_GROUP, t->group, 0), "group ", t->group);
}

const char *v1_offer_text(const struct v1_offer *offer, char buf[PROPOSALS_TEXT])
{
	buf[0] = '\0';
	for (size_t i = 0; i < offer->count; i++) {
		const struct v1_proposal *p = &offer->proposals[i];
		for (size_t k = p->first; k < p->first + p->count; k++) {
			if (*buf)
				proposal_append(buf, ", ");
			if (p->protocol == V1_PROTO_ISAKMP)
				append_main(buf, &offer->transforms[k]);
			else
				append_quick(buf, p, &offer->transforms[k]);
		}
	}
	return *buf ? buf : "nothing";
}
