/* keying/v1/main.c - a main mode of IKEv1 from its first message to its last: one table of steps (RFC 2409 5), and what
 * all of them need. Once it is up it is an IKE SA like any other (ike.c). */
#include "keying/v1/gss.h"
#include "keying/v1/module.h"
#include "keying/v1/nat.h"
#include "keying/v1/pieces.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mm_row {
	enum mm_state state;
	enum mm_event event;
	mm_action *act;
	enum mm_state next;
} steps[] = {
	/* in state       on          do                 then */
	{ MM_IDLE, MEV_START, main_begin, MM_I_BEGIN },
	{ MM_I_BEGIN, MEV_JOB, main_offer, MM_I_SA_SENT },
	{ MM_I_SA_SENT, MEV_COOKIE, main_offer_again, MM_I_SA_SENT },
	{ MM_I_SA_SENT, MEV_SA, main_take, MM_I_KEY },
	{ MM_I_KEY, MEV_JOB, main_send_key, MM_I_KE_SENT },
	{ MM_I_TOKEN, MEV_JOB, main_token, MM_I_KE_SENT },
	{ MM_I_KE_SENT, MEV_KE, main_take_key, MM_I_DERIVE },
	{ MM_I_DERIVE, MEV_JOB, main_derived, MM_I_SIGN },
	{ MM_I_SKEYID, MEV_JOB, main_keyed, MM_I_SIGN },
	{ MM_I_CONTEXT, MEV_JOB, main_context, MM_I_SIGN },
	{ MM_I_SIGN, MEV_JOB, proof_made, MM_I_ID_SENT },
	{ MM_I_ID_SENT, MEV_ID, proof_came, MM_I_VERIFY },
	{ MM_I_UNWRAP, MEV_JOB, proof_unwrapped, MM_UP },
	{ MM_I_VERIFY, MEV_JOB, proof_checked, MM_UP },

	{ MM_IDLE, MEV_SA, main_draw, MM_R_BEGIN },
	{ MM_R_BEGIN, MEV_JOB, main_choose, MM_R_SA_SENT },
	{ MM_R_SA_SENT, MEV_KE, main_answer_key, MM_R_ANSWER },
	{ MM_R_ANSWER, MEV_JOB, main_answered, MM_R_KE_SENT },
	{ MM_R_SKEYID, MEV_JOB, main_answer_keyed, MM_R_KE_SENT },
	{ MM_R_TOKEN, MEV_JOB, main_answer_token, MM_R_KE_SENT },
	{ MM_R_KE_SENT, MEV_ID, proof_asked, MM_R_VERIFY },
	{ MM_R_UNWRAP, MEV_JOB, proof_unwrapped, MM_R_SIGN },
	{ MM_R_VERIFY, MEV_JOB, proof_judged, MM_R_SIGN },
	{ MM_R_SIGN, MEV_JOB, proof_answer, MM_UP },
};

const size_t mm_row_count = ARRAY_LEN(steps);

static const char *const state_names[MM_STATES] = {
	[MM_IDLE] = "idle",
	[MM_I_BEGIN] = "drawing a cookie",
	[MM_I_SA_SENT] = "waiting for the answer to our proposals",
	[MM_I_KEY] = "making a key pair",
	[MM_I_TOKEN] = "asking for a ticket",
	[MM_I_KE_SENT] = "waiting for the peer's key",
	[MM_I_DERIVE] = "making the shared secret",
	[MM_I_SKEYID] = "mixing in the pre-shared key",
	[MM_I_CONTEXT] = "reading the peer's Kerberos token",
	[MM_I_SIGN] = "making our proof",
	[MM_I_ID_SENT] = "waiting for the peer's proof",
	[MM_I_UNWRAP] = "opening the peer's proof",
	[MM_I_VERIFY] = "checking the peer's proof",
	[MM_R_BEGIN] = "drawing a cookie",
	[MM_R_SA_SENT] = "waiting for the peer's key",
	[MM_R_ANSWER] = "making a key pair",
	[MM_R_SKEYID] = "mixing in the pre-shared key",
	[MM_R_TOKEN] = "reading the peer's Kerberos token",
	[MM_R_KE_SENT] = "waiting for the peer's proof",
	[MM_R_MORE] = "reading the peer's Kerberos token",
	[MM_R_UNWRAP] = "opening the peer's proof",
	[MM_R_VERIFY] = "checking the peer's proof",
	[MM_R_SIGN] = "making our proof",
	[MM_UP] = "up",
};

