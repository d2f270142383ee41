#include "tools/lab/member.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/lab/directory.h"
#include "tools/lab/domain.h"
#include "tools/lab/folder.h"
#include "tools/lab/secrets.h"
#include "tools/lab/network.h"
#include "tools/lab/space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STOP_WITHIN_MS = 8000, CHILDREN_WITHIN_MS = 3000, LOG_LINES = 12, LOG_MOST = 64 << 20, POLICY_MOST = 64 << 20 };

struct member {
	const struct host *host;
	bool runs;              /* has a cordond */
	char *folder, *run_dir; /* NULL where none runs */
	char *log, *keys, *page, *state_dir, *root;
	char *policy; /* own; NULL: the one of all */
	pid_t pid;    /* 0: none now */
	bool ready;
};

struct members {
	struct members_options options;
	const struct network *network;
	struct member *all;
	size_t count;
	struct secrets *secrets;
	int ready_fd;
	char *ready_path;
	const struct member *failed; /* whom the last message was about */
	bool stopping;
};

static char *join(const char *a, const char *b, const char *c)
{
	struct str s = { 0 };

	str_addf(&s, "%s/%s%s", a, b, c);
	return s.text;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* A name as a YAML string. */
static void add_quoted(struct str *out, const char *text)
{
	str_add(out, "\"");
	for (; *text; text++)
		str_addf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	str_add(out, "\"");
}

static int write_page(struct members *ms, struct member *m, struct diag *d)
{
	SCOPED(str_wipe) struct str page = { 0 };
	bool in_domain = ms->options.domain && domain_has(ms->options.domain, m->host);
	char account[DOMAIN_HOST];
	int e;

	if (in_domain)
		domain_host_name(ms->options.domain, m->host, account);
	str_add(&page, "# Made by cordon lab.\ncordon: 1\nname: ");
	add_quoted(&page, m->host->name);
	str_add(&page, "\n");
	if ((e = secrets_issue(ms->secrets, m->host, in_domain ? account : NULL, m->root, &page, d)) < 0)
		return e;
	if (in_domain)
		str_addf(&page, "keytab: %s\n", directory_keytab);
	m->page = join(m->folder, "host.yaml", "");
	return text_replace(m->page, str_text(&page), page.len, 0600, d);
}

static int copy_policy(const struct member *m, const char *from, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	int e = text_read(from, POLICY_MOST, &t, d);

	return e < 0 ? e : text_replace(m->policy, t->octets, t->len, 0644, d);
}

static int prepare(struct members *ms, struct member *m, struct diag *d)
{
	const char *logs = ms->options.keep;
	int e;

	m->runs = m->host->agent != AGENT_NONE;
	if (!m->runs)
		return 0;
	if ((e = folder_make(ms->options.folder, m->host->name, &m->folder, d)) < 0 ||
	    (e = folder_make(m->folder, "run", &m->run_dir, d)) < 0 ||
	    (e = folder_make(m->folder, "state", &m->state_dir, d)) < 0 ||
	    (e = folder_make(m->folder, "root", &m->root, d)) < 0 || (e = write_page(ms, m, d)) < 0)
		return e;
	if (ms->options.own_policies) {
		m->policy = join(m->folder, "policy.yaml", "");
		if ((e = copy_policy(m, ms->options.policy_path, d)) < 0)
			return e;
	}
	m->log = logs ? join(logs, m->host->name, ".log") : join(m->folder, "log", "");
	if (logs)
		m->keys = join(logs, m->host->name, ".keys");
	return 0;
}

/* A datagram socket that the daemons tell us on when they are ready, as they would tell systemd. */
static int open_ready(struct members *ms, struct diag *d)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int on = 1;

	ms->ready_path = join(ms->options.folder, "ready", "");
	if (strlen(ms->ready_path) >= sizeof at.sun_path)
		return diag_fail(d, ENAMETOOLONG, "%s", ms->ready_path);
	memcpy(at.sun_path, ms->ready_path, strlen(ms->ready_path));
	ms->ready_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ms->ready_fd < 0 || setsockopt(ms->ready_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
	    bind(ms->ready_fd, (struct sockaddr *)&at, sizeof at) < 0)
		return diag_errno(d, errno, "%s", ms->ready_path);
	return 0;
}

int members_new(const struct members_options *o, const struct network *n, struct members **ret, struct diag *d)
{
	SCOPED(members_freep) struct members *ms = mem_new(1, sizeof *ms);
	const struct host *hosts;
	int e;

	ms->options = *o;
	ms->network = n;
	ms->ready_fd = -1;
	ms->count = policy_hosts(o->policy, &hosts);
	ms->all = mem_new(ms->count, sizeof *ms->all);
	if ((e = open_ready(ms, d)) < 0 || (e = secrets_new(o->policy, o->folder, &ms->secrets, d)) < 0)
		return e;
	for (size_t i = 0; i < ms->count; i++) {
		ms->all[i].host = &hosts[i];
		if (space_stop_asked())
			return diag_fail(d, EINTR, "stopped");
		if ((e = prepare(ms, &ms->all[i], d)) < 0)
			return diag_wrap(d, e, "host %s", hosts[i].name);
	}
	*ret = TAKE(ms);
	return 0;
}

