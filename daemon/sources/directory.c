#include "daemon/sources/directory.h"

#include "base/addr.h"
#include "base/mem.h"
#include "daemon/sources/guard.h"
#include "daemon/sources/ldap_dialog.h"
#include "daemon/sources/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_OCTETS = 16384, HOST_TEXT = DIRECTORY_NAME, WORDS = 400 };

/* A connection with one address of one server. It outlives its use until the loop has let go of the socket. */
struct connection {
	uv_tcp_t socket;
	uv_connect_t connect;
	char octets[READ_OCTETS];
	bool dead;
};

/* One for the process. */
static struct {
	uv_loop_t *loop;
	directory_done *done;
	void *context;
	uv_timer_t task_ends, server_ends;
	bool running;
	uint32_t number;
	uint64_t turn; /* of names that are resolved: an answer to a question of before means nothing */
	struct directory_task task;
	char servers[DIRECTORY_SERVERS_MOST][HOST_TEXT];
	size_t server_count, server; /* the next one */
	struct addr addresses[NAMES_ADDRESSES_MOST];
	size_t address_count, address;  /* the next one, of that server */
	char at[HOST_TEXT + ADDR_TEXT]; /* whom we talk to, for people */
	struct diag why;                /* the first failure: it is of the server that was to be asked */
	struct connection *connection;
	struct ldap_dialog *dialog;
	uv_idle_t afterwards; /* a dialog that has ended is not freed from within itself */
	struct directory_replies *replies;
	bool ended;
} dir;

static void next_address(void);
static void next_server(void);

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *h)
{
	free(h->data);
}

static void hang_up(void)
{
	struct connection *c = TAKE(dir.connection);

	(void)uv_timer_stop(&dir.server_ends);
	guard_end();
	ldap_dialog_free(TAKE(dir.dialog));
	if (!c)
		return;
	c->dead = true;
	uv_close((uv_handle_t *)&c->socket, closed);
}

static void end_task(const struct directory_replies *replies)
{
	static const struct diag nobody = { -ENOENT, "no domain controller is known" };

	hang_up();
	(void)uv_timer_stop(&dir.task_ends);
	dir.running = false;
	dir.turn++;
	dir.done(dir.context, dir.number, replies, replies ? NULL : dir.why.code ? &dir.why : &nobody);
	directory_task_wipe(&dir.task);
}

static void note(const struct diag *why)
{
	if (dir.why.code)
		return;
	dir.why = *why;
	(void)diag_wrap(&dir.why, dir.why.code, "%.200s", dir.at);
}

/* ---- the dialog's doors ------------------------------------------------------------------------------------------ */

struct writing {
	uv_write_t write;
	uint8_t octets[];
};

static void written(uv_write_t *w, int status)
{
	(void)status; /* a connection that is over says so where it is read */
	free(w->data);
}

static void send_octets(void *context, const void *octets, size_t n)
{
	struct writing *w = mem_new(1, sizeof *w + n);
	uv_buf_t buf = uv_buf_init((char *)w->octets, (unsigned)n);

	(void)context;
	memcpy(w->octets, octets, n);
	w->write.data = w;
	if (!dir.connection || uv_write(&w->write, (uv_stream_t *)&dir.connection->socket, &buf, 1, written) < 0)
		free(w);
}

static void step(void *context, const char *target, struct octets token)
{
	(void)context;
	guard_step(target, token);
}

static void wrap(void *context, struct octets text, bool seal)
{
	(void)context;
	guard_use(seal ? GUARD_SEAL : GUARD_SIGN, text);
}

static void unwrap(void *context, struct octets text)
{
	(void)context;
	guard_use(GUARD_OPEN, text);
}

/* Our own address of the connection: what that says of an interface is for the parent. */
static struct addr own_address(void)
{
	struct addr own = { 0 };
	struct sockaddr_storage ss;
	int len = sizeof ss;

