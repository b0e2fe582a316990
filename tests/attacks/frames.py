"""HTTP/2 frames (RFC 9113 §4) and field blocks (RFC 7541), as an attacker writes them."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values):
    """Named by number: `settings(s4=0)` sets INITIAL_WINDOW_SIZE to 0."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", int(name[1:]), value) for name, value in values.items()))


def hello(**values):
    return PREFACE + settings(**values)


def text(octets):
    """A string literal without Huffman coding (RFC 7541 §5.2)."""
    return number(len(octets), 7, 0) + octets


def number(value, bits, first):
    """An integer with a prefix (RFC 7541 §5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes([*out, value])


def literal(name, value):
    """A field that enters no table (RFC 7541 §6.2.2)."""
    return b"\0" + text(name) + text(value)


def indexed_literal(name, value):
    """A field that enters the dynamic table (RFC 7541 §6.2.1)."""
    return b"\x40" + text(name) + text(value)


def reference(index):
    """One octet for a whole field of a table (RFC 7541 §6.1)."""
    return number(index, 7, 0x80)


def get(authority, path):
    """The field block of a GET for an http URI."""
    # 2 is `:method: GET`, 6 is `:scheme: http` of the static table.
    return reference(2) + reference(6) + literal(b":authority", authority) + literal(b":path", path)


def request(stream, authority, path, more=b""):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, get(authority, path) + more)
