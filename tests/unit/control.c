/* The control socket: what it lets in, and that a bad client harms only itself. Client and server meet over a real
 * socket in a folder of the test's own. */
#include "base/diag.h"
#include "base/scope.h"
#include "control/client.h"
#include "control/frame.h"
#include "control/server.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void schema_takes_what_it_lists_and_nothing_else(void **state)
{
	static const struct {
		const char *json;
		int want;
	} rows[] = {
		{ "{\"request\":\"status\"}", 0 },
		{ "{\"request\":\"show\",\"what\":\"peers\"}", 0 },
		{ "{\"request\":\"show\"}", -ERR_SYNTAX },
		{ "{\"request\":\"show\",\"what\":1}", -ERR_SYNTAX },
		{ "{\"request\":\"show\",\"what\":\"123456789012345678901234567890123\"}", -ERR_SYNTAX },
		{ "{\"request\":\"status\",\"x\":1}", -ERR_SYNTAX },
		{ "{\"request\":\"events\",\"follow\":true}", 0 },
		{ "{\"request\":\"events\",\"follow\":1}", -ERR_SYNTAX },
		{ "{\"request\":\"rollback\",\"version\":-1}", -ERR_SYNTAX },
		{ "{\"request\":\"rollback\",\"version\":1e3}", -ERR_SYNTAX },
		{ "{\"request\":\"reboot\"}", -ERR_SYNTAX },
		{ "{\"request\":null}", -ERR_SYNTAX },
		{ "{}", -ERR_SYNTAX },
		{ "[]", -ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *j = json_loads(rows[i].json, 0, NULL);
		enum control_request what;
		struct diag d;

		if (!j || control_check(j, &what, &d) != rows[i].want)
			fail_msg("row %zu: %s", i, rows[i].json);
		json_decref(j);
	}
}

static void every_request_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < CONTROL_REQUESTS; i++)
		assert_non_null(control_requests[i].name);
}

static void frame_over_the_bound_is_refused(void **state)
{
	(void)state;
	assert_int_equal(frame_length((const uint8_t[]){ 0, 0, 1, 0 }), 256);
	assert_int_equal(frame_length((const uint8_t[]){ 4, 0, 0, 0 }), CONTROL_FRAME_MOST);
	assert_int_equal(frame_length((const uint8_t[]){ 4, 0, 0, 1 }), 0);
	assert_int_equal(frame_length((const uint8_t[]){ 0xff, 0xff, 0xff, 0xff }), 0);
	assert_int_equal(frame_length((const uint8_t[]){ 0, 0, 0, 0 }), 0);
}

/* ---- both ends --------------------------------------------------------------------------------------------------- */

struct both {
	char folder[64], path[96];
	uv_loop_t loop;
	uv_async_t stop;
	uv_thread_t thread;
	struct control_server *server;
	unsigned gone;
};

static void answer(void *context, struct control_call *call, enum control_request what, const json_t *request)
{
	(void)context;
	(void)request;
	if (what == CONTROL_EVENTS) {
		control_keep(call);
		for (int i = 0; i < 3; i++)
			control_reply(call, json_pack("{s:i}", "number", i));
		return;
	}
	if (what == CONTROL_APPLY) {
		control_reply(call, json_pack("{s:I}", "octets",
					      (json_int_t)json_string_length(json_object_get(request, "policy"))));
		return;
	}
	control_reply(call, json_pack("{s:b,s:s}", "ok", 1, "caller", control_caller(call)));
}

static void forget(void *context, struct control_call *call)
{
	struct both *b = context;

	(void)call;
	b->gone++;
}

static void stop(uv_async_t *a)
{
	struct both *b = a->data;

	control_server_close(b->server);
	uv_close((uv_handle_t *)a, NULL);
}

static void run(void *context)
{
	struct both *b = context;

	(void)uv_run(&b->loop, UV_RUN_DEFAULT);
}

