/* dataplane/esp/sa.h - the table of SAs: inbound by SPI, outbound by the two addresses and by SPI, both by pair; and
 * the SPIs that are reserved for SAs to come. Owns its SAs, whose keys live only in the keyed cipher. */
#ifndef DATAPLANE_ESP_SA_H
#define DATAPLANE_ESP_SA_H
#include "base/crypto.h"
#include "dataplane/esp/early.h"
#include "dataplane/esp/replay.h"
#include "dataplane/esp/share.h"
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SA_BUCKETS = 16384, SA_RESERVED_MOST = 65536 /* of all shares together */, SA_SPI_LEAST = 256 };

struct sa {
	struct sa *next_found, *next_pair; /* in its bucket */
	struct sa *next_sent;
	struct sa_spec spec;   /* keys wiped: `seal` holds them */
	struct seal *seal;     /* NULL: reserved only */
	struct early *early;   /* reserved: what waits for the keys */
	size_t iv, icv, align; /* octets of the ESP packet's parts; align: of AH's header */
	uint64_t sequence;     /* outbound: of the last packet sent */
	struct replay replay;  /* inbound */
	struct sa_warm *warm;  /* of its table */
	bool is_warm, used;    /* its cipher is keyed; was used since the ring last came by */
	size_t warm_at;        /* its place in the ring */
	uint64_t packets, octets, last_ms;
	uint64_t moved_told_ms; /* when SAD_MOVED was told last */
	bool soft_told;
	bool going; /* used up: to be removed with its pair when the packet in hand is done */
};

/* The SAs whose ciphers are keyed: a keyed cipher is large, and of 10,000 SAs few have packets now. A ring with a hand
 * that goes round and cools those that were not used since it came by last. */
enum { SA_WARM_MOST = 32768 };
struct sa_warm {
	struct sa *ring[SA_WARM_MOST];
	size_t hand;
};

struct sa_table {
	struct sa_warm warm;
	struct sa *found[SA_BUCKETS], *pair[SA_BUCKETS], *sent[SA_BUCKETS]; /* sent: outbound ones by SPI */
	size_t reserved, count;
	size_t early;       /* packets that wait under reserved SPIs */
	uint64_t seed;      /* so that nobody chooses his bucket */
	struct share share; /* whose SPIs it gives */
};

int sa_table_init(struct sa_table *t, struct diag *d);
void sa_table_wipe(struct sa_table *t);

/* A random, unused inbound SPI. */
int sa_reserve(struct sa_table *t, const struct addr *local, const struct addr *remote, uint32_t *ret_spi,
	       struct diag *d);
void sa_release(struct sa_table *t, uint32_t spi);
/* Keeps a packet of this SPI for the SA to come; false: it is not reserved for that sender, or too many wait. */
bool sa_keep_early(struct sa_table *t, uint32_t spi, const struct addr *source, const uint8_t *packet, size_t len);
struct early *sa_take_early(struct sa_table *t, uint32_t spi); /* the caller's from then on; may be NULL */

/* Key and enter one direction; an inbound one takes the place of its reservation. */
int sa_install(struct sa_table *t, const struct sa_spec *spec, struct sa **ret, struct diag *d);
/* The number of the next packet sent. -EOVERFLOW: there is none left. */
int sa_number(struct sa *sa, uint64_t *ret, struct diag *d);
/* Before its cipher is used. */
void sa_use(struct sa *sa);
bool sa_remove_out(struct sa_table *t, uint64_t pair);    /* its outbound half; false: there is none */
size_t sa_remove_pair(struct sa_table *t, uint64_t pair); /* number of SAs removed */

struct sa *sa_find_in(const struct sa_table *t, uint32_t spi); /* not a mere reservation */
/* The newest outbound SA of this rule whose selector holds the flow. */
struct sa *sa_find_out(const struct sa_table *t, const struct rule *rule, const struct plan_packet *flow);
/* The outbound SA that a packet of ours with this SPI went under. local NULL: not known. */
struct sa *sa_find_sent(const struct sa_table *t, const struct addr *local, const struct addr *remote, uint32_t spi);
struct sa *sa_find_pair(const struct sa_table *t, uint64_t pair, bool inbound);

/* Every SA, reservations left out: start with NULL. *bucket is the walker's own. Removing the SA just returned ends
 * the walk's validity. */
struct sa *sa_next(const struct sa_table *t, size_t *bucket, const struct sa *after);

bool sa_selector_has(const struct sa_selector *s, const struct plan_packet *flow);
bool sa_selector_covers(const struct sa_selector *wide, const struct sa_selector *narrow);
bool sa_selector_equal(const struct sa_selector *a, const struct sa_selector *b);

#endif
