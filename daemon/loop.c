#include "base/diag.h"
#include "base/log.h"
#include "daemon/answers.h"
#include "daemon/force/change.h"
#include "daemon/host/credentials.h"
#include "daemon/host/profiles.h"
#include "daemon/host/zone_watch.h"
#include "daemon/daemon.h"
#include "daemon/force/exempt.h"
#include "daemon/tell/firewall.h"
#include "daemon/tell/follow.h"
#include "daemon/force/force.h"
#include "daemon/keys/filling.h"
#include "daemon/parts/directory.h"
#include "daemon/parts/lists.h"
#include "daemon/parts/parts.h"
#include "daemon/parts/ready.h"
#include "daemon/service.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { SETTLE_MS = 20 }; /* an interface that comes up tells several things at once */

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void say_profiles(struct daemon *d, const struct host_facts *now)
{
	static const char *const names[] = { [0] = "all profiles",
					     [PROFILE_DOMAIN] = "domain",
					     [PROFILE_PRIVATE] = "private",
					     [PROFILE_PUBLIC] = "public" };

	for (size_t i = 0; i < now->interface_count; i++) {
		const char *name = now->interfaces[i].name;
		unsigned is = now->interfaces[i].profile, was = host_facts_profile(d->facts, name);
		struct host_profile p = host_profile_of(now, d->config, &d->homes, name);
		char why[PROFILE_WHY_TEXT];

		if (is != was && is < ARRAY_LEN(names) && was < ARRAY_LEN(names))
			daemon_event(d, EVENT_PROFILE_CHANGED, "%s is in profile %s now; it was in %s: %s", name,
				     names[is], names[was], host_profile_why(&p, why));
	}
}

static void settled(uv_timer_t *t)
{
	struct daemon *d = t->data;
	SCOPED(host_facts_freep) struct host_facts *facts = NULL, *before = NULL;
	bool links;
	size_t come = 0, gone = 0;
	struct diag why = { 0 };

	if (host_facts_read(d->config, &d->homes, d->options.root, &facts, &why) < 0) {
		log_error("%s", why.text);
		return;
	}
	links = !host_facts_same_links(facts, d->facts);
	if (host_facts_equal(facts, d->facts)) {
		host_facts_swap_places(facts, d->facts); /* zones may be others, of the same profiles */
		if (links)
			directory_addresses_changed(d);
		return;
	}
	say_profiles(d, facts);
	before = d->facts;
	d->facts = TAKE(facts);
	for (size_t i = 0; d->engine && i < before->own_count; i++)
		if (!host_facts_have(d->facts, &before->own[i].addr)) {
			engine_address_gone(d->engine, &before->own[i].addr);
			gone++;
		}
	for (size_t i = 0; i < d->facts->own_count; i++)
		come += !host_facts_have(before, &d->facts->own[i].addr);
	if (come || gone || links)
		directory_addresses_changed(d);
	if (force_again(d, &why) < 0)
		daemon_event(d, EVENT_ADDRESSES_CHANGED,
			     "the rules could not be made for the addresses as they are now, those before stay: %s",
			     why.text);
	else
		daemon_event(d, EVENT_ADDRESSES_CHANGED,
			     "this host has %zu addresses (%zu have come, %zu are gone); its rules are made for them",
			     d->facts->own_count, come, gone);
}

void daemon_look_at_addresses(struct daemon *d)
{
	if (!uv_is_active((uv_handle_t *)&d->settle))
		(void)uv_timer_start(&d->settle, settled, SETTLE_MS, 0);
}

static void host_changed(uv_poll_t *p, int status, int events)
{
	struct daemon *d = p->data;

	(void)status;
	(void)events;
	host_watch_drain(d->host_fd);
	daemon_look_at_addresses(d);
}

/* ---- what others do to our rules --------------------------------------------------------------------------------- */

static void say_restored(struct daemon *d, const struct gate_restored *r)
{
	char guarded[96] = "";

	if (r->guarded)
		(void)snprintf(guarded, sizeof guarded, "; the second barrier stopped %" PRIu64 " packet%s meanwhile",
			       r->guarded, r->guarded == 1 ? "" : "s");
	daemon_event(d, EVENT_RULES_RESTORED, "%s changed our %s%s%s%s%s, and all is as it should be again%s",
		     *r->by ? r->by : "another program", r->table ? "nftables table" : "",
		     r->table && (r->rules || r->routes) ? ", " : "", r->rules ? "routing rules" : "",
		     r->rules && r->routes ? ", " : "", r->routes ? "routes" : "", guarded);
}

