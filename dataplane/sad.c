/* sad.h's functions: each asks the plane's own table. */
#include "dataplane/sad_ops.h"

static const struct sad_ops *ops(const struct sad *sad)
{
	return ((const struct sad_head *)(const void *)sad)->ops;
}

int sad_reserve_spi(struct sad *sad, const struct addr *local, const struct addr *remote, uint64_t request,
		    struct diag *d)
{
	return ops(sad)->reserve_spi(sad, local, remote, request, d);
}

int sad_install(struct sad *sad, const struct sa_spec *spec, uint64_t request, struct diag *d)
{
	return ops(sad)->install(sad, spec, request, d);
}

int sad_remove(struct sad *sad, uint64_t pair, uint64_t request, struct diag *d)
{
	return ops(sad)->remove(sad, pair, request, d);
}

void sad_stop_sending(struct sad *sad, uint64_t pair)
{
	ops(sad)->stop_sending(sad, pair);
}

void sad_move(struct sad *sad, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port)
{
	ops(sad)->move(sad, pair, remote, encap_remote_port);
}

void sad_release_spi(struct sad *sad, uint32_t spi)
{
	ops(sad)->release_spi(sad, spi);
}

void sad_release_held(struct sad *sad, const struct sa_selector *selector, bool clear)
{
	ops(sad)->release_held(sad, selector, clear);
}

void sad_set_plan(struct sad *sad, struct plan *plan)
{
	ops(sad)->set_plan(sad, plan);
}

size_t sad_usage(const struct sad *sad, struct sa_usage *rows, size_t cap)
{
	return ops(sad)->usage(sad, rows, cap);
}

bool sad_usage_of(const struct sad *sad, uint64_t pair, struct sa_usage *ret)
{
	return ops(sad)->usage_of(sad, pair, ret);
}

uint64_t sad_dropped(const struct sad *sad, enum sad_drop why)
{
	return ops(sad)->dropped(sad, why);
}

void sad_free(struct sad *sad)
{
	if (sad)
		ops(sad)->free(sad);
}
