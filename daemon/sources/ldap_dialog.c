#include "daemon/sources/ldap_dialog.h"

#include "base/mem.h"
#include "daemon/sources/ldap_message.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BATCH_MOST = 32, /* names in one search */
	BATCH_OCTETS = 1400,
	STREAM_MOST = LDAP_MESSAGE_MOST + LDAP_SEALED_MOST,
	SEALS = 4, /* the layer of RFC 4752 that has confidentiality */
	CODE_MOST = 256,
	ACCOUNT_DISABLED = 2,
};

enum state {
	ASK_ROOT,     /* who are you? */
	STEPS,        /* the guard makes a token */
	BIND,         /* the server has it */
	OPENS_OFFER,  /* the guard unwraps which layers the server has */
	SIGNS_CHOICE, /* the guard signs which one we take */
	BIND_LAST,
	ASK_NETBIOS, /* what is the domain's short name? */
	ASK_GROUPS,
	ASK_ACCOUNT,
	ASK_TOKEN, /* of that account, all groups */
	ENDED
};

struct stream {
	uint8_t *octets;
	size_t len, cap;
};

struct ldap_dialog {
	const struct directory_task *task;
	struct ldap_doors doors;
	enum state state;
	uint32_t id; /* of the last request */
	struct directory_replies replies;
	struct stream came, plain; /* as it came; of sealed ones what was in them */
	bool sealed, unwrapping, wrapping, complete;
	char base[2 * DIRECTORY_NAME], server[DIRECTORY_NAME], domain[DIRECTORY_NAME], netbios[DIRECTORY_NAME];
	char configuration[2 * DIRECTORY_NAME];
	size_t question, batch;      /* the first that is asked, and how many from there are */
	size_t in_batch[BATCH_MOST]; /* questions of this search */
	char names[BATCH_MOST][DIRECTORY_NAME];
	char account[CODE_MOST * 4]; /* its distinguished name */
	struct sid_list *sids;
	size_t found;
};

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static bool stream_add(struct stream *s, const void *octets, size_t n)
{
	if (n > STREAM_MOST - s->len)
		return false;
	if (s->len + n > s->cap) {
		s->cap = s->len + n + LDAP_SEALED_MOST;
		s->octets = mem_resize(s->octets, s->cap, 1);
	}
	if (n)
		memcpy(s->octets + s->len, octets, n);
	s->len += n;
	return true;
}

