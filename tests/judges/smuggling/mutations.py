"""Valid HTTP/1 messages, and what is done to them: one to four changes each, drawn from a seed.

Nothing here ever makes another address: octets of the origin's authority stay as they are, since whatever a changed
one leads to is somebody else.
"""

import random
import re

AUTHORITY = re.compile(rb"127\.\d+\.\d+\.\d+(:\d+)?")
POISON_REQUEST = b"GET /poison HTTP/1.1\r\nHost: %s\r\n\r\n"
POISON_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

LENGTHS = [b"0", b"5", b"05", b"+5", b"-5", b"5 ", b"5, 5", b"5, 6", b"5,", b",5", b"0x5", b"5;", b"5_0", b"\x0b5", b"", b"5\t",
           b"99", b"18446744073709551616", b"18446744073709551621", b"5.0", b"5e0", b'"5"', b"\xb25", b"5\x00", b"4294967301"]
CODINGS = [b"chunked", b"Chunked", b"chunked, chunked", b"identity", b"gzip, chunked", b"chunked, gzip", b"xchunked",
           b"chunked;q=1", b"\x0bchunked", b"chunked\t", b'"chunked"', b",chunked", b"chunked,", b"chu nked", b"", b"\x00chunked",
           b"chunked\x00", b"identity, chunked", b"chunked identity", b"chunked;a=b", b"c\xe9hunked", b"cow"]
FRAMING_NAMES = [b"Transfer-Encoding", b"transfer-encoding", b"Transfer_Encoding", b"TRANSFER-ENCODING", b"Transfer-Encoding ",
                 b"Transfer-Encoding\t", b" Transfer-Encoding", b"\x0bTransfer-Encoding", b"Transfer-\x00Encoding",
                 b"Transfer-Encoding\x00", b"X: y\rTransfer-Encoding", b"X: y\nTransfer-Encoding", b"Transfer.Encoding",
                 b"Transfer Encoding", b"Transfer-Encoding\xa0", b"Tran\xc5\xbffer-Encoding", b":Transfer-Encoding"]
LENGTH_NAMES = [name.replace(b"Transfer", b"Content").replace(b"Encoding", b"Length").replace(b"transfer-encoding", b"content-length")
                .replace(b"TRANSFER-ENCODING", b"CONTENT-LENGTH") for name in FRAMING_NAMES]
LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"\n ", b"\x0b", b"\x85", b"\r\n\r\n", b"\n\n", b" \r\n", b"\x00\r\n", b"",
             b"\r\n \r\n", b"\xe2\x80\xa8"]
CHUNK_SIZES = [b"05", b"0x5", b"+5", b"-5", b"5 ", b" 5", b"5\t", b"5;a=b", b'5;a="b;c"', b"5;", b"5 ; x", b"5;a=\"\n\"", b"5\x00", b"5\x0b", b"5_",
               b"FFFFFFFFFFFFFFF5", b"10000000000000005", b"0000000000000000000005", b"", b"5\r", b"5g", b"5;\r", b"5;a\rb", b"5\n", b"5,5", b"\xef\xbc\x95"]
VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/0.9", b"", b"HTTP/1.1x", b"HTTP/01.1", b"HTTP/1.01",
            b"HTTP /1.1", b"HTTP/1.", b"HTTP/1,1", b"HTTP/1.1\t", b"HTTP/9.9", b"ICY"]
METHODS = [b"get", b"GET\x00", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"PROPFIND", b"G ET", b"TRACE", b"\x00GET", b"GET:", b"", b"QUERY"]
CONNECTION = [b"close", b"keep-alive", b"close, keep-alive", b"Transfer-Encoding", b"Content-Length", b"Host", b"X-A, Transfer-Encoding",
              b"upgrade", b"", b"x,,close", b"close;x", b"\x00close", b"TE, close"]
