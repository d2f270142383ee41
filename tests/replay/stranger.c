#include "tests/replay/stranger.h"

#include "keying/ike.h"

void stranger_asks(struct world *w, unsigned host, unsigned number)
{
	struct ike_header h = { .spi_i = 0x7000 + number, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
	struct ike_offer offer = { .count = 1 };
	struct ike_proposal *p = &offer.proposals[0];
	uint8_t buf[512], public[32] = { 9 }, nonce[32] = { 0 };
	struct ike_writer out;

	*p = (struct ike_proposal){ .number = 1, .protocol = 1, .count = 1 };
	p->transforms[0] = (struct ike_transform){ .type = ALG_ENCR, .id = (uint16_t)(1000 + number) };
	ike_write_begin(&out, buf, sizeof buf, &h);
	ike_put_sa(&out, &offer);
	ike_put_ke(&out, 31, public, sizeof public);
	ike_put_nonce(&out, nonce, sizeof nonce);
	ike_write_end(&out);
	world_inject(w, host, buf, out.out.len);
	world_run(w, w->now_ms);
}
