#include "policy/host_config.h"

#include "base/diag.h"
#include "base/text.h"
#include "policy/host_interfaces.h"
#include "policy/policy.h"
#include "policy/load/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	PAGE_OCTETS_MOST = 1 << 20,
	ITEMS_MOST = 256,
	EXEMPTION_LEAST_MS = 60000,
	EXEMPTION_MOST_MS = 7 * 24 * 3600 * 1000,
	KEEPALIVE_LEAST_MS = 1000,
	KEEPALIVE_MOST_MS = 3600000,
	SERVERS_MOST = 16,
	REFRESH_LEAST_MS = 60000,
	REFRESH_MOST_MS = 24 * 3600 * 1000,
};
#define EVENTS_SIZE_LEAST UINT64_C(100000)
#define EVENTS_SIZE_MOST UINT64_C(100000000000)

static const char default_policy[] = "/etc/cordon/policy.yaml";

struct page {
	struct reading rd;
	struct host_config *c;
	const char *folder; /* of the page, with its slash; relative paths begin here */
};

/* A path, made absolute by the page's folder unless it is. */
static bool read_path(struct page *p, uint32_t node, const char *what, const char **ret)
{
	const char *text;
	size_t len, folder;
	char *path;

	if (!read_word(&p->rd, node, what, &text, &len))
		return false;
	folder = text[0] == '/' ? 0 : strlen(p->folder);
	path = arena_new(p->rd.memory, folder + len + 1, 1);
	memcpy(path, p->folder, folder);
	memcpy(path + folder, text, len);
	*ret = path;
	return true;
}

static bool few(struct page *p, uint32_t node, const char *what)
{
	if (!node_is_map(&p->rd, node) && item_count(&p->rd, node) <= ITEMS_MOST)
		return true;
	read_error(&p->rd, "wrong-type", node, "%s is a list of at most %d items", what, ITEMS_MOST);
	return false;
}

static void read_certificates(struct page *p, uint32_t node)
{
	static const struct map_key keys[] = { { "certificate", true }, { "key", true } };
	struct host_config *c = p->c;

	if (yaml_at(p->rd.y, node)->kind == YAML_SCALAR ||
	    (!node_is_map(&p->rd, node) && !few(p, node, "certificates"))) {
		if (yaml_at(p->rd.y, node)->kind == YAML_SCALAR)
			read_error(&p->rd, "wrong-type", node,
				   "certificates is a list of { certificate: FILE, key: FILE }, not a single value");
		return;
	}
	c->certificates = arena_new(p->rd.memory, item_count(&p->rd, node), sizeof *c->certificates);
	for (uint32_t i = item_first(&p->rd, node); i; i = item_next(&p->rd, node, i)) {
		struct host_certificate *one = &c->certificates[c->certificate_count];
		uint32_t v[ARRAY_LEN(keys)];

		one->place = yaml_place(p->rd.y, i);
		if (read_map(&p->rd, i, "a certificate", keys, ARRAY_LEN(keys), v) &&
		    read_path(p, v[0], "certificate", &one->certificate) && read_path(p, v[1], "key", &one->key))
			c->certificate_count++;
	}
}

static size_t read_paths(struct page *p, uint32_t node, const char *key, const char *what, const char ***ret)
{
	size_t n = 0;

	if (!few(p, node, key))
		return 0;
	*ret = arena_new(p->rd.memory, item_count(&p->rd, node), sizeof(char *));
	for (uint32_t i = item_first(&p->rd, node); i; i = item_next(&p->rd, node, i))
		if (read_path(p, i, what, &(*ret)[n]))
			n++;
	return n;
}

/* policy: a file, { file: PATH }, or a list of them in the order in which they are merged. */
static void read_sources(struct page *p, uint32_t node)
{
	static const struct map_key keys[] = { { "file", true } };
	struct host_config *c = p->c;

	if (yaml_at(p->rd.y, node)->kind == YAML_LIST && !few(p, node, "policy"))
		return;
	c->policy_files = arena_new(p->rd.memory, item_count(&p->rd, node), sizeof(char *));
	c->policy_file_count = 0;
	for (uint32_t i = item_first(&p->rd, node); i; i = item_next(&p->rd, node, i)) {
		uint32_t v[1] = { i };

		if (node_is_map(&p->rd, i) && !read_map(&p->rd, i, "a source of policy", keys, 1, v))
			continue;
		if (read_path(p, v[0], "the file of a policy", &c->policy_files[c->policy_file_count]))
			c->policy_file_count++;
	}
	if (item_count(&p->rd, node) == 0)
		read_error(&p->rd, "bad-value", node, "policy names at least one source; leave it out for %s",
			   default_policy);
}

