"""The origin: content by the oracle, with validators, ranges and unsafe methods."""

import socket
import threading

import wire
from oracle import body, max_age_of, varies


class Origin:
    """Serves on a port of its own until the process ends."""

    def __init__(self, oracle):
        self.oracle = oracle
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, key):
        return f"http://127.0.0.1:{self.port}/{key}"

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(wire.Connection(sock),), daemon=True).start()

    def serve(self, connection):
        try:
            while True:
                request = connection.read_head()
                self.requests += 1
                connection.socket.sendall(self.answer(request))
        except (OSError, wire.Ended):
            # The proxy was killed, or has let the connection go.
            connection.close()

    def answer(self, request):
        method, target, _ = request.start.split(" ")
        key = int(target.strip("/"))
        if method == "POST":
            return response(204, [("X-Generation", self.oracle.change(key))], b"")
        generation = self.oracle.current[key]
        language = request.field("accept-language") or "" if varies(key) else ""
        tag = f'"{key}-{language}-{generation}"'
        fields = [("ETag", tag), ("X-Generation", generation), ("Cache-Control", f"max-age={max_age_of(key)}")]
        if varies(key):
            fields.append(("Vary", "Accept-Language"))
        if tag in (request.field("if-none-match") or ""):
            return response(304, fields, None)
        content = body(key, language, generation)
        asked = request.field("range")
        if asked and request.field("if-range") in (None, tag):
            first, last = asked.removeprefix("bytes=").split("-")
            first, last = int(first), int(last or len(content) - 1)
            fields.append(("Content-Range", f"bytes {first}-{last}/{len(content)}"))
            return response(206, fields, content[first : last + 1])
        return response(200, fields, content)


def response(status, fields, content):
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields)]
    if content is not None and status != 204:
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode() + (content or b"")
