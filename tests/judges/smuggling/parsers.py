"""Three readings of what was recorded: h11's, Node's, and a strict one of our own that knows only the canonical form."""

import base64
import dataclasses
import json
import pathlib
import re
import subprocess

import h11

HERE = pathlib.Path(__file__).resolve().parent
HEAD_BYTES_MAX = 1 << 20


@dataclasses.dataclass
class Message:
    """`start` is (method, target) or (status,), a method that Node has no name for being None; `framing` is what says the length: an int, "chunked" or None."""

    start: tuple
    framing: object
    body: bytes = b""
    complete: bool = False

    def same_as(self, other):
        """Of a message that did not end, as much as both have must be the same."""
        if (self.framing, self.complete) != (other.framing, other.complete) or \
                self.start != other.start and (None not in other.start or self.start[1:] != other.start[1:]):
            return False
        if self.complete:
            return self.body == other.body
        return self.body.startswith(other.body) or other.body.startswith(self.body)

    def __str__(self):
        state = "" if self.complete else ", not ended"
        return f"<{' '.join(map(str, self.start))}, {self.framing}, {len(self.body)} octets{state}>"


@dataclasses.dataclass
class Reading:
    messages: list
    error: str = ""

    def same_as(self, other):
        return bool(self.error) == bool(other.error) and len(self.messages) == len(other.messages) and \
            all(one.same_as(two) for one, two in zip(self.messages, other.messages))

    def __str__(self):
        return f"{' '.join(map(str, self.messages)) or 'nothing'}{f', error: {self.error}' if self.error else ''}"


def framing_of(fields):
    """What a recipient goes by, from (lower-case name, value) pairs."""
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    lengths = [value for name, value in fields if name == b"content-length"]
    if codings:
        return b", ".join(codings).decode("latin-1").lower()
    return ", ".join(value.decode("latin-1") for value in lengths) if lengths else None


class Requests:
    """h11 as a server, given octets as they come; `answer` is called for each request that is complete."""

    def __init__(self):
        self.octets = b""
        self.reading = Reading([])
        self.at_end = False
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    def feed(self, octets):
        """Returns the requests that became complete."""
        if octets == b"":
            self.at_end = True
        self.octets += octets
        if self.reading.error:
            return []
        complete = []
        try:
            self._connection.receive_data(octets)
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                    break
                if event is h11.PAUSED:
                    # A message behind one that says to be the last.
                    self.reading.error = "octets behind the last request"
                    break
                if isinstance(event, h11.Request):
                    start = (event.method.decode("latin-1"), event.target.decode("latin-1"))
                    self.reading.messages.append(Message(start, framing_of(event.headers)))
                elif isinstance(event, h11.Data):
                    self.reading.messages[-1].body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.reading.messages[-1].complete = True
                    complete.append(self.reading.messages[-1])
                    self._answered()
        except h11.RemoteProtocolError as error:
            # A request that was cut by the end of the connection is not malformed.
            if not (self.at_end and self._is_cut()):
                self.reading.error = str(error)
        return complete

    def _is_cut(self):
        """Whether the connection ended within a message, which has no error in what is there of it."""
        messages = self.reading.messages
        return bool(messages and not messages[-1].complete) or not self.octets.endswith(b"\n\r\n")

    def _answered(self):
        if self._connection.our_state is h11.SEND_RESPONSE or self._connection.our_state is h11.MIGHT_SWITCH_PROTOCOL:
            self._connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            self._connection.send(h11.EndOfMessage())
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()


def responses_by_h11(octets, methods):
    """What a client sees that has asked with these methods."""
    reading, left = Reading([]), octets
    for method in methods:
        if not left:
            break
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        connection.send(h11.EndOfMessage())
        try:
            connection.receive_data(left)
            connection.receive_data(b"")
            left = _one_response(connection, reading)
        except h11.RemoteProtocolError as error:
            reading.error = "" if _is_cut(str(error), reading.messages) else str(error)
            return reading
    if left:
        reading.error = f"{len(left)} octets behind the last response"
    return reading


def _is_cut(error, messages):
    """Whether h11 says that the connection ended too early: within content, or behind an interim response."""
    if "ConnectionClosed" in error:
        return bool(messages)
    return ("incomplete" in error or "closed" in error) and bool(messages) and not messages[-1].complete


