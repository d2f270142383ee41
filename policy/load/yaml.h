/* policy/load/yaml.h - YAML text as a tree of small nodes, each with its place. For the loaders of policy/ only.
 * Everything is bounded: octets, nesting, values, anchors and what aliases expand to. Tags, several documents and
 * mappings whose keys are not plain words are refused. Aliases share their target's children and have a place of their
 * own. */
#ifndef POLICY_LOAD_YAML_H
#define POLICY_LOAD_YAML_H
#include "base/report.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text;

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

enum {
	YAML_OCTETS_MOST = 64 << 20,
	YAML_DEPTH_MOST = 32,
	YAML_NODES_MOST = 8000000,
	YAML_ANCHORS_MOST = 1000,
	YAML_ALIASES_MOST = 100000, /* values that all aliases together may stand for */
};

/* 100,000 rules are two million nodes: four octets more in each are 8 MB. */
struct yaml_node {
	uint32_t next;  /* sibling; in a map key, value, key, value; 0: the last */
	uint32_t first; /* list, map: first child or 0; scalar: offset of its text */
	uint32_t count; /* list: items; map: pairs; scalar: octets of text */
	uint32_t line;
	unsigned column : 27, kind : 2, pooled : 1, quoted : 1;
};

struct yaml {
	const struct text *text;
	uint32_t file;
	struct yaml_node *nodes; /* number 0 is none */
	size_t count, cap;
	char *pool; /* texts that do not stand in the file as they are: escapes, folded lines */
	size_t pool_len, pool_cap;
	uint32_t root;
};

/* Take over the text into the report and read it. -ERR_SYNTAX with a finding if it is not one YAML document. */
int yaml_parse(struct text *text, struct report *r, struct yaml **ret);
void yaml_free(struct yaml *y);
SCOPE_FREEP(struct yaml, yaml)

static inline const struct yaml_node *yaml_at(const struct yaml *y, uint32_t node)
{
	return &y->nodes[node];
}

/* A scalar's text; not ended by NUL. */
const char *yaml_text(const struct yaml *y, uint32_t node, size_t *ret_len);
struct place yaml_place(const struct yaml *y, uint32_t node);

#endif
