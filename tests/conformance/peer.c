/* The hand-made peer: ESP with AES-256-GCM, octet by octet. */
#include "base/wire.h"
#include "tests/conformance/world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	KEY = 36,
	IP_HEAD = 20,
	UDP_HEAD = 8,
	ESP_HEAD = 8,
	IV = 8,
	ICV = 16,
	TAKE_MS = 1000,
	WINDOW = 64,
	UDP = 17,
	ESP = 50
};

static struct {
	uint8_t octets[PACKET_MOST];
	size_t len;
} last; /* what the peer sent */

static struct child_suite suite;

struct addr world_peer(struct world *w)
{
	unsigned n = ++w->others;

	return addr_v4(10, 203, (uint8_t)(n >> 8), (uint8_t)n);
}

static void keys_of(const struct between *b, bool to_host, struct key *ret)
{
	ret->len = KEY;
	for (size_t i = 0; i < KEY; i++)
		ret->octets[i] = (uint8_t)(b->pair * 7 + i + (to_host ? 100 : 0));
}

void between_reserve(struct world *w, struct between *b)
{
	struct sad_event e;
	uint64_t request = ++w->numbers;
	struct diag d = { 0 };

	if (!b->remote.family)
		b->remote = world_peer(w);
	world_check(w, sad_reserve_spi(w->sad, &w->local, &b->remote, request, &d) == 0, "an SPI is reserved");
	if (world_check(w, world_await(w, SAD_SPI_RESERVED, &e), "it is told"))
		world_check(w, e.request == request && e.spi >= 256, "with its request, and is one for use");
	b->in = e.spi;
}

void between_install(struct world *w, struct between *b, bool inbound)
{
	struct plan_packet flow = { .local = w->local,
				    .remote = b->remote,
				    .initiator = INITIATOR_EITHER,
				    .protocol = UDP,
				    .local_port = APP_PORT };
	const struct plan_entry *entry = plan_lookup(w->plan, &flow);
	struct sa_spec spec = {
		.spi = inbound ? b->in : b->out,
		.inbound = inbound,
		.local = w->local,
		.remote = b->remote,
		.encap_local_port = b->udp ? ENCAP_PORT : 0,
		.encap_remote_port = b->udp ? b->remote_port : 0,
		.nat = b->udp,
		.suite = suite,
		.esn = b->esn,
		.replay_window = b->window,
		.selector = b->selector,
		.rule = entry ? entry->rule : NULL,
		.pair = b->pair,
		.soft_octets = b->soft,
		.hard_octets = b->hard,
	};
	uint64_t request = ++w->numbers;
	struct sad_event e;
	struct diag d = { 0 };

	keys_of(b, inbound, &spec.encr_key);
	if (!world_check(w, entry != NULL, "the plan has a rule") ||
	    !world_check(w, sad_install(w->sad, &spec, request, &d) == 0, "an SA is installed")) {
		(void)printf("      %s\n", d.text);
		return;
	}
	if (world_check(w, world_await(w, SAD_DONE, &e), "it is told"))
		world_check(w, e.request == request, "with its request");
}

static void prepare(struct world *w, struct between *b)
{
	struct key key;
	struct diag d;

	if (!suite.encr && child_suite_parse("esp-aes256gcm", strlen("esp-aes256gcm"), &suite, &d) < 0)
		exit(EXIT_FAILURE);
	b->pair = ++w->numbers;
	b->out = (uint32_t)(0x40000000u + b->pair);
	if (!b->remote.family)
		b->remote = world_peer(w);
	if (!b->window)
		b->window = WINDOW;
	if (!b->remote_port)
		b->remote_port = ENCAP_PORT;
	b->from = b->remote;
	b->from_port = b->remote_port;
	if (!b->selector.local.family)
		b->selector = (struct sa_selector){ .protocol = PROTOCOL_ANY,
						    .local_port = PORT_ANY,
						    .remote_port = PORT_ANY };
	b->selector.local = w->local;
	b->selector.remote = b->remote;
	keys_of(b, true, &key);
	if (seal_new(suite.encr, &key, NULL, NULL, &b->to_host, &d) < 0)
		exit(EXIT_FAILURE);
	keys_of(b, false, &key);
	if (seal_new(suite.encr, &key, NULL, NULL, &b->from_host, &d) < 0)
		exit(EXIT_FAILURE);
}

