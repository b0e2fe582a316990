"""Streams that the readings must object to, so that a run without a difference says something."""

import parsers

HEAD = b"POST /x HTTP/1.1\r\nHost: a\r\n"
GOOD_REQUESTS = [
    HEAD + b"Content-Length: 5\r\n\r\nhelloGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n",
]
BAD_REQUESTS = [
    HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    HEAD + b"Host: b\r\n\r\n",
    HEAD + b"X: a\n\r\n\r\n",
    HEAD + b"X : a\r\n\r\n",
    HEAD + b"X: a\r\n folded\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 4\r\n\r\nhelloGET /y HTTP/1.1\r\nHost: a\r\n\r\n\n",
]
GOOD_RESPONSES = [
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
]
BAD_RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
]


def requests_are_fine(node, octets):
    requests = parsers.Requests()
    requests.feed(octets)
    requests.feed(b"")
    of_node = node.parse(octets)
    return not (requests.reading.error or of_node.error or parsers.objections(octets, parsers.REQUEST_LINE)) and \
        requests.reading.same_as(of_node)


def responses_are_fine(node, octets):
    methods = ["GET", "GET"]
    h11, of_node = parsers.responses_by_h11(octets, methods), node.parse(octets, methods)
    said = h11.error or of_node.error or parsers.objections(octets, parsers.STATUS_LINE, methods)
    return not said and h11.same_as(of_node)


def self_check(node):
    """Raises where a reading is blind, or sees what is not there."""
    for check, good, bad in [(requests_are_fine, GOOD_REQUESTS, BAD_REQUESTS), (responses_are_fine, GOOD_RESPONSES, BAD_RESPONSES)]:
        for octets in good:
            assert check(node, octets), f"objected to {octets!r}"
        for octets in bad:
            assert not check(node, octets), f"no objection to {octets!r}"
