/* identity/kerberos/keytab.h - a Kerberos keytab: the long-term keys of this host's principals, as MIT's and Heimdal's
 * ktutil, adcli, samba-tool and ktpass write it (file format 5.2). Read by the key holder alone, in one piece, from
 * octets; no file is opened. What it holds is told to others without its keys. */
#ifndef IDENTITY_KERBEROS_KEYTAB_H
#define IDENTITY_KERBEROS_KEYTAB_H
#include "base/scope.h"
#include "identity/peer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct octets;

enum {
	KEYTAB_FILE_MOST = 1 << 18,
	KEYTAB_ENTRIES_MOST = 1024,
	KEYTAB_KEY_MOST = 64,
	KEYTAB_PRINCIPALS_MOST = 16, /* that are told of */
	KEYTAB_KVNOS_MOST = 4,       /* the highest of each */
	KEYTAB_ENCTYPES_MOST = 8,
};

struct keytab_entry {
	char *principal; /* "host/srv1.corp.example@CORP.EXAMPLE", with backslashes where RFC 1964 wants them */
	uint32_t name_type, kvno;
	int32_t enctype;
	uint8_t key[KEYTAB_KEY_MOST];
	size_t key_len;
};

struct keytab {
	struct keytab_entry *entries;
	size_t count, cap;
	unsigned passed_over; /* entries of encryption types that nobody should use, or that mean nothing */
};

int keytab_parse(const struct octets *file, const char *path, struct keytab **ret, struct diag *d);
void keytab_free(struct keytab *k); /* wipes */
SCOPE_FREEP(struct keytab, keytab)
struct keytab *keytab_copy(const struct keytab *k);
bool keytab_equal(const struct keytab *a, const struct keytab *b);

/* What is told of it. */
struct keytab_principal {
	char name[PEER_TEXT];
	uint32_t kvnos[KEYTAB_KVNOS_MOST]; /* the highest first */
	size_t kvno_count;
	int32_t enctypes[KEYTAB_ENCTYPES_MOST];
	size_t enctype_count;
};
struct keytab_told {
	struct keytab_principal all[KEYTAB_PRINCIPALS_MOST];
	size_t count;
};
void keytab_tell(const struct keytab *k, struct keytab_told *ret);

/* By which of its principals a host calls itself: host/ with a full name, else host/, else its account, else the first;
 * NULL: there is none. And as which one it asks for tickets: its account, because Active Directory takes no service
 * for a client; else the same. */
const char *keytab_told_own(const struct keytab_told *t);
const char *keytab_told_client(const struct keytab_told *t);
/* Has it a key of the machine of that short name? */
bool keytab_told_is_of(const struct keytab_told *t, const char *machine);
/* Has it keys, and all of RC4? */
bool keytab_told_weak(const struct keytab_told *t);
bool keytab_told_equal(const struct keytab_told *a, const struct keytab_told *b);

/* "aes256-cts"; "enctype 99" into buf for one without a name here. */
enum { KEYTAB_ENCTYPE_TEXT = 24 };
const char *keytab_enctype_text(int32_t enctype, char buf[KEYTAB_ENCTYPE_TEXT]);
/* One that is still worth having: AES, Camellia, and RC4 as the last. */
bool keytab_enctype_usable(int32_t enctype);

#endif
