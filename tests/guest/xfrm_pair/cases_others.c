/* Other programs have their own policies and states, and remove ours. */
#include "tests/guest/xfrm_pair/cases.h"

#include "tests/guest/xfrm_pair/sas.h"
#include "tests/guest/xfrm_pair/traffic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void others_are_left_alone(void)
{
	struct xfrm_fds fds;
	struct xfrm_config c = { .fds = &fds, .event = hear, .now_ms = now_ms, .context = &sides[0] };
	struct diag d = { 0 };
	struct sad *sad;

	doing = "others";
	enter(&sides[0]);
	shell("ip xfrm state add src 10.9.0.1 dst 10.9.0.9 proto esp spi 0x999 reqid 9 mode transport aead "
	      "'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128");
	shell("ip xfrm policy add src 10.8.0.0/24 dst 10.9.0.0/24 dir out priority 5 tmpl src 0.0.0.0 dst 0.0.0.0 "
	      "proto "
	      "esp "
	      "reqid 9 mode transport");
	both_up(require_all);
	both_down();
	enter(&sides[0]);
	CHECK(system("ip xfrm state | grep -q 0x00000999") == 0);
	CHECK(system("test $(ip xfrm policy | grep -c 'reqid 9 ') = 1") == 0);
	CHECK(system("test $(ip xfrm policy list | grep -c ^src) = 1") == 0); /* and of ours there is nothing left */
	/* Where another's policy has the very selector that we need, that is said, and nothing has changed. */
	shell("ip xfrm policy add src 10.9.0.1/32 dst 128.0.0.0/2 dir out priority 5");
	shell("ip xfrm policy add src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 5");
	plan_make(&sides[0], require_all);
	c.plan = sides[0].plan;
	if (xfrm_fds_open(&fds, &d) < 0)
		die(d.text);
	CHECK(xfrm_new(&c, &sad, &d) == -EEXIST && strstr(d.text, "another program"));
	(void)printf("  \"%s\"\n", d.text);
	CHECK(system("test $(ip xfrm policy list | grep -c ^src) = 3") == 0);
	shell("ip xfrm policy deleteall; ip xfrm state deleteall");
	plan_forget(&sides[0]);
}

static bool same_policies(const char *before)
{
	char command[256];

	(void)snprintf(command, sizeof command,
		       "ip xfrm policy list nosock | sort >/run/policies.now; cmp -s %s /run/policies.now", before);
	return system(command) == 0;
}

/* *count: of what was said, good or not. */
static bool wait_said(const unsigned *count, unsigned least)
{
	for (uint64_t until = now_ms(NULL) + TAKES_MS; *count < least && now_ms(NULL) < until;)
		turn(20);
	return *count == least;
}

static bool come_back(const struct side *s, const char *before, unsigned told)
{
	return wait_said(&s->mended, told) && same_policies(before);
}

/* Each line is a way in which another program takes away what is ours. */
void what_others_remove_comes_back(void)
{
	static const char *const ways[] = {
		"ip xfrm policy flush",
		"ip xfrm policy delete src 10.9.0.1/32 dst 0.0.0.0/0 dir out",
		"ip xfrm policy update src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 1 action allow",
		"ip xfrm policy deleteall",
	};
	static const char before[] = "/run/policies.before";
	struct side *s = &sides[0];
	struct sad_event e;

	doing = "flushed";
	both_up(require_all);
	CHECK(pair_up(&plain_how));
	enter(s);
	shell("ip xfrm policy list nosock | sort >/run/policies.before");
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		unsigned told = s->mended;

		doing = ways[i];
		enter(s);
		shell(ways[i]);
		CHECK(come_back(s, before, told + 1) && s->not_mended == 0);
		exchange(4);
	}
	/* What others do with their own is not ours to mend. */
	doing = "flushed";
	s->mended = 0;
	enter(s);
	shell("ip xfrm policy add src 10.8.0.0/24 dst 10.9.0.0/24 dir out priority 5; ip xfrm policy delete src "
	      "10.8.0.0/24 "
	      "dst 10.9.0.0/24 dir out");
	CHECK(!wait_event(s, SAD_ACQUIRE, NULL, IDLE_MS) && s->mended == 0);
	/* Another one stands in the way: that is said once, and it is put back when it can be. */
	shell("ip xfrm policy flush; ip xfrm policy add src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 5");
	CHECK(wait_said(&s->not_mended, 1) && !same_policies(before) && s->mended == 0);
	shell("ip xfrm policy delete src 10.9.0.1/32 dst 0.0.0.0/0 dir out");
	CHECK(come_back(s, before, 1) && s->not_mended == 1);
	/* States cannot be put back: their keys are no longer here. Keying hears that they are gone. */
	s->event_count = 0;
	shell("ip xfrm state flush");
	CHECK(wait_event(s, SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == s->pair && s->mended == 2);
	CHECK(pair_up(&plain_how));
	exchange(4);
	enter(s);
	s->event_count = 0;
	shell("ip xfrm state deleteall src 10.9.0.1");
	CHECK(wait_event(s, SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == s->pair && s->mended == 3);
	/* What we take away ourselves stays away. */
	CHECK(xfrm_remove_all(NULL) == 0);
	CHECK(!wait_event(s, SAD_ACQUIRE, NULL, IDLE_MS) && s->mended == 3);
	CHECK(system("test -z \"$(ip xfrm policy list nosock)\"") == 0);
	s->mended = s->not_mended = 0;
	both_down();
}
