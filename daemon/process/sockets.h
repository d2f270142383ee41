/* daemon/process/sockets.h - the UDP sockets of IKE: ports 500 and 4500, IPv4 and IPv6. They carry our own mark, by
 * which the ruleset knows them, and say of each datagram which local address it came to. On port 4500 the non-ESP
 * marker (RFC 3948) tells IKE, which is handed on without it, from ESP in UDP. */
#ifndef DAEMON_PROCESS_SOCKETS_H
#define DAEMON_PROCESS_SOCKETS_H
#include "base/addr.h"
#include "base/scope.h"
#include <stddef.h>
#include <stdint.h>

struct diag;
struct sockets;

enum { IKE_PORT = 500, IKE_NAT_PORT = 4500 };
enum { SOCKETS_HEADROOM = 64 };
enum { SOCKETS_IKE4, SOCKETS_IKE6, SOCKETS_NAT4, SOCKETS_NAT6, SOCKETS_COUNT };

struct datagram {
	struct addr local, remote;
	uint16_t local_port, remote_port;
	uint8_t tos, ttl;
	const uint8_t *octets;
	size_t len;
	size_t segment; /* what the handler of ESP is given may be several packets: octets of each but the last; 0: one
			 */
};

struct sockets_handlers {
	void (*ike)(void *context, const struct datagram *g);
	/* May write to the octets, and to SOCKETS_HEADROOM before them; they stay until `done`, which comes before
	 * sockets_readable returns. */
	void (*esp)(void *context, const struct datagram *g);
	void (*done)(void *context); /* may be NULL */
	/* An ICMP error says that a datagram of ours to remote is larger than mtu. g: what it quotes of it. */
	void (*too_big)(void *context, const struct datagram *g, uint32_t mtu);
	void *context;
};

/* All four or none. A port that somebody else has is said to be taken by another IKE daemon. A host without IPv6 has
 * two. */
int sockets_open(uint32_t mark, struct sockets **ret, struct diag *d);
/* Some of them, opened by another process; -1: that one is not ours. They are taken over, also when it fails. */
int sockets_adopt(const int fds[SOCKETS_COUNT], struct sockets **ret, struct diag *d);
/* The descriptors themselves, for handing them on; the ports stay ours while we keep them. */
int sockets_fd(const struct sockets *s, size_t i);
/* Another socket of port 4500, SOCKETS_NAT4 or SOCKETS_NAT6, which has its part of what comes as dataplane/esp/share.h
 * says, once that was told. -1: there is no first one. */
int sockets_open_beside(const struct sockets *s, size_t i, uint32_t mark, int *ret, struct diag *d);
/* Those beside it are closed, and nobody can join it any more. */
void sockets_close_beside(const struct sockets *s, size_t i);
void sockets_free(struct sockets *s);
SCOPE_FREEP(struct sockets, sockets)

/* Descriptors to poll; -1 where there is none. */
const int *sockets_fds(const struct sockets *s); /* SOCKETS_COUNT */
/* Hand on what has come to socket `i`, a bounded number. */
void sockets_readable(struct sockets *s, size_t i, const struct sockets_handlers *h);
/* Throw away what came while nobody listened. */
void sockets_discard(struct sockets *s);
/* An IKE message; with port 4500 behind the non-ESP marker. What cannot be sent is lost, as on the network. */
void sockets_send(struct sockets *s, const struct datagram *g);
/* From port 4500, one octet of 0xff: a NAT remembers us for it (RFC 3948 2.3). */
void sockets_keep_alive(struct sockets *s, const struct addr *local, const struct addr *remote, uint16_t remote_port);

#endif
