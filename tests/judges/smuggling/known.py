"""Differences between the readings that are no fault of Larder's, each with its reason. Anything else fails the run."""

import re

NODE_METHODS = "llhttp knows a fixed list of methods and refuses every other token; RFC 9110, section 9.1, leaves the list open"

OCTETS_IN_TARGET = "octets above 0x7f in a target are forwarded as they came, and both refuse the whole request for them"


def known_request_difference(octets, h11, node):
    """The reason why these readings of one connection's requests may differ, or both be errors, and whether what h11
    read is complete all the same; or None."""
    if "illegal request line" in h11.error and "HPE_INVALID_URL" in node.error and \
            re.search(rb"[A-Z] /[!-~]*[\x80-\xff][^ ]* HTTP/1\.1\r\n", octets):
        return OCTETS_IN_TARGET, False
    if "HPE_INVALID_METHOD" in node.error and not h11.error:
        return NODE_METHODS, True
    return None


def known_response_difference(octets, h11, node):
    """The same for the responses that a client got."""
    return None