void between_begin(struct world *w, struct between *b)
{
	prepare(w, b);
	between_reserve(w, b);
	between_install(w, b, true);
	between_install(w, b, false);
}

void between_renew(struct world *w, struct between *b, const struct between *old)
{
	*b = (struct between){ .remote = old->remote,
			       .esn = old->esn,
			       .window = old->window,
			       .udp = old->udp,
			       .remote_port = old->remote_port };
	between_begin(w, b);
}

void between_end(struct between *b)
{
	seal_free(b->to_host);
	seal_free(b->from_host);
}

/* ---- to the host ---- */

static void put_ip(struct wire_out *out, const struct addr *from, const struct addr *to, uint8_t protocol, size_t len)
{
	wire_put_u16(out, 0x4500);
	wire_put_u16(out, (uint16_t)len);
	wire_put_u32(out, 0x4000); /* may not be fragmented */
	wire_put_u8(out, 64);
	wire_put_u8(out, protocol);
	wire_put_u16(out, 0); /* the kernel fills it */
	wire_put(out, from->octets, 4);
	wire_put(out, to->octets, 4);
}

static void put_aad(struct wire_out *out, uint32_t spi, bool esn, uint64_t number)
{
	wire_put_u32(out, spi);
	if (esn)
		wire_put_u32(out, (uint32_t)(number >> 32));
	wire_put_u32(out, (uint32_t)number);
}

static void send_last(struct world *w, const struct between *b)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	memcpy(&to.sin_addr, w->local.octets, sizeof to.sin_addr);
	if (sendto(w->raw, last.octets, last.len, 0, (struct sockaddr *)&to, sizeof to) < 0)
		(void)printf("      the peer cannot send: %s\n", strerror(errno));
	(void)b;
	(void)world_run(w, 3, -1);
}

void peer_sends(struct world *w, struct between *b, const char *text, const struct forged *how)
{
	static const struct forged plain;
	const struct forged *f = how ? how : &plain;
	uint64_t number = f->number ? f->number : b->number + 1;
	size_t payload = UDP_HEAD + strlen(text), pad = (4 - (payload + 2) % 4) % 4, sealed_len = payload + pad + 2;
	size_t head = IP_HEAD + (b->udp ? (size_t)UDP_HEAD : 0), len = head + ESP_HEAD + IV + sealed_len + ICV;
	uint8_t aad_octets[12];
	struct wire_out out = wire_out(last.octets, sizeof last.octets), aad = wire_out(aad_octets, sizeof aad_octets);
	struct sealed s;
	struct diag d;

	b->number = f->number ? b->number : number;
	put_ip(&out, &b->from, &w->local, b->udp ? UDP : ESP, len - f->cut);
	if (b->udp) {
		wire_put_u16(&out, b->from_port);
		wire_put_u16(&out, ENCAP_PORT);
		wire_put_u16(&out, (uint16_t)(len - IP_HEAD - f->cut));
		wire_put_u16(&out, 0);
	}
	wire_put_u32(&out, b->in);
	wire_put_u32(&out, (uint32_t)number);
	wire_put_u64(&out, number); /* IV */
	wire_put_u16(&out, PEER_PORT);
	wire_put_u16(&out, f->port ? f->port : APP_PORT);
	wire_put_u16(&out, (uint16_t)payload);
	wire_put_u16(&out, 0);
	wire_put(&out, text, strlen(text));
	for (size_t i = 1; i <= pad; i++)
		wire_put_u8(&out, (uint8_t)i);
	wire_put_u8(&out, (uint8_t)pad);
	wire_put_u8(&out, f->next ? f->next : UDP);
	(void)wire_put_space(&out, ICV);
	put_aad(&aad, b->in, b->esn, number + (f->other_high ? UINT64_C(1) << 32 : 0));
	s = (struct sealed){ .iv = last.octets + head + ESP_HEAD,
			     .text = last.octets + head + ESP_HEAD + IV,
			     .text_len = sealed_len,
			     .aad = { aad_octets, aad.len },
			     .icv = last.octets + head + ESP_HEAD + IV + sealed_len };
	if (out.failed || seal_close(b->to_host, &s, &d) < 0)
		exit(EXIT_FAILURE);
	if (f->flip)
		last.octets[len - (size_t)f->flip] ^= 0x10;
	last.len = len - f->cut;
	send_last(w, b);
}

