"""A network of the judge's own: names that lead to one address that is not a loopback one, and nothing else.

Programs go around any proxy for loopback addresses, so the origin must not have one. In a namespace it has 198.51.100.10
(RFC 5737), the hosts file names it, the origin's authority is among the machine's, and no packet leaves the machine.
"""

import os
import pathlib
import shutil
import subprocess
import sys

ADDRESS = "198.51.100.10"
NAMES = ["origin.tools.test", "s3.tools.test"]
CERTIFICATES = pathlib.Path("/etc/ssl/certs")
INSIDE = "LARDER_TOOLS_NAMESPACE"


def enter(folder):
    """Runs this program again inside of a new namespace, with `folder` for its files; returns its exit code."""
    program = [sys.executable, *sys.argv]
    environment = os.environ | {INSIDE: str(folder)}
    return subprocess.run(["unshare", "--mount", "--net", "--", *program], env=environment).returncode


def set_up(folder, root, env):
    """Once inside: addresses, names, and the origin's authority beside those that the machine trusts."""
    hosts, resolver, certificates = folder / "hosts", folder / "resolv.conf", folder / "certificates"
    hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {' '.join(NAMES)}\n")
    # Nobody answers there: what is not in the hosts file does not exist.
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    shutil.copytree(CERTIFICATES, certificates, symlinks=True)
    bundle = certificates / "ca-certificates.crt"
    bundle.write_bytes(CERTIFICATES.joinpath(bundle.name).read_bytes() + root.read_bytes())
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", str(root)], capture_output=True, text=True, check=True)
    (certificates / f"{name.stdout.strip()}.0").write_bytes(root.read_bytes())
    store = certificates / "java/cacerts"
    if store.exists() and shutil.which("keytool"):
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "origin", "-file", str(root), "-keystore", str(store),
                        "-storepass", "changeit"], capture_output=True, check=True, env=env)
    for command in [["ip", "link", "set", "lo", "up"], ["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"],
                    ["mount", "--bind", str(hosts), "/etc/hosts"], ["mount", "--bind", str(resolver), "/etc/resolv.conf"],
                    ["mount", "--bind", str(certificates), str(CERTIFICATES)]]:
        subprocess.run(command, check=True)
    return bundle
