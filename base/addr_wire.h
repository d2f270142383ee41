/* base/addr_wire.h - addresses in messages between our own processes: the family's number, and as many octets as it
 * has. */
#ifndef BASE_ADDR_WIRE_H
#define BASE_ADDR_WIRE_H
#include "base/addr.h"
#include "base/wire.h"

enum { ADDR_WIRE_MOST = 17 };

void addr_encode(struct wire_out *out, const struct addr *a);
/* A family that is none fails the cursor; 0 is "no address". */
struct addr addr_decode(struct wire_in *in);

#endif
