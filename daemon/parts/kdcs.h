/* daemon/parts/kdcs.h - the parent tells `sources` where KDCs are: as the host's page says, realm by realm; for the
 * others the policy's hosts with role kdc. */
#ifndef DAEMON_PARTS_KDCS_H
#define DAEMON_PARTS_KDCS_H
struct channel;
struct daemon;

/* To sources, when it comes (c), or when page or policy are others (NULL). */
void kdcs_tell(const struct daemon *d, struct channel *c);

#endif