def _one_response(connection, reading):
    """Appends the interim responses and the final one; returns the octets behind it."""
    while True:
        event = connection.next_event()
        if isinstance(event, (h11.InformationalResponse, h11.Response)):
            reading.messages.append(Message((event.status_code,), framing_of(event.headers)))
            if isinstance(event, h11.InformationalResponse):
                reading.messages[-1].complete = True
        elif isinstance(event, h11.Data):
            reading.messages[-1].body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            reading.messages[-1].complete = True
            return connection.trailing_data[0]
        else:
            return b""


class Node:
    """Node's parser in a process of its own."""

    def __init__(self, node):
        self._process = subprocess.Popen([node, "--no-deprecation", str(HERE / "node_parser.mjs")], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def parse(self, octets, methods=None):
        """Requests, or responses to `methods`."""
        job = {"id": 0, "kind": "requests" if methods is None else "responses", "methods": methods,
               "octets": base64.b64encode(octets).decode()}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Reading([_from_node(message) for message in answer["messages"]], answer["error"] or "")

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def _from_node(message):
    flat = [text.encode("latin-1", "replace") for text in message["fields"]]
    fields = [(name.lower(), value) for name, value in zip(flat[::2], flat[1::2])]
    start = (message["method"], message["target"]) if "target" in message else (message["status"],)
    return Message(start, framing_of(fields), base64.b64decode(message["body"]), message["complete"])


LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.1\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*\Z")
# What a gateway interface makes of these names is the name of a field that matters (RFC 3875, section 4.1.18).
FOLDED = {b"transfer_encoding", b"content_length"}


def objections(octets, start_line, methods=None):
    """What is not canonical in messages that Larder wrote. A recipient less strict than h11 and Node sees nothing else
    in what is canonical."""
    number = 0
    while octets:
        head, end, rest = octets.partition(b"\r\n\r\n")
        if not end:
            return None  # Cut within a head.
        lines = head.split(b"\r\n")
        if not start_line.match(lines[0]):
            return f"start line {lines[0]!r}"
        fields = [LINE.match(line) for line in lines[1:]]
        if None in fields:
            return f"field line {lines[1:][fields.index(None)]!r}"
        names = [field[1].lower() for field in fields]
        values = dict(zip(names, (field[2].strip() for field in fields)))
        if said := _framing_objection(names, values, is_request=methods is None):
            return f"{said} in {head!r}"
        if methods is None:
            body = _length(names, values, 0)
        else:
            status = int(start_line.match(lines[0])[1])
            is_interim = status < 200 and status != 101
            method = methods[number] if number < len(methods) else "GET"
            number += not is_interim
            if is_interim or status in (204, 304) or method == "HEAD":
                body = 0
            else:
                body = _length(names, values, None)
        if body == "chunked":
            octets, said = _chunks(rest)
            if said:
                return said
        else:
            octets = b"" if body is None else rest[body:]
    return None


def _framing_objection(names, values, is_request):
    for name in (b"content-length", b"transfer-encoding", b"host"):
        if names.count(name) > 1:
            return f"two {name.decode()}"
    if b"content-length" in values and b"transfer-encoding" in values:
        return "both a length and a coding"
    if b"content-length" in values and not re.fullmatch(rb"[0-9]{1,19}", values[b"content-length"]):
        return "a length that is not a number"
    if values.get(b"transfer-encoding", b"chunked") != b"chunked":
        return "a coding other than chunked"
    if is_request and b"host" not in values:
        return "no Host"
    if is_request and (folded := FOLDED.intersection(names)):
        return f"a name that gateways fold: {folded.pop().decode()}"
    return None


def _length(names, values, otherwise):
    if b"transfer-encoding" in names:
        return "chunked"
    return int(values[b"content-length"]) if b"content-length" in names else otherwise


def _chunks(octets):
    """The octets behind a chunked body, or b"" where it is cut; and what is not canonical."""
    while True:
        size, end, rest = octets.partition(b"\r\n")
        if not end:
            return b"", None
        if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
            return b"", f"chunk size {size!r}"
        length = int(size, 16)
        if length == 0:
            break
        if len(rest) < length + 2:
            return b"", None
        if rest[length:length + 2] != b"\r\n":
            return b"", f"a chunk of {length} is followed by {rest[length:length + 2]!r}"
        octets = rest[length + 2:]
    while not rest.startswith(b"\r\n"):
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return b"", None
        if not LINE.match(line):
            return b"", f"trailer {line!r}"
    return rest[2:], None
