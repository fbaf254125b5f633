#!/usr/bin/env bash
# Takes a bare Debian 12 (python3.11 with venv, make, git) to where tests and demo run.
# Run by the Makefile before everything else; returns at once when nothing has changed.
#
#   scripts/setup.sh [tests]        with `tests` also what only tests need: PostgreSQL's programs,
#                                 and an S3 server where there is Go
set -euo pipefail
cd "$(dirname "$0")/.."

uv_version=0.13.9
versitygw=github.com/versity/versitygw/cmd/versitygw@v1.8.0
stamp=.venv/.set-up
purpose=${1:-}
postgres=${POSTGRES_PROGRAMS:-/usr/lib/postgresql}

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$1"; printf '%s\n' "${@:2}" >&2; exit 1; }

# The folder is part of it: a moved environment's scripts still name the old place.
fingerprint() { { pwd; cat uv.lock pyproject.toml scripts/setup.sh; } | sha256sum; }

find_python() {
    local candidate
    for candidate in python3.11 python3 /usr/bin/python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

# Debian ships Python without ensurepip until python3.11-venv is there.
missing_packages() {
    local python
    python=$(find_python)
    [ -n "$python" ] || echo python3.11
    "${python:-false}" -c 'import ensurepip' 2>/dev/null || echo python3.11-venv
    { command -v ffmpeg && command -v ffprobe; } >/dev/null || echo ffmpeg
    local data=/usr/share/tesseract-ocr/5/tessdata language
    command -v tesseract >/dev/null || echo tesseract-ocr
    for language in eng osd deu fra chi_sim; do
        [ -e "$data/$language.traineddata" ] || echo "tesseract-ocr-${language/_/-}"
    done
    command -v java >/dev/null || echo openjdk-17-jre-headless
    command -v mvn >/dev/null || echo maven
    if [ "$purpose" = tests ]; then
        compgen -G "$postgres/*/bin/initdb" >/dev/null || echo postgresql
    fi
}

# Debian's package makes a database and starts a server, unless it is told that none is wanted.
want_no_server() {
    local folder=/etc/postgresql-common
    [[ " $* " == *" postgresql "* ]] || return 0
    [ ! -e "$folder/createcluster.conf" ] || return 0
    "${root[@]}" mkdir -p "$folder"
    echo 'create_main_cluster = false' | "${root[@]}" tee "$folder/createcluster.conf" >/dev/null
}

install_packages() {
    local root=()
    command -v apt-get >/dev/null || fail \
        "this system has no apt-get; install these by its own package manager, then try again:" "    $*"
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || fail \
            "system packages are missing; run this line once, then try again:" \
            "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
        root=(sudo -n)
    fi
    want_no_server "$@"
    # Another apt may hold the lock on a machine that has just started.
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq)
    local install=("${apt[@]}" install -y --no-install-recommends "$@")
    say "installing system packages: $*"
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || ! "${install[@]}" </dev/null >/dev/null; then
        "${apt[@]}" update </dev/null >/dev/null
        "${install[@]}" </dev/null >/dev/null
    fi
}

create_environment() {
    local python
    python=$(find_python)
    [ -n "$python" ] || fail "Python 3.11 was not found; see the README for other distributions"
    if [ "$(.bootstrap/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$uv_version" ]; then
        say "installing uv $uv_version into .bootstrap/"
        "$python" -m venv --clear .bootstrap
        .bootstrap/bin/python -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
    fi
    if [ -e "$stamp" ] && [ "$(sed -n 2p "$stamp")" != "$PWD" ]; then
        rm -rf .venv
    fi
    say "creating the locked environment in .venv/ (1 to 3 minutes the first time)"
    UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never \
        .bootstrap/bin/uv sync --frozen --quiet --extra video --extra documents --extra s3 --extra postgres --python "$python"
}

[ "$(uname -sm)" = "Linux x86_64" ] || fail \
    "uv.lock holds packages for Linux on x86_64 only; this is $(uname -sm)"
missing=$(missing_packages)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # one word for each package
    install_packages $missing
fi
now=$(fingerprint)
if [ "$(sed -n 1p "$stamp" 2>/dev/null)" != "$now" ]; then
    create_environment
    printf '%s\n%s\n' "$now" "$PWD" >"$stamp"
    say "done"
fi
# What Spark NLP runs in; returns at once when the jars are there.
bash scripts/jars.sh spark
# A real S3 server for the tests where Go can build one; elsewhere moto's stands in.
if [ "$purpose" = tests ] && command -v go >/dev/null && [ ! -x .tools/versitygw ]; then
    say "building $versitygw for the tests (1 to 2 minutes, once)"
    GOBIN="$PWD/.tools" GOFLAGS=-modcacherw timeout 600 go install "$versitygw" >/dev/null 2>&1 ||
        say "that did not work: the tests take moto's S3 server"
fi
