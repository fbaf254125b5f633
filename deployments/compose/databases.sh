#!/usr/bin/env bash
# Makes two databases, each with a role that owns it and cannot enter the other: Prefect's and the
# ledger. PostgreSQL's image runs it once, when the volume is new.
set -euo pipefail

make() {  # make NAME, whose password is in the secret $2
    local password
    password=$(cat "${SECRETS:-/run/secrets}/$2")
    psql --set=ON_ERROR_STOP=1 --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres \
        --set=name="$1" --set=password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
}

make prefect prefect_database_password
make ledger ledger_password
