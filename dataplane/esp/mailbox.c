#include "dataplane/esp/mailbox.h"

#include "base/diag.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <string.h>
#include <unistd.h>

enum { MB = 1024 * 1024 };

/* A whole run of the kernel's may be another's; what goes out may be all that a tunnel carries. */
const size_t mailbox_most[LETTER_KINDS] = {
	[LETTER_OWN] = SIZE_MAX,   [LETTER_IN] = 1 * MB,   [LETTER_OUT] = 6 * MB,
	[LETTER_UNRULED] = 1 * MB, [LETTER_NEWS] = 1 * MB,
};

int mailbox_init(struct mailbox *m, struct diag *d)
{
	*m = (struct mailbox){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
	m->last = &m->first;
	if (m->fd < 0)
		return diag_errno(d, errno, "eventfd");
	(void)pthread_mutex_init(&m->lock, NULL);
	return 0;
}

static struct letter *take_all(struct mailbox *m)
{
	struct letter *l;

	(void)pthread_mutex_lock(&m->lock);
	l = m->first;
	m->first = NULL;
	m->last = &m->first;
	memset(m->octets, 0, sizeof m->octets);
	(void)pthread_mutex_unlock(&m->lock);
	return l;
}

static void open_all(struct mailbox *m, void *reader)
{
	for (struct letter *l = take_all(m), *next; l; l = next) {
		next = l->next;
		l->open(reader, l);
	}
}

void mailbox_wipe(struct mailbox *m)
{
	if (m->fd < 0)
		return;
	open_all(m, NULL);
	(void)close(m->fd);
	(void)pthread_mutex_destroy(&m->lock);
	m->fd = -1;
}

bool mailbox_post(struct mailbox *m, struct letter *l)
{
	const uint64_t one = 1;
	bool first, fits;

	l->next = NULL;
	(void)pthread_mutex_lock(&m->lock);
	first = !m->first;
	fits = l->octets <= mailbox_most[l->kind] - m->octets[l->kind];
	if (fits) {
		*m->last = l;
		m->last = &l->next;
		m->octets[l->kind] += l->octets;
	}
	(void)pthread_mutex_unlock(&m->lock);
	if (!fits)
		l->open(NULL, l);
	else if (first) /* it can't be full: the reader takes them all */
		(void)!write(m->fd, &one, sizeof one);
	return fits;
}

/* Before they are taken, or news of one that comes meanwhile would be lost. */
void mailbox_read(struct mailbox *m, void *reader)
{
	uint64_t count;

	(void)!read(m->fd, &count, sizeof count);
	open_all(m, reader);
}
