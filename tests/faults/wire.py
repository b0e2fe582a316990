"""HTTP/1.1 over plain sockets: just what the origin and the clients of these tests need."""

import socket

# How long a client waits for octets: long enough for a machine on which nothing gets its turn.
ANSWER_S_MAX = 120


class Ended(Exception):
    """The connection ended before the message did."""


class Message:
    def __init__(self, start, fields):
        self.start, self.fields, self.body = start, fields, b""
        self.status = int(start.split(" ", 2)[1]) if start.startswith("HTTP/") else 0

    def field(self, name):
        return self.fields.get(name)


class Connection:
    def __init__(self, sock):
        self.socket, self.buffer = sock, b""

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        start, *lines = head.decode("latin-1").split("\r\n")
        fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        return Message(start, fields)

    def read_exactly(self, length):
        parts, left = [self.buffer[:length]], length - len(self.buffer[:length])
        self.buffer = self.buffer[length:]
        while left:
            some = self.socket.recv(min(left, 1 << 18))
            if not some:
                raise Ended("in the content")
            parts.append(some)
            left -= len(some)
        return b"".join(parts)

    def more(self):
        some = self.socket.recv(1 << 18)
        if not some:
            raise Ended("in a head")
        self.buffer += some

    def read_response(self, method):
        response = self.read_head()
        if method != "HEAD" and response.status not in (204, 304):
            response.body = self.read_exactly(int(response.field("content-length")))
        return response

    def close(self):
        self.socket.close()


class Client(Connection):
    """A client of a proxy."""

    def __init__(self, proxy_port):
        super().__init__(socket.create_connection(("127.0.0.1", proxy_port), timeout=ANSWER_S_MAX))

    def ask(self, method, url, fields=()):
        host = url.split("/")[2]
        lines = [f"{method} {url} HTTP/1.1", f"Host: {host}", *fields, "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        return self.read_response(method)
