"""Child processes that cannot outlive the run, and waiting without sleeping blindly.

Every child leads its own process group and is ended by that group's id, so that the helpers a browser forks go
with it. Nothing is ever ended by name. Children see a small environment of our own making: a proxy
variable or a client's configuration file of the person who runs this must not change what is tested.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time

# Long enough for a loaded two-core machine; a healthy run never comes near it.
START_S_MAX = 30
POLL_S = 0.02


def wait_until(what, condition, seconds_max=START_S_MAX):
    """Polls until `condition()` is truthy and returns its value; a deadline that passes is an error."""
    deadline = time.monotonic() + seconds_max
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds_max} s")
        time.sleep(POLL_S)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def clean_environment(folder):
    """Nothing inherited but PATH; homes and temporary files lie in `folder` and vanish with it."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(home),
        "TMPDIR": str(folder),
    }


def end_group(process, seconds_before_kill=0):
    """Asks the group to end, then makes sure of it. Returns the leader's exit code."""
    if process.poll() is None and seconds_before_kill:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds_before_kill)
    # The leader may be gone while a child of it lingers, so the group is signalled in every case. Its id stays
    # taken while a member lives, and the kernel hands out ids in a circle, so an empty group's is not reused by now.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def run_bounded(argv, env, seconds_max, cwd=None):
    """Runs a short command to its end; returns (exit code, stdout, stderr) as text."""
    process = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True)
    try:
        out, err = process.communicate(timeout=seconds_max)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{os.path.basename(argv[0])} did not end within {seconds_max} s") from None
    finally:
        end_group(process)
    return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


class Server:
    """A server process on a loopback port: started until it accepts, ended by its group's id."""

    def __init__(self, name, log_path, env):
        self.name = name
        self.log_path = log_path
        self.env = env
        self.process = None

    def start(self, argv, ports):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(f"{self.name} accepting on {ports}", lambda: self._ready(ports))
        except BaseException:
            self.stop()
            raise

    def _ready(self, ports):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at once with {self.process.returncode}: {self.log_tail()}")
        return all(accepts(port) for port in ports)

    def stop(self, seconds_before_kill=10):
        if self.process is None:
            return None
        process, self.process = self.process, None
        return end_group(process, seconds_before_kill)

    def log_tail(self, bytes_max=1500):
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[-bytes_max:].decode(errors="replace").strip()
