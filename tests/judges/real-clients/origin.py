"""The origin: a real nginx on loopback with plain and TLS listeners, and its access log as the witness.

Every client asks for the same files under a path of its own (`/as/NAME/…`), so that one client's loads never
warm the cache for another. What the log does not show, nginx was not asked for: that is the proof of a cache hit
that does not depend on anything the proxy says about itself.
"""

import dataclasses
import hashlib
import http.client
import pathlib
import random
import shutil
import struct
import zlib

from processes import Server, free_port, run_bounded, wait_until

LARGE = "large.bin"
MEDIUM = "medium.bin"
LARGE_BYTES = 50_000_000
MEDIUM_BYTES = 20_000_000
# The order in which a browser would ask; index.html uses all the others.
PAGE_FILES = ["index.html", "style.css", "app.js", "more.js", "one.png", "two.png", "three.svg"]

# One process and no worker: lines are then written in the order in which answers end, which makes the barrier in
# `Origin.requests` sound. It also spares us a second user, who could not read a private temporary folder.
CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    log_format witness '$scheme $request_method $request_uri $status $body_bytes_sent';
    access_log {folder}/nginx-access.log witness;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    types {{ text/html html; text/css css; text/javascript js; image/png png; image/svg+xml svg; }}
    default_type application/octet-stream;
    sendfile on;
    gzip on; gzip_vary on; gzip_proxied any; gzip_min_length 200; gzip_types text/css text/javascript;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {folder}/origin.pem;
        ssl_certificate_key {folder}/origin.key;
        root {folder}/www;
        location /as/ {{
            rewrite ^/as/[^/]+/(.*)$ /$1 break;
            add_header Cache-Control "public, max-age=3600";
        }}
        location /slow/ {{
            rewrite ^/slow/[^/]+/(.*)$ /$1 break;
            add_header Cache-Control "public, max-age=3600";
            limit_rate 8m;
        }}
        location /no-store/ {{
            rewrite ^/no-store/[^/]+/(.*)$ /$1 break;
            add_header Cache-Control "no-store";
        }}
        location /barrier/ {{ return 204; }}
    }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Request:
    """One line of nginx's access log."""

    scheme: str
    method: str
    target: str
    status: int
    body_bytes: int


class Origin:
    def __init__(self, folder, tools, env):
        self.folder = folder
        self.tools = tools
        self.env = env
        self.server = Server("nginx", folder / "nginx-error.log", env)
        self.log_path = folder / "nginx-access.log"
        self.certificate = folder / "origin.pem"
        self.files = {}
        self.plain = self.tls = None
        self._barriers = 0

    def start(self):
        self._write_files()
        self._make_certificate()
        # A port that was free may be taken a moment later by somebody else on the machine; that is no failure yet.
        for attempts_left in (2, 1, 0):
            self.plain, self.tls = free_port(), free_port()
            configuration = self.folder / "nginx.conf"
            configuration.write_text(CONFIGURATION.format(folder=self.folder, plain=self.plain, tls=self.tls))
            try:
                return self.server.start(
                    [self.tools["nginx"], "-p", str(self.folder), "-c", str(configuration), "-e", "stderr"],
                    [self.plain, self.tls])
            except RuntimeError:
                if attempts_left == 0 or "in use" not in self.server.log_tail():
                    raise

    def stop(self):
        self.server.stop()

    def url(self, client, file, scheme="http", area="as"):
        port = self.plain if scheme == "http" else self.tls
        return f"{scheme}://127.0.0.1:{port}/{area}/{client}/{file}"

    def sha256(self, file):
        return hashlib.sha256(self.files[file]).hexdigest()

    def requests(self):
        """All requests answered so far. A direct request that shows up in the log is the barrier: whatever was
        answered before it stands above it."""
        self._barriers += 1
        target = f"/barrier/{self._barriers}"
        connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=10)
        connection.request("GET", target)
        connection.getresponse().read()
        connection.close()
        wait_until("nginx logging the barrier", lambda: f" {target} " in self.log_path.read_text())
        lines = self.log_path.read_text().splitlines()
        fields = (line.split(" ") for line in lines if " /barrier/" not in line)
        return [Request(scheme, method, target, int(status), int(count))
                for scheme, method, target, status, count in fields]

    def mark(self):
        """A point in the log, to be given to `since`."""
        return len(self.requests())

    def since(self, mark, url):
        """The requests for `url` that came after `mark`."""
        scheme, _, rest = url.partition("://")
        target = "/" + rest.partition("/")[2]
        return [r for r in self.requests()[mark:] if r.scheme == scheme and r.target == target]

    def _write_files(self):
        www = self.folder / "www"
        shutil.copytree(pathlib.Path(__file__).parent / "www", www)
        # A fixed seed: the same bytes in every run, and none that compress.
        noise = random.Random(9111)
        (www / LARGE).write_bytes(noise.randbytes(LARGE_BYTES))
        (www / MEDIUM).write_bytes(noise.randbytes(MEDIUM_BYTES))
        (www / "one.png").write_bytes(png(64, 48, noise))
        (www / "two.png").write_bytes(png(64, 96, noise))
        self.files = {path.name: path.read_bytes() for path in www.iterdir()}

    def _make_certificate(self):
        code, _, errors = run_bounded(
            [self.tools["openssl"], "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=larder test origin",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
             "-keyout", str(self.folder / "origin.key"), "-out", str(self.certificate)],
            self.env, 30)
        if code != 0:
            raise RuntimeError(f"openssl could not make a certificate: {errors}")


def png(width, height, noise):
    """A true-colour picture of noise, so that it has some size and no two are alike."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
