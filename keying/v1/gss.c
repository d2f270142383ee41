#include "keying/v1/gss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mm_gss {
	uint64_t context;
	struct owned names[2]; /* the initiator's, the responder's, as they were on the wire; none: not sent */
	struct owned tokens[2];
	uint8_t prefixes[2];
	bool complete;
	/* Whom the context is with. An AP-REQ may be one that somebody else has sent before: it is believed when the
	 * peer's hash has come out of its wrapping. */
	struct peer *peer;
	uint64_t good_ms;
	char warning[sizeof((struct keying_result *)0)->why];
	struct owned id_body; /* the peer's, until its hash is unwrapped */
};

static size_t ours(const struct ike_sa *sa)
{
	return sa->initiator ? 0 : 1;
}

static struct mm_gss *of(const struct ike_sa *sa)
{
	return sa->v1->making->gss;
}

bool gss_used(const struct ike_sa *sa)
{
	return sa->v1->method == V1_METHOD_GSS;
}

void gss_free(struct ike_sa *sa)
{
	struct mm_gss *g = of(sa);
	struct keying_job *job;

	if (!g)
		return;
	if (g->context) {
		job = job_new(JOB_GSS_END);
		job->gss = g->context;
		(void)job_ask(sa->k, OWNER_IKE, 0, job); /* nobody waits for it */
	}
	for (size_t i = 0; i < 2; i++) {
		owned_wipe(&g->names[i]);
		owned_wipe(&g->tokens[i]);
	}
	owned_wipe(&g->id_body);
	free(g->peer);
	explicit_bzero(g, sizeof *g);
	free(g);
	sa->v1->making->gss = NULL;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* Principals are ASCII mostly; what is not goes as the octets of UTF-8, each a character: so does Windows' own code
 * when it is given such a name, and nobody else reads it otherwise. */
static void encode(const char *name, uint32_t switches, struct owned *ret)
{
	uint8_t buf[2 * GSS_PRINCIPAL + 2];
	struct wire_out out = wire_out(buf, sizeof buf);
	bool wide = !(switches & GSS_NAME_LATIN);

	for (const char *c = name; *c; c++) {
		wire_put_u8(&out, (uint8_t)*c);
		if (wide)
			wire_put_u8(&out, 0);
	}
	if (switches & GSS_NAME_TERMINATED)
		(void)wire_put_space(&out, wide ? 2 : 1);
	owned_set(ret, buf, out.failed ? 0 : out.len);
}

static const struct keying_credential *own_credential(const struct keying *k, const struct auth_set *set)
{
	for (size_t i = 0; i < k->config.credential_count; i++) {
		const struct keying_credential *c = &k->config.credentials[i];
		for (size_t s = 0; c->kind == AUTH_KERBEROS && s < c->satisfies_count; s++)
			if (c->satisfies[s] == set)
				return c;
	}
	return NULL;
}

int gss_own_name(const struct keying *k, const struct auth_set *set, struct owned *ret, struct diag *d)
{
	const struct keying_credential *c = own_credential(k, set);

	if (!c || !c->subject || strlen(c->subject) >= GSS_PRINCIPAL)
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "this host has no Kerberos principal");
	encode(c->subject, k->config.v1_kerberos, ret);
	return 0;
}

/* UTF-16LE, or plain octets; a zero at the end is passed over. */
static bool decode(struct keying_octets name, char ret[GSS_PRINCIPAL])
{
	bool wide = name.len >= 2 && name.len % 2 == 0 && name.at[1] == 0;
	size_t step = wide ? 2 : 1, n = 0;

	for (size_t i = 0; i + step <= name.len; i += step) {
		uint8_t c = name.at[i];
		if (wide && name.at[i + 1])
			return false; /* no principal of a machine has such characters */
		if (c == 0 && i + step == name.len)
			break;
		if (c <= ' ' || c >= 127 || n + 1 >= GSS_PRINCIPAL)
			return false;
		ret[n++] = (char)c;
	}
	ret[n] = '\0';
	return n != 0;
}

