"""What the clients fetch: one file, and a package in the repository format of each package manager.

All of it is static, so that one web server serves it; no two runs differ in a byte but for what git puts its times in.
"""

import hashlib
import io
import json
import random
import subprocess
import tarfile
import zipfile

NAME = "larder-sample"
VERSION = "1.0.0"
PAGE = b"<!doctype html><title>intercepted page</title><script src=page.js></script><p>Hello.</p>"
SCRIPT = b"document.title = 'intercepted and run';"


def make(www, url, env):
    """Fills the folder, which is served at `url`."""
    # A fixed seed: the same bytes in every run, and none that compress.
    (www / "file.bin").write_bytes(random.Random(9111).randbytes(300_000))
    for browser in ["chromium", "firefox"]:
        (www / browser).mkdir()
        (www / browser / "page.html").write_bytes(PAGE)
        (www / browser / "page.js").write_bytes(SCRIPT)
    pypi(www / "pypi", url)
    npm(www / "npm", url)
    cargo(www / "cargo", url)
    git(www / "git", env)
    apt(www / "apt")


def pypi(folder, url):
    wheel = f"larder_sample-{VERSION}-py3-none-any.whl"
    info = f"larder_sample-{VERSION}.dist-info"
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        archive.writestr("larder_sample.py", "answer = 42\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    index = folder / "simple" / NAME
    index.mkdir(parents=True)
    (folder / wheel).write_bytes(octets.getvalue())
    digest = hashlib.sha256(octets.getvalue()).hexdigest()
    (index / "index.html").write_text(f'<!doctype html><a href="{url}/pypi/{wheel}#sha256={digest}">{wheel}</a>')


def tarball(prefix, files):
    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"{prefix}/{name}")
            entry.size, entry.mode = len(text), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return octets.getvalue()


def npm(folder, url):
    folder.mkdir()
    manifest = {"name": NAME, "version": VERSION, "main": "index.js"}
    packed = tarball("package", {"package.json": json.dumps(manifest), "index.js": "module.exports = 42;\n"})
    (folder / "sample.tgz").write_bytes(packed)
    manifest["dist"] = {"tarball": f"{url}/npm/sample.tgz", "shasum": hashlib.sha1(packed).hexdigest()}
    document = {"name": NAME, "dist-tags": {"latest": VERSION}, "versions": {VERSION: manifest}}
    (folder / NAME).write_text(json.dumps(document))


def cargo(folder, url):
    index = folder / "index" / "la" / "rd"
    index.mkdir(parents=True)
    manifest = f'[package]\nname = "{NAME}"\nversion = "{VERSION}"\nedition = "2021"\n'
    crate = tarball(f"{NAME}-{VERSION}", {"Cargo.toml": manifest, "src/lib.rs": "pub const ANSWER: u32 = 42;\n"})
    (folder / f"{NAME}-{VERSION}.crate").write_bytes(crate)
    (folder / "index" / "config.json").write_text(json.dumps({"dl": f"{url}/cargo/{{crate}}-{{version}}.crate"}))
    entry = {"name": NAME, "vers": VERSION, "deps": [], "cksum": hashlib.sha256(crate).hexdigest(), "features": {},
             "yanked": False}
    (index / NAME).write_text(json.dumps(entry) + "\n")


def git(folder, env):
    """A repository that a plain web server can serve (the protocol that git calls dumb)."""
    folder.mkdir()
    work, bare = folder / "work", folder / "sample.git"
    identity = ["-c", "user.name=Larder", "-c", "user.email=larder@larder.test", "-c", "init.defaultBranch=main"]

    def call(*arguments):
        subprocess.run(["git", *identity, *arguments], env=env, check=True, capture_output=True)

    call("init", "-q", str(work))
    (work / "answer.txt").write_text("42\n")
    call("-C", str(work), "add", ".")
    call("-C", str(work), "commit", "-q", "-m", "The answer")
    call("clone", "-q", "--bare", str(work), str(bare))
    call("-C", str(bare), "update-server-info")


def apt(folder):
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    control = f"Package: {NAME}\nVersion: {VERSION}\nArchitecture: all\nMaintainer: Larder <larder@larder.test>\n" \
              "Description: the answer\n"
    (tree / "DEBIAN" / "control").write_text(control)
    (tree / "answer").write_text("42\n")
    package = folder / f"{NAME}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)], check=True, capture_output=True)
    octets = package.read_bytes()
    entry = f"{control}Filename: ./{NAME}.deb\nSize: {len(octets)}\nSHA256: {hashlib.sha256(octets).hexdigest()}\n"
    (folder / "Packages").write_text(entry)