const char *mm_state_name(enum mm_state s)
{
	return state_names[s];
}

/* To those who know IKEv2's states: how far it is. From message 5 on the peer may have it up before we do. */
static enum ike_state seen_as(enum mm_state s)
{
	return s == MM_I_ID_SENT || s == MM_I_UNWRAP || s == MM_I_VERIFY ? IKE_V1_PROVING : IKE_V1_MAKING;
}

int mm_step(struct ike_sa *sa, enum mm_event ev, const struct v1_msg *m, const struct keying_result *r, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct mm_row *s = &steps[i];
		if (s->state != sa->v1->state || s->event != ev || sa->state >= IKE_ESTABLISHED)
			continue;
		sa->k->rows.main |= UINT64_C(1) << i;
		int e = s->act(sa, &(struct mm_input){ m, r }, d);
		if (e < 0 || sa->state == IKE_DEAD)
			return e < 0 ? e : 0;
		if (e == 0)
			sa->v1->state = s->next;
		if (sa->v1->state == MM_UP) {
			mm_up(sa, r);
			return 0;
		}
		sa->state = seen_as(sa->v1->state);
		ike_arm(sa);
		return 0;
	}
	return diag_fail(d, ERR_UNEXPECTED, "event %d while %s", ev, mm_state_name(sa->v1->state));
}

/* Its step hears of a job that failed. */
static bool wants_failure(const struct ike_sa *sa)
{
	switch (sa->v1->state) {
	case MM_I_TOKEN:
	case MM_I_CONTEXT:
	case MM_I_UNWRAP:
	case MM_I_VERIFY:
	case MM_R_TOKEN:
	case MM_R_UNWRAP:
	case MM_R_VERIFY:
		return true;
	default:
		return false;
	}
}

