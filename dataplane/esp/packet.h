/* dataplane/esp/packet.h - one packet sealed or opened under one SA: transport-mode ESP (RFC 4303), natively or behind
 * a UDP header (RFC 3948); or AH, if the SA is of that (ah.h). Pure but for the random IV of CBC. */
#ifndef DATAPLANE_ESP_PACKET_H
#define DATAPLANE_ESP_PACKET_H
#include "dataplane/esp/ip.h"
#include <stddef.h>
#include <stdint.h>

struct diag;
struct sa;
struct wire_out;

/* What sealing adds to any packet at most. */
enum { ESP_OVERHEAD_MOST = UDP_HEADER + 8 + 16 + 15 + 2 + 32 };

/* The length of a packet of `len` octets once it is sealed. */
size_t esp_sealed_len(const struct sa *sa, const struct ip_packet *ip, size_t len);
/* The longest packet whose sealed form fits in mtu; no less than its header. */
size_t esp_budget(const struct sa *sa, const struct ip_packet *ip, size_t mtu);

/* Append the sealed form of packet[0..len) to out. ip describes the packet; its len may differ (a segment of it). Uses
 * up a sequence number in any case. -EOVERFLOW: there is none left. */
int esp_seal(struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len, struct wire_out *out,
	     struct diag *d);

/* The same in place, for ESP: the packet stands at[esp_gap(sa) .. + len), and `at` has room for its sealed length. The
 * checksum of a UDP header of IPv6 is left to be made. */
size_t esp_gap(const struct sa *sa); /* 0: AH */
int esp_seal_here(struct sa *sa, const struct ip_packet *ip, uint8_t *at, size_t len, struct diag *d);
/* The same for a packet that stands elsewhere, packet[0..len): it is sealed from there to `at`, without a copy where
 * the cipher can. The ESP_TAIL_MOST octets behind it are written and come back. */
enum { ESP_TAIL_MOST = 15 + 2 };
int esp_seal_from(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t len, uint8_t *at, struct diag *d);
/* That checksum, for a socket that does not make it: of an IPv6 packet whose UDP header stands at `head`. */
void esp_udp_checksum(uint8_t *packet, size_t head, size_t len);

/* Check and open an ESP or AH packet in place; `at` is where its header stands. Afterwards the inner packet is
 * packet[*ret_start .. *ret_start + *ret_len). *ret_next tells a dummy packet (IP_NO_NEXT), to be dropped without a
 * word. -EALREADY, -ESTALE: replay; -ERR_CRYPTO: check value; -ERR_SYNTAX: lengths or padding. The replay window moves
 * only if the check value is right. */
int esp_open(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t at, size_t *ret_start, size_t *ret_len,
	     uint8_t *ret_next, struct diag *d);

#endif
