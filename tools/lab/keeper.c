/* `cordon lab up`, `exec` and `down`: a twin kept in the background by a process of its own. The namespaces are that
 * process's descriptors, so that they go when it goes; its page in the lab's folder says which is which. */
#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/lab/directory.h"
#include "tools/lab/folder.h"
#include "tools/lab/lab.h"
#include "tools/lab/network.h"
#include "tools/lab/scenario.h"
#include "tools/lab/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	PAGE_MOST = 1 << 20,
	DOWN_WITHIN_MS = 15000,
	WORDS_AFTER_MS = 1000, /* who waits longer is told for what */
	TURN_MS = 1000,
};

static const char lab_name[] = "up"; /* one at a time */
static const char page_name[] = "lab.json";

static int is_root(void)
{
	if (geteuid() == 0)
		return 0;
	(void)fprintf(stderr, "cordon lab: needs root, because it makes network namespaces: sudo cordon lab ...\n");
	return -EPERM;
}

static char *page_path(void)
{
	struct str s = { 0 };

	str_addf(&s, "%s/%s/%s", folder_base(), lab_name, page_name);
	return s.text;
}

/* ---- the keeper ------------------------------------------------------------------------------------------------ */

static int put_page(const json_t *page, struct diag *d)
{
	char *path = page_path(), *text = json_dumps(page, JSON_INDENT(2));
	int e = text ? text_replace(path, text, strlen(text), 0600, d)
		     : diag_fail(d, EINVAL, "a host's name is no text");

	free(text);
	free(path);
	return e;
}

/* From the first moment somebody can be asked to stop. */
static int write_first_page(struct diag *d)
{
	json_t *page = json_pack("{s:i,s:b}", "pid", (int)getpid(), "coming-up", 1);
	int e = put_page(page, d);

	json_decref(page);
	return e;
}

static int write_page(const struct twin *t, const struct scenario *s, struct diag *d)
{
	const struct host *hosts;
	size_t n = policy_hosts(s->policy, &hosts);
	json_t *page = json_object(), *list = json_array();
	const struct directory *y = twin_directory(t);
	int e;

	(void)json_object_set_new(page, "pid", json_integer(getpid()));
	(void)json_object_set_new(page, "scenario", json_string(s->policy_path));
	for (size_t i = 0; i < n; i++) {
		json_t *row = json_object();
		const char *run_dir = twin_run_dir(t, i);

		(void)json_object_set_new(row, "name", json_string(hosts[i].name));
		(void)json_object_set_new(row, "space", json_integer(network_space(twin_network(t), i)));
		const char *keytab = y ? directory_keytab_of(y, i) : NULL;

		(void)json_object_set_new(row, "keytab", keytab ? json_string(keytab) : json_null());
		(void)json_object_set_new(row, "run-dir", run_dir ? json_string(run_dir) : json_null());
		(void)json_array_append_new(list, row);
	}
	(void)json_object_set_new(page, "hosts", list);
	if (y) {
		(void)json_object_set_new(page, "controller", json_string(hosts[twin_controller(t)].name));
		(void)json_object_set_new(page, "smb-conf", json_string(directory_smb_conf(y)));
	}
	(void)json_object_set_new(page, "etc", y ? json_string(directory_etc(y)) : json_null());
	e = put_page(page, d);
	json_decref(page);
	return e;
}

/* Standard streams go nowhere from here on: who started us has gone. */
static void let_go_of_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd);
	if (null > STDERR_FILENO)
		(void)close(null);
}

/* Until the twin is up it ends with who waits for that, however that ends. */
static void tie_to(pid_t waiting)
{
	(void)prctl(PR_SET_PDEATHSIG, waiting ? SIGTERM : 0);
	if (waiting && getppid() != waiting)
		(void)raise(SIGTERM);
}

/* Runs until a signal or a daemon's end; `told` gets one octet when the twin is up. */
static int keep(const struct lab_options *o, const struct scenario *s, int told, pid_t waiting)
{
	struct twin_options to = {
		.scenario = s,
		.name = lab_name,
		.keep = o->keep,
		.tell = isatty(STDERR_FILENO) == 1,
		.begun = write_first_page,
	};
	SCOPED(twin_freep) struct twin *t = NULL;
	struct pollfd *rows;
	struct diag d = { 0 };
	int e = 0;

	(void)setsid();
	tie_to(waiting);
	if (twin_new(&to, &t, &d) < 0 || write_page(t, s, &d) < 0) {
		(void)fprintf(stderr, "cordon lab: %s\n", d.text);
		return STATUS_FAILED;
	}
	let_go_of_terminal();
	tie_to(0);
	if (write(told, "1", 1) != 1)
		return STATUS_FAILED;
	(void)close(told);
	rows = mem_new(twin_rows(t), sizeof *rows);
	/* A daemon that was killed on purpose is part of playing: the others stay. */
	while (e != -EINTR)
		e = twin_turn(t, rows, 0, TURN_MS, &d);
	free(rows);
	return twin_stop(t, &d) < 0 ? STATUS_FAILED : STATUS_OK;
}

