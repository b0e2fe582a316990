"""What is right: content as a function of key and generation, and which generations may still be served."""

import functools
import hashlib
import struct
import threading

BLOCK = 65536
# Octets of content; a key has the one at its number. Chunks begin above 1 MiB.
LENGTHS = [0, 1, 100, 900, 5_000, 5_100, 20_000, 65_535, 65_536, 70_000, 300_000, 1_048_576, 1_048_577, 3_200_000]
KEYS = 160


def length_of(key):
    return LENGTHS[key % len(LENGTHS)]


def max_age_of(key):
    """Some are stale soon, so that they are validated."""
    return 1 if key % 5 == 4 else 3600


def varies(key):
    return key % 7 == 3


@functools.lru_cache(maxsize=400)
def body(key, language, generation):
    """Content whose every block says what it is."""
    seed = hashlib.blake2b(f"{key} {language} {generation}".encode()).digest()
    filler = seed * (BLOCK // len(seed))
    length, blocks = length_of(key), []
    for at in range(0, length, BLOCK):
        blocks.append(struct.pack(">QQQ", key, generation, at) + filler[24:])
    return b"".join(blocks)[:length]


class Oracle:
    """The generations of all keys; told of each change before and after it."""

    def __init__(self):
        self.lock = threading.Lock()
        # What the origin has now.
        self.current = [1] * KEYS
        # What must not be older: an answer to the request that made it invalid has been seen.
        self.floor = [1] * KEYS
        self.checked = 0
        self.hits = 0

    def change(self, key):
        """The origin's part of an unsafe request; the new generation."""
        with self.lock:
            self.current[key] += 1
            return self.current[key]

    def changed(self, key, generation):
        """A client has the answer to an unsafe request."""
        with self.lock:
            self.floor[key] = max(self.floor[key], generation)

    def may_be_back(self, key):
        """The disk was too slow to write a removal in time, and the log says so: the promise is not made."""
        with self.lock:
            self.floor[key] = 1

    def check(self, key, language, floor, response):
        """What is wrong with a response; None when nothing is."""
        generation = int(response.field("x-generation") or 0)
        self.checked += 1
        self.hits += "; hit" in (response.field("cache-status") or "")
        if response.status != 200:
            return f"status {response.status}: {response.field('proxy-status')}, {response.field('cache-status')}"
        if not floor <= generation <= self.current[key]:
            return f"generation {generation} is not within {floor} and {self.current[key]}"
        expected = body(key, language if varies(key) else "", generation)
        if response.body != expected:
            return f"the content is not that of generation {generation}: {difference(response.body, expected)}"
        return None


def difference(found, expected):
    if len(found) != len(expected):
        return f"{len(found)} octets, not {len(expected)}"
    at = next(at for at, (one, other) in enumerate(zip(found, expected)) if one != other)
    return f"octet {at}"


def self_test():
    """An oracle that can't fail is none."""

    class Response:
        status, body = 200, body(10, "", 2)

        def field(self, name):
            return {"x-generation": "2", "cache-status": "larder; hit"}.get(name)

    oracle, right = Oracle(), Response()
    oracle.current[10] = 3
    assert oracle.check(10, "", 2, right) is None
    assert "generation" in oracle.check(10, "", 3, right)
    flipped = Response()
    flipped.body = bytes([right.body[0]]) + bytes([right.body[1] ^ 1]) + right.body[2:]
    assert "octet 1" in oracle.check(10, "", 2, flipped)
    short = Response()
    short.body = right.body[:-1]
    assert "octets" in oracle.check(10, "", 2, short)
