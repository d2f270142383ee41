/* A domain controller that says anything: the input is what it sends, and the guard opens and seals whatever it is
 * given by changing nothing. */
#include "tests/fuzz/fuzz.h"

#include "base/scope.h"
#include "daemon/sources/ldap_dialog.h"

#include <stdlib.h>
#include <string.h>

struct other {
	enum { NOTHING, STEP, TEXT } wants;
	uint8_t text[LDAP_SEALED_MOST];
	size_t len;
	unsigned ends;
};

static void sends(void *context, const void *octets, size_t n)
{
	(void)context, (void)octets, (void)n;
}

static void steps(void *context, const char *target, struct octets token)
{
	struct other *o = context;

	(void)target, (void)token;
	o->wants = STEP;
}

static void asks(struct other *o, struct octets text)
{
	o->wants = TEXT;
	o->len = text.len < sizeof o->text ? text.len : sizeof o->text;
	if (o->len)
		memcpy(o->text, text.at, o->len);
}

static void wraps(void *context, struct octets text, bool seal)
{
	(void)seal;
	asks(context, text);
}

static void unwraps(void *context, struct octets text)
{
	asks(context, text);
}

static void ends(void *context, struct directory_replies *replies, const struct diag *why)
{
	struct other *o = context;

	if (!replies == !why || o->ends++)
		abort();
	if (replies)
		directory_replies_wipe(replies);
	free(replies);
}

static void guard_works(struct other *o, struct ldap_dialog *g)
{
	while (o->wants != NOTHING && !o->ends) {
		uint8_t text[LDAP_SEALED_MOST];
		const bool step = o->wants == STEP;

		memcpy(text, o->text, o->len);
		o->wants = NOTHING;
		if (step)
			ldap_dialog_stepped(g, (struct octets){ "t", 1 }, true, NULL);
		else
			ldap_dialog_guarded(g, (struct octets){ text, o->len }, NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct directory_question questions[] = { { QUESTION_GROUP, "trusted" },
						  { QUESTION_GROUP, "CORP\\other" },
						  { QUESTION_DNS_ACCOUNT, "m1.corp.example" } };
	const struct directory_task task = { .realm = "CORP.EXAMPLE", .questions = questions, .question_count = 3 };
	struct other o = { 0 };
	const struct ldap_doors doors = { &o, sends, steps, wraps, unwraps, ends };
	SCOPED(ldap_dialog_freep) struct ldap_dialog *g = ldap_dialog_new(&task, &doors);

	for (size_t i = 0; i < len && !o.ends; i += 7) {
		ldap_dialog_received(g, octets + i, len - i < 7 ? len - i : 7);
		guard_works(&o, g);
	}
	return 0;
}
