#include "dataplane/esp/nat.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"

#include <string.h>

/* Protocols whose checksum covers the addresses; `at` is where it stands in their header. */
static const struct checksum_row {
	uint8_t family, protocol; /* family 0: both */
	uint8_t at;
	bool zero_is_none; /* a sum of zero says that there is none */
} rows[] = {
	{ 0, IP_TCP, 16, false },  { 4, IP_UDP, 6, true },   { 6, IP_UDP, 6, true },
	{ 6, IP_ICMP6, 2, false }, { 4, IP_ICMP, 2, false }, /* covers no address, but the quotation that we change */
};

static const struct checksum_row *row_of(uint8_t family, uint8_t protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].protocol == protocol && (rows[i].family == 0 || rows[i].family == family))
			return &rows[i];
	return NULL;
}

/* Of a datagram its length says how far the checksum reaches; what is behind it nobody reads. */
static size_t covered_len(const struct ip_packet *ip, const uint8_t *packet)
{
	size_t room = ip->len - ip->upper, said;

	if (ip->protocol != IP_UDP || room < UDP_HEADER)
		return room;
	said = (size_t)(packet[ip->upper + 4] << 8 | packet[ip->upper + 5]);
	return said >= UDP_HEADER && said < room ? said : room;
}

static void make_checksum(const struct ip_packet *ip, uint8_t *packet)
{
	const struct checksum_row *row = row_of(ip->source.family, ip->protocol);
	size_t len = covered_len(ip, packet);
	uint8_t *upper = packet + ip->upper;
	uint64_t sum = 0;
	uint16_t made;

	if (!row || len < row->at + 2u)
		return;
	if (row->zero_is_none && upper[row->at] == 0 && upper[row->at + 1] == 0)
		return;
	upper[row->at] = upper[row->at + 1] = 0;
	if (ip->protocol != IP_ICMP)
		sum = checksum_pseudo(ip, len, ip->protocol);
	made = (uint16_t)~checksum_fold(checksum_add(sum, upper, len));
	if (made == 0 && row->zero_is_none)
		made = 0xffff;
	upper[row->at] = (uint8_t)(made >> 8);
	upper[row->at + 1] = (uint8_t)made;
}

/* source and destination into an IP header of `head` octets. */
static void put_addresses(uint8_t *header, size_t head, const struct addr *source, const struct addr *destination)
{
	size_t n = addr_octets(source), at = source->family == 4 ? 12 : 8;

	memcpy(header + at, source->octets, n);
	memcpy(header + at + n, destination->octets, n);
	if (source->family == 4)
		ip4_checksum(header, head);
}

int nat_restore(const struct sa_selector *s, uint8_t *packet, size_t len)
{
	struct ip_packet ip, quoted;

	if (ip_parse(packet, len, &ip, NULL) < 0 || ip.source.family != s->remote.family)
		return -ERR_SYNTAX;
	/* The peer quotes a packet of ours with the addresses that it saw; whose else would it speak of here? */
	if (ip_quoted(&ip, packet, &quoted) && quoted.source.family == s->local.family)
		put_addresses(packet + ip.upper + 8, quoted.head, &s->local, &s->remote);
	put_addresses(packet, ip.head, &s->remote, &s->local);
	ip.source = s->remote;
	ip.destination = s->local;
	if (!ip.fragment)
		make_checksum(&ip, packet);
	return 0;
}
