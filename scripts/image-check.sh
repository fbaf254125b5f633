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

# With the tools themselves, where they are installed; the tests hold both to the schemas anyway.
validate_deployments() {
    local kinds=$repository/tests/deployments/schemas/kubernetes-1.32
    if command -v kubectl >/dev/null && command -v kubeconform >/dev/null; then
        kubectl kustomize "$repository/deployments/kubernetes" | kubeconform -strict -summary \
            -schema-location "$kinds/{{.ResourceKind}}{{.KindSuffix}}.json"
    else
        echo "kubernetes: not validated by kubeconform, which is not here (or kubectl is not)"
    fi
    if docker compose version >/dev/null 2>&1; then
        # Values that stand for those a person sets; the secrets' files need not exist.
        MILLRACE_MEDIA=/media STORE_KEY_ID=id STORE_KEY=key docker compose \
            -f "$repository/deployments/compose.yaml" --profile '*' config --quiet
        echo "compose: $(docker compose version --short) takes it"
    else
        echo "compose: not validated by docker compose, which is not here"
    fi
}

[ "$(id -u)" -eq 0 ] || fail "it makes file systems: run it as root"
for program in debootstrap unshare python3; do
    command -v "$program" >/dev/null || fail "it needs $program: apt-get install $program"
done
mkdir -p "$folder"
[ -e "$folder/bare.made" ] || make_root
PYTHONPATH=$repository/scripts python3 -m imagecheck "$folder" "$repository" "$@"
validate_deployments
[ -n "${IMAGE_CHECK_FOLDER:-}" ] || rm -rf "$folder"
