/* dataplane/esp/ah.h - one packet authenticated or checked under one SA: transport-mode AH (RFC 4302), always native:
 * it covers the addresses, so no NAT lets it live. packet.h hands over to it. Pure. */
#ifndef DATAPLANE_ESP_AH_H
#define DATAPLANE_ESP_AH_H
#include "dataplane/esp/ip.h"
#include <stddef.h>
#include <stdint.h>

struct diag;
struct sa;
struct wire_out;

size_t ah_sealed_len(const struct sa *sa, size_t len);
size_t ah_budget(const struct sa *sa, const struct ip_packet *ip, size_t mtu);

/* As esp_seal. -ERR_UNSUPPORTED: a source route or routing header, whose end the sender would have to foretell. */
int ah_seal(struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len, struct wire_out *out,
	    struct diag *d);
/* As esp_open; the packet is in any case changed. */
int ah_open(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t at, size_t *ret_start, size_t *ret_len,
	    uint8_t *ret_next, struct diag *d);

/* Zero, in the headers before AH, what a router may change and the check value therefore leaves out (RFC 4302 3.3.3.1,
 * appendix A). head: octets of them. false: they are not to be understood, or still on their way. */
bool ah_mask(uint8_t *header, size_t head);

#endif
