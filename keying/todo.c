/* keying/todo.c - the list of things to do: filled by an event, emptied by the caller. */
#include "keying/engine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void owned_set(struct owned *o, const void *at, size_t len)
{
	uint8_t *copy = len ? mem_copy(at, len) : NULL;

	owned_wipe(o);
	*o = (struct owned){ copy, len };
}

void owned_wipe(struct owned *o)
{
	if (o->at)
		explicit_bzero(o->at, o->len);
	free(o->at);
	*o = (struct owned){ 0 };
}

static struct todo_item *add(struct keying *k, enum keying_todo_kind kind)
{
	struct todo_item *t = mem_new(1, sizeof *t);

	t->todo.kind = kind;
	TAILQ_INSERT_TAIL(&k->todos, t, entry);
	return t;
}

struct keying_todo *todo_add(struct keying *k, enum keying_todo_kind kind)
{
	return &add(k, kind)->todo;
}

struct keying_todo *todo_last(struct keying *k)
{
	return &TAILQ_LAST(&k->todos, todo_queue)->todo;
}

void todo_send(struct keying *k, const struct addr *local, uint16_t local_port, const struct addr *remote,
	       uint16_t remote_port, const void *octets, size_t len)
{
	struct todo_item *t = add(k, KEYING_SEND);

	t->todo.local = *local;
	t->todo.local_port = local_port;
	t->todo.remote = *remote;
	t->todo.remote_port = remote_port;
	owned_set(&t->octets, octets, len);
	t->todo.octets = t->octets.at;
	t->todo.len = len;
}

static void send_all(struct ike_sa *sa, const struct owned *message, const struct nat_from *to)
{
	const uint8_t *at = message->at;

	for (size_t left = message->len, n; (n = fragment_first(at, left)) > 0; at += n, left -= n)
		todo_send(sa->k, &sa->local, to->local_port, &to->remote, to->remote_port, at, n);
}

void todo_send_back(struct ike_sa *sa, const struct owned *message)
{
	send_all(sa, message, &sa->k->from);
}

void todo_send_ike(struct ike_sa *sa, const struct owned *message)
{
	const struct nat_from to = { sa->nat.outer, sa->local_port, sa->remote_port };

	sa->nat.sent_ms = sa->k->now_ms;
	send_all(sa, message, &to);
}

void todo_install(struct keying *k, struct sa_spec *spec, uint64_t request)
{
	struct todo_item *t = add(k, KEYING_INSTALL);

	t->spec = mem_copy(spec, sizeof *spec);
	explicit_bzero(spec, sizeof *spec);
	t->todo.spec = t->spec;
	t->todo.request = request;
}

void todo_event(struct keying *k, enum event_id id, const struct addr *local, const struct addr *remote,
		const char *rule, const char *peer, uint32_t spi, const char *fmt, ...)
{
	struct keying_todo *t = todo_add(k, KEYING_EVENT);
	va_list ap;

	t->event = (struct event){ .id = id, .local = *local, .remote = *remote, .spi = spi };
	(void)snprintf(t->event.rule, sizeof t->event.rule, "%s", rule ? rule : "");
	(void)snprintf(t->event.peer, sizeof t->event.peer, "%s", peer ? peer : "");
	va_start(ap, fmt);
	(void)vsnprintf(t->event.text, sizeof t->event.text, fmt, ap);
	va_end(ap);
}

void words_copy(char *to, size_t cap, const char *from)
{
	size_t n = strnlen(from, cap - 1);

	memmove(to, from, n);
	to[n] = '\0';
}

void todo_free(struct todo_item *t)
{
	if (!t)
		return;
	owned_wipe(&t->octets);
	if (t->spec) {
		explicit_bzero(t->spec, sizeof *t->spec);
		free(t->spec);
	}
	membership_free(t->membership);
	keying_job_free(t->todo.job); /* NULL once it was taken */
	explicit_bzero(t, sizeof *t); /* a line of exported keys, too */
	free(t);
}

bool keying_next(struct keying *k, struct keying_todo *ret)
{
	struct todo_item *t = TAILQ_FIRST(&k->todos);

	todo_free(k->taken);
	k->taken = NULL;
	if (!t)
		return false;
	TAILQ_REMOVE(&k->todos, t, entry);
	*ret = t->todo;
	t->todo.job = NULL; /* the taker's */
	k->taken = t;
	return true;
}
