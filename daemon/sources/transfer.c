#include "daemon/sources/transfer.h"

#include "base/mem.h"
#include "base/text.h"
#include "daemon/sources/resolve.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

enum { AUTHORITIES_MOST = 16 << 20, SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

struct transfer {
	TAILQ_ENTRY(transfer) entry; /* of those that wait */
	struct transfers *all;
	uint32_t number;
	char url[TRANSFER_URL_MOST], *host, *port;
	CURL *curl;
	struct curl_slist *addresses;
	int fd;
	size_t len;
	bool failed_to_write, too_long;
};

/* A socket of curl's. */
struct watched {
	uv_poll_t poll;
	struct transfers *all;
	curl_socket_t fd;
};

struct transfers {
	uv_loop_t *loop;
	size_t most;
	transfer_done *done;
	void *context;
	CURLM *multi;
	uv_timer_t timer;
	TAILQ_HEAD(waiting, transfer) waiting;
	unsigned running, waiting_count;
};

/* Which web servers are believed: read before the cage. */
static struct text *authorities;

/* ---- curl on our loop -------------------------------------------------------------------------------------------- */

static void collect(struct transfers *all);

static void ready(uv_poll_t *p, int status, int events)
{
	const struct watched *w = p->data;
	struct transfers *t = w->all;
	int running, what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
			    (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) | (status < 0 ? CURL_CSELECT_ERR : 0);

	(void)curl_multi_socket_action(t->multi, w->fd, what, &running);
	collect(t);
}

static void closed(uv_handle_t *h)
{
	free(h->data);
}

static int socket_changed(CURL *curl, curl_socket_t fd, int what, void *context, void *of_socket)
{
	struct transfers *t = context;
	struct watched *w = of_socket;

	(void)curl;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			uv_close((uv_handle_t *)&w->poll, closed);
		(void)curl_multi_assign(t->multi, fd, NULL);
		return 0;
	}
	if (!w) {
		w = mem_new(1, sizeof *w);
		*w = (struct watched){ .all = t, .fd = fd };
		w->poll.data = w;
		if (uv_poll_init(t->loop, &w->poll, fd) < 0) {
			free(w);
			return -1;
		}
		(void)curl_multi_assign(t->multi, fd, w);
	}
	(void)uv_poll_start(&w->poll,
			    (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), ready);
	return 0;
}

static void ticked(uv_timer_t *timer)
{
	struct transfers *t = timer->data;
	int running;

	(void)curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(t);
}

static int timer_changed(CURLM *multi, long wait_ms, void *context)
{
	struct transfers *t = context;

	(void)multi;
	if (wait_ms < 0)
		(void)uv_timer_stop(&t->timer);
	else
		(void)uv_timer_start(&t->timer, ticked, (uint64_t)wait_ms, 0);
	return 0;
}

/* ---- one transfer ------------------------------------------------------------------------------------------------ */

static void transfer_free(struct transfer *t)
{
	if (t->curl) {
		(void)curl_multi_remove_handle(t->all->multi, t->curl);
		curl_easy_cleanup(t->curl);
	}
	curl_slist_free_all(t->addresses);
	curl_free(t->host);
	curl_free(t->port);
	if (t->fd >= 0)
		(void)close(t->fd);
	free(t);
}

static void next_waiting(struct transfers *all);

static void end(struct transfer *t, const struct diag *why)
{
	struct transfers *all = t->all;

	all->done(all->context, t->number, why ? -1 : t->fd, why);
	all->running--;
	transfer_free(t);
	next_waiting(all);
}

static size_t take_octets(char *at, size_t size, size_t n, void *context)
{
	struct transfer *t = context;
	size_t len = size * n, left = len;

	if (len > t->all->most - t->len) {
		t->too_long = true;
		return 0; /* curl takes that for an error */
	}
	while (left) {
		ssize_t wrote = write(t->fd, at + (len - left), left);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			t->failed_to_write = true;
			return 0;
		}
		left -= (size_t)wrote;
	}
	t->len += len;
	return len;
}

static void set_options(struct transfer *t)
{
	struct curl_blob blob = { authorities ? authorities->octets : (void *)(uintptr_t) "", 0, CURL_BLOB_NOCOPY };
	CURL *c = t->curl;

	blob.len = authorities ? authorities->len : 0;
	(void)curl_easy_setopt(c, CURLOPT_URL, t->url);
	(void)curl_easy_setopt(c, CURLOPT_RESOLVE, t->addresses);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	(void)curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	(void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)TRANSFER_CONNECT_MS);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)TRANSFER_TIME_MS);
	(void)curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)t->all->most);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "cordon/" CORDON_VERSION);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_octets);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	(void)curl_easy_setopt(c, CURLOPT_PRIVATE, t);
	/* Nothing can be opened in the cage. */
	(void)curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	(void)curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
}

static void fetch(struct transfer *t)
{
	struct diag why = { 0 };

	t->curl = curl_easy_init();
	t->fd = memfd_create("fetched", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (t->fd < 0)
		(void)diag_errno(&why, errno, "make a memory file");
	else if (!t->curl)
		(void)diag_fail(&why, ERR_UNSUPPORTED, "libcurl cannot fetch it");
	if (!why.code)
		set_options(t);
	if (!why.code && curl_multi_add_handle(t->all->multi, t->curl) != CURLM_OK)
		(void)diag_fail(&why, ERR_UNSUPPORTED, "libcurl cannot fetch it");
	if (why.code)
		end(t, &why);
}

static int verdict(const struct transfer *t, CURLcode code, struct diag *why)
{
	long status = 0;

	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->too_long || code == CURLE_FILESIZE_EXCEEDED)
		return diag_fail(why, E2BIG, "it is over %zu octets", t->all->most);
	if (t->failed_to_write)
		return diag_fail(why, ENOMEM, "there is no room for it");
	if (code == CURLE_HTTP_RETURNED_ERROR || (code == CURLE_OK && status != 200))
		return diag_fail(why, ENOENT, "the server answers with status %ld%s", status,
				 status >= 300 && status < 400 ? ", and redirects are not followed" : "");
	if (code != CURLE_OK)
		return diag_fail(why, EIO, "%s", curl_easy_strerror(code));
	if (fcntl(t->fd, F_ADD_SEALS, SEALS) < 0)
		return diag_errno(why, errno, "seal a memory file");
	return 0;
}

