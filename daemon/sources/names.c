#include "daemon/sources/names.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SERVERS_TEXT = NAMES_SERVERS_MOST * (ADDR_TEXT + 8) };

struct host {
	char *name;
	struct addr address;
};

struct names {
	char servers[SERVERS_TEXT];
	struct host *hosts;
	size_t count, cap;
};

struct words {
	const char *at;
	size_t left;
};

static bool next_line(struct words *text, struct words *ret)
{
	const char *end;

	if (text->left == 0)
		return false;
	end = memchr(text->at, '\n', text->left);
	ret->at = text->at;
	ret->left = end ? (size_t)(end - text->at) : text->left;
	text->left -= end ? ret->left + 1 : ret->left;
	text->at += end ? ret->left + 1 : ret->left;
	for (size_t i = 0; i < ret->left; i++)
		if (ret->at[i] == '#' || ret->at[i] == ';')
			ret->left = i;
	return true;
}

static bool next_word(struct words *line, struct words *ret)
{
	while (line->left && isspace((unsigned char)*line->at)) {
		line->at++;
		line->left--;
	}
	ret->at = line->at;
	ret->left = 0;
	while (line->left && !isspace((unsigned char)*line->at)) {
		line->at++;
		line->left--;
		ret->left++;
	}
	return ret->left > 0;
}

static void read_servers(struct names *n, struct words text)
{
	struct words line, word;
	size_t len = 0, count = 0;

	while (count < NAMES_SERVERS_MOST && next_line(&text, &line)) {
		char address[ADDR_TEXT];
		struct addr a;

		if (!next_word(&line, &word) || word.left != 10 || memcmp(word.at, "nameserver", 10) != 0 ||
		    !next_word(&line, &word) || addr_parse(word.at, word.left, &a, NULL) < 0)
			continue;
		(void)addr_text(&a, address);
		len += (size_t)snprintf(n->servers + len, sizeof n->servers - len,
					strchr(address, ':') ? "%s[%s]:53" : "%s%s:53", len ? "," : "", address);
		count++;
	}
	if (count == 0)
		(void)snprintf(n->servers, sizeof n->servers, "127.0.0.1:53");
}

static void read_hosts(struct names *n, struct words text)
{
	struct words line, word;

	while (next_line(&text, &line)) {
		struct addr a;

		if (!next_word(&line, &word) || addr_parse(word.at, word.left, &a, NULL) < 0)
			continue;
		while (next_word(&line, &word)) {
			if (word.left >= NAME_MOST)
				continue;
			n->hosts = mem_grow(n->hosts, n->count, &n->cap, sizeof *n->hosts);
			n->hosts[n->count++] = (struct host){ mem_string_n(word.at, word.left), a };
		}
	}
}

struct names *names_parse(const char *resolv_conf, size_t resolv_len, const char *hosts, size_t hosts_len)
{
	struct names *n = mem_new(1, sizeof *n);

	read_servers(n, (struct words){ resolv_conf, resolv_len });
	read_hosts(n, (struct words){ hosts, hosts_len });
	return n;
}

static char *read_all(int fd, size_t *ret_len)
{
	struct stat st;
	char *octets;
	size_t len = 0;
	ssize_t got;

	*ret_len = 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > NAMES_FILE_MOST)
		return mem_new(1, 1);
	octets = mem_new(1, (size_t)st.st_size + 1);
	while (len < (size_t)st.st_size && (got = pread(fd, octets + len, (size_t)st.st_size - len, (off_t)len)) > 0)
		len += (size_t)got;
	*ret_len = len;
	return octets;
}

struct names *names_read(int resolv_conf, int hosts)
{
	size_t resolv_len, hosts_len;
	char *resolv_text = read_all(resolv_conf, &resolv_len), *hosts_text = read_all(hosts, &hosts_len);
	struct names *n = names_parse(resolv_text, resolv_len, hosts_text, hosts_len);

	free(resolv_text);
	free(hosts_text);
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->count; i++)
		free(n->hosts[i].name);
	free(n->hosts);
	free(n);
}

const char *names_servers(const struct names *n)
{
	return n->servers;
}

size_t names_look_up(const struct names *n, const char *name, struct addr ret[NAMES_ADDRESSES_MOST])
{
	size_t count = 0;

	for (size_t i = 0; i < n->count && count < NAMES_ADDRESSES_MOST; i++)
		if (strcasecmp(n->hosts[i].name, name) == 0)
			ret[count++] = n->hosts[i].address;
	return count;
}
