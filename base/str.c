#include "base/str.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(struct str *s, size_t more)
{
	size_t need = s->len + more + 1;

	if (need <= s->cap)
		return;
	s->cap = need < 2 * s->cap ? 2 * s->cap : need < 64 ? 64 : need;
	s->text = mem_resize(s->text, s->cap, 1);
}

void str_add_n(struct str *s, const char *text, size_t n)
{
	reserve(s, n);
	if (n)
		memcpy(s->text + s->len, text, n);
	s->len += n;
	s->text[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
	str_add_n(s, text, strlen(text));
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0) {
		reserve(s, (size_t)n);
		(void)vsnprintf(s->text + s->len, (size_t)n + 1, fmt, again);
		s->len += (size_t)n;
	}
	va_end(again);
}

const char *str_text(const struct str *s)
{
	return s->text ? s->text : "";
}

void str_wipe(struct str *s)
{
	free(s->text);
	*s = (struct str){ 0 };
}
