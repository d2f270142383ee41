/* daemon/notify.h - telling systemd how far we are (sd_notify's protocol: one datagram). */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

/* "READY=1", "STOPPING=1", "STATUS=..."; without effect where nobody asked to be told. */
void notify_manager(const char *state);

#endif
