#!/usr/bin/env bash
# Carries out every step of the Dockerfile in a bare Debian 12, without a container engine.
#
#   sudo scripts/image-check.sh [TARGET…]      default: all; IMAGE_CHECK_FOLDER keeps what was made
#
# Each RUN and COPY becomes a layer of an overlay file system, whose size is told. Then each target's
# programs run as its user on a root that cannot be written. It takes over how this machine reaches
# its package registries. Images that are not Debian's (CUDA) are not fetched: the bare root stands
# for them, and the check says so. Needs root, debootstrap, unshare, 10 GB of disk.
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
folder=${IMAGE_CHECK_FOLDER:-$(mktemp -d)}

fail() { printf 'image-check: %s\n' "$@" >&2; exit 1; }

make_root() {
    local suite=http://deb.debian.org/debian
    rm -rf "$folder/bare"
    debootstrap --variant=minbase bookworm "$folder/bare" >"$folder/debootstrap.log"
    # The sources that Debian's own image has.
    printf 'deb %s %s main\n' "$suite" bookworm "$suite" bookworm-updates \
        "$suite-security" bookworm-security >"$folder/bare/etc/apt/sources.list"
    cp -L /etc/resolv.conf /etc/hosts "$folder/bare/etc/"
    rm -rf "$folder/bare"/var/cache/apt/* "$folder/bare"/var/lib/apt/lists/*
    touch "$folder/bare.made"
}

[ "$(id -u)" -eq 0 ] || fail "it makes file systems: run it as root"
for program in debootstrap unshare python3; do
    command -v "$program" >/dev/null || fail "it needs $program: apt-get install $program"
done
mkdir -p "$folder"
[ -e "$folder/bare.made" ] || make_root
PYTHONPATH=$repository/scripts python3 -m imagecheck "$folder" "$repository" "$@"
[ -n "${IMAGE_CHECK_FOLDER:-}" ] || rm -rf "$folder"
