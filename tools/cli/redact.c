#include "tools/cli/redact.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { PATH_TEXT = 4096, FILES_MOST = 1024, DEPTH_MOST = 4 };

static const char removed[] = "[removed]";

struct needle {
	char *octets;
	size_t len;
};

struct redactor {
	struct needle *needles;
	size_t count, cap;
	size_t files;
};

struct redactor *redactor_new(void)
{
	return mem_new(1, sizeof(struct redactor));
}

void redactor_free(struct redactor *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++) {
		explicit_bzero(r->needles[i].octets, r->needles[i].len);
		free(r->needles[i].octets);
	}
	free(r->needles);
	free(r);
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static void learn(struct redactor *r, const char *octets, size_t len)
{
	if (r->count == REDACT_NEEDLES_MOST)
		return;
	r->needles = mem_grow(r->needles, r->count, &r->cap, sizeof *r->needles);
	r->needles[r->count++] = (struct needle){ mem_copy(octets, len), len };
}

static void learn_hex(struct redactor *r, const char *octets, size_t len)
{
	char *hex = mem_new(len, 2);

	for (size_t i = 0; i < len; i++)
		for (int half = 0; half < 2; half++)
			hex[2 * i + (size_t)half] = "0123456789abcdef"[(uint8_t)octets[i] >> (half ? 0 : 4) & 15];
	learn(r, hex, 2 * len);
	explicit_bzero(hex, 2 * len);
	free(hex);
}

/* As it stands in JSON. */
static void learn_escaped(struct redactor *r, const char *octets, size_t len)
{
	char *text = mem_new(len, 2);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (octets[i] == '"' || octets[i] == '\\')
			text[n++] = '\\';
		text[n++] = octets[i];
	}
	if (n > len)
		learn(r, text, n);
	explicit_bzero(text, 2 * len);
	free(text);
}

static void trim(const char **at, size_t *len)
{
	while (*len && isspace((unsigned char)**at))
		(*at)++, (*len)--;
	while (*len && isspace((unsigned char)(*at)[*len - 1]))
		(*len)--;
}

bool redactor_learn(struct redactor *r, const char *path)
{
	SCOPED(text_freep) struct text *t = NULL;
	const char *at, *end;
	size_t len;

	if (r->files++ >= FILES_MOST || text_read(path, REDACT_FILE_MOST, &t, NULL) < 0)
		return false;
	at = t->octets;
	len = t->len;
	trim(&at, &len);
	end = at + len;
	if (len >= REDACT_LEAST) {
		learn(r, at, len);
		learn_escaped(r, at, len);
		if (len <= 256)
			learn_hex(r, at, len);
	}
	while (at < end) {
		const char *line = at, *feed = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((feed ? feed : end) - at);

		at += n + 1;
		trim(&line, &n);
		if (n >= REDACT_LINE_LEAST && strncmp(line, "-----", 5) != 0)
			learn(r, line, n);
	}
	return true;
}

static bool is_secret_file(const char *path)
{
	struct stat s;

	return stat(path, &s) == 0 && S_ISREG(s.st_mode) && !(s.st_mode & S_IROTH);
}

static bool is_among(const char *path, const char *const *paths)
{
	for (size_t i = 0; paths && paths[i]; i++)
		if (strcmp(path, paths[i]) == 0)
			return true;
	return false;
}

static void learn_folder(struct redactor *r, const char *folder, const char *const *except, unsigned depth)
{
	DIR *d = depth < DEPTH_MOST ? opendir(folder) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_TEXT];
		struct stat s;

		if (e->d_name[0] == '.' ||
		    snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path || lstat(path, &s) < 0)
			continue;
		if (S_ISDIR(s.st_mode))
			learn_folder(r, path, except, depth + 1);
		else if (is_secret_file(path) && !is_among(path, except))
			(void)redactor_learn(r, path);
	}
	if (d)
		(void)closedir(d);
}

void redactor_learn_folder(struct redactor *r, const char *folder, const char *const *except)
{
	learn_folder(r, folder, except, 0);
}

static size_t path_length(const char *at, const char *end)
{
	size_t n = 0;

	while (at + n < end && !isspace((unsigned char)at[n]) && !strchr(",;]}\"'#", at[n]))
		n++;
	return n;
}