int gss_principal(struct keying_octets name, const char *realm, char ret[GSS_PRINCIPAL], struct diag *d)
{
	char text[GSS_PRINCIPAL];
	int n;

	if (!name.len)
		return diag_fail(d, failure_error(FAILURE_IDENTITY),
				 "the peer says no Kerberos principal, so no ticket for it can be asked");
	if (!decode(name, text))
		return diag_fail(d, failure_error(FAILURE_IDENTITY), "the peer's Kerberos principal cannot be read");
	n = snprintf(ret, GSS_PRINCIPAL, "%s%s%s", text, strchr(text, '@') || !realm ? "" : "@",
		     strchr(text, '@') || !realm ? "" : realm);
	return n < GSS_PRINCIPAL ? 0
				 : diag_fail(d, failure_error(FAILURE_IDENTITY), "the peer's principal is too long");
}

void gss_begin(struct ike_sa *sa, struct keying_octets theirs, struct owned *own)
{
	struct mm_gss *g = mem_new(1, sizeof *g);

	gss_free(sa);
	sa->v1->making->gss = g;
	owned_set(&g->names[1 - ours(sa)], theirs.at, theirs.len);
	g->names[ours(sa)] = *own;
	*own = (struct owned){ 0 };
}

/* ---- the context ------------------------------------------------------------------------------------------------- */

static const char *realm_of(const struct auth_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->methods[i].kind == AUTH_KERBEROS)
			return set->methods[i].realm;
	return NULL;
}