static void read_kdcs(struct page *p, uint32_t node, struct host_realm *realm)
{
	realm->kdcs = arena_new(p->rd.memory, item_count(&p->rd, node), sizeof *realm->kdcs);
	for (uint32_t i = item_first(&p->rd, node); i; i = item_next(&p->rd, node, i)) {
		struct diag why;
		const char *text;
		size_t len;

		if (!read_word(&p->rd, i, "the address of a KDC", &text, &len))
			continue;
		if (addr_parse(text, len, &realm->kdcs[realm->kdc_count], &why) < 0)
			finding_advise(read_error(&p->rd, "bad-address", i, "%s", why.text),
				       "kdc takes addresses; leave it out where DNS shall name the KDCs");
		else
			realm->kdc_count++;
	}
}

/* kerberos: { CORP.EXAMPLE: { kdc: [10.0.0.1] } } */
static void read_kerberos(struct page *p, uint32_t node)
{
	static const struct map_key keys[] = { { "kdc", true } };
	struct host_config *c = p->c;

	if (!read_pairs(&p->rd, node, "kerberos:"))
		return;
	if (yaml_at(p->rd.y, node)->count > 2 * HOST_REALMS_MOST) {
		read_error(&p->rd, "too-many", node, "kerberos has over %d realms", HOST_REALMS_MOST);
		return;
	}
	c->realms = arena_new(p->rd.memory, yaml_at(p->rd.y, node)->count, sizeof *c->realms);
	for (uint32_t i = pair_first(&p->rd, node); i; i = pair_next(&p->rd, i)) {
		struct host_realm *one = &c->realms[c->realm_count];
		uint32_t v[1], value = pair_value(&p->rd, i);

		if (!read_string(&p->rd, i, "the name of a realm", &one->name) ||
		    !read_map(&p->rd, value, "a Kerberos realm", keys, ARRAY_LEN(keys), v))
			continue;
		if (strlen(one->name) > HOST_REALM_TEXT)
			read_error(&p->rd, "bad-value", i, "the name of a realm has at most %d characters",
				   HOST_REALM_TEXT);
		for (size_t k = 0; k < c->realm_count; k++)
			if (strcasecmp(c->realms[k].name, one->name) == 0)
				read_error(&p->rd, "duplicate-key", i, "realm '%.60s' is there twice", one->name);
		if (item_count(&p->rd, v[0]) > HOST_KDCS_MOST || item_count(&p->rd, v[0]) == 0) {
			read_error(&p->rd, "bad-value", v[0], "kdc is a list of 1 to %d addresses", HOST_KDCS_MOST);
			continue;
		}
		read_kdcs(p, v[0], one);
		c->realm_count++;
	}
}

static void read_keepalive(struct page *p, uint32_t node)
{
	uint64_t ms;

	if (!read_duration_ms_or(&p->rd, node, "nat-keepalive", ", or 0 for never", &ms))
		return;
	if (ms && (ms < KEEPALIVE_LEAST_MS || ms > KEEPALIVE_MOST_MS))
		read_error(&p->rd, "bad-value", node, "nat-keepalive is 1s to 1h, or 0 for never");
	else
		p->c->nat_keepalive_ms = (uint32_t)ms;
}

static void read_workers(struct page *p, uint32_t node)
{
	char word[4];

	if (node_is(&p->rd, node, "auto"))
		return;
	for (unsigned n = 1; n <= HOST_WORKERS_MOST; n++) {
		(void)snprintf(word, sizeof word, "%u", n);
		if (node_is(&p->rd, node, word)) {
			p->c->workers = n;
			return;
		}
	}
	read_error(&p->rd, "bad-value", node, "workers is auto, or a number from 1 to %d", HOST_WORKERS_MOST);
}

static void read_exemption(struct page *p, uint32_t node)
{
	uint64_t ms;

	if (!read_duration_ms_or(&p->rd, node, "longest-exemption", ", or 0 for none", &ms))
		return;
	if (ms && (ms < EXEMPTION_LEAST_MS || ms > EXEMPTION_MOST_MS))
		read_error(&p->rd, "bad-value", node, "longest-exemption is 1m to 168h, or 0 for none");
	else
		p->c->longest_exemption_ms = (uint32_t)ms;
}

