"""Package managers, version control, registries and object stores."""

from formats import MODULE
from repositories import NAME, VERSION
from tool import Tool

WHEEL = f"larder_sample-{VERSION}-py3-none-any.whl"
NODE_PROJECT = "echo '{\"name\":\"project\",\"version\":\"1.0.0\"}' >package.json"
INSTALLED = {f"node_modules/{NAME}/index.js": None}
S3 = "export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true;"
# A server that speaks S3. Debian has none; where PyPI's moto is not installed, these are not run.
MOTO = "moto_server:"
SIGNED = "each request is signed, and what comes to an authorised request is not stored unless the origin allows it"


def managers():
    return [*of_python(), *of_node(), *of_languages(), *version_control(), *stores()]


def of_python():
    return [
        Tool("pip", f'exec /usr/bin/python3 -m pip download -q --no-deps --disable-pip-version-check --index-url "$URL/pypi/simple/" {NAME}',
             ("/usr/share/doc/python3-pip:python3-pip",), {WHEEL: f"pypi/{WHEEL}"}, quick=True, why="pip has the index validated each time"),
        Tool("uv", f'exec "$PY/bin/uv" pip install -q --python /usr/bin/python3 --target out --index-url "$URL/pypi/simple/" {NAME}', ("python3",),
             {"out/larder_sample.py": None}, python=("uv",)),
        Tool("Poetry", f"""cat >pyproject.toml <<X
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "origin"
url = "$URL/pypi/simple/"
priority = "primary"
[tool.poetry.dependencies]
python = ">=3.9"
{NAME} = "{VERSION}"
X
PYTHONPATH="$PY" exec python3 -m poetry lock -q -n""", ("python3",), {"poetry.lock": None}, python=("poetry",)),
    ]


def of_node():
    return [
        Tool("npm", f'{NODE_PROJECT}; exec npm install --no-audit --no-fund --no-update-notifier --registry "$URL/npm/" {NAME}', ("npm",), INSTALLED, quick=True),
        Tool("pnpm", f'{NODE_PROJECT}; exec node "$NODE/node_modules/pnpm/bin/pnpm.cjs" add --registry "$URL/npm/" {NAME}', ("node:nodejs",), INSTALLED, node=("pnpm@9",)),
        Tool("Yarn 1", f'{NODE_PROJECT}; exec node "$NODE/node_modules/yarn/bin/yarn.js" add --silent --no-default-rc --registry "$URL/npm/" {NAME}', ("node:nodejs",),
             INSTALLED, node=("yarn@1",)),
        Tool("Yarn 4", f'{NODE_PROJECT}; touch yarn.lock; printf "nodeLinker: node-modules\\nenableTelemetry: false\\nnpmMinimalAgeGate: 0\\nnpmRegistryServer: $URL/npm\\n" >.yarnrc.yml\n'
             f'exec node "$NODE/node_modules/@yarnpkg/cli-dist/bin/yarn.js" add {NAME}', ("node:nodejs",), INSTALLED, node=("@yarnpkg/cli-dist@4",)),
    ]


