#!/usr/bin/env bash
# Makes the secrets of compose.yaml, each once: those that are there stay as they are.
set -euo pipefail
cd "$(dirname "$0")"

mkdir -p secrets
# The folder keeps others out; a container's user has to be able to read the files.
chmod 700 secrets

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

keep() {  # keep NAME VALUE
    [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 644 "secrets/$1"
}

keep prefect_auth "millrace:$(random)"
keep postgres_password "$(random)"
keep prefect_database_password "$(random)"
keep ledger_password "$(random)"
keep ledger_url "postgresql+psycopg://ledger:$(cat secrets/ledger_password)@postgres:5432/ledger"
keep store_key_id "millrace"
keep store_key "$(random)"
keep neo4j_auth "neo4j/$(random)"
keep neo4j_password "$(cut -d/ -f2- secrets/neo4j_auth)"  # of those who ask it

# The store's image has no shell that could read a file, so compose hands it these two.
if [ ! -e ../.env ]; then
    (umask 077; printf 'STORE_KEY_ID=%s\nSTORE_KEY=%s\n' \
        "$(cat secrets/store_key_id)" "$(cat secrets/store_key)" >../.env)
fi
echo "The secrets are in $PWD/secrets. Set MILLRACE_MEDIA (in deployments/.env) to the folder of your inputs."
