#include "tools/lab/directory.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/lab/cell.h"
#include "tools/lab/domain.h"
#include "tools/lab/entries.h"
#include "tools/lab/folder.h"
#include "tools/lab/network.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MAKE_WITHIN_MS = 300000, /* on a machine with much else to do */
	ANSWER_WITHIN_MS = 120000,
	TURN_MS = 50,
	SECRET_OCTETS = 24,
	LOG_MOST = 64 << 20,
	FILE_MOST = 16 << 20,
};

const char directory_keytab[] = "/etc/cordon/lab/host.keytab";

struct directory {
	struct directory_options options;
	char *folder, *etc, *keytabs, *base; /* base: Samba's own; it is what can be kept for another lab */
	char *log, *smb_conf, *database;
	struct entries_secret *secrets; /* by host */
	char *cached;                   /* in CORDON_LAB_CACHE; NULL: nothing is kept */
	pid_t pid;                      /* of Samba's cell; 0: it is off */
};

static char *join(const char *a, const char *b)
{
	struct str s = { 0 };

	str_addf(&s, "%s/%s", a, b);
	return s.text;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int space_of(const struct directory *y)
{
	return network_space(y->options.network, y->options.domain->controller_index);
}

static int make_secret(struct entries_secret *ret, struct diag *d)
{
	uint8_t octets[SECRET_OCTETS];

	if (getrandom(octets, sizeof octets, 0) != (ssize_t)sizeof octets)
		return diag_errno(d, errno, "getrandom");
	for (size_t i = 0; i < sizeof octets; i++)
		(void)snprintf(ret->text + 2 * i, 3, "%02x", octets[i]);
	ret->text[0] = 'P'; /* Windows asks for three kinds of characters */
	ret->text[1] = '-';
	ret->text[2] = 'w';
	ret->text[3] = '7';
	explicit_bzero(octets, sizeof octets);
	return 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int put(const char *folder, const char *name, const struct str *text, unsigned mode, struct diag *d)
{
	char *path = join(folder, name);
	int e = text_replace(path, str_text(text), text->len, mode, d);

	free(path);
	return e;
}

static int write_krb5_conf(const struct directory *y, struct diag *d)
{
	SCOPED(str_wipe) struct str s = { 0 };
	const struct domain *m = y->options.domain;
	char kdc[ADDR_TEXT];

	(void)addr_text(&m->address, kdc);
	str_addf(&s,
		 "# Made by cordon lab.\n[libdefaults]\n\tdefault_realm = %s\n\tdns_lookup_realm = false\n"
		 "\tdns_lookup_kdc = false\n\trdns = false\n\tdns_canonicalize_hostname = false\n",
		 m->realm);
	if (y->options.ticket_lifetime_s)
		str_addf(&s, "\tticket_lifetime = %us\n", (unsigned)y->options.ticket_lifetime_s);
	str_addf(&s,
		 "[realms]\n\t%s = {\n\t\tkdc = %s\n\t\tkpasswd_server = %s\n\t}\n[domain_realm]\n\t.%s = %s\n\t%s = "
		 "%s\n",
		 m->realm, kdc, kdc, m->name, m->realm, m->name, m->realm);
	return put(y->etc, "krb5.conf", &s, 0644, d);
}

static int write_hosts(const struct directory *y, struct diag *d)
{
	SCOPED(str_wipe) struct str s = { 0 };
	const struct domain *m = y->options.domain;
	const struct host *hosts;
	size_t n = policy_hosts(m->policy, &hosts);

	str_add(&s, "# Made by cordon lab.\n127.0.0.1 localhost\n::1 localhost\n");
	for (size_t i = 0; i < n; i++)
		for (size_t a = 0; a < hosts[i].address_count && domain_can_name(&hosts[i]); a++) {
			char text[ADDR_TEXT], name[DOMAIN_HOST];

			domain_host_name(m, &hosts[i], name);
			str_addf(&s, "%s %s %.*s\n", addr_text(&hosts[i].addresses[a].addr, text), name,
				 (int)strcspn(name, "."), name);
		}
	return put(y->etc, "hosts", &s, 0644, d);
}

static int write_resolv_conf(const struct directory *y, struct diag *d)
{
	SCOPED(str_wipe) struct str s = { 0 };
	const struct domain *m = y->options.domain;
	char text[ADDR_TEXT];

	str_addf(&s, "# Made by cordon lab.\nsearch %s\n", m->name);
	if (m->dns)
		str_addf(&s, "nameserver %s\n", addr_text(&m->address, text));
	return put(y->etc, "resolv.conf", &s, 0644, d);
}

/* What provisioning writes keeps paths of the machine's own Samba. */
static int write_smb_conf(const struct directory *y, struct diag *d)
{
	static const char *const folders[] = { "etc", "cache", "ncalrpc" };
	SCOPED(str_wipe) struct str s = { 0 };
	const struct domain *m = y->options.domain;
	const char *b = y->base;
	char account[DOMAIN_ACCOUNT];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		char *made;
		int e = folder_make(b, folders[i], &made, d);

		if (e < 0)
			return e;
		(void)chmod(made, 0755);
		free(made);
	}
	domain_account(m->controller, account);
	str_addf(&s,
		 "[global]\n\tnetbios name = %s\n\trealm = %s\n\tworkgroup = %s\n"
		 "\tserver role = active directory domain controller\n"
		 "\tinterfaces = lo eth0\n\tbind interfaces only = yes\n",
		 account, m->realm, m->netbios);
	str_addf(&s,
		 "\tprivate dir = %s/private\n\tstate directory = %s/state\n\tcache directory = %s/cache\n"
		 "\tlock directory = %s\n\tpid directory = %s\n\tncalrpc dir = %s/ncalrpc\n\tbinddns dir = "
		 "%s/bind-dns\n",
		 b, b, b, b, b, b, b);
	/* No time service, no replication, no NetBIOS, no registration in DNS: one controller, whose names are written
	 * when the domain is. */
	str_addf(&s,
		 "\tlog file = %s/log\n\tlogging = file\n\tload printers = no\n\tprintcap name = /dev/null\n"
		 "\tdisable spoolss = yes\n\tdns forwarder =\n"
		 "\tserver services = -dnsupdate, -nbt, -wrepl, -ntp_signd, -kcc, -drepl%s\n"
		 "[sysvol]\n\tpath = %s/state/sysvol\n\tread only = no\n"
		 "[netlogon]\n\tpath = %s/state/sysvol/%s/scripts\n\tread only = no\n",
		 y->folder, m->dns ? "" : ", -dns", b, b, m->name);
	return put(b, "etc/smb.conf", &s, 0644, d);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* One line of what a program said last, for a message. */
static void last_words(const char *path, char *ret, size_t cap)
{
	SCOPED(text_freep) struct text *t = NULL;
	const char *end, *from;

	*ret = '\0';
	if (text_read(path, LOG_MOST, &t, NULL) < 0 || t->len == 0)
		return;
	end = t->octets + t->len;
	while (end > t->octets && end[-1] == '\n')
		end--;
	for (from = end; from > t->octets && from[-1] != '\n'; from--)
		;
	(void)snprintf(ret, cap, ": %.*s", (int)(end - from < 200 ? end - from : 200), from);
}

/* Run a program in a cell to its end, while the lab lives on. */
static int run_in_cell(struct directory *y, const char *const argv[], const char *const environment[], struct diag *d)
{
	char *log = join(y->folder, "made.log"), words[256];
	uint64_t end = now_ms() + MAKE_WITHIN_MS;
	int status = 0, e;
	pid_t pid = 0;

	e = cell_spawn(space_of(y), y->options.domain->controller->name, argv, environment, log, &pid, d);
	while (e == 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > end)
			e = diag_fail(d, ETIMEDOUT, "%s has not ended after %d s", argv[0], MAKE_WITHIN_MS / 1000);
		else
			e = y->options.turn(y->options.context, TURN_MS, d);
		if (e < 0) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, NULL, 0);
		}
	}
	if (e == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		e = diag_fail(
			d, ENOENT,
			"there is no %s here, and the policy asks for Kerberos: install samba, samba-ad-provision, "
			"samba-dsdb-modules, winbind, ldb-tools and krb5-user",
			argv[0]);
	} else if (e == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
		last_words(log, words, sizeof words);
		e = diag_fail(d, EIO, "%s failed%s", argv[0], words);
	}
	free(log);
	return e;
}

