"""Exits with 0 while the Prefect server that this container works for answers; else says why not.

It uses the standard library alone: importing Prefect every 30 s would cost more than the answer.
That the worker itself lives needs no asking: the container ends with it.
"""

import os
import ssl
import sys
import urllib.request

SECONDS = 5


def main() -> int:
    """Returns the exit code."""
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        sys.stderr.write("unhealthy: PREFECT_API_URL is not set\n")
        return 1
    trusted = os.environ.get("PREFECT_API_SSL_CERT_FILE") or None
    try:
        context = ssl.create_default_context(cafile=trusted)
        with urllib.request.urlopen(  # noqa: S310  # the operator's own address
            f"{address.rstrip('/')}/health", timeout=SECONDS, context=context
        ) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, ValueError) as error:
        sys.stderr.write(f"unhealthy: {address} does not answer: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
