#!/usr/bin/env bash
# Fetches the jars that deployments/NAME/pom.xml names, and checks each against the digests pinned
# beside it. Returns at once when they are there.
#
#   scripts/jars.sh NAME [FOLDER]     FOLDER is .tools/NAME-jars unless it is given
#
# After a change of the pom, `scripts/jars.sh --pin NAME` writes the digests anew.
set -euo pipefail

pin=
if [ "${1:-}" = --pin ]; then pin=1; shift; fi
name=${1:?the name of a folder in deployments/ that has a pom.xml}
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(realpath -m "${2:-$here/.tools/$name-jars}")
pom=$here/deployments/$name/pom.xml
pins=$here/deployments/$name/jars.sha256
stamp=$folder/.fetched

say() { printf 'jars: %s\n' "$*" >&2; }
fail() { say "$1"; printf '%s\n' "${@:2}" >&2; exit 1; }

fingerprint() { cat "$pom" "$pins" 2>/dev/null | sha256sum; }
fetched() { [ -z "$pin" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ]; }

same() {
    (cd "$1" && sha256sum --check --strict --quiet "$pins") >&2 || return 1
    [ "$(find "$1" -name '*.jar' | wc -l)" -eq "$(wc -l <"$pins")" ]
}

check() {
    same "$1" || fail \
        "the jars fetched for $name are not the ones pinned in deployments/$name/jars.sha256" \
        "    a registry or mirror on the way changed them; nothing was installed"
}

[ -e "$pom" ] || fail "there is no $pom"
if [ -n "$(ls -A "$folder" 2>/dev/null)" ] && [ ! -e "$stamp" ]; then
    fail "$folder holds something else; name a new folder"
fi
mkdir -p "$(dirname "$folder")"
fetched && exit 0
exec 9>"$folder.lock"
flock 9  # two set-ups at the same time
fetched && exit 0
command -v mvn >/dev/null || fail "Maven is not installed:" "    sudo apt-get install maven"

say "fetching the jars of $name (under a minute, once)"
fresh=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
mvn --batch-mode --quiet --file "$pom" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$fresh" </dev/null >"$fresh/.log" 2>&1 || {
    tail -n 20 "$fresh/.log" >&2
    fail "Maven could not fetch the jars of $name" \
        "    without a network, copy the folder $folder from a machine that has one"
}
rm "$fresh/.log"
if [ -n "$pin" ]; then
    (cd "$fresh" && export LC_ALL=C && sha256sum -- *.jar) >"$pins"
fi
check "$fresh"
fingerprint >"$fresh/.fetched"
chmod 755 "$fresh"
rm -rf "$folder"
mv "$fresh" "$folder"
