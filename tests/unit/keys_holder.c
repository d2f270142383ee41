/* The key holder and who asks it, on one loop: what is asked comes back, whatever dies in between, and who asks for
 * what IKE does not sign is cut off. */
#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "daemon/keys/asking.h"
#include "daemon/keys/keys.h"
#include "daemon/keys/messages.h"
#include "identity/credential.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { INIT = 40, SIGNED = INIT + 32 + 32 };

static uv_loop_t loop;
static const struct algorithm *prf;
static uint8_t signed_octets[SIGNED] = { [17] = 0x20, [18] = 34, [27] = INIT };
static struct auth_method method = { .kind = AUTH_PSK, .psk_file = "/psk" };
static struct auth_set set = { .name = "password", .methods = &method, .count = 1 };

/* ---- the parent ---- */

static struct keys_answer answered;
static unsigned answers;

static int on_answer(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context, (void)c, (void)fds;
	answers++;
	return keys_get_answer(body, &answered);
}

static ask_handler *const of_parent[ASK_COUNT] = { [ASK_KEYS_ANSWER] = on_answer };

/* ---- keying ---- */

static struct keys_asking *asking;

#define ON(name, ask) \
	static int name(void *context, struct channel *c, struct wire_in *body, int *fds) \
	{ \
		(void)context, (void)c, (void)fds; \
		return keys_asking_heard(asking, ask, body); \
	}
ON(on_signed, ASK_KEYS_SIGNED)
ON(on_proven, ASK_KEYS_PROVEN)
ON(on_mixed, ASK_KEYS_MIXED)
ON(on_stepped, ASK_KEYS_GSS_STEPPED)
ON(on_text, ASK_KEYS_GSS_TEXT)
ON(on_refused, ASK_KEYS_REFUSED)

static ask_handler *const of_keying[ASK_COUNT] = {
	[ASK_KEYS_SIGNED] = on_signed,       [ASK_KEYS_PROVEN] = on_proven, [ASK_KEYS_MIXED] = on_mixed,
	[ASK_KEYS_GSS_STEPPED] = on_stepped, [ASK_KEYS_GSS_TEXT] = on_text, [ASK_KEYS_REFUSED] = on_refused,
};

struct said {
	unsigned times;
	int error;
	char why[256];
	struct keyring_proof proof;
	struct keying_mix mix;
};

static void done(void *context, const struct keys_outcome *o)
{
	struct said *s = context;

	s->times++;
	s->error = o->error;
	(void)snprintf(s->why, sizeof s->why, "%s", o->why ? o->why : "");
	if (o->proof)
		s->proof = *o->proof;
	if (o->mix)
		s->mix = *o->mix;
}

/* ---- a holder, and the channels to it ---- */

static const char *cut_off;

static void gone(struct channel *c, const char *why)
{
	(void)c;
	if (why)
		cut_off = why;
}

static struct channel *end_of(int fd, enum role self, enum role peer, ask_handler *const *handlers, void *context)
{
	struct channel *c = NULL;

	assert_int_equal(channel_new(&(struct channel_config){ .loop = &loop,
							       .fd = fd,
							       .self = self,
							       .peer = peer,
							       .handlers = handlers,
							       .context = context,
							       .gone = gone },
				     &c, NULL),
			 0);
	channel_set_state(c, CHANNEL_READY);
	return c;
}

struct holder {
	struct keys *keys;
	struct channel *parent, *of_parent, *keying, *of_keying;
};

