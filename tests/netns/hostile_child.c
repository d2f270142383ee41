/* A child of cordond that somebody else has taken over: it stands in the place of any of them, by its name, enters the
 * same cage, says that it is ready, and a moment later does the misdeed that CORDON_HOSTILE names. `--list ROLE` tells
 * which there are, and what of each is to be seen. For tests/netns/hostile.py only. */
#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "daemon/process/child.h"
#include "tests/unit/misdeeds.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BEGIN_MS = 50, CHANNEL = CHILD_CHANNEL_FD, TRIES_S = 5 };

static enum role role;
static uv_timer_t timer;

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void say(uint16_t ask, uint32_t len, const void *body, size_t body_len)
{
	static uint8_t frame[1 << 18];
	struct wire_out out = wire_out(frame, sizeof frame);

	wire_put_u16(&out, ask);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, len);
	wire_put(&out, body, body_len);
	(void)send(CHANNEL, frame, out.len, MSG_NOSIGNAL);
}

static void say_with(uint16_t ask, const void *body, size_t len, const int *fds, size_t count)
{
	static char space[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(16)));
	uint8_t frame[1024];
	struct wire_out out = wire_out(frame, sizeof frame);
	struct iovec part = { frame, 0 };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct cmsghdr *h;

	wire_put_u16(&out, ask);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, (uint32_t)len);
	wire_put(&out, body, len);
	part.iov_len = out.len;
	m.msg_control = space;
	m.msg_controllen = CMSG_SPACE(count * sizeof(int));
	h = CMSG_FIRSTHDR(&m);
	*h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(count * sizeof(int)),
			       .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(h), fds, count * sizeof(int));
	/* Those that others of this user have under way count, too, and are read in a moment. */
	for (time_t end = time(NULL) + TRIES_S; sendmsg(CHANNEL, &m, MSG_NOSIGNAL) < 0 && time(NULL) < end;)
		;
}

static void asks_the_unknown(void)
{
	say(0xffff, 0, NULL, 0);
}

static void gives_orders(void)
{
	say(ASK_PING, 0, NULL, 0);
}

static void says_too_much(void)
{
	say(ASK_PONG, 1, "x", 1);
}

static void says_half(void)
{
	say(ASK_FORBIDDEN, 4, "x", 1);
}

static void says_nothing(void)
{
	(void)send(CHANNEL, "", 0, MSG_NOSIGNAL);
}

static void says_far_too_much(void)
{
	static uint8_t much[200000];

	say(ASK_FORBIDDEN, sizeof much, much, sizeof much);
}

static void is_ready_twice(void)
{
	say(ASK_READY, 0, NULL, 0);
}

static void sends_a_descriptor(void)
{
	say_with(ASK_PONG, NULL, 0, &(int){ CHANNEL }, 1);
}

static void sends_descriptors(void)
{
	int fds[40];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = CHANNEL;
	say_with(ASK_PONG, NULL, 0, fds, ARRAY_LEN(fds));
}

static void accuses_the_parent(void)
{
	say(ASK_ACCUSE, 1, "\0", 1);
}

static void accuses_keying(void)
{
	static const uint8_t body[] = { ROLE_KEYING, 'l', 'i', 'e', 's' };

	say(ASK_ACCUSE, sizeof body, body, sizeof body);
}

static void floods(void)
{
	for (;;)
		say(ASK_PONG, 0, NULL, 0);
}

/* Sixty thousand octets at a time. */
static void floods_in_batches(void)
{
	static uint8_t frames[ASK_BODY_MOST];
	struct wire_out out = wire_out(frames, sizeof frames);

	while (out.cap - out.len >= 8) {
		wire_put_u16(&out, ASK_PONG);
		wire_put_u16(&out, 0);
		wire_put_u32(&out, 0);
	}
	for (;;)
		(void)send(CHANNEL, frames, out.len, MSG_NOSIGNAL);
}

/* All that it may say, and each is noise. */
static void talks_nonsense(void)
{
	static uint8_t noise[ASK_BODY_MOST];
	int memory = memfd_create("noise", MFD_CLOEXEC);

	memset(noise, 0xff, sizeof noise);
	(void)!write(memory, noise, sizeof noise);
	for (unsigned a = ASK_ACCUSE + 1; a < ASK_COUNT; a++) {
		if (!(asks[a].from & ROLE_BIT(role)) || !(asks[a].to & ROLE_BIT(ROLE_PARENT)))
			continue;
		if (asks[a].fds == 1)
			say_with((uint16_t)a, noise, asks[a].least, &memory, 1);
		else if (asks[a].fds == 0)
			say((uint16_t)a, asks[a].least, noise, asks[a].least);
	}
	say(ASK_EVENT, 50, noise, 50);
}

