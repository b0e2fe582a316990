"""Files of the store that get shorter under a response that is on its way: a device that fails in the middle of it."""

import os
import tempfile
import time
from pathlib import Path

import wire
from kills import Violation
from process import Larder
from crowd import SlowOrigin

LENGTH = 30_720_000
# More than the sockets between the two hold, and less than all.
READ_FIRST = 1_000_000


class RangeOrigin(SlowOrigin):
    """Has a validator, and sends ranges."""

    def serve(self, connection):
        try:
            while True:
                request = connection.read_head()
                self.requests += 1
                first, last = 0, len(self.content) - 1
                fields = ['ETag: "one"', "Cache-Control: max-age=600", "Accept-Ranges: bytes"]
                asked = request.field("range")
                if asked and request.field("if-range") in (None, '"one"'):
                    start, end = asked.removeprefix("bytes=").split("-")
                    first, last = int(start), int(end or last)
                    fields.append(f"Content-Range: bytes {first}-{last}/{len(self.content)}")
                status = "206 Partial Content" if asked else "200 OK"
                head = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {last + 1 - first}", "", ""]
                connection.socket.sendall("\r\n".join(head).encode() + self.content[first : last + 1])
        except (OSError, wire.Ended):
            connection.close()


def blocks(length):
    """No two are alike."""
    return b"".join(block.to_bytes(8, "big") * 128 for block in range(length // 1024))


def ask(port, origin):
    host = f"127.0.0.1:{origin.port}"
    client = wire.Client(port)
    client.socket.sendall(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return client, client.read_head()


def until_stored(port, origin):
    """As `ask`, when the response has been written down."""
    deadline = time.monotonic() + 60
    while True:
        client, head = ask(port, origin)
        if "; hit" in head.field("cache-status"):
            return client, head
        if time.monotonic() > deadline:
            raise Violation(f"not stored: {head.field('cache-status')}")
        read(client, origin.content, LENGTH)
        client.close()


def read(client, content, length):
    """What came of so many octets from the begin of content; how many, all of them right."""
    at, buffer = 0, client.buffer[:length]
    client.buffer = client.buffer[length:]
    while True:
        if buffer != content[at : at + len(buffer)]:
            raise Violation(f"a wrong octet behind octet {at}")
        at += len(buffer)
        if at == length:
            return at
        try:
            buffer = client.socket.recv(min(1 << 20, length - at))
        except ConnectionResetError:
            return at
        if not buffer:
            return at


def torn(binary, origin, kept):
    """Octets that came of a response all of whose files but the first few were emptied when it had begun."""
    content = origin.content
    with tempfile.TemporaryDirectory(prefix="larder-torn-") as folder:
        larder = Larder(binary, f"{folder}/cache", "--disk", "256MiB", "--memory", "8MiB")
        try:
            client, head = ask(larder.port, origin)
            if read(client, content, LENGTH) != LENGTH:
                raise Violation("the first response was not whole")
            client.close()
            client, head = until_stored(larder.port, origin)
            asked = origin.requests
            begun = read(client, content, READ_FIRST)
            files = sorted(Path(folder).glob("cache/**/seg-*"))
            for file in files[kept:]:
                # To nothing: whoever leaves a part has the kernel fill the pages around the cut with zeros, also those
                # that a socket has already, and no failing device does that.
                os.truncate(file, 0)
            end = begun + read(client, content[begun:], LENGTH - begun)
            client.close()
            client, head = ask(larder.port, origin)
            if read(client, content, LENGTH) != LENGTH:
                raise Violation(f"the response after {kept} of {len(files)} files were kept is not whole")
            if origin.requests == asked:
                raise Violation("what is gone can't have been served")
            client.close()
            return end
        finally:
            larder.kill()


def run(binary):
    content = blocks(LENGTH)
    for origin in [SlowOrigin(content), RangeOrigin(content)]:
        origin.go_on.set()
        ends = [torn(binary, origin, kept) for kept in [0, 1]]
        whole = sum(end == LENGTH for end in ends)
        kind = "from an origin with ranges" if isinstance(origin, RangeOrigin) else "from an origin without ranges"
        print(f"torn: {kind}: {whole} responses went on whole, {len(ends) - whole} were cut before their end, 0 wrong")
        # One that is in the middle of a record when that goes is cut; what is gone before is asked for.
        if isinstance(origin, RangeOrigin) and whole == 0:
            raise Violation("what the origin could have sent again was not asked for")
