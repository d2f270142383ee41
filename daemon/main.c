/* The program `cordond`: looks whether it can work here, wires the parts together and runs the loop. Everything that
 * can be found wrong is found before the first rule is changed. */
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"
#include "base/text.h"
#include "daemon/force/boot.h"
#include "daemon/force/change.h"
#include "daemon/daemon.h"
#include "daemon/force/exemptions.h"
#include "daemon/tell/follow.h"
#include "daemon/force/force.h"
#include "daemon/options.h"
#include "daemon/host/page.h"
#include "daemon/parts/packets_wait.h"
#include "daemon/parts/ready.h"
#include "daemon/host/secret.h"
#include "daemon/service.h"
#include "enforce/nft.h"
#include "dataplane/xfrm/open.h"
#include "daemon/host/proofs.h"
#include "daemon/process/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PATH_TEXT = 4096 };

/* ---- can it work here? ------------------------------------------------------------------------------------------- */

/* how: to run it with them. */
static int check_rights(const char *how, struct diag *why)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	const uint32_t wanted = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW;

	if (syscall(SYS_capget, &header, data) == 0 && (data[0].effective & wanted) == wanted)
		return 0;
	return diag_fail(why, EPERM, "needs root (or the capabilities NET_ADMIN and NET_RAW): run it by %s", how);
}

static int check_tun(struct diag *why)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return diag_fail(
			why, errno,
			"this kernel offers no TUN device (/dev/net/tun: %s): load the module tun, or give the "
			"container the device",
			strerror(errno));
	(void)close(fd);
	return 0;
}

/* The lock lives as long as the process, so that even kill -9 releases it. */
static int lock_run_dir(const struct daemon *d, struct diag *why)
{
	char path[PATH_TEXT], other[32] = "";
	int fd;

	if (mkdir(d->options.run_dir, 0755) < 0 && errno != EEXIST)
		return diag_errno(why, errno, "make the folder %s", d->options.run_dir);
	if (snprintf(path, sizeof path, "%s/cordond.pid", d->options.run_dir) >= (int)sizeof path)
		return diag_fail(why, ENAMETOOLONG, "%s", d->options.run_dir);
	/* Whoever can open it can hold the lock, and keep us from starting. */
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0 || fchmod(fd, 0600) < 0)
		return diag_errno(why, errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t len = read(fd, other, sizeof other - 1);

		other[len > 0 ? strcspn(other, "\n") : 0] = '\0';
		(void)close(fd);
		return diag_fail(why, EBUSY, "another cordond (process %s) runs already with %s: one host, one cordond",
				 *other ? other : "?", d->options.run_dir);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
		return diag_errno(why, errno, "write %s", path);
	return 0; /* fd stays open on purpose */
}

static int open_export(struct daemon *d, struct diag *why)
{
	if (!d->options.export_keys)
		return 0;
	d->export_fd = open(d->options.export_keys, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (d->export_fd < 0 || fchmod(d->export_fd, 0600) < 0)
		return diag_errno(why, errno, "open %s", d->options.export_keys);
	log_warning("the keys of all security associations are written to %s: for a lab only", d->options.export_keys);
	return 0;
}

/* ---- what it can be told to do ----------------------------------------------------------------------------------- */

static void say_report(const struct report *r)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_text(r, isatty(STDERR_FILENO) == 1, &out);
	(void)fputs(str_text(&out), stderr);
}

/* Could the plane that the page wants carry this plan? The kernel tells only those who may ask. */
static int check_plane(struct daemon *d, const struct plan *plan, struct diag *why)
{
	int r;

	if (check_rights("", NULL) < 0) {
		(void)fputs("note: whether this kernel offers what the data plane needs can be seen by root only\n",
			    stderr);
		return 0;
	}
	if ((r = plane_choose(d->config->data_plane, plan, &d->plane_is, why)) < 0)
		return r;
	return d->plane_is.plane == GATE_PLANE_TUN ? check_tun(why) : 0;
}

static void say_checked(const struct daemon *d, size_t bad)
{
	(void)printf("Page and policy are right; %s can be enforced here", d->source);
	if (bad == 1)
		(void)printf(", but for what the warning above names");
	else if (bad)
		(void)printf(", but for what the %zu warnings above name", bad);
	(void)puts(".");
}

static int do_check(struct daemon *d, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	struct text *text = NULL;
	int r;

	if ((r = page_read(d, why)) < 0 ||
	    (r = host_facts_read(d->config, &d->homes, d->options.root, &d->facts, why)) < 0)
		return r;
	if ((r = text_read(d->source, CONTROL_POLICY_MOST, &text, why)) == -ENOENT && !d->source_named) {
		(void)printf("The page is right; there is no policy at %s yet.\n", d->source);
		return 0;
	}
	if (r < 0)
		return r;
	r = candidate_make(d, text, &c, why);
	say_report(c.report);
	if (r < 0 || (r = check_plane(d, c.plan, why)) < 0)
		return r;
	say_checked(d, proofs_check(d, c.plan));
	return 0;
}

