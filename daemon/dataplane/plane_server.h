/* daemon/dataplane/plane_server.h - the data plane as a process: sad.h's requests come as messages, its events go as
 * such, and what it works on comes by descriptor passing from the parent. It needs no right, and no file.
 *
 * What it holds: its channels, the TUN, raw sockets of ESP and AH, one for "packet too big", one of rtnetlink for
 * questions, UDP port 4500 in both families, and epoll descriptors over them; with several workers (esp/crew.h) all
 * but the channels for each of them. What it calls once it runs: epoll_wait, epoll_ctl, epoll_create1 (when the plane
 * begins), read, writev (TUN), recvmsg, recvmmsg, recvfrom, sendmsg, sendmmsg, sendto (rtnetlink), setsockopt (DF of
 * port 4500, off while IKE is sent), getsockname (once), bind (the packet socket, once), fstat, mmap, munmap, close,
 * fcntl (F_DUPFD_CLOEXEC), getrandom, clock_gettime, clock_nanosleep
 * (gathering), brk, mremap, madvise, write (the log on descriptor 2), exit_group;
 * with several workers also eventfd2, poll, futex, clone (threads alone), rt_sigprocmask, mprotect and what a thread
 * begins and ends with. No open, socket, connect, ioctl, execve, fork. */
#ifndef DAEMON_DATAPLANE_PLANE_SERVER_H
#define DAEMON_DATAPLANE_PLANE_SERVER_H
#include "daemon/process/channel.h"

struct diag;
struct plane_server;

struct plane_server *plane_server_new(uv_loop_t *loop, struct channel *parent);
/* The client's process has ended: its SAs go on. */
void plane_server_went(struct plane_server *s);

/* The process ends: no SA stays in the kernel. */
void plane_server_end(struct plane_server *s);

/* Handlers; their context is a struct plane_server **. */
ask_handler plane_on_fd, plane_on_plan, plane_on_begin, plane_on_end;
ask_handler plane_on_hello, plane_on_reserve, plane_on_release, plane_on_install, plane_on_remove, plane_on_stop,
	plane_on_move, plane_on_held, plane_on_look, plane_on_ike, plane_on_keep_alive;

#endif