OTHER_FIELDS = [b"Expect: 100-continue", b"Expect: 200-ok", b"TE: trailers", b"Trailer: Content-Length", b"Upgrade: h2c",
                b"Upgrade: websocket", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Range: bytes=0-1", b"X-HTTP-Method-Override: DELETE",
                b"Proxy-Connection: keep-alive", b"Keep-Alive: timeout=5", b"Content-Encoding: gzip", b": x", b"X", b"X\x00Y: z", b"\xe9: x",
                b"X: \xe9\xff", b"X: a\x00b", b"X: a\rb", b"X-A:\x0bb", b"Via: 1.1 x", b"Max-Forwards: 0", b"Content-Type: multipart/byteranges; boundary=x"]
OCTETS = [b"\r", b"\n", b"\r\n", b"\x00", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x0c", b"\x7f", b"\x80", b"\xff", b"0", b"5", b"\\", b'"', b"#", b"?", b"/"]


class Head:
    """A message in parts that can each be spoiled; `body` is as it goes over the wire."""

    def __init__(self, start, lines, body):
        self.start, self.lines, self.body = start, lines, body
        self.separators = [b" ", b" "]
        self.ends = None

    def octets(self):
        one, two = self.separators
        lines = [self.start[0] + one + self.start[1] + two + self.start[2], *self.lines, b""]
        ends = self.ends or [b"\r\n"] * len(lines)
        return b"".join(line + end for line, end in zip(lines, ends + [b"\r\n"] * len(lines))) + self.body


def chunks(rng, pieces, trailers=b""):
    """The pieces in the chunked coding, in which a size may be spelled oddly."""
    out = b""
    for piece in pieces:
        out += b"%x" % len(piece) + rng.choice([b"", b"", b"", b";a=b"]) + b"\r\n" + piece + b"\r\n"
    return out + b"0\r\n" + trailers + b"\r\n"


def body_of(rng, poison):
    """Lines that say the length, and the body: none, a counted one, or chunks. Often it reads as another message."""
    content = rng.choice([b"hello", b"0\r\n\r\n", poison, b"5\r\nhello\r\n0\r\n\r\n", b"x" * 40])
    match rng.randrange(4):
        case 0:
            return [], b""
        case 1 | 2:
            return [b"Content-Length: %d" % len(content)], content
    trailers = rng.choice([b"", b"", b"X-T: 1\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
    return [b"Transfer-Encoding: chunked"], chunks(rng, [content, b"hello"], trailers)


def spoil_framing(rng, head):
    names, values = (FRAMING_NAMES, CODINGS) if rng.random() < 0.6 else (LENGTH_NAMES, LENGTHS)
    name = rng.choice(names) if rng.random() < 0.6 else names[0]
    value = rng.choice(values) if rng.random() < 0.7 else values[0]
    head.lines.insert(rng.randint(0, len(head.lines)), name + rng.choice([b": ", b":", b":\t", b" : "]) + value)


def spoil_existing_line(rng, head):
    if not head.lines:
        return
    at = rng.randrange(len(head.lines))
    name, _, value = head.lines[at].partition(b":")
    match rng.randrange(6):
        case 0:
            head.lines.append(head.lines[at])
        case 1:
            del head.lines[at]
        case 2:
            head.lines[at] = name + rng.choice([b" :", b"\t:", b"\x00:", b"", b"::", b":\r\n ", b":\n"]) + value
        case 3:
            head.lines[at] = name + b":" + value + rng.choice([b" ", b"\t", b"\x0b", b"\x00", b"\r", b",", b"\r\n folded"])
        case 4:
            head.lines[at] = rng.choice([b" ", b"\t", b"\x0b"]) + head.lines[at]
        case 5:
            head.lines[at] = name.swapcase() + b":" + value


def spoil_fields(rng, head):
    line = rng.choice(OTHER_FIELDS) if rng.random() < 0.6 else b"Connection: " + rng.choice(CONNECTION)
    head.lines.insert(rng.randint(0, len(head.lines)), line)


def spoil_line_end(rng, head):
    head.ends = head.ends or [b"\r\n"] * (len(head.lines) + 2)
    head.ends[rng.randrange(len(head.ends))] = rng.choice(LINE_ENDS)


def spoil_chunks(rng, head):
    sizes = list(re.finditer(rb"(?m)^[0-9a-f]+(;a=b)?\r\n", head.body))
    if not sizes:
        head.lines = [line for line in head.lines if not line.lower().startswith(b"content-length")]
        head.lines.append(b"Transfer-Encoding: chunked")
        head.body = chunks(rng, [b"hello"])
        sizes = list(re.finditer(rb"(?m)^[0-9a-f]+\r\n", head.body))
    one = rng.choice(sizes)
    before, behind = head.body[:one.start()], head.body[one.end():]
    match rng.randrange(5):
        case 0 | 1:
            head.body = before + rng.choice(CHUNK_SIZES) + b"\r\n" + behind
        case 2:
            head.body = before + one[0][:-2] + rng.choice(LINE_ENDS) + behind
        case 3:
            # What ends the data of the chunk.
            head.body = before + one[0] + behind.replace(b"\r\n", rng.choice(LINE_ENDS), 1)
        case 4:
            head.body = head.body[:-2] + rng.choice([b"X: y\n\n", b"Content-Length: 5\r\n\r\n", b" folded\r\n\r\n", b"X\r\n\r\n", b"\n", b"",
                                                     b"X: y\r\n z\r\n\r\n", b"Host: h\r\n\r\n", b"X : y\r\n\r\n"])


def spoil_octets(rng, octets):
    """A change anywhere but in an authority."""
    kept = [found.span() for found in AUTHORITY.finditer(octets)]
    at = rng.randint(0, len(octets))
    if any(first <= at <= end for first, end in kept):
        return octets
    match rng.randrange(5):
        case 0:
            return octets[:at] + rng.choice(OCTETS) + octets[at:]
        case 1:
            return octets[:at] + rng.choice(OCTETS) + octets[at + 1:]
        case 2:
            return octets[:at] + octets[at + 1:]
        case 3:
            return octets[:at]
        case _:
            line = octets.rfind(b"\n", 0, at) + 1
            end = octets.find(b"\n", at) + 1 or len(octets)
            return octets[:end] + octets[line:]


class RequestHead(Head):
    def spoil_target(self, rng, authority):
        path = b"/" + self.start[1].split(b"/", 3)[-1]
        self.start[1] = rng.choice([
            b"http://us:pw@" + authority + path, self.start[1] + b"#frag", self.start[1] + b"?a b", path, b"HTTP://" + authority + path,
            self.start[1] + b"\\..", self.start[1] + b"\x00", self.start[1] + b"\xe9", b"http://" + authority, b"http://" + authority + b"?q",
            b"http:///" + authority + path, b"http:" + path, b"*", b"http://" + authority + b"/%0d%0aX:%20y", b"http://" + authority + b"\\@x" + path,
            self.start[1] + b"\t", b"//" + authority + path, b"http://@" + authority + path, b"http://" + authority + b"#f" + path,
            b"http://us:pw@" + authority + path + b"#frag", self.start[1] + b" HTTP/1.1", b"http://:@" + authority + path, b""])

    def spoil_start(self, rng, authority):
        match rng.randrange(4):
            case 0:
                self.start[2] = rng.choice(VERSIONS)
            case 1:
                self.start[0] = rng.choice(METHODS)
            case 2:
                self.separators[rng.randrange(2)] = rng.choice([b"  ", b"\t", b"\x0b", b"", b"\r", b" \t", b"\xa0"])
            case 3:
                self.spoil_target(rng, authority)

    def spoil_host(self, rng, authority):
        self.lines = [line for line in self.lines if not line.startswith(b"Host:")]
        self.lines[0:0] = rng.choice([
            [], [b"Host: " + authority] * 2, [b"Host:"], [b"Host: other.invalid"], [b"Host: " + authority + b", x"], [b"Host : " + authority],
            [b"Host: us@" + authority], [b"Host: " + authority + b"/x"], [b"Host: " + authority + b" "], [b" Host: " + authority],
            [b"Host: " + authority, b"Host: other.invalid"], [b"Host:" + authority], [b"host:\t" + authority], [b"Host_: x", b"Host: " + authority],
            [b"Host: " + authority + b"\x00"], [b"Host: a\r\n " + authority]])


def request(rng, authority, label):
    lines, body = body_of(rng, POISON_REQUEST % authority)
    method = rng.choice([b"GET", b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"DELETE"])
    target = b"http://" + authority + label
    return RequestHead([method, target, b"HTTP/1.1"], [b"Host: " + authority, b"X-A: b", *lines], body)


def requests(seed, index, authority):
    """One to three requests of which one is spoiled, and a last one that asks to close."""
    rng = random.Random(f"requests/{seed}/{index}")
    heads = [request(rng, authority, b"/%d/%d" % (index, number)) for number in range(rng.randint(1, 3))]
    one = rng.choice(heads)
    changes = [lambda: spoil_framing(rng, one), lambda: spoil_framing(rng, one), lambda: spoil_existing_line(rng, one),
               lambda: spoil_fields(rng, one), lambda: spoil_line_end(rng, one), lambda: spoil_chunks(rng, one),
               lambda: one.spoil_start(rng, authority), lambda: one.spoil_host(rng, authority), lambda: one.spoil_target(rng, authority)]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        rng.choice(changes)()
    octets = rng.choice([b"", b"", b"", b"\r\n", b"\n", b" "] if rng.random() < 0.2 else [b""])
    octets += b"".join(head.octets() for head in heads)
    while rng.random() < 0.25:
        octets = spoil_octets(rng, octets)
    return octets + b"GET http://%s/%d/last HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (authority, index, authority)


def response(seed, index):
    """The octets of a response, and whether the origin closes behind it."""
    rng = random.Random(f"responses/{seed}/{index}")
    lines, body = body_of(rng, POISON_RESPONSE)
    status = rng.choice([b"200", b"200", b"200", b"404", b"204", b"304", b"206", b"301", b"500", b"205"])
    control = rng.choice([b"Cache-Control: no-store", b"Cache-Control: max-age=60"])
    head = Head([b"HTTP/1.1", status, b"OK"], [control, b"X-A: b", *lines], body)
    if status == b"206":
        head.lines.append(b"Content-Range: bytes 0-4/9")

    def start():
        match rng.randrange(3):
            case 0:
                head.start[0] = rng.choice(VERSIONS)
            case 1:
                head.start[1] = rng.choice([b"2000", b"+200", b"0200", b"20", b"199", b"600", b"999", b"", b"2 00", b"101", b"100", b"103", b"-1", b"200\x00"])
            case 2:
                head.start[2] = rng.choice([b"", b"a\rb", b"a\x00b", b"\xe9", b"a\tb", b"OK\r\n folded"])

    changes = [lambda: spoil_framing(rng, head), lambda: spoil_framing(rng, head), lambda: spoil_existing_line(rng, head),
               lambda: spoil_fields(rng, head), lambda: spoil_line_end(rng, head), lambda: spoil_chunks(rng, head), start]
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        rng.choice(changes)()
    interim = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 102 X\r\nContent-Length: 5\r\n\r\n",
               b"HTTP/1.1 199 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"]
    octets = (rng.choice(interim) if rng.random() < 0.15 else b"") + head.octets()
    while rng.random() < 0.25:
        octets = spoil_octets(rng, octets)
    if rng.random() < 0.15:
        octets += rng.choice([POISON_RESPONSE, b"\r\n", b"x", b"0\r\n\r\n", b"\r\n" + POISON_RESPONSE])
    return octets, rng.random() < 0.35
