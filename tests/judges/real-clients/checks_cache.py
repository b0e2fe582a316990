"""What a second load costs the origin: nothing. Also ranges, conditions, variants and the crowd.

The witness is nginx's log (see origin.py); `Cache-Status` and `Age` are asked for besides, not instead.
"""

import concurrent.futures
import gzip
import hashlib

from browser import files_of, title_of
from origin import LARGE, LARGE_BYTES, MEDIUM, PAGE_FILES
from report import expect

READY = "ready: 3 pictures, styled true, more true"
CROWD = 20


def second_loads(world):
    """Every client loads the page's files and the large file twice, the second time as a fresh process."""
    for name, load in world.command_line_clients():
        files = [*PAGE_FILES, LARGE]
        with world.report.check(f"{name}: the first load comes from the origin"):
            mark = world.origin.mark()
            load_all(world, name, load, files)
            for file in files:
                seen = world.origin.since(mark, world.origin.url(name, file))
                expect(len(seen) == 1, f"{file} should have been asked for once, nginx saw {seen}")
        replies = {}
        with world.report.check(f"{name}: the second load does not reach the origin, same bytes"):
            mark = world.origin.mark()
            replies = load_all(world, name, load, files)
            expect_untouched(world, mark, name, files)
        with world.report.check(f"{name}: the second load carries Cache-Status hit and Age"):
            expect(replies, "there was no second load")
            for file, reply in replies.items():
                expect_hit(file, reply)


def browser_loads(world):
    """The same for Chromium, with a new profile for each load."""
    check, origin = world.report.check, world.origin
    url = origin.url("chromium", "index.html")
    with check("chromium: the first load comes from the origin"):
        mark = origin.mark()
        expect_page(world, url)
        for file in PAGE_FILES:
            seen = origin.since(mark, origin.url("chromium", file))
            expect(len(seen) == 1, f"{file} should have been asked for once, nginx saw {seen}")
    with check("chromium: a second load with a new profile does not reach the origin, same bytes"):
        mark = origin.mark()
        expect_page(world, url)
        expect_untouched(world, mark, "chromium", PAGE_FILES)


def ranges_and_conditions(world):
    """Parts of and questions about a stored response, answered without the origin."""
    check, origin, curl = world.report.check, world.origin, world.clients.curl
    url = origin.url("parts", LARGE)
    whole = origin.files[LARGE]
    stored = None
    with check("curl: the large file is stored before parts of it are asked for"):
        stored = curl(url)
        expect(stored.sha256 == origin.sha256(LARGE), "wrong bytes")
        expect(stored.header("ETag") and stored.header("Last-Modified"), f"no validators in {stored.headers}")
    mark = origin.mark()
    for asked, first, end in (("1000-1999", 1000, 2000), ("-500", LARGE_BYTES - 500, LARGE_BYTES),
                              (f"{LARGE_BYTES - 100}-", LARGE_BYTES - 100, LARGE_BYTES)):
        with check(f"curl: range {asked} of a stored response is 206 with the right bytes"):
            part = curl(url, "--range", asked)
            expect(part.status == 206, f"status {part.status}")
            expect(part.header("Content-Range") == f"bytes {first}-{end - 1}/{LARGE_BYTES}",
                   f"Content-Range: {part.header('Content-Range')}")
            expect(part.body == whole[first:end], f"{part.length} wrong bytes")
    for field, validator in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
        with check(f"curl: {field} with the stored {validator} is 304"):
            expect(stored, "there is no stored response to ask about")
            answer = curl(url, "--header", f"{field}: {stored.header(validator)}")
            expect(answer.status == 304, f"status {answer.status}")
            expect(answer.length == 0, f"{answer.length} bytes of content")
    with check("curl: neither ranges nor conditions reached the origin"):
        expect(stored, "there is no stored response to ask about")
        expect(origin.since(mark, url) == [], f"nginx saw {origin.since(mark, url)}")


