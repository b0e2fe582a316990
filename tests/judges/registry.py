"""Package registries, for judges in Python: `install` beside this file, which tries again, with its failure as an exception.

A judge that could not install something ends with exit code NOT_INSTALLED, if nothing of what it could check failed.
"""

import os
import pathlib
import subprocess
import sys

NOT_INSTALLED = 75  # EX_TEMPFAIL of sysexits.h; tests/judges/steps.bash reports it apart.
INSTALL = pathlib.Path(__file__).resolve().parent / "install"


class NotInstalled(Exception):
    """Its text is `install of X failed after N tries: why`."""


def install(*arguments, env=None):
    """Runs `install`; what it prints on its way goes to stderr. Returns its standard output."""
    command = [str(INSTALL), *map(str, arguments)]
    ended = subprocess.run(command, env=env or os.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    sys.stderr.write(ended.stderr)
    if ended.returncode != 0:
        lines = ended.stderr.strip().splitlines()
        raise NotInstalled(lines[-1] if lines else f"install ended with exit code {ended.returncode}")
    return ended.stdout


def install_packages(packages):
    """Debian's packages; returns why they are not installed, or None. Without root and apt nothing is tried."""
    if not packages:
        return None
    print("installing", " ".join(packages), flush=True)
    try:
        install("apt", *packages)
    except NotInstalled as error:
        return str(error)
    return None
