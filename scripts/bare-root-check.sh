#!/usr/bin/env bash
# Runs a make target as the first command on a bare Debian 12, twice, in a throw-away root.
#
#   sudo scripts/bare-root-check.sh [TARGET] [FOLDER]     default: setup, in a temporary folder
#
# The root holds Debian's minimal system, Python 3.11 with venv, make, git, and a clone of HEAD in a
# folder with a space in its name. It takes over how this machine reaches its package registries.
# Needs debootstrap and unshare. MILLRACE_TEST_DATA, when set, is mounted read-only.
set -euo pipefail

target=${1:-setup}
folder=${2:-$(mktemp -d)}
repository=$(cd "$(dirname "$0")/.." && pwd)
root=$folder/root
clone="/root/a clone"
data=${MILLRACE_TEST_DATA:-}

make_root() {
    mkdir -p "$folder"
    debootstrap --variant=minbase --include=python3,python3-venv,make,git,ca-certificates \
        bookworm "$root" >"$folder/debootstrap.log"
    touch "$folder/made"
}

take_over_registries() {
    local file
    rm -f "$root/etc/apt/sources.list"
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} \
        $(grep -l '^Acquire::' /etc/apt/apt.conf.d/* || true); do
        [ ! -f "$file" ] || install -D -m 644 "$file" "$root$file"
    done
}

inside() {
    local variables
    mapfile -t variables < <(env | grep -E '^(PIP_|UV_|SSL_CERT_FILE|https?_proxy|no_proxy)' || true)
    # Mounts end with the mount namespace, what a run leaves running with the process namespace.
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1; data=$2; shift 2
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        if [ -n "$data" ]; then
            mkdir -p "$root/root/shared/data"
            mount --bind -o ro "$data" "$root/root/shared/data"
        fi
        exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' bash "$root" "$data" "${variables[@]}" "$@" </dev/null
}

[ -e "$folder/made" ] || make_root
take_over_registries
rm -rf "$root$clone"
git clone -q --no-hardlinks "$repository" "$root$clone"
inside bash -c "cd '$clone' && time make $target"
echo "--- and again ---"
inside bash -c "cd '$clone' && time make setup"
echo "The root is in $root"
