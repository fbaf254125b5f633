#!/bin/sh
# The one thing a container of ours does: work for a pool, or carry out one flow run of a pool.
#
#   POOL [OPTION…]                      millrace worker start POOL [OPTION…]
#   python -m millrace.flows.entry      what workers for containers pass, by the base job template
#
# Whatever else a server sends as a command becomes arguments of the first, which refuses them.
set -eu
if [ "$*" = "python -m millrace.flows.entry" ]; then
    # Prefect's own workers name the flow run by a variable of theirs.
    export MILLRACE_FLOW_RUN="${MILLRACE_FLOW_RUN:-${PREFECT__FLOW_RUN_ID:-}}"
    if [ -z "$MILLRACE_FLOW_RUN" ]; then
        echo "there is no flow run to carry out: PREFECT__FLOW_RUN_ID is not set" >&2
        exit 2
    fi
    exec python -m millrace.flows.entry
fi
exec millrace worker start "$@"
