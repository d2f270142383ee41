#include "daemon/parts/packets_wait.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/force/state.h"
#include "dataplane/xfrm/open.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, NOTE_MOST = 4096 };

static bool note_path(const char *state_dir, char ret[PATH_TEXT])
{
	return snprintf(ret, PATH_TEXT, "%s/packets-wait", state_dir) < PATH_TEXT;
}

/* Of another boot it says nothing: the setting has begun anew since. */
static bool is_of_this_boot(const char *path)
{
	SCOPED(text_freep) struct text *note = NULL;
	struct state_clock now;

	state_clock_now(&now);
	return text_read(path, NOTE_MOST, &note, NULL) == 0 && strcmp(note->octets, now.boot_id) == 0;
}

static int write_note(const char *path, struct diag *d)
{
	struct state_clock now;

	state_clock_now(&now);
	return text_replace(path, now.boot_id, strlen(now.boot_id), 0600, d);
}

/* The note first: of two kills one must not be in between. A full disk is no reason to protect nothing. */
int packets_wait_begin(const char *state_dir, struct diag *d)
{
	struct diag why = { 0 };
	char path[PATH_TEXT];

	if (xfrm_packets_wait())
		return 0; /* by what is set on this host, or since a kill, and then there is a note already */
	if (note_path(state_dir, path) && write_note(path, &why) < 0)
		log_warning("net.core.xfrm_larval_drop will stay 0 when cordond has ended: %s", why.text);
	return xfrm_hold_packets(d);
}

void packets_wait_end(const char *state_dir)
{
	char path[PATH_TEXT];

	if (!note_path(state_dir, path) || access(path, F_OK) != 0)
		return;
	if (is_of_this_boot(path))
		xfrm_drop_packets();
	(void)unlink(path);
}