	if (dir.connection && uv_tcp_getsockname(&dir.connection->socket, (struct sockaddr *)&ss, &len) == 0)
		(void)addr_from_sockaddr(&ss, &own, NULL);
	return own;
}

static void after_dialog(uv_idle_t *i)
{
	struct directory_replies *replies = TAKE(dir.replies);

	(void)uv_idle_stop(i);
	dir.ended = false;
	if (!replies) {
		hang_up();
		next_address();
		return;
	}
	replies->local = own_address();
	end_task(replies);
	directory_replies_wipe(replies);
	free(replies);
}

static void finish_later(void)
{
	if (!dir.ended)
		(void)uv_idle_start(&dir.afterwards, after_dialog);
	dir.ended = true;
}

static void dialog_done(void *context, struct directory_replies *replies, const struct diag *why)
{
	(void)context;
	if (why)
		note(why);
	dir.replies = replies;
	finish_later();
}

static void guard_stepped(void *context, struct octets token, bool complete, const struct diag *why)
{
	(void)context;
	if (dir.dialog)
		ldap_dialog_stepped(dir.dialog, token, complete, why);
}

static void guard_used(void *context, struct octets text, const struct diag *why)
{
	(void)context;
	if (dir.dialog)
		ldap_dialog_guarded(dir.dialog, text, why);
}

/* ---- a connection ------------------------------------------------------------------------------------------------ */

static void failed(int error, const char *what)
{
	struct diag d = { 0 };

	(void)diag_fail(&d, error, "%s: %s", what, uv_strerror(error));
	note(&d);
	finish_later();
}

static void room(uv_handle_t *h, size_t suggested, uv_buf_t *ret)
{
	struct connection *c = h->data;

	(void)suggested;
	*ret = uv_buf_init(c->octets, sizeof c->octets);
}

static void came(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	const struct connection *c = s->data;

	if (c->dead || n == 0 || dir.ended)
		return;
	if (n < 0)
		failed((int)n, "the domain controller has hung up");
	else
		ldap_dialog_received(dir.dialog, buf->base, (size_t)n);
}

static void server_is_late(uv_timer_t *t)
{
	struct diag d = { 0 };

	(void)t;
	(void)diag_fail(&d, ETIMEDOUT, "the domain controller does not answer");
	note(&d);
	finish_later();
}

static void connected(uv_connect_t *request, int status)
{
	static const struct ldap_doors doors = {
		.send = send_octets, .step = step, .wrap = wrap, .unwrap = unwrap, .done = dialog_done
	};
	static const struct guard_user user = { .stepped = guard_stepped, .used = guard_used };
	struct connection *c = request->data;

	if (c->dead)
		return;
	if (status < 0 || (status = uv_read_start((uv_stream_t *)&c->socket, room, came)) < 0) {
		failed(status, "the domain controller is not reached by LDAP");
		return;
	}
	(void)uv_timer_start(&dir.server_ends, server_is_late, DIRECTORY_SERVER_MS, 0);
	guard_begin(&user, dir.task.credential);
	dir.dialog = ldap_dialog_new(&dir.task, &doors);
}

static void next_address(void)
{
	struct connection *c;
	struct sockaddr_storage ss;
	char text[ADDR_TEXT];
	bool named;
	int r;

	if (dir.address == dir.address_count) {
		next_server();
		return;
	}
	c = mem_new(1, sizeof *c);
	c->socket.data = c->connect.data = c;
	(void)addr_text(&dir.addresses[dir.address], text);
	named = strcmp(text, dir.servers[dir.server - 1]) != 0; /* by a name, not by this address */
	(void)snprintf(dir.at, sizeof dir.at, "%s%s%s", dir.servers[dir.server - 1], named ? " " : "",
		       named ? text : "");
	(void)addr_to_sockaddr(&dir.addresses[dir.address++], DIRECTORY_PORT, &ss);
	(void)uv_timer_start(&dir.server_ends, server_is_late, DIRECTORY_CONNECT_MS, 0);
	(void)uv_tcp_init(dir.loop, &c->socket);
	dir.connection = c;
	if ((r = uv_tcp_connect(&c->connect, &c->socket, (const struct sockaddr *)&ss, connected)) < 0)
		failed(r, "the domain controller is not reached by LDAP");
}

