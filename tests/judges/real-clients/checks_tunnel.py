"""What passes through without being stored: HTTPS inside CONNECT, and WebSockets in both forms.

A client that goes round the proxy would get the right bytes as well, so the proxy's access log has to show the
tunnel.
"""

import contextlib
import os

import websocket
from browser import title_of
from checks_cache import expect_page, load_all
from origin import PAGE_FILES
from processes import wait_until
from report import expect

LOGGED_S_MAX = 10


def https(world):
    """Each command-line client fetches over TLS from nginx and verifies its certificate."""
    for name, load in world.command_line_clients():
        files = ["index.html", "one.png"]
        with world.report.check(f"{name}: https through CONNECT"), tunnelled(world, name, files):
            load_all(world, name, load, files, scheme="https")


def browser_https(world):
    url = world.origin.url("chromium", "index.html", scheme="https")
    with world.report.check("chromium: https through CONNECT"), tunnelled(world, "chromium", PAGE_FILES):
        expect_page(world, url)


def node_fetch(world):
    """Node's built-in fetch takes the proxy from the environment, in recent versions only."""
    name = "node: built-in fetch through the proxy"
    if not world.clients.node_reads_proxy_environment():
        world.report.not_run(name, "this Node's fetch cannot use a proxy (24, or 22.21 and later, can)")
        return
    for scheme in ("http", "https"):
        with world.report.check(f"{name}, {scheme}"):
            url = world.origin.url("node-fetch", "one.png", scheme=scheme)
            mark = world.origin.mark()
            reply = world.clients.node_fetch(url)
            expect(reply.status == 200, f"status {reply.status}")
            expect(reply.sha256 == world.origin.sha256("one.png"), "wrong bytes")
            expect(world.origin.since(mark, url), "nginx did not see it")


def websockets(world):
    messages = [(websocket.TEXT, "grüße".encode()), (websocket.BINARY, os.urandom(300)),
                (websocket.BINARY, os.urandom(100_000)), (websocket.PING, b"there?")]
    for form, tunnelled in (("an absolute-form Upgrade", False), ("CONNECT", True)):
        with world.report.check(f"websocket: echo over {form}"):
            with websocket.EchoServer() as server, \
                    websocket.EchoClient(world.larder.port, server.port, tunnelled) as client:
                for opcode, payload in messages:
                    answer, echoed = client.echo(opcode, payload)
                    wanted = websocket.PONG if opcode == websocket.PING else opcode
                    expect(answer == wanted and echoed == payload, f"{len(payload)} bytes came back changed")
                expect(client.close(), "the connection did not end with a closing handshake")
                expect(server.echoed == len(messages), f"the server saw {server.echoed} messages")


def browser_websocket(world):
    """Chromium uses CONNECT for ws:// when it has a proxy."""
    with world.report.check("chromium: websocket echo through CONNECT"), websocket.EchoServer() as server:
        tunnels = world.larder.tunnels_logged(server.port)
        url = world.origin.url("chromium", f"socket.html?port={server.port}")
        title = title_of(world.browser.document(url))
        expect(title == "echo right", f"title {title!r}")
        expect(server.echoed == 2, f"the server saw {server.echoed} messages")
        expect_tunnel_logged(world, server.port, tunnels)


@contextlib.contextmanager
def tunnelled(world, name, files):
    """What is loaded within shall arrive at nginx over TLS, and shall have passed through Larder."""
    mark, tunnels = world.origin.mark(), world.larder.tunnels_logged(world.origin.tls)
    yield
    for file in files:
        seen = world.origin.since(mark, world.origin.url(name, file, scheme="https"))
        expect(seen, f"nginx did not see {file} over TLS")
    expect_tunnel_logged(world, world.origin.tls, tunnels)


def expect_tunnel_logged(world, port, before):
    """A tunnel is logged when it ends, which may be a moment after the client has ended."""
    wait_until(f"a CONNECT to port {port} in larder's access log",
               lambda: world.larder.tunnels_logged(port) > before, LOGGED_S_MAX)
