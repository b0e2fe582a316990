"""Clients that connect with Larder itself within TLS: with which version is what its access log says.

The certificate is signed by the authority that Larder has made for this run. The clients verify it: curl by the
authority's file, Chromium by the database of its user, into which `larder ca install` has put it.
"""

import re

import websocket
from browser import title_of
from checks_cache import READY, load_all
from origin import PAGE_FILES
from processes import run_bounded, wait_until
from report import expect

LOGGED_S_MAX = 10
REQUESTS = 20_000


def curl(world):
    """Absolute-form, and TLS with the origin within TLS with the proxy."""
    check_curl(world, "HTTP/1.1", "1.1", [])
    name = "curl: HTTP/2 with the proxy"
    if "--proxy-http2" not in curl_options(world):
        world.report.not_run(name, "this curl has no --proxy-http2 (8.1 and later have)")
        return
    check_curl(world, "HTTP/2", "2.0", ["--proxy-http2"])


def check_curl(world, title, version, options):
    larder = world.larder
    trusting = ["--proxy", larder.https_proxy, "--proxy-cacert", str(larder.authority), *options]
    name = f"curl-{version}"

    def load(url):
        return world.clients.curl(url, *trusting)

    for scheme, what, method in (("http", "a request", "GET"), ("https", "a tunnel", "CONNECT")):
        with world.report.check(f"curl: {what} over {title} within TLS"):
            seen = len(larder.logged(method, version))
            load_all(world, name, load, ["index.html", "one.png"], scheme=scheme)
            wait_until(f"a {method} of version {version} in larder's access log",
                       lambda: len(larder.logged(method, version)) > seen, LOGGED_S_MAX)
    with world.report.check(f"curl: a proxy over {title} that it does not trust gets nothing"):
        seen = len(larder.lines())
        try:
            world.clients.curl(world.origin.url(name, "one.png"), "--proxy", larder.https_proxy, *options)
        except RuntimeError as error:
            # 60: the certificate can't be verified.
            expect("ended with 60" in str(error), str(error))
        else:
            expect(False, "curl went on")
        expect(len(larder.lines()) == seen, "a request was logged")


def curl_options(world):
    return run_bounded([world.tools["curl"], "--help", "all"], world.clients.env, 30)[1]


def browser(world):
    """All of a page, and a tunnel, on one connection with HTTP/2."""
    larder = world.larder
    with world.report.check("larder ca install: Chromium's database trusts the authority"):
        world.browser.make_database(world.tools["certutil"])
        code, out, errors = larder.ca("install", "--only", "nss")
        expect(code == 0, f"ended with {code}: {out} {errors}")
    proxy = {"proxy": larder.https_proxy, "verify": True}
    with world.report.check("chromium: a page over HTTP/2 within TLS with the proxy"):
        mark = len(larder.lines())
        title = title_of(world.browser.document(world.origin.url("chromium-h2", "index.html"), **proxy))
        expect(title == READY, f"title {title!r}")
        versions = wait_until("the page's lines in larder's access log",
                              lambda: lines_of_page(larder, mark), LOGGED_S_MAX)
        expect(versions == {"2.0"}, f"versions {versions}")
    with world.report.check("chromium: https in a tunnel on a stream of HTTP/2"):
        world.browser.trust(world.tools["certutil"], world.origin.certificate)
        mark = len(larder.logged("CONNECT", "2.0"))
        url = world.origin.url("chromium-h2", "index.html", scheme="https")
        title = title_of(world.browser.document(url, **proxy))
        expect(title == READY, f"title {title!r}")
        wait_until("a CONNECT of version 2.0 in larder's access log",
                   lambda: len(larder.logged("CONNECT", "2.0")) > mark, LOGGED_S_MAX)
    with world.report.check("chromium: websocket echo in a tunnel on a stream of HTTP/2"), \
            websocket.EchoServer() as server:
        url = world.origin.url("chromium-h2", f"socket.html?port={server.port}")
        title = title_of(world.browser.document(url, **proxy))
        expect(title == "echo right", f"title {title!r}")
        expect(server.echoed == 2, f"the server saw {server.echoed} messages")
        # A tunnel is logged when it ends.
        wait_until("its CONNECT of version 2.0 in larder's access log",
                   lambda: any(str(server.port) in line["url"] for line in larder.logged("CONNECT", "2.0")),
                   LOGGED_S_MAX)


def lines_of_page(larder, mark):
    """The versions of the page's requests, once all of them are there."""
    of_page = [line for line in larder.lines()[mark:] if "/as/chromium-h2/" in line["url"]]
    return {line["version"] for line in of_page} if len(of_page) >= len(PAGE_FILES) else None


def h2load(world):
    """Many requests over few connections, answered from the cache: none may fail."""
    plain = f"127.0.0.1:{world.origin.plain}"
    with world.report.check("h2load: no request fails"):
        code, out, errors = run_bounded(
            [world.tools["h2load"], "-n", str(REQUESTS), "-c", "8", "-m", "50", "-H", ":scheme: http",
             "-H", f":authority: {plain}", f"{world.larder.https_proxy}/as/h2load/one.png"],
            world.clients.env, 120)
        expect(code == 0, f"ended with {code}: {errors[-300:]}")
        for line in out.splitlines():
            if line.startswith(("requests:", "status codes:")):
                print(f"   {line}", flush=True)
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", out)
        expect(found, f"no tally in {out[-300:]!r}")
        expect([int(number) for number in found.groups()] == [REQUESTS, 0, 0, 0], found.group())
        expect(f"status codes: {REQUESTS} 2xx" in out, "not all are 2xx")
