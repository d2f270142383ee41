#include "daemon/process/sandbox.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/scope.h"
#include "daemon/process/channel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sanitizers look into /proc, trace themselves to find leaks, and reserve memory by the terabyte. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
	PATH_TEXT = 4096,
	OWN_ID_FIRST = 61170, /* assigned to nobody: neither by Debian nor by systemd */
	MEGA = 1 << 20,
	WORDS_MOST = 64 * MEGA,
};

/* What makes one child's cage different from another's; the calls are in sandbox_calls.c. */
static const struct cage {
	const char *user;         /* of sysusers; where there is none, OWN_ID_FIRST + role */
	rlim_t memory, threads;   /* octets of data; threads, counted by user: two hosts of a lab share one */
	rlim_t descriptors, file; /* file: of memory, that is handed to another process */
	bool lonely;              /* gets a network without a wire */
	bool netlink;             /* may have to change the kernel's SAs */
} cages[ROLE_COUNT] = {
	[ROLE_KEYING] = { "cordon-keying", 2048ul * MEGA, 8192, 64, 64ul * MEGA, false, false },
	[ROLE_KEYS] = { "cordon-keys", 512ul * MEGA, 8192, 32, 0, true, false },
	[ROLE_DATAPLANE] = { "cordon-dataplane", 2048ul * MEGA, 8192, 512, 0, false, true },
	[ROLE_SOURCES] = { "cordon-sources", 512ul * MEGA, 8192, 128, 16ul * MEGA, false, false },
};

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static int folder_path(const char *run_dir, char ret[PATH_TEXT], struct diag *d)
{
	if (snprintf(ret, PATH_TEXT, "%s/empty", run_dir) >= PATH_TEXT)
		return diag_fail(d, ENAMETOOLONG, "%s", run_dir);
	return 0;
}

static bool folder_is_empty(int fd)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = again < 0 ? NULL : fdopendir(again);
	const struct dirent *e;
	size_t n = 0;

	if (!folder)
		return false;
	while ((e = readdir(folder)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	(void)closedir(folder);
	return n == 0;
}

/* Opens it, and is sure of it. */
static int folder_open(const char *path, int *ret, struct diag *d)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return diag_errno(d, errno, "open the empty folder %s", path);
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 0222 || !folder_is_empty(fd)) {
		(void)close(fd);
		return diag_fail(d, EPERM, "%s is not an empty folder where nobody may write: remove it", path);
	}
	*ret = fd;
	return 0;
}

int sandbox_folder(const char *run_dir, struct diag *d)
{
	char path[PATH_TEXT];
	int r, fd = -1;

	if ((r = folder_path(run_dir, path, d)) < 0)
		return r;
	if (mkdir(path, 0555) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", path);
	if (chmod(path, 0555) < 0)
		return diag_errno(d, errno, "change the folder %s", path);
	if ((r = folder_open(path, &fd, d)) < 0)
		return r;
	(void)close(fd);
	return 0;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static int next_kept(int from, const int *keep, size_t count)
{
	int next = -1;

	for (size_t i = 0; i < count; i++)
		if (keep[i] >= from && (next < 0 || keep[i] < next))
			next = keep[i];
	return next;
}

static void close_between(unsigned first, unsigned last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* older than Linux 5.9 */
	for (unsigned fd = first; fd <= last && fd < 65536; fd++)
		(void)close((int)fd);
}

/* All others are closed; 0 to 2 are open in any case, so that nothing is taken for them. */
static int keep_only(const int *keep, size_t count, struct diag *d)
{
	int from = STDERR_FILENO + 1, next;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return diag_fail(d, EBADF, "open /dev/null");
	while ((next = next_kept(from, keep, count)) >= 0) {
		close_between((unsigned)from, (unsigned)next - 1);
		from = next + 1;
	}
	close_between((unsigned)from, ~0u);
	return 0;
}

/* ---- who it is --------------------------------------------------------------------------------------------------- */

/* Of this machine's own list only: a directory service would be asked over a network that may not be up yet. */
static bool user_of(const char *name, uid_t *ret_user, gid_t *ret_group)
{
	FILE *list = fopen("/etc/passwd", "re");
	const struct passwd *p;
	bool found = false;

	while (list && !found && (p = fgetpwent(list)))
		if (strcmp(p->pw_name, name) == 0 && p->pw_uid) {
			*ret_user = p->pw_uid;
			*ret_group = p->pw_gid;
			found = true;
		}
	if (list)
		(void)fclose(list);
	return found;
}

/* Not the system's: another one for each role, so that none can trace or signal the other. */
static void identity_of(enum role role, uid_t *ret_user, gid_t *ret_group)
{
	if (user_of(cages[role].user, ret_user, ret_group))
		return;
	*ret_user = *ret_group = OWN_ID_FIRST + (uid_t)role;
}

static bool has_capability(int capability)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capget, &header, data) == 0 && data[capability / 32].effective & 1u << capability % 32;
}

