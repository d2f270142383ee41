/* keying/proposal.c - suites of the policy as proposals on the wire, and the choice among what a peer offers. */
#include "keying/proposal.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add(struct ike_proposal *p, unsigned type, const struct algorithm *a)
{
	if (a)
		p->transforms[p->count++] =
			(struct ike_transform){ .type = (uint8_t)type, .id = a->ikev2, .key_bits = a->key_bits };
}

static void add_esn(struct ike_proposal *p, bool esn)
{
	p->transforms[p->count++] = (struct ike_transform){ .type = TRANSFORM_ESN, .id = esn };
}

static struct ike_proposal *next(struct ike_offer *o, uint8_t protocol, uint64_t spi, uint8_t spi_len)
{
	struct ike_proposal *p = &o->proposals[o->count++];

	*p = (struct ike_proposal){ .number = (uint8_t)o->count, .protocol = protocol, .spi_len = spi_len, .spi = spi };
	return p;
}

static void add_ike(struct ike_proposal *p, const struct ike_suite *s)
{
	add(p, ALG_ENCR, s->encr);
	add(p, ALG_INTEG, s->integ);
	add(p, ALG_PRF, s->prf);
	add(p, ALG_GROUP, s->group);
}

void proposal_offer_ike(const struct key_exchange_set *set, uint64_t spi, struct ike_offer *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < set->count && ret->count < IKE_PROPOSALS_MOST; i++)
		add_ike(next(ret, PROTO_IKE, spi, spi ? 8 : 0), &set->suites[i]);
}

void proposal_answer_ike(const struct ike_suite *suite, uint8_t number, uint64_t spi, struct ike_offer *ret)
{
	ret->count = 0;
	struct ike_proposal *p = next(ret, PROTO_IKE, spi, spi ? 8 : 0);
	p->number = number;
	add_ike(p, suite);
}

/* Does the proposal hold this transform? NULL: it must hold none of the kind, or say "none". */
static bool holds(const struct ike_proposal *p, unsigned type, const struct algorithm *a)
{
	bool any = false;

	for (size_t i = 0; i < p->count; i++) {
		const struct ike_transform *t = &p->transforms[i];
		if (t->type != type)
			continue;
		any = true;
		if (!t->strange && t->id == (a ? a->ikev2 : 0) && t->key_bits == (a ? a->key_bits : 0))
			return true;
	}
	return !a && !any;
}

/* An answer has one transform of each kind, and of no kind that we did not offer. */
static bool single(const struct ike_proposal *p)
{
	bool seen[TRANSFORM_ESN + 1] = { false };

	for (size_t i = 0; i < p->count; i++) {
		unsigned type = p->transforms[i].type;
		if (type > TRANSFORM_ESN || seen[type])
			return false;
		seen[type] = true;
	}
	return true;
}

/* A kind of transform that we do not know makes a proposal unacceptable (3.3.6). */
static bool familiar(const struct ike_proposal *p)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->transforms[i].type == 0 || p->transforms[i].type > TRANSFORM_ESN)
			return false;
	return true;
}

static bool fits_ike(const struct ike_proposal *p, const struct ike_suite *s)
{
	return p->protocol == PROTO_IKE && familiar(p) && holds(p, ALG_ENCR, s->encr) &&
	       holds(p, ALG_INTEG, s->integ) && holds(p, ALG_PRF, s->prf) && holds(p, ALG_GROUP, s->group);
}

bool proposal_choose_ike(const struct ike_offer *offer, const struct ike_suite *const *suites, size_t n,
			 struct proposal_ike_choice *ret)
{
	for (size_t i = 0; i < offer->count; i++) {
		const struct ike_proposal *p = &offer->proposals[i];
		for (size_t s = 0; s < n; s++) {
			if (!fits_ike(p, suites[s]))
				continue;
			*ret = (struct proposal_ike_choice){ *suites[s], p->number, p->spi };
			return true;
		}
	}
	return false;
}

bool proposal_accept_ike(const struct ike_offer *answer, const struct key_exchange_set *set,
			 struct proposal_ike_choice *ret)
{
	if (answer->count != 1 || !single(&answer->proposals[0]))
		return false;
	for (size_t i = 0; i < set->count; i++) {
		const struct ike_suite *s = &set->suites[i];
		if (proposal_choose_ike(answer, &s, 1, ret))
			return true;
	}
	return false;
}

static void add_child(struct ike_proposal *p, const struct child_suite *s, const struct algorithm *group)
{
	add(p, ALG_ENCR, s->encr);
	add(p, ALG_INTEG, s->integ);
	add(p, ALG_GROUP, group);
}

void proposal_offer_child(const struct protection_set *set, uint32_t spi, bool with_group, struct ike_offer *ret)
{
	ret->count = 0;
	for (size_t i = 0; i < set->count && ret->count < IKE_PROPOSALS_MOST; i++) {
		const struct child_suite *s = &set->suites[i];
		struct ike_proposal *p = next(ret, (uint8_t)s->protocol, spi, 4);
		add_child(p, s, with_group ? s->group : NULL);
		add_esn(p, true);
		add_esn(p, false);
	}
}

