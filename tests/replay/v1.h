/* tests/replay/v1.h - worlds whose hosts speak IKEv1. */
#ifndef TESTS_REPLAY_V1_H
#define TESTS_REPLAY_V1_H
#include "tests/replay/world.h"

/* One rule between the two, require, a pre-shared key; main mode that IKEv1 has numbers for. */
extern const char v1_policy[];
/* The same with certificates, whose keys sign by that method; jobs that stand for them. */
struct world *v1_world_signing(uint8_t method);
/* All sets of both hosts' policies are proved so. */
void v1_sign(struct world *w, uint8_t method);
/* By Kerberos: host/a.example@EXAMPLE and host/b.example@EXAMPLE. */
struct world *v1_world_kerberos(void);

#endif
