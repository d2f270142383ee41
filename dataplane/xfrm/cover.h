/* dataplane/xfrm/cover.h - few prefixes for many ranges: the longest prefix that an address lies in says the range's
 * label. A hole in a wide range costs one prefix then, instead of splitting the range into dozens. Pure. */
#ifndef DATAPLANE_XFRM_COVER_H
#define DATAPLANE_XFRM_COVER_H
#include "dataplane/xfrm/convert.h"
#include <stddef.h>
#include <stdint.h>

#define COVER_NONE UINT32_MAX /* the label of what lies in no range */

struct cover_range {
	struct addr_range range;
	uint32_t label;
};

struct cover_row {
	struct prefix prefix;
	uint32_t label;
	bool within; /* a shorter prefix of the list holds it */
};

enum { COVER_NODES_MOST = 1 << 21 };

/* The ranges are sorted and disjoint; only those of the family count. A shorter prefix comes before what it holds.
 * free() the rows. -E2BIG: it would take more than COVER_NODES_MOST steps. */
int cover_make(const struct cover_range *ranges, size_t count, unsigned family, struct cover_row **ret,
	       size_t *ret_count);

#endif
