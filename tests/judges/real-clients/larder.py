"""The proxy under test: `larder serve` as a process, and its command line beside it.

Only what the command line promises is used here; nothing looks into the cache folder.
"""

import re

from processes import Server, free_port, run_bounded

# A drain may take 30 s by contract; what takes longer than this has not ended by itself.
STOP_S_MAX = 35

CONFIGURATION = """
[access]
block = ["blocked.test"]
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
        self.port = None

    @property
    def proxy(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        # As for the origin: losing the race for a port is tried again, any other failure is final.
        for attempts_left in (2, 1, 0):
            self.port = free_port()
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

    def tunnels_logged(self, port):
        """How many CONNECTs to `port` the access log knows: the proof that a client did not go round the proxy."""
        if not self.access_log.exists():
            return 0
        lines = self.access_log.read_text(errors="replace").splitlines()
        # The line's layout is none of our business: the method and the port as words are enough.
        return sum("CONNECT" in line and bool(re.search(rf"\b{port}\b", line)) for line in lines)

    def _serve(self):
        self.server.start(
            [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin", "off",
             "--cache-dir", str(self.cache), "--memory", "256MiB", "--config", str(self.configuration),
             "--access-log", str(self.access_log), "--log-format", "json"],
            [self.port])
