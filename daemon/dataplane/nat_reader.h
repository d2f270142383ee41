/* daemon/dataplane/nat_reader.h - what comes by UDP 4500, for a userspace plane: ESP goes to it as one batch, and what
 * ICMP errors say of ESP that was sent. IKE is for whoever reads. In the thread whose plane it is. */
#ifndef DAEMON_DATAPLANE_NAT_READER_H
#define DAEMON_DATAPLANE_NAT_READER_H
#include <stddef.h>
#include <stdint.h>

struct addr;
struct datagram;
struct sad;
struct sockets;

struct nat_reader {
	struct sad *own; /* what opens the packets (esp.h) */
	struct sad *sad; /* the same, or the crew that it is one of: what takes errors */
	void (*too_big)(struct sad *sad, const struct addr *remote, const uint8_t *quote, size_t len, uint32_t mtu);
	void (*ike)(void *context, const struct datagram *g); /* NULL: nobody wants it */
	void *context;
};

/* Socket number i of daemon/process/sockets.h. */
void nat_reader_read(const struct nat_reader *r, struct sockets *s, size_t i);

#endif
