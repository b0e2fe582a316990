"""The real binary on a port of its own."""

import os
import re
import signal
import subprocess
import threading


class Larder:
    """A running `larder serve` in its own process; what it says is kept."""

    def __init__(self, binary, folder, *arguments):
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--admin", "off", "--cache-dir", folder, *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.said = []
        self.port = None
        while self.port is None:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"larder has ended: {''.join(self.said)}")
            self.said.append(line)
            if found := re.search(r"listens on 127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
        self.listening = threading.Thread(target=self.listen, daemon=True)
        self.listening.start()

    def listen(self):
        self.said.extend(self.process.stderr)

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
