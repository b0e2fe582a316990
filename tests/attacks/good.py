"""The good client: a plain hit every few milliseconds, from an address of its own, and how long each took."""

import socket
import time

# Another one than the attackers', so that their share is not its own.
ADDRESS = "127.0.0.2"
PACE_S = 0.004
PATIENCE_S = 10
# Each so many hits there is one request on a new connection for what is not stored: it needs descriptors and an origin.
HITS_PER_MISS = 25


class Good:
    def __init__(self, port, origin):
        self.port, self.origin = port, origin
        self.request = self.get("/small")
        self.socket = None
        self.misses = 0

    def get(self, path):
        return f"GET http://127.0.0.1:{self.origin}{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.origin}\r\n\r\n".encode()

    def miss(self):
        """A request on a new connection for what is not stored."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.misses += 1
        self.ask(self.get(f"/small/{self.misses}"))

    def ask(self, request=None):
        """One hit. A connection that has ended is made anew within the same measurement."""
        for last in (False, True):
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S, (ADDRESS, 0))
                    self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.sendall(request or self.request)
                got = b""
                while not (b"\r\n\r\n" in got and len(got) - got.index(b"\r\n\r\n") >= 1028):
                    some = self.socket.recv(1 << 16)
                    if not some:
                        raise OSError("closed")
                    got += some
                if not got.startswith(b"HTTP/1.1 200"):
                    raise OSError(got.split(b"\r\n")[0].decode("latin-1"))
                return
            except OSError:
                if self.socket is not None:
                    self.socket.close()
                self.socket = None
                if last:
                    raise

    def measure(self, seconds):
        """Latencies of hits in milliseconds, and how many requests failed, misses among them."""
        took, failed, end = [], 0, time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            try:
                self.ask()
            except OSError:
                failed += 1
            took.append((time.monotonic() - began) * 1000)
            if len(took) % HITS_PER_MISS == 0:
                try:
                    self.miss()
                except OSError:
                    failed += 1
            time.sleep(max(0.0, PACE_S - (time.monotonic() - began)))
        return Latencies(sorted(took), failed)


class Latencies:
    def __init__(self, took, failed):
        self.took, self.failed = took, failed

    def at(self, share):
        return self.took[min(len(self.took) - 1, int(len(self.took) * share))]

    def __str__(self):
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.at(0.5):.1f}/{self.at(0.99):.1f}{failed}"
