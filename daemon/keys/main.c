/* The program `cordond-keys`: private keys, pre-shared keys and post-quantum ones, in a process that sees no packet. */
#include "daemon/keys/keys.h"
#include "daemon/process/child.h"

int main(int argc, char **argv)
{
	const struct child_program program = { .role = ROLE_KEYS,
					       .name = "cordond-keys",
					       .handlers = keys_handlers,
					       .context = keys_new(),
					       .prepare = keys_prepare,
					       .begin = keys_begin,
					       .came = keys_came,
					       .went = keys_went,
					       .end = keys_end };

	return child_run(&program, argc, argv);
}
