/* keying/v1/proof.c - main mode's messages 5 and 6: who is who (RFC 2409 5.1, 5.4). HASH_I and HASH_R cover both keys,
 * both cookies, all that was offered, and the sender's name. A pre-shared key is in SKEYID and so in the hash itself;
 * with certificates the hash is signed. Jobs sign and judge; the peer is told of a refusal under protection. */
#include "keying/v1/gss.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_BODY_MOST = 2048 + 8, WHO_TEXT = 192, COVERED_MOST = 12000 };

/* A pre-shared key has no name of its own: the address that we speak from. Port and protocol are those of IKE, or
 * none (RFC 2407 4.6.2). */
static size_t own_id(const struct ike_sa *sa, uint8_t body[ID_BODY_MOST])
{
	const struct keying_credential *c = ike_credential(sa);

	if (c && c->id_len)
		return v1_id_body(c->id_type, 0, 0, (struct keying_octets){ c->id, c->id_len }, body, ID_BODY_MOST);
	return v1_id_body(sa->local.family == 4 ? V1_ID_IPV4 : V1_ID_IPV6, 0, 0,
			  (struct keying_octets){ sa->local.octets, addr_octets(&sa->local) }, body, ID_BODY_MOST);
}

static int hash_of(const struct ike_sa *sa, bool of_initiator, struct keying_octets id_body, struct key *ret,
		   struct diag *d)
{
	const struct v1_proof proof = { .of_initiator = of_initiator, .id_body = id_body };
	struct v1_main m;

	mm_describe(sa, &m);
	return v1_hash_main(&m, &sa->v1->keys.id, &proof, ret, d);
}

/* By ECDSA the key holder makes the hash, of SKEYID and what it covers: what is as short as that is what TLS and others
 * have signed, too, so a hash of ours is not taken. */
static int ask_keyed(struct ike_sa *sa, struct diag *d)
{
	uint8_t body[ID_BODY_MOST], *covered = mem_new(1, COVERED_MOST);
	struct v1_proof proof = { .of_initiator = sa->initiator, .id_body = { body, own_id(sa, body) } };
	struct wire_out out = wire_out(covered, COVERED_MOST);
	struct keying_job *job = NULL;
	struct v1_main m;

	mm_describe(sa, &m);
	if (m.hash_prf && proof.id_body.len)
		v1_covered_main(&m, &proof, &out);
	if (m.hash_prf && proof.id_body.len && !out.failed) {
		job = job_new(JOB_SIGN);
		job->ikev1 = true;
		job->credential = sa->credential;
		job->prf = m.hash_prf;
		job->private = sa->v1->keys.id;
		job->octets = job_octets((struct keying_octets){ covered, out.len });
		sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	}
	free(covered);
	return job ? 0 : diag_fail(d, ERR_UNSUPPORTED, "our own name is too long for IKEv1");
}

static bool by_ecdsa(const struct ike_sa *sa)
{
	return sa->v1->method >= V1_METHOD_ECDSA_256 && sa->v1->method <= V1_METHOD_ECDSA_521;
}

static int own_hash(const struct ike_sa *sa, struct key *ret, struct diag *d)
{
	uint8_t body[ID_BODY_MOST];
	size_t len = own_id(sa, body);

	if (!len)
		return diag_fail(d, ERR_UNSUPPORTED, "our own name is too long for IKEv1");
	if (gss_used(sa))
		return gss_own_hash(sa, (struct keying_octets){ body, len }, ret, d);
	return hash_of(sa, sa->initiator, (struct keying_octets){ body, len }, ret, d);
}

/* Is this the only SA that we have with the peer? Then what it still remembers of us is stale. */
static bool is_initial_contact(const struct ike_sa *sa)
{
	const struct ike_sa *other;

	if (!sa->contact)
		return false;
	LIST_FOREACH(other, &sa->contact->ikes, of_contact)
		if (other->state >= IKE_ESTABLISHED)
			return false;
	return true;
}

/* Messages 5 and 6: HDR*, ID, [CERT,] HASH or SIG. */
static int send_proof(struct ike_sa *sa, struct keying_octets proof, struct diag *d)
{
	const struct keying_credential *c = ike_credential(sa);
	uint8_t body[ID_BODY_MOST];
	size_t len = own_id(sa, body);
	struct ike_writer w;

	if (!c || !len)
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "our credential has gone meanwhile");
	mm_begin(sa, &w, V1_MAIN, 0);
	v1_put_id(&w, (struct keying_octets){ body, len });
	if (sa->v1->method == V1_METHOD_PSK || gss_used(sa)) {
		v1_put_hash(&w, proof);
	} else {
		for (size_t i = 0; i < c->chain_count; i++)
			v1_put_cert(&w, (struct keying_octets){ c->chain[i], c->chain_lens[i] });
		v1_put_sig(&w, proof);
	}
	if (sa->initiator && is_initial_contact(sa))
		v1_put_notify_main(&w, V1_N_INITIAL_CONTACT, sa->spi_i, sa->spi_r, NULL, 0);
	return mm_send_sealed(sa, &w, sa->initiator, d);
}

