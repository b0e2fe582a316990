"""The origin behind an attack, in a process of its own: small and large responses, slow ones, endless ones."""

import asyncio
import itertools
import multiprocessing

SMALL = b"x" * 1024
MEGABYTE = b"y" * (1 << 20)
VALIDATIONS = itertools.count()


def start():
    """Starts an origin; its port and its process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=run, args=(there,), daemon=True)
    process.start()
    return here.recv(), process


def run(pipe):
    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def answer(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            await respond(head[0].split(b" ")[1], head, reader, writer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def respond(path, head, reader, writer):
    kind = path.split(b"/")[1].split(b"?")[0]
    if kind == b"slow":
        # Longer than an attack lasts: who asks for this holds what it takes.
        await asyncio.sleep(90)
    if kind == b"discard":
        await reader.read(-1)
        return
    if kind in (b"endless", b"drip"):
        return await go_on(kind, writer)
    body = MEGABYTE if kind == b"mb" else SMALL
    fields = [b"HTTP/1.1 200 OK", b"Cache-Control: max-age=3600", b"Content-Length: %d" % len(body)]
    if kind == b"grow":
        fields = [b"HTTP/1.1 200 OK", b"Cache-Control: no-cache", b'ETag: "a"', b"Content-Length: %d" % len(body)]
        if any(line.lower().startswith(b"if-none-match") for line in head):
            # A validation that adds fields to what is stored, others each time.
            number = next(VALIDATIONS)
            new = [b"X-%d-%d: %s" % (number, at, b"y" * 470) for at in range(100)]
            fields = [b"HTTP/1.1 304 Not Modified", b"Cache-Control: no-cache", b'ETag: "a"', *new]
            body = b""
    writer.write(b"\r\n".join([*fields, b"", b""]) + body)
    await writer.drain()


async def go_on(kind, writer):
    """A response without an end: as fast as it is taken, or a byte a second."""
    writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"z" * 0x10000 + b"\r\n" if kind == b"endless" else b"1\r\nz\r\n"
    while True:
        writer.write(piece)
        await writer.drain()
        if kind == b"drip":
            await asyncio.sleep(1)
