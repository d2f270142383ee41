/* daemon/parts/packets_wait.h - packets wait for their SA while the kernel's plane is open (net.core.xfrm_larval_drop
 * is 0). That they did not before stands in a file of the state folder, so that after a kill it becomes as it was with
 * the next end of that plane, whoever ends it: another cordond, or --uninstall-rules. */
#ifndef DAEMON_PARTS_PACKETS_WAIT_H
#define DAEMON_PARTS_PACKETS_WAIT_H

struct diag;

int packets_wait_begin(const char *state_dir, struct diag *d);
void packets_wait_end(const char *state_dir); /* without a begin of anybody's nothing happens */

#endif
