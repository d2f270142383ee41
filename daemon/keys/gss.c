#include "daemon/keys/gss.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/keys/messages.h"
#include "daemon/messages/kdc_wire.h"
#include "identity/kerberos/kerberos.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)KERBEROS_TOKEN_MOST == (int)KEYING_TOKEN_MOST && (int)KERBEROS_TEXT_MOST == (int)KEYS_USE_MOST,
	       "what a context makes goes into a message");

/* Asked of sources, and not answered yet. */
enum { KDC_ASKED_MOST = 64, KDC_PATIENCE_MS = 15000 };

static struct {
	uv_loop_t *loop;
	uv_timer_t *look;
	struct kerberos *kerberos;
	struct channel *askers[ROLE_COUNT]; /* NULL: away */
	struct keys_ticket told;            /* the parent */
	struct {
		uint32_t number; /* 0: a free place */
		uint64_t since_ms;
	} asked[KDC_ASKED_MOST];
} gss;

static uint64_t now_ms(void)
{
	return uv_now(gss.loop);
}

/* Each asker has numbers of its own, of contexts and of jobs: here its role stands above them. */
enum { NUMBER_BITS = 56 };
#define NUMBERS (((uint64_t)1 << NUMBER_BITS) - 1)

static uint64_t of_role(enum role role, uint64_t number)
{
	return (uint64_t)role << NUMBER_BITS | number;
}

/* ---- KDCs -------------------------------------------------------------------------------------------------------- */

static bool asked_take(uint32_t number)
{
	for (size_t i = 0; i < KDC_ASKED_MOST; i++)
		if (gss.asked[i].number == number && number) {
			gss.asked[i].number = 0;
			return true;
		}
	return false;
}

static void heard_none(uint32_t number, const char *why)
{
	kerberos_heard(gss.kerberos, number, NULL, why, now_ms());
}

/* Not from within: whoever asks for a ticket has not finished doing so. */
static void ask(void *context, uint32_t number, const char *realm, const struct octets *request, bool tcp)
{
	struct kdc_ask m = { .number = number, .tcp = tcp, .request = *request };
	size_t place = 0;

	(void)context;
	while (place < KDC_ASKED_MOST && gss.asked[place].number)
		place++;
	if (place == KDC_ASKED_MOST) /* the context ends by age */
		return;
	gss.asked[place].number = number;
	gss.asked[place].since_ms = now_ms();
	/* Without sources, or with what does not fit, it is overdue, and fails at the next look. */
	if (!gss.askers[ROLE_SOURCES] || request->len > KDC_OCTETS_MOST || strlen(realm) >= sizeof m.realm) {
		gss.asked[place].since_ms = 0;
		return;
	}
	memcpy(m.realm, realm, strlen(realm) + 1);
	kdc_put_ask(channel_begin(gss.askers[ROLE_SOURCES], ASK_KDC), &m);
	channel_end(gss.askers[ROLE_SOURCES]);
}

/* What the parent shows to whoever asks how this host is. */
static void tell_ticket(void)
{
	struct kerberos_ticket now;
	struct keys_ticket m = { 0 };

	if (!gss.kerberos || !gss.askers[ROLE_PARENT])
		return;
	kerberos_ticket(gss.kerberos, &now);
	m.until_s = now.until_s;
	(void)snprintf(m.client, sizeof m.client, "%s", now.client);
	(void)snprintf(m.failure, sizeof m.failure, "%s", now.failure);
	if (m.until_s == gss.told.until_s && strcmp(m.client, gss.told.client) == 0 &&
	    strcmp(m.failure, gss.told.failure) == 0)
		return;
	gss.told = m;
	keys_put_ticket(channel_begin(gss.askers[ROLE_PARENT], ASK_KEYS_TICKET), &m);
	channel_end(gss.askers[ROLE_PARENT]);
}

