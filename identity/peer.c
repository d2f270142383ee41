#include "identity/peer.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* The words one after the other, each with its end: id, subject, issuer, names; then what a sid_list has. */
struct peer_kept {
	uint64_t not_after_s, learnt_s;
	uint32_t method, name_count;
	uint32_t sids_at; /* in words */
	uint16_t sids_len;
	bool sids_cut;
	uint8_t certificate[PEER_DIGEST];
	char words[];
};

const char *peer_method_name(enum peer_method m)
{
	switch (m) {
	case PEER_PSK:
		return "pre-shared-key";
	case PEER_CERTIFICATE:
		return "certificate";
	case PEER_KERBEROS:
		return "kerberos";
	case PEER_UNPROVEN:
		break;
	}
	return "unproven";
}

/* The fields of a peer that are words, in their order: n from 0; NULL: there are no more. */
static char *word(struct peer *p, size_t n)
{
	char *const first[] = { p->id, p->subject, p->issuer };
	size_t firsts = sizeof first / sizeof first[0];

	if (n < firsts)
		return first[n];
	return n - firsts < p->name_count ? p->names[n - firsts] : NULL;
}

struct peer_kept *peer_keep(const struct peer *p)
{
	struct peer all = *p;
	size_t octets = sizeof(struct peer_kept), at = 0;
	struct peer_kept *k;
	const char *w;

	for (size_t i = 0; (w = word(&all, i)); i++)
		octets += strlen(w) + 1;
	k = mem_new(1, octets + p->sids.len);
	*k = (struct peer_kept){ .not_after_s = p->not_after_s,
				 .learnt_s = p->learnt_s,
				 .method = (uint32_t)p->method,
				 .name_count = (uint32_t)p->name_count,
				 .sids_at = (uint32_t)(octets - sizeof *k),
				 .sids_len = p->sids.len,
				 .sids_cut = p->sids.cut };
	memcpy(k->certificate, p->certificate, PEER_DIGEST);
	for (size_t i = 0; (w = word(&all, i)); i++) {
		memcpy(k->words + at, w, strlen(w) + 1);
		at += strlen(w) + 1;
	}
	memcpy(k->words + k->sids_at, p->sids.octets, p->sids.len);
	return k;
}

void peer_of_kept(const struct peer_kept *k, struct peer *ret)
{
	const char *from = k ? k->words : NULL;
	char *to;

	*ret = (struct peer){ 0 };
	if (!k)
		return;
	ret->method = (enum peer_method)k->method;
	ret->name_count = k->name_count;
	ret->not_after_s = k->not_after_s;
	ret->learnt_s = k->learnt_s;
	peer_kept_sids(k, &ret->sids);
	memcpy(ret->certificate, k->certificate, PEER_DIGEST);
	for (size_t i = 0; (to = word(ret, i)); i++) {
		(void)snprintf(to, PEER_TEXT, "%s", from);
		from += strlen(from) + 1;
	}
}

const char *peer_kept_id(const struct peer_kept *k)
{
	return k ? k->words : "";
}

enum peer_method peer_kept_method(const struct peer_kept *k)
{
	return k ? (enum peer_method)k->method : PEER_UNPROVEN;
}

const uint8_t *peer_kept_certificate(const struct peer_kept *k)
{
	return peer_kept_method(k) == PEER_CERTIFICATE ? k->certificate : NULL;
}

void peer_kept_sids(const struct peer_kept *k, struct sid_list *ret)
{
	*ret = (struct sid_list){ 0 };
	if (!k)
		return;
	ret->len = k->sids_len;
	ret->cut = k->sids_cut;
	memcpy(ret->octets, k->words + k->sids_at, k->sids_len);
}

uint64_t peer_kept_learnt_s(const struct peer_kept *k)
{
	return k ? k->learnt_s : 0;
}
