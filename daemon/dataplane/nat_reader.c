#include "daemon/dataplane/nat_reader.h"

#include "daemon/process/sockets.h"
#include "dataplane/esp/esp.h"

static void ike_came(void *context, const struct datagram *g)
{
	const struct nat_reader *r = context;

	if (r->ike)
		r->ike(r->context, g);
}

static void esp_came(void *context, const struct datagram *g)
{
	const struct nat_reader *r = context;

	esp_encapsulated(r->own, &(struct esp_datagram){ .local = g->local,
							 .remote = g->remote,
							 .local_port = g->local_port,
							 .remote_port = g->remote_port,
							 .tos = g->tos,
							 .ttl = g->ttl,
							 .octets = (uint8_t *)(uintptr_t)g->octets, /* sockets.h */
							 .len = g->len,
							 .segment = g->segment });
}

static void batch_done(void *context)
{
	const struct nat_reader *r = context;

	esp_end(r->own);
	esp_begin(r->own);
}

static void too_big_came(void *context, const struct datagram *g, uint32_t mtu)
{
	const struct nat_reader *r = context;

	r->too_big(r->sad, &g->remote, g->octets, g->len, mtu);
}

void nat_reader_read(const struct nat_reader *r, struct sockets *s, size_t i)
{
	esp_begin(r->own);
	sockets_readable(s, i,
			 &(struct sockets_handlers){ .ike = ike_came,
						     .esp = esp_came,
						     .done = batch_done,
						     .too_big = too_big_came,
						     .context = (void *)(uintptr_t)r });
	esp_end(r->own);
}
