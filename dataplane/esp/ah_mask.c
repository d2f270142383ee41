#include "dataplane/esp/ah.h"

#include <string.h>

enum {
	OPTION4_END = 0,
	OPTION4_NOP = 1,
	OPTION6_PAD1 = 0,
	OPTION6_MUTABLE = 0x20, /* RFC 8200 4.2 */
	IP6_HOP_BY_HOP = 0,
	IP6_ROUTING = 43,
	IP6_DESTINATION = 60,
};

/* Appendix A1: what no router changes. All other options, known or not, are zeroed whole. */
static bool option4_stays(uint8_t type)
{
	static const uint8_t stays[] = {
		130, /* security (RFC 1108) */
		133, /* extended security */
		134, /* commercial security */
		148, /* router alert (RFC 2113) */
		149, /* sender directed multi-destination delivery (RFC 1770) */
	};

	return memchr(stays, type, sizeof stays);
}

static bool mask4(uint8_t *header, size_t head)
{
	header[1] = 0;               /* type of service: DSCP and ECN */
	header[6] = header[7] = 0;   /* flags, fragment offset */
	header[8] = 0;               /* TTL */
	header[10] = header[11] = 0; /* checksum */
	for (size_t at = IP4_HEADER; at < head && header[at] != OPTION4_END;) {
		size_t len = header[at] == OPTION4_NOP ? 1 : at + 1 < head ? header[at + 1] : 0;

		if (len == 0 || (len == 1 && header[at] != OPTION4_NOP) || len > head - at)
			return false;
		if (header[at] != OPTION4_NOP && !option4_stays(header[at]))
			memset(header + at, 0, len);
		at += len;
	}
	return true;
}

/* The options in [at, end): the data of those that may change becomes zero, type and length stay (3.3.3.1.2.2). */
static bool mask_options6(uint8_t *header, size_t at, size_t end)
{
	while (at < end) {
		size_t len;

		if (header[at] == OPTION6_PAD1) {
			at++;
			continue;
		}
		if (end - at < 2)
			return false;
		len = header[at + 1];
		if (len > end - at - 2)
			return false;
		if (header[at] & OPTION6_MUTABLE)
			memset(header + at + 2, 0, len);
		at += 2 + len;
	}
	return true;
}

static bool mask6(uint8_t *header, size_t head)
{
	uint8_t next = header[6];

	header[0] &= 0xf0; /* class, flow label */
	header[1] = header[2] = header[3] = 0;
	header[7] = 0; /* hop limit */
	for (size_t at = IP6_HEADER; at < head;) {
		size_t len;

		if (head - at < 8 || (len = header[at + 1] * 8u + 8u) > head - at)
			return false;
		if (next == IP6_HOP_BY_HOP || next == IP6_DESTINATION) {
			if (!mask_options6(header, at + 2, at + len))
				return false;
		} else if (next != IP6_ROUTING || header[at + 3] != 0) { /* segments left: not yet where it goes */
			return false;
		}
		next = header[at];
		at += len;
	}
	return true;
}

bool ah_mask(uint8_t *header, size_t head)
{
	return header[0] >> 4 == 4 ? mask4(header, head) : mask6(header, head);
}