/* ---- servers ----------------------------------------------------------------------------------------------------- */

static void *turn_now(void)
{
	return (void *)(uintptr_t)dir.turn;
}

static bool is_old(const void *turn)
{
	return (uintptr_t)turn != (uintptr_t)dir.turn || !dir.running;
}

static void resolved(void *context, const struct addr *addresses, size_t count, const char *why)
{
	struct diag d = { 0 };

	if (is_old(context))
		return;
	dir.turn++;
	memcpy(dir.addresses, addresses, count * sizeof *addresses);
	dir.address = 0;
	dir.address_count = count;
	if (why) {
		(void)snprintf(dir.at, sizeof dir.at, "%s", dir.servers[dir.server - 1]);
		(void)diag_fail(&d, ENOENT, "its address is not found: %s", why);
		note(&d);
	}
	next_address();
}

static void next_server(void)
{
	const char *name;

	if (dir.server == dir.server_count) {
		end_task(NULL);
		return;
	}
	name = dir.servers[dir.server++];
	dir.address = 0;
	dir.address_count = 1;
	if (addr_parse(name, strlen(name), &dir.addresses[0], NULL) == 0)
		next_address();
	else
		resolve(name, resolved, turn_now());
}

static void located(void *context, const char *const *names, size_t count, const char *why)
{
	struct diag d = { 0 };

	if (is_old(context))
		return;
	dir.turn++;
	for (size_t i = 0; i < count && dir.server_count < DIRECTORY_SERVERS_MOST; i++)
		(void)snprintf(dir.servers[dir.server_count++], HOST_TEXT, "%s", names[i]);
	if (why) {
		(void)snprintf(dir.at, sizeof dir.at, "%s", dir.task.realm);
		(void)diag_fail(&d, ENOENT, "DNS names no domain controller: %s", why);
		note(&d);
	}
	next_server();
}

static void task_is_late(uv_timer_t *t)
{
	(void)t;
	(void)uv_idle_stop(&dir.afterwards);
	dir.ended = false;
	end_task(NULL);
}

static void begin(void)
{
	char name[HOST_TEXT + 32];

	dir.server = dir.server_count = dir.address = dir.address_count = 0;
	dir.why = (struct diag){ 0 };
	(void)uv_timer_start(&dir.task_ends, task_is_late, DIRECTORY_TASK_MS, 0);
	for (; dir.server_count < dir.task.server_count; dir.server_count++)
		memcpy(dir.servers[dir.server_count], dir.task.servers[dir.server_count], HOST_TEXT);
	if (dir.server_count) {
		next_server();
		return;
	}
	(void)snprintf(name, sizeof name, "_ldap._tcp.dc._msdcs.%s", dir.task.realm);
	resolve_service(name, located, turn_now());
}

void directory_ask(uint32_t number, struct directory_task *task)
{
	if (dir.running) {
		(void)uv_idle_stop(&dir.afterwards);
		dir.ended = false;
		if (dir.replies)
			directory_replies_wipe(dir.replies);
		free(TAKE(dir.replies));
		hang_up();
		directory_task_wipe(&dir.task);
	}
	dir.turn++;
	dir.running = true;
	dir.number = number;
	dir.task = *task;
	*task = (struct directory_task){ 0 };
	begin();
}

void directory_start(uv_loop_t *loop, directory_done *done, void *context)
{
	dir.loop = loop;
	dir.done = done;
	dir.context = context;
	(void)uv_timer_init(loop, &dir.task_ends);
	(void)uv_timer_init(loop, &dir.server_ends);
	(void)uv_idle_init(loop, &dir.afterwards);
}