void mm_job_done(struct ike_sa *sa, const struct keying_result *r)
{
	struct diag d = { 0 };
	int e = r->error && !wants_failure(sa)
			? diag_fail(&d, r->error, "while %s: %s", mm_state_name(sa->v1->state), r->why)
			: mm_step(sa, MEV_JOB, NULL, r, &d);

	if (e < 0 && sa->state != IKE_DEAD)
		mm_fail(sa, e, d.text);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

void mm_begin(struct ike_sa *sa, struct ike_writer *w, enum v1_exchange exchange, uint32_t id)
{
	const struct ike_header h = { .spi_i = sa->spi_i, .spi_r = sa->spi_r, .exchange = (uint8_t)exchange, .id = id };

	v1_write_begin(w, sa->k->out, sizeof sa->k->out, &h);
}

int mm_send(struct ike_sa *sa, struct ike_writer *w, bool repeats, struct diag *d)
{
	struct request *r = &sa->request;

	if (w->out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "a message of main mode does not fit %d octets", IKE_MESSAGE_MOST);
	if (!repeats) {
		exchange_done(sa);
		owned_set(&sa->last_reply, w->out.buf, w->out.len);
		sa->answering = false;
		todo_send_ike(sa, &sa->last_reply);
		return 0;
	}
	owned_set(&r->octets, w->out.buf, w->out.len);
	r->out = true;
	r->tries = 1;
	r->sent_ms = sa->k->now_ms;
	r->resend_ms = sa->k->now_ms + sa->k->config.retransmit_first_ms;
	todo_send_ike(sa, &r->octets);
	return 0;
}

int mm_send_sealed(struct ike_sa *sa, struct ike_writer *w, bool repeats, struct diag *d)
{
	struct v1_iv iv = sa->v1->iv;
	int r = v1_seal(w, &sa->suite, &sa->v1->keys.cipher, &iv, d);

	if (r == 0)
		pieces_cut(sa, w);
	if (r < 0 || (r = mm_send(sa, w, repeats, d)) < 0)
		return r;
	sa->v1->iv = iv;
	return 0;
}

/* A number that we have not used under this main mode, which nobody can guess: drawn from what only the two know. */
uint32_t mm_message_id(struct ike_sa *sa)
{
	struct mm *v1 = sa->v1;
	SCOPED(key_wipe) struct key drawn = { 0 };
	uint64_t what[3] = { ++v1->number, sa->number, sa->initiator }; /* the other end draws others */
	struct octets part[] = { { "message ID", 10 }, { what, sizeof what } };
	uint32_t id = 0;

	if (crypto_prf(sa->suite.prf, v1->keys.d.octets, v1->keys.d.len, part, ARRAY_LEN(part), &drawn, NULL) == 0)
		memcpy(&id, drawn.octets, sizeof id);
	return id ? id : (uint32_t)v1->number;
}

bool mm_proved(const struct ike_sa *sa, const struct auth_set *set)
{
	bool proved = set == sa->auth_set;

	for (size_t i = 0; i < V1_SETS_MOST; i++)
		proved |= set == sa->v1->proved[i];
	return set && proved;
}

void mm_review(struct ike_sa *sa, const struct auth_set *(*now)(const void *context, const struct auth_set *old),
	       const void *context)
{
	for (size_t i = 0; i < V1_SETS_MOST; i++)
		if (sa->v1->proved[i])
			sa->v1->proved[i] = now(context, sa->v1->proved[i]);
}

/* RFC 2409 5.1: a signature that is tied to a hash (RFC 4754 4) is over HASH_I made by that one, whatever PRF was
 * agreed on for the rest; and HASH_I is what is signed, not a digest of it. */
static const struct algorithm *hash_prf(uint16_t method)
{
	switch (method) {
	case V1_METHOD_ECDSA_256:
		return algorithm_by_name(ALG_PRF, "sha256", 6);
	case V1_METHOD_ECDSA_384:
		return algorithm_by_name(ALG_PRF, "sha384", 6);
	case V1_METHOD_ECDSA_521:
		return algorithm_by_name(ALG_PRF, "sha512", 6);
	default:
		return NULL;
	}
}

void mm_describe(const struct ike_sa *sa, struct v1_main *ret)
{
	const struct mm_making *m = sa->v1->making;

	*ret = (struct v1_main){
		.suite = &sa->suite,
		.secret = owned_octets(&m->secret),
		.nonce_i = owned_octets(&sa->nonce_i),
		.nonce_r = owned_octets(&sa->nonce_r),
		.ke_i = owned_octets(&m->ke[0]),
		.ke_r = owned_octets(&m->ke[1]),
		.cookie_i = sa->spi_i,
		.cookie_r = sa->spi_r,
		.sa_body = owned_octets(&m->sa_body),
		.hash_prf = hash_prf((uint16_t)sa->v1->method),
	};
}

void mm_put_vendors(const struct ike_sa *sa, struct ike_writer *w)
{
	v1_nat_put_vendors(w);
	if (sa->k->config.fragment_octets)
		v1_put_vendor(w, V1_VENDOR_FRAGMENTATION);
	v1_put_vendor(w, V1_VENDOR_CORDON);
	v1_put_vendor(w, V1_VENDOR_DPD);
	if (sa->v1->making->own_name.len || gss_used(sa)) /* without it Windows takes 65001 for something else */
		v1_put_vendor(w, V1_VENDOR_GSSAPI);
}

void mm_take_vendors(struct ike_sa *sa, const struct v1_msg *m)
{
	sa->v1->vendors |= m->vendors;
	if (m->windows_version)
		sa->v1->windows_version = m->windows_version;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

void mm_forget_making(struct ike_sa *sa)
{
	struct mm_making *m = sa->v1->making;

	pieces_forget(sa);
	if (!m)
		return;
	gss_free(sa);
	owned_wipe(&m->own_name);
	owned_wipe(&m->sa_body);
	owned_wipe(&m->ke[0]);
	owned_wipe(&m->ke[1]);
	owned_wipe(&m->secret);
	owned_wipe(&m->chosen_raw);
	keying_job_free(m->proof);
	if (m->good)
		keying_result_wipe(m->good);
	free(m->good);
	explicit_bzero(m, sizeof *m);
	free(m);
	sa->v1->making = NULL;
}

void mm_free(struct mm *v1)
{
	if (!v1)
		return;
	v1_keys_wipe(&v1->keys);
	explicit_bzero(v1, sizeof *v1);
	free(v1);
}

/* Both have proven themselves. */
void mm_up(struct ike_sa *sa, const struct keying_result *proven)
{
	(void)proven;
	sa->answering = false;
	if (sa->initiator)
		exchange_done(sa);
	if (!sa->contact)
		ike_join(sa, contact_get(sa->k, &sa->local, &sa->remote));
	mm_forget_making(sa);
	sa->state = IKE_ESTABLISHED;
	ike_established(sa);
	if (sa->state == IKE_ESTABLISHED)
		renew_up(sa);
}

/* It cannot go on, and nobody has been proven. */
void mm_fail(struct ike_sa *sa, int error, const char *why)
{
	const struct fault f = { .code = failure_of(error), .exchange = V1_MAIN };
	char remote[ADDR_TEXT];

	if (sa->initiator) {
		ike_fault(sa, f, "%s", why);
		return;
	}
	if (gss_used(sa) && sa->spi_r)
		main_refuse(sa, V1_N_AUTHENTICATION_FAILED);
	contact_fault_stranger(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), f,
			       "%s asked for main mode by IKEv1, and we refused: %s", addr_text(&sa->remote, remote),
			       why);
	ike_drop(sa);
}

void mm_unanswered(struct ike_sa *sa)
{
	const struct fault silence = { .code = FAILURE_NO_ANSWER, .by = SIDE_NOBODY, .exchange = V1_MAIN };
	char remote[ADDR_TEXT];
	const char *there = addr_text(&sa->remote, remote);

	module_silent(sa);
	if (sa->making && sa->making->hint[0])
		ike_fault(sa, sa->making->hint_fault, "%s", sa->making->hint);
	else if (sa->v1->state == MM_I_SA_SENT)
		ike_fault(sa, silence,
			  "no answer from %s to main mode by IKEv1. Is it up, and does IKE run there? Does nothing on "
			  "the way drop UDP 500? It may also have no rule for this host",
			  there);
	else if (sa->v1->state == MM_I_KE_SENT)
		ike_fault(sa, silence,
			  "no answer from %s to our key exchange by IKEv1, though it took our proposal. Something on "
			  "the way may drop long or fragmented UDP datagrams",
			  there);
	else
		ike_fault(sa, silence,
			  "no answer from %s to our proof by IKEv1, though it answered before: mostly the pre-shared "
			  "keys differ, or it has dropped our proof without a word",
			  there);
}

/* What the peer, or somebody in its name, says: believed if nothing better comes. */
void mm_hint(struct ike_sa *sa, struct fault f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sa->making->hint, sizeof sa->making->hint, fmt, ap);
	va_end(ap);
	sa->making->hint_fault = f;
	sa->making->hint_fault.exchange = V1_MAIN;
	if (sa->give_up_ms == UINT64_MAX)
		sa->give_up_ms = sa->k->now_ms + HINT_MS;
	ike_arm(sa);
}

