#include "daemon/fetch.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "observe/event.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PATH_TEXT = 4096,
	TICK_MS = 200,
	POLL_MS = 1000,
	KEPT_MOST_S = 30 * 86400,
	CONNECT_MS = 3000,
	TOLD_AGAIN_S = 3600
};

/* One place. The loop's thread owns it, but while it is out: then url and result are the fetching thread's. */
struct place {
	char url[REVOCATION_URL_MOST];
	TAILQ_ENTRY(place) entry; /* of a queue between the threads */
	bool out;
	uint64_t tried_s, wanted_s, next_s; /* Unix time; next_s: end of the list that we have, 0: none */
	/* of the last try */
	bool good, from_disk;
	struct diag why;
	uint64_t failing_told_s; /* a place that stays away is told of now and then only */
};
TAILQ_HEAD(places, place);

struct waiter {
	LIST_ENTRY(waiter) entry;
	struct place *places[REVOCATION_URLS_MOST];
	size_t count;
	uint64_t until_ms;
	void (*done)(void *context);
	void *context;
};

struct fetcher {
	uv_loop_t *loop;
	char *folder;
	const struct observer *observer;
	void (*changed)(void *context);
	void *context;
	struct revocation_lists *lists;
	struct place *places[FETCH_URLS_MOST];
	size_t count;
	LIST_HEAD(waiters, waiter) waiters;
	uv_timer_t tick;
	uv_async_t came;
	unsigned open_handles;
	bool running, closing, broken; /* broken: there is no libcurl, or no thread */
	uv_thread_t thread;
	CURLM *multi;
	LIST_HEAD(transfers, transfer) transfers; /* the fetching thread's */

	uv_mutex_t lock; /* of what follows */
	struct places asked, answered;
	bool stop;
};

/* ---- on the fetching thread -------------------------------------------------------------------------------------- */

struct transfer {
	LIST_ENTRY(transfer) entry;
	struct fetcher *f;
	struct place *place;
	CURL *curl;
	uint8_t *octets;
	size_t len, cap;
};

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

static size_t take_octets(char *at, size_t size, size_t n, void *context)
{
	struct transfer *t = context;
	size_t len = size * n;

	if (len > REVOCATION_OCTETS_MOST - t->len)
		return 0; /* curl takes that for an error */
	if (t->len + len > t->cap) {
		t->cap = 2 * (t->len + len);
		t->octets = mem_resize(t->octets, t->cap, 1);
	}
	memcpy(t->octets + t->len, at, len);
	t->len += len;
	return len;
}

static bool file_of(const struct fetcher *f, const char *url, char to[PATH_TEXT])
{
	struct octets o = { url, strlen(url) };
	uint8_t digest[DIGEST_MAX];
	char name[2 * DIGEST_MAX + 1] = "";
	size_t len;

	if (crypto_digest("SHA256", &o, 1, digest, &len, NULL) < 0)
		return false;
	for (size_t i = 0; i < len; i++)
		(void)snprintf(name + 2 * i, 3, "%02x", digest[i]);
	return snprintf(to, PATH_TEXT, "%s/%s.crl", f->folder, name) < PATH_TEXT;
}

/* A list that was kept and has not ended spares the way. */
static bool from_disk(struct fetcher *f, struct place *p)
{
	SCOPED(text_freep) struct text *t = NULL;
	char path[PATH_TEXT];
	uint64_t next_s = 0;

	if (p->next_s || !file_of(f, p->url, path) || text_read(path, REVOCATION_OCTETS_MOST, &t, NULL) < 0 ||
	    revocation_lists_put(f->lists, p->url, t->octets, t->len, &next_s, NULL) < 0)
		return false;
	p->next_s = next_s;
	p->from_disk = true;
	return next_s > now_s();
}

static void to_disk(const struct fetcher *f, const struct transfer *t)
{
	char path[PATH_TEXT];
	struct diag d;

	if (mkdir(f->folder, 0755) == 0 || errno == EEXIST)
		if (file_of(f, t->place->url, path))
			(void)text_replace(path, t->octets, t->len, 0644, &d);
}

