/* cordon show firewall: the columns, and what stands around them. */
#include "tools/cli/firewall.h"

#include "base/scope.h"
#include "base/str.h"
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static void add_names(struct str *text, const char *before, const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		str_addf(text, "%s%s", i ? ", " : before, json_string_value(name));
	}
}

/* "encrypted; on eth0; by nginx.service; domain; of trusted; not of guests" */
static void add_conditions(struct columns *c, const json_t *row)
{
	static const struct {
		const char *member, *before;
	} single[] = { { "secure", "" }, { "interface", "on " }, { "program", "by " } };
	SCOPED(str_wipe) struct str text = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(single); i++)
		if (*ask_text(row, single[i].member))
			str_addf(&text, "%s%s%s", text.len ? "; " : "", single[i].before,
				 ask_text(row, single[i].member));
	if (json_array_size(json_object_get(row, "profiles")))
		add_names(&text, text.len ? "; " : "", json_object_get(row, "profiles"));
	if (json_array_size(json_object_get(row, "allow")))
		add_names(&text, text.len ? "; of " : "of ", json_object_get(row, "allow"));
	if (json_array_size(json_object_get(row, "except")))
		add_names(&text, text.len ? "; not of " : "not of ", json_object_get(row, "except"));
	if (*ask_text(row, "waits_for"))
		str_addf(&text, "%sNOT IN FORCE, waits for %s", text.len ? "; " : "", ask_text(row, "waits_for"));
	else if (json_is_false(json_object_get(row, "in_force")))
		str_addf(&text, "%sNOT IN FORCE, %s", text.len ? "; " : "", ask_text(row, "why"));
	columns_add(c, "%s", text.len ? str_text(&text) : "-");
}

void firewall_columns(struct columns *c, const json_t *row)
{
	char buf[AGO_TEXT];

	columns_add(c, "%s", ask_text(row, "name"));
	columns_add(c, "%s", ask_text(row, "action"));
	columns_add(c, "%s", ask_text(row, "direction"));
	columns_add(c, "%" PRIu64, ask_number(row, "line"));
	add_conditions(c, row);
	columns_add(c, "%" PRIu64, ask_number(row, "packets"));
	columns_add(c, "%s", ask_octets(ask_number(row, "octets"), buf));
}

void firewall_say(const json_t *firewall)
{
	const json_t *row;
	size_t i;

	if (!json_is_object(firewall))
		return;
	(void)printf("\nWhat no rule speaks of: in %s (%" PRIu64 " dropped), out %s (%" PRIu64 " dropped).\n",
		     ask_text(firewall, "inbound"), ask_number(firewall, "inbound_dropped"),
		     ask_text(firewall, "outbound"), ask_number(firewall, "outbound_dropped"));
	json_array_foreach(json_object_get(firewall, "groups"), i, row)
	{
		uint64_t unsure = ask_number(row, "unsure");

		(void)printf("Of %s: %" PRIu64 " here now", ask_text(row, "group"), ask_number(row, "members"));
		if (unsure)
			(void)printf(", and %" PRIu64 " of whom that cannot be known", unsure);
		(void)puts(".");
	}
	json_array_foreach(json_object_get(firewall, "overruled_by"), i, row)
	{
		(void)printf("The nftables table '%s' %s: what a bypass lets in may be dropped there.\n",
			     ask_text(row, "table"),
			     json_is_true(json_object_get(row, "default")) ? "drops by default what comes in"
									   : "has rules that drop");
	}
}
