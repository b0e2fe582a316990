"""The tools the run needs: where they are, and how Debian provides those that are missing."""

import os
import pathlib
import shutil
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent))

from registry import install_packages

# Tool: the names its program may have, and Debian's package.
TOOLS = {
    "chromium": (["chromium", "chromium-browser", "google-chrome"], "chromium"),
    "curl": (["curl"], "curl"),
    "wget": (["wget"], "wget"),
    "nginx": (["nginx"], "nginx-light"),
    "openssl": (["openssl"], "openssl"),
    "node": (["node", "nodejs"], "nodejs"),
    "certutil": (["certutil"], "libnss3-tools"),
    "h2load": (["h2load"], "nghttp2-client"),
}


def find_tools():
    """Tool name to program path, or None. Servers often lie outside an ordinary user's PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return {tool: next(filter(None, (shutil.which(name, path=path) for name in names)), None)
            for tool, (names, _) in TOOLS.items()}


def missing_packages():
    """Installs them. Returns why they are not installed, or None."""
    return install_packages([TOOLS[tool][1] for tool, path in find_tools().items() if path is None])


def report_missing(report, tools, why, optional=()):
    """Names what is missing: in CI a failure, and where an install failed, that one's and not a check's."""
    for name in (name for name, path in tools.items() if path is None and name not in optional):
        if why:
            report.not_installed(name, why)
        elif os.environ.get("CI") == "true":
            with report.check(f"{name} is there"):
                raise FileNotFoundError("a missing tool is a failure in CI")
        else:
            print(f"{name} is missing: the checks that need it are not run (--install gets it)")
