"""Repositories in the formats that `intercepted-clients/repositories.py` does not have, for a static server."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import zipfile

from repositories import NAME, VERSION, tarball

MODULE = "sample.tools.test/larder"


def make(www, url, env):
    go_modules(www / "go")
    composer(www / "composer", url)
    docker(www / "v2/sample")
    if shutil.which("gem"):
        gems(www / "gems", env)
    if shutil.which("hg"):
        mercurial(www / "hg/sample", env)


def go_modules(folder):
    at = folder / MODULE / "@v"
    at.mkdir(parents=True)
    module = f"module {MODULE}\n\ngo 1.19\n"
    (at / "list").write_text("v1.0.0\n")
    (at / "v1.0.0.info").write_text('{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}')
    (at / "v1.0.0.mod").write_text(module)
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        archive.writestr(f"{MODULE}@v1.0.0/go.mod", module)
        archive.writestr(f"{MODULE}@v1.0.0/answer.go", "package larder\n\nconst Answer = 42\n")
    (at / "v1.0.0.zip").write_bytes(octets.getvalue())


def composer(folder, url):
    folder.mkdir()
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        archive.writestr("sample/composer.json", '{"name": "larder/sample"}')
        archive.writestr("sample/answer.php", "<?php return 42;\n")
    (folder / "sample.zip").write_bytes(octets.getvalue())
    package = {"name": "larder/sample", "version": VERSION,
               "dist": {"type": "zip", "url": f"{url}/composer/sample.zip", "shasum": hashlib.sha1(octets.getvalue()).hexdigest()}}
    (folder / "packages.json").write_text(json.dumps({"packages": {"larder/sample": {VERSION: package}}}))


def docker(folder):
    """An image of one layer, by the registry's API."""
    for name in ("blobs", "manifests"):
        (folder / name).mkdir(parents=True)
    layer = tarball("sample", {"answer": "42\n"})
    identity = hashlib.sha256(gzip.decompress(layer)).hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {},
                         "rootfs": {"type": "layers", "diff_ids": [f"sha256:{identity}"]}}).encode()

    def blob(octets, kind):
        digest = f"sha256:{hashlib.sha256(octets).hexdigest()}"
        (folder / "blobs" / digest).write_bytes(octets)
        return {"mediaType": f"application/vnd.docker.{kind}", "size": len(octets), "digest": digest}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": blob(config, "container.image.v1+json"), "layers": [blob(layer, "image.rootfs.diff.tar.gzip")]}).encode()
    for name in ("latest", f"sha256:{hashlib.sha256(manifest).hexdigest()}"):
        (folder / "manifests" / name).write_bytes(manifest)


def gems(folder, env):
    (folder / "gems").mkdir(parents=True)
    (folder / "answer.rb").write_text("42\n")
    (folder / f"{NAME}.gemspec").write_text(
        f'Gem::Specification.new {{ |s| s.name = "{NAME}"; s.version = "{VERSION}"; s.summary = "answer"; s.authors = ["Larder"]\n'
        f's.homepage = "https://origin.tools.test"; s.license = "Apache-2.0"; s.files = ["answer.rb"] }}\n')
    for command in (["gem", "build", "--quiet", f"{NAME}.gemspec", "--output", f"gems/{NAME}-{VERSION}.gem"], ["gem", "generate_index"]):
        subprocess.run(command, cwd=folder, env=env | {"SOURCE_DATE_EPOCH": "1700000000"}, check=True, capture_output=True)


def mercurial(folder, env):
    folder.mkdir(parents=True)
    (folder / "answer.txt").write_text("42\n")
    for command in (["init"], ["add", "answer.txt"], ["commit", "-m", "The answer", "-u", "Larder"]):
        subprocess.run(["hg", *command], cwd=folder, env=env, check=True, capture_output=True)
