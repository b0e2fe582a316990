"""What may not be visited is refused with a reason, and the list of it can be changed while Larder runs.

Names under .test never resolve (RFC 6761, section 6.2), so nothing here can reach a real site.
"""

import json
import struct

from browser import text_of
from report import expect

BLOCKED = "http://blocked.test/"
LATE = "http://late.test/"
MEDIA_TYPES = ["text/html", "application/problem+json", "text/plain"]


def refusals(world):
    """The host that the configuration file blocks, as command-line clients see it."""
    check, curl = world.report.check, world.clients.curl
    for media_type in MEDIA_TYPES:
        with check(f"curl: a blocked site is refused as {media_type}, naming the rule"):
            reply = curl(BLOCKED, "--header", f"Accept: {media_type}")
            expect_refused(reply)
            content_type = reply.header("Content-Type").partition(";")[0].strip().lower()
            expect(content_type == media_type, f"Content-Type: {reply.header('Content-Type')!r}")
            expect(b"blocked.test" in reply.body, f"the rule is not named in {reply.body[:300]!r}")
            if media_type == "application/problem+json":
                # RFC 9457, section 3.1: the member, if present, repeats the status code.
                expect(json.loads(reply.body).get("status", 403) == 403, f"problem {reply.body[:300]!r}")
    with check("curl: CONNECT to a blocked site is refused"):
        expect_refused(world.clients.curl_refused_tunnel("https://blocked.test/"))


def browser_refusal(world):
    """The same as a person sees it, with a picture kept for whoever wants to look."""
    with world.report.check("chromium: a blocked site shows Larder's page that names the rule"):
        text = text_of(world.browser.document(BLOCKED))
        # Chromium's own error page would name the host as well, but not Larder.
        expect("blocked.test" in text and "larder" in text.lower(), f"the page reads: {text[:400]!r}")
    with world.report.check("chromium: a picture of the blocked page is kept"):
        world.artifacts.mkdir(parents=True, exist_ok=True)
        picture = world.artifacts / "blocked-page.png"
        world.browser.screenshot(BLOCKED, picture)
        head = picture.read_bytes()[:24]
        expect(head.startswith(b"\x89PNG\r\n\x1a\n"), "not a PNG")
        width, height = struct.unpack(">II", head[16:24])
        expect(width >= 1000 and height >= 500, f"the picture is {width} by {height}")


def changes_at_run_time(world):
    """`larder block` and `unblock` take effect at once and outlive the process."""
    check, curl, command = world.report.check, world.clients.curl, world.larder.command
    with check("late.test is not refused at first"):
        expect_unresolved(curl(LATE))
    with check("larder block: the next request is refused, and only that host"):
        expect_success(command("block", "late.test"))
        expect_refused(curl(LATE))
        expect_unresolved(curl("http://other.test/"))
    with check("larder blocked: lists the host"):
        listed = expect_success(command("blocked"))
        expect("late.test" in listed, f"it lists {listed!r}")
    with check("SIGTERM ends larder with exit code 0, and it starts again"):
        code = world.larder.restart()
        expect(code == 0, f"exit code {code}")
    with check("larder block: still in effect after a restart"):
        expect_refused(curl(LATE))
        expect("late.test" in expect_success(command("blocked")), "no longer listed")
    with check("larder unblock: the next request is no longer refused"):
        expect_success(command("unblock", "late.test"))
        expect_unresolved(curl(LATE))
        expect("late.test" not in expect_success(command("blocked")), "still listed")


def expect_success(outcome):
    code, out, errors = outcome
    expect(code == 0, f"exit code {code}: {errors.strip()[-300:]}")
    return out


def expect_refused(reply):
    """RFC 9209, section 2.3.18: the error type for "the intermediary's configuration forbids this request"."""
    expect(reply.status == 403, f"status {reply.status}")
    proxy_status = reply.header("Proxy-Status")
    expect("error=http_request_denied" in proxy_status.replace(" ", ""), f"Proxy-Status: {proxy_status!r}")


def expect_unresolved(reply):
    """Allowed, but there is no such host. A machine without name service sees a timeout instead of an error."""
    expect(reply.status in (502, 504), f"status {reply.status}")
    expect("error=dns_" in reply.header("Proxy-Status").replace(" ", ""),
           f"Proxy-Status: {reply.header('Proxy-Status')!r}")