void members_free(struct members *ms)
{
	if (!ms)
		return;
	for (size_t i = 0; i < ms->count; i++) {
		struct member *m = &ms->all[i];

		if (m->pid) {
			(void)kill(m->pid, SIGKILL);
			(void)waitpid(m->pid, NULL, 0);
		}
		free(m->folder);
		free(m->run_dir);
		free(m->state_dir);
		free(m->root);
		free(m->log);
		free(m->keys);
		free(m->page);
		free(m->policy);
	}
	if (ms->ready_fd >= 0)
		(void)close(ms->ready_fd);
	secrets_free(ms->secrets);
	free(ms->ready_path);
	free(ms->all);
	free(ms);
}

size_t members_certificates(const struct members *ms)
{
	return secrets_certificates(ms->secrets);
}

const char *member_root(const struct members *ms, size_t host)
{
	return ms->all[host].root;
}

const char *member_run_dir(const struct members *ms, size_t host)
{
	return ms->all[host].run_dir;
}

/* ---- processes ------------------------------------------------------------------------------------------------- */

int member_start(struct members *ms, size_t host, struct diag *d)
{
	struct member *m = &ms->all[host];
	const char *argv[16] = { ms->options.cordond,
				 "--foreground",
				 "--config",
				 m->page,
				 "--policy",
				 m->policy ? m->policy : ms->options.policy_path,
				 "--run-dir",
				 m->run_dir,
				 "--state-dir",
				 m->state_dir,
				 "--root",
				 m->root,
				 NULL };
	int e;

	if (!m->runs || m->pid)
		return 0;
	if (m->keys) {
		argv[12] = "--export-keys";
		argv[13] = m->keys;
		argv[14] = NULL;
	}
	(void)setenv("NOTIFY_SOCKET", ms->ready_path, 1);
	e = space_spawn(network_space(ms->network, host), m->host->name, argv, m->log, &m->pid, d);
	(void)unsetenv("NOTIFY_SOCKET");
	return e;
}

/* Does anybody of this group of processes run? Those that nobody waited for do not. */
static bool group_runs(pid_t group)
{
	DIR *all = opendir("/proc");
	bool runs = false;

	for (const struct dirent *e; all && !runs && (e = readdir(all));) {
		char path[300], line[512], *behind, state = 'Z';
		long its = 0;
		FILE *f;

		(void)snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || !(f = fopen(path, "re")))
			continue;
		if (fgets(line, sizeof line, f) && (behind = strrchr(line, ')')) &&
		    sscanf(behind + 1, " %c %*d %ld", &state, &its) == 2)
			runs = its == (long)group && state != 'Z' && state != 'X';
		(void)fclose(f);
	}
	if (all)
		(void)closedir(all);
	return runs;
}

/* Its processes end with the first, but not at once; who is started anew needs the ports that they hold. Each cordond
 * is a group of its own. */
static void wait_for_children(pid_t group)
{
	const struct timespec nap = { .tv_nsec = 2 * 1000 * 1000 };

	for (unsigned waited = 0; waited < CHILDREN_WITHIN_MS && group_runs(group); waited += 2)
		(void)nanosleep(&nap, NULL);
}

void member_kill(struct members *ms, size_t host)
{
	struct member *m = &ms->all[host];

	if (!m->pid)
		return;
	(void)kill(m->pid, SIGKILL);
	(void)waitpid(m->pid, NULL, 0);
	wait_for_children(m->pid);
	m->pid = 0;
	m->ready = false;
}

/* The child of `parent` with this name; 0: there is none. */
static pid_t child_named(pid_t parent, const char *name)
{
	DIR *all = opendir("/proc");
	pid_t found = 0;

	for (const struct dirent *e; all && !found && (e = readdir(all));) {
		char path[300], line[512], format[64];
		long pid = strtol(e->d_name, NULL, 10), its = 0;
		FILE *f;

		(void)snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		(void)snprintf(format, sizeof format, "%ld (%s)", pid, name);
		if (pid <= 0 || !(f = fopen(path, "re")))
			continue;
		if (fgets(line, sizeof line, f) && strncmp(line, format, strlen(format)) == 0 &&
		    sscanf(line + strlen(format), " %*c %ld", &its) == 1 && its == (long)parent)
			found = (pid_t)pid;
		(void)fclose(f);
	}
	if (all)
		(void)closedir(all);
	return found;
}

int member_forget_tickets(struct members *ms, size_t host, struct diag *d)
{
	const struct member *m = &ms->all[host];
	pid_t keys = m->pid ? child_named(m->pid, "cordond-keys") : 0;

	if (!keys)
		return diag_fail(d, ESRCH, "cordond of %s has no process that holds tickets", m->host->name);
	return kill(keys, SIGKILL) < 0 ? diag_errno(d, errno, "end process %ld", (long)keys) : 0;
}