static void looked(uv_timer_t *t)
{
	(void)t;
	for (size_t i = 0; i < KDC_ASKED_MOST; i++) {
		uint32_t number = gss.asked[i].number;

		if (!number || now_ms() - gss.asked[i].since_ms < KDC_PATIENCE_MS)
			continue;
		gss.asked[i].number = 0;
		heard_none(number, gss.askers[ROLE_SOURCES]
					   ? "the KDCs do not answer"
					   : "the process that asks KDCs is away, and is started again");
	}
	kerberos_look(gss.kerberos, now_ms());
	tell_ticket();
}

int gss_on_kdc_answer(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct kdc_answer m;

	(void)context, (void)c, (void)fds;
	if (kdc_get_answer(body, &m) < 0)
		return -EPROTO;
	if (asked_take(m.number))
		kerberos_heard(gss.kerberos, m.number, &m.answer, NULL, now_ms());
	return 0;
}

int gss_on_kdc_failed(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct kdc_failed m;

	(void)context, (void)c, (void)fds;
	if (kdc_get_failed(body, &m) < 0)
		return -EPROTO;
	if (asked_take(m.number))
		heard_none(m.number, m.words);
	return 0;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

static void stepped(void *context, uint64_t job, const struct kerberos_stepped *s)
{
	struct channel *asker = gss.askers[job >> NUMBER_BITS];
	struct keys_stepped *m;

	(void)context;
	if (!asker)
		return;
	m = mem_new(1, sizeof *m);
	m->job = job & NUMBERS;
	m->error = s->error;
	m->complete = s->complete;
	m->good_ms = s->good_ms;
	m->token = s->token;
	(void)snprintf(m->words, sizeof m->words, "%s", s->why);
	if (s->complete)
		m->peer = *s->peer;
	if (m->token.len > (s->complete ? (size_t)KEYS_LAST_TOKEN_MOST : (size_t)KEYING_TOKEN_MOST)) {
		*m = (struct keys_stepped){ .job = job & NUMBERS, .error = -E2BIG };
		(void)snprintf(m->words, sizeof m->words, "a Kerberos token of %zu octets", s->token.len);
	}
	keys_put_stepped(channel_begin(asker, ASK_KEYS_GSS_STEPPED), m);
	channel_end(asker);
	free(m);
}

/* The process that has a network speaks in this host's name with the directory's servers, and nobody proves itself to
 * it. */
static bool may_step(enum role asker, const struct keys_gss *m)
{
	static const char service[] = "ldap/";

	return asker == ROLE_KEYING ||
	       (m->initiator && (!m->target[0] || strncmp(m->target, service, strlen(service)) == 0));
}

int gss_on_step(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	enum role asker = channel_peer(c);
	struct keys_gss m;

	(void)context, (void)fds;
	if (keys_get_gss(body, &m) < 0 || m.job > NUMBERS || m.gss > NUMBERS || !may_step(asker, &m))
		return -EPROTO;
	kerberos_step(gss.kerberos, &(struct kerberos_step){ .job = of_role(asker, m.job),
							     .gss = of_role(asker, m.gss),
							     .initiator = m.initiator,
							     .target = m.target[0] ? m.target : NULL,
							     .binding = m.binding,
							     .token = m.token,
							     .now_ms = now_ms() });
	return 0;
}

/* A definite length (X.690 8.1.3) of all that is left. */
static bool spans_the_rest(struct wire_in *in)
{
	size_t len = wire_u8(in), octets = len & 0x7f;

	if (len & 0x80) {
		if (octets > 4)
			return false;
		for (len = 0; octets > 0; octets--)
			len = len << 8 | wire_u8(in);
	}
	return !in->failed && len == in->left;
}

/* What the process that has a network may have sealed or signed as this host: the choice of the SASL layer, a question
 * to the directory and the end of asking. A machine's account may write to the directory, too. */
static bool may_say(const struct octets *text)
{
	enum { LAYER_OCTETS = 4, SEQUENCE = 0x30, INTEGER = 0x02, SEARCH = 0x63, UNBIND = 0x42 };
	struct wire_in in = wire_in(text->at, text->len);
	uint8_t op;
	size_t n;

	if (text->len == LAYER_OCTETS)
		return true;
	if (wire_u8(&in) != SEQUENCE || !spans_the_rest(&in) || wire_u8(&in) != INTEGER)
		return false;
	n = wire_u8(&in);
	if (n > 5 || !wire_octets(&in, n))
		return false;
	op = wire_u8(&in);
	return !in.failed && (op == SEARCH || op == UNBIND);
}

static int use(const struct keys_gss_use *m, uint64_t number, uint8_t ret[KERBEROS_TEXT_MOST], size_t *ret_len,
	       struct diag *d)
{
	switch (m->use) {
	case KEYS_USE_KEY:
		*ret_len = m->len;
		return kerberos_key(gss.kerberos, number, &m->octets, ret, m->len, d);
	case KEYS_USE_WRAP:
	case KEYS_USE_SIGN:
		return kerberos_wrap(gss.kerberos, number, &m->octets, m->use == KEYS_USE_WRAP, ret, ret_len, d);
	default:
		return kerberos_unwrap(gss.kerberos, number, &m->octets, ret, ret_len, d);
	}
}

int gss_on_use(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint8_t text[KERBEROS_TEXT_MOST];
	struct keys_refused no = { 0 };
	struct keys_gss_use m;
	struct diag d = { 0 };
	size_t len = 0;
	int r;

	(void)context, (void)fds;
	if (keys_get_gss_use(body, &m) < 0 || m.gss > NUMBERS ||
	    (channel_peer(c) != ROLE_KEYING &&
	     (m.use == KEYS_USE_KEY || ((m.use == KEYS_USE_WRAP || m.use == KEYS_USE_SIGN) && !may_say(&m.octets)))))
		return -EPROTO;
	r = use(&m, of_role(channel_peer(c), m.gss), text, &len, &d);
	if (r < 0) {
		no.job = m.job;
		no.error = r;
		(void)snprintf(no.words, sizeof no.words, "%.*s", (int)sizeof no.words - 1, d.text);
		keys_put_refused(channel_begin(c, ASK_KEYS_REFUSED), &no);
	} else {
		keys_put_gss_text(channel_begin(c, ASK_KEYS_GSS_TEXT), &(struct keys_gss_text){ m.job, { text, len } });
	}
	channel_end(c);
	explicit_bzero(text, sizeof text);
	return 0;
}

int gss_on_end(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint64_t number = wire_u64(body);

	(void)context, (void)fds;
	if (!wire_done(body) || number > NUMBERS)
		return -EPROTO;
	kerberos_end(gss.kerberos, of_role(channel_peer(c), number));
	return 0;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

int gss_prepare(struct diag *d)
{
	return kerberos_prepare(d);
}

int gss_begin(uv_loop_t *loop, struct diag *d)
{
	gss.loop = loop;
	gss.look = mem_new(1, sizeof *gss.look);
	(void)uv_timer_init(loop, gss.look);
	(void)uv_timer_start(gss.look, looked, KERBEROS_LOOK_MS, KERBEROS_LOOK_MS);
	uv_unref((uv_handle_t *)gss.look);
	return kerberos_new(&(struct kerberos_means){ .ask = ask, .stepped = stepped }, &gss.kerberos, d);
}

static void look_closed(uv_handle_t *h)
{
	free(h);
}

void gss_end(void)
{
	if (gss.look)
		uv_close((uv_handle_t *)TAKE(gss.look), look_closed);
	kerberos_free(TAKE(gss.kerberos));
}

void gss_set_keytab(const struct keytab *keytab)
{
	struct diag d = { 0 };

	if (gss.kerberos && kerberos_set_keytab(gss.kerberos, keytab, &d) < 0)
		log_error("%s", d.text);
}

void gss_came(struct channel *c)
{
	gss.askers[channel_peer(c)] = c;
}

void gss_went(enum role peer)
{
	gss.askers[peer] = NULL;
	if (gss.kerberos)
		kerberos_end_range(gss.kerberos, of_role(peer, 0), of_role(peer, NUMBERS));
	if (peer == ROLE_SOURCES) {
		for (size_t i = 0; i < KDC_ASKED_MOST; i++)
			gss.asked[i].since_ms = 0;
	}
}