/* ldbadd or ldbmodify, straight on the database: the controller may run meanwhile. */
static int write_entries(struct directory *y, const char *program, const struct str *ldif, struct diag *d)
{
	const char *const argv[] = { program, "-H", y->database, NULL };
	int e;

	(void)setenv("SMB_CONF_PATH", y->smb_conf, 1);
	e = space_run(space_of(y), argv, str_text(ldif), d);
	(void)unsetenv("SMB_CONF_PATH");
	return e;
}

/* A keytab from the password (MS-KILE 3.1.1.2 has the salt), with each name that somebody may ask the machine by. */
static int write_keytab(struct directory *y, size_t i, struct diag *d)
{
	static const char *const types[] = { "aes256-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96" };
	static const char *const argv[] = { "ktutil", NULL };
	const struct domain *m = y->options.domain;
	SCOPED(str_wipe) struct str said = { 0 };
	const struct host *hosts;
	char account[DOMAIN_ACCOUNT], name[DOMAIN_HOST];
	const char *path = directory_keytab_of(y, i);
	int e;

	(void)policy_hosts(m->policy, &hosts);
	domain_account(&hosts[i], account);
	domain_host_name(m, &hosts[i], name);
	for (size_t t = 0; t < ARRAY_LEN(types); t++)
		for (unsigned form = 0; form < 3; form++) {
			str_add(&said, "addent -password -p ");
			if (form == 0)
				str_addf(&said, "%s$", account);
			else
				str_addf(&said, "host/%.*s", form == 1 ? (int)strlen(name) : (int)strcspn(name, "."),
					 name);
			str_addf(&said, "@%s -k 1 -e %s -s %shost%s\n%s\n", m->realm, types[t], m->realm, name,
				 y->secrets[i].text);
		}
	(void)unlink(path); /* ktutil adds */
	str_addf(&said, "write_kt %s\nquit\n", path);
	e = space_run(space_of(y), argv, str_text(&said), d);
	explicit_bzero(said.text, said.len);
	if (e == 0 && access(path, R_OK) < 0)
		e = diag_fail(d, EIO, "ktutil wrote no keytab for %s", hosts[i].name);
	return e;
}