bool mm_may_repeat(struct ike_sa *sa)
{
	struct keying *k = sa->k;

	if (!sa->last_reply.len || sa->answering || sa->repeats >= V1_REPEATS_MOST ||
	    k->now_ms - sa->repeated_ms < REPEAT_MS)
		return false;
	sa->repeats++;
	sa->repeated_ms = k->now_ms;
	return true;
}

/* ---- what a peer's refusal means --------------------------------------------------------------------------------- */

static const struct refusal_row {
	uint16_t notify;
	uint8_t exchange; /* 0: any */
	enum failure_code code;
	bool ours; /* the sentence ends with what we have */
	const char *meaning;
} refusals[] = {
	{ V1_N_NO_PROPOSAL_CHOSEN, V1_MAIN, FAILURE_NO_PROPOSAL, true,
	  "it has no rule for this host, or its rule wants another main mode: compare `key-exchange` and "
	  "`authentication` of the two policies. We offer " },
	{ V1_N_NO_PROPOSAL_CHOSEN, 0, FAILURE_NO_PROPOSAL, true,
	  "its rule wants another quick mode (or another transport or tunnel mode): compare `protection` of the two "
	  "policies. We offer " },
	{ V1_N_INVALID_ID_INFORMATION, V1_QUICK, FAILURE_SELECTORS, true,
	  "none of its rules protects just that traffic: the rules of the two policies differ in addresses, protocol "
	  "or ports. We asked for " },
	{ V1_N_INVALID_ID_INFORMATION, 0, FAILURE_NOT_ACCEPTED, false, "it does not know who we say that we are" },
	{ V1_N_AUTHENTICATION_FAILED, 0, FAILURE_NOT_ACCEPTED, false,
	  "it does not accept our proof, and why stands in its own log only" },
	{ V1_N_INVALID_SIGNATURE, 0, FAILURE_NOT_ACCEPTED, false, "it does not accept our signature" },
	{ V1_N_INVALID_CERTIFICATE, 0, FAILURE_NOT_ACCEPTED, false, "it does not accept our certificate" },
	{ V1_N_INVALID_CERT_AUTHORITY, 0, FAILURE_NOT_ACCEPTED, false,
	  "it does not trust the authority of our certificate" },
	{ V1_N_INVALID_HASH_INFORMATION, 0, FAILURE_WRONG_KEY, false,
	  "what we proved ourselves with is not what it expects: mostly the pre-shared keys differ" },
	{ V1_N_PAYLOAD_MALFORMED, V1_MAIN, FAILURE_WRONG_KEY, false,
	  "it cannot read our proof: mostly the pre-shared keys differ" },
	{ V1_N_INVALID_PAYLOAD_TYPE, V1_MAIN, FAILURE_WRONG_KEY, false,
	  "it cannot read our message: mostly the pre-shared keys differ" },
	{ V1_N_INVALID_COOKIE, 0, FAILURE_REFUSED, false,
	  "it does not know this negotiation any more; it may have restarted" },
	{ V1_N_INVALID_KEY_INFORMATION, 0, FAILURE_NO_GROUP, false, "it wants another key exchange group" },
	{ V1_N_INVALID_MAJOR_VERSION, 0, FAILURE_UNSUPPORTED, false, "it does not speak IKEv1: set the peer to IKEv1" },
};