static void collect(struct transfers *all)
{
	const CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(all->multi, &left))) {
		CURLcode code = m->data.result;
		struct transfer *t = NULL;
		struct diag why = { 0 };

		if (m->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		end(t, verdict(t, code, &why) < 0 ? &why : NULL);
	}
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "name:80:10.0.0.1,[2001:db8::1]": curl then asks nobody. */
static void found(void *context, const struct addr *addresses, size_t count, const char *why_not)
{
	struct transfer *t = context;
	char line[NAME_MOST + 16 + NAMES_ADDRESSES_MOST * (ADDR_TEXT + 3)], one[ADDR_TEXT];
	struct diag why;
	size_t len;

	if (why_not) {
		(void)diag_fail(&why, ENOENT, "the name %.100s: %.100s", t->host, why_not);
		end(t, &why);
		return;
	}
	len = (size_t)snprintf(line, sizeof line, "%s:%s:", t->host, t->port);
	for (size_t i = 0; i < count && len < sizeof line; i++) {
		(void)addr_text(&addresses[i], one);
		len += (size_t)snprintf(line + len, sizeof line - len, strchr(one, ':') ? "%s[%s]" : "%s%s",
					i ? "," : "", one);
	}
	t->addresses = curl_slist_append(NULL, line);
	fetch(t);
}

static bool is_address(const char *host)
{
	const size_t len = strlen(host);
	struct addr a;

	if (len > 2 && host[0] == '[')
		return addr_parse(host + 1, len - 2, &a, NULL) == 0;
	return addr_parse(host, len, &a, NULL) == 0;
}

static int take_apart(struct transfer *t, struct diag *why)
{
	CURLU *u = curl_url();
	char *scheme = NULL;
	int r = 0;

	/* Another alphabet needs tables from files. */
	for (const char *c = t->url; *c; c++)
		if (*c <= ' ' || *c > '~')
			r = -EINVAL;
	if (r < 0 || !u || curl_url_set(u, CURLUPART_URL, t->url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &t->host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &t->port, CURLU_DEFAULT_PORT) != CURLUE_OK || strlen(t->host) >= NAME_MOST)
		r = diag_fail(why, EINVAL, "this is no URL");
	else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		r = diag_fail(why, EINVAL, "only http and https are fetched, not %.20s", scheme);
	curl_free(scheme);
	curl_url_cleanup(u);
	return r;
}

static void begin(struct transfer *t)
{
	struct diag why = { 0 };

	t->all->running++;
	if (take_apart(t, &why) < 0)
		end(t, &why);
	else if (is_address(t->host))
		fetch(t);
	else
		resolve(t->host, found, t);
}

static void next_waiting(struct transfers *all)
{
	while (all->running < TRANSFER_AT_ONCE && !TAILQ_EMPTY(&all->waiting)) {
		struct transfer *t = TAILQ_FIRST(&all->waiting);

		TAILQ_REMOVE(&all->waiting, t, entry);
		all->waiting_count--;
		begin(t);
	}
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

int transfers_prepare(struct diag *d)
{
	const curl_version_info_data *info;
	int r;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return diag_fail(d, ERR_UNSUPPORTED, "libcurl does not start");
	info = curl_version_info(CURLVERSION_NOW);
	/* Without any, no server is believed by https; http goes on. */
	if (info->age >= CURLVERSION_SEVENTH && info->cainfo)
		(void)text_read(info->cainfo, AUTHORITIES_MOST, &authorities, NULL);
	if ((r = resolve_prepare(d)) < 0)
		return r;
	return 0;
}

int transfers_new(uv_loop_t *loop, size_t octets_most, transfer_done *done, void *context, struct transfers **ret,
		  struct diag *d)
{
	struct transfers *t = mem_new(1, sizeof *t);

	t->loop = loop;
	t->most = octets_most;
	t->done = done;
	t->context = context;
	TAILQ_INIT(&t->waiting);
	t->timer.data = t;
	(void)uv_timer_init(loop, &t->timer);
	resolve_start(loop);
	if (!(t->multi = curl_multi_init()))
		return diag_fail(d, ERR_UNSUPPORTED, "libcurl does not start");
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
	(void)curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
	(void)curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
	*ret = t;
	return 0;
}

void transfers_names(struct transfers *t, int resolv_conf, int hosts)
{
	(void)t;
	resolve_names(names_read(resolv_conf, hosts));
}

void transfers_start(struct transfers *all, uint32_t number, const char *url)
{
	struct transfer *t;
	struct diag why;

	if (all->waiting_count == TRANSFER_WAITING_MOST) {
		(void)diag_fail(&why, EBUSY, "too much is being fetched");
		all->done(all->context, number, -1, &why);
		return;
	}
	t = mem_new(1, sizeof *t);
	t->all = all;
	t->number = number;
	t->fd = -1;
	(void)snprintf(t->url, sizeof t->url, "%s", url);
	TAILQ_INSERT_TAIL(&all->waiting, t, entry);
	all->waiting_count++;
	next_waiting(all);
}