/* events: { file: PATH or none, size: 10MB, count: 5 } */
static void read_events(struct page *p, uint32_t node)
{
	enum { FILE_, SIZE, COUNT, KEYS };
	static const struct map_key keys[KEYS] = {
		[FILE_] = { "file", false }, [SIZE] = { "size", false }, [COUNT] = { "count", false }
	};
	struct host_events *e = &p->c->events;
	uint32_t v[KEYS];
	uint64_t n;

	if (!read_map(&p->rd, node, "events", keys, KEYS, v))
		return;
	e->none = v[FILE_] && node_is(&p->rd, v[FILE_], "none");
	if (v[FILE_] && !e->none)
		(void)read_path(p, v[FILE_], "the file of events", &e->file);
	if (v[SIZE] && read_octets(&p->rd, v[SIZE], "size", &n)) {
		if (n < EVENTS_SIZE_LEAST || n > EVENTS_SIZE_MOST)
			read_error(&p->rd, "bad-value", v[SIZE], "the file of events is of 100kB to 100GB");
		else
			e->size = n;
	}
	if (v[COUNT] && read_number(&p->rd, v[COUNT], "count", HOST_EVENTS_COUNT_MOST, &n))
		e->count = (unsigned)n;
}

/* directory: a server, a list of them, or { realm: CORP.EXAMPLE, servers: [...], refresh: 15m } */
static void read_servers(struct page *p, uint32_t node)
{
	struct host_directory *t = &p->c->directory;

	if (node_is_map(&p->rd, node) || item_count(&p->rd, node) > SERVERS_MOST) {
		read_error(&p->rd, "wrong-type", node, "the servers of the directory are a list of at most %d",
			   SERVERS_MOST);
		return;
	}
	t->servers = arena_new(p->rd.memory, item_count(&p->rd, node), sizeof(char *));
	for (uint32_t i = item_first(&p->rd, node); i; i = item_next(&p->rd, node, i))
		if (read_string(&p->rd, i, "a server of the directory", &t->servers[t->server_count]))
			t->server_count++;
}

static void read_directory(struct page *p, uint32_t node)
{
	enum { REALM, SERVERS, REFRESH, KEYS };
	static const struct map_key keys[KEYS] = {
		[REALM] = { "realm", false }, [SERVERS] = { "servers", false }, [REFRESH] = { "refresh", false }
	};
	struct host_directory *t = &p->c->directory;
	uint32_t v[KEYS];
	uint64_t ms;

	if (!node_is_map(&p->rd, node)) {
		read_servers(p, node);
		return;
	}
	if (!read_map(&p->rd, node, "directory", keys, KEYS, v))
		return;
	if (v[REALM])
		(void)read_string(&p->rd, v[REALM], "realm", &t->realm);
	if (v[SERVERS])
		read_servers(p, v[SERVERS]);
	if (!v[REFRESH] || !read_duration_ms_or(&p->rd, v[REFRESH], "refresh", "", &ms))
		return;
	if (ms < REFRESH_LEAST_MS || ms > REFRESH_MOST_MS)
		read_error(&p->rd, "bad-value", v[REFRESH], "the directory is asked again after 1m to 24h");
	else
		t->refresh_ms = (uint32_t)ms;
}

static void read_version(struct page *p, uint32_t node)
{
	if (!node_is(&p->rd, node, "1"))
		read_error(&p->rd, "bad-value", node, "this program knows version 1 of the page: cordon: 1");
}

static void read_name(struct page *p, uint32_t node)
{
	(void)read_string(&p->rd, node, "name", &p->c->name);
}

static void read_trust(struct page *p, uint32_t node)
{
	p->c->trust_count = read_paths(p, node, "trust", "a file of trusted authorities", &p->c->trust);
}

static void read_lists(struct page *p, uint32_t node)
{
	p->c->revocation_list_count = read_paths(p, node, "revocation-lists", "a file or folder of revocation lists",
						 &p->c->revocation_lists);
}

static void read_keytab(struct page *p, uint32_t node)
{
	(void)read_path(p, node, "keytab", &p->c->keytab);
}

static void read_interfaces(struct page *p, uint32_t node)
{
	host_interfaces_read(&p->rd, node, p->c);
}

static void read_zones(struct page *p, uint32_t node)
{
	host_zones_read(&p->rd, node, p->c);
}

static void read_plane(struct page *p, uint32_t node)
{
	static const struct choice planes[] = {
		{ "auto", DATA_PLANE_AUTO },
		{ "kernel", DATA_PLANE_KERNEL },
		{ "userspace", DATA_PLANE_USERSPACE },
	};
	unsigned plane = DATA_PLANE_AUTO;

	(void)read_choice(&p->rd, node, "data-plane", planes, ARRAY_LEN(planes), &plane);
	p->c->data_plane = (enum data_plane)plane;
}

