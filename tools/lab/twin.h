/* tools/lab/twin.h - all of a lab that lives: folder, network, capture and programs, with one poll loop for them. */
#ifndef TOOLS_LAB_TWIN_H
#define TOOLS_LAB_TWIN_H
#include "base/scope.h"
#include <stddef.h>
#include "policy/policy.h"
#include <poll.h>
#include <stdbool.h>

struct diag;
struct directory;
struct members;
struct judge;
struct network;
struct scenario;
struct twin;

struct twin_options {
	const struct scenario *scenario;
	const char *name; /* of the folder; NULL: the process's number */
	const char *keep;
	struct judge *judge;          /* NULL: nobody judges */
	bool tell;                    /* progress to standard error */
	bool own_policies;            /* member.h */
	int (*begun)(struct diag *d); /* the folder is there; may be NULL */
};

/* Up, with every cordond ready. -EINTR: asked to stop by a signal. */
int twin_new(const struct twin_options *o, struct twin **ret, struct diag *d);
/* Down, whatever state it is in. */
void twin_free(struct twin *t);
SCOPE_FREEP(struct twin, twin)

const struct network *twin_network(const struct twin *t);
const char *twin_folder(const struct twin *t);
const char *twin_run_dir(const struct twin *t, size_t host);
size_t twin_certificates(const struct twin *t);
/* NULL: the policy asks for none, or there is nobody to have it. */
struct directory *twin_directory(const struct twin *t);
size_t twin_controller(const struct twin *t); /* its host, if there is one */
struct members *twin_members(const struct twin *t);
/* Until each cordond that was started is ready. */
int twin_wait_ready(struct twin *t, struct diag *d);

/* The first rows of a poll are the twin's; the caller's stand behind them. */
size_t twin_rows(const struct twin *t);
/* Wait for something, or at most timeout_ms, and deal with the twin's part of it. -EINTR: asked to stop; -ECHILD and
 * words: a cordond has ended. rows has room for twin_rows() + more. */
int twin_turn(struct twin *t, struct pollfd *rows, size_t more, int timeout_ms, struct diag *d);
/* What the capture has by now, and how much it has lost. */
size_t twin_capture(struct twin *t);
/* End the programs in order. -ECHILD and words if one ended badly. */
int twin_stop(struct twin *t, struct diag *d);
/* After -ECHILD: the end of the log in question, to standard error. */
void twin_print_log(const struct twin *t);

uint64_t twin_now_ms(void);

#endif