/* What nobody has renewed for long is of no use. */
static void tidy(const struct fetcher *f)
{
	DIR *folder = opendir(f->folder);
	const struct dirent *e;

	while (folder && (e = readdir(folder))) {
		char path[PATH_TEXT];
		struct stat st;

		if (e->d_name[0] != '.' && snprintf(path, sizeof path, "%s/%s", f->folder, e->d_name) < PATH_TEXT &&
		    stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mtime + KEPT_MOST_S < time(NULL))
			(void)unlink(path);
	}
	if (folder)
		(void)closedir(folder);
}

static void answer(struct fetcher *f, struct place *p)
{
	uv_mutex_lock(&f->lock);
	TAILQ_INSERT_TAIL(&f->answered, p, entry);
	uv_mutex_unlock(&f->lock);
	(void)uv_async_send(&f->came);
}

static void set_options(CURL *c, struct transfer *t)
{
	(void)curl_easy_setopt(c, CURLOPT_URL, t->place->url);
	(void)curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(c, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	(void)curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)FETCH_TIME_MS);
	(void)curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)REVOCATION_OCTETS_MOST);
	(void)curl_easy_setopt(c, CURLOPT_USERAGENT, "cordon/" CORDON_VERSION);
	(void)curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_octets);
	(void)curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	(void)curl_easy_setopt(c, CURLOPT_PRIVATE, t);
}

static void transfer_free(struct transfer *t)
{
	if (t->curl) {
		(void)curl_multi_remove_handle(t->f->multi, t->curl);
		curl_easy_cleanup(t->curl);
	}
	free(t->octets);
	free(t);
}

static void begin(struct fetcher *f, struct place *p)
{
	struct transfer *t;

	p->good = p->from_disk = false;
	p->why = (struct diag){ 0 };
	if (from_disk(f, p)) {
		p->good = true;
		answer(f, p);
		return;
	}
	t = mem_new(1, sizeof *t);
	*t = (struct transfer){ .f = f, .place = p, .curl = curl_easy_init() };
	LIST_INSERT_HEAD(&f->transfers, t, entry);
	if (t->curl)
		set_options(t->curl, t);
	if (!t->curl || curl_multi_add_handle(f->multi, t->curl) != CURLM_OK) {
		(void)diag_fail(&p->why, ERR_UNSUPPORTED, "libcurl cannot fetch it");
		LIST_REMOVE(t, entry);
		transfer_free(t);
		answer(f, p);
	}
}

static void end(struct transfer *t, CURLcode code)
{
	struct place *p = t->place;
	uint64_t next_s = 0;
	long status = 0;

	p->from_disk = false;
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR || code == CURLE_FILESIZE_EXCEEDED)
		(void)diag_fail(&p->why, E2BIG, "it is over %d octets", REVOCATION_OCTETS_MOST);
	else if (code == CURLE_HTTP_RETURNED_ERROR || (code == CURLE_OK && status != 200))
		(void)diag_fail(&p->why, ENOENT, "the server answers with status %ld%s", status,
				status >= 300 && status < 400 ? ", and redirects are not followed" : "");
	else if (code != CURLE_OK)
		(void)diag_fail(&p->why, EIO, "%s", curl_easy_strerror(code));
	else if (revocation_lists_put(t->f->lists, p->url, t->octets ? (const void *)t->octets : "", t->len, &next_s,
				      &p->why) == 0) {
		p->good = true;
		p->next_s = next_s;
		to_disk(t->f, t);
	}
	answer(t->f, p);
	LIST_REMOVE(t, entry);
	transfer_free(t);
}

static struct place *next_asked(struct fetcher *f, bool *ret_stop)
{
	struct place *p;

	uv_mutex_lock(&f->lock);
	*ret_stop = f->stop;
	if ((p = TAILQ_FIRST(&f->asked)))
		TAILQ_REMOVE(&f->asked, p, entry);
	uv_mutex_unlock(&f->lock);
	return p;
}

