"""The Larder that is attacked: the real binary with its default limits, unless an attack names others."""

import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
CONFIG = """[cache]
memory = "64MiB"
disk = "0"

[intercept]
enabled = {intercepts}
ca_dir = "{folder}/ca"

[log]
access = "{folder}/access.log"
"""


class Server:
    """A running `larder serve` with a plain and a TLS listener, in a folder of its own."""

    def __init__(self, binary, settings="", nofile=None, intercepts=False):
        self.scratch = tempfile.TemporaryDirectory(prefix="larder-attack-")
        folder = Path(self.scratch.name)
        config = folder / "larder.toml"
        text = CONFIG.format(folder=folder, intercepts=str(intercepts).lower())
        config.write_text(text + settings)
        self.diagnostics = folder / "diagnostics"
        command = [binary, "serve", "--config", config, "--cache-dir", folder / "cache", "--listen", "127.0.0.1:0",
                   "--listen", "https://127.0.0.1:0", "--admin", "127.0.0.1:0"]

        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=limit)
        self.lines, self.diagnostic_bytes = [], 0
        self.port = self.tls_port = self.admin = None
        while self.admin is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"larder did not start: {''.join(self.lines)}")
            self.lines.append(line)
            if found := re.search(r"listens on 127\.0\.0\.1:(\d+), https://127\.0\.0\.1:(\d+)", line):
                self.port, self.tls_port = int(found[1]), int(found[2])
            if found := re.search(r"admin +http://127\.0\.0\.1:(\d+)", line):
                self.admin = int(found[1])
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        """Reads the diagnostics as they come: counts them, and keeps the last lines for a report."""
        for line in self.process.stderr:
            self.diagnostic_bytes += len(line)
            self.lines = [*self.lines[-20:], line]

    def has_ended(self):
        return self.process.poll() is not None

    def cpu_s(self):
        """User and system time of the process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def resident(self):
        """Resident memory, in bytes. The cache is full before an attack, so that what comes on top is not what it holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metrics(self):
        """Each series and its value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def in_use(self):
        """Bytes that Larder counts as in use by the kinds of its budget, but for the cache."""
        uses = re.compile(r'larder_memory_bytes\{use="(?!stored|fills)')
        return int(sum(value for name, value in self.metrics().items() if uses.match(name)))

    def moved(self):
        """Bytes that origins have sent and clients have got, in exchanges that have ended."""
        metrics = self.metrics()
        return int(metrics["larder_origin_received_bytes_total"] + metrics["larder_client_sent_bytes_total"])

    def stop(self):
        if not self.has_ended():
            self.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            self.process.kill()
        code = self.process.wait(timeout=60)
        self.scratch.cleanup()
        return code