static int do_uninstall(const struct daemon *d, struct diag *why)
{
	struct diag none = { 0 };
	int r;

	if ((r = check_rights("sudo cordond --uninstall-rules", why)) < 0 ||
	    (r = gate_uninstall(&gate_default, why)) < 0)
		return r;
	(void)xfrm_remove_all(&none); /* there is nothing where the kernel has no XFRM */
	packets_wait_end(d->options.state_dir);
	(void)puts("Every rule and route of Cordon is gone from this host. Nothing is protected.");
	return 0;
}

static int do_load(struct daemon *d, struct diag *why)
{
	struct diag page = { 0 };
	int r;

	if ((r = check_rights("systemctl start cordon-ruleset", why)) < 0)
		return r;
	if (page_read(d, &page) < 0) {
		log_error("%s", page.text);
		host_config_free(d->config);
		d->config = NULL;
	}
	if (d->config && plane_choose(d->config->data_plane, NULL, &d->plane_is, &page) == 0)
		d->gate_config.plane = d->plane_is.plane;
	return boot_load(d, why);
}

/* Which own certificates followed which is known from run to run. */
static void read_lineage(struct daemon *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	char path[PATH_TEXT];

	d->lineage = lineage_new();
	if (snprintf(path, sizeof path, "%s/renewals", d->options.state_dir) < (int)sizeof path &&
	    text_read(path, LINEAGE_MOST * 256, &t, NULL) == 0)
		lineage_read(d->lineage, t->octets);
}

/* Without it all works; a restart is noticed a little later. */
static void read_secret(struct daemon *d)
{
	struct diag why = { 0 };

	if (secret_load(d->options.state_dir, d->crash_secret, sizeof d->crash_secret, &why) < 0)
		log_warning("peers will notice a restart late: %s", why.text);
}

/* Before the first policy is read: what its plane has to have. */
static int prepare_plane(struct daemon *d, struct diag *why)
{
	int r = plane_choose(d->config->data_plane, NULL, &d->plane_is, why);

	if (r < 0)
		return r;
	d->gate_config.plane = d->plane_is.plane;
	return d->plane_is.plane == GATE_PLANE_TUN ? check_tun(why) : 0;
}

static int prepare(struct daemon *d, struct diag *why)
{
	int r;

	if ((r = check_rights("systemctl start cordon", why)) < 0 || (r = page_read(d, why)) < 0 ||
	    (r = prepare_plane(d, why)) < 0 || (r = lock_run_dir(d, why)) < 0 ||
	    (r = sockets_open(d->gate_config.mark_own, &d->sockets, why)) < 0 || (r = open_export(d, why)) < 0 ||
	    (r = state_open(d->options.state_dir, &d->state, why)) < 0 || (r = host_watch_open(&d->host_fd, why)) < 0 ||
	    (r = host_facts_read(d->config, &d->homes, d->options.root, &d->facts, why)) < 0)
		return r;
	read_lineage(d);
	read_secret(d);
	nft_while_working(daemon_working);
	return gate_new(&d->gate_config, &d->gate, why);
}

static void started(struct daemon *d)
{
	daemon_event(d, EVENT_STARTED, "cordond " CORDON_VERSION " watches over %s", d->name ? d->name : "this host");
	service_ready(d);
}

static int do_run(struct daemon *d, struct diag *why)
{
	int r = table_seed(why);

	if (r < 0)
		return r;
	d->started_ms = unix_now_ms();
	follow_start(d);
	if ((r = uv_loop_init(&d->loop)) < 0)
		return diag_errno(why, r, "start the event loop");
	if ((r = prepare(d, why)) == 0 && (r = daemon_loop_start(d, why)) == 0) {
		ready_wait(d, started);
	} else {
		d->observer.emit = NULL; /* nothing was started that could stop */
		daemon_stop(d);
	}
	(void)uv_run(&d->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&d->loop);
	return r;
}

static void daemon_wipe(struct daemon *d)
{
	plan_file_free(d->plan_file);
	plan_free(d->plan);
	policy_free(d->policy);
	report_free(d->report);
	gate_free(d->gate);
	sockets_free(d->sockets);
	state_free(d->state);
	exemptions_free(d->exemptions);
	host_facts_free(d->facts);
	lineage_free(d->lineage);
	follow_free(d);
	if (d->config_first != d->config)
		host_config_free(d->config_first);
	host_config_free(d->config);
	if (d->host_fd >= 0)
		(void)close(d->host_fd);
	if (d->export_fd >= 0)
		(void)close(d->export_fd);
}

int main(int argc, char **argv)
{
	struct daemon d = { .gate_config = gate_default, .host_fd = -1, .export_fd = -1 };
	struct diag why = { 0 };
	bool runs = false;
	int status, r;

	log_start("cordond");
	if (!options_parse(argc, argv, &d.options, &status))
		return status;
	if (d.options.uninstall_rules)
		r = do_uninstall(&d, &why);
	else if (d.options.load_rules)
		r = do_load(&d, &why);
	else if (d.options.check)
		r = do_check(&d, &why);
	else {
		runs = true;
		r = do_run(&d, &why);
	}
	daemon_wipe(&d);
	if (r < 0)
		log_error("%s", why.text);
	if (r < 0 && runs)
		service_failed(d.options.run_dir, why.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