int member_replace_policy(struct members *ms, size_t host, const char *file, struct diag *d)
{
	return copy_policy(&ms->all[host], file, d);
}

int members_start(struct members *ms, struct diag *d)
{
	int e = 0;

	for (size_t i = 0; i < ms->count && e == 0; i++)
		e = member_start(ms, i, d);
	return e;
}

int members_ready_fd(const struct members *ms)
{
	return ms->ready_fd;
}

static struct member *by_pid(struct members *ms, pid_t pid)
{
	for (size_t i = 0; i < ms->count; i++)
		if (ms->all[i].pid == pid)
			return &ms->all[i];
	return NULL;
}

void members_hear(struct members *ms)
{
	for (;;) {
		char text[256];
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
		struct iovec io = { text, sizeof text - 1 };
		struct msghdr h = {
			.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
		};
		ssize_t n = recvmsg(ms->ready_fd, &h, 0);
		const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&h);
		struct ucred who;
		struct member *m;

		if (n < 0)
			return;
		text[n] = '\0';
		if (!c || c->cmsg_type != SCM_CREDENTIALS || !strstr(text, "READY=1"))
			continue;
		memcpy(&who, CMSG_DATA(c), sizeof who);
		if ((m = by_pid(ms, who.pid)))
			m->ready = true;
	}
}

size_t members_waited_for(const struct members *ms)
{
	size_t n = 0;

	for (size_t i = 0; i < ms->count; i++)
		n += ms->all[i].pid && !ms->all[i].ready;
	return n;
}

const char *members_first_waited_for(const struct members *ms)
{
	for (size_t i = 0; i < ms->count; i++)
		if (ms->all[i].pid && !ms->all[i].ready)
			return ms->all[i].host->name;
	return "nobody";
}

static int ended(struct members *ms, struct member *m, int status, struct diag *d)
{
	m->pid = 0;
	if (ms->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	ms->failed = m;
	if (WIFSIGNALED(status))
		return diag_fail(d, ECHILD, "cordond of %s was ended by signal %d (%s)", m->host->name,
				 WTERMSIG(status), strsignal(WTERMSIG(status)));
	return diag_fail(d, ECHILD, "cordond of %s ended with status %d", m->host->name, WEXITSTATUS(status));
}

int members_reap(struct members *ms, struct diag *d)
{
	int first = 0, status;

	for (size_t i = 0; i < ms->count; i++) {
		struct member *m = &ms->all[i];
		struct diag one = { 0 };
		int e;

		if (m->pid == 0 || waitpid(m->pid, &status, WNOHANG) != m->pid)
			continue;
		e = ended(ms, m, status, &one);
		if (e < 0 && first == 0) {
			first = e;
			if (d)
				*d = one;
		}
	}
	return first;
}

static bool any_left(const struct members *ms)
{
	for (size_t i = 0; i < ms->count; i++)
		if (ms->all[i].pid)
			return true;
	return false;
}

int members_stop(struct members *ms, struct diag *d)
{
	const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
	int first = 0;

	ms->stopping = true;
	for (size_t i = 0; i < ms->count; i++)
		if (ms->all[i].pid)
			(void)kill(ms->all[i].pid, SIGTERM);
	for (unsigned waited = 0; any_left(ms) && waited < STOP_WITHIN_MS && !space_stop_asked(); waited += 10) {
		struct diag one = { 0 };
		int e = members_reap(ms, &one);

		members_hear(ms); /* they say that they stop, and wait if nobody listens */
		if (e < 0 && first == 0) {
			first = e;
			if (d)
				*d = one;
		}
		if (any_left(ms))
			(void)nanosleep(&nap, NULL);
	}
	for (size_t i = 0; i < ms->count; i++) {
		struct member *m = &ms->all[i];

		if (!m->pid)
			continue;
		(void)kill(m->pid, SIGKILL);
		(void)waitpid(m->pid, NULL, 0);
		m->pid = 0;
		if (first == 0 && !space_stop_asked()) {
			ms->failed = m;
			first = diag_fail(d, ECHILD, "cordond of %s did not end within %d s of being told to",
					  m->host->name, STOP_WITHIN_MS / 1000);
		}
	}
	return first;
}

void members_print_log(const struct members *ms)
{
	SCOPED(text_freep) struct text *t = NULL;
	const char *from;
	unsigned lines = 0;

	if (!ms->failed || text_read(ms->failed->log, LOG_MOST, &t, NULL) < 0 || t->len == 0)
		return;
	for (from = t->octets + t->len; from > t->octets; from--)
		if (from[-1] == '\n' && from != t->octets + t->len && ++lines == LOG_LINES)
			break;
	(void)fprintf(stderr, "  the end of its log:\n");
	while (*from) {
		size_t n = strcspn(from, "\n");

		(void)fprintf(stderr, "    %.*s\n", (int)n, from);
		from += n + (from[n] == '\n');
	}
}
