#include "observe/audit.h"

#include "base/diag.h"

void audit_default(struct audit *a)
{
	for (unsigned c = 0; c < CATEGORY_COUNT; c++)
		a->on[c][EVENT_SUCCESS] = a->on[c][EVENT_FAILURE] = true;
	a->on[CATEGORY_CONNECTION][EVENT_SUCCESS] = false;
}

bool audit_wants(const struct audit *a, enum event_id id)
{
	const struct event_row *r = &event_rows[id];

	return id == EVENT_AUDIT_CHANGED || a->on[r->category][r->result];
}

bool audit_set(struct audit *a, enum event_category c, bool success, bool failure, bool on)
{
	const bool both = !success && !failure;
	struct audit before = *a;

	if (success || both)
		a->on[c][EVENT_SUCCESS] = on;
	if (failure || both)
		a->on[c][EVENT_FAILURE] = on;
	return before.on[c][EVENT_SUCCESS] != a->on[c][EVENT_SUCCESS] ||
	       before.on[c][EVENT_FAILURE] != a->on[c][EVENT_FAILURE];
}

json_t *audit_json(const struct audit *a)
{
	json_t *o = json_object();

	for (unsigned c = 0; c < CATEGORY_COUNT; c++)
		(void)json_object_set_new(
			o, event_category_name((enum event_category)c),
			json_pack("{s:b,s:b}", "success", a->on[c][EVENT_SUCCESS], "failure", a->on[c][EVENT_FAILURE]));
	return o;
}

int audit_from_json(const json_t *j, struct audit *ret, struct diag *d)
{
	struct audit a;
	const char *name;
	json_t *row;

	audit_default(&a);
	if (!json_is_object(j))
		return diag_fail(d, ERR_SYNTAX, "the audit categories are not a JSON object");
	json_object_foreach((json_t *)j, name, row)
	{
		enum event_category c = event_category_by_name(name);
		const json_t *success = json_object_get(row, "success"), *failure = json_object_get(row, "failure");

		if (c == CATEGORY_COUNT)
			return diag_fail(d, ERR_SYNTAX, "no category of events is called '%.64s'", name);
		if (!json_is_boolean(success) || !json_is_boolean(failure) || json_object_size(row) != 2)
			return diag_fail(d, ERR_SYNTAX, "category '%.64s' needs success and failure, true or false",
					 name);
		a.on[c][EVENT_SUCCESS] = json_is_true(success);
		a.on[c][EVENT_FAILURE] = json_is_true(failure);
	}
	*ret = a;
	return 0;
}
