"""Datagrams between two hosts all the while, protected ones and exempt ones, both ways; and a capture that tells whether
a protected one was ever seen in clear."""
import select
import socket
import threading
import time

from machine import said  # noqa: F401  (puts tests/netns on the path)
from lib import Capture, marker, on_exit

PROTECTED, EXEMPT_OUT, EXEMPT_IN = 4321, 5300, 5301


class Traffic:
    """From a to b and back every 5 ms. Addresses may come later."""

    def __init__(self, a, b, a_address, b_address):
        self.mark, self.mark_back = marker(), marker()
        self.seen = Capture(b)
        self.got = {name: [] for name in ("protected", "protected back", "exempt", "exempt back")}
        self.flows = [self.flow("protected", a, b, b_address, PROTECTED, self.mark),
                      self.flow("protected back", b, a, a_address, PROTECTED, self.mark_back),
                      self.flow("exempt", a, b, b_address, EXEMPT_OUT, b"exempt"),
                      self.flow("exempt back", b, a, a_address, EXEMPT_IN, b"exempt")]
        self.ending = False
        self.thread = threading.Thread(target=self.go, daemon=True)
        self.thread.start()
        on_exit(self.end)

    def flow(self, name, sender, receiver, to, port, payload):
        s = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)
        r = receiver.socket(socket.AF_INET, socket.SOCK_DGRAM, bind=("0.0.0.0", port))
        for one in (s, r):
            one.setblocking(False)
        return name, s, r, (to, port), payload

    def go(self):
        by_socket = {f[2]: f[0] for f in self.flows}
        while not self.ending:
            for _, s, _, to, payload in self.flows:
                try:
                    s.sendto(payload, to)
                except OSError:
                    pass
            for r in select.select(list(by_socket), [], [], 0.005)[0]:
                while True:
                    try:
                        r.recv(2048)
                        self.got[by_socket[r]].append(time.monotonic())
                    except OSError:
                        break

    def end(self):
        if not self.ending:
            self.ending = True
            self.thread.join()
            for _, s, r, _, _ in self.flows:
                s.close()
                r.close()

    def clear(self, back=True):
        """Has a protected datagram been seen in clear since the last look? back=False: of a's alone."""
        clear = self.seen.has(self.mark) or (back and self.seen.has(self.mark_back, 0))
        self.seen.frames.clear()
        return clear

    def flows_again(self, name, within):
        """Seconds until one arrives that comes from now on; None: not in time."""
        start = time.monotonic()
        while time.monotonic() < start + within:
            if self.got[name] and self.got[name][-1] > start:
                return time.monotonic() - start
            time.sleep(0.01)
        return None

    def longest_gap(self, name, since):
        times = [since] + [t for t in self.got[name] if t > since] + [time.monotonic()]
        return max(b - a for a, b in zip(times, times[1:]))