static void turns(void)
{
	for (int i = 0; i < 20; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void start(struct holder *h)
{
	int fds[2];

	h->keys = keys_new();
	assert_int_equal(channel_pair(fds, NULL), 0);
	h->parent = end_of(fds[0], ROLE_PARENT, ROLE_KEYS, of_parent, NULL);
	h->of_parent = end_of(fds[1], ROLE_KEYS, ROLE_PARENT, keys_handlers, h->keys);
	assert_int_equal(keys_begin(h->keys, &loop, h->of_parent, NULL), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	h->keying = end_of(fds[0], ROLE_KEYING, ROLE_KEYS, of_keying, NULL);
	h->of_keying = end_of(fds[1], ROLE_KEYS, ROLE_KEYING, keys_handlers, h->keys);
	keys_came(h->keys, h->of_keying);
}

static void stop(struct holder *h)
{
	keys_asking_channel(asking, NULL);
	keys_went(h->keys, ROLE_KEYING);
	channel_close(h->of_keying);
	channel_close(h->keying);
	channel_close(h->of_parent);
	channel_close(h->parent);
	turns();
	keys_free(h->keys);
}

static void load(struct holder *h, const char *name, unsigned uses, const char *octets)
{
	struct keys_load m = { .ticket = 5, .number = credential_psk_number(name), .uses = (uint8_t)uses };
	int fd = memfd_create("psk", MFD_CLOEXEC);

	assert_int_equal(write(fd, octets, strlen(octets)), strlen(octets));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	(void)snprintf(m.path, sizeof m.path, "%s", name);
	keys_put_load(channel_begin(h->parent, ASK_KEYS_LOAD), &m);
	channel_end_fds(h->parent, &fd, 1);
	(void)close(fd);
}

static void begin(struct holder *h)
{
	(void)channel_begin(h->parent, ASK_KEYS_BEGIN);
	channel_end(h->parent);
}

static void swap(struct holder *h)
{
	wire_put_u32(channel_begin(h->parent, ASK_KEYS_SWAP), 6);
	channel_end(h->parent);
	turns();
}

static void fill(struct holder *h)
{
	begin(h);
	load(h, "/psk", KEYRING_PROVE, "secret\n");
	load(h, "/ppk", KEYRING_MIX, "post-quantum\n");
	swap(h);
}

static struct keying_job sign_job(void)
{
	return (struct keying_job){ .kind = JOB_SIGN,
				    .credential = credential_psk_number("/psk"),
				    .prf = prf,
				    .octets = { signed_octets, SIGNED } };
}

static struct keying_job verify_job(const struct keyring_proof *p)
{
	return (struct keying_job){ .kind = JOB_VERIFY,
				    .auth_set = &set,
				    .auth_method = 2,
				    .prf = prf,
				    .auth = { p->auth, p->len },
				    .octets = { signed_octets, SIGNED } };
}

static int setup(void **state)
{
	(void)state;
	prf = algorithm_by_name(ALG_PRF, "sha256", 6);
	answers = 0;
	cut_off = NULL;
	if (uv_loop_init(&loop) < 0)
		return -1;
	asking = keys_asking_new(&loop);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keys_asking_close(asking);
	turns();
	return uv_loop_close(&loop);
}

/* ---- promises ---- */

static void what_is_asked_comes_back(void **state)
{
	struct holder h;
	struct said s = { 0 }, v = { 0 }, w = { 0 }, m = { 0 };
	struct keying_job sign = sign_job(), verify, wrong, mix = { .kind = JOB_PPK, .prf = prf };
	char ppk[] = "/ppk";

	(void)state;
	start(&h);
	keys_asking_channel(asking, h.keying);
	fill(&h);
	assert_int_equal(answers, 3);
	assert_int_equal(answered.error, 0);
	keys_ask(asking, &sign, done, &s);
	turns();
	assert_int_equal(s.times, 1);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.proof.method, 2);
	assert_int_equal(s.proof.len, 32);
	verify = verify_job(&s.proof);
	keys_ask(asking, &verify, done, &v);
	w.proof = s.proof;
	w.proof.auth[5] ^= 1;
	wrong = verify_job(&w.proof);
	keys_ask(asking, &wrong, done, &w);
	mix.ppk_file = ppk;
	assert_true(key_set(&mix.mix.d, "0123456789abcdef0123456789abcdef", 32));
	mix.mix.pi = mix.mix.pr = mix.mix.d;
	keys_ask(asking, &mix, done, &m);
	turns();
	assert_int_equal(v.times, 1);
	assert_int_equal(v.error, 0);
	assert_int_equal(w.times, 1);
	assert_int_equal(w.error, -EKEYREJECTED);
	assert_int_equal(m.times, 1);
	assert_int_equal(m.error, 0);
	assert_int_equal(m.mix.pr.len, 32);
	assert_memory_not_equal(m.mix.d.octets, mix.mix.d.octets, 32);
	stop(&h);
}

/* A set is prepared beside the one in use; a bad file is told of and leaves the rest as it is. */
static void a_set_takes_the_place_of_another_at_once(void **state)
{
	struct keying_job sign = sign_job();
	struct said s = { 0 };
	struct holder h;

	(void)state;
	start(&h);
	keys_asking_channel(asking, h.keying);
	fill(&h);
	begin(&h);
	load(&h, "/psk", KEYRING_PROVE, "");
	turns();
	assert_int_equal(answered.error, -ERR_SYNTAX);
	assert_non_null(strstr(answered.words, "/psk is empty"));
	keys_ask(asking, &sign, done, &s); /* the old one serves */
	turns();
	assert_int_equal(s.times, 1);
	assert_int_equal(s.error, 0);
	swap(&h);
	keys_ask(asking, &sign, done, &s);
	turns();
	assert_int_equal(s.times, 2);
	assert_int_equal(s.error, -ENOENT);
	assert_string_equal(s.why, "the credential has gone from this host");
	stop(&h);
}

static void what_a_dead_holder_was_asked_the_next_one_is_asked(void **state)
{
	struct keying_job sign = sign_job();
	struct said s = { 0 }, early = { 0 };
	struct holder h, other;

	(void)state;
	keys_ask(asking, &sign, done, &early); /* there is none yet */
	turns();
	assert_int_equal(early.times, 0);
	start(&h);
	fill(&h);
	keys_asking_channel(asking, h.keying);
	turns();
	assert_int_equal(early.times, 1);
	assert_int_equal(early.error, 0);
	keys_ask(asking, &sign, done, &s);
	stop(&h); /* before it has read it, or it has and nobody hears the answer */
	assert_int_equal(s.times, 0);
	start(&other);
	fill(&other);
	keys_asking_channel(asking, other.keying);
	turns();
	assert_int_equal(s.times, 1);
	assert_int_equal(s.error, 0);
	stop(&other);
}

static void what_nobody_answers_fails_in_the_end(void **state)
{
	struct keying_job sign = sign_job(), long_one = sign_job();
	struct said s = { 0 }, closed = { 0 }, too_long = { 0 };
	struct holder h;
	uint64_t begun;

	(void)state;
	keys_ask(asking, &sign, done, &s);
	begun = uv_now(&loop);
	while (!s.times && uv_now(&loop) - begun < KEYS_ASKING_MS + 3000)
		(void)uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(s.times, 1);
	assert_int_equal(s.error, -EAGAIN);
	assert_non_null(strstr(s.why, "is away, and is started again"));
	assert_true(uv_now(&loop) - begun >= KEYS_ASKING_MS);

	start(&h);
	keys_asking_channel(asking, h.keying);
	long_one.octets.len = KEYS_OCTETS_MOST + 1;
	keys_ask(asking, &long_one, done, &too_long);
	assert_int_equal(too_long.times, 1);
	assert_int_equal(too_long.error, -ERR_UNSUPPORTED);
	stop(&h);
	keys_ask(asking, &sign, done, &closed);
	keys_asking_close(asking);
	assert_int_equal(closed.times, 1);
	assert_int_equal(closed.error, -ECANCELED);
	asking = keys_asking_new(&loop);
}

/* What is no IKE_AUTH is not signed for anybody: whoever asks for it is no longer heard. */
static void who_asks_for_another_signature_is_cut_off(void **state)
{
	static const uint8_t tls[64 + 33 + 1 + 32] = "                                "
						     "                                "
						     "TLS 1.3, client CertificateVerify";
	struct keying_job sign = sign_job();
	struct said s = { 0 };
	struct holder h;

	(void)state;
	start(&h);
	keys_asking_channel(asking, h.keying);
	fill(&h);
	sign.octets = (struct keying_octets){ tls, sizeof tls };
	keys_ask(asking, &sign, done, &s);
	turns();
	assert_int_equal(s.times, 0);
	assert_string_equal(cut_off, "sent a message that means nothing");
	h.of_keying = h.keying = NULL; /* closed by themselves */
	stop(&h);
}

/* The parent fills; keying may not, nor may the parent's messages come half. */
static void only_the_parent_fills(void **state)
{
	struct holder h;

	(void)state;
	assert_int_equal(asks[ASK_KEYS_LOAD].from, ROLE_BIT(ROLE_PARENT));
	assert_int_equal(asks[ASK_KEYS_SWAP].from, ROLE_BIT(ROLE_PARENT));
	start(&h);
	wire_put_u32(channel_begin(h.parent, ASK_KEYS_SWAP), 6); /* nothing is prepared */
	channel_end(h.parent);
	turns();
	assert_string_equal(cut_off, "sent a message that means nothing");
	h.parent = h.of_parent = NULL;
	stop(&h);
}

/* The process that has a network asks the directory in this host's name; a machine's account may change things there,
 * too, so nothing else is sealed for it. */
static void sources_may_ask_the_directory_and_no_more(void **state)
{
	static const struct {
		uint8_t use;
		const char *octets;
		size_t len;
		bool heard;
	} rows[] = {
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x63\x00", 7, true }, /* search */
		{ KEYS_USE_SIGN, "\x30\x05\x02\x01\x01\x63\x00", 7, true },
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x42\x00", 7, true },  /* unbind */
		{ KEYS_USE_WRAP, "\x01\x00\x00\x00", 4, true },              /* the choice of a layer */
		{ KEYS_USE_UNWRAP, "anything", 8, true },                    /* what came */
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x66\x00", 7, false }, /* modify */
		{ KEYS_USE_SIGN, "\x30\x05\x02\x01\x01\x66\x00", 7, false },
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x68\x00", 7, false }, /* add */
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x4a\x00", 7, false }, /* delete */
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x77\x00", 7, false }, /* extended: a password */
		/* A question, and something behind it. */
		{ KEYS_USE_WRAP, "\x30\x05\x02\x01\x01\x63\x00\x30\x05\x02\x01\x02\x66\x00", 14, false },
		{ KEYS_USE_WRAP, "not LDAP at all", 15, false },
		{ KEYS_USE_KEY, "seed", 4, false }, /* a key of the context itself */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct channel *sources, *of_sources;
		struct holder h;
		int fds[2];

		cut_off = NULL;
		start(&h);
		assert_int_equal(channel_pair(fds, NULL), 0);
		sources = end_of(fds[0], ROLE_SOURCES, ROLE_KEYS, of_keying, NULL);
		of_sources = end_of(fds[1], ROLE_KEYS, ROLE_SOURCES, keys_handlers, h.keys);
		keys_came(h.keys, of_sources);
		keys_put_gss_use(channel_begin(sources, ASK_KEYS_GSS_USE),
				 &(struct keys_gss_use){ .job = 1,
							 .gss = 2,
							 .use = rows[i].use,
							 .len = rows[i].use == KEYS_USE_KEY ? 32 : 0,
							 .octets = { rows[i].octets, rows[i].len } });
		channel_end(sources);
		turns();
		if (!cut_off != rows[i].heard)
			fail_msg("row %zu: %s", i, cut_off ? cut_off : "it was heard");
		keys_went(h.keys, ROLE_SOURCES);
		if (rows[i].heard) { /* else closed by themselves */
			channel_close(of_sources);
			channel_close(sources);
		}
		stop(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_asked_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_set_takes_the_place_of_another_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_dead_holder_was_asked_the_next_one_is_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(what_nobody_answers_fails_in_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(who_asks_for_another_signature_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_parent_fills, setup, teardown),
		cmocka_unit_test_setup_teardown(sources_may_ask_the_directory_and_no_more, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