/* All but NET_ADMIN, if that may stay. */
static int drop_capabilities(bool netlink, struct diag *d)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct left[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (netlink)
		left[0].permitted = left[0].effective = 1u << CAP_NET_ADMIN;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, left) < 0)
		return diag_errno(d, errno, "give up the capabilities");
	return 0;
}

/* While it may still: these need a capability themselves. What cannot be taken from the bounding set matters only to
 * programs that are run, and none is. */
static void lock_capabilities(bool netlink)
{
	/* Kept when the user changes, all of them, until drop_capabilities has chosen. */
	(void)prctl(PR_SET_SECUREBITS, (netlink ? SECBIT_KEEP_CAPS : 0) | SECBIT_KEEP_CAPS_LOCKED |
					       SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
					       SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
	for (int i = 0; i <= CAP_LAST_CAP; i++)
		(void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static int become(enum role role, uid_t user, gid_t group, struct diag *d)
{
	if (setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 || setresuid(user, user, user) < 0)
		return diag_errno(d, errno, "become the user %s (%u)", cages[role].user, user);
	if (setresuid(0, 0, 0) == 0)
		return diag_fail(d, EPERM, "the user 0 could be had again");
	return 0;
}

static int change_root(const char *run_dir, struct diag *d)
{
	char path[PATH_TEXT];
	int r, fd = -1;

	if ((r = folder_path(run_dir, path, d)) < 0 || (r = folder_open(path, &fd, d)) < 0)
		return r;
	if (fchdir(fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
		r = diag_errno(d, errno, "change the root to %s", path);
	(void)close(fd);
	return r;
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static int limit(int what, rlim_t most, const char *words, struct diag *d)
{
	struct rlimit now, wanted;

	if (getrlimit((__rlimit_resource_t)what, &now) < 0)
		return diag_errno(d, errno, "look at the limit of %s", words);
	if (most > now.rlim_max)
		most = now.rlim_max;
	wanted = (struct rlimit){ most, most };
	if (setrlimit((__rlimit_resource_t)what, &wanted) < 0)
		return diag_errno(d, errno, "limit %s", words);
	return 0;
}

/* Its words may go to a file, as in a lab: that is the only one it can write to, and not without end. */
static bool words_go_to_a_file(void)
{
	struct stat st;

	return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode);
}

static int limit_all(const struct cage *c, struct diag *d)
{
	int r;

	(void)signal(SIGXFSZ, SIG_IGN);
	if ((r = limit(RLIMIT_CORE, 0, "core files", d)) < 0 ||
	    (r = limit(RLIMIT_NOFILE, c->descriptors, "descriptors", d)) < 0)
		return r;
	if (SANITIZED)
		return 0;
	if ((r = limit(RLIMIT_FSIZE, words_go_to_a_file() ? WORDS_MOST : c->file, "files", d)) < 0)
		return r;
	if ((r = limit(RLIMIT_NPROC, c->threads, "threads", d)) < 0)
		return r;
	return limit(RLIMIT_DATA, c->memory, "memory", d);
}

/* ---- a call that is not allowed ---------------------------------------------------------------------------------- */

static volatile int channel_of_parent = -1;

/* The kernel has not done the call. The parent is told which it was, then this process ends by the same signal: nobody
 * may ask to handle that one, so asking ends it at once. */
static void caught(int number, siginfo_t *info, void *context)
{
	uint8_t body[4];
	struct wire_out out = wire_out(body, sizeof body);

	(void)context;
	wire_put_u32(&out, (uint32_t)info->si_syscall);
	channel_send_now(channel_of_parent, ASK_FORBIDDEN, body, sizeof body);
	(void)syscall(SYS_rt_sigaction, number, NULL, NULL, 8);
	_exit(128 + number);
}

static int limit_calls(enum role role, int channel, const char **ret_off, struct diag *d)
{
	struct sigaction a = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
	sigset_t those;

	if (SANITIZED) {
		*ret_off = "built with sanitizers: its system calls are not limited, its root is not changed";
		return 0;
	}
	channel_of_parent = channel;
	(void)sigemptyset(&those);
	(void)sigaddset(&those, SIGSYS);
	if (sigaction(SIGSYS, &a, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &those, NULL) < 0)
		return diag_errno(d, errno, "handle SIGSYS");
	return sandbox_calls_limit(role, ret_off, d);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* What the libraries look up in files the first time. */
static int read_beforehand(struct diag *d)
{
	uint8_t octet;
	time_t now = time(NULL);
	struct tm tm;

	tzset();
	(void)localtime_r(&now, &tm);
	(void)sysconf(_SC_NPROCESSORS_ONLN);
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
					OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
				NULL) != 1)
		return diag_fail(d, ERR_CRYPTO, "libcrypto does not start");
	return crypto_random(&octet, 1, d);
}

/* When memory runs out the parent, which protects, is to stay. A kernel that does not let us say so decides by itself.
 */
static void offer_to_go_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "300", 3);
	(void)close(fd);
}

int sandbox_enter(enum role role, bool netlink, const char *run_dir, int channel, const int *keep, size_t count,
		  struct diag *d)
{
	const struct cage *c = &cages[role];
	const bool root = has_capability(CAP_SETUID) && has_capability(CAP_SETGID) && has_capability(CAP_SYS_CHROOT);
	const char *off = NULL;
	uid_t user = 0;
	gid_t group = 0;
	int r;

	if ((r = keep_only(keep, count, d)) < 0 || (r = read_beforehand(d)) < 0)
		return r;
	(void)umask(0077);
	offer_to_go_first();
	if (c->lonely) /* it has no call for sockets anyhow */
		(void)unshare(CLONE_NEWNET);
	netlink = netlink && c->netlink;
	lock_capabilities(netlink);
	identity_of(role, &user, &group); /* behind the new root there is no list of users */
	if (!root)
		log_warning(
			"%s runs without a user and a root of its own: cordond lacks the capabilities SETUID, SETGID "
			"and SYS_CHROOT",
			role_name(role));
	else if ((!SANITIZED && (r = change_root(run_dir, d)) < 0) || (r = become(role, user, group, d)) < 0)
		return r;
	if ((r = drop_capabilities(netlink, d)) < 0 || (r = limit_all(c, d)) < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || (!SANITIZED && prctl(PR_SET_DUMPABLE, 0) < 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return diag_errno(d, errno, "lock the process");
	if ((r = limit_calls(role, channel, &off, d)) < 0)
		return r;
	if (off)
		log_warning("%s: %s", role_name(role), off);
	return 0;
}

/* ---- seen from outside ------------------------------------------------------------------------------------------- */

bool sandbox_look(pid_t pid, enum role role, bool netlink, char lacks[SANDBOX_TEXT])
{
	const unsigned long wanted = netlink && cages[role].netlink ? 1ul << CAP_NET_ADMIN : 0;
	char path[64], line[256];
	unsigned seen = 0, bad = 0;
	unsigned long user = 0, caps = ~0ul, nnp = 0, seccomp = 0;
	FILE *f;

	*lacks = '\0';
	(void)snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
	if (!(f = fopen(path, "re"))) /* /proc may be closed to us too (ProtectProc); the child would have said so */
		return true;
	while (fgets(line, sizeof line, f)) {
		seen += sscanf(line, "Uid: %lu", &user) == 1;
		seen += sscanf(line, "CapPrm: %lx", &caps) == 1;
		seen += sscanf(line, "NoNewPrivs: %lu", &nnp) == 1;
		seen += sscanf(line, "Seccomp: %lu", &seccomp) == 1;
	}
	(void)fclose(f);
	(void)snprintf(lacks, SANDBOX_TEXT, "%s%s%s%s", user == 0 ? "a user of its own; " : "",
		       caps != wanted ? "capabilities given up; " : "", nnp ? "" : "no new privileges; ",
		       seccomp == 2 ? "" : "system calls limited; ");
	bad = user == 0 || caps != wanted || !nnp || seccomp != 2 || seen < 3;
	if (*lacks)
		lacks[strlen(lacks) - 2] = '\0';
	return !bad;
}
