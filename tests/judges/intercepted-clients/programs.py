"""The clients: each a command that fetches into an empty folder, and what has to be there then.

None of them is told anything of the proxy or of certificates by an argument: that is `larder run`'s part.
"""

import pathlib
import shutil
import subprocess

from repositories import NAME, VERSION
from report import expect

HERE = pathlib.Path(__file__).resolve().parent


class Program:
    """`command(folder, url)` gives the arguments; `result(folder)` the octets that it must have got."""

    def __init__(self, name, tools, command, wanted, again=(), before=None):
        self.name, self.tools, self.command, self.wanted = name, tools, command, wanted
        # Paths that it asks the origin for each time, because it asks the cache to make sure.
        self.again = again
        self.before = before

    def check_result(self, folder, www):
        for path, source in self.wanted(folder).items():
            expect(path.exists(), f"{path.name} was not fetched")
            expected = (www / source).read_bytes() if isinstance(source, str) else source
            expect(path.read_bytes() == expected, f"{path.name} has other octets")


def system_python(tools):
    """Debian's own, for which Debian packages the modules."""
    return "/usr/bin/python3"


def toolchain(tools):
    """The folder of cargo and rustc themselves: what stands in PATH may switch between several, and need a home for it."""
    sysroot = subprocess.run([tools["rustc"], "--print", "sysroot"], capture_output=True, text=True, check=True)
    return pathlib.Path(sysroot.stdout.strip()) / "bin"


def cargo_project(folder, url, tools):
    project = folder / "project"
    (project / "src").mkdir(parents=True)
    (project / "src/lib.rs").write_text("")
    (project / ".cargo").mkdir()
    (project / ".cargo/config.toml").write_text(f'[registries.local]\nindex = "sparse+{url}/cargo/index/"\n')
    (project / "Cargo.toml").write_text(
        f'[package]\nname = "project"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
        f'{NAME} = {{ version = "{VERSION}", registry = "local" }}\n')
    script = f'cd "{project}" && PATH="{toolchain(tools)}:$PATH" CARGO_HOME="{folder}/cargo" exec cargo fetch --quiet'
    return ["sh", "-c", script]


def npm_project(folder, url, tools):
    (folder / "package.json").write_text('{"name": "project", "version": "1.0.0"}')
    return ["sh", "-c", f'cd "{folder}" && exec "{tools["npm"]}" install --no-audit --no-fund '
            f'--no-update-notifier --registry "{url}/npm/" --cache "{folder}/npm-cache" {NAME}']


def apt_options(folder, url):
    for name in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d", "etc/trusted.gpg.d"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text(f"deb [trusted=yes] {url}/apt ./\n")
    (folder / "status").write_text("")
    options = {
        "Dir::State": folder / "state", "Dir::State::status": folder / "status", "Dir::Cache": folder / "cache",
        "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferencesparts": "-", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
        "Acquire::Retries": "0",
    }
    return " ".join(f'-o "{name}={value}"' for name, value in options.items())


def apt(folder, url, tools):
    options = apt_options(folder, url)
    return ["sh", "-c", f'cd "{folder}" && apt-get -qq {options} update && apt-get -qq {options} download {NAME}']


def undici(folder, url, tools):
    """Node's fetch, in the package that Node takes it from: older ones have no switch for the proxy."""
    return [tools["node"], str(HERE / "fetch.mjs"), f"{url}/file.bin", str(folder / "got")]


def programs(tools):
    got = lambda source: lambda folder: {folder / "got": source}
    npm_lib = f"node_modules/{NAME}/index.js"
    return [
        Program("curl", ["curl"], lambda at, url, t: [t["curl"], "-sfo", str(at / "got"), f"{url}/file.bin"],
                got("file.bin")),
        Program("wget", ["wget"], lambda at, url, t: [t["wget"], "-qO", str(at / "got"), f"{url}/file.bin"],
                got("file.bin")),
        Program("Python urllib", [], lambda at, url, t: [
            system_python(t), "-c", "import sys, urllib.request\n"
            "open(sys.argv[2], 'wb').write(urllib.request.urlopen(sys.argv[1]).read())", f"{url}/file.bin",
            str(at / "got")], got("file.bin")),
        Program("Python requests", ["python3-requests"], lambda at, url, t: [
            system_python(t), "-c", "import sys, requests\nanswer = requests.get(sys.argv[1])\n"
            "answer.raise_for_status()\nopen(sys.argv[2], 'wb').write(answer.content)", f"{url}/file.bin",
            str(at / "got")], got("file.bin")),
        Program("pip", ["python3-pip"], lambda at, url, t: [
            system_python(t), "-m", "pip", "download", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
            "--no-deps", "--index-url", f"{url}/pypi/simple/", "-d", str(at), NAME],
            lambda at: {at / f"larder_sample-{VERSION}-py3-none-any.whl": f"pypi/larder_sample-{VERSION}-py3-none-any.whl"},
            # pip has the index validated each time.
            again=[f"/pypi/simple/{NAME}/index.html"]),
        Program("npm", ["node", "npm"], npm_project, lambda at: {at / npm_lib: b"module.exports = 42;\n"}),
        Program("cargo", ["cargo", "rustc"], cargo_project, lambda at: {
            path: f"cargo/{NAME}-{VERSION}.crate"
            for path in list((at / "cargo/registry/cache").glob("*/*.crate")) or [at / "no crate"]}),
        Program("git", ["git"], lambda at, url, t: [t["git"], "clone", "-q", f"{url}/git/sample.git", str(at / "clone")],
                lambda at: {at / "clone/answer.txt": b"42\n"},
                # What branches there are, git asks with `no-cache`.
                again=["/git/sample.git/info/refs", "/git/sample.git/HEAD"]),
        # apt has the index validated each time, and tries forms of it that are not there.
        Program("apt", ["apt-get", "dpkg-deb"], apt, lambda at: {
            path: f"apt/{NAME}.deb" for path in list(at.glob("*.deb")) or [at / "no package"]}, again=["/apt/"]),
        Program("Node fetch", ["node", "npm"], undici, got("file.bin")),
        Program("Java HttpClient", ["java", "javac"], lambda at, url, t: [
            t["java"], str(HERE / "Fetch.java"), f"{url}/file.bin", str(at / "got")], got("file.bin")),
    ]


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
