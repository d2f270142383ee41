/* tests/replay/world_inside.h - between the files of the world: world.c (the wire, time, what is to be done),
 * world_host.c (hosts begin, and end), world_work.c (jobs), world_plane.c (SAs and packets). */
#ifndef TESTS_REPLAY_WORLD_INSIDE_H
#define TESTS_REPLAY_WORLD_INSIDE_H
#include "tests/replay/world.h"

void world_enqueue(struct world *w, const struct datagram *d); /* as many copies as the wire makes of it */
void world_finish_job(struct world *w, unsigned host, struct keying_job *job);
void world_install(struct world *w, unsigned host, const struct sa_spec *spec);
/* What waits for the selector is let go, in clear or not at all. */
void world_release(struct world_host *h, const struct keying_todo *t);
void world_receive_esp(struct world *w, unsigned host, const struct datagram *d);
/* Who is behind an SA: of the first group that the firewall asks about. */
void world_note_member(struct world_host *h, uint64_t pair, const struct membership *is);

#endif