/* ---- making it --------------------------------------------------------------------------------------------------- */

static char *cache_of(const struct domain *m)
{
	const char *cache = getenv("CORDON_LAB_CACHE");
	struct str s = { 0 };
	char account[DOMAIN_ACCOUNT], text[ADDR_TEXT];

	if (!cache || *cache != '/')
		return NULL;
	(void)mkdir(cache, 0700); /* where it is there, or cannot be, copying tells */
	domain_account(m->controller, account);
	str_addf(&s, "%s/%s-%s-%s-%s", cache, m->realm, m->netbios, account, addr_text(&m->address, text));
	return s.text;
}

static int copy_tree(struct directory *y, const char *from, const char *to, struct diag *d)
{
	const char *const argv[] = { "cp", "-a", "--", from, to, NULL };

	return space_run(space_of(y), argv, "", d);
}

/* Kept as another lab will find it: whole, or not at all. */
static int keep_for_others(struct directory *y, struct diag *d)
{
	SCOPED(str_wipe) struct str half = { 0 }, secret = { 0 };
	size_t controller = y->options.domain->controller_index;
	int e;

	str_addf(&half, "%s.%ld", y->cached, (long)getpid());
	str_add(&secret, y->secrets[controller].text);
	if ((e = put(y->base, "controller-password", &secret, 0600, d)) < 0 ||
	    (e = copy_tree(y, y->base, str_text(&half), d)) < 0)
		return e;
	if (rename(str_text(&half), y->cached) < 0) { /* somebody was faster */
		const char *const argv[] = { "rm", "-rf", "--", str_text(&half), NULL };

		return space_run(space_of(y), argv, "", d);
	}
	return 0;
}

static int take_kept(struct directory *y, struct diag *d)
{
	char *path = join(y->base, "controller-password");
	SCOPED(text_freep) struct text *t = NULL;
	struct entries_secret *own = &y->secrets[y->options.domain->controller_index];
	int e;

	if ((e = copy_tree(y, y->cached, y->base, d)) == 0 && (e = text_read(path, sizeof own->text - 1, &t, d)) == 0)
		memcpy(own->text, t->octets, t->len + 1);
	free(path);
	return e;
}

