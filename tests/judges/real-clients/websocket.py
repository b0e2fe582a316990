"""WebSocket (RFC 6455) as far as an echo needs it: a server, and a client that speaks through a proxy.

Deliberately absent: extensions, fragmentation, and the closing handshake's reason.
"""

import base64
import contextlib
import hashlib
import os
import socket
import socketserver
import struct
import threading

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
WAIT_S_MAX = 30


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def read_head(stream):
    """A request or status line and its fields, names in lower case."""
    first = stream.readline().decode().strip()
    fields = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    return first, fields


def read_frame(stream):
    first, second = stream.read(2)
    length = second & 0x7F
    if length == 126:
        length, = struct.unpack(">H", stream.read(2))
    elif length == 127:
        length, = struct.unpack(">Q", stream.read(8))
    mask = stream.read(4) if second & 0x80 else None
    payload = stream.read(length)
    return first & 0x0F, apply_mask(payload, mask) if mask else payload


def frame(opcode, payload, mask=None):
    """One whole message. Only a client's frames are masked (RFC 6455, section 5.1)."""
    masked = 0x80 if mask else 0
    length = len(payload)
    if length < 126:
        head = struct.pack(">BB", 0x80 | opcode, masked | length)
    elif length < 1 << 16:
        head = struct.pack(">BBH", 0x80 | opcode, masked | 126, length)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, masked | 127, length)
    return head + (mask + apply_mask(payload, mask) if mask else payload)


def apply_mask(payload, mask):
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[:len(payload)], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


class EchoServer(socketserver.ThreadingTCPServer):
    """Echoes on /ws; `/after-close` is answered once a socket has been closed by its client (see socket.html)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.port = self.server_address[1]
        self.closed = threading.Event()
        self.echoed = 0
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A connection that breaks off is seen by the check on its other end; it needs no traceback here."""


class EchoHandler(socketserver.StreamRequestHandler):
    timeout = WAIT_S_MAX

    def handle(self):
        _, fields = read_head(self.rfile)
        if fields.get("upgrade", "").lower() == "websocket":
            self.wfile.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_key(fields["sec-websocket-key"]).encode() + b"\r\n\r\n")
            return self.echo()
        self.server.closed.wait(WAIT_S_MAX)
        self.wfile.write(b"HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n")

    def echo(self):
        while True:
            opcode, payload = read_frame(self.rfile)
            self.wfile.write(frame(PONG if opcode == PING else opcode, payload))
            if opcode == CLOSE:
                return self.server.closed.set()
            self.server.echoed += 1


class EchoClient:
    """Opens a socket through the proxy, either in absolute form or inside a CONNECT tunnel."""

    def __init__(self, proxy_port, server_port, tunnelled):
        self.connection = socket.create_connection(("127.0.0.1", proxy_port), timeout=WAIT_S_MAX)
        self.stream = self.connection.makefile("rb")
        authority = f"127.0.0.1:{server_port}"
        if tunnelled:
            self._send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
            self._expect_status("200")
        key = base64.b64encode(os.urandom(16)).decode()
        target = "/ws" if tunnelled else f"http://{authority}/ws"
        self._send(f"GET {target} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n")
        fields = self._expect_status("101")
        if fields.get("sec-websocket-accept") != accept_key(key):
            raise RuntimeError(f"the handshake's answer is not for our key: {fields}")

    def echo(self, opcode, payload):
        self.connection.sendall(frame(opcode, payload, mask=os.urandom(4)))
        return read_frame(self.stream)

    def close(self):
        """True when the closing handshake was completed and the connection then ended."""
        opcode, _ = self.echo(CLOSE, struct.pack(">H", 1000))
        return opcode == CLOSE and self.stream.read() == b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.stream.close()
            self.connection.close()

    def _send(self, text):
        self.connection.sendall(text.encode())

    def _expect_status(self, wanted):
        first, fields = read_head(self.stream)
        if first.split(" ")[1:2] != [wanted]:
            raise RuntimeError(f"expected status {wanted}, got {first!r}")
        return fields
