/* The table of commands, in the order of `cordon --help`. Each one lives in a file of its own. */
#include "tools/cli/command.h"
#include "base/scope.h"

extern const struct command command_apply;
extern const struct command command_audit;
extern const struct command command_check;
extern const struct command command_confirm;
extern const struct command command_disable;
extern const struct command command_enable;
extern const struct command command_events;
extern const struct command command_exempt;
extern const struct command command_history;
extern const struct command command_init;
extern const struct command command_lab;
extern const struct command command_matrix;
extern const struct command command_pki;
extern const struct command command_refresh;
extern const struct command command_rekey;
extern const struct command command_rollback;
extern const struct command command_show;
extern const struct command command_status;
extern const struct command command_support;
extern const struct command command_why;

/* One a line, so that two who add commands do not meet. */
/* clang-format off */
const struct command *const commands[] = {
	&command_init,
	&command_check,
	&command_why,
	&command_matrix,
	&command_apply,
	&command_confirm,
	&command_rollback,
	&command_history,
	&command_refresh,
	&command_rekey,
	&command_status,
	&command_show,
	&command_events,
	&command_audit,
	&command_disable,
	&command_enable,
	&command_exempt,
	&command_support,
	&command_pki,
	&command_lab,
};
/* clang-format on */
const unsigned commands_count = ARRAY_LEN(commands);