static void stream_drop(struct stream *s, size_t n)
{
	memmove(s->octets, s->octets + n, s->len - n);
	s->len -= n;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void fail(struct ldap_dialog *g, const struct diag *why)
{
	if (g->state == ENDED)
		return;
	g->state = ENDED;
	g->doors.done(g->doors.context, NULL, why);
}

#define FAIL(g, code, ...) \
	do { \
		struct diag d_ = { 0 }; \
		(void)diag_fail(&d_, code, __VA_ARGS__); \
		fail(g, &d_); \
	} while (0)

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void send_request(struct ldap_dialog *g, const uint8_t *octets, size_t n)
{
	if (!g->sealed) {
		g->doors.send(g->doors.context, octets, n);
		return;
	}
	g->wrapping = true;
	g->doors.wrap(g->doors.context, (struct octets){ octets, n }, true);
}

static void search(struct ldap_dialog *g, const struct ldap_search *s, enum state then)
{
	uint8_t buf[LDAP_REQUEST_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);

	ldap_put_search(&out, ++g->id, s);
	if (out.failed) {
		FAIL(g, ERR_UNSUPPORTED, "a name is too long to be asked about");
		return;
	}
	g->state = then;
	g->found = 0;
	send_request(g, buf, out.len);
}

/* A token may be as large as 1,500 groups make it. */
static void bind_with(struct ldap_dialog *g, struct octets token, enum state then)
{
	size_t room = token.len + 256;
	uint8_t *buf = mem_new(1, room);
	struct wire_out out = wire_out(buf, room);

	ldap_put_bind(&out, ++g->id, "GSSAPI", token);
	g->state = then;
	if (out.failed)
		FAIL(g, ERR_UNSUPPORTED, "the ticket is too long");
	else
		g->doors.send(g->doors.context, buf, out.len);
	free(buf);
}

static void ask_root(struct ldap_dialog *g)
{
	static const char *const wanted[] = { "dnsHostName", "defaultNamingContext", "configurationNamingContext" };

	search(g, &(struct ldap_search){ .base = "", .most = 1, .wanted = wanted, .wanted_count = ARRAY_LEN(wanted) },
	       ASK_ROOT);
}

static void ask_netbios(struct ldap_dialog *g)
{
	static const char *const wanted[] = { "nETBIOSName" };

	search(g,
	       &(struct ldap_search){ .base = g->configuration,
				      .scope = LDAP_SUBTREE,
				      .most = 4,
				      .first = { "nCName", g->base },
				      .wanted = wanted,
				      .wanted_count = ARRAY_LEN(wanted) },
	       ASK_NETBIOS);
}

/* ---- which questions are for this domain ------------------------------------------------------------------------- */

/* "CORP\trusted" and "trusted@corp.example" -> "trusted". False: it is of another domain. */
static bool own_name(const struct ldap_dialog *g, const char *text, char ret[DIRECTORY_NAME])
{
	const char *slash = strchr(text, '\\'), *at = strrchr(text, '@');
	size_t n = strlen(text);
	const char *from = text;

	if (slash) {
		size_t domain = (size_t)(slash - text);

		if ((strncasecmp(text, g->netbios, domain) != 0 || g->netbios[domain]) &&
		    (strncasecmp(text, g->domain, domain) != 0 || g->domain[domain]))
			return false;
		from = slash + 1;
		n = strlen(from);
	} else if (at && at[1]) {
		if (strcasecmp(at + 1, g->domain) != 0)
			return false;
		n = (size_t)(at - text);
	}
	memcpy(ret, from, n);
	ret[n] = '\0';
	return n > 0;
}

static void missing(struct ldap_dialog *g, size_t i)
{
	g->replies.replies[i] = (struct directory_reply){ .state = DIRECTORY_MISSING };
}

static void finish(struct ldap_dialog *g)
{
	struct directory_replies *all = mem_new(1, sizeof *all);

	*all = g->replies;
	g->replies = (struct directory_replies){ 0 };
	g->state = ENDED;
	g->doors.done(g->doors.context, all, NULL);
}

static void ask_groups(struct ldap_dialog *g)
{
	static const char *const wanted[] = { "sAMAccountName", "objectSid", "groupType" };
	const char *values[BATCH_MOST];

	for (size_t i = 0; i < g->batch; i++)
		values[i] = g->names[i];
	search(g,
	       &(struct ldap_search){ .base = g->base,
				      .scope = LDAP_SUBTREE,
				      .most = 2 * BATCH_MOST,
				      .first = { "objectClass", "group" },
				      .attribute = "sAMAccountName",
				      .values = values,
				      .value_count = g->batch,
				      .wanted = wanted,
				      .wanted_count = ARRAY_LEN(wanted) },
	       ASK_GROUPS);
}

static void ask_account(struct ldap_dialog *g, const struct directory_question *q)
{
	static const char *const wanted[] = { "objectSid", "userAccountControl" };
	const char *value = q->text;

	*g->account = '\0';
	free(g->sids);
	g->sids = mem_new(1, sizeof *g->sids);
	search(g,
	       &(struct ldap_search){ .base = g->base,
				      .scope = LDAP_SUBTREE,
				      .most = 2,
				      .first = { "objectClass", "user" },
				      .attribute =
					      q->kind == QUESTION_DNS_ACCOUNT ? "dNSHostName" : "userPrincipalName",
				      .values = &value,
				      .value_count = 1,
				      .wanted = wanted,
				      .wanted_count = ARRAY_LEN(wanted) },
	       ASK_ACCOUNT);
}

static void ask_token(struct ldap_dialog *g)
{
	static const char *const wanted[] = { "tokenGroups" };

	search(g,
	       &(struct ldap_search){
		       .base = g->account, .most = 1, .wanted = wanted, .wanted_count = ARRAY_LEN(wanted) },
	       ASK_TOKEN);
}

/* The next search, or the end. Groups are asked about together as far as one request goes; accounts one by one. */
static void go_on(struct ldap_dialog *g)
{
	size_t octets = 0;

	g->batch = 0;
	for (; g->question < g->task->question_count && g->batch < BATCH_MOST && octets < BATCH_OCTETS; g->question++) {
		const struct directory_question *q = &g->task->questions[g->question];

		if (q->kind != QUESTION_GROUP) {
			if (g->batch)
				break;
			g->in_batch[0] = g->question++;
			ask_account(g, q);
			return;
		}
		missing(g, g->question);
		if (!own_name(g, q->text, g->names[g->batch]))
			continue;
		octets += strlen(g->names[g->batch]) + 24;
		g->in_batch[g->batch++] = g->question;
	}
	if (g->batch)
		ask_groups(g);
	else
		finish(g);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

/* The first value of an attribute; an empty one where it is not there. */
static struct octets value_of(const struct ldap_answer *a, const char *attribute)
{
	struct wire_in all = a->attributes, values;
	struct octets type, v;

	while (ldap_next_attribute(&all, &type, &values))
		if (ldap_is(type, attribute) && ldap_next_value(&values, &v))
			return v;
	return (struct octets){ NULL, 0 };
}

/* False: it does not fit, or has a zero in it. */
static bool text_of(struct octets o, char *to, size_t cap)
{
	if (!o.at || o.len == 0 || o.len >= cap || memchr(o.at, '\0', o.len))
		return false;
	memcpy(to, o.at, o.len);
	to[o.len] = '\0';
	return true;
}

static bool is_host_name(const char *text)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '-' && *text != '.' && *text != '_')
			return false;
	return true;
}