int proof_ask(struct ike_sa *sa, struct diag *d)
{
	SCOPED(key_wipe) struct key hash = { 0 };
	int r;

	if (by_ecdsa(sa))
		return ask_keyed(sa, d);
	if ((r = own_hash(sa, &hash, d)) < 0)
		return r;
	if (sa->v1->method == V1_METHOD_PSK) {
		if ((r = send_proof(sa, (struct keying_octets){ hash.octets, hash.len }, d)) < 0)
			return r;
		sa->v1->state = sa->initiator ? MM_I_ID_SENT : MM_UP;
		return MM_STAY;
	}
	if (gss_used(sa))
		return gss_ask_wrap(sa, &hash, d);
	struct keying_job *job = job_new(JOB_SIGN);
	job->ikev1 = true;
	job->credential = sa->credential;
	job->prf = sa->suite.prf;
	job->octets = job_octets((struct keying_octets){ hash.octets, hash.len });
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

static int keep_proof(struct ike_sa *sa, const struct keying_result *r, struct diag *d)
{
	if (gss_used(sa))
		return send_proof(sa, r->token, d);
	if (r->auth_method != (uint8_t)sa->v1->method)
		return diag_fail(d, ERR_CRYPTO, "our key signs otherwise than the method that was agreed on asks for");
	return send_proof(sa, (struct keying_octets){ r->auth, r->auth_len }, d);
}

int proof_made(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	return keep_proof(sa, in->result, d);
}

/* ---- the peer's -------------------------------------------------------------------------------------------------- */

/* What a job judges by sa->auth_set. */
static int verify_job(struct ike_sa *sa, const struct v1_msg *m, struct keying_job **ret, struct diag *d)
{
	SCOPED(key_wipe) struct key hash = { 0 };
	bool psk = sa->v1->method == V1_METHOD_PSK;
	struct keying_octets proof = psk ? m->hash : m->sig;
	struct keying_job *job;
	int r;

	if (m->id_count != 1 || !proof.len)
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer's message has no %s in it",
				 !proof.len ? psk ? "HASH" : "signature" : "name");
	if ((r = hash_of(sa, !sa->initiator, m->ids[0].body, &hash, d)) < 0)
		return r;
	job = job_new(JOB_VERIFY);
	job->ikev1 = true;
	job->prf = sa->suite.prf;
	job->policy = policy_ref(plan_policy(sa->k->plan));
	job->auth_set = sa->auth_set;
	job->auth_method = psk ? 2 : (uint8_t)sa->v1->method; /* as IKEv2 numbers them (RFC 7296 3.8) */
	job->auth = job_octets(proof);
	job->octets = job_octets((struct keying_octets){ hash.octets, hash.len });
	job->id_type = m->ids[0].type;
	job->id = job_octets(m->ids[0].data);
	for (; job->chain_count < m->cert_count; job->chain_count++)
		job->chain[job->chain_count] = job_octets(m->certs[job->chain_count]);
	job->other_encodings = m->cert_others;
	job->remote = sa->remote;
	*ret = job;
	return 0;
}

static int ask_verify(struct ike_sa *sa, const struct v1_msg *m, struct diag *d)
{
	struct keying_job *job = NULL;
	int r = verify_job(sa, m, &job, d);

	if (r == 0)
		sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return r;
}

static void keep_peer(struct ike_sa *sa, const struct keying_result *r)
{
	free(sa->peer);
	sa->peer = peer_keep(&r->peer);
	reauth_proven(sa, r->good_ms);
}

static const char *who_text(const struct ike_sa *sa, const char *claimed, char buf[WHO_TEXT])
{
	char remote[ADDR_TEXT];
	const char *there = addr_text(&sa->remote, remote);
	bool named = *claimed && strcmp(claimed, there) != 0;

	(void)snprintf(buf, WHO_TEXT, "%s%s%s%s", there, named ? " (" : "", named ? claimed : "", named ? ")" : "");
	return buf;
}

static void put_refusal(struct ike_sa *sa, struct ike_writer *w, void *context)
{
	(void)context;
	v1_put_notify_main(w, V1_N_AUTHENTICATION_FAILED, sa->spi_i, sa->spi_r, NULL, 0);
}

/* Message 6, at the initiator. */
int proof_came(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = gss_used(sa) ? gss_ask_unwrap(sa, in->msg, d) : ask_verify(sa, in->msg, d);

	if (r < 0)
		return r;
	exchange_done(sa);
	if (!gss_used(sa))
		return 0;
	sa->v1->state = MM_I_UNWRAP;
	return MM_STAY;
}

/* The initiator refuses: the peer thinks that all is well. */
static void not_proven(struct ike_sa *sa, int error, const char *claimed, const char *why)
{
	struct fault f = { .code = failure_of(error), .exchange = V1_MAIN, .peer = claimed };
	char who[WHO_TEXT];

	notice_send(sa, put_refusal, NULL);
	ike_fault(sa, f, "we refused the proof of %s in main mode (IKEv1): %s (authentication '%s')",
		  who_text(sa, claimed, who), why, sa->auth_set->name);
}