static void read_v1_kerberos(struct page *p, uint32_t node)
{
	static const struct choice readings[] = {
		{ "name-terminated", HOST_KERBEROS_NAME_TERMINATED }, { "name-octets", HOST_KERBEROS_NAME_OCTETS },
		{ "token-bare", HOST_KERBEROS_TOKEN_BARE },           { "hash-prefix", HOST_KERBEROS_HASH_PREFIX },
		{ "hash-octets", HOST_KERBEROS_HASH_OCTETS },         { "hash-unnamed", HOST_KERBEROS_HASH_UNNAMED },
	};

	(void)read_choices(&p->rd, node, "a reading of Kerberos in IKEv1", readings, ARRAY_LEN(readings),
			   &p->c->ikev1_kerberos);
}

static const struct {
	const char *key;
	void (*read)(struct page *p, uint32_t node);
} page_keys[] = {
	{ "cordon", read_version },
	{ "name", read_name },
	{ "certificates", read_certificates },
	{ "trust", read_trust },
	{ "revocation-lists", read_lists },
	{ "keytab", read_keytab },
	{ "kerberos", read_kerberos },
	{ "policy", read_sources },
	{ "interfaces", read_interfaces },
	{ "zones", read_zones },
	{ "data-plane", read_plane },
	{ "workers", read_workers },
	{ "nat-keepalive", read_keepalive },
	{ "ikev1-kerberos", read_v1_kerberos },
	{ "longest-exemption", read_exemption },
	{ "events", read_events },
	{ "directory", read_directory },
};

static void read_page(struct page *p)
{
	struct map_key keys[ARRAY_LEN(page_keys)];
	uint32_t v[ARRAY_LEN(page_keys)], root = p->rd.y->root;

	p->c->data_plane = DATA_PLANE_AUTO;
	p->c->nat_keepalive_ms = HOST_NAT_KEEPALIVE_MS;
	p->c->longest_exemption_ms = HOST_LONGEST_EXEMPTION_MS;
	for (size_t i = 0; i < ARRAY_LEN(page_keys); i++)
		keys[i] = (struct map_key){ page_keys[i].key, false };
	if (!read_map(&p->rd, root, "a host's page", keys, ARRAY_LEN(keys), v) && !node_is_map(&p->rd, root))
		return;
	if (!v[0])
		finding_advise(read_error(&p->rd, "missing-key", root, "the page does not say its version"),
			       "begin it with 'cordon: 1'");
	for (size_t i = 0; i < ARRAY_LEN(page_keys); i++)
		if (v[i])
			page_keys[i].read(p, v[i]);
}

int host_config_parse(struct text *text, struct report *r, struct host_config **ret)
{
	SCOPED(host_config_freep) struct host_config *c = mem_new(1, sizeof *c);
	SCOPED(yaml_freep) struct yaml *y = NULL;
	const char *slash = strrchr(text->path, '/');
	size_t before = report_count(r, SEVERITY_ERROR);
	struct page page = { .c = c };
	int e;

	if ((e = yaml_parse(text, r, &y)) < 0)
		return e;
	c->memory = mem_new(1, sizeof *c->memory);
	page.rd = (struct reading){ .y = y, .r = r, .memory = c->memory };
	page.folder = arena_string(c->memory, text->path, slash ? (size_t)(slash - text->path) + 1 : 0);
	c->policy_files = arena_new(c->memory, 1, sizeof(char *));
	c->policy_files[0] = default_policy;
	c->policy_file_count = 1;
	c->directory.refresh_ms = HOST_DIRECTORY_REFRESH_MS;
	c->events = (struct host_events){ .size = HOST_EVENTS_SIZE, .count = HOST_EVENTS_COUNT };
	read_page(&page);
	if (report_count(r, SEVERITY_ERROR) > before)
		return -ERR_POLICY;
	*ret = TAKE(c);
	return 0;
}

int host_config_load(const char *path, struct report *r, struct host_config **ret)
{
	struct text *text = NULL;
	struct diag d = { 0 };
	int e;

	if ((e = text_read(path, PAGE_OCTETS_MOST, &text, &d)) < 0) {
		(void)report_add(r, SEVERITY_ERROR, "unreadable", (struct place){ 0 }, "%s", d.text);
		return e;
	}
	return host_config_parse(text, r, ret);
}

void host_config_free(struct host_config *c)
{
	if (!c)
		return;
	if (c->memory)
		arena_wipe(c->memory);
	free(c->memory);
	free(c);
}
