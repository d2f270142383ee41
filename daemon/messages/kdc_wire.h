/* daemon/messages/kdc_wire.h - what Kerberos asks of a KDC, from the key holder through `sources`, and where KDCs are,
 * as the parent tells. Decoders fill a struct and do nothing else; pointers in it are into the message. */
#ifndef DAEMON_MESSAGES_KDC_WIRE_H
#define DAEMON_MESSAGES_KDC_WIRE_H
#include "base/addr_wire.h"
#include "base/crypto.h"
#include "base/wire.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	KDC_REALM = 256, /* with its NUL */
	KDC_WORDS = 320,
	KDC_OCTETS_MOST = 56000, /* a request with a ticket of 1,500 groups has 21 kB */
	KDC_REALMS_MOST = 32,
	KDC_ADDRESSES_MOST = 16, /* of one realm */
	KDC_ASK_LEAST = 7,
	KDC_ASK_MOST = KDC_ASK_LEAST + KDC_REALM + KDC_OCTETS_MOST,
	KDC_ANSWER_LEAST = 5,
	KDC_ANSWER_MOST = 4 + KDC_OCTETS_MOST,
	KDC_FAILED_LEAST = 6,
	KDC_FAILED_MOST = KDC_FAILED_LEAST + KDC_WORDS,
	KDCS_LEAST = 1,
	KDCS_MOST = KDCS_LEAST + KDC_REALMS_MOST * (3 + KDC_REALM + KDC_ADDRESSES_MOST * ADDR_WIRE_MOST),
};

struct kdc_ask {
	uint32_t number;
	bool tcp; /* not by datagram */
	char realm[KDC_REALM];
	struct octets request;
};
void kdc_put_ask(struct wire_out *out, const struct kdc_ask *m);
int kdc_get_ask(struct wire_in *in, struct kdc_ask *ret);

struct kdc_answer {
	uint32_t number;
	struct octets answer;
};
void kdc_put_answer(struct wire_out *out, const struct kdc_answer *m);
int kdc_get_answer(struct wire_in *in, struct kdc_answer *ret);

struct kdc_failed {
	uint32_t number;
	char words[KDC_WORDS];
};
void kdc_put_failed(struct wire_out *out, const struct kdc_failed *m);
int kdc_get_failed(struct wire_in *in, struct kdc_failed *ret);

/* Realms whose KDCs are known; those of others are looked for in DNS. An empty name stands for any other realm. */
struct kdc_realm {
	char name[KDC_REALM];
	struct addr kdcs[KDC_ADDRESSES_MOST];
	size_t count;
};
struct kdc_realms {
	struct kdc_realm all[KDC_REALMS_MOST];
	size_t count;
};
void kdc_put_realms(struct wire_out *out, const struct kdc_realms *m);
int kdc_get_realms(struct wire_in *in, struct kdc_realms *ret);

#endif