static void rules_touched(uv_poll_t *p, int status, int events)
{
	struct daemon *d = p->data;
	struct diag why = { 0 };
	struct gate_restored restored = { 0 };

	(void)status;
	(void)events;
	if (gate_check(d->gate, &restored, &why) < 0)
		log_error("rules could not be restored: %s", why.text);
	else if (restored.table || restored.rules || restored.routes)
		say_restored(d, &restored);
	if (restored.others)
		firewall_look_at_others(d);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

static void reload(struct daemon *d)
{
	struct diag why = { 0 };
	bool changed = false;

	service_reloading();
	if (change_reload(d, "cordond (SIGHUP)", &changed, &why) < 0)
		log_error("%s", why.text);
	if (!*why.text)
		log_info("reloaded; the policy %s", changed ? "has changed" : "is the same");
	service_reloaded();
}

static void signalled(uv_signal_t *s, int number)
{
	struct daemon *d = s->data;

	if (number == SIGHUP)
		reload(d);
	else
		daemon_stop(d);
}

/* The loop hears of a signal when it comes round, and while rules are loaded that may be minutes. */
static struct {
	void (*loops)(int); /* the same for all of them */
	volatile sig_atomic_t wanted;
	bool said;
} end;

static void wants_end(int number)
{
	end.wanted = 1;
	end.loops(number);
}

static void hear_end(int number)
{
	struct sigaction a;

	if (sigaction(number, NULL, &a) < 0 || (a.sa_flags & SA_SIGINFO) || a.sa_handler == SIG_DFL ||
	    a.sa_handler == SIG_IGN)
		return;
	end.loops = a.sa_handler;
	a.sa_handler = wants_end;
	(void)sigaction(number, &a, NULL);
}

void daemon_working(void)
{
	service_working();
	if (end.wanted && !end.said)
		log_info("stops when the rules are loaded; they stay in force");
	end.said = end.wanted;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void watch(struct daemon *d, uv_poll_t *p, int fd, uv_poll_cb seen)
{
	p->data = d;
	if (uv_poll_init(&d->loop, p, fd) == 0)
		(void)uv_poll_start(p, UV_READABLE, seen);
}

int daemon_loop_start(struct daemon *d, struct diag *why)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
	struct control_handlers handlers = daemon_handlers;
	char path[4096];
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		d->signals[i].data = d;
		(void)uv_signal_init(&d->loop, &d->signals[i]);
		(void)uv_signal_start(&d->signals[i], signalled, numbers[i]);
		if (numbers[i] != SIGHUP)
			hear_end(numbers[i]);
	}
	d->probation.data = d->settle.data = d;
	(void)uv_timer_init(&d->loop, &d->probation);
	(void)uv_timer_init(&d->loop, &d->settle);
	watch(d, &d->host_poll, d->host_fd, host_changed);
	lists_new(d);
	directory_new(d);
	zone_watch_new(d);
	follow_open(d);
	credentials_new(d);
	exempt_start(d);
	d->plane =
		plane_new(&d->loop, &d->gate_config, d->sockets, &d->children, d->options.state_dir, parts_netlink(d));
	d->filling = keys_filling_new(&d->loop, &d->children, credentials_stale, d);
	if ((r = parts_start(d, why)) < 0 || (r = change_start(d, why)) < 0)
		return r;
	watch(d, &d->gate_poll, gate_watch_fd(d->gate), rules_touched);
	handlers.context = d;
	(void)snprintf(path, sizeof path, "%s/control", d->options.run_dir);
	return control_server_new(&d->loop, path, &handlers, &d->control, why);
}

static void close_handle(uv_handle_t *h)
{
	if (h->data && !uv_is_closing(h))
		uv_close(h, NULL);
}

/* The rules stay in force: without us protected traffic is stopped, not let through. */
void daemon_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	service_stopping(d);
	daemon_event(d, EVENT_STOPPED, "cordond stops; the rules stay in force");
	engine_close(d->engine);
	d->engine = NULL;
	credentials_close(d);
	ready_close(d);
	parts_close(d);
	plane_close(TAKE(d->plane));
	keys_filling_close(TAKE(d->filling));
	lists_close(d);
	directory_close(d);
	zone_watch_close(d);
	answers_close(d);
	control_server_close(d->control);
	for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
		close_handle((uv_handle_t *)&d->signals[i]);
	close_handle((uv_handle_t *)&d->gate_poll);
	close_handle((uv_handle_t *)&d->host_poll);
	close_handle((uv_handle_t *)&d->probation);
	close_handle((uv_handle_t *)&d->settle);
	close_handle((uv_handle_t *)&d->exempt_timer);
	follow_close(d);
}
