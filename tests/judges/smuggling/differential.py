"""Sends the mutations, keeps what was seen at each end, and compares.

A mutation has a client address and an origin address of its own, by which the access log and the origin tell it from the
others: 127.100.x.y asks for 127.200.x.y.
"""

import asyncio
import collections
import contextlib
import json
import random
import socket
import time

import mutations
import parsers
from known import known_request_difference, known_response_difference

GIVE_UP_S = 5
LOG_S_MAX = 20


class Seen:
    """One mutation: what went in and what came out."""

    def __init__(self, kind, index, sent):
        self.kind, self.index, self.sent = kind, index, sent
        self.received = b""
        self.origin = []  # One `parsers.Requests` for each connection.
        self.log = []


class Found:
    def __init__(self):
        self.failures, self.known, self.tried = [], collections.Counter(), 0
        self.counts = collections.Counter()

    @property
    def seen(self):
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())

    def is_hollow(self):
        """A run in which hardly anything was forwarded, or hardly anything refused, shows nothing."""
        if self.counts["requests forwarded"] + self.counts["responses forwarded"] < self.tried / 2:
            return "hardly anything was forwarded"
        if self.counts["refused"] < self.tried / 20:
            return "hardly anything was refused"
        return None


def address(net, index):
    return f"127.{net}.{index >> 8 & 255}.{index & 255}"


async def write_in_pieces(writer, octets, index):
    """A third of the mutations goes over the wire in pieces that the other end reads one by one."""
    rng = random.Random(index)
    cuts = sorted(rng.randint(0, len(octets)) for _ in range(rng.choice([0, 0, 3])))
    for first, end in zip([0, *cuts], [*cuts, len(octets)]):
        writer.write(octets[first:end])
        if end < len(octets):
            await asyncio.sleep(0.003)


