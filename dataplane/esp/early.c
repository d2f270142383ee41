#include "dataplane/esp/early.h"

#include "base/mem.h"

#include <stdlib.h>

bool early_keep(struct early **e, size_t *all, const uint8_t *packet, size_t len)
{
	if (*all >= EARLY_ALL_MOST || (*e && (*e)->count == EARLY_MOST))
		return false;
	if (!*e) {
		*e = mem_new(1, sizeof **e);
		**e = (struct early){ .all = all };
	}
	(*e)->packets[(*e)->count].octets = mem_copy(packet, len);
	(*e)->packets[(*e)->count++].len = len;
	(*all)++;
	return true;
}

void early_free(struct early *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->count; i++)
		free(e->packets[i].octets);
	*e->all -= e->count;
	free(e);
}
