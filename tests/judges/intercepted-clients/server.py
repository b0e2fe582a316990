"""The origin: nginx with TLS and HTTP/2, a certificate of an authority of the test's own, and a log of what it was asked."""

import http.client
import ssl

import repositories
from processes import Server, free_port, run_bounded, wait_until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    log_format lines '$request_method $uri $status';
    access_log {folder}/origin.log lines;
    types {{ text/html html; text/javascript js; application/octet-stream bin whl tgz crate deb; }}
    default_type text/plain;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/origin.pem;
        ssl_certificate_key {folder}/origin.key;
        root {folder}/www;
        add_header Cache-Control "max-age=3600";
        location = /npm/larder-sample {{ default_type application/json; add_header Cache-Control "max-age=3600"; }}
    }}
}}
"""


class Origin:
    def __init__(self, folder, tools, env):
        self.folder, self.tools, self.env = folder, tools, env
        self.server = Server("nginx", folder / "nginx.log", env)
        self.log_path = folder / "origin.log"
        self.roots = folder / "roots.pem"
        self.port = free_port()
        # A name: npm takes the address of a host behind a proxy for one, and finds none in the certificate.
        self.url = f"https://localhost:{self.port}"
        self._barriers = 0

    def start(self):
        (self.folder / "www").mkdir()
        repositories.make(self.folder / "www", self.url, self.env)
        self._make_certificates()
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=self.folder, port=self.port))
        self.server.start([self.tools["nginx"], "-p", str(self.folder), "-c", str(configuration), "-e", "stderr"],
                          [self.port])

    def stop(self):
        self.server.stop()

    def requests(self):
        """All that was asked so far, as (method, path, status). A request of our own that shows up is the barrier."""
        self._barriers += 1
        target = f"/barrier/{self._barriers}"
        context = ssl.create_default_context(cafile=str(self.roots))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
        connection.request("GET", target)
        connection.getresponse().read()
        connection.close()
        wait_until("nginx logging the barrier", lambda: f" {target} " in self.log_path.read_text())
        lines = (line.split(" ") for line in self.log_path.read_text().splitlines() if " /barrier/" not in line)
        return [(method, path, int(status)) for method, path, status in lines]

    def _make_certificates(self):
        at = self.folder
        (at / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        for arguments in (
            ["req", "-x509", *key, "-days", "2", "-subj", "/CN=origin's authority", "-keyout", str(at / "roots.key"),
             "-out", str(self.roots), "-addext", "basicConstraints=critical,CA:true",
             "-addext", "keyUsage=critical,keyCertSign"],
            ["req", *key, "-subj", "/CN=origin", "-keyout", str(at / "origin.key"), "-out", str(at / "origin.csr")],
            ["x509", "-req", "-in", str(at / "origin.csr"), "-CA", str(self.roots), "-CAkey", str(at / "roots.key"),
             "-days", "2", "-set_serial", "7", "-extfile", str(at / "leaf.ext"), "-out", str(at / "origin.pem")],
        ):
            code, _, errors = run_bounded([self.tools["openssl"], *arguments], self.env, 30)
            if code != 0:
                raise RuntimeError(f"openssl {arguments[0]}: {errors}")
