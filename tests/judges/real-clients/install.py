"""The tools the run needs: where they are, and how Debian provides those that are missing."""

import contextlib
import os
import pathlib
import shutil
import subprocess

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
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def find_tools():
    """Tool name to program path, or None. Servers often lie outside an ordinary user's PATH."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return {tool: next(filter(None, (shutil.which(name, path=path) for name in names)), None)
            for tool, (names, _) in TOOLS.items()}


def missing_packages():
    packages = [TOOLS[tool][1] for tool, path in find_tools().items() if path is None]
    if not packages:
        return
    print("installing", " ".join(packages), flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        with services_kept_from_starting():
            subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
            subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
                           env=environment, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        # What is still missing is reported by the caller, as without --install.
        print(f"could not install: {error}", flush=True)


@contextlib.contextmanager
def services_kept_from_starting():
    """Debian starts a server when it is installed, here an nginx on port 80 that nobody asked for. A policy that
    answers 101 ("not allowed") prevents it; the policy that was there before, if any, is put back."""
    kept = POLICY.with_name("policy-rc.d.kept-by-larder")
    # One kept by a run that was killed is the true one; ours, still in place, must not be taken for it.
    if POLICY.exists() and not kept.exists():
        POLICY.rename(kept)
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(POLICY)