def of_languages():
    cargo = f"""mkdir -p src .cargo; : >src/lib.rs
printf '[registries.local]\\nindex = "sparse+%s/cargo/index/"\\n' "$URL" >.cargo/config.toml
printf '[package]\\nname = "project"\\nversion = "0.1.0"\\nedition = "2021"\\n[dependencies]\\n{NAME} = {{ version = "{VERSION}", registry = "local" }}\\n' >Cargo.toml
PATH="$TOOLCHAIN:$PATH" CARGO_HOME="$HOME/cargo" exec cargo fetch -q"""
    go = f"""mkdir project; cd project; printf 'module project\\ngo 1.19\\nrequire {MODULE} v1.0.0\\n' >go.mod
printf 'package project\\nimport _ "{MODULE}"\\n' >project.go
GOPROXY="$URL/go" GONOSUMDB='*' GOFLAGS=-mod=mod GOTOOLCHAIN=local exec go mod download {MODULE}"""
    bundler = f'printf "source \\"%s/gems\\"\\ngem \\"{NAME}\\"\\n" "$URL" >Gemfile; BUNDLE_PATH=bundle exec bundle install --quiet --retry 0'
    composer = """printf '{"repositories":[{"type":"composer","url":"%s/composer"},{"packagist.org":false}],"require":{"larder/sample":"1.0.0"}}' "$URL" >composer.json
COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_HOME="$HOME/composer" exec composer install -q -n"""
    apt = f"""mkdir -p state/lists/partial cache/archives/partial etc/preferences.d etc/trusted.gpg.d; : >status; echo "deb [trusted=yes] $URL/apt ./" >sources.list
o="-o Dir::State=$PWD/state -o Dir::State::status=$PWD/status -o Dir::Cache=$PWD/cache -o Dir::Etc::sourcelist=$PWD/sources.list -o Dir::Etc::sourceparts=-
-o Dir::Etc::preferencesparts=- -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=0"
apt-get -qq $o update && exec apt-get -qq $o download {NAME}"""
    return [
        Tool("Cargo", cargo, ("cargo:",), {"cargo/registry/cache/*/*.crate": f"cargo/{NAME}-{VERSION}.crate"}, quick=True),
        Tool("go mod", go, ("go:golang-go",), {f"go/pkg/mod/{MODULE}@v1.0.0/answer.go": None}),
        Tool("gem", f'gem install -q --no-document --clear-sources --source "$URL/gems" --install-dir out {NAME}', ("gem:ruby",), {f"out/gems/{NAME}-{VERSION}/answer.rb": None}),
        Tool("Bundler", bundler, ("bundle:bundler",), {"Gemfile.lock": None}),
        Tool("Composer", composer, ("composer",), {"vendor/larder/sample/answer.php": None}),
        Tool("apt", apt, ("apt-get:apt", "dpkg-deb:dpkg"), {f"{NAME}*.deb": f"apt/{NAME}.deb"}, quick=True,
             why="apt has its index validated each time, and asks for forms of it that do not exist"),
    ]


def version_control():
    return [
        Tool("git, dumb HTTP", 'exec git clone -q "$URL/git/sample.git" out', ("git",), {"out/answer.txt": None}, quick=True,
             why="git asks for the list of branches with no-cache"),
        Tool("git, smart HTTP", 'exec git clone -q "$URL/smart/sample.git" out', ("git",), {"out/answer.txt": None}, quick=True,
             why="git negotiates by POST, and the answers are for one client"),
        Tool("Mercurial", 'exec hg clone -q "$URL/hg/sample" out', ("hg:mercurial",), {"out/answer.txt": None}),
        Tool("Subversion", 'exec svn info --non-interactive "$URL/svn"', ("svn:subversion",), {},
             why="there is no Subversion at the origin: it is tried whether the proxy is used at all; only the file ~/.subversion/servers names one"),
    ]


def stores():
    return [
        Tool("rclone, S3", f"{S3} rclone --retries 1 --s3-provider Other --s3-env-auth --s3-endpoint \"$S3\" --s3-force-path-style copyto :s3:bucket/file.bin got",
             ("rclone", MOTO), why=SIGNED),
        Tool("AWS CLI, S3", f'{S3} exec aws --endpoint-url "$S3" s3 cp --only-show-errors s3://bucket/file.bin got', ("aws:awscli", MOTO), why=SIGNED),
        Tool("boto3, S3", f"{S3} exec python3 -c \"import boto3, os; boto3.client('s3', endpoint_url=os.environ['S3']).download_file('bucket','file.bin','got')\"",
             ("aws:awscli", MOTO), why=SIGNED),
        Tool("skopeo", "exec skopeo --insecure-policy copy -q docker://origin.tools.test/sample:latest dir:out", ("skopeo",), {"out/manifest.json": None}),
    ]
