"""One tool: what it needs, the command that fetches, and what has to be there then."""

import dataclasses

FILE = {"got": "file.bin"}


@dataclasses.dataclass(frozen=True)
class Tool:
    """`script` is for sh, in an empty folder that is also HOME: $URL and $S3 are the origin, $PY and $NODE folders with
    packages, $BUILT what `build` made outside of the namespace and $JUDGE this folder. `wanted`: files by glob, each with
    the file of the origin that it equals (None: any content)."""

    name: str
    script: str
    programs: tuple = ()  # Each a program, or `program:package` where Debian's package has another name.
    wanted: dict = dataclasses.field(default_factory=lambda: FILE)
    python: tuple = ()  # Packages of PyPI.
    node: tuple = ()  # Packages of npm.
    build: str = ""
    # Installed for the table of all tools alone.
    quick: bool = False
    # The numbers differ between runs or versions: only the state is compared.
    varies: bool = False
    # Why it is as it is; shown in the table.
    why: str = ""


def python(name, code, *packages, **more):
    """Python on packages of PyPI; `u` is the file's URL, `save` writes what was got."""
    start = "import os,sys; u=os.environ['URL']+'/file.bin'; save=lambda b: open('got','wb').write(b)\n"
    return Tool(name, f'PYTHONPATH="$PY" exec python3 -c "{start}{code}"', ("python3",), python=packages, **more)


def node(name, code, *packages, **more):
    """Node with packages of npm."""
    start = "const u=process.env.URL+'/file.bin', save=b=>require('fs').writeFileSync('got',Buffer.from(b));"
    return Tool(name, f'NODE_PATH="$NODE/node_modules" exec node -e "{start}{code}"', ("node:nodejs",), node=packages, **more)