void proposal_answer_child(const struct proposal_child_choice *choice, uint32_t spi, struct ike_offer *ret)
{
	ret->count = 0;
	struct ike_proposal *p = next(ret, (uint8_t)choice->suite.protocol, spi, 4);
	p->number = choice->number;
	add_child(p, &choice->suite, choice->suite.group);
	add_esn(p, choice->esn);
}

static const struct algorithm *first_group(const struct ike_proposal *p)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct ike_transform *t = &p->transforms[i];
		const struct algorithm *a = NULL;
		if (t->type == ALG_GROUP && !t->strange)
			a = algorithm_by_ikev2(ALG_GROUP, t->id, t->key_bits);
		if (a && !a->legacy)
			return a;
	}
	return NULL;
}

/* A rule that asks for a group gets it; one that asks for none lets the peer have its wish. In IKE_AUTH groups say
 * nothing. */
static bool fits_group(const struct ike_proposal *p, const struct child_suite *s, bool with_group,
		       const struct algorithm **ret)
{
	*ret = NULL;
	if (!with_group)
		return true;
	*ret = s->group;
	if (s->group || holds(p, ALG_GROUP, NULL))
		return holds(p, ALG_GROUP, s->group);
	*ret = first_group(p);
	return *ret != NULL;
}

static bool fits_child(const struct ike_proposal *p, const struct child_suite *s, bool with_group,
		       struct proposal_child_choice *ret)
{
	static const struct algorithm esn_yes = { .ikev2 = 1 };
	const struct algorithm *group;

	if (p->protocol != (uint8_t)s->protocol || p->spi_len != 4 || p->spi < 256 || !familiar(p) ||
	    !holds(p, ALG_ENCR, s->encr) || !holds(p, ALG_INTEG, s->integ) || !fits_group(p, s, with_group, &group))
		return false;
	*ret = (struct proposal_child_choice){
		.suite = *s, .number = p->number, .spi = (uint32_t)p->spi, .esn = holds(p, TRANSFORM_ESN, &esn_yes)
	};
	ret->suite.group = group;
	return ret->esn || holds(p, TRANSFORM_ESN, NULL);
}

bool proposal_choose_child(const struct ike_offer *offer, const struct protection_set *set, bool with_group,
			   struct proposal_child_choice *ret)
{
	for (size_t i = 0; i < offer->count; i++)
		for (size_t s = 0; s < set->count; s++)
			if (fits_child(&offer->proposals[i], &set->suites[s], with_group, ret))
				return true;
	return false;
}

bool proposal_accept_child(const struct ike_offer *answer, const struct protection_set *set, bool with_group,
			   struct proposal_child_choice *ret)
{
	return answer->count == 1 && single(&answer->proposals[0]) &&
	       proposal_choose_child(answer, set, with_group, ret);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

void proposal_append(char buf[PROPOSALS_TEXT], const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(buf + len, PROPOSALS_TEXT - len, fmt, ap);
	va_end(ap);
}

static void append_transforms(char *buf, const struct ike_proposal *p)
{
	static const uint8_t kinds[] = { ALG_ENCR, ALG_INTEG, ALG_PRF, ALG_GROUP };
	const char *between = "";

	for (size_t k = 0; k < sizeof kinds; k++)
		for (size_t i = 0; i < p->count; i++) {
			const struct ike_transform *t = &p->transforms[i];
			if (t->type != kinds[k] || (t->id == 0 && t->type != ALG_ENCR))
				continue;
			const struct algorithm *a =
				algorithm_by_ikev2((enum algorithm_kind)t->type, t->id, t->key_bits);
			if (a)
				proposal_append(buf, "%s%s", between, a->name);
			else
				proposal_append(buf, "%s%u/%u", between, t->type, t->id);
			between = "-";
		}
}

const char *proposal_text(const struct ike_offer *offer, char buf[PROPOSALS_TEXT])
{
	buf[0] = '\0';
	for (size_t i = 0; i < offer->count; i++) {
		const struct ike_proposal *p = &offer->proposals[i];
		proposal_append(buf, "%s%s", i ? ", " : "",
				p->protocol == PROTO_ESP  ? "esp-"
				: p->protocol == PROTO_AH ? "ah-"
							  : "");
		append_transforms(buf, p);
	}
	return offer->count ? buf : "nothing";
}

const char *proposal_set_text(const struct key_exchange_set *set, char buf[PROPOSALS_TEXT])
{
	char one[SUITE_TEXT];

	buf[0] = '\0';
	for (size_t i = 0; i < set->count; i++)
		proposal_append(buf, "%s%s", i ? ", " : "", ike_suite_text(&set->suites[i], one));
	return buf;
}

const char *proposal_protection_text(const struct protection_set *set, char buf[PROPOSALS_TEXT])
{
	char one[SUITE_TEXT];

	buf[0] = '\0';
	for (size_t i = 0; i < set->count; i++)
		proposal_append(buf, "%s%s", i ? ", " : "", child_suite_text(&set->suites[i], one));
	return buf;
}
