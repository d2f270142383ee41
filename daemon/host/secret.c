#include "daemon/host/secret.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PATH_TEXT = 4096 };

int secret_load(const char *folder, uint8_t *ret, size_t len, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	char path[PATH_TEXT];
	int r;

	if (snprintf(path, sizeof path, "%s/crash-secret", folder) >= (int)sizeof path)
		return diag_fail(d, ENAMETOOLONG, "%s", folder);
	if (text_read(path, len, &t, NULL) == 0 && t->len == len) {
		memcpy(ret, t->octets, len);
		explicit_bzero(t->octets, len);
		return 0;
	}
	if ((r = crypto_random(ret, len, d)) < 0)
		return r;
	return text_replace(path, ret, len, 0600, d); /* what was there is of no use to anybody */
}
