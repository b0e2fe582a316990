"""The command-line clients: curl, wget, Python's urllib and Node, each a fresh process for each load.

All of them give the same `Reply`, so that one check can be asked of every client. Bodies are hashed as they
come; only their beginning is kept.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

from processes import end_group, run_bounded

# One load of the largest file on a busy machine takes a few seconds.
LOAD_S_MAX = 60
BODY_KEPT_BYTES = 256 * 1024
HERE = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a client saw. `headers` has lower-case names; repeated fields are joined as a list."""

    status: int
    headers: dict
    sha256: str
    length: int
    body: bytes = b""

    def header(self, name):
        return self.headers.get(name.lower(), "")


class Clients:
    def __init__(self, folder, tools, larder, certificate, env):
        self.folder = folder
        self.tools = tools
        self.larder = larder
        self.certificate = certificate
        self.env = env

    def curl(self, url, *options):
        """`--disable` keeps a personal configuration out, the empty --noproxy sends loopback through the proxy."""
        code, reply, errors = self._curl(url, options)
        if code != 0:
            raise RuntimeError(f"curl ended with {code}: {errors}")
        return reply

    def curl_refused_tunnel(self, url):
        """Asks for an https URL whose CONNECT shall be refused; the reply is the proxy's answer to CONNECT."""
        code, reply, errors = self._curl(url, ())
        if code == 0:
            raise RuntimeError("curl succeeded although the tunnel should have been refused")
        if reply is None:
            raise RuntimeError(f"curl got no answer to CONNECT: {errors}")
        return reply

    def wget(self, url):
        argv = [
            self.tools["wget"], "--no-config", "--quiet", "--server-response", "--output-document=-", "--tries=1",
            "--content-on-error", f"--timeout={LOAD_S_MAX}", "-e", "use_proxy=yes", "-e", "no_proxy=",
            "-e", f"http_proxy={self.larder.proxy}", "-e", f"https_proxy={self.larder.proxy}", "--no-hsts",
            f"--ca-certificate={self.certificate}", url]
        code, digest, length, body, errors = stream(argv, self.env)
        # Status 8 means "the server issued an error response", which is an answer too.
        if code not in (0, 8):
            raise RuntimeError(f"wget ended with {code}: {errors}")
        status, headers = last_head(errors)
        return Reply(status, headers, digest, length, body)

    def urllib(self, url):
        return self._reporting([sys.executable, str(HERE / "fetch_urllib.py"), self.larder.proxy, url,
                                *self._ca_for(url)], self.env)

    def node(self, url):
        way = "connect" if url.startswith("https:") else "absolute"
        return self._node(way, url, self.env)

    def node_fetch(self, url):
        proxy = {"HTTP_PROXY": self.larder.proxy, "HTTPS_PROXY": self.larder.proxy, "NO_PROXY": "",
                 "NODE_USE_ENV_PROXY": "1", "NODE_EXTRA_CA_CERTS": str(self.certificate)}
        return self._node("fetch", url, self.env | proxy)

    def node_reads_proxy_environment(self):
        """Whether this Node's fetch can use a proxy: since 24.0, and since 22.21 in its line."""
        _, version, _ = run_bounded([self.tools["node"], "--version"], self.env, 30)
        major, minor = (int(part) for part in version.lstrip("v").split(".")[:2])
        return major >= 24 or (major == 22 and minor >= 21)

    def _node(self, way, url, env):
        return self._reporting([self.tools["node"], str(HERE / "fetch_node.mjs"), way, self.larder.proxy, url,
                                *self._ca_for(url)], env)

    def _ca_for(self, url):
        return [str(self.certificate)] if url.startswith("https:") else []

    def _curl(self, url, options):
        handle, name = tempfile.mkstemp(dir=self.folder, prefix="head-")
        os.close(handle)
        head_path = pathlib.Path(name)
        argv = [
            self.tools["curl"], "--disable", "--silent", "--show-error", "--proxy", self.larder.proxy,
            "--noproxy", "", "--cacert", str(self.certificate), "--max-time", str(LOAD_S_MAX),
            "--dump-header", name, *options, url]
        try:
            code, digest, length, body, errors = stream(argv, self.env)
            head = head_path.read_text(errors="replace")
        finally:
            head_path.unlink()
        if not head:
            return code, None, errors
        status, headers = last_head(head)
        return code, Reply(status, headers, digest, length, body), errors

    def _reporting(self, argv, env):
        code, out, errors = run_bounded(argv, env, LOAD_S_MAX)
        if code != 0:
            raise RuntimeError(f"{pathlib.Path(argv[1]).name} ended with {code}: {errors[-600:]}")
        report = json.loads(out)
        return Reply(report["status"], joined(report["headers"]), report["sha256"], report["length"])


def stream(argv, env):
    """Runs a client whose standard output is the body; returns (code, sha256, length, beginning, stderr)."""
    digest, length, body = hashlib.sha256(), 0, b""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                   start_new_session=True)
        # The client has a timeout of its own; this one is for a client that does not keep it.
        watchdog = threading.Timer(LOAD_S_MAX + 10, process.kill)
        watchdog.start()
        try:
            while block := process.stdout.read(1 << 16):
                digest.update(block)
                length += len(block)
                body += block[:BODY_KEPT_BYTES - len(body)]
            code = process.wait()
        finally:
            watchdog.cancel()
            process.stdout.close()
            end_group(process)
        errors.seek(0)
        return code, digest.hexdigest(), length, body, errors.read().decode(errors="replace")


def last_head(text):
    """The last response head in `text`: before it may stand the answer to a CONNECT. Wget indents its lines."""
    lines = [line.strip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("HTTP/")]
    if not starts:
        raise RuntimeError(f"no response head in: {text[-300:]!r}")
    status = int(lines[starts[-1]].split(" ")[1])
    fields = (line.split(":", 1) for line in lines[starts[-1] + 1:] if ":" in line)
    return status, joined((name, value.strip()) for name, value in fields)


def joined(pairs):
    headers = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