void redactor_learn_named(struct redactor *r, const char *text, size_t len)
{
	const char *end = text + len;

	for (const char *at = text; at < end; at++) {
		char path[PATH_TEXT];
		size_t n;

		if (*at != '/' || (at > text && !strchr(" \t\"'[{:=", at[-1])))
			continue;
		n = path_length(at, end);
		if (n > 1 && n < sizeof path) {
			memcpy(path, at, n);
			path[n] = '\0';
			if (is_secret_file(path))
				(void)redactor_learn(r, path);
		}
		at += n ? n - 1 : 0;
	}
}

/* ---- taking out -------------------------------------------------------------------------------------------------- */

/* Each looks whether something secret begins at `at`, and returns how much of it there is; *ret_keep is how much of its
 * beginning may stay. */
static size_t private_key(const char *at, const char *end, size_t *ret_keep)
{
	static const char begin[] = "-----BEGIN ", ending[] = "PRIVATE KEY-----";
	const char *line, *last;

	*ret_keep = 0;
	if ((size_t)(end - at) < sizeof begin || memcmp(at, begin, sizeof begin - 1) != 0)
		return 0;
	line = memchr(at, '\n', (size_t)(end - at));
	if (!memmem(at, (size_t)((line ? line : end) - at), ending, sizeof ending - 1))
		return 0;
	last = line ? memmem(line, (size_t)(end - line), ending, sizeof ending - 1) : NULL;
	return (size_t)((last ? last + sizeof ending - 1 : end) - at);
}

/* https://user:password@host */
static size_t credentials_of_url(const char *at, const char *end, size_t *ret_keep)
{
	size_t n = 3;

	if (end - at < 4 || memcmp(at, "://", 3) != 0)
		return 0;
	while (at + n < end && !isspace((unsigned char)at[n]) && !strchr("/@\"'", at[n]))
		n++;
	*ret_keep = 3;
	return at + n < end && at[n] == '@' ? n : 0;
}

/* password: WORD, secret=WORD */
static size_t named_secret(const char *at, const char *end, size_t *ret_keep)
{
	static const char *const names[] = { "password", "passphrase", "passwd", "secret", "token" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t n = strlen(names[i]);

		if ((size_t)(end - at) <= n || strncasecmp(at, names[i], n) != 0 || (at[n] != ':' && at[n] != '='))
			continue;
		for (n++; at + n < end && (at[n] == ' ' || at[n] == '"' || at[n] == '\''); n++)
			;
		*ret_keep = n;
		while (at + n < end && !isspace((unsigned char)at[n]))
			n++;
		return n > *ret_keep ? n : 0;
	}
	return 0;
}

typedef size_t look(const char *at, const char *end, size_t *ret_keep);
static look *const looks[] = { private_key, credentials_of_url, named_secret };

static size_t copy_without_shapes(const char *text, size_t len, struct str *out)
{
	const char *at = text, *end = text + len, *from = text;
	size_t found = 0;

	while (at < end) {
		size_t n = 0, keep = 0;

		for (size_t i = 0; i < ARRAY_LEN(looks) && n == 0; i++)
			n = looks[i](at, end, &keep);
		if (n == 0) {
			at++;
			continue;
		}
		str_add_n(out, from, (size_t)(at - from) + keep);
		str_add(out, removed);
		from = at += n;
		found++;
	}
	str_add_n(out, from, (size_t)(end - from));
	return found;
}

static size_t copy_without(const struct needle *needle, const char *text, size_t len, struct str *out)
{
	const char *at = text, *end = text + len, *hit;
	size_t found = 0;

	while ((hit = memmem(at, (size_t)(end - at), needle->octets, needle->len))) {
		str_add_n(out, at, (size_t)(hit - at));
		str_add(out, removed);
		at = hit + needle->len;
		found++;
	}
	if (found)
		str_add_n(out, at, (size_t)(end - at));
	return found;
}

size_t redactor_copy(const struct redactor *r, const char *text, size_t len, struct str *out)
{
	SCOPED(str_wipe) struct str now = { 0 };
	size_t found = copy_without_shapes(text, len, &now);

	for (size_t i = 0; i < r->count; i++) {
		struct str next = { 0 };
		size_t n = now.len ? copy_without(&r->needles[i], now.text, now.len, &next) : 0;

		if (n) {
			explicit_bzero(now.text, now.len);
			str_wipe(&now);
			now = next;
			found += n;
		}
	}
	if (now.len)
		str_add_n(out, now.text, now.len);
	return found;
}
