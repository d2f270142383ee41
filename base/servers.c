#include "base/servers.h"

#include "base/text.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MOST = 1 << 20, PATH_TEXT = 4096 };

static void add(struct servers *s, enum server_kind k, const struct addr *a)
{
	if (addr_is_loopback(a) || addr_is_link_local(a) || addr_is_multicast(a))
		return;
	for (size_t i = 0; i < s->counts[k]; i++)
		if (addr_equal(&s->all[k][i], a))
			return;
	if (s->counts[k] < SERVERS_MOST)
		s->all[k][s->counts[k]++] = *a;
}

/* Every address among the words of the lines that begin with `key` (blanks before it do not count). */
static void read_keys(struct servers *s, const char *root, const char *path, enum server_kind k, const char *key)
{
	SCOPED(text_freep) struct text *t = NULL;
	char full[PATH_TEXT], *rest, *line;

	if (snprintf(full, sizeof full, "%s%s", root ? root : "", path) >= (int)sizeof full ||
	    text_read(full, FILE_MOST, &t, NULL) < 0)
		return;
	rest = t->octets;
	while ((line = strsep(&rest, "\n"))) {
		char *word;

		line += strspn(line, " \t");
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		line += strlen(key);
		while ((word = strsep(&line, " \t=,;"))) {
			struct addr a;

			if (*word && addr_parse(word, strcspn(word, "%"), &a, NULL) == 0)
				add(s, k, &a);
		}
	}
}

static void read_leases(struct servers *s, const char *root, const char *pattern, enum server_kind k, const char *key)
{
	char full[PATH_TEXT];
	glob_t g;

	if (snprintf(full, sizeof full, "%s%s", root ? root : "", pattern) >= (int)sizeof full)
		return;
	if (glob(full, GLOB_NOSORT, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++)
		read_keys(s, NULL, g.gl_pathv[i], k, key);
	globfree(&g);
}

void servers_read(const char *root, struct servers *ret)
{
	static const char networkd[] = "/run/systemd/netif/leases/*";
	static const char dhclient[] = "/var/lib/dhcp/dhclient*.leases";

	*ret = (struct servers){ 0 };
	read_keys(ret, root, "/etc/resolv.conf", SERVER_DNS, "nameserver");
	if (ret->counts[SERVER_DNS] == 0) /* a local stub: the servers behind it */
		read_keys(ret, root, "/run/systemd/resolve/resolv.conf", SERVER_DNS, "nameserver");
	read_leases(ret, root, networkd, SERVER_DHCP, "SERVER_ADDRESS=");
	read_leases(ret, root, dhclient, SERVER_DHCP, "option dhcp-server-identifier");
	read_leases(ret, root, dhclient, SERVER_WINS, "option netbios-name-servers");
}
