/* dataplane/esp/crew.h - several userspace planes behind one sad.h, each with a thread: a queue of the TUN, sockets,
 * SAs and tables of its own. Nothing that a packet needs is shared, so there is neither lock nor counter between them;
 * share.h says whose a packet is. The first one is in the caller's thread, which calls it as if it were alone (esp.h);
 * so a crew of one would be that plane itself, and is not made.
 *
 * Requests go to the plane that they are about as letters; they fail by SAD_FAILED, never at once. Events come from
 * crew_read, in the caller's thread. While a plan is put in force, which takes as long as the slowest needs, a packet
 * that only the new one protects may go by way of the first plane, and be overtaken by those behind it. What may
 * be held or reserved is shared out evenly; of drops as much is told as by one plane. */
#ifndef DATAPLANE_ESP_CREW_H
#define DATAPLANE_ESP_CREW_H
#include "dataplane/esp/esp.h"

struct crew_member {
	struct esp_fds *fds; /* taken over, also when it fails */
	int nat[2];          /* as in esp_config */
	int polled[2];       /* readable when something came by UDP; -1: none. Not for the first one */
};

struct crew_config {
	struct esp_config all; /* but fds, nat and share; now_ms is called by every thread */
	unsigned count;        /* 2 to SHARES_MOST */
	struct crew_member members[SHARES_MOST];
	/* polled[which] is readable. In that member's thread: may call what esp.h has for datagrams, for its own plane.
	 */
	void (*datagrams)(void *context, struct sad *crew, unsigned member, unsigned which, struct sad *own);
	void *datagrams_context;
};

/* For sad.h's functions; sad_free ends the threads. */
int crew_new(const struct crew_config *c, struct sad **ret, struct diag *d);
/* The plane in the caller's thread, for esp.h's functions. */
struct sad *crew_own(const struct sad *crew);
/* Poll for reading, and then call crew_read: events. */
int crew_fd(const struct sad *crew);
void crew_read(struct sad *crew);

/* As esp.h has them, for all. */
void crew_set_tun(struct sad *crew, unsigned member, int fd);
void crew_ask_again(struct sad *crew);
/* In any thread: the ICMP error may have come to any socket. */
void crew_too_big(struct sad *crew, const struct addr *remote, const uint8_t *quote, size_t len, uint32_t mtu);
/* In any thread: have the caller's one call `read` with these octets, in crew_read. Lost if too many wait. */
void crew_tell(struct sad *crew, void (*read)(void *context, const void *octets, size_t len), void *context,
	       const void *octets, size_t len);

#endif
