/* dataplane/esp/mailbox.h - what threads tell one another: letters, read in the order in which they were posted. For
 * what is rare: requests, events, and packets that came to the wrong one. Packets that are where they belong are never
 * in a letter. */
#ifndef DATAPLANE_ESP_MAILBOX_H
#define DATAPLANE_ESP_MAILBOX_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct diag;

/* The first member of what is posted, which is one block of memory. */
struct letter {
	struct letter *next;
	/* The reader does what it says. reader NULL: nobody reads it any more. Frees the letter. */
	void (*open)(void *reader, struct letter *l);
	size_t octets; /* of packets in it */
};

enum { MAILBOX_OCTETS_MOST = 8 * 1024 * 1024 };

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **last;
	size_t octets;
	int fd; /* readable while there are letters */
};

int mailbox_init(struct mailbox *m, struct diag *d);
/* Whoever may post has ended. */
void mailbox_wipe(struct mailbox *m);
/* Takes the letter over. False: too many octets wait, and the letter is gone; one without octets always fits. */
bool mailbox_post(struct mailbox *m, struct letter *l);
void mailbox_read(struct mailbox *m, void *reader);

#endif
