/* dataplane/esp/octets.h - numbers in places that are known to be there: headers of our own, or of packets that were
 * parsed. What nobody has looked at goes through base/wire.h. */
#ifndef DATAPLANE_ESP_OCTETS_H
#define DATAPLANE_ESP_OCTETS_H
#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t get_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)get_u16(at) << 16 | get_u16(at + 2);
}

static inline void put_u16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline void put_u32(uint8_t *at, uint32_t v)
{
	put_u16(at, (uint16_t)(v >> 16));
	put_u16(at + 2, (uint16_t)v);
}

/* One store: what is written in halves and read at once waits for both. */
static inline void put_u64(uint8_t *at, uint64_t v)
{
	const uint64_t wire = htobe64(v);

	memcpy(at, &wire, sizeof wire);
}

#endif
