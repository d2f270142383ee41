#include "dataplane/esp/list.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

uint8_t *list_space(struct packet_list *l, size_t n)
{
	if (l->room - l->used < n) {
		l->room = 2 * l->room + n;
		l->octets = mem_resize(l->octets, l->room, 1);
	}
	return l->octets + l->used;
}

void list_commit(struct packet_list *l, size_t len, bool to_tun)
{
	l->rows = mem_grow(l->rows, l->count, &l->cap, sizeof *l->rows);
	l->rows[l->count++] = (struct packet_out){ .at = l->used, .len = len, .to_tun = to_tun };
	l->used += len;
}

void list_add(struct packet_list *l, const uint8_t *octets, size_t len, bool to_tun)
{
	memcpy(list_space(l, len), octets, len);
	list_commit(l, len, to_tun);
}

void list_add_opened(struct packet_list *l, const uint8_t *octets, size_t head, size_t len, size_t upper,
		     uint8_t protocol)
{
	struct packet_out *row;

	list_add(l, octets, head, true);
	row = &l->rows[l->count - 1];
	row->upper = (uint16_t)upper;
	row->protocol = protocol;
	if (head == len)
		return;
	row->body = octets + head;
	row->body_len = len - head;
}

bool list_is_long(const struct packet_list *l)
{
	return l->count >= LIST_LONG || l->used >= LIST_OCTETS_LONG;
}

void list_clear(struct packet_list *l)
{
	size_t first = l->count - l->stay, from = l->stay ? l->rows[first].at : l->used;

	for (size_t i = 0; i < l->stay; i++) {
		l->rows[i] = l->rows[first + i];
		l->rows[i].at -= from;
	}
	if (l->stay)
		memmove(l->octets, l->octets + from, l->used - from);
	l->count = l->stay;
	l->used -= from;
	l->stay = 0;
}

void list_wipe(struct packet_list *l)
{
	free(l->rows);
	free(l->octets);
	*l = (struct packet_list){ 0 };
}
