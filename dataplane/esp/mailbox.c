#include "dataplane/esp/mailbox.h"

#include "base/diag.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
	m->octets = 0;
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
	fits = l->octets == 0 || m->octets + l->octets <= MAILBOX_OCTETS_MOST;
	if (fits) {
		*m->last = l;
		m->last = &l->next;
		m->octets += l->octets;
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