/* Sixteen megabytes each, of which the parent is to keep a copy. */
static void fills_the_disk(void)
{
	enum { SIZE = 16 << 20, SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
	int memory = memfd_create("list", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char url[64];

	(void)!ftruncate(memory, SIZE);
	(void)fcntl(memory, F_ADD_SEALS, SEALS);
	for (unsigned i = 0; i < 2000; i++) {
		(void)snprintf(url, sizeof url, "http://10.0.0.1/%u", i);
		say_with(ASK_LIST_KEEP, url, strlen(url), &memory, 1);
	}
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void hangs_up(void)
{
	(void)close(CHANNEL);
	for (;;)
		(void)sleep(1);
}

static void hangs(void)
{
	for (;;)
		(void)sleep(1);
}

static void dies(void)
{
	_exit(7);
}

static void crashes(void)
{
	(void)signal(SIGSEGV, SIG_DFL);
	(void)raise(SIGSEGV);
}

enum { ANY = ROLE_BIT(ROLE_KEYING) | ROLE_BIT(ROLE_KEYS) | ROLE_BIT(ROLE_DATAPLANE) | ROLE_BIT(ROLE_SOURCES) };

/* want: what status is to say of its end. "-": nothing, it goes on. */
static const struct {
	const char *name;
	void (*act)(void);
	const char *want;
	unsigned roles;
} acts[] = {
	{ "asks the unknown", asks_the_unknown, "asked what nobody may ask", ANY },
	{ "gives orders", gives_orders, "asked what it may not ask", ANY },
	{ "says too much", says_too_much, "of another size", ANY },
	{ "says far too much", says_far_too_much, "more than a message may hold", ANY },
	{ "says half", says_half, "a message that is cut off", ANY },
	{ "says nothing", says_nothing, "exit code 0", ANY },
	{ "is ready twice", is_ready_twice, "not its turn", ANY },
	{ "sends a descriptor", sends_a_descriptor, "descriptors that do not belong", ANY },
	{ "sends descriptors", sends_descriptors, "more than a message may hold", ANY },
	{ "accuses the parent", accuses_the_parent, "means nothing", ANY },
	{ "accuses keying", accuses_keying, "quarrels with keying, which lies", ROLE_BIT(ROLE_SOURCES) },
	{ "talks nonsense", talks_nonsense, "", ANY },
	{ "floods", floods, "-", ANY },
	{ "floods in batches", floods_in_batches, "more than anybody needs", ANY },
	{ "fills the disk", fills_the_disk, "-", ROLE_BIT(ROLE_KEYING) },
	{ "hangs up", hangs_up, "closed its channel", ANY },
	{ "hangs", hangs, "does not answer", ANY },
	{ "dies", dies, "exit code 7", ANY },
	{ "crashes", crashes, "signal 11", ANY },
};

static void act(uv_timer_t *t)
{
	const char *name = getenv("CORDON_HOSTILE");

	(void)t;
	for (size_t i = 0; name && i < ARRAY_LEN(acts); i++)
		if (strcmp(acts[i].name, name) == 0)
			acts[i].act();
	for (size_t i = 0; name && i < misdeed_count; i++)
		if (strcmp(misdeeds[i].name, name) == 0 && misdeeds[i].try())
			(void)fprintf(stderr, "%s: it %s\n", role_name(role), name);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static int begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	(void)context;
	(void)parent;
	(void)d;
	(void)uv_timer_init(loop, &timer);
	return uv_timer_start(&timer, act, BEGIN_MS, 0);
}

/* Whatever it is told to do. */
static int listens_only(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context;
	(void)c;
	(void)body;
	(void)fds;
	return 0;
}

static bool role_of(const char *name)
{
	const char *last = strrchr(name, '-');

	for (role = ROLE_KEYING; role < ROLE_COUNT; role++)
		if (strcmp(role_name(role), last ? last + 1 : name) == 0)
			return true;
	return false;
}

/* name, tab, what is to be said of its end: it is that, or it did nothing. */
static void list(void)
{
	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		if (acts[i].roles & ROLE_BIT(role))
			(void)printf("%s\t%s\n", acts[i].name, acts[i].want);
	for (size_t i = 0; i < misdeed_count; i++)
		if (!((misdeeds[i].may | misdeeds[i].refused) & ROLE_BIT(role)) && misdeeds[i].otherwise == FORBIDDEN)
			(void)printf("%s\tforbids (%s\n", misdeeds[i].name, misdeeds[i].call ? misdeeds[i].call : "");
}

int main(int argc, char **argv)
{
	static ask_handler *handlers[ASK_COUNT];
	static struct child_program program = { .handlers = handlers, .begin = begin };

	if (!role_of(argc == 3 ? argv[2] : argv[0]))
		return 2;
	if (argc == 3) {
		list();
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		handlers[i] = listens_only;
	program.role = role;
	program.name = argv[0];
	return child_run(&program, argc, argv);
}
