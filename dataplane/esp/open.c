#include "dataplane/esp/open.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/ip.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/raw.h"
#include "dataplane/esp/share.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DISCARD_MOST = 65536 }; /* a flood must not hold us here */

struct esp_fds esp_fds_none(void)
{
	struct esp_fds f;

	for (size_t i = 0; i < ESP_FD_COUNT; i++)
		f.fd[i] = -1;
	return f;
}

void esp_fds_close(struct esp_fds *f)
{
	for (size_t i = 0; i < ESP_FD_COUNT; i++)
		if (f->fd[i] >= 0)
			(void)close(f->fd[i]);
	*f = esp_fds_none();
}

static int open_all(uint32_t own_mark, struct esp_fds *f, struct diag *d)
{
	int r;

	if ((r = raw_open(AF_INET, IP_ESP, own_mark, &f->fd[ESP_FD_RAW4], d)) < 0 ||
	    (r = raw_open(AF_INET, IP_AH, own_mark, &f->fd[ESP_FD_AH4], d)) < 0)
		return r;
	if (((r = raw_open(AF_INET6, IP_ESP, own_mark, &f->fd[ESP_FD_RAW6], d)) < 0 ||
	     (r = raw_open(AF_INET6, IP_AH, own_mark, &f->fd[ESP_FD_AH6], d)) < 0) &&
	    r != -EAFNOSUPPORT)
		return r;
	if (f->fd[ESP_FD_AH6] >= 0 && (r = raw_open_too_big6(&f->fd[ESP_FD_TOO_BIG6], d)) < 0)
		return r;
	r = f->fd[ESP_FD_ROUTE] = netlink_asker_open(d);
	return r < 0 ? r : 0;
}

int esp_fds_open(uint32_t own_mark, struct esp_fds *ret, struct diag *d)
{
	struct esp_fds f = esp_fds_none();
	int r = open_all(own_mark, &f, d);

	if (r < 0)
		esp_fds_close(&f);
	else
		*ret = f;
	return r;
}

int esp_fds_share(const struct esp_fds *f, const struct share *s, struct diag *d)
{
	static const struct {
		enum esp_fd which;
		int family;
		uint8_t protocol;
	} rows[] = { { ESP_FD_RAW4, AF_INET, IP_ESP },
		     { ESP_FD_RAW6, AF_INET6, IP_ESP },
		     { ESP_FD_AH4, AF_INET, IP_AH },
		     { ESP_FD_AH6, AF_INET6, IP_AH } };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && r == 0; i++)
		if (f->fd[rows[i].which] >= 0)
			r = share_filter_raw(f->fd[rows[i].which], rows[i].family, rows[i].protocol, s, d);
	return r;
}

void esp_fds_discard(const struct esp_fds *f)
{
	static const enum esp_fd receiving[] = { ESP_FD_RAW4, ESP_FD_RAW6, ESP_FD_AH4, ESP_FD_AH6 };
	char octet;

	for (size_t i = 0; i < ARRAY_LEN(receiving); i++)
		for (int n = 0; n < DISCARD_MOST && f->fd[receiving[i]] >= 0; n++)
			if (recv(f->fd[receiving[i]], &octet, 1, MSG_TRUNC | MSG_DONTWAIT) < 0)
				break;
}