/* What the server says of itself before it has proven anything: taken for the name under which it must then prove
 * itself to be a controller of our domain, and for nothing else. */
static void root_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	char base[sizeof g->base];

	if (!text_of(value_of(a, "dnsHostName"), g->server, sizeof g->server) || !is_host_name(g->server) ||
	    !text_of(value_of(a, "defaultNamingContext"), base, sizeof base) ||
	    !text_of(value_of(a, "configurationNamingContext"), g->configuration, sizeof g->configuration)) {
		FAIL(g, ERR_UNSUPPORTED, "what answers there is no domain controller of Active Directory");
		return;
	}
	if (strcasecmp(base, g->base) != 0)
		FAIL(g, ERR_AUTH, "it is a controller of another domain (%.120s)", base);
	else
		g->found = 1;
}

static void group_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	struct octets name = value_of(a, "sAMAccountName"), sid = value_of(a, "objectSid"),
		      type = value_of(a, "groupType");
	bool security = type.len && *(const char *)type.at == '-'; /* bit 31: not one for mail only */
	struct directory_reply r = { .state = DIRECTORY_FOUND };

	if (!security || sid_decode(sid.at, sid.len, &r.sid, NULL) < 0)
		return;
	for (size_t i = 0; i < g->batch; i++)
		if (ldap_is(name, g->names[i]))
			g->replies.replies[g->in_batch[i]] = r;
}

static void account_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	struct octets sid = value_of(a, "objectSid");
	struct sid s;
	char flags[16] = "";

	g->found++;
	if (!text_of(a->name, g->account, sizeof g->account) || sid_decode(sid.at, sid.len, &s, NULL) < 0 ||
	    !text_of(value_of(a, "userAccountControl"), flags, sizeof flags) ||
	    strtoul(flags, NULL, 10) & ACCOUNT_DISABLED) {
		*g->account = '\0';
		return;
	}
	(void)sid_list_add(g->sids, &s);
}

static void token_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	struct wire_in all = a->attributes, values;
	struct octets type, v;
	struct sid s;

	while (ldap_next_attribute(&all, &type, &values))
		while (ldap_is(type, "tokenGroups") && ldap_next_value(&values, &v)) {
			g->found++;
			if (sid_decode(v.at, v.len, &s, NULL) == 0 && !sid_is_own(&s))
				(void)sid_list_add(g->sids, &s);
		}
}

static void netbios_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	if (text_of(value_of(a, "nETBIOSName"), g->netbios, sizeof g->netbios))
		g->found = 1;
}

static void entry_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	switch (g->state) {
	case ASK_ROOT:
		root_came(g, a);
		break;
	case ASK_NETBIOS:
		netbios_came(g, a);
		break;
	case ASK_GROUPS:
		group_came(g, a);
		break;
	case ASK_ACCOUNT:
		account_came(g, a);
		break;
	case ASK_TOKEN:
		token_came(g, a);
		break;
	default:
		FAIL(g, ERR_UNEXPECTED, "the domain controller answers what nobody has asked");
	}
}

/* ---- the ends of searches ---------------------------------------------------------------------------------------- */

static void first_step(struct ldap_dialog *g)
{
	char target[LDAP_TARGET];

	/* Only controllers have accounts with this name of three parts: another member of the domain can't call itself
	 * so, whatever DNS or the address's owner say. */
	if (snprintf(target, sizeof target, "ldap/%s/%s@%s", g->server, g->domain, g->task->realm) >=
	    (int)sizeof target) {
		FAIL(g, ERR_UNSUPPORTED, "the name of the domain controller is too long");
		return;
	}
	g->state = STEPS;
	g->doors.step(g->doors.context, target, (struct octets){ "", 0 });
}

