/* keying/ppk.h - post-quantum pre-shared keys (RFC 8784): USE_PPK in IKE_SA_INIT both ways, then SK_d, SK_pi and SK_pr
 * mixed with the key that PPK_IDENTITY names. The key stays with the jobs. Inside keying/ only. */
#ifndef KEYING_PPK_H
#define KEYING_PPK_H
#include "keying/ike.h"
#include "policy/plan.h"

struct diag;
struct ike_sa;
struct keying;
struct ppk_making; /* of an IKE SA while it is made, once both ends have said USE_PPK */
void ppk_free(struct ppk_making *p);

/* Does this host hold a key of the set? */
bool ppk_held(const struct keying *k, const struct key_exchange_set *set);
/* Does a rule between the two that this suite is good for have a key that we hold? */
bool ppk_wanted(const struct keying *k, const struct addr *local, const struct addr *remote,
		const struct ike_suite *suite);
void ppk_agree(struct ike_sa *sa); /* both have said USE_PPK */

/* Initiator: mix with the first key of the set that we hold. */
int ppk_begin(struct ike_sa *sa, struct diag *d);
/* Responder, when the rule is known. Negative: refuse, with words. PPK_MIX: the mixing was asked for; verify waits for
 * it. PPK_PLAIN: the peer's other proof counts, which then is *ret_auth. PPK_NONE: there is no key in it. */
enum ppk_fate { PPK_NONE, PPK_MIX, PPK_PLAIN };
int ppk_asked(struct ike_sa *sa, const struct ike_msg *m, struct keying_octets *ret_auth, struct diag *d);
/* Initiator: what the responder made of it. Negative: it must not be. */
int ppk_answered(struct ike_sa *sa, const struct ike_msg *m, struct diag *d);

/* The mixed keys are in force from now on; the plain ones are kept. */
void ppk_mixed(struct ike_sa *sa, const struct keying_result *r);
bool ppk_in_force(const struct ike_sa *sa);
const char *ppk_id(const struct ike_sa *sa); /* for people; NULL: none is in force */
/* Initiator, where a key is not required: the peer may not have it, and wants our proof without it, too. */
bool ppk_needs_plain_proof(const struct ike_sa *sa);
const struct key *ppk_plain_key(const struct ike_sa *sa);
void ppk_keep_plain_proof(struct ike_sa *sa, const struct keying_result *r);
/* A new plan has this set instead: is the SA what it asks for? One that is being made begins anew if it differs. */
bool ppk_stays(const struct ike_sa *sa, const struct key_exchange_set *now);
/* Notifications of IKE_AUTH. */
void ppk_put(const struct ike_sa *sa, struct ike_writer *w);

/* A job that waits for the mixing; it is the SA's until it is taken. */
void ppk_hold(struct ike_sa *sa, struct keying_job *job, struct keying_octets id_body);
struct keying_job *ppk_take(struct ike_sa *sa, struct keying_octets *ret_id_body); /* id_body: until ppk_free */

#endif
