"""The real binary on a port of its own."""

import os
import re
import signal
import subprocess
import threading
import urllib.request


class Larder:
    """A running `larder serve` in its own process; what it says is kept."""

    def __init__(self, binary, folder, *arguments, environment=None):
        self.binary, self.folder = binary, str(folder)
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cache-dir", folder, *arguments]
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})}
        self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.said = []
        self.port = self.admin = None
        while self.admin is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"larder has ended: {''.join(self.said)}")
            self.said.append(line)
            if found := re.search(r"listens on 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
            if found := re.search(r"admin +http://127\.0\.0\.1:(\d+)", line):
                self.admin = int(found[1])
        self.listening = threading.Thread(target=self.listen, daemon=True)
        self.listening.start()

    def listen(self):
        self.said.extend(self.process.stderr)

    def command(self, *arguments):
        """What `larder cache …` says to this one; its exit code and its words."""
        command = [self.binary, "cache", *arguments, "--cache-dir", self.folder]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def metrics(self):
        """Each series and its value."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def late_removals(self):
        """The paths of what it has said of that a kill may bring it back, because the disk was behind."""
        found = (re.search(r"http://[^/ ]+/(\S*) may come back if Larder is killed", line) for line in self.said)
        return [one[1] for one in found if one]

    def kill(self):
        self.process.kill()
        self.end()

    def stop(self):
        """Ends it in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self):
        code = self.process.wait(timeout=60)
        self.listening.join()
        return code
