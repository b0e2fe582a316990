"""A crowd of clients for one response that nobody has yet."""

import resource
import selectors
import socket
import tempfile
import threading
import time

import wire
from kills import Violation
from process import Larder

CLIENTS = 1000


class SlowOrigin:
    """One response, begun at once and finished when all clients have asked; counts its requests."""

    def __init__(self, content):
        self.content, self.requests = content, 0
        self.go_on = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(wire.Connection(sock),), daemon=True).start()

    def serve(self, connection):
        try:
            while True:
                connection.read_head()
                self.requests += 1
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.content)}\r\nCache-Control: max-age=600\r\n\r\n"
                connection.socket.sendall(head.encode() + self.content[:1000])
                self.go_on.wait()
                connection.socket.sendall(self.content[1000:])
        except (OSError, wire.Ended):
            connection.close()


class Reader:
    """One client: what it has got is compared at once, and not kept."""

    def __init__(self, port, request):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(request)
        self.socket.setblocking(False)
        self.head, self.at = b"", None

    def read(self, buffer, content):
        """Takes what is there; true at the end."""
        try:
            read = self.socket.recv_into(buffer)
        except BlockingIOError:
            return False
        if read == 0:
            raise Violation(f"a response ended after {self.at} octets of {len(content)}")
        octets = buffer[:read]
        if self.at is None:
            self.head += bytes(octets)
            head, end, begun = self.head.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise Violation(f"a response was {head[:60]!r}")
            octets, self.at = memoryview(begun), 0
        if octets != content[self.at : self.at + len(octets)]:
            raise Violation(f"a wrong octet behind octet {self.at}")
        self.at += len(octets)
        return self.at == len(content)


def run(binary, megabytes):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # No two blocks are alike.
    content = b"".join(block.to_bytes(8, "big") * 128 for block in range(megabytes * 1_000_000 // 1024))
    origin = SlowOrigin(content)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="larder-crowd-") as folder:
        config = f"{folder}/larder.toml"
        with open(config, "w") as file:
            file.write("[server]\nconnections_per_client_max = 5000\n")
        larder = Larder(binary, f"{folder}/cache", "--disk", "2GiB", "--memory", "64MiB", "--config", config)
        try:
            host = f"127.0.0.1:{origin.port}"
            request = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            polling, view, buffer = selectors.DefaultSelector(), memoryview(content), memoryview(bytearray(1 << 20))
            for _ in range(CLIENTS):
                reader = Reader(larder.port, request)
                polling.register(reader.socket, selectors.EVENT_READ, reader)
            origin.go_on.set()
            left = CLIENTS
            while left:
                for key, _ in polling.select(timeout=60):
                    if key.data.read(buffer, view):
                        polling.unregister(key.fileobj)
                        key.data.socket.close()
                        left -= 1
        finally:
            larder.kill()
    if origin.requests != 1:
        raise Violation(f"{origin.requests} requests have reached the origin")
    seconds = time.monotonic() - began
    print(f"crowd: {CLIENTS} clients, {megabytes} MB each, all right: 1 request to the origin, {seconds:.0f} s")