static void account_done(struct ldap_dialog *g)
{
	size_t i = g->in_batch[0];

	if (g->found == 1 && *g->account) {
		ask_token(g);
		return;
	}
	missing(g, i); /* none, disabled, or several: then nobody knows which */
	go_on(g);
}

static void token_done(struct ldap_dialog *g)
{
	if (g->found == 0) { /* each account has its primary group there */
		FAIL(g, ERR_POLICY,
		     "the directory does not let this host read tokenGroups: make it a member of 'Windows "
		     "Authorization Access Group'");
		return;
	}
	g->replies.replies[g->in_batch[0]] =
		(struct directory_reply){ .state = DIRECTORY_FOUND, .sids = TAKE(g->sids) };
	go_on(g);
}

static void done_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	if (a->code != LDAP_OK && !(a->code == LDAP_NO_SUCH_OBJECT && g->state != ASK_ROOT)) {
		FAIL(g, ERR_POLICY, "the domain controller does not answer: %s (LDAP %u)", a->text, a->code);
		return;
	}
	switch (g->state) {
	case ASK_ROOT:
		if (g->found)
			first_step(g);
		else
			FAIL(g, ERR_UNSUPPORTED, "what answers there is no domain controller");
		break;
	case ASK_NETBIOS:
	case ASK_GROUPS:
		go_on(g);
		break;
	case ASK_ACCOUNT:
		account_done(g);
		break;
	case ASK_TOKEN:
		token_done(g);
		break;
	default:
		FAIL(g, ERR_UNEXPECTED, "the domain controller answers what nobody has asked");
	}
}

/* ---- bind (RFC 4752 3.1) ----------------------------------------------------------------------------------------- */

static void bound_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	if (a->code == LDAP_SASL_GOES_ON && g->state == BIND && !g->complete) {
		g->state = STEPS;
		g->doors.step(g->doors.context, NULL, a->token);
	} else if (a->code == LDAP_SASL_GOES_ON && g->state == BIND) {
		g->state = OPENS_OFFER;
		g->doors.unwrap(g->doors.context, a->token);
	} else if (a->code == LDAP_OK && g->state == BIND_LAST) {
		g->sealed = true;
		ask_netbios(g);
	} else if (a->code == LDAP_BAD_CREDENTIALS) {
		FAIL(g, ERR_AUTH, "the domain controller does not believe our ticket: %s", a->text);
	} else {
		FAIL(g, ERR_AUTH, "the domain controller does not let us in: %s (LDAP %u)", a->text, a->code);
	}
}

void ldap_dialog_stepped(struct ldap_dialog *g, struct octets token, bool complete, const struct diag *why)
{
	if (g->state != STEPS)
		return;
	if (why) {
		fail(g, why);
		return;
	}
	g->complete = complete;
	bind_with(g, token.at ? token : (struct octets){ "", 0 }, BIND);
}