class Differential:
    def __init__(self, port, log, options, node, quiet_s):
        self.port, self.log, self.options, self.node, self.quiet_s = port, log, options, node, quiet_s
        self.by_number, self.found = {}, Found()
        self.origin_port = None

    def run(self):
        asyncio.run(self._all())
        self._read_log()
        for seen in self.by_number.values():
            self._judge(seen)
        return self.found

    def _jobs(self):
        kinds = [self.options.only] if self.options.only else ["requests", "responses"]
        if self.options.index is not None:
            return [(kind, self.options.index) for kind in kinds]
        return [(kind, index) for index in range(self.options.mutations // len(kinds)) for kind in kinds]

    async def _all(self):
        origin = await asyncio.start_server(self._serve, "0.0.0.0", 0, family=socket.AF_INET)
        self.origin_port = origin.sockets[0].getsockname()[1]
        jobs = iter(enumerate(self._jobs()))

        async def work():
            for number, (kind, index) in jobs:
                await self._one(number, kind, index)

        async with origin:
            await asyncio.gather(*(work() for _ in range(self.options.jobs)))

    async def _one(self, number, kind, index):
        authority = f"{address(200, number)}:{self.origin_port}".encode()
        if kind == "requests":
            sent = mutations.requests(self.options.seed, index, authority)
        else:
            # The spoiled one twice, since it may have been stored.
            method = b"HEAD" if index % 8 == 0 else b"GET"
            sent = b"".join(b"%s http://%s/%d/%s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method, authority, index, name, authority, more)
                            for method, name, more in [(method, b"spoiled", b""), (b"GET", b"next", b""), (method, b"spoiled", b""),
                                                       (b"GET", b"last", b"Connection: close\r\n")])
        seen = self.by_number[number] = Seen(kind, index, sent)
        self.found.tried += 1
        with contextlib.suppress(OSError):
            await self._ask(seen, address(100, number))

    async def _ask(self, seen, source):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        try:
            await write_in_pieces(writer, seen.sent, seen.index)
            end = time.monotonic() + GIVE_UP_S
            with contextlib.suppress(asyncio.TimeoutError):
                while time.monotonic() < end and (octets := await asyncio.wait_for(reader.read(1 << 16), self.quiet_s)):
                    seen.received += octets
        finally:
            writer.close()

    async def _serve(self, reader, writer):
        """The origin's side of a connection: h11 says where requests end, and each gets its answer."""
        host = writer.get_extra_info("sockname")[0].split(".")
        seen = self.by_number.get(int(host[2]) << 8 | int(host[3])) if host[1] == "200" else None
        if seen is None:
            writer.close()
            return
        requests = parsers.Requests()
        seen.origin.append(requests)
        try:
            while octets := await reader.read(1 << 16):
                for request in requests.feed(octets):
                    answer, is_last = self._answer(seen, request)
                    await write_in_pieces(writer, answer, seen.index)
                    if is_last:
                        return
                if requests.reading.error:
                    return
        except (OSError, asyncio.CancelledError):
            pass  # Larder has closed, or the run ends: what came before counts.
        finally:
            requests.feed(b"")
            writer.close()

    def _answer(self, seen, request):
        method, target = request.start
        if seen.kind == "responses" and target.endswith("/spoiled"):
            return mutations.response(self.options.seed, seen.index)
        content = f"{method} {target} {len(request.body)}".encode()
        head = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n" % len(content)
        is_last = target.endswith("/last")
        return head + (b"" if method == "HEAD" else content), is_last

    def _read_log(self):
        """A line for each request; they are written a moment after the end."""
        numbers = {address(100, number): seen for number, seen in self.by_number.items()}
        end, size = time.monotonic() + LOG_S_MAX, -1
        while time.monotonic() < end and size != (size := self.log.stat().st_size):
            time.sleep(1)
        for line in self.log.read_text().splitlines():
            line = json.loads(line)
            if seen := numbers.get(line["client"]):
                seen.log.append(line)

    def _judge(self, seen):
        shown = {"sent": seen.sent}
        for connection in seen.origin:
            shown[f"origin got ({len(shown)})"] = connection.octets
        shown |= {"client got": seen.received, "log": json.dumps(seen.log)}
        said = self._objection(seen, shown)
        if said:
            self.found.failures.append((seen.kind, seen.index, said, shown))
        elif self.options.index is not None:
            print("".join(f"  {name}: {value}\n" for name, value in shown.items()), end="")

    def _objection(self, seen, shown):
        return self._forwarded_requests(seen, shown) or self._received_responses(seen, shown)

    def _forwarded_requests(self, seen, shown):
        """What reached the origin, read three times, and beside the log."""
        at_origin = collections.Counter()
        complete = collections.Counter()
        for connection in seen.origin:
            h11, node = connection.reading, self.node.parse(connection.octets)
            known = None
            if h11.error or not h11.same_as(node):
                known = known_request_difference(connection.octets, h11, node)
            if known:
                self.found.known[known[0]] += 1
                if not known[1]:
                    return None
            elif not h11.same_as(node):
                return f"h11 reads {h11}; Node reads {node}"
            if h11.error:
                return f"neither h11 nor Node can read what was forwarded: {h11.error}; {node.error}"
            if said := parsers.objections(connection.octets, parsers.REQUEST_LINE):
                return f"not canonical: {said}"
            at_origin.update(message.start for message in h11.messages)
            complete.update(message.start for message in h11.messages if message.complete)
        self.found.counts["requests forwarded"] += sum(complete.values())
        self.found.counts["refused"] += sum(not line.get("origin") for line in seen.log)
        forwarded = collections.Counter(start_of(line) for line in seen.log if line.get("origin"))
        if seen.kind == "responses":
            # One that got no answer at all is sent once more, if that does no harm (RFC 9110, section 9.2.2).
            forwarded += forwarded
        if more := at_origin - forwarded:
            return f"the origin got what is not in the log as forwarded: {dict(more)}"
        answered = [line for line in seen.log if line.get("origin") and line["status"] == 200 and line["ending"] == "complete"]
        if seen.kind == "requests" and (more := collections.Counter(map(start_of, answered)) - complete):
            return f"answered, and not seen at the origin as a whole request: {dict(more)}"
        return None

    def _received_responses(self, seen, shown):
        """What the client got, read three times; each whole response of the origin is the one to its request."""
        methods = [line.get("method", "GET") for line in seen.log]
        if seen.kind == "responses":
            methods = [line.split(b" ")[0].decode() for line in seen.sent.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
        if not seen.received:
            return None
        h11 = parsers.responses_by_h11(seen.received, methods)
        node = self.node.parse(seen.received, methods)
        if h11.error or not h11.same_as(node):
            if reason := known_response_difference(seen.received, h11, node):
                self.found.known[reason] += 1
                return None
        if not h11.same_as(node):
            return f"of the responses h11 reads {h11}; Node reads {node}"
        if h11.error:
            return f"neither h11 nor Node can read what the client got: {h11.error}; {node.error}"
        if said := parsers.objections(seen.received, parsers.STATUS_LINE, methods):
            return f"responses are not canonical: {said}"
        final = [message for message in h11.messages if message.start[0] >= 200]
        if seen.kind == "requests":
            return self._answers_to_the_log(seen, final)
        self.found.counts["responses forwarded"] += sum(message.start[0] not in (400, 502, 504) for message in final)
        self.found.counts["refused"] += sum(message.start[0] in (502, 504) for message in final)
        for number, name in [(1, "next"), (3, "last")]:
            content = f"GET /{seen.index}/{name} 0".encode()
            if len(final) > number and final[number].complete and final[number].start == (200,) and final[number].body != content:
                return f"the response to {name} is {final[number].body!r}"
        return None

    @staticmethod
    def _answers_to_the_log(seen, final):
        if len(final) > len(seen.log):
            return f"{len(final)} responses, and {len(seen.log)} requests in the log"
        for message, line in zip(final, seen.log):
            if message.start[0] != line["status"]:
                return f"a response {message.start[0]} where the log has {line['status']}"
            told = message.body.decode("latin-1").rsplit(" ", 1)[0]
            if message.start == (200,) and message.complete and line.get("origin") and line["method"] != "HEAD" \
                    and told != " ".join(start_of(line)):
                return f"the response to {start_of(line)} is that to {told}"
        return None


def start_of(line):
    """Method and target as the origin has to see them, from a line of the log."""
    scheme, slashes, rest = line.get("url", "").partition("://")
    _, slash, path = rest.partition("/")
    return line.get("method", ""), slash + path