static int provision(struct directory *y, struct diag *d)
{
	const struct domain *m = y->options.domain;
	SCOPED(str_wipe)
	struct str realm = { 0 }, short_name = { 0 }, target = { 0 }, machine = { 0 }, admin = { 0 }, host = { 0 },
		   address = { 0 };
	const char *argv[16] = { "samba-tool", "domain", "provision", "--server-role=dc",
				 "--dns-backend=SAMBA_INTERNAL" };
	struct str *const words[] = { &realm, &short_name, &target, &machine, &admin, &host, &address };
	struct entries_secret administrator;
	char name[DOMAIN_HOST], text[ADDR_TEXT];
	int e;

	if ((e = make_secret(&administrator, d)) < 0)
		return e;
	domain_host_name(m, m->controller, name);
	str_addf(&realm, "--realm=%s", m->realm);
	str_addf(&short_name, "--domain=%s", m->netbios);
	str_addf(&target, "--targetdir=%s", y->base);
	str_addf(&machine, "--machinepass=%s", y->secrets[m->controller_index].text);
	str_addf(&admin, "--adminpass=%s", administrator.text);
	str_addf(&host, "--host-name=%.*s", (int)strcspn(name, "."), name);
	str_addf(&address, "--host-%s=%s", m->address.family == 6 ? "ip6" : "ip", addr_text(&m->address, text));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		argv[5 + i] = str_text(words[i]);
	return run_in_cell(y, argv, NULL, d);
}

static int fill(struct directory *y, struct diag *d)
{
	SCOPED(str_wipe) struct str entries = { 0 }, changes = { 0 };
	const struct domain *m = y->options.domain;
	const struct host *hosts;
	size_t n = policy_hosts(m->policy, &hosts);
	int e;

	entries_all(m, y->secrets, &entries);
	entries_controller(m, &changes);
	e = entries.len ? write_entries(y, "ldbadd", &entries, d) : 0;
	explicit_bzero(entries.text, entries.len);
	if (e < 0 || (e = write_entries(y, "ldbmodify", &changes, d)) < 0)
		return e;
	for (size_t i = 0; i < n; i++)
		if (domain_has(m, &hosts[i]) && (e = write_keytab(y, i, d)) < 0)
			return e;
	return 0;
}

int directory_make(struct directory *y, struct diag *d)
{
	bool kept = y->cached && access(y->cached, R_OK) == 0;
	int e;

	if ((e = kept ? take_kept(y, d) : provision(y, d)) < 0 ||
	    (!kept && y->cached && (e = keep_for_others(y, d)) < 0) || (e = write_smb_conf(y, d)) < 0 ||
	    (e = fill(y, d)) < 0)
		return diag_wrap(d, e, "the directory %s", y->options.domain->name);
	return directory_start(y, d);
}

/* ---- its life ---------------------------------------------------------------------------------------------------- */

static bool answers(const struct directory *y, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t len = (socklen_t)addr_to_sockaddr(&y->options.domain->address, port, &at);
	int s = space_socket(space_of(y), at.ss_family, SOCK_STREAM, 0), error = -1;
	socklen_t size = sizeof error;
	bool yes;

	if (s < 0)
		return false;
	/* On its own host it is taken or refused at once. */
	yes = connect(s, (struct sockaddr *)&at, len) == 0;
	if (!yes && errno == EINPROGRESS) {
		struct pollfd row = { .fd = s, .events = POLLOUT };

		yes = poll(&row, 1, TURN_MS) == 1 && getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) == 0 &&
		      error == 0;
	}
	(void)close(s);
	return yes;
}

int directory_start(struct directory *y, struct diag *d)
{
	static const uint16_t ports[] = { 88, 389, 445 };
	const char *const argv[] = { "samba", "--foreground", "--no-process-group", "-s", y->smb_conf, NULL };
	char words[256];
	uint64_t end = now_ms() + ANSWER_WITHIN_MS;
	int e;

	if (y->pid)
		return 0;
	if ((e = cell_spawn(space_of(y), y->options.domain->controller->name, argv, NULL, y->log, &y->pid, d)) < 0)
		return e;
	for (size_t i = 0; e == 0 && i < ARRAY_LEN(ports);) {
		if (answers(y, ports[i]))
			i++;
		else if ((e = directory_reap(y, d)) == 0 && now_ms() > end)
			e = diag_fail(d, ETIMEDOUT, "the domain controller does not answer on port %u after %d s",
				      ports[i], ANSWER_WITHIN_MS / 1000);
		else if (e == 0)
			e = y->options.turn(y->options.context, TURN_MS, d);
	}
	if (e == -ECHILD) {
		last_words(y->log, words, sizeof words);
		(void)diag_fail(d, ECHILD, "the domain controller (samba) did not start%s", words);
	}
	return e;
}

void directory_stop(struct directory *y)
{
	if (!y->pid)
		return;
	(void)kill(y->pid, SIGKILL);
	(void)waitpid(y->pid, NULL, 0);
	y->pid = 0;
}

bool directory_runs(const struct directory *y)
{
	return y->pid != 0;
}

