/* Datagrams of a child that somebody else rules, as the parent takes them apart: the first octet says whose. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "daemon/process/channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned heard;

static int hears(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint8_t sum = 0;

	(void)context;
	(void)c;
	(void)fds;
	while (body->left)
		sum ^= wire_u8(body);
	heard++;
	return sum == 0xa5 ? -1 : 0;
}

static void gone(struct channel *c, const char *why)
{
	bool *over = channel_owner(c);

	(void)why;
	*over = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static ask_handler *handlers[ASK_COUNT];
	static uv_loop_t loop;
	static bool begun;
	struct channel *c;
	bool over = false;
	struct diag d;
	int fds[2];

	if (len < 2 || octets[0] >= ROLE_COUNT - 1)
		return 0;
	if (!begun)
		begun = uv_loop_init(&loop) == 0;
	for (size_t i = 0; i < ASK_COUNT; i++)
		handlers[i] = hears;
	if (channel_pair(fds, &d) < 0)
		return 0;
	(void)!send(fds[1], octets + 1, len - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (channel_new(&(struct channel_config){ .loop = &loop,
						  .fd = fds[0],
						  .self = ROLE_PARENT,
						  .peer = (enum role)(octets[0] + 1),
						  .handlers = handlers,
						  .owner = &over,
						  .gone = gone },
			&c, &d) < 0)
		abort();
	channel_set_state(c, CHANNEL_READY);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	if (!over)
		channel_close(c);
	(void)close(fds[1]);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	return 0;
}
