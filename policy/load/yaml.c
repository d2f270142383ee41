#include "policy/load/yaml.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_MOST = (1 << 27) - 1 };

/* A list or map that is being read. */
struct frame {
	uint32_t node, last;
	uint32_t size;   /* values in it so far, aliases expanded */
	uint32_t anchor; /* its number plus one, 0: none */
	bool key_next;   /* map: the next scalar is a key */
};

struct anchor {
	char *name;
	uint32_t node, size; /* node 0: not complete yet */
};

struct reader {
	struct yaml *y;
	struct report *r;
	struct frame frames[YAML_DEPTH_MOST + 1]; /* frames[0] is the document */
	size_t depth;
	struct anchor *anchors;
	size_t anchor_count, anchor_cap;
	uint32_t aliased;
	unsigned documents;
};

static struct place mark_place(const struct reader *rd, const struct fy_mark *m)
{
	struct place p = { .file = rd->y->file };

	if (m && m->line >= 0 && m->column >= 0) {
		p.line = (uint32_t)m->line + 1;
		p.column = m->column < COLUMN_MOST ? (uint32_t)m->column + 1 : COLUMN_MOST;
		p.length = 1;
	}
	return p;
}

static struct place event_place(const struct reader *rd, struct fy_event *e)
{
	return mark_place(rd, fy_event_start_mark(e));
}

/* Report, and the code to return. */
#define fail(rd, place, ...) ((void)report_add((rd)->r, SEVERITY_ERROR, "syntax", (place), __VA_ARGS__), -ERR_SYNTAX)

static const char *token_text(struct fy_token *t, size_t *ret_len)
{
	const char *text = t ? fy_token_get_text(t, ret_len) : NULL;

	if (!text)
		*ret_len = 0;
	return text ? text : "";
}

static int node_new(struct reader *rd, enum yaml_kind kind, struct place place, uint32_t *ret)
{
	struct yaml *y = rd->y;
	struct frame *f = &rd->frames[rd->depth];

	if (y->count > YAML_NODES_MOST)
		return fail(rd, place, "the file holds over %d values", YAML_NODES_MOST);
	y->nodes = mem_grow(y->nodes, y->count, &y->cap, sizeof *y->nodes);
	*ret = (uint32_t)y->count++;
	y->nodes[*ret] = (struct yaml_node){
		.line = place.line,
		.column = place.column & COLUMN_MOST,
		.kind = kind & 3,
	};
	if (f->last)
		y->nodes[f->last].next = *ret;
	else if (f->node)
		y->nodes[f->node].first = *ret;
	else
		y->root = *ret;
	f->last = *ret;
	f->size++;
	return 0;
}

/* Count a value in its list or map. A key does not count, and must be a scalar. */
static int child_done(struct reader *rd, enum yaml_kind kind, struct place place)
{
	struct frame *f = &rd->frames[rd->depth];
	struct yaml_node *parent = &rd->y->nodes[f->node];

	if (!f->node)
		return 0;
	if (parent->kind == YAML_MAP) {
		if (f->key_next && kind != YAML_SCALAR)
			return fail(rd, place, "a key must be a word, not a list or mapping");
		if (!f->key_next)
			parent->count++;
		f->key_next = !f->key_next;
	} else {
		parent->count++;
	}
	return 0;
}

static int anchor_add(struct reader *rd, struct fy_token *t, struct place place, uint32_t *ret)
{
	size_t len;
	const char *name = token_text(t, &len);

	*ret = 0;
	if (!t)
		return 0;
	if (rd->anchor_count == YAML_ANCHORS_MOST)
		return fail(rd, place, "the file has over %d anchors", YAML_ANCHORS_MOST);
	rd->anchors = mem_grow(rd->anchors, rd->anchor_count, &rd->anchor_cap, sizeof *rd->anchors);
	rd->anchors[rd->anchor_count++] = (struct anchor){ .name = mem_string_n(name, len) };
	*ret = (uint32_t)rd->anchor_count;
	return 0;
}

