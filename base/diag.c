#include "base/diag.h"
#undef diag_fail
#undef diag_errno

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int diag_fail(struct diag *d, int code, const char *fmt, ...)
{
	va_list ap;

	if (d) {
		va_start(ap, fmt);
		(void)vsnprintf(d->text, sizeof d->text, fmt, ap);
		va_end(ap);
		d->code = -abs(code);
	}
	return -abs(code);
}

int diag_wrap(struct diag *d, int r, const char *fmt, ...)
{
	char where[sizeof d->text], inner[sizeof d->text];
	va_list ap;

	if (d) {
		va_start(ap, fmt);
		(void)vsnprintf(where, sizeof where, fmt, ap);
		va_end(ap);
		memcpy(inner, d->text, sizeof inner);
		if (snprintf(d->text, sizeof d->text, "%s: %s", where, inner) >= (int)sizeof d->text)
			d->text[sizeof d->text - 1] = '\0';
	}
	return r;
}

int diag_errno(struct diag *d, int error, const char *fmt, ...)
{
	char what[sizeof d->text];
	va_list ap;

	if (d) {
		va_start(ap, fmt);
		(void)vsnprintf(what, sizeof what, fmt, ap);
		va_end(ap);
		(void)diag_fail(d, error, "%s", what);
		(void)snprintf(d->text, sizeof d->text, "%.400s: %s", what, strerror(abs(error)));
	}
	return -abs(error);
}
