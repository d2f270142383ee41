#include "daemon/parts/ticket.h"

#include "base/mem.h"
#include "base/str.h"
#include "daemon/host/proofs.h"
#include "daemon/keys/messages.h"
#include "identity/credential.h"

#include <errno.h>
#include <stdlib.h>

int ticket_on_told(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct daemon *d = context;
	struct keys_ticket m;

	(void)c, (void)fds;
	if (keys_get_ticket(body, &m) < 0)
		return -EPROTO;
	free(d->ticket);
	d->ticket = mem_copy(&m, sizeof m);
	return 0;
}

void ticket_forget(struct daemon *d)
{
	free(TAKE(d->ticket));
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static json_t *words(const char *text)
{
	json_t *j = text && *text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static const char *principal(const struct credential_store *s)
{
	for (size_t i = 0; s && i < credential_count(s); i++)
		if (credential_get(s, i)->kind == AUTH_KERBEROS)
			return credential_get(s, i)->subject;
	return NULL;
}

bool ticket_used(const struct daemon *d)
{
	return principal(d->engine ? engine_store(d->engine) : NULL) != NULL;
}

json_t *ticket_json(const struct daemon *d)
{
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;
	const struct keys_ticket *t = d->ticket;
	uint64_t until_s = t && t->until_s > unix_now_ms() / 1000 ? t->until_s : 0;

	SCOPED(str_wipe) struct str strange = { 0 };

	proofs_strange_keytab(d, s, &strange);
	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "principal", words(principal(s)), "client",
			 words(t ? t->client : NULL), "keytab", words(d->config->keytab), "keytab_failure",
			 words(s ? credential_keytab_failure(s) : NULL), "keytab_warning",
			 words(strange.len ? strange.text : NULL), "ticket_until_ms",
			 until_s ? json_integer((json_int_t)until_s * 1000) : json_null(), "failure",
			 words(t ? t->failure : NULL));
}