static void say_up(const struct scenario *s)
{
	const struct host *hosts;
	size_t n = policy_hosts(s->policy, &hosts);

	(void)printf("%zu hosts are up:", n);
	for (size_t i = 0; i < n; i++)
		(void)printf(" %s", hosts[i].name);
	(void)printf("\n  cordon lab exec %s COMMAND   runs a command on one\n"
		     "  cordon lab down%*s takes them down\n",
		     hosts[0].name, (int)strlen(hosts[0].name) + 11, "");
}

static const int ends_us[] = { SIGINT, SIGTERM, SIGHUP };

/* Those signals wait until somebody reads them. */
static int hold_signals(sigset_t *ret_before)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(ends_us); i++)
		(void)sigaddset(&set, ends_us[i]);
	(void)sigprocmask(SIG_BLOCK, &set, ret_before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The first is handed on to the keeper, which takes all down; the second ends it. */
static void hand_on(int signals, pid_t keeper, unsigned *times)
{
	struct signalfd_siginfo s;

	while (read(signals, &s, sizeof s) == (ssize_t)sizeof s)
		(void)kill(keeper, (*times)++ ? SIGKILL : (int)s.ssi_signo);
}

/* True: it is up. Its end of the pipe goes with it. */
static bool wait_for_keeper(int told, int signals, pid_t keeper)
{
	struct pollfd rows[] = { { .fd = told, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
	unsigned times = 0;
	bool words = false;
	char up = 0;

	for (;;) {
		int n = poll(rows, ARRAY_LEN(rows), times && !words ? WORDS_AFTER_MS : -1);

		if (n == 0) {
			words = true;
			(void)fprintf(stderr,
				      "cordon lab: waiting for its programs to end (process %ld); Ctrl-C ends "
				      "them at once\n",
				      (long)keeper);
		}
		if (n > 0 && rows[1].revents)
			hand_on(signals, keeper, &times);
		if (n > 0 && rows[0].revents)
			break;
	}
	if (read(told, &up, 1) == 1 && times == 0)
		return true;
	/* It has said why. Being up when it was told to go, it goes. */
	(void)waitpid(keeper, NULL, 0);
	if (times > 1)
		folder_sweep();
	return false;
}

int lab_up(const struct lab_options *o)
{
	SCOPED(scenario_wipe) struct scenario s = { 0 };
	int pipe_fds[2], signals;
	pid_t keeper, own = getpid();
	sigset_t before;
	bool up;

	if (is_root() < 0 || scenario_load(o, false, &s) < 0)
		return STATUS_FAILED;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
		(void)fprintf(stderr, "cordon lab: pipe: %s\n", strerror(errno));
		return STATUS_FAILED;
	}
	signals = hold_signals(&before);
	keeper = fork();
	if (keeper == 0) {
		(void)close(pipe_fds[0]);
		(void)close(signals);
		return keep(o, &s, pipe_fds[1], own);
	}
	(void)close(pipe_fds[1]);
	up = keeper > 0 && wait_for_keeper(pipe_fds[0], signals, keeper);
	(void)close(pipe_fds[0]);
	(void)close(signals);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (up)
		say_up(&s);
	return up ? STATUS_OK : STATUS_FAILED;
}

/* ---- those who come later -------------------------------------------------------------------------------------- */

/* Its keeper lives as long as it holds the lock on its folder. */
static bool is_up(void)
{
	SCOPED(str_wipe) struct str folder = { 0 };
	bool up;
	int fd;

	str_addf(&folder, "%s/%s", folder_base(), lab_name);
	fd = open(str_text(&folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	up = flock(fd, LOCK_EX | LOCK_NB) < 0;
	(void)close(fd);
	return up;
}

/* A keeper has its page a moment after the lock. */
static json_t *read_page(void)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	char *path = page_path();
	json_t *page = NULL;

	for (unsigned tries = 0; tries < 25 && !page && is_up(); tries++)
		if (!(page = json_load_file(path, 0, NULL)))
			(void)nanosleep(&nap, NULL);

	free(path);
	if (!page)
		(void)fprintf(stderr, "cordon lab: no lab is up: cordon lab up SCENARIO\n");
	return page;
}

static const json_t *host_row(const json_t *page, const char *host)
{
	const json_t *row;
	size_t i;

	if (json_is_true(json_object_get(page, "coming-up"))) {
		(void)fprintf(stderr,
			      "cordon lab: it is still coming up; try again when `cordon lab up` has said so\n");
		return NULL;
	}
	json_array_foreach(json_object_get(page, "hosts"), i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));

		if (name && strcmp(name, host) == 0)
			return row;
	}
	(void)fprintf(stderr, "cordon lab: no host of the lab is called '%s'; there are", host);
	json_array_foreach(json_object_get(page, "hosts"), i, row)(void)
		fprintf(stderr, " %s", json_string_value(json_object_get(row, "name")));
	(void)fputs("\n", stderr);
	return NULL;
}

/* This program's folder goes first in PATH, so that `cordon` is the one that made the lab, installed or not. */
static void find_this_cordon_first(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *path = getenv("PATH");
	struct str s = { 0 };
	char *slash;

	self[n < 0 ? 0 : n] = '\0';
	if (!(slash = strrchr(self, '/')))
		return;
	*slash = '\0';
	str_addf(&s, "%s%s%s", self, path ? ":" : "", path ? path : "");
	(void)setenv("PATH", str_text(&s), 1);
	str_wipe(&s);
}

/* `cordon status` asks this host's daemon. Where none runs it must find nobody, and never the daemon of the machine
 * that the lab is on: `cordon disable` on an outsider would open that one. */
static void point_to_daemon(const char *run_dir)
{
	struct str s = { 0 };

	if (run_dir)
		str_addf(&s, "%s", run_dir);
	else
		str_addf(&s, "%s/%s/no-daemon-on-this-host", folder_base(), lab_name);
	(void)setenv("CORDON_RUN_DIR", str_text(&s), 1);
	str_wipe(&s);
}

/* In the domain, programs find its names and its tickets: /etc/hosts and /etc/resolv.conf are the lab's for them. */
static void join_domain(const json_t *page, const json_t *row, const char *host)
{
	static const char *const files[] = { "hosts", "resolv.conf" };
	const char *etc = json_string_value(json_object_get(page, "etc"));
	const char *keytab = json_string_value(json_object_get(row, "keytab"));
	const char *controller = json_string_value(json_object_get(page, "controller")),
		   *smb_conf = json_string_value(json_object_get(page, "smb-conf"));
	char from[PATH_MAX], to[PATH_MAX];

	if (!etc)
		return;
	/* samba-tool on the controller is an administrator of the lab's domain, not of this machine's. */
	if (controller && smb_conf && strcmp(controller, host) == 0)
		(void)setenv("SMB_CONF_PATH", smb_conf, 1);
	(void)snprintf(from, sizeof from, "%s/krb5.conf", etc);
	(void)setenv("KRB5_CONFIG", from, 1);
	(void)snprintf(from, sizeof from, "%s/tickets-%s", etc, host);
	(void)setenv("KRB5CCNAME", from, 1);
	if (keytab) {
		(void)setenv("KRB5_KTNAME", keytab, 1);
		(void)setenv("KRB5_CLIENT_KTNAME", keytab, 1);
	}
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		(void)snprintf(from, sizeof from, "%s/%s", etc, files[i]);
		(void)snprintf(to, sizeof to, "/etc/%s", files[i]);
		(void)mount(from, to, NULL, MS_BIND, NULL);
	}
}

