#include "observe/hub.h"

#include "base/limit.h"
#include "base/mem.h"
#include "observe/event_json.h"
#include "observe/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Who left out, each with what has not been told yet. */
enum loss { LOSS_JOURNAL, LOSS_LOG, LOSS_FILE, LOSS_FOLLOWER, LOSS_COUNT };
static const char *const loss_names[LOSS_COUNT] = { "journal", "log", "file", "follower" };

struct hub {
	struct hub_config config;
	struct event_ring *ring;
	struct limit_bucket buckets[EVENT_COUNT];
	uint64_t limited[EVENT_COUNT], lost[LOSS_COUNT], file_lost;
	struct hub_counts counts;
	bool ticking, telling;
};

static uint64_t system_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct hub *hub_new(const struct hub_config *c)
{
	struct hub *h = mem_new(1, sizeof *h);

	h->config = *c;
	if (!h->config.now_ms)
		h->config.now_ms = system_now_ms;
	h->ring = event_ring_new(c->kept);
	return h;
}

void hub_free(struct hub *h)
{
	if (!h)
		return;
	event_ring_free(h->ring);
	journal_free(h->config.journal);
	file_sink_free(h->config.file);
	free(h);
}

struct audit *hub_audit(struct hub *h)
{
	return &h->config.audit;
}

const struct event_ring *hub_ring(const struct hub *h)
{
	return h->ring;
}

void hub_set_file(struct hub *h, struct file_sink *file)
{
	h->config.file = file;
}

void hub_counts(const struct hub *h, struct hub_counts *ret)
{
	*ret = h->counts;
}

/* ---- what was left out ------------------------------------------------------------------------------------------- */

static void want_tick(struct hub *h)
{
	if (h->ticking || h->telling)
		return;
	h->ticking = true;
	if (h->config.wants_tick)
		h->config.wants_tick(h->config.context);
}

static void lose(struct hub *h, enum loss by, uint64_t count)
{
	h->lost[by] += count;
	want_tick(h);
}

void hub_left_out(struct hub *h, uint64_t count)
{
	lose(h, LOSS_FOLLOWER, count);
}

static unsigned bounded(uint64_t n)
{
	return n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void to_file(struct hub *h, const struct event *e, uint64_t number)
{
	char line[FILE_SINK_LINE_MOST];
	json_t *j = event_json(e, number);
	size_t n = json_dumpb(j, line, sizeof line, JSON_COMPACT | JSON_PRESERVE_ORDER);

	json_decref(j);
	(void)file_sink_put(h->config.file, line, n); /* it counts what it leaves out */
}

static void tell(struct hub *h, const struct event *e)
{
	uint64_t number = event_ring_next(h->ring);

	event_ring_add(h->ring, e);
	e = event_ring_get(h->ring, number);
	h->counts.told++;
	if (h->config.journal && !journal_tell(h->config.journal, e, number)) {
		h->counts.journal++;
		lose(h, LOSS_JOURNAL, 1);
	}
	if (h->config.say && !h->config.say(e)) {
		h->counts.log++;
		lose(h, LOSS_LOG, 1);
	}
	if (h->config.file) {
		to_file(h, e, number);
		want_tick(h); /* to look what the file has lost */
	}
	if (h->config.told)
		h->config.told(h->config.context, e, number);
}

static void emit(void *context, const struct event *e)
{
	static const struct limit_rate rate = { HUB_PER_S, HUB_BURST };
	struct hub *h = context;

	if (!audit_wants(&h->config.audit, e->id))
		return;
	if (!limit_bucket_take(&h->buckets[e->id], &rate, h->config.now_ms())) {
		h->limited[e->id]++;
		h->counts.limited++;
		want_tick(h);
		return;
	}
	tell(h, e);
}

struct observer hub_observer(struct hub *h)
{
	return (struct observer){ emit, h };
}

/* One event for each who left out; itself it is never limited, as there are few. */
static void tell_left_out(struct hub *h, const char *what, uint64_t count, const char *why)
{
	struct event e = { .id = EVENT_LEFT_OUT, .left_out = bounded(count) };

	if (count == 0 || !audit_wants(&h->config.audit, EVENT_LEFT_OUT))
		return;
	(void)snprintf(e.reason, sizeof e.reason, "%s", what);
	(void)snprintf(e.text, sizeof e.text, "%llu events were left out: %s", (unsigned long long)count, why);
	tell(h, &e);
}

void hub_tick(struct hub *h)
{
	static const char *const why[LOSS_COUNT] = {
		[LOSS_JOURNAL] = "the journal did not take them",
		[LOSS_LOG] = "the log did not take them",
		[LOSS_FOLLOWER] = "a reader was too slow",
	};
	char words[EVENT_WORD + 64], file_why[FILE_SINK_WHY] = "";
	uint64_t n = h->config.file ? file_sink_lost(h->config.file, file_why) : 0;

	h->ticking = false;
	h->telling = true; /* what is lost of this itself waits for the next time */
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		(void)snprintf(words, sizeof words, "%s came too often", event_rows[i].name);
		tell_left_out(h, event_rows[i].name, h->limited[i], words);
		h->limited[i] = 0;
	}
	h->lost[LOSS_FILE] = n - h->file_lost;
	h->file_lost = h->counts.file = n;
	for (unsigned i = 0; i < LOSS_COUNT; i++) {
		uint64_t count = h->lost[i];

		h->lost[i] = 0;
		tell_left_out(h, loss_names[i], count, i == LOSS_FILE ? file_why : why[i]);
	}
	h->telling = false;
}