int directory_reap(struct directory *y, struct diag *d)
{
	if (y->pid == 0 || waitpid(y->pid, NULL, WNOHANG) != y->pid)
		return 0;
	y->pid = 0;
	return diag_fail(d, ECHILD, "the domain controller (samba) has ended; its log is %s", y->log);
}

static int change_group(struct directory *y, const char *group, const struct str *ldif, struct diag *d)
{
	int e = write_entries(y, "ldbmodify", ldif, d);

	return e < 0 ? diag_wrap(d, e, "group %s of the directory", group) : 0;
}

int directory_member(struct directory *y, const char *group, const struct host *h, bool add, struct diag *d)
{
	SCOPED(str_wipe) struct str ldif = { 0 };

	entries_member(y->options.domain, group, h, add, &ldif);
	return change_group(y, group, &ldif, d);
}

int directory_delete_group(struct directory *y, const char *group, struct diag *d)
{
	SCOPED(str_wipe) struct str ldif = { 0 };

	entries_delete_group(y->options.domain, group, &ldif);
	return change_group(y, group, &ldif, d);
}

/* ---- for hosts --------------------------------------------------------------------------------------------------- */

const char *directory_smb_conf(const struct directory *y)
{
	return y->smb_conf;
}

const char *directory_etc(const struct directory *y)
{
	return y->etc;
}

const char *directory_keytab_of(const struct directory *y, size_t host)
{
	static char path[4096];
	const struct host *hosts;

	(void)policy_hosts(y->options.domain->policy, &hosts);
	if (!domain_has(y->options.domain, &hosts[host]))
		return NULL;
	(void)snprintf(path, sizeof path, "%s/%s.keytab", y->keytabs, hosts[host].name);
	return path;
}

static int copy_file(const char *from, const char *root, const char *to, unsigned mode, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	char *path = join(root, to);
	int e;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0700);
		*slash = '/';
	}
	if ((e = text_read(from, FILE_MOST, &t, d)) == 0)
		e = text_replace(path, t->octets, t->len, mode, d);
	free(path);
	return e;
}

int directory_equip(const struct directory *y, size_t host, const char *root, struct diag *d)
{
	static const char *const files[] = { "krb5.conf", "hosts", "resolv.conf" };
	const char *keytab = directory_keytab_of(y, host);
	int e = keytab ? copy_file(keytab, root, directory_keytab + 1, 0600, d) : 0;

	for (size_t i = 0; e == 0 && i < ARRAY_LEN(files); i++) {
		char *from = join(y->etc, files[i]), *to = join("etc", files[i]);

		e = copy_file(from, root, to, 0644, d);
		free(from);
		free(to);
	}
	return e;
}

int directory_new(const struct directory_options *o, struct directory **ret, struct diag *d)
{
	SCOPED(directory_freep) struct directory *y = mem_new(1, sizeof *y);
	const struct host *hosts;
	size_t n = policy_hosts(o->domain->policy, &hosts);
	int e;

	y->options = *o;
	y->secrets = mem_new(n, sizeof *y->secrets);
	y->cached = cache_of(o->domain);
	for (size_t i = 0; i < n; i++)
		if ((e = make_secret(&y->secrets[i], d)) < 0)
			return e;
	if ((e = folder_make(o->folder, ".directory", &y->folder, d)) < 0 ||
	    (e = folder_make(y->folder, "etc", &y->etc, d)) < 0 ||
	    (e = folder_make(y->folder, "keytabs", &y->keytabs, d)) < 0)
		return e;
	y->base = join(y->folder, "samba");
	y->smb_conf = join(y->base, "etc/smb.conf");
	y->database = join(y->base, "private/sam.ldb");
	y->log = o->keep ? join(o->keep, "samba.log") : join(y->folder, "samba.log");
	if ((e = write_krb5_conf(y, d)) < 0 || (e = write_hosts(y, d)) < 0 || (e = write_resolv_conf(y, d)) < 0)
		return e;
	*ret = TAKE(y);
	return 0;
}

void directory_free(struct directory *y)
{
	const struct host *hosts;

	if (!y)
		return;
	directory_stop(y);
	explicit_bzero(y->secrets, policy_hosts(y->options.domain->policy, &hosts) * sizeof *y->secrets);
	free(y->secrets);
	free(y->folder);
	free(y->etc);
	free(y->keytabs);
	free(y->base);
	free(y->log);
	free(y->smb_conf);
	free(y->database);
	free(y->cached);
	free(y);
}
