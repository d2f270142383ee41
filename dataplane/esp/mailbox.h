/* dataplane/esp/mailbox.h - what threads tell one another: letters, read in the order in which they were posted. For
 * what is rare: requests, events, and packets that came to the wrong one. Packets that are where they belong are never
 * in a letter. */
#ifndef DATAPLANE_ESP_MAILBOX_H
#define DATAPLANE_ESP_MAILBOX_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct diag;

/* Each has room of its own: who fills the one, with packets that he may send to us, keeps none of the others out. */
enum letter_kind {
	LETTER_OWN, /* nobody outside makes these: there is always room */
	LETTER_IN,
	LETTER_OUT,
	LETTER_UNRULED, /* out, and no rule that the poster knows protects it */
	LETTER_NEWS,
	LETTER_KINDS
};

/* The first member of what is posted, which is one block of memory. */
struct letter {
	struct letter *next;
	/* The reader does what it says. reader NULL: nobody reads it any more. Frees the letter. */
	void (*open)(void *reader, struct letter *l);
	enum letter_kind kind;
	size_t octets; /* of the whole letter; LETTER_OWN need not say */
};

extern const size_t mailbox_most[LETTER_KINDS]; /* octets */

struct mailbox {
	pthread_mutex_t lock;
	struct letter *first, **last;
	size_t octets[LETTER_KINDS];
	int fd; /* readable while there are letters */
};

int mailbox_init(struct mailbox *m, struct diag *d);
/* Whoever may post has ended. */
void mailbox_wipe(struct mailbox *m);
/* Takes the letter over. False: too many octets of its kind wait, and the letter is gone. */
bool mailbox_post(struct mailbox *m, struct letter *l);
void mailbox_read(struct mailbox *m, void *reader);

#endif
