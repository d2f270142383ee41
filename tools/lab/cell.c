#include "tools/lab/cell.h"

#include "base/diag.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char private_run[] = "/run/samba";

struct cell {
	int space, log, null;
	int told[2]; /* a socket pair: the cell says that it has tied itself to the lab, and the lab that it still lives
		      */
	const char *host_name;
	const char *const *argv, *const *environment;
};

static void become_program(const struct cell *c)
{
	for (size_t i = 0; c->environment && c->environment[i]; i++)
		if (putenv((char *)(uintptr_t)c->environment[i]) != 0)
			_exit(126);
	(void)execvp(c->argv[0], (char *const *)(uintptr_t)c->argv);
	_exit(127);
}

/* The first process of the cell: it waits for all that end there, and ends when the program does. */
static void be_first(const struct cell *c)
{
	sigset_t none;
	pid_t program, ended;
	int status = 0;
	char octet;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* From here on we end with the lab. If it has ended before, nobody answers. */
	(void)close(c->told[1]);
	(void)dup2(c->null, STDIN_FILENO);
	(void)dup2(c->log, STDOUT_FILENO);
	(void)dup2(c->log, STDERR_FILENO);
	if (send(c->told[0], "1", 1, MSG_NOSIGNAL) != 1 || recv(c->told[0], &octet, 1, 0) != 1 || setsid() < 0 ||
	    setns(c->space, CLONE_NEWNET) < 0 || sethostname(c->host_name, strlen(c->host_name)) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("lab", private_run, "tmpfs", 0, "mode=755") < 0)
		_exit(126);
	(void)mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL); /* a container may forbid it */
	program = fork();
	if (program == 0)
		become_program(c);
	while (program > 0 && (ended = waitpid(-1, &status, 0)) != program)
		if (ended < 0 && errno != EINTR)
			break;
	_exit(program > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 125);
}

int cell_spawn(int space, const char *host_name, const char *const argv[], const char *const environment[],
	       const char *log, pid_t *ret, struct diag *d)
{
	struct cell c = { .space = space,
			  .log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
			  .null = open("/dev/null", O_RDONLY | O_CLOEXEC),
			  .told = { -1, -1 },
			  .host_name = host_name,
			  .argv = argv,
			  .environment = environment };
	pid_t child = -1;
	char octet;
	int e = 0;

	if (c.log < 0 || c.null < 0)
		e = diag_errno(d, errno, "open %s", c.log < 0 ? log : "/dev/null");
	else if (mkdir(private_run, 0755) < 0 && errno != EEXIST)
		e = diag_errno(d, errno, "make the folder %s", private_run);
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, c.told) < 0)
		e = diag_errno(d, errno, "socketpair");
	/* As fork does it, since none of the memory is shared; fork itself cannot make namespaces. */
	else if ((child = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD,
					 NULL, NULL, NULL, 0)) == 0)
		be_first(&c);
	else if (child < 0)
		e = diag_errno(d, errno, "make namespaces for %s", argv[0]);
	if (child > 0) {
		(void)close(c.told[0]); /* so that its end is the end */
		c.told[0] = -1;
		if (recv(c.told[1], &octet, 1, 0) != 1 || send(c.told[1], "1", 1, MSG_NOSIGNAL) != 1)
			e = diag_fail(d, EIO, "%s did not start", argv[0]);
	}
	for (size_t i = 0; i < 2; i++)
		if (c.told[i] >= 0)
			(void)close(c.told[i]);
	if (c.log >= 0)
		(void)close(c.log);
	if (c.null >= 0)
		(void)close(c.null);
	if (e < 0 && child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	if (e == 0)
		*ret = child;
	return e;
}