void peer_repeats(struct world *w, struct between *b)
{
	send_last(w, b);
}

/* ---- from the host ---- */

static bool open_one(struct between *b, uint8_t *esp, size_t len, uint32_t high, struct taken *ret)
{
	uint8_t aad_octets[12], *text = esp + ESP_HEAD + IV;
	struct wire_out aad = wire_out(aad_octets, sizeof aad_octets);
	size_t n, pad;
	struct sealed s;
	struct diag d;

	if (len < ESP_HEAD + IV + 2 + ICV)
		return false;
	n = len - ESP_HEAD - IV - ICV;
	put_aad(&aad, ret->spi, b->esn, (uint64_t)high << 32 | ret->number);
	s = (struct sealed){
		.iv = esp + ESP_HEAD, .text = text, .text_len = n, .aad = { aad_octets, aad.len }, .icv = text + n
	};
	ret->authentic = seal_open(b->from_host, &s, &d) == 0;
	if (!ret->authentic)
		return true;
	pad = text[n - 2];
	ret->next = text[n - 1];
	ret->padding_right = pad + 2 <= n && n % 4 == 0;
	for (size_t i = 0; ret->padding_right && i < pad; i++)
		ret->padding_right = text[n - 2 - pad + i] == i + 1;
	if (ret->padding_right && n - 2 - pad >= UDP_HEAD)
		(void)snprintf(ret->text, sizeof ret->text, "%.*s", (int)(n - 2 - pad - UDP_HEAD),
			       (char *)text + UDP_HEAD);
	return true;
}

bool peer_takes(struct world *w, struct between *b, uint32_t high, struct taken *ret)
{
	uint8_t packet[PACKET_MOST];
	uint64_t end = world_now_ms(NULL) + TAKE_MS;
	int fd = b->udp ? w->udp_tap : w->raw;

	while (world_now_ms(NULL) < end) {
		ssize_t n;
		struct wire_in in;
		size_t head;

		if (!world_run(w, 50, fd) || (n = recv(fd, packet, sizeof packet, 0)) < IP_HEAD + ESP_HEAD)
			continue;
		*ret = (struct taken){ .to = addr_v4(packet[16], packet[17], packet[18], packet[19]) };
		if (!addr_equal(&ret->to, &b->from) || memcmp(packet + 12, w->local.octets, 4) != 0)
			continue; /* of another promise */
		head = (size_t)(packet[0] & 15) * 4;
		if (packet[9] == UDP) {
			if (packet[head] << 8 == 0 || (size_t)n < head + UDP_HEAD + ESP_HEAD ||
			    (packet[head] << 8 | packet[head + 1]) != ENCAP_PORT)
				continue;
			ret->to_port = (uint16_t)(packet[head + 2] << 8 | packet[head + 3]);
			head += UDP_HEAD;
		}
		in = wire_in(packet + head, (size_t)n - head);
		ret->spi = wire_u32(&in);
		ret->number = wire_u32(&in);
		return open_one(b, packet + head, (size_t)n - head, high, ret);
	}
	return false;
}
