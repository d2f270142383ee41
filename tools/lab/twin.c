#include "tools/lab/twin.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "tools/lab/behind.h"
#include "tools/lab/capture.h"
#include "tools/lab/directory.h"
#include "tools/lab/domain.h"
#include "tools/lab/folder.h"
#include "tools/lab/member.h"
#include "tools/lab/network.h"
#include "tools/lab/order.h"
#include "tools/lab/scenario.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { READY_WITHIN_MS = 30000, READY_MORE_PER_HOST_MS = 500, OWN_ROWS = 2 };

struct twin {
	struct folder *folder;
	struct network *network;
	struct capture *capture;
	struct members *members;
	struct domain domain;
	struct directory *directory;
	char *keep, *cordond;
	int signals;
	sigset_t before;
	bool tell;
};

uint64_t twin_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell(const struct twin *t, const char *what)
{
	if (t->tell)
		(void)fprintf(stderr, "\r\033[K%s", what);
}

/* Beside this program, as in a build folder, or where it is installed. */
static int find_cordond(char **ret, struct diag *d)
{
	static const char *const beside[] = { "cordond", "../sbin/cordond" };
	char self[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[n < 0 ? 0 : n] = '\0';
	if ((slash = strrchr(self, '/')))
		slash[1] = '\0';
	for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
		(void)snprintf(path, sizeof path, "%s%s", self, beside[i]);
		if (access(path, X_OK) == 0) {
			*ret = mem_string(path);
			return 0;
		}
	}
	if (access("/usr/sbin/cordond", X_OK) == 0) {
		*ret = mem_string("/usr/sbin/cordond");
		return 0;
	}
	return diag_fail(d, ENOENT, "there is no cordond beside %scordon", self);
}

static bool runs_any(const struct host *hosts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (hosts[i].agent != AGENT_NONE)
			return true;
	return false;
}

static int take_signals(struct twin *t, struct diag *d)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		(void)sigaddset(&set, ours[i]);
	(void)sigprocmask(SIG_BLOCK, &set, &t->before);
	(void)signal(SIGPIPE, SIG_IGN);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return t->signals < 0 ? diag_errno(d, errno, "signalfd") : 0;
}

/* A host takes a handful of descriptors. */
static void allow_many_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