int lab_exec(const char *host, char **argv)
{
	json_t *page = is_root() < 0 ? NULL : read_page();
	const json_t *row = page ? host_row(page, host) : NULL;
	const char *run_dir = row ? json_string_value(json_object_get(row, "run-dir")) : NULL;
	char path[64];
	int fd;

	if (!row) {
		json_decref(page);
		return STATUS_FAILED;
	}
	(void)snprintf(path, sizeof path, "/proc/%ld/fd/%ld", (long)json_integer_value(json_object_get(page, "pid")),
		       (long)json_integer_value(json_object_get(row, "space")));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) {
		(void)fprintf(stderr, "cordon lab: enter the network of %s: %s\n", host, strerror(errno));
		json_decref(page);
		return STATUS_FAILED;
	}
	(void)close(fd);
	if (unshare(CLONE_NEWUTS) < 0 || sethostname(host, strlen(host)) < 0)
		errno = 0; /* a prompt with the wrong name is no reason to stop */
	point_to_daemon(run_dir);
	join_domain(page, row, host);
	find_this_cordon_first();
	(void)execvp(argv[0], argv);
	(void)fprintf(stderr, "cordon lab: %s: %s\n", argv[0], strerror(errno));
	json_decref(page);
	return errno == ENOENT ? 127 : 126;
}

int lab_down(void)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };
	json_t *page = is_root() < 0 ? NULL : read_page();
	pid_t keeper = page ? (pid_t)json_integer_value(json_object_get(page, "pid")) : 0;

	json_decref(page);
	if (keeper <= 1)
		return STATUS_FAILED;
	(void)kill(keeper, SIGTERM);
	for (unsigned waited = 0; waited < DOWN_WITHIN_MS; waited += 20) {
		if (!is_up())
			return STATUS_OK;
		if (waited == WORDS_AFTER_MS)
			(void)fprintf(stderr, "cordon lab: waiting for the hosts' programs to end ...\n");
		(void)nanosleep(&nap, NULL);
	}
	(void)fprintf(stderr, "cordon lab: it does not go down; its keeper is process %ld\n", (long)keeper);
	return STATUS_FAILED;
}