static const struct refusal_row *refusal_of(uint8_t exchange, uint16_t notify)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (refusals[i].notify == notify && (!refusals[i].exchange || refusals[i].exchange == exchange))
			return &refusals[i];
	return NULL;
}

struct fault mm_fault_of(uint8_t exchange, const struct v1_notification *n)
{
	const struct refusal_row *row = refusal_of(exchange, n->type);

	return (struct fault){ .code = n->type == V1_N_WINDOWS_STATUS ? FAILURE_NOT_ACCEPTED
				       : row                          ? row->code
								      : FAILURE_REFUSED,
			       .by = SIDE_PEER,
			       .exchange = exchange };
}

const char *mm_refusal_words(uint8_t exchange, const struct v1_notification *n, const char *ours, char buf[MM_REFUSAL])
{
	const struct refusal_row *row = refusal_of(exchange, n->type);
	struct wire_in data = wire_in(n->data.at, n->data.len);
	char windows[V1_WINDOWS_TEXT];

	if (n->type == V1_N_WINDOWS_STATUS) {
		if (n->data.len == 8)
			(void)wire_u32(&data); /* the message ID that it is about ([MS-IKEE] 2.2.6) */
		(void)snprintf(buf, MM_REFUSAL, "it is a Windows host and says: %s",
			       v1_windows_error(wire_u32(&data), windows));
	} else if (!row) {
		(void)snprintf(buf, MM_REFUSAL, "%s: why stands in its own log", v1_notify_name(n->type));
	} else {
		(void)snprintf(buf, MM_REFUSAL, "%s: %s%s", v1_notify_name(n->type), row->meaning,
			       row->ours ? ours ? ours : "what the rule says" : "");
	}
	return buf;
}
