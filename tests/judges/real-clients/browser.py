"""Headless Chromium, a new profile for every start, so that nothing but the proxy can remember anything."""

import base64
import html
import pathlib
import re
import shutil
import tempfile

from processes import run_bounded

START_S_MAX = 60


class Browser:
    def __init__(self, binary, folder, larder, env):
        self.binary = binary
        self.folder = folder
        self.larder = larder
        self.env = env

    def make_database(self, certutil):
        """Makes the empty database of certificates that Chromium reads for its user."""
        self.database.mkdir(parents=True, exist_ok=True)
        self._certutil(certutil, "-N", "--empty-password")

    def trust(self, certutil, certificate):
        """Has a Chromium that verifies trust what this certificate has signed, itself included."""
        self._certutil(certutil, "-A", "-n", certificate.name, "-t", "C,,", "-i", str(certificate))

    @property
    def database(self):
        return pathlib.Path(self.env["HOME"]) / ".pki" / "nssdb"

    def _certutil(self, certutil, *what):
        code, out, errors = run_bounded([certutil, "-d", f"sql:{self.database}", *what], self.env, 30)
        if code != 0:
            raise RuntimeError(f"certutil ended with {code}: {out} {errors}")

    def document(self, url, proxy=None, verify=False):
        """The document as it stands right after its load event, as HTML text."""
        out, errors = self._start(url, "--dump-dom", proxy=proxy, verify=verify)
        if not out.strip():
            raise RuntimeError(f"chromium showed nothing for {url}: {errors[-600:]}")
        return out

    def screenshot(self, url, path):
        path.unlink(missing_ok=True)
        _, errors = self._start(url, f"--screenshot={path}", "--window-size=1000,700")
        if not path.exists():
            raise RuntimeError(f"chromium took no screenshot of {url}: {errors[-600:]}")

    def _start(self, url, *what, proxy=None, verify=False):
        profile = pathlib.Path(tempfile.mkdtemp(dir=self.folder, prefix="profile-"))
        argv = [
            self.binary, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
            "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-breakpad",
            # The origin's certificate is self-signed; the other clients verify it, and so does this one where it is
            # told to. Elsewhere only the tunnel matters.
            *([] if verify else ["--ignore-certificate-errors"]),
            f"--user-data-dir={profile}", f"--proxy-server={proxy or self.larder.proxy}",
            # Without the first entry Chromium goes to loopback addresses directly. It also calls home in spite of
            # the switches above; the second entry takes that away from the proxy, and the rule below ends it here.
            "--proxy-bypass-list=<-loopback>;*.com", "--host-resolver-rules=MAP *.com ~NOTFOUND",
            *what, url]
        try:
            code, out, errors = run_bounded(argv, self.env, START_S_MAX)
            # A machine without a desktop has no message bus, about which Chromium complains at length.
            errors = "\n".join(line for line in errors.splitlines() if "dbus" not in line.lower())
        finally:
            shutil.rmtree(profile, ignore_errors=True)
        if code != 0:
            raise RuntimeError(f"chromium ended with {code}: {errors[-600:]}")
        return out, errors


def title_of(document):
    found = re.search(r"<title>(.*?)</title>", document, re.DOTALL)
    return html.unescape(found.group(1)) if found else ""


def files_of(document):
    """The bytes that app.js put into the document, by file name."""
    found = re.findall(r'<pre data-file="([^"]+)">([^<]*)</pre>', document)
    return {name: base64.b64decode(text) for name, text in found}


def text_of(document):
    """What a reader sees, roughly: no styles, no scripts, no tags."""
    bare = re.sub(r"<(style|script|title)\b.*?</\1>", " ", document, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())
