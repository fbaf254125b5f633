# What follows is the same for every machine; the lines above say for which pool it is.
# Run it as root on Debian 12, or another systemd system that has Python 3.11 with venv. It opens no
# port and accepts no connection: the worker dials out. Run it again to change or to upgrade.
#
# Secrets are not in it. PREFECT_API_AUTH_STRING, and the keys of the store if this machine has no
# role of its own, come from the environment, from the command named by `secrets_by`, from the file
# of an earlier time, or are asked for. MILLRACE_ROOT=FOLDER installs into a folder, for a trial.
set -euo pipefail
umask 022

root=${MILLRACE_ROOT:-}
prefix=$root/opt/millrace
etc=$root/etc/millrace
units=$root/etc/systemd/system
settings=$etc/worker.env
secrets=$etc/secrets.env
uv_version=0.13.9

say() { printf 'join: %s\n' "$*" >&2; }
fail() { say "$1"; shift; [ $# -eq 0 ] || printf '      %s\n' "$@" >&2; exit 1; }

prepare() {
    [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root" "sudo bash $0"
    if [ -z "$root" ] && command -v apt-get >/dev/null; then
        say "installing system packages: $packages"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -o DPkg::Lock::Timeout=300 -qq update </dev/null >/dev/null
        # shellcheck disable=SC2086 # a list of words
        apt-get -o DPkg::Lock::Timeout=300 -qq install -y --no-install-recommends $packages \
            </dev/null >/dev/null
    fi
    command -v python3 >/dev/null || fail "python3 is missing" "install it with its venv module"
}

# The worker never is root. One that shares the conductor's store is the user who owns that store.
find_user() {
    if [ "$shares_store" = yes ]; then
        [ -d "$home/store" ] || fail "$home/store is not there" \
            "this pool works in the conductor's own store: mount its folder here, at this path"
        [ -z "$fleet" ] || [ -f "$fleet" ] || fail "$fleet is not there" \
            "a conductor reads the fleet file: put it here, at this path"
        user=$(stat -c %U "$home/store")
        [ "$user" != root ] || [ -n "$root" ] || fail "$home/store belongs to root" \
            "a worker is not run as root: give the store to a user of its own"
    elif [ -n "$root" ]; then
        user=$(id -un)
    else
        user=millrace
        id "$user" >/dev/null 2>&1 ||
            useradd --system --home-dir "$home" --shell /usr/sbin/nologin "$user"
        for group in video render; do
            ! getent group "$group" >/dev/null || usermod -aG "$group" "$user"
        done
    fi
    group=$(id -gn "$user")
}

install_worker() {
    local found=
    if [ ! -x "$prefix/uv/bin/uv" ]; then
        say "installing uv $uv_version"
        python3 -m venv "$prefix/uv"
        "$prefix/uv/bin/pip" -q --disable-pip-version-check install "uv==$uv_version"
    fi
    if [ -n "$sha256" ]; then
        found=$(sha256sum "$wheel" 2>/dev/null | cut -d' ' -f1) || true
        [ "$found" = "$sha256" ] || fail "$wheel is not the wheel that was meant" \
            "copy it here from where this script was made"
    fi
    say "installing millrace $version"
    printf '%s\n' "$constraints" >"$prefix/constraints.txt"
    [ -x "$prefix/venv/bin/python" ] ||
        "$prefix/uv/bin/uv" venv -q --clear --system-certs --python 3.11 "$prefix/venv"
    "$prefix/uv/bin/uv" pip install -q --system-certs --compile-bytecode \
        --python "$prefix/venv/bin/python" --reinstall-package millrace \
        --constraints "$prefix/constraints.txt" "$requirement"
    found=$("$prefix/venv/bin/millrace" --version)
    [ "$found" = "millrace $version" ] || fail "that is $found, not millrace $version" \
        "workers refuse work that another version has planned; name the right --source"
}

# Prints NAME="value" as systemd reads it: nothing is expanded there, only \ and " are special.
setting() {
    local value=${2//\\/\\\\}
    printf '%s="%s"\n' "$1" "${value//\"/\\\"}"
}

write_settings() {
    install -d -m 0755 "$etc" "$units"
    {
        setting MILLRACE_HOME "$home"
        setting MILLRACE_POOL "$pool"
        setting MILLRACE_CLEARANCE "$clearance"
        setting PREFECT_API_URL "$api"
        [ -z "$fleet" ] || setting MILLRACE_FLEET "$fleet"
        [ -z "$exchange" ] || setting MILLRACE_EXCHANGE "$exchange"
        [ -z "$endpoint" ] || setting AWS_ENDPOINT_URL_S3 "$endpoint"
        [ -z "$region" ] || setting AWS_DEFAULT_REGION "$region"
        [ -z "$idle_off" ] || setting MILLRACE_POWER_OFF "touch /run/millrace/power-off"
    } >"$settings"
}

keep_secrets() {
    local name value told='' kept=''
    [ ! -f "$secrets" ] || kept=$(cat "$secrets")
    [ -z "$secrets_by" ] || told=$(bash -c "$secrets_by") || fail "no secrets from: $secrets_by"
    (
        umask 077
        for name in $secret_names; do
            value=${!name:-}
            [ -n "$value" ] || value=$(sed -n "s/^$name=//p" <<<"$told" | tail -n 1)
            if [ -n "$value" ]; then
                setting "$name" "$value"
            elif grep -q "^$name=" <<<"$kept"; then
                grep "^$name=" <<<"$kept"
            elif [ -t 0 ]; then
                IFS= read -rsp "join: $name (empty for none): " value
                echo >&2
                [ -z "$value" ] || setting "$name" "$value"
            else
                say "$name is not given; fine where none is needed"
            fi
        done
    ) >"$secrets.new"
    chmod 0600 "$secrets.new"
    mv "$secrets.new" "$secrets"
}

write_unit() {
    local off=${idle_off:+ --idle-off $idle_off} paths=''
    [ "$shares_store" = no ] || paths="ReadWritePaths=$home"
    cat >"$units/millrace-worker.service" <<UNIT
[Unit]
Description=Millrace worker of the pool $pool
Wants=network-online.target
After=network-online.target

[Service]
User=$user
Group=$group
EnvironmentFile=$settings
EnvironmentFile=-$secrets
ExecStart=$prefix/venv/bin/millrace worker start $pool$flags$off
Restart=on-failure
RestartSec=5
# SIGTERM goes to the worker alone, which lets the batch in hand end or gives it back.
KillMode=mixed
TimeoutStopSec=45
LimitCORE=0
UMask=0077
StateDirectory=millrace
RuntimeDirectory=millrace
$paths
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=$protect_home
PrivateTmp=yes
PrivateDevices=$private_devices
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
UNIT
    # The worker has no right to switch the machine off; it leaves a file, and root looks for it.
    cat >"$units/millrace-power-off.path" <<UNIT
[Unit]
Description=Millrace worker asks for power off

[Path]
PathExists=/run/millrace/power-off

[Install]
WantedBy=multi-user.target
UNIT
    cat >"$units/millrace-power-off.service" <<UNIT
[Unit]
Description=Power off after idle minutes

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
UNIT
}

start() {
    if [ -n "$root" ] || [ ! -d /run/systemd/system ]; then
        say "installed; no service was started here"
        return
    fi
    systemctl daemon-reload
    [ -z "$idle_off" ] || systemctl enable -q --now millrace-power-off.path
    systemctl enable -q millrace-worker.service
    systemctl restart millrace-worker.service
    say "the worker of $pool runs: journalctl -u millrace-worker, millrace pools"
}

prepare
find_user
install_worker
write_settings
keep_secrets
write_unit
start