def variants(world):
    """nginx compresses on demand and says Vary: each client must get the form it can read."""
    check, origin, curl = world.report.check, world.origin, world.clients.curl
    url = origin.url("variants", "app.js")
    script = origin.files["app.js"]

    def both_forms():
        for coding in ("gzip", "identity"):  # In this order a cache blind to Vary does harm.
            reply = curl(url, "--header", f"Accept-Encoding: {coding}")
            expect(coding == "gzip" or not reply.header("Content-Encoding"), "identity was asked for, gzip came")
            content = gzip.decompress(reply.body) if reply.header("Content-Encoding") == "gzip" else reply.body
            expect(content == script, f"wrong bytes for {coding}")

    with check("curl: compressed and plain form of one script are kept apart"):
        both_forms()
    with check("curl: both forms are then served without the origin"):
        mark = origin.mark()
        both_forms()
        expect(origin.since(mark, url) == [], f"nginx saw {origin.since(mark, url)}")


def no_store(world):
    """The counter-proof: without it, a cache that keeps everything would pass all the others."""
    with world.report.check("curl: a no-store response comes from the origin each time"):
        url = world.origin.url("curl", "index.html", area="no-store")
        mark = world.origin.mark()
        for _ in range(2):
            reply = world.clients.curl(url)
            expect(reply.sha256 == world.origin.sha256("index.html"), "wrong bytes")
        seen = world.origin.since(mark, url)
        expect(len(seen) == 2, f"nginx saw {seen}")


def crowd(world):
    """Many clients want the same cold file at once. The origin is slowed down so that they really overlap."""
    url = world.origin.url("crowd", MEDIUM, area="slow")
    with world.report.check(f"curl: {CROWD} at once on one cold file cost the origin one request"):
        mark = world.origin.mark()
        with concurrent.futures.ThreadPoolExecutor(CROWD) as pool:
            replies = list(pool.map(lambda _: world.clients.curl(url), range(CROWD)))
        wrong = sum(reply.sha256 != world.origin.sha256(MEDIUM) for reply in replies)
        expect(wrong == 0, f"{wrong} of {CROWD} clients got wrong bytes")
        seen = world.origin.since(mark, url)
        expect(len(seen) == 1 and seen[0].method == "GET", f"nginx saw {len(seen)} requests: {seen[:3]}")


def load_all(world, name, load, files, scheme="http"):
    """Loads each file with the client's `load` function and compares the bytes; returns the replies by file."""
    replies = {}
    for file in files:
        reply = load(world.origin.url(name, file, scheme))
        expect(reply.status == 200, f"{file}: status {reply.status}")
        expect(reply.sha256 == world.origin.sha256(file),
               f"{file}: wrong bytes, {reply.length} of {len(world.origin.files[file])}")
        replies[file] = reply
    return replies


def expect_page(world, url):
    """Chromium shows the page: scripts ran, style and pictures were applied, and its bytes are the origin's."""
    document = world.browser.document(url)
    expect(title_of(document) == READY, f"title {title_of(document)!r}")
    held = files_of(document)
    for file in PAGE_FILES:
        expect(hashlib.sha256(held.get(file, b"")).hexdigest() == world.origin.sha256(file), f"{file}: wrong bytes")


def expect_untouched(world, mark, name, files):
    for file in files:
        seen = world.origin.since(mark, world.origin.url(name, file))
        expect(seen == [], f"{file} should have come from the cache, nginx saw {seen}")


def expect_hit(file, reply):
    """RFC 9211, section 2: the member of this cache with its `hit` parameter. RFC 9111, section 5.1: Age."""
    members = [[part.strip() for part in member.split(";")] for member in reply.header("Cache-Status").split(",")]
    expect(any(member[0] == "larder" and "hit" in member for member in members),
           f"{file}: Cache-Status: {reply.header('Cache-Status')!r}")
    expect(reply.header("Age").isdigit(), f"{file}: Age: {reply.header('Age')!r}")