static void fetch(void *context)
{
	struct fetcher *f = context;
	struct transfer *t, *next;
	CURLMsg *m;
	struct place *p;
	int active = 0, left;
	bool stop = false;

	tidy(f);
	while (!stop) {
		while (active < FETCH_AT_ONCE && (p = next_asked(f, &stop))) {
			begin(f, p);
			active++; /* told better by curl below */
		}
		if (active >= FETCH_AT_ONCE) {
			uv_mutex_lock(&f->lock);
			stop = f->stop;
			uv_mutex_unlock(&f->lock);
		}
		(void)curl_multi_perform(f->multi, &active);
		while ((m = curl_multi_info_read(f->multi, &left)))
			if (m->msg == CURLMSG_DONE) {
				CURLcode code = m->data.result;

				t = NULL;
				(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
				end(t, code);
			}
		if (!stop)
			(void)curl_multi_poll(f->multi, NULL, 0, POLL_MS, NULL);
	}
	for (t = LIST_FIRST(&f->transfers); t; t = next) {
		next = LIST_NEXT(t, entry);
		transfer_free(t);
	}
}

/* ---- on the loop's thread ---------------------------------------------------------------------------------------- */

static void tell(const struct fetcher *f, struct place *p)
{
	struct event e = { .id = p->good ? EVENT_REVOCATION : EVENT_REVOCATION_FAILED };
	char day[24] = "an unknown time";
	time_t at = (time_t)p->next_s;
	struct tm tm;

	if (p->from_disk || (!p->good && p->failing_told_s + TOLD_AGAIN_S > now_s()))
		return;
	p->failing_told_s = p->good ? 0 : now_s();
	if (p->next_s && gmtime_r(&at, &tm))
		(void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
	if (p->good)
		(void)snprintf(e.text, sizeof e.text, "revocation list fetched from %.200s, good until %s (UTC)",
			       p->url, day);
	else
		(void)snprintf(
			e.text, sizeof e.text,
			"no revocation list from %.120s: %.120s. If the way there needs protection that needs this "
			"list, exempt the server",
			p->url, p->why.text);
	observe(f->observer, &e);
}

static bool has_all(const struct waiter *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->places[i]->out)
			return false;
	return true;
}

static void release(struct fetcher *f, bool all)
{
	struct waiter *w, *next;
	uint64_t now_ms = uv_now(f->loop);

	for (w = LIST_FIRST(&f->waiters); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (!all && !has_all(w) && now_ms < w->until_ms)
			continue;
		LIST_REMOVE(w, entry);
		w->done(w->context);
		free(w);
	}
	if (LIST_EMPTY(&f->waiters) && f->running)
		(void)uv_timer_stop(&f->tick);
}

static void came(uv_async_t *a)
{
	struct fetcher *f = a->data;
	struct place *p;
	bool fresh = false;

	if (f->closing)
		return;
	for (;;) {
		uv_mutex_lock(&f->lock);
		if ((p = TAILQ_FIRST(&f->answered)))
			TAILQ_REMOVE(&f->answered, p, entry);
		uv_mutex_unlock(&f->lock);
		if (!p)
			break;
		p->out = false;
		fresh |= p->good;
		tell(f, p);
	}
	release(f, false);
	if (fresh)
		f->changed(f->context);
}

static void ticked(uv_timer_t *t)
{
	release(t->data, false);
}

struct fetcher *fetcher_new(uv_loop_t *loop, const char *folder, struct revocation_lists *lists,
			    const struct observer *observer, void (*changed)(void *context), void *context)
{
	struct fetcher *f = mem_new(1, sizeof *f);

	f->loop = loop;
	f->folder = mem_string(folder);
	f->observer = observer;
	f->changed = changed;
	f->context = context;
	f->lists = lists;
	LIST_INIT(&f->transfers);
	LIST_INIT(&f->waiters);
	TAILQ_INIT(&f->asked);
	TAILQ_INIT(&f->answered);
	return f;
}

static bool start(struct fetcher *f)
{
	if (f->running || f->broken)
		return f->running;
	f->broken = true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(f->multi = curl_multi_init()) ||
	    uv_mutex_init(&f->lock) < 0)
		return false;
	f->tick.data = f->came.data = f;
	(void)uv_timer_init(f->loop, &f->tick);
	(void)uv_async_init(f->loop, &f->came, came);
	f->open_handles = 2;
	if (uv_thread_create(&f->thread, fetch, f) < 0)
		return false; /* the handles are closed with the rest */
	f->broken = false;
	return f->running = true;
}

