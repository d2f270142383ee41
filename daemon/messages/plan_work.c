#include "daemon/messages/plan_work.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdlib.h>
#include <unistd.h>

struct work {
	uv_work_t request;
	int fd;
	struct plan_made made;
	struct diag why;
	int failed;
	plan_work_done *done;
	void *context;
};

static void make(uv_work_t *request)
{
	struct work *w = request->data;

	w->failed = plan_wire_open(w->fd, &w->made, &w->why);
}

static void made(uv_work_t *request, int status)
{
	struct work *w = request->data;

	(void)close(w->fd);
	if (status < 0 && !w->failed) /* it was never begun */
		w->failed = diag_fail(&w->why, status, "make a plan: %s", uv_strerror(status));
	w->done(w->context, w->failed < 0 ? NULL : &w->made, &w->why);
	free(w);
}

int plan_work_start(uv_loop_t *loop, int fd, plan_work_done *done, void *context, struct diag *d)
{
	struct work *w = mem_new(1, sizeof *w);
	int r;

	*w = (struct work){ .request.data = w, .fd = fd, .done = done, .context = context };
	if ((r = uv_queue_work(loop, &w->request, make, made)) == 0)
		return 0;
	(void)close(fd);
	free(w);
	return diag_fail(d, r, "a thread to make the plan in: %s", uv_strerror(r));
}

static void wipe(uv_work_t *request)
{
	struct work *w = request->data;

	plan_made_wipe(&w->made);
}

static void wiped(uv_work_t *request, int status)
{
	struct work *w = request->data;

	if (status < 0)
		plan_made_wipe(&w->made);
	free(w);
}

void plan_work_wipe(uv_loop_t *loop, struct plan_made *made)
{
	struct work *w = mem_new(1, sizeof *w);

	*w = (struct work){ .request.data = w, .made = *made };
	*made = (struct plan_made){ 0 };
	if (uv_queue_work(loop, &w->request, wipe, wiped) < 0)
		wiped(&w->request, UV_ECANCELED);
}