static void offer_opened(struct ldap_dialog *g, struct octets text)
{
	/* Sealed, at most so many octets at once to us, and nobody else's name. */
	static const uint8_t choice[4] = { SEALS, 0, LDAP_SEALED_MOST >> 8, LDAP_SEALED_MOST & 0xff };

	if (text.len != 4 || !(*(const uint8_t *)text.at & SEALS)) {
		FAIL(g, ERR_AUTH, "the domain controller offers no sealing");
		return;
	}
	g->state = SIGNS_CHOICE;
	g->doors.wrap(g->doors.context, (struct octets){ choice, sizeof choice }, false);
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

static void answer_came(struct ldap_dialog *g, const struct ldap_answer *a)
{
	if (a->kind == LDAP_NOTICE) {
		FAIL(g, ERR_UNEXPECTED, "the domain controller hangs up: %s (LDAP %u)", a->text, a->code);
	} else if (a->id != g->id) {
		FAIL(g, ERR_UNEXPECTED, "the domain controller answers what nobody has asked");
	} else if (a->kind == LDAP_ENTRY) {
		entry_came(g, a);
	} else if (a->kind == LDAP_DONE) {
		done_came(g, a);
	} else if (a->kind == LDAP_BOUND) {
		bound_came(g, a);
	}
}

/* While the guard is at work nothing more is read: what it says may change what the next message is. */
static bool waits_for_guard(const struct ldap_dialog *g)
{
	return g->unwrapping || g->wrapping || g->state == STEPS || g->state == OPENS_OFFER || g->state == SIGNS_CHOICE;
}

/* One message off the stream; false: there is none whole. */
static bool read_message(struct ldap_dialog *g, struct stream *s)
{
	struct ldap_answer a;
	struct diag d = { 0 };
	size_t n;
	uint8_t *own;

	if (ldap_message_length(s->octets, s->len, &n, &d) < 0) {
		fail(g, &d);
		return false;
	}
	if (n == 0)
		return false;
	own = mem_copy(s->octets, n);
	stream_drop(s, n);
	if (ldap_answer_decode(own, n, &a, &d) < 0)
		fail(g, &d);
	else
		answer_came(g, &a);
	free(own);
	return true;
}

/* A sealed piece: four octets that say how long it is (RFC 4422 3.7). */
static void unseal_next(struct ldap_dialog *g)
{
	struct wire_in in = wire_in(g->came.octets, g->came.len);
	uint32_t n = wire_u32(&in);

	if (in.failed)
		return;
	if (n == 0 || n > LDAP_SEALED_MOST) {
		FAIL(g, ERR_SYNTAX, "the domain controller seals %u octets, where %d are the most", n,
		     LDAP_SEALED_MOST);
		return;
	}
	if (n > in.left)
		return;
	g->unwrapping = true;
	g->doors.unwrap(g->doors.context, (struct octets){ in.at, n });
	stream_drop(&g->came, 4 + n);
}

static void read_on(struct ldap_dialog *g)
{
	while (g->state != ENDED && !waits_for_guard(g) && read_message(g, g->sealed ? &g->plain : &g->came))
		continue;
	if (g->state != ENDED && g->sealed && !waits_for_guard(g))
		unseal_next(g);
}

void ldap_dialog_received(struct ldap_dialog *g, const void *octets, size_t n)
{
	if (g->state == ENDED)
		return;
	if (!stream_add(&g->came, octets, n))
		FAIL(g, ERR_SYNTAX, "the domain controller sends without end");
	else
		read_on(g);
}

void ldap_dialog_guarded(struct ldap_dialog *g, struct octets text, const struct diag *why)
{
	uint8_t length[4];
	struct wire_out out = wire_out(length, sizeof length);

	if (g->state == ENDED)
		return;
	if (why) {
		fail(g, why);
		return;
	}
	if (g->state == OPENS_OFFER) {
		offer_opened(g, text);
	} else if (g->state == SIGNS_CHOICE) {
		bind_with(g, text, BIND_LAST);
	} else if (g->wrapping) {
		g->wrapping = false;
		wire_put_u32(&out, (uint32_t)text.len);
		g->doors.send(g->doors.context, length, sizeof length);
		g->doors.send(g->doors.context, text.at, text.len);
	} else if (g->unwrapping) {
		g->unwrapping = false;
		if (!stream_add(&g->plain, text.at, text.len)) {
			FAIL(g, ERR_SYNTAX, "the domain controller sends without end");
			return;
		}
	}
	read_on(g);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

/* corp.example -> DC=corp,DC=example */
static bool base_of(const char *domain, char *to, size_t cap)
{
	size_t at = 0;

	while (*domain) {
		size_t n = strcspn(domain, ".");
		int put = snprintf(to + at, cap - at, "%sDC=%.*s", at ? "," : "", (int)n, domain);

		if (put < 0 || (size_t)put >= cap - at)
			return false;
		at += (size_t)put;
		domain += n + (domain[n] == '.');
	}
	return at > 0;
}

struct ldap_dialog *ldap_dialog_new(const struct directory_task *task, const struct ldap_doors *doors)
{
	struct ldap_dialog *g = mem_new(1, sizeof *g);

	g->task = task;
	g->doors = *doors;
	g->replies.replies = mem_new(task->question_count + 1, sizeof *g->replies.replies);
	g->replies.count = task->question_count;
	for (size_t i = 0; task->realm[i] && i < sizeof g->domain - 1; i++)
		g->domain[i] = (char)tolower((unsigned char)task->realm[i]);
	if (!is_host_name(g->domain) || !base_of(g->domain, g->base, sizeof g->base))
		FAIL(g, ERR_UNSUPPORTED, "the realm %.120s is not the name of a domain", task->realm);
	else
		ask_root(g);
	return g;
}

void ldap_dialog_free(struct ldap_dialog *g)
{
	if (!g)
		return;
	directory_replies_wipe(&g->replies);
	free(g->came.octets);
	free(g->plain.octets);
	free(g->sids);
	free(g);
}
