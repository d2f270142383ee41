#include "tools/lab/capture.h"

#include "base/diag.h"
#include "base/mem.h"
#include "policy/policy.h"
#include "tools/lab/judge.h"
#include "tools/lab/network.h"
#include "tools/lab/order.h"
#include "tools/lab/packet.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SNAP = 2048, BUFFER = 8 << 20, DRAIN_MOST = 100000 };

struct port {
	pcap_t *pcap;
	pcap_dumper_t *file;
	uint8_t mac[6];
	bool behind; /* a gateway: what is seen here is not on the wire that all share */
	const char *host;
	struct capture *all;
};

struct capture {
	struct port *ports;
	size_t count;
	const struct host *hosts;
	struct judge *judge;
	struct order *order;
	uint64_t now_ms; /* when the last reading began */
};

static int port_fail(struct diag *d, const struct port *p, const char *what, int code)
{
	const char *text = pcap_geterr(p->pcap);

	return diag_fail(d, EIO, "capture on the wire of %s: %s: %s", p->host, what,
			 text && *text ? text : pcap_statustostr(code));
}

/* Runs inside the wire's namespace. */
static int port_open(struct port *p, const char *name, const char *keep, struct diag *d)
{
	char said[PCAP_ERRBUF_SIZE] = "", path[4096];
	int e;

	if (!(p->pcap = pcap_create(name, said)))
		return diag_fail(d, EIO, "capture on the wire of %s: %s", p->host, said);
	(void)pcap_set_snaplen(p->pcap, SNAP);
	(void)pcap_set_promisc(p->pcap, 0);
	(void)pcap_set_immediate_mode(p->pcap, 1);
	(void)pcap_set_buffer_size(p->pcap, BUFFER);
	if ((e = pcap_activate(p->pcap)) < 0)
		return port_fail(d, p, "activate", e);
	if (pcap_datalink(p->pcap) != DLT_EN10MB)
		return diag_fail(d, EIO, "capture on the wire of %s: not Ethernet", p->host);
	if ((e = pcap_setnonblock(p->pcap, 1, said)) < 0)
		return port_fail(d, p, "do not block", e);
	if (!keep)
		return 0;
	if (snprintf(path, sizeof path, "%s/%s.pcap", keep, p->host) >= (int)sizeof path)
		return diag_fail(d, ENAMETOOLONG, "%s", keep);
	if (!(p->file = pcap_dump_open(p->pcap, path)))
		return port_fail(d, p, path, 0);
	return 0;
}

int capture_new(const struct network *n, const struct host *hosts, const char *keep, struct judge *judge,
		struct capture **ret, struct diag *d)
{
	SCOPED(capture_freep) struct capture *c = mem_new(1, sizeof *c);
	int e;

	c->count = network_hosts(n);
	c->hosts = hosts;
	c->judge = judge;
	c->order = order_new();
	c->ports = mem_new(c->count, sizeof *c->ports);
	for (size_t i = 0; i < c->count; i++) {
		char name[16];

		if ((e = space_enter(network_port_space(n, i), d)) < 0)
			return e;
		network_port_name(i, name);
		network_mac(i, c->ports[i].mac);
		c->ports[i].host = hosts[i].name;
		c->ports[i].all = c;
		c->ports[i].behind = network_is_behind(n, i);
		e = port_open(&c->ports[i], name, keep, d);
		space_leave();
		if (e < 0)
			return e;
	}
	*ret = TAKE(c);
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->count; i++) {
		if (c->ports[i].file)
			pcap_dump_close(c->ports[i].file);
		if (c->ports[i].pcap)
			pcap_close(c->ports[i].pcap);
	}
	order_free(c->order);
	free(c->ports);
	free(c);
}

void capture_poll(const struct capture *c, struct pollfd *rows)
{
	for (size_t i = 0; i < c->count; i++)
		rows[i] = (struct pollfd){ .fd = pcap_get_selectable_fd(c->ports[i].pcap), .events = POLLIN };
}

/* A NAT's address stands for the host behind it: the judge speaks of hosts by their own. */
static void name_host(const struct capture *c, struct addr *a)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct host *h = &c->hosts[i];

		for (size_t k = 0; addr_equal(&h->nat_address, a) && k < h->address_count; k++)
			if (h->addresses[k].addr.family == a->family) {
				*a = h->addresses[k].addr;
				return;
			}
	}
}

static void take_frame(u_char *context, const struct pcap_pkthdr *h, const u_char *frame)
{
	struct port *port = (struct port *)context;
	struct capture *c = port->all;

	if (port->file)
		pcap_dump((u_char *)port->file, h, frame);
	if (c->judge && packet_is_from(frame, h->caplen, port->mac))
		order_add(c->order, (size_t)(port - c->ports),
			  (uint64_t)h->ts.tv_sec * 1000000 + (uint64_t)h->ts.tv_usec, frame, h->caplen, c->now_ms);
}

static void judge_frame(const struct capture *c, const struct order_frame *f)
{
	const struct port *port = &c->ports[f->port];
	struct packet p;

	packet_read(f->octets, f->len, &p);
	name_host(c, &p.from);
	name_host(c, &p.to);
	name_host(c, &p.flow.from);
	name_host(c, &p.flow.to);
	judge_packet(c->judge, &p, port->host, port->behind, f->stamp_us);
}

static void read_all(struct capture *c)
{
	for (size_t i = 0; i < c->count; i++) {
		(void)pcap_dispatch(c->ports[i].pcap, DRAIN_MOST, take_frame, (u_char *)&c->ports[i]);
		if (c->ports[i].file)
			(void)pcap_dump_flush(c->ports[i].file);
	}
}

static void judge_all(const struct capture *c, uint64_t now_ms)
{
	struct order_frame f;

	while (order_take(c->order, now_ms, &f)) {
		judge_frame(c, &f);
		free(f.octets);
	}
}

void capture_drain(struct capture *c, uint64_t now_ms)
{
	c->now_ms = now_ms;
	read_all(c);
	judge_all(c, now_ms);
}

void capture_finish(struct capture *c)
{
	read_all(c);
	judge_all(c, UINT64_MAX);
}

bool capture_holds(const struct capture *c)
{
	return order_held(c->order) > 0;
}

size_t capture_lost(const struct capture *c)
{
	size_t lost = 0;

	for (size_t i = 0; i < c->count; i++) {
		struct pcap_stat s = { 0 };

		if (pcap_stats(c->ports[i].pcap, &s) == 0)
			lost += s.ps_drop;
	}
	return lost;
}
