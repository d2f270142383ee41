#!/usr/bin/env python3
"""The process that fetches what others publish, in its cage: it finds names as this machine does, without a file to
open, and its death costs nothing but a moment.

usage: sources.py [TEST ...]; CORDON and CORDOND name the programs
"""
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from certificates import Authority, Web, events, page, pki_of, policy, start
from daemon import B, two_hosts, wait_until, write
from lib import expect, main, on_exit, run

NAME = "lists.corp.example"


class Dns:
    """A server on a host's loopback address that knows one name, of an IPv4 address; and who has which services: SRV
    records that all lead to that name."""

    def __init__(self, host, name, address, services=()):
        self.name, self.address, self.asked = name, address, 0
        self.services = {s.lower(): 0 for s in services} # how often it was asked
        self.s = host.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=("127.0.0.1", 53))
        self.stop = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        on_exit(self.close)

    def _serve(self):
        while not self.stop:
            if not select.select([self.s], [], [], 0.2)[0]:
                continue
            q, peer = self.s.recvfrom(2048)
            labels, at = [], 12
            while q[at]:
                labels.append(q[at + 1:at + 1 + q[at]].decode())
                at += 1 + q[at]
            kind = struct.unpack("!H", q[at + 1:at + 3])[0]
            asked = ".".join(labels).lower()
            known = asked == self.name
            self.asked += known
            answer = b""
            if asked in self.services and kind == 33:
                self.services[asked] += 1
                target = b"".join(bytes([len(x)]) + x.encode() for x in self.name.split(".")) + b"\0"
                answer = b"\xc0\x0c" + struct.pack("!HHIHHHH", 33, 1, 60, 6 + len(target), 0, 0, 88) + target
                known = True
            if known and kind == 1:
                answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(self.address)
            head = q[:2] + struct.pack("!HHHHH", 0x8180 if known else 0x8183, 1, 1 if answer else 0, 0, 0)
            self.s.sendto(head + q[12:at + 5] + answer, peer)

    def close(self):
        self.stop = True
        self.thread.join()
        self.s.close()


def resolvers(host, resolv_conf="", hosts=""):
    os.makedirs(host.folder + "/root/etc", exist_ok=True)
    write(host.folder + "/root/etc/resolv.conf", resolv_conf)
    write(host.folder + "/root/etc/hosts", hosts)


def world(url):
    """a judges b's certificate by a list at that place"""
    a, b = two_hosts()
    ca, web = Authority(a, "One"), Web(a)
    for host, name in (a, "a"), (b, "b"):
        ca.issue(name, pki_of(host), url=url)
        page(host, [name], [ca])
    ca.list_to(web.folder + "/one.crl")
    web.start()
    return a, b, web


def go(a, b):
    start(a, policy("revocation: require"))
    start(b, policy("revocation: off"))


def process(host, name):
    return next(p for p in host.json("status")["processes"] if p["name"] == name)


def told(host):
    return " ".join(events(host, "revocation-list-failed"))


def by_name():
    """a name that only the resolver of resolv.conf knows"""
    a, b, web = world("http://%s:8080/one.crl" % NAME)
    dns = Dns(a, NAME, "127.0.0.1")
    resolvers(a, "# made by hand\nsearch corp.example\nnameserver 127.0.0.1\noptions edns0\n")
    go(a, b)
    expect("a ping arrives", a.pings(B, 6))
    expect("the list was fetched once", web.asked() == 1)
    expect("the resolver was asked", dns.asked > 0)
    expect("nothing was forbidden", not events(a, "process-misbehaved") and not events(a, "process-ended"))


def by_hosts():
    """a name of the hosts file; and that file changes while the daemon runs"""
    a, b, web = world("http://%s:8080/one.crl" % NAME)
    resolvers(a, "nameserver 127.0.0.1\n", "127.0.0.1 localhost\n")
    go(a, b)
    expect("unknown at first", not a.pings(B, 1) and wait_until(lambda: "the name " + NAME in told(a)))
    a.kill()
    resolvers(a, "nameserver 127.0.0.1\n", "::1 localhost\n127.0.0.2 elsewhere\n")
    start(a, policy("revocation: require"))
    resolvers(a, "nameserver 127.0.0.1\n", "127.0.0.1 localhost one Lists.CORP.example # ours\n")
    time.sleep(1)  # files are looked at when they have been quiet; who fails is not tried again for a minute
    expect("the new file counts without a restart", wait_until(lambda: a.pings(B, 1), 20))
    expect("the list was fetched once", web.asked() == 1)


def nobody_knows():
    """no resolver answers: in words, in time, and the process is well"""
    a, b, web = world("http://%s:8080/one.crl" % NAME)
    resolvers(a, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n")
    go(a, b)
    expect("no list, no SA", not a.pings(B, 2))
    expect("in words", wait_until(lambda: "the name " + NAME in told(a), 20))
    expect("the process is well", process(a, "sources")["restarts"] == 0)


def killed():
    """its death in the middle of a fetch: it comes again, and is asked again"""
    a, b, web = world("http://127.0.0.1:8081/one.crl")
    s = a.socket(socket.AF_INET, socket.SOCK_STREAM, bind=("127.0.0.1", 8081))
    s.listen(8)
    s.settimeout(20)
    go(a, b)
    a.pings(B, 1)
    first, _ = s.accept()
    os.kill(process(a, "sources")["pid"], signal.SIGKILL)
    s2, _ = s.accept()
    expect("asked again within seconds", True)
    with open(web.folder + "/one.crl", "rb") as f:
        octets = f.read()
    s2.recv(65536)
    s2.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(octets) + octets)
    s2.close()
    first.close()
    expect("a ping arrives", a.pings(B, 8))
    expect("its end was told", wait_until(lambda: "signal 9" in " ".join(events(a, "process-ended"))))
    expect("and that it works again", wait_until(lambda: events(a, "process-started")))


def by_tls():
    """https: the server's certificate is checked, without a file to open"""
    a, b, web = world("https://127.0.0.1:8443/one.crl")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
        a.folder + "/tls.key", "-out", a.folder + "/tls.pem", "-subj", "/CN=127.0.0.1", "-days", "10")
    write(a.folder + "/tls.py", "import http.server, ssl\n"
          "s = http.server.HTTPServer(('127.0.0.1', 8443), http.server.SimpleHTTPRequestHandler)\n"
          "c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain(%r, %r)\n"
          "s.socket = c.wrap_socket(s.socket, server_side=True)\ns.serve_forever()\n" % (
              a.folder + "/tls.pem", a.folder + "/tls.key"))
    p = subprocess.Popen(["ip", "netns", "exec", a.name, "python3", a.folder + "/tls.py"], cwd=web.folder,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    on_exit(lambda: (p.kill(), p.wait()))

    def up():
        with a.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            return s.connect_ex(("127.0.0.1", 8443)) == 0
    wait_until(up)
    go(a, b)
    expect("a server that nobody vouches for is not believed", not a.pings(B, 2) and wait_until(
        lambda: "SSL" in told(a) or "certificate" in told(a)))
    print(told(a))
    expect("nothing was forbidden", process(a, "sources")["restarts"] == 0)


if __name__ == "__main__":
    main([by_name, by_hosts, nobody_knows, killed, by_tls])
