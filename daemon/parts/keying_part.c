#include "daemon/parts/keying_part.h"

#include "base/addr_wire.h"
#include "daemon/daemon.h"
#include "daemon/parts/directory.h"
#include "daemon/parts/engine_doors.h"
#include "daemon/process/sockets.h"

#include <errno.h>
#include <string.h>

void keying_came(void *daemon, struct channel *c)
{
	struct daemon *d = daemon;

	for (size_t i = 0; i <= SOCKETS_IKE6; i++) {
		int fd = sockets_fd(d->sockets, i);

		if (fd < 0)
			continue;
		wire_put_u8(channel_begin(c, ASK_KEYING_SOCKET), (uint8_t)i);
		channel_end_fds(c, &fd, 1);
	}
	directory_tell_keying(d, c);
	if (d->engine)
		engine_keying_came(d->engine, c);
}

void keying_went(void *daemon)
{
	struct daemon *d = daemon;

	directory_keying_went(d);
	if (d->engine)
		engine_keying_went(d->engine);
}

/* Two hosts of one family. */
static bool get_hosts(struct wire_in *body, struct addr *local, struct addr *remote)
{
	*local = addr_decode(body);
	*remote = addr_decode(body);
	return local->family && local->family == remote->family;
}

int keying_on_fallback(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	struct addr local, remote;
	bool right = get_hosts(body, &local, &remote);
	uint32_t seconds = wire_u32(body);

	(void)c, (void)fds;
	if (!wire_done(body) || !right)
		return -EPROTO;
	if (d->engine)
		doors_fallback(engine_doors(d->engine), &local, &remote, seconds);
	return 0;
}

int keying_on_secured(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	struct addr local, remote;
	bool right = get_hosts(body, &local, &remote);
	uint8_t up = wire_u8(body);

	(void)c, (void)fds;
	if (!wire_done(body) || !right || up > 1)
		return -EPROTO;
	if (d->engine)
		doors_secured(engine_doors(d->engine), &local, &remote, up != 0);
	return 0;
}

int keying_on_members(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	struct wire_out *out;
	uint64_t request = 0;
	bool done = false;
	int r;

	(void)fds;
	if (!d->engine)
		return 0; /* it is being closed */
	if ((r = doors_members(engine_doors(d->engine), body, &request, &done)) < 0)
		return r;
	out = channel_begin(c, ASK_KEYING_MEMBERS_DONE);
	wire_put_u64(out, request);
	wire_put_u8(out, done);
	channel_end(c);
	channel_flush(c);
	return 0;
}

/* One line: whoever reads the file shall not find two in it. */
int keying_on_keys(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	char line[KEYING_KEYS_MOST + 1] = "";
	size_t n = body->left;

	(void)c, (void)fds;
	wire_copy(body, line, n);
	for (size_t i = 0; i < n; i++)
		if (line[i] < ' ' || line[i] > '~')
			return -EPROTO;
	if (d->engine)
		doors_keys(engine_doors(d->engine), line);
	explicit_bzero(line, sizeof line);
	return 0;
}

int keying_on_rekeyed(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	uint32_t request = wire_u32(body), n = wire_u32(body);

	(void)c, (void)fds;
	if (d->engine)
		engine_rekeyed(d->engine, request, n);
	return 0;
}

int keying_on_rows(void *daemon, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = daemon;
	uint32_t request = wire_u32(body);

	(void)c;
	return d->engine ? engine_rows_came(d->engine, request, fds[0]) : 0;
}
