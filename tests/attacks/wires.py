"""The attackers' connections: each byte that leaves is counted, what comes back is read or left, as the attack wants."""

import asyncio
import socket
import ssl
import time

import frames

# What a connection itself takes on the wire: its segments without content, and the client's part of a TLS handshake.
TCP_BYTES, TLS_BYTES = 160, 800


class Target:
    """What is attacked, until when, and how much was sent at it."""

    def __init__(self, port, tls_port, origin, sent, opened, until):
        self.port, self.tls_port, self.until = port, tls_port, until
        self.authority = f"127.0.0.1:{origin}".encode()
        self.sent, self.opened = sent, opened
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
        self.context.set_alpn_protocols(["h2"])

    def goes_on(self):
        return time.monotonic() < self.until

    async def rest(self):
        """Holds what it has until the attack is over."""
        await asyncio.sleep(max(0.0, self.until - time.monotonic()))

    def get(self, path, more=b"", method=b"GET"):
        """A request over HTTP/1.1 in absolute form."""
        start = method + b" http://" + self.authority + path + b" HTTP/1.1\r\n"
        return start + b"Host: " + self.authority + b"\r\n" + more + b"\r\n"

    async def plain(self, **reading):
        return await self.connect(self.port, None, reading)

    async def http2(self, reading=True, **settings):
        wire = await self.connect(self.tls_port, self.context, {"reading": reading})
        wire.send(frames.hello(**settings))
        return wire

    async def connect(self, port, context, reading):
        sock = socket.socket()
        sock.setblocking(False)
        if reading.get("buffer"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, reading["buffer"])
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        opened = await asyncio.open_connection(sock=sock, ssl=context, server_hostname="localhost" if context else None)
        with self.opened.get_lock(), self.sent.get_lock():
            self.opened.value += 1
            self.sent.value += TCP_BYTES + (TLS_BYTES if context else 0)
        return Wire(self, *opened, reading.get("reading", True))


class Wire:
    def __init__(self, target, reader, writer, reads):
        self.target, self.reader, self.writer = target, reader, writer
        self.reading = asyncio.ensure_future(self.discard()) if reads else None
        if not reads:
            # Nothing is taken off the socket: its window fills up.
            self.writer.transport.pause_reading()

    def send(self, octets):
        with self.target.sent.get_lock():
            self.target.sent.value += len(octets)
        self.writer.write(octets)

    async def flush(self):
        await self.writer.drain()

    async def discard(self):
        try:
            while await self.reader.read(1 << 16):
                pass
        except OSError:
            pass

    def has_ended(self):
        return self.writer.is_closing() or (self.reading is not None and self.reading.done())

    async def flood(self, octets):
        """Sends this again and again while the connection lasts."""
        while self.target.goes_on() and not self.has_ended():
            self.send(octets)
            await self.flush()
            # The loop's other connections have their turn.
            await asyncio.sleep(0)

    async def trickle(self, octets, every_s):
        """Sends a byte at a time."""
        for octet in octets:
            if not self.target.goes_on() or self.has_ended():
                return
            self.send(bytes([octet]))
            await asyncio.sleep(every_s)

    def close(self):
        self.writer.transport.abort()


async def together(one, count):
    """So many attackers at once. One whose connection is refused or ended is done."""

    async def until_ended(number):
        try:
            await one(number)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass

    await asyncio.gather(*(until_ended(number) for number in range(count)))
