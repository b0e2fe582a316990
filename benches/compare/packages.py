"""What the comparison needs from the distribution, and how to get it without waking any service."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

# Program -> package. A contestant's program is only needed when it takes part.
TOOLS = {"wrk": "wrk", "taskset": "util-linux", "setpriv": "util-linux"}
PEERS = {"nginx": "nginx", "haproxy": "haproxy", "squid": "squid", "traffic_server": "trafficserver"}

POLICY = Path("/usr/sbin/policy-rc.d")


def program(name):
    """Where a program lies; servers are in folders that a plain user's PATH does not name."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def install(contestants):
    wanted = TOOLS | {name: package for name, package in PEERS.items() if package in contestants}
    missing = sorted({package for name, package in wanted.items() if not program(name)})
    if not missing:
        return
    if os.geteuid() != 0 or not program("apt-get"):
        print(f"missing: apt-get install --no-install-recommends {' '.join(missing)}", file=sys.stderr)
    else:
        with services_asleep():
            apt_get(missing)
        silence(missing)
    for name in TOOLS:
        if not program(name):
            sys.exit(f"cannot measure without {name}")


def apt_get(missing):
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run([*command, "update"], env=environment, stdout=subprocess.DEVNULL)
    for package in missing:
        # One by one and unchecked: a peer that this release does not have is left out, the rest still run.
        print(f"installing {package}", file=sys.stderr)
        subprocess.run([*command, "install", "-y", "--no-install-recommends", package],
                       env=environment, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def services_asleep():
    """Forbids service starts while packages are set up, unless the machine already has a policy of its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def silence(installed):
    """The machine's own policy may have allowed a start, and the next boot would bring one: neither was asked for."""
    for package in set(installed) & set(PEERS.values()):
        if Path("/etc/init.d", package).exists():
            for command in (["service", package, "stop"], ["update-rc.d", package, "disable"]):
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def versions(contestants):
    """The machine and the peers' package versions, for the table's head."""
    found = [f"Linux {platform.release()} {platform.machine()}", processor()]
    if not program("dpkg-query"):
        return found
    for package in [name for name in contestants if name in PEERS.values()] + [name for name in TOOLS if name == "wrk"]:
        answer = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
        found.append(f"{package} {answer.stdout or '(version unknown)'}")
    return [text for text in found if text]


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""