static struct place *place_of(struct fetcher *f, const char *url)
{
	struct place *p;

	for (size_t i = 0; i < f->count; i++)
		if ((p = f->places[i]) && strcmp(p->url, url) == 0)
			return p;
	if (f->count == FETCH_URLS_MOST)
		return NULL;
	p = mem_new(1, sizeof *p);
	(void)snprintf(p->url, sizeof p->url, "%s", url);
	return f->places[f->count++] = p;
}

static void send_out(struct fetcher *f, struct place *p)
{
	p->out = true;
	p->tried_s = now_s();
	uv_mutex_lock(&f->lock);
	TAILQ_INSERT_TAIL(&f->asked, p, entry);
	uv_mutex_unlock(&f->lock);
	(void)curl_multi_wakeup(f->multi);
}

void fetcher_ask(struct fetcher *f, const char (*urls)[REVOCATION_URL_MOST], size_t count, void (*done)(void *context),
		 void *context)
{
	struct waiter *w = mem_new(1, sizeof *w);

	uv_update_time(f->loop);
	w->done = done;
	w->context = context;
	w->until_ms = uv_now(f->loop) + FETCH_WAIT_MS;
	for (size_t i = 0; i < count && !f->closing && start(f); i++) {
		struct place *p = place_of(f, urls[i]);

		if (!p)
			continue;
		p->wanted_s = now_s();
		if (!p->out && p->tried_s + FETCH_AGAIN_S <= now_s())
			send_out(f, p);
		if (p->out)
			w->places[w->count++] = p;
	}
	if (w->count == 0) {
		free(w);
		done(context);
		return;
	}
	LIST_INSERT_HEAD(&f->waiters, w, entry);
	if (!uv_is_active((uv_handle_t *)&f->tick))
		(void)uv_timer_start(&f->tick, ticked, TICK_MS, TICK_MS);
}

void fetcher_renew(struct fetcher *f)
{
	uint64_t now = now_s();

	for (size_t i = 0; i < f->count && f->running; i++) {
		struct place *p = f->places[i];
		uint64_t early_s = p->next_s > p->tried_s ? (p->next_s - p->tried_s) / 10 : 0;

		if (!p->out && p->wanted_s + FETCH_WANTED_S > now && p->tried_s + FETCH_AGAIN_S <= now && p->next_s &&
		    p->next_s - early_s <= now)
			send_out(f, p);
	}
}

static void fetcher_free(struct fetcher *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->places[i]);
	free(f->folder);
	free(f);
}

static void handle_closed(uv_handle_t *h)
{
	struct fetcher *f = h->data;

	if (--f->open_handles == 0)
		fetcher_free(f);
}

void fetcher_close(struct fetcher *f)
{
	if (!f)
		return;
	f->closing = true;
	release(f, true);
	if (f->running) {
		uv_mutex_lock(&f->lock);
		f->stop = true;
		uv_mutex_unlock(&f->lock);
		(void)curl_multi_wakeup(f->multi);
		(void)uv_thread_join(&f->thread);
	}
	/* Transfers under way end with it. */
	if (f->multi)
		(void)curl_multi_cleanup(f->multi);
	if (f->open_handles == 0) {
		fetcher_free(f);
		return;
	}
	uv_mutex_destroy(&f->lock);
	uv_close((uv_handle_t *)&f->tick, handle_closed);
	uv_close((uv_handle_t *)&f->came, handle_closed);
}
