"""Processes, ports, folders and CPU time: everything a run takes from the machine, and gives back.

Invariant: whatever was started is ended when its `with` block ends, by the id of the process group that this
module made for it. Should this process be killed outright, its death is a signal to each server's `timeout`, which
keeps this process's user and so can hear it where a server that has given up root cannot.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 20
END_SECONDS_MAX = 5


class Failure(Exception):
    """A contestant does not do what the row needs; the text becomes the row's reason."""


class Machine:
    """The temporary folder and the two cores of one run."""

    def __init__(self, server_core, load_core, seconds_max):
        self.server_core, self.load_core, self.seconds_max = server_core, load_core, seconds_max

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="larder-compare."))
        # Servers that give up root must reach their folder below this one; nobody else can list it.
        self.folder.chmod(0o711)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def own_folder(self, name, user=None):
        folder = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=self.folder))
        if user and os.geteuid() == 0:
            shutil.chown(folder, user)
        return folder


class Server:
    """One pinned process tree that listens on one port."""

    def __init__(self, machine, core, port, command, folder, environment=None):
        self.port, self.folder = port, folder
        bound = ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5", str(machine.seconds_max)]
        self.output = folder / "output"
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [*bound, "taskset", "-c", str(core), *map(str, command)], cwd=folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # `timeout` leads the group and hands the signal on; a drain is not waited for longer than this.
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def wait_until_it_listens(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            self.must_live()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Failure(f"does not listen after {START_SECONDS_MAX} s")

    def must_live(self):
        if self.process.poll() is not None:
            said = self.output.read_text(errors="replace").split("\n")
            last = [line.strip() for line in said if line.strip()][-2:]
            raise Failure(f"exited with {self.process.returncode}: {' / '.join(last) or 'it said nothing'}")

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)


def cpu_seconds(root):
    """(user, system) of a process, all that descend from it, and all of these that have ended and were waited for."""
    times, children = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name in parentheses may hold anything, so the numbers start after the last one.
        fields = stat.rpartition(")")[2].split()
        user, system, ended_user, ended_system = map(int, fields[11:15])
        times[int(entry.name)] = (user + ended_user, system + ended_system)
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree = [root]
    for process in tree:
        tree += children.get(process, [])
    return tuple(sum(times[process][kind] for process in tree if process in times) / TICKS_PER_SECOND
                 for kind in (0, 1))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fill(template, target, **values):
    """Writes a template with every @name@ replaced; a name that nobody gave is a mistake, not an empty string."""
    text = (TEMPLATES / template).read_text()
    target.parent.mkdir(exist_ok=True)
    target.write_text(re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text))
