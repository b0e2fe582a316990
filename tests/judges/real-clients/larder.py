"""The proxy under test: `larder serve` as a process, and its command line beside it.

Only what the command line promises is used here; nothing looks into the cache folder.
"""

import json
import re

from processes import Server, free_port, run_bounded, wait_until

# A drain may take 30 s by contract; what takes longer than this has not ended by itself.
STOP_S_MAX = 35

CONFIGURATION = """
[access]
block = ["blocked.test"]

[intercept]
ca_dir = "ca"
"""


class Larder:
    def __init__(self, binary, folder, env):
        self.binary = str(binary)
        self.env = env
        self.cache = folder / "cache"
        self.configuration = folder / "larder.toml"
        self.configuration.write_text(CONFIGURATION)
        self.access_log = folder / "access.log"
        self.server = Server("larder", folder / "larder.log", env)
        self.authority = folder / "ca" / "ca.pem"
        self.port = self.https_port = None

    @property
    def proxy(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def https_proxy(self):
        return f"https://127.0.0.1:{self.https_port}"

    def start(self):
        # As for the origin: losing the race for a port is tried again, any other failure is final.
        for attempts_left in (2, 1, 0):
            self.port, self.https_port = free_port(), free_port()
            try:
                return self._serve()
            except RuntimeError:
                if attempts_left == 0 or "in use" not in self.server.log_tail().lower():
                    raise

    def restart(self):
        """Ends the process as a service manager would and starts it on the same port; returns the exit code."""
        code = self.server.stop(STOP_S_MAX)
        self._serve()
        return code

    def stop(self):
        self.server.stop()

    def command(self, *arguments):
        """Runs `larder ARGUMENTS` against the running process; returns (exit code, stdout, stderr)."""
        return run_bounded(
            [self.binary, *arguments, "--config", str(self.configuration), "--cache-dir", str(self.cache)],
            self.env, 30)

    def ca(self, *arguments):
        """Runs `larder ca ARGUMENTS`; returns (exit code, stdout, stderr)."""
        return run_bounded([self.binary, "ca", *arguments, "--config", str(self.configuration)], self.env, 60)

    def lines(self):
        """The whole lines of the access log so far."""
        if not self.access_log.exists():
            return []
        whole, _, _begun = self.access_log.read_text(errors="replace").rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def logged(self, method, version):
        """The lines of this method and HTTP version."""
        return [line for line in self.lines() if (line["method"], line["version"]) == (method, version)]

    def tunnels_logged(self, port):
        """How many CONNECTs to `port` the access log knows: the proof that a client did not go round the proxy."""
        if not self.access_log.exists():
            return 0
        lines = self.access_log.read_text(errors="replace").splitlines()
        # The line's layout is none of our business: the method and the port as words are enough.
        return sum("CONNECT" in line and bool(re.search(rf"\b{port}\b", line)) for line in lines)

    def _serve(self):
        self.server.start(
            [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--listen", self.https_proxy, "--admin", "off",
             "--cache-dir", str(self.cache), "--memory", "256MiB", "--config", str(self.configuration),
             "--access-log", str(self.access_log), "--log-format", "json"],
            [self.port, self.https_port])
        # The ports take connections a moment before the first start has made it.
        wait_until("larder making its authority", self.authority.exists)