static int make_keep(struct twin *t, const char *keep, struct diag *d)
{
	if (!keep)
		return 0;
	if (mkdir(keep, 0700) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", keep);
	t->keep = realpath(keep, NULL);
	return t->keep ? 0 : diag_errno(d, errno, "%s", keep);
}

int twin_wait_ready(struct twin *t, struct diag *d)
{
	uint64_t end = twin_now_ms() + READY_WITHIN_MS + network_hosts(t->network) * READY_MORE_PER_HOST_MS;
	struct pollfd *rows = mem_new(twin_rows(t), sizeof *rows);
	int e = 0;

	while (e == 0 && members_waited_for(t->members) > 0) {
		uint64_t now = twin_now_ms();

		if (now >= end)
			e = diag_fail(d, ETIMEDOUT, "cordond of %s is not ready after %d s",
				      members_first_waited_for(t->members), (int)(READY_WITHIN_MS / 1000));
		else
			e = twin_turn(t, rows, 0, (int)(end - now), d);
	}
	free(rows);
	return e;
}

/* While the directory is made, as at any other time. */
static int live(void *context, int timeout_ms, struct diag *d)
{
	struct twin *t = context;
	struct pollfd *rows = mem_new(twin_rows(t), sizeof *rows);
	int e = twin_turn(t, rows, 0, timeout_ms, d);

	free(rows);
	return e;
}

/* The directory comes up before anybody asks it; each host gets what it needs to ask. */
static int directory_up(struct twin *t, const struct twin_options *o, struct diag *d)
{
	struct directory_options options = { .domain = &t->domain,
					     .network = t->network,
					     .folder = folder_path(t->folder),
					     .keep = t->keep,
					     .turn = live,
					     .context = t };
	size_t count = network_hosts(t->network);
	int e;

	if (!t->domain.controller)
		return 0;
	tell(t, "making the directory ...");
	options.ticket_lifetime_s = o->scenario->steps ? o->scenario->steps->ticket_lifetime_s : 0;
	if ((e = directory_new(&options, &t->directory, d)) < 0 || (e = directory_make(t->directory, d)) < 0)
		return e;
	for (size_t i = 0; i < count; i++)
		if (member_root(t->members, i) &&
		    (e = directory_equip(t->directory, i, member_root(t->members, i), d)) < 0)
			return e;
	return 0;
}

/* It is brought up all the same: another method of the set may do. */
static void note_what_lacks(const struct domain *m)
{
	SCOPED(str_wipe) struct str words = { 0 };

	if (domain_lacks(m, &words))
		(void)fprintf(stderr, "cordon lab: note: %s\n", str_text(&words));
}

int twin_new(const struct twin_options *o, struct twin **ret, struct diag *d)
{
	SCOPED(twin_freep) struct twin *t = mem_new(1, sizeof *t);
	struct members_options mo = { .policy = o->scenario->policy, .policy_path = o->scenario->policy_path };
	const struct host *hosts;
	size_t count = policy_hosts(o->scenario->policy, &hosts);
	int e, *behind;

	t->signals = -1;
	t->tell = o->tell;
	allow_many_files();
	if ((e = take_signals(t, d)) < 0 || (runs_any(hosts, count) && (e = find_cordond(&t->cordond, d)) < 0) ||
	    (e = make_keep(t, o->keep, d)) < 0 || (e = folder_new(o->name, &t->folder, d)) < 0 ||
	    (o->begun && (e = o->begun(d)) < 0))
		return e;
	mo.folder = folder_path(t->folder);
	mo.keep = t->keep;
	mo.cordond = t->cordond;
	mo.own_policies = o->own_policies;
	if ((e = domain_of(o->scenario->policy, &t->domain, d)) < 0)
		return e;
	mo.domain = &t->domain;
	note_what_lacks(&t->domain);
	tell(t, "joining the hosts ...");
	behind = behind_whom(o->scenario->policy);
	e = network_new(hosts, count, behind, &o->scenario->wire, &t->network, d);
	free(behind);
	if (e < 0 || (e = capture_new(t->network, hosts, t->keep, o->judge, &t->capture, d)) < 0)
		return e;
	tell(t, "issuing certificates ...");
	if ((e = members_new(&mo, t->network, &t->members, d)) < 0 || (e = network_up(t->network, d)) < 0 ||
	    (e = directory_up(t, o, d)) < 0) {
		tell(t, "");
		return e;
	}
	tell(t, "starting cordond on the hosts ...");
	if ((e = members_start(t->members, d)) < 0 || (e = twin_wait_ready(t, d)) < 0) {
		tell(t, "");
		if (e == -ECHILD)
			twin_print_log(t);
		return e;
	}
	tell(t, "");
	*ret = TAKE(t);
	return 0;
}

void twin_free(struct twin *t)
{
	struct signalfd_siginfo s;

	if (!t)
		return;
	members_free(t->members);
	directory_free(t->directory);
	capture_free(t->capture);
	network_free(t->network);
	folder_free(t->folder);
	if (t->signals >= 0) {
		/* One that asked us to stop has been obeyed. */
		while (read(t->signals, &s, sizeof s) == (ssize_t)sizeof s)
			;
		(void)close(t->signals);
		(void)sigprocmask(SIG_SETMASK, &t->before, NULL);
	}
	free(t->keep);
	free(t->cordond);
	free(t);
}

const struct network *twin_network(const struct twin *t)
{
	return t->network;
}

const char *twin_folder(const struct twin *t)
{
	return folder_path(t->folder);
}

const char *twin_run_dir(const struct twin *t, size_t host)
{
	return member_run_dir(t->members, host);
}

struct directory *twin_directory(const struct twin *t)
{
	return t->directory;
}

size_t twin_controller(const struct twin *t)
{
	return t->domain.controller_index;
}

struct members *twin_members(const struct twin *t)
{
	return t->members;
}

size_t twin_certificates(const struct twin *t)
{
	return members_certificates(t->members);
}

size_t twin_rows(const struct twin *t)
{
	return OWN_ROWS + network_hosts(t->network);
}

static int take_signal(struct twin *t, struct diag *d)
{
	struct signalfd_siginfo s;

	while (read(t->signals, &s, sizeof s) == (ssize_t)sizeof s) {
		int e = s.ssi_signo != SIGCHLD ? diag_fail(d, EINTR, "stopped by %s", strsignal((int)s.ssi_signo))
					       : members_reap(t->members, d);

		if (e == 0 && t->directory)
			e = directory_reap(t->directory, d);
		if (e < 0)
			return e;
	}
	return 0;
}

int twin_turn(struct twin *t, struct pollfd *rows, size_t more, int timeout_ms, struct diag *d)
{
	rows[0] = (struct pollfd){ .fd = t->signals, .events = POLLIN };
	rows[1] = (struct pollfd){ .fd = members_ready_fd(t->members), .events = POLLIN };
	capture_poll(t->capture, rows + OWN_ROWS);
	if (capture_holds(t->capture) && timeout_ms > ORDER_HOLD_MS)
		timeout_ms = ORDER_HOLD_MS;
	if (poll(rows, (nfds_t)(twin_rows(t) + more), timeout_ms) < 0 && errno != EINTR)
		return diag_errno(d, errno, "poll");
	if (rows[1].revents)
		members_hear(t->members);
	capture_drain(t->capture, twin_now_ms());
	return rows[0].revents ? take_signal(t, d) : 0;
}

size_t twin_capture(struct twin *t)
{
	capture_finish(t->capture);
	return capture_lost(t->capture);
}

int twin_stop(struct twin *t, struct diag *d)
{
	int e = members_stop(t->members, d);

	capture_finish(t->capture);
	return e;
}

void twin_print_log(const struct twin *t)
{
	members_print_log(t->members);
}