int gss_ask_step(struct ike_sa *sa, struct diag *d)
{
	struct mm_gss *g = of(sa);
	bool first = sa->initiator && !g->tokens[0].len;
	char target[GSS_PRINCIPAL];
	int r;

	if (first && (r = gss_principal(owned_octets(&g->names[1]), realm_of(sa->auth_set), target, d)) < 0)
		return r;
	if (first && !kerberos_may_ask(sa->auth_set, target))
		return diag_fail(d, failure_error(FAILURE_IDENTITY),
				 "it calls itself %.200s, which is no host of a realm that authentication '%s' names",
				 target, sa->auth_set->name);
	struct keying_job *job = job_new(JOB_GSS);
	if (!g->context)
		g->context = keying_number(sa->k);
	job->gss = g->context;
	job->gss_initiator = sa->initiator;
	job->gss_target = first ? mem_string(target) : NULL;
	if (!first)
		job->token = job_octets(owned_octets(&g->tokens[1 - ours(sa)]));
	job->credential = sa->credential;
	job->auth_set = sa->auth_set;
	job->policy = policy_ref(plan_policy(sa->k->plan));
	job->remote = sa->remote;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

void gss_take_token(struct ike_sa *sa, const struct v1_msg *m)
{
	struct mm_gss *g = of(sa);

	owned_set(&g->tokens[1 - ours(sa)], m->token.at, m->token.len);
	g->prefixes[1 - ours(sa)] = m->token_prefix;
}

int gss_stepped(struct ike_sa *sa, const struct keying_result *r, struct diag *d)
{
	struct mm_gss *g = of(sa);

	if (r->error)
		return diag_fail(d, r->error, "%s", r->why);
	if (r->token.len) {
		if (g->tokens[ours(sa)].len)
			return diag_fail(d, failure_error(FAILURE_UNSUPPORTED),
					 "Kerberos wants more round trips than one, which machines do not need");
		owned_set(&g->tokens[ours(sa)], r->token.at, r->token.len);
	}
	if (!r->complete)
		return 0;
	g->complete = true;
	free(g->peer);
	g->peer = mem_copy(&r->peer, sizeof r->peer);
	g->good_ms = r->good_ms;
	words_copy(g->warning, sizeof g->warning, r->why);
	return 0;
}

const char *gss_claimed(const struct ike_sa *sa)
{
	return of(sa)->peer ? of(sa)->peer->id : "";
}

void gss_peer_is_proven(struct ike_sa *sa)
{
	const struct mm_gss *g = of(sa);

	auth_keep_peer(sa, g->peer);
	reauth_proven(sa, g->good_ms);
	if (!sa->initiator) /* a responder's ticket is not seen here */
		member_look_at_ticket(sa, g->warning);
}

struct keying_octets gss_name(const struct ike_sa *sa)
{
	return owned_octets(&of(sa)->names[ours(sa)]);
}

bool gss_complete(const struct ike_sa *sa)
{
	return of(sa)->complete;
}

void gss_put_token(const struct ike_sa *sa, struct ike_writer *w)
{
	struct keying_octets token = owned_octets(&of(sa)->tokens[ours(sa)]);

	if (token.len && sa->k->config.v1_kerberos & GSS_TOKEN_BARE) /* its first octet takes the other's place */
		v1_put_token(w, token.at[0], (struct keying_octets){ token.at + 1, token.len - 1 });
	else
		v1_put_token(w, 0, token);
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

/* In which ways a hash can be meant: the first is what most sources say. */
static const struct gss_way {
	uint32_t switches;
	const char *words;
} ways[] = {
	{ 0, "names as they were sent, tokens without the Vendor Encoding octet" },
	{ GSS_HASH_PREFIX, "tokens with the Vendor Encoding octet" },
	{ GSS_HASH_LATIN, "names as single octets" },
	{ GSS_HASH_LATIN | GSS_HASH_PREFIX, "names as single octets, tokens with the Vendor Encoding octet" },
	{ GSS_HASH_UNNAMED, "no names" },
	{ GSS_HASH_UNNAMED | GSS_HASH_PREFIX, "no names, tokens with the Vendor Encoding octet" },
};

struct covered {
	uint8_t *token, name[GSS_PRINCIPAL];
};

static void covered_wipe(struct covered *c)
{
	free(c->token);
	c->token = NULL;
}

static void cover(const struct ike_sa *sa, bool of_initiator, uint32_t switches, struct covered *room,
		  struct v1_proof *proof)
{
	const struct mm_gss *g = of(sa);
	size_t who = of_initiator ? 0 : 1;
	struct keying_octets token = owned_octets(&g->tokens[who]), name = owned_octets(&g->names[who]);

	if (switches & GSS_HASH_UNNAMED) {
		name.len = 0;
	} else if (switches & GSS_HASH_LATIN && decode(name, (char *)room->name)) {
		name = (struct keying_octets){ room->name, strlen((char *)room->name) };
	}
	if (switches & GSS_HASH_PREFIX) {
		room->token = mem_new(1, token.len + 1);
		room->token[0] = g->prefixes[who];
		memcpy(room->token + 1, token.at, token.len);
		token = (struct keying_octets){ room->token, token.len + 1 };
	}
	proof->gss_name = name;
	proof->tokens[0] = token;
	proof->token_count = token.len != 0;
}

static int hash_in_way(const struct ike_sa *sa, bool of_initiator, uint32_t switches, struct keying_octets id_body,
		       struct key *ret, struct diag *d)
{
	struct v1_proof proof = { .of_initiator = of_initiator, .id_body = id_body };
	SCOPED(covered_wipe) struct covered room = { 0 };
	struct v1_main m;

	mm_describe(sa, &m);
	cover(sa, of_initiator, switches, &room, &proof);
	return v1_hash_main(&m, &sa->v1->keys.id, &proof, ret, d);
}

int gss_own_hash(const struct ike_sa *sa, struct keying_octets id_body, struct key *ret, struct diag *d)
{
	return hash_in_way(sa, sa->initiator, sa->k->config.v1_kerberos, id_body, ret, d);
}

int gss_ask_wrap(struct ike_sa *sa, const struct key *hash, struct diag *d)
{
	struct keying_job *job;

	if (!gss_complete(sa))
		return diag_fail(d, failure_error(FAILURE_UNSUPPORTED),
				 "Kerberos wants more round trips than one, which machines do not need");
	job = job_new(JOB_GSS_WRAP);
	job->gss = of(sa)->context;
	job->octets = job_octets((struct keying_octets){ hash->octets, hash->len });
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

int gss_ask_unwrap(struct ike_sa *sa, const struct v1_msg *m, struct diag *d)
{
	struct keying_job *job;

	if (m->id_count != 1 || !m->hash.len || !gss_complete(sa))
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer's message has no %s in it",
				 m->id_count == 1 ? "HASH" : "name");
	owned_set(&of(sa)->id_body, m->ids[0].body.at, m->ids[0].body.len);
	job = job_new(JOB_GSS_UNWRAP);
	job->gss = of(sa)->context;
	job->octets = job_octets(m->hash);
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

bool gss_is_hash(const struct ike_sa *sa, struct keying_octets unwrapped, const char **ret_how)
{
	*ret_how = NULL;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		SCOPED(key_wipe) struct key want = { 0 };
		if (hash_in_way(sa, !sa->initiator, ways[i].switches, owned_octets(&of(sa)->id_body), &want, NULL) <
			    0 ||
		    want.len != unwrapped.len || !octets_equal(want.octets, unwrapped.at, want.len))
			continue;
		if (i)
			*ret_how = ways[i].words;
		return true;
	}
	return false;
}