int proof_checked(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	(void)d;
	if (r->error)
		not_proven(sa, r->error, r->claimed, r->why);
	else
		keep_peer(sa, r);
	return 0;
}

/* The same job for another set. */
static struct keying_job *again(const struct keying_job *from, const struct auth_set *set)
{
	struct keying_job *job = job_new(JOB_VERIFY);

	job->ikev1 = true;
	job->prf = from->prf;
	job->policy = policy_ref(from->policy);
	job->auth_set = set;
	job->auth_method = from->auth_method;
	job->auth = job_octets(from->auth);
	job->octets = job_octets(from->octets);
	job->id_type = from->id_type;
	job->id = job_octets(from->id);
	for (; job->chain_count < from->chain_count; job->chain_count++)
		job->chain[job->chain_count] = job_octets(from->chain[job->chain_count]);
	job->other_encodings = from->other_encodings;
	job->remote = from->remote;
	return job;
}

static void ask_set(struct ike_sa *sa)
{
	struct mm_making *m = sa->v1->making;

	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, again(m->proof, m->sets[m->set_at]));
}

/* Message 5, at the responder. Which rule the peer's quick modes will be for is not known yet: its certificate is
 * judged by the set of each that this main mode is good for. */
int proof_asked(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;
	struct mm_making *making = sa->v1->making;
	int r;

	sa->initial_contact = v1_find_notify(m, V1_N_INITIAL_CONTACT);
	if (gss_used(sa)) {
		if ((r = gss_ask_unwrap(sa, m, d)) < 0)
			return r;
		sa->answering = true;
		sa->v1->state = MM_R_UNWRAP;
		return MM_STAY;
	}
	keying_job_free(making->proof);
	making->proof = NULL;
	if ((r = verify_job(sa, m, &making->proof, d)) < 0)
		return r;
	making->set_at = 0;
	ask_set(sa);
	sa->answering = true;
	return 0;
}

/* It stays as it is for repetitions of the message, until it is given up, and takes no more. */
static void refuse(struct ike_sa *sa, int error, const char *claimed, const char *why)
{
	struct fault f = { .code = failure_of(error), .exchange = V1_MAIN, .peer = claimed };
	char who[WHO_TEXT];

	contact_fault_stranger(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), f,
			       "we refused the proof of %s in main mode (IKEv1): %s (authentication '%s')",
			       who_text(sa, claimed, who), why, sa->auth_set->name);
	notice_send(sa, put_refusal, NULL);
	owned_wipe(&sa->last_reply);
	sa->receive_id = UINT32_MAX;
	sa->v1->state = MM_R_KE_SENT;
}

/* The answer of one set. The first that it satisfies is that of this main mode. */
static void note_judgement(struct ike_sa *sa, const struct keying_result *r)
{
	struct mm_making *m = sa->v1->making;
	const struct auth_set *set = m->sets[m->set_at];

	if (!r->error && !m->good) {
		sa->auth_set = set;
		m->good = mem_copy(r, sizeof *r);
		m->good->token = (struct keying_octets){ 0 };
		return;
	}
	for (size_t i = 0; !r->error && i < V1_SETS_MOST; i++)
		if (!sa->v1->proved[i]) {
			sa->v1->proved[i] = set;
			return;
		}
}

int proof_judged(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct mm_making *m = sa->v1->making;

	note_judgement(sa, r);
	if (++m->set_at < m->set_count) {
		ask_set(sa);
		return MM_STAY;
	}
	if (!m->good) {
		sa->auth_set = m->sets[m->set_count - 1]; /* whose answer this is */
		refuse(sa, r->error, r->claimed, r->why);
		return MM_STAY;
	}
	keep_peer(sa, m->good);
	if (!main_choose_credential(sa))
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "our credential has gone meanwhile");
	return proof_ask(sa, d);
}

/* Kerberos, either end: the peer's hash is out of its wrapping. */
int proof_unwrapped(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	const char *how = NULL, *why = r->error ? r->why : "its hash does not cover what we have seen";
	int error = r->error ? r->error : failure_error(FAILURE_NOT_ACCEPTED);

	if (r->error || !gss_is_hash(sa, r->token, &how)) {
		if (sa->initiator)
			not_proven(sa, error, gss_claimed(sa), why);
		else
			refuse(sa, error, gss_claimed(sa), why);
		return sa->initiator ? 0 : MM_STAY;
	}
	gss_peer_is_proven(sa);
	if (how) { /* told beside the news that it is up */
		char words[EVENT_TEXT];
		(void)snprintf(words, sizeof words, "its proof by Kerberos in IKEv1 was taken in another reading: %s",
			       how);
		free(sa->making->choice);
		sa->making->choice = mem_string(words);
	}
	return sa->initiator ? 0 : proof_ask(sa, d);
}

int proof_answer(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	return keep_proof(sa, in->result, d);
}
