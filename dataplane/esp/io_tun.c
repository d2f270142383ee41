/* The TUN: what programs send, read packet by packet; and what was opened, joined where it can be, one system call
 * each. */
#include "dataplane/esp/io.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static bool take(struct esp_io *io, size_t *octets)
{
	uint8_t *packet = io->packet + OFFLOAD_HEADER;
	ssize_t n = read(io->fds.fd[ESP_FD_TUN], io->packet, sizeof io->packet);
	size_t len;

	if (n < 0)
		return false;
	len = n < OFFLOAD_HEADER ? 0 : (size_t)n - OFFLOAD_HEADER;
	*octets += (size_t)n;
	gather_take(&io->gather, packet, len);
	if (n < OFFLOAD_HEADER)
		io->sad->drops[DROP_MALFORMED]++;
	else
		plane_send(io->sad, io->packet, packet, len);
	return true;
}

void io_read_tun(struct esp_io *io)
{
	size_t octets = 0;

	gather_begin(&io->gather);
	while (io->gather.taken < IO_BATCH && octets < IO_OCTETS) {
		if (take(io, &octets))
			continue;
		if (!gather_waits(&io->gather, io->sad->now))
			break;
		(void)nanosleep(&(struct timespec){ .tv_nsec = GATHER_NS }, NULL);
	}
	gather_end(&io->gather, io->sad->now);
}

static void write_parts(struct esp_io *io, const struct iovec *parts, int n)
{
	if (writev(io->fds.fd[ESP_FD_TUN], parts, n) < 0)
		io->sad->drops[DROP_SEND]++;
}

static void write_row(struct esp_io *io, const struct packet_list *l, const struct packet_out *row)
{
	uint8_t header[OFFLOAD_HEADER] = { 0 };
	const struct iovec parts[] = { { header, sizeof header },
				       { l->octets + row->at, row->len },
				       { (void *)(uintptr_t)row->body, row->body_len } };

	write_parts(io, parts, row->body_len ? 3 : 2);
}

/* An older kernel knows no joined datagrams: then one by one, for good. */
static void write_run(struct esp_io *io, const struct packet_list *l, const struct join_run *r,
		      const struct joined *packet)
{
	const struct joiner *j = &io->joiner;

	if (!packet->super) {
		write_parts(io, packet->parts, packet->count);
		return;
	}
	if (writev(io->fds.fd[ESP_FD_TUN], packet->parts, packet->count) >= 0)
		return;
	if (errno == EINVAL && r->first->protocol == IP_UDP)
		io->joiner.no_datagrams = true;
	for (size_t n = r->first_piece + 1u; n; n = j->pieces[n - 1].next)
		write_row(io, l, j->pieces[n - 1].row);
}

static void write_joined(struct esp_io *io, const struct packet_list *l, size_t runs)
{
	struct joined packet;

	for (size_t i = 0; i < runs; i++) {
		join_write(&io->joiner, l, i, &packet);
		write_run(io, l, &io->joiner.runs[i], &packet);
	}
	join_begin(&io->joiner);
}

void io_write_tun(struct esp_io *io, struct packet_list *l)
{
	size_t stays = 0;

	join_begin(&io->joiner);
	for (size_t i = 0; i < l->count; i++) {
		if (!l->rows[i].to_tun || join_add(&io->joiner, l, &l->rows[i]))
			continue;
		write_joined(io, l, io->joiner.run_count);
		(void)join_add(&io->joiner, l, &l->rows[i]);
	}
	if (l->more_follows && l->stay == 0)
		l->stay = stays = join_open_end(&io->joiner, l);
	write_joined(io, l, io->joiner.run_count - (stays > 0));
}
