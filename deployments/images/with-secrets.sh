#!/bin/sh
# Runs a command with the secrets that NAME_FILE variables point to in NAME, so that they stand
# neither in the description of a container nor in its image.
set -eu
for name in PREFECT_API_AUTH_STRING PREFECT_SERVER_API_AUTH_STRING PREFECT_SERVER_DATABASE_PASSWORD \
    AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY MILLRACE_LEDGER NEO4J_PASSWORD; do
    eval "file=\${${name}_FILE:-}"
    [ -n "$file" ] || continue
    [ -r "$file" ] || { echo "${name}_FILE names $file, which cannot be read" >&2; exit 2; }
    value=$(cat "$file")
    export "$name=$value"
    unset "${name}_FILE"
done
exec "$@"