static void anchor_complete(struct reader *rd, uint32_t anchor, uint32_t node, uint32_t size)
{
	if (anchor) {
		rd->anchors[anchor - 1].node = node;
		rd->anchors[anchor - 1].size = size;
	}
}

/* Room for more text in the pool. */
static char *pool_space(struct yaml *y, size_t len)
{
	while (y->pool_cap - y->pool_len < len) {
		y->pool_cap = y->pool_cap ? 2 * y->pool_cap : 4096;
		y->pool = mem_resize(y->pool, y->pool_cap, 1);
	}
	return y->pool + y->pool_len;
}

static void set_text(struct yaml *y, struct yaml_node *n, const char *text, size_t len)
{
	const char *octets = y->text->octets;

	n->count = (uint32_t)len;
	if (text >= octets && text + len <= octets + y->text->len) {
		n->first = (uint32_t)(text - octets);
		return;
	}
	if (len)
		memcpy(pool_space(y, len), text, len);
	n->first = (uint32_t)y->pool_len;
	n->pooled = 1;
	y->pool_len += len;
}

/* The text between single quotes, where '' stands for one. Read here and not by libfyaml, which (0.7.12) gets several
 * of them in a row wrong and loses memory over many. */
static int set_single_quoted(struct reader *rd, uint32_t node, struct fy_token *value, struct place place)
{
	struct yaml *y = rd->y;
	struct yaml_node *n = &y->nodes[node];
	size_t from = fy_token_start_mark(value)->input_pos, to = fy_token_end_mark(value)->input_pos, len = 0;
	const char *raw = y->text->octets + from;
	char *at;

	if (from > to || to > y->text->len)
		return fail(rd, place, "this quoted value cannot be read");
	if (!memmem(raw, to - from, "''", 2)) {
		const char *text = token_text(value, &len);

		set_text(y, n, text, len);
		return 0;
	}
	if (memchr(raw, '\n', to - from))
		return fail(rd, place, "a value with '' in it stands on one line");
	at = pool_space(y, to - from);
	for (size_t i = 0; i < to - from; i++) {
		at[len++] = raw[i];
		i += raw[i] == '\''; /* its twin */
	}
	n->first = (uint32_t)y->pool_len;
	n->count = (uint32_t)len;
	n->pooled = 1;
	y->pool_len += len;
	return 0;
}

