"""The origin: nginx with TLS and HTTP/2 before static repositories, git, Mercurial and S3, and a log of who asked what."""

import dataclasses
import http.client
import http.server
import os
import pathlib
import shutil
import ssl
import subprocess
import threading

import formats
import repositories
from namespace import ADDRESS, NAMES
from processes import Server, free_port, run_bounded, wait_until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err info;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    log_format lines '$request_method|$request_uri|$status|$http_via|$http_if_none_match$http_if_modified_since';
    access_log {folder}/origin.log lines;
    types {{ text/html html; application/json json; application/octet-stream bin whl tgz crate deb gem zip gz; }}
    default_type text/plain;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    # Of TLS 1.3 the server does not see that a client refuses its certificate.
    ssl_protocols TLSv1.2;
    ssl_certificate {folder}/origin.pem;
    ssl_certificate_key {folder}/origin.key;
    server {{
        listen {address}:443 ssl http2;
        server_name origin.tools.test;
        root {folder}/www;
        add_header Cache-Control "max-age=3600";
        location = /npm/larder-sample {{ default_type application/json; add_header Cache-Control "max-age=3600"; }}
        location = /v2/ {{ default_type application/json; return 200 "{{}}"; }}
        location ~ ^/v2/.*/manifests/ {{
            default_type application/vnd.docker.distribution.manifest.v2+json; add_header Cache-Control "max-age=3600";
        }}
        location /smart/ {{ proxy_pass http://127.0.0.1:{git}; proxy_set_header Host $host; }}
        location /hg/ {{ proxy_pass http://127.0.0.1:{hg}; proxy_set_header Host $host; }}
    }}
    server {{
        listen {address}:443 ssl http2;
        server_name s3.tools.test;
        location / {{ proxy_pass http://127.0.0.1:{s3}; proxy_set_header Host 127.0.0.1:{s3}; }}
    }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Asked:
    method: str
    target: str
    status: int
    via: str
    condition: str


class GitBackend(http.server.BaseHTTPRequestHandler):
    """`git http-backend`, which is a CGI program."""

    root = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/smart"), "QUERY_STRING": query, "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "REMOTE_ADDR": "127.0.0.1",
        }
        answer = subprocess.run(["git", "-c", "safe.directory=*", "http-backend"], input=content, env=environment, capture_output=True).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n") if line]
        status = next((int(value.split()[0]) for name, _, value in lines if name == "Status"), 200)
        self.send_response(status)
        for name, _, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Origin:
    url, s3_url = (f"https://{name}" for name in NAMES)

    def __init__(self, folder, env):
        self.folder, self.env = folder, env
        self.nginx = Server("nginx", folder / "nginx.log", env)
        self.hg, self.s3 = Server("hg", folder / "hg.log", env), Server("moto", folder / "moto.log", env)
        self.roots = folder / "roots.pem"
        self._barriers = 0

    def make(self):
        """The certificate and the repositories."""
        self._make_certificates()
        www = self.folder / "www"
        www.mkdir()
        repositories.make(www, self.url, self.env)
        formats.make(www, self.url, self.env)

    def start(self, moto):
        """`moto`: the program that speaks S3, if it is needed and there."""
        ports = {"git": free_port(), "hg": free_port(), "s3": free_port()}
        GitBackend.root = self.folder / "www/git"
        backend = http.server.ThreadingHTTPServer(("127.0.0.1", ports["git"]), GitBackend)
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        if hg := shutil.which("hg"):
            self.hg.start([hg, "serve", "--prefix", "hg/sample", "-a", "127.0.0.1", "-p", str(ports["hg"]),
                           "-R", str(self.folder / "www/hg/sample")], [ports["hg"]])
        if moto:
            self.s3.start([moto, "-H", "127.0.0.1", "-p", str(ports["s3"])], [ports["s3"]])
            self._fill_s3(ports["s3"])
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, address=ADDRESS, **ports))
        nginx = shutil.which("nginx", path=self.env["PATH"])
        self.nginx.start([nginx, "-p", str(self.folder), "-c", str(configuration), "-e", str(self.folder / "nginx.err")], [])
        wait_until("nginx accepting", self._answers)

    def stop(self):
        for server in (self.nginx, self.hg, self.s3):
            server.stop()

    def mark(self):
        return len(self._log()), self._refused()

    def since(self, mark):
        """The requests since a mark, and the connections whose TLS clients broke off."""
        self._barrier()
        return self._log()[mark[0]:], self._refused() - mark[1]

    def _log(self):
        log = self.folder / "origin.log"
        lines = (line.split("|") for line in (log.read_text().splitlines() if log.exists() else []))
        # What is not there is logged as "-".
        return [Asked(method, target, int(status), via, condition.strip("-"))
                for method, target, status, via, condition in lines if not target.startswith("/barrier/")]

    def _refused(self):
        log = (self.folder / "nginx.err").read_text()
        # Node looks at the certificate behind the handshake, and goes.
        return sum(map(log.count, ["SSL_do_handshake() failed", "closed connection in SSL handshake",
                                   "closed connection while waiting for request"]))

    def _answers(self):
        try:
            self._barrier()
            return True
        except OSError:
            return False

    def _barrier(self):
        self._barriers += 1
        target = f"/barrier/{self._barriers}"
        connection = http.client.HTTPSConnection(NAMES[0], 443, timeout=10,
                                                 context=ssl.create_default_context(cafile=str(self.roots)))
        connection.request("GET", target)
        connection.getresponse().read()
        connection.close()
        wait_until("nginx logging the barrier", lambda: f"|{target}|" in (self.folder / "origin.log").read_text())

    def _fill_s3(self, port):
        for method, target, content in [("PUT", "/bucket", b""), ("PUT", "/bucket/file.bin", (self.folder / "www/file.bin").read_bytes())]:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, target, content, {"Cache-Control": "max-age=3600"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"moto answers {method} {target} with {answer.status}: {answer.read()}")

    def _make_certificates(self):
        at = self.folder
        names = ",".join(f"DNS:{name}" for name in NAMES)
        (at / "leaf.ext").write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for arguments in (
            ["req", "-x509", *key, "-days", "2", "-subj", "/CN=authority of the judge", "-keyout", str(at / "roots.key"), "-out",
             str(self.roots), "-addext", "basicConstraints=critical,CA:true", "-addext", "keyUsage=critical,keyCertSign"],
            ["req", *key, "-subj", "/CN=origin", "-keyout", str(at / "origin.key"), "-out", str(at / "origin.csr")],
            ["x509", "-req", "-in", str(at / "origin.csr"), "-CA", str(self.roots), "-CAkey", str(at / "roots.key"),
             "-days", "2", "-set_serial", "7", "-extfile", str(at / "leaf.ext"), "-out", str(at / "origin.pem")],
        ):
            code, _, errors = run_bounded(["openssl", *arguments], self.env, 30)
            if code != 0:
                raise RuntimeError(f"openssl {arguments[0]}: {errors}")
