#include "daemon/messages/directory_wire.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { QUESTION_LEAST = 3, REPLY_LEAST = 2, GROUP = 0, ACCOUNT = 1 };

void directory_task_wipe(struct directory_task *t)
{
	free(t->questions);
	*t = (struct directory_task){ 0 };
}

void directory_task_put(struct wire_out *out, const struct directory_task *t)
{
	wire_put_text(out, t->realm, sizeof t->realm);
	wire_put_u8(out, (uint8_t)t->server_count);
	for (size_t i = 0; i < t->server_count; i++)
		wire_put_text(out, t->servers[i], sizeof t->servers[i]);
	wire_put_u32(out, t->credential);
	wire_put_u32(out, (uint32_t)t->question_count);
	for (size_t i = 0; i < t->question_count; i++) {
		wire_put_u8(out, (uint8_t)t->questions[i].kind);
		wire_put_text(out, t->questions[i].text, sizeof t->questions[i].text);
	}
}

/* What comes cannot be more than there are octets for. */
static size_t count_of(struct wire_in *in, size_t most, size_t least)
{
	size_t n = wire_u32(in);

	if (n > most || n * least > in->left)
		in->failed = true;
	return in->failed ? 0 : n;
}

int directory_task_get(struct wire_in *in, struct directory_task *ret, struct diag *d)
{
	SCOPED(directory_task_wipe) struct directory_task t = { 0 };
	size_t n;

	wire_text(in, t.realm, sizeof t.realm);
	n = wire_u8(in);
	if (n > DIRECTORY_SERVERS_MOST)
		in->failed = true;
	while (!in->failed && t.server_count < n)
		wire_text(in, t.servers[t.server_count++], sizeof t.servers[0]);
	t.credential = wire_u32(in);
	t.question_count = count_of(in, DIRECTORY_QUESTIONS_MOST, QUESTION_LEAST);
	t.questions = mem_new(t.question_count + 1, sizeof *t.questions);
	for (size_t i = 0; i < t.question_count && !in->failed; i++) {
		uint8_t kind = wire_u8(in);

		if (kind >= QUESTION_KINDS)
			in->failed = true;
		t.questions[i].kind = (enum directory_question_kind)kind;
		wire_text(in, t.questions[i].text, sizeof t.questions[i].text);
	}
	if (!wire_done(in) || !*t.realm)
		return diag_fail(d, ERR_SYNTAX, "a task of the directory is not well-formed");
	*ret = t;
	t.questions = NULL;
	return 0;
}

void directory_replies_wipe(struct directory_replies *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->replies[i].sids);
	free(r->replies);
	*r = (struct directory_replies){ 0 };
}

void directory_replies_put(struct wire_out *out, const struct directory_replies *r)
{
	wire_put_u8(out, r->local.family);
	wire_put(out, r->local.octets, sizeof r->local.octets);
	wire_put_u32(out, (uint32_t)r->count);
	for (size_t i = 0; i < r->count; i++) {
		const struct directory_reply *one = &r->replies[i];

		wire_put_u8(out, one->sids ? ACCOUNT : GROUP);
		wire_put_u8(out, (uint8_t)one->state);
		if (one->sids)
			sid_list_put(out, one->sids);
		else if (one->state == DIRECTORY_FOUND)
			sid_put(out, &one->sid);
	}
}

static void get_reply(struct wire_in *in, struct directory_reply *ret)
{
	uint8_t kind = wire_u8(in), state = wire_u8(in);

	ret->state = (enum directory_state)state;
	if ((state != DIRECTORY_FOUND && state != DIRECTORY_MISSING) || kind > ACCOUNT ||
	    (kind == ACCOUNT && state == DIRECTORY_MISSING)) {
		in->failed = true;
		return;
	}
	if (kind == ACCOUNT) {
		ret->sids = mem_new(1, sizeof *ret->sids);
		sid_list_get(in, ret->sids);
	} else if (state == DIRECTORY_FOUND) {
		sid_get(in, &ret->sid);
	}
}

int directory_replies_get(struct wire_in *in, struct directory_replies *ret, struct diag *d)
{
	struct directory_replies r = { 0 };

	const uint8_t *local;

	r.local.family = wire_u8(in);
	if ((local = wire_octets(in, sizeof r.local.octets)))
		memcpy(r.local.octets, local, sizeof r.local.octets);
	if (r.local.family != 0 && r.local.family != 4 && r.local.family != 6)
		in->failed = true;
	r.count = count_of(in, DIRECTORY_QUESTIONS_MOST, REPLY_LEAST);
	r.replies = mem_new(r.count + 1, sizeof *r.replies);
	for (size_t i = 0; i < r.count && !in->failed; i++)
		get_reply(in, &r.replies[i]);
	if (!wire_done(in)) {
		directory_replies_wipe(&r);
		return diag_fail(d, ERR_SYNTAX, "an answer of the directory is not well-formed");
	}
	*ret = r;
	return 0;
}
