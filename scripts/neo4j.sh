#!/usr/bin/env bash
# A Neo4j Community server on this machine, without a container: real, with a password, on the
# loopback alone.
#
#   scripts/neo4j.sh start      fetches it the first time, waits until it answers, prints what to set
#   scripts/neo4j.sh stop       ends it, with its data on disk
#   scripts/neo4j.sh status     says whether it answers; exit code 1 where it does not
#
# NEO4J_DATA      its folder: data, log and password (default: MILLRACE_HOME/neo4j)
# NEO4J_PORT      its port (default 7687; the server that runs keeps its own)
# NEO4J_HEAP      memory of its heap (default 512m), NEO4J_PAGECACHE of its pages (default 256m)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
home=${MILLRACE_HOME:-${XDG_DATA_HOME:-$HOME/.local/share}/millrace}
folder=$(realpath -m "${NEO4J_DATA:-$home/neo4j}")
jars=${MILLRACE_NEO4J_JARS:-$here/.tools/neo4j-jars}
ready_within=${NEO4J_START_SECONDS:-180}
umask 077

say() { printf 'neo4j: %s\n' "$*" >&2; }
fail() { say "$1"; printf '    %s\n' "${@:2}" >&2; exit 4; }

port() { cat "$folder/port" 2>/dev/null || echo "${NEO4J_PORT:-7687}"; }

# The process of this folder's server, and no other that has taken its number since.
process() {
    local pid
    pid=$(cat "$folder/pid" 2>/dev/null) || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--home-dir=$folder" && echo "$pid"
}

# Whether what was launched lives, even if it has not become java yet.
lives() {
    local pid
    pid=$(cat "$folder/pid" 2>/dev/null) || return 1
    grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" 2>/dev/null
}

# The first bytes of the Bolt protocol, and its four: a port that only listens is not ready.
answers() {
    local reply
    exec 3<>"/dev/tcp/127.0.0.1/$(port)" || return 1
    printf '\x60\x60\xb0\x17\x00\x00\x04\x05\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00' >&3
    reply=$(timeout 2 head -c 4 <&3 | od -An -tx1 | tr -d ' \n')
    exec 3<&- 3>&-
    [ -n "$reply" ] && [ "$reply" != 00000000 ]
} 2>/dev/null

configure() {
    mkdir -p "$folder/conf" "$folder/import" "$folder/run"
    local chosen=${NEO4J_PORT:-7687}
    {
        cat "$here/deployments/neo4j/neo4j.conf"
        printf '%s\n' "server.bolt.listen_address=127.0.0.1:$chosen" \
            "server.bolt.advertised_address=127.0.0.1:$chosen" \
            "server.directories.import=$folder/import" \
            "server.memory.pagecache.size=${NEO4J_PAGECACHE:-256m}" \
            "server.memory.heap.initial_size=${NEO4J_HEAP:-512m}" \
            "server.memory.heap.max_size=${NEO4J_HEAP:-512m}"
    } >"$folder/conf/neo4j.conf"
    echo "$chosen" >"$folder/port"
    if [ ! -e "$folder/password" ]; then
        head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$folder/password"
        # The tool takes the password as a word of its command line only; it runs once, before there
        # is anything to protect.
        NEO4J_HOME=$folder NEO4J_CONF=$folder/conf java -cp "$jars/*" org.neo4j.cli.AdminTool \
            dbms set-initial-password "$(cat "$folder/password")" >"$folder/setup.log" 2>&1 || {
            rm "$folder/password"
            tail -n 5 "$folder/setup.log" >&2
            fail "its password could not be set"
        }
    fi
}

launch() {
    local heap=${NEO4J_HEAP:-512m} opens=() package
    for package in java.base/java.nio java.base/java.io java.base/sun.nio.ch java.base/java.util.concurrent; do
        opens+=("--add-opens=$package=ALL-UNNAMED")
    done
    cd "$folder"
    setsid java "-Xms$heap" "-Xmx$heap" -XX:+UseG1GC "${opens[@]}" \
        -Dio.netty.tryReflectionSetAccessible=true -XX:+ExitOnOutOfMemoryError -cp "$jars/*" \
        org.neo4j.server.CommunityEntryPoint "--home-dir=$folder" "--config-dir=$folder/conf" \
        </dev/null >"$folder/server.log" 2>&1 9>&- &
    echo $! >"$folder/pid"
}

tell() {
    printf 'export MILLRACE_GRAPH=bolt://127.0.0.1:%s\n' "$(port)"
    printf 'export NEO4J_USERNAME=neo4j\n'
    # shellcheck disable=SC2016  # for the shell that reads it: the password itself stays in its file
    printf 'export NEO4J_PASSWORD="$(cat %q)"\n' "$folder/password"
}

start() {
    mkdir -p "$folder"
    exec 9>"$folder/.starting"
    flock 9
    if ! process >/dev/null; then
        [ -n "${MILLRACE_NEO4J_JARS:-}" ] || bash "$here/scripts/jars.sh" neo4j
        command -v java >/dev/null || fail "Java is not installed:" "sudo apt-get install openjdk-17-jre-headless"
        configure
        say "starting in $folder (15 to 30 seconds)"
        launch
    fi
    local end=$((SECONDS + ready_within))
    until answers; do
        lives || { tail -n 15 "$folder/server.log" >&2; fail "it ended; its log is $folder/server.log"; }
        [ $SECONDS -lt $end ] || fail "it does not answer after $ready_within s" "its log is $folder/server.log"
        sleep 0.3
    done
    say "ready at bolt://127.0.0.1:$(port); set these, or: eval \"\$(scripts/neo4j.sh start)\""
    tell
}

stop() {
    local pid
    pid=$(process) || { say "no server of $folder is running"; return; }
    kill -TERM "$pid"
    local end=$((SECONDS + 120))
    while process >/dev/null; do
        [ $SECONDS -lt $end ] || fail "it has not ended after 120 s (process $pid)" "its log is $folder/server.log"
        sleep 0.2
    done
    rm -f "$folder/pid"
    say "stopped; its data is in $folder"
}

status() {
    if process >/dev/null && answers; then
        say "ready at bolt://127.0.0.1:$(port)"
        tell
    else
        say "no server of $folder answers; \`make neo4j\` starts it"
        exit 1
    fi
}

case ${1:-} in
    start | stop | status) "$1" ;;
    *) fail "what shall it do?" "scripts/neo4j.sh start | stop | status" ;;
esac