static int start(void **state)
{
	struct both *b = calloc(1, sizeof *b);
	struct diag d = { 0 };

	assert_non_null(b);
	(void)snprintf(b->folder, sizeof b->folder, "/tmp/cordon-control.XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	(void)snprintf(b->path, sizeof b->path, "%s/control", b->folder);
	assert_int_equal(uv_loop_init(&b->loop), 0);
	assert_int_equal(uv_async_init(&b->loop, &b->stop, stop), 0);
	b->stop.data = b;
	if (control_server_new(&b->loop, b->path,
			       &(struct control_handlers){ .request = answer, .gone = forget, .context = b },
			       &b->server, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(uv_thread_create(&b->thread, run, b), 0);
	*state = b;
	return 0;
}

static int finish(void **state)
{
	struct both *b = *state;

	(void)uv_async_send(&b->stop);
	(void)uv_thread_join(&b->thread);
	assert_int_equal(uv_loop_close(&b->loop), 0); /* nothing was left open */
	assert_int_equal(access(b->path, F_OK), -1);
	assert_int_equal(rmdir(b->folder), 0);
	free(b);
	return 0;
}

static int connect_raw(const struct both *b)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof to.sun_path, "%s", b->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void socket_is_closed_to_others(void **state)
{
	struct both *b = *state;
	struct stat st;

	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static void request_is_answered(void **state)
{
	struct both *b = *state;
	json_t *request = control_request_new(CONTROL_STATUS), *reply = NULL;
	struct diag d = { 0 };

	if (control_ask(b->folder, request, &reply, &d) < 0)
		fail_msg("%s", d.text);
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(request);
	json_decref(reply);
}

static void long_request_arrives_whole(void **state)
{
	struct both *b = *state;
	size_t n = 3u << 20;
	char *policy = malloc(n + 1);
	json_t *request = control_request_new(CONTROL_APPLY), *reply = NULL;
	struct diag d = { 0 };

	assert_non_null(policy);
	memset(policy, 'x', n);
	policy[n] = '\0';
	(void)json_object_set_new(request, "policy", json_string(policy));
	(void)json_object_set_new(request, "path", json_string("p"));
	if (control_ask(b->folder, request, &reply, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(json_integer_value(json_object_get(reply, "octets")), n);
	json_decref(request);
	json_decref(reply);
	free(policy);
}

static void bad_clients_are_cut_off_or_told(void **state)
{
	static const struct {
		const char *octets;
		size_t n;
		bool answered;
	} rows[] = {
		{ "\xff\xff\xff\xff", 4, false },  { "\0\0\0\0", 4, false },
		{ "\0\0\0\2{}", 6, true },         { "\0\0\0\2{{", 6, true },
		{ "\0\0\0\3\xff\xfe\0", 7, true }, { "\0\0\0\2{}and more behind it", 23, true },
	};
	struct both *b = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = connect_raw(b);
		uint8_t header[4];

		assert_int_equal(send(fd, rows[i].octets, rows[i].n, MSG_NOSIGNAL), rows[i].n);
		if ((recv(fd, header, sizeof header, MSG_WAITALL) == 4) != rows[i].answered)
			fail_msg("row %zu", i);
		(void)close(fd);
	}
	request_is_answered(state);
}

static void stream_of_replies_comes_in_order_and_its_end_is_noticed(void **state)
{
	struct both *b = *state;
	struct control_link *l = NULL;
	json_t *request = control_request_new(CONTROL_EVENTS);
	struct diag d = { 0 };

	assert_int_equal(control_connect(b->folder, &l, &d), 0);
	assert_int_equal(control_send(l, request, &d), 0);
	for (int i = 0; i < 3; i++) {
		json_t *reply = NULL;

		assert_int_equal(control_receive(l, 5, &reply, &d), 0);
		assert_int_equal(json_integer_value(json_object_get(reply, "number")), i);
		json_decref(reply);
	}
	json_decref(request);
	control_link_free(l);
	for (int i = 0; i < 500 && !__atomic_load_n(&b->gone, __ATOMIC_ACQUIRE); i++)
		(void)usleep(10000);
	assert_int_equal(b->gone, 1);
}

static void absent_daemon_is_said_in_words(void **state)
{
	struct control_link *l = NULL;
	struct diag d = { 0 };

	(void)state;
	assert_true(control_connect("/nonexistent", &l, &d) < 0);
	assert_non_null(strstr(d.text, "nothing answers on /nonexistent/control"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schema_takes_what_it_lists_and_nothing_else),
		cmocka_unit_test(every_request_has_a_row),
		cmocka_unit_test(frame_over_the_bound_is_refused),
		cmocka_unit_test_setup_teardown(socket_is_closed_to_others, start, finish),
		cmocka_unit_test_setup_teardown(request_is_answered, start, finish),
		cmocka_unit_test_setup_teardown(long_request_arrives_whole, start, finish),
		cmocka_unit_test_setup_teardown(bad_clients_are_cut_off_or_told, start, finish),
		cmocka_unit_test_setup_teardown(stream_of_replies_comes_in_order_and_its_end_is_noticed, start, finish),
		cmocka_unit_test(absent_daemon_is_said_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