static int on_scalar(struct reader *rd, struct fy_event *e)
{
	struct fy_token *value = e->scalar.value;
	const struct fy_mark *mark = value ? fy_token_start_mark(value) : NULL;
	struct place place = mark ? mark_place(rd, mark) : event_place(rd, e);
	enum fy_scalar_style style = value ? fy_token_scalar_style(value) : FYSS_PLAIN;
	uint32_t node = 0, anchor;
	int r;

	if (mark && (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && place.column > 1)
		place.column--; /* the quote belongs to it */
	/* An empty value has no place of its own: speak of its key. */
	if (!place.line && rd->frames[rd->depth].last) {
		const struct yaml_node *before = &rd->y->nodes[rd->frames[rd->depth].last];

		place.line = before->line;
		place.column = before->column;
	}
	if (e->scalar.tag)
		return fail(rd, place, "tags are not used here; leave out what begins with '!'");
	if ((r = anchor_add(rd, e->scalar.anchor, place, &anchor)) < 0 ||
	    (r = node_new(rd, YAML_SCALAR, place, &node)) < 0)
		return r;
	if (style == FYSS_SINGLE_QUOTED && mark) {
		if ((r = set_single_quoted(rd, node, value, place)) < 0)
			return r;
	} else {
		size_t len;
		const char *text = token_text(value, &len);

		set_text(rd->y, &rd->y->nodes[node], text, len);
	}
	rd->y->nodes[node].quoted = style != FYSS_PLAIN;
	anchor_complete(rd, anchor, node, 1);
	return child_done(rd, YAML_SCALAR, place);
}

static int on_start(struct reader *rd, struct fy_event *e, enum yaml_kind kind)
{
	struct fy_token *anchor = kind == YAML_MAP ? e->mapping_start.anchor : e->sequence_start.anchor;
	struct fy_token *tag = kind == YAML_MAP ? e->mapping_start.tag : e->sequence_start.tag;
	struct place place = event_place(rd, e);
	uint32_t node, number;
	int r;

	if (tag)
		return fail(rd, place, "tags are not used here; leave out what begins with '!'");
	if (rd->depth == YAML_DEPTH_MOST)
		return fail(rd, place, "lists and mappings are nested over %d deep", YAML_DEPTH_MOST);
	if ((r = anchor_add(rd, anchor, place, &number)) < 0 || (r = node_new(rd, kind, place, &node)) < 0 ||
	    (r = child_done(rd, kind, place)) < 0)
		return r;
	rd->frames[++rd->depth] = (struct frame){ .node = node, .anchor = number, .key_next = kind == YAML_MAP };
	return 0;
}

static int on_end(struct reader *rd)
{
	struct frame *f = &rd->frames[rd->depth];

	anchor_complete(rd, f->anchor, f->node, f->size + 1);
	rd->frames[rd->depth - 1].size += f->size;
	rd->depth--;
	return 0;
}

static const struct anchor *anchor_named(const struct reader *rd, const char *name, size_t len)
{
	for (size_t i = rd->anchor_count; i-- > 0;) /* the newest of that name, as YAML says */
		if (strlen(rd->anchors[i].name) == len && memcmp(rd->anchors[i].name, name, len) == 0)
			return &rd->anchors[i];
	return NULL;
}

static int on_alias(struct reader *rd, struct fy_event *e)
{
	struct place place = event_place(rd, e); /* of the name, behind the star */
	const struct anchor *a;
	const struct yaml_node *target;
	struct yaml_node *n;
	uint32_t node = 0;
	size_t len;
	const char *name = token_text(e->alias.anchor, &len);
	int r;

	if (place.column > 1)
		place.column--;
	if (!(a = anchor_named(rd, name, len)))
		return fail(rd, place, "no anchor '&%.*s' stands before this", len > 60 ? 60 : (int)len, name);
	if (!a->node)
		return fail(rd, place, "'*%.*s' stands inside what it names", len > 60 ? 60 : (int)len, name);
	if (a->size > YAML_ALIASES_MOST - rd->aliased)
		return fail(rd, place, "the aliases of this file stand for over %d values", YAML_ALIASES_MOST);
	rd->aliased += a->size;
	target = &rd->y->nodes[a->node];
	if ((r = node_new(rd, target->kind, place, &node)) < 0)
		return r;
	target = &rd->y->nodes[a->node]; /* the array may have moved */
	n = &rd->y->nodes[node];
	n->first = target->first;
	n->count = target->count;
	n->pooled = target->pooled;
	n->quoted = target->quoted;
	rd->frames[rd->depth].size += a->size - 1;
	return child_done(rd, target->kind, place);
}

static int on_event(struct reader *rd, struct fy_event *e)
{
	switch (e->type) {
	case FYET_DOCUMENT_START:
		if (rd->documents++)
			return fail(rd, event_place(rd, e), "a second document starts here; one file holds one");
		return 0;
	case FYET_SCALAR:
		return on_scalar(rd, e);
	case FYET_SEQUENCE_START:
		return on_start(rd, e, YAML_LIST);
	case FYET_MAPPING_START:
		return on_start(rd, e, YAML_MAP);
	case FYET_SEQUENCE_END:
	case FYET_MAPPING_END:
		return on_end(rd);
	case FYET_ALIAS:
		return on_alias(rd, e);
	default:
		return 0;
	}
}

/* Where an octet stands, for the few errors that know no better. */
static struct place octet_place(const struct yaml *y, size_t offset)
{
	const char *octets = y->text->octets;
	struct place p = { .file = y->file, .line = 1, .column = 1, .length = 1 };

	for (size_t i = 0; i < offset; i++) {
		if (octets[i] == '\n') {
			p.line++;
			p.column = 1;
		} else if (((unsigned char)octets[i] & 0xc0) != 0x80) {
			p.column++;
		}
	}
	return p;
}

/* Octets of the UTF-8 sequence at u, 0 if it is none, or a control character that no text file holds. */
static size_t utf8_text(const unsigned char *u, size_t left)
{
	static const struct {
		unsigned char lo, hi, first_lo, first_hi, n; /* first octet from lo to hi, then the second's bounds */
	} rows[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (u[0] < 0x80)
		return (u[0] >= 0x20 && u[0] != 0x7f) || u[0] == '\t' || u[0] == '\n' || u[0] == '\r';
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (u[0] < rows[i].lo || u[0] > rows[i].hi)
			continue;
		if (rows[i].n > left || u[1] < rows[i].first_lo || u[1] > rows[i].first_hi)
			return 0;
		for (size_t k = 2; k < rows[i].n; k++)
			if ((u[k] & 0xc0) != 0x80)
				return 0;
		return rows[i].n;
	}
	return 0;
}

/* Text, and not a picture or a database? Said before YAML sees it, because its complaint would be about syntax. */
static int check_octets(struct reader *rd)
{
	const struct text *t = rd->y->text;
	const unsigned char *u = (const unsigned char *)t->octets;
	bool blank = true;

	if (t->len > YAML_OCTETS_MOST)
		return fail(rd, (struct place){ .file = rd->y->file }, "the file is over %d MB, the most that is read",
			    YAML_OCTETS_MOST >> 20);
	for (size_t i = 0; i < t->len;) {
		size_t n = utf8_text(u + i, t->len - i);
		struct place place;

		if (n == 0) {
			place = octet_place(rd->y, i);
			place.length = 0;
			return fail(rd, place, "octet 0x%02x is not UTF-8 text; is this the right file?", u[i]);
		}
		blank = blank && (u[i] == ' ' || u[i] == '\n' || u[i] == '\r' || u[i] == '\t');
		i += n;
	}
	if (blank)
		return fail(rd, (struct place){ .file = rd->y->file }, "the file is empty; it begins with 'cordon: 1'");
	return 0;
}

/* The line, NULL if there is none. */
static const char *line_of(const struct text *t, uint32_t line, size_t *ret_len)
{
	const char *at = t->octets, *end = t->octets + t->len, *stop;

	for (uint32_t i = 1; i < line; i++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return NULL;
		at++;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	*ret_len = (size_t)((stop ? stop : end) - at);
	return at;
}

static bool line_is_indented_by_tab(const struct text *t, uint32_t line)
{
	size_t len = 0, i = 0;
	const char *at = line_of(t, line, &len);

	while (at && i < len && at[i] == ' ')
		i++;
	return at && i < len && at[i] == '\t';
}

/* Where YAML does not parse, nobody knows yet whether a key was written into the policy. */
static bool line_may_hold_a_key(const struct text *t, uint32_t line)
{
	size_t len = 0;
	const char *at = line_of(t, line, &len);

	return at && (memmem(at, len, "pre-shared-key", 14) || memmem(at, len, "ppk", 3));
}

/* What libfyaml has to say, with its place. */
static int syntax_error(struct reader *rd, struct fy_diag *diag)
{
	void *at = NULL;
	const struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
	struct place place = { .file = rd->y->file };
	struct finding *f;

	if (e && e->line >= 1) {
		place.line = (uint32_t)e->line;
		place.column = e->column > 0 && e->column < COLUMN_MOST ? (uint32_t)e->column : 1;
		place.length = 1;
	}
	if (place.line && line_may_hold_a_key(rd->y->text, place.line))
		report_hide_line(rd->r, place.file, place.line);
	f = report_add(rd->r, SEVERITY_ERROR, "syntax", place, "%s", e && e->msg ? e->msg : "this is not YAML");
	if (place.line && line_is_indented_by_tab(rd->y->text, place.line))
		finding_advise(f, "the line is indented by a tab; YAML wants spaces");
	return -ERR_SYNTAX;
}

static void diag_destroy_scoped(struct fy_diag **d)
{
	if (*d)
		fy_diag_destroy(*d); /* unref would leave what it collected */
}

static void parser_destroy_scoped(struct fy_parser **p)
{
	if (*p)
		fy_parser_destroy(*p);
}

static int read_events(struct reader *rd)
{
	const struct fy_diag_cfg diag_cfg = { .level = FYET_ERROR, .module_mask = ~0u };
	SCOPED(diag_destroy_scoped) struct fy_diag *diag = fy_diag_create(&diag_cfg);
	struct fy_parse_cfg cfg = { .flags = FYPCF_QUIET | FYPCF_JSON_NONE | FYPCF_COLLECT_DIAG, .diag = diag };
	SCOPED(parser_destroy_scoped) struct fy_parser *parser = NULL;
	struct fy_event *e;
	int r = 0;

	if (diag)
		fy_diag_set_collect_errors(diag, true);
	parser = diag ? fy_parser_create(&cfg) : NULL;
	if (!parser || fy_parser_set_string(parser, rd->y->text->octets, rd->y->text->len) < 0)
		return fail(rd, (struct place){ .file = rd->y->file }, "the YAML parser does not start");
	while (r == 0 && (e = fy_parser_parse(parser))) {
		r = on_event(rd, e);
		fy_parser_event_free(parser, e);
	}
	if (r == 0 && fy_parser_get_stream_error(parser))
		return syntax_error(rd, diag);
	if (r == 0 && (!rd->y->root || rd->depth))
		return fail(rd, (struct place){ .file = rd->y->file }, "the file is empty; it begins with 'cordon: 1'");
	return r;
}

int yaml_parse(struct text *text, struct report *r, struct yaml **ret)
{
	SCOPED(yaml_freep) struct yaml *y = mem_new(1, sizeof *y);
	struct reader rd = { .y = y, .r = r };
	int e;

	y->text = text;
	y->file = report_add_file(r, text);
	y->nodes = mem_grow(NULL, 0, &y->cap, sizeof *y->nodes);
	y->nodes[y->count++] = (struct yaml_node){ 0 };
	if ((e = check_octets(&rd)) == 0)
		e = read_events(&rd);
	for (size_t i = 0; i < rd.anchor_count; i++)
		free(rd.anchors[i].name);
	free(rd.anchors);
	if (e == 0)
		*ret = TAKE(y);
	return e;
}

void yaml_free(struct yaml *y)
{
	if (!y)
		return;
	free(y->nodes);
	free(y->pool);
	free(y);
}

const char *yaml_text(const struct yaml *y, uint32_t node, size_t *ret_len)
{
	const struct yaml_node *n = &y->nodes[node];

	*ret_len = n->count;
	if (n->count == 0)
		return "";
	return n->pooled ? y->pool + n->first : y->text->octets + n->first;
}

struct place yaml_place(const struct yaml *y, uint32_t node)
{
	const struct yaml_node *n = &y->nodes[node];
	struct place p = { .file = y->file, .line = n->line, .column = n->column, .length = 1 };
	size_t len;
	const char *text;

	if (n->kind != YAML_SCALAR)
		return p;
	text = yaml_text(y, node, &len);
	p.length = n->quoted ? 2 : len == 0; /* where nothing stands its key is spoken of: one place is pointed at */
	for (size_t i = 0; i < len; i++)
		p.length += ((unsigned char)text[i] & 0xc0) != 0x80;
	return p;
}
