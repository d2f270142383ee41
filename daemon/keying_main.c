/* The program `cordond-keying`: the IKE engine in a process of its own. It has the IKE sockets and the peers' messages,
 * and neither a private key nor a right. */
#include "daemon/process/child.h"

static int begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	(void)context;
	(void)loop;
	(void)parent;
	(void)d;
	return 0;
}

static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
};

int main(int argc, char **argv)
{
	static const struct child_program program = {
		.role = ROLE_KEYING, .name = "cordond-keying", .handlers = handlers, .begin = begin
	};

	return child_run(&program, argc, argv);
}
