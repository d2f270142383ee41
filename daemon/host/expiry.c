#include "daemon/host/expiry.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, NOT_TOLD = 1000 };

static const unsigned steps[] = { 0, 3, 14, 30 }; /* days; 0: it has ended */

void expiry_wipe(struct expiry *e)
{
	free(e->told);
	*e = (struct expiry){ 0 };
}

static struct expiry_told *told_of(struct expiry *e, const uint8_t digest[32])
{
	for (size_t i = 0; i < e->count; i++)
		if (memcmp(e->told[i].digest, digest, 32) == 0)
			return &e->told[i];
	if (e->count == EXPIRY_KNOWN_MOST) /* so many certificates have gone: those that are left may be told twice */
		e->count = 0;
	e->told = mem_grow(e->told, e->count, &e->cap, sizeof *e->told);
	e->told[e->count] = (struct expiry_told){ .days = NOT_TOLD };
	memcpy(e->told[e->count].digest, digest, 32);
	return &e->told[e->count++];
}

bool expiry_tell(struct expiry *e, const struct credential_end *end, uint64_t now_s, char ret[EXPIRY_TEXT])
{
	uint64_t left_s = end->not_after_s > now_s ? end->not_after_s - now_s : 0, days = (left_s + DAY_S - 1) / DAY_S;
	time_t at = (time_t)end->not_after_s;
	struct expiry_told *told;
	char day[24] = "", whose[PEER_TEXT + 40] = "";
	struct tm tm;
	size_t i = 0;

	while (i < sizeof steps / sizeof *steps && left_s > (uint64_t)steps[i] * DAY_S)
		i++;
	if (i == sizeof steps / sizeof *steps || (told = told_of(e, end->digest))->days <= steps[i])
		return false;
	told->days = steps[i];
	if (gmtime_r(&at, &tm))
		(void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
	if (end->authority)
		(void)snprintf(whose, sizeof whose, ", an authority of our certificate %s,", end->of);
	if (left_s == 0)
		(void)snprintf(ret, EXPIRY_TEXT,
			       "certificate %s%s has expired, on %s (UTC): nobody accepts it any more", end->subject,
			       whose, day);
	else
		(void)snprintf(ret, EXPIRY_TEXT, "certificate %s%s expires in %llu day%s, on %s (UTC)", end->subject,
			       whose, (unsigned long long)days, days == 1 ? "" : "s", day);
	return true;
}
