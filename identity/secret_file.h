/* identity/secret_file.h - the files of private keys and pre-shared keys. Who may open them need not be who reads them:
 * cordond's parent opens and never reads, the key holder reads and could not open. */
#ifndef IDENTITY_SECRET_FILE_H
#define IDENTITY_SECRET_FILE_H
#include <stddef.h>

struct diag;
struct text;

enum { SECRET_FILE_MOST = 1 << 20 };

/* Open for reading. A secret that others can read or change is none: that is refused, as is what is no regular file.
 * `what` begins the words ("private key"). Returns the descriptor. */
int secret_file_open(const char *path, const char *what, struct diag *d);
/* All that is left to read of it, at most `most` octets; path for words only. text_free wipes. */
int secret_file_read(int fd, const char *path, const char *what, size_t most, struct text **ret, struct diag *d);

#endif
