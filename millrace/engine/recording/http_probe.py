"""Asks a Prefect API whether it is there, in milliseconds and without Prefect's client."""

from __future__ import annotations

import base64
import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request

from millrace.engine.errors import ServerError
from millrace.engine.recording.prefect_profile import Configured

_LOCAL_SECONDS = 5.0  # an idle local server answers in 3 ms; its very first answer takes 1-2 s
_REMOTE_SECONDS = 45.0  # a loaded server takes seconds
_UNREACHABLE_HINT = (
    "start that server, or unset PREFECT_API_URL: Millrace then keeps a local server"
)
_UNTRUSTED_HINT = "name the certificate that vouches for it in PREFECT_API_SSL_CERT_FILE"


def accepts(port: int, auth: str) -> bool:
    """True when the API on this port of the loopback answers and accepts the credential."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LOCAL_SECONDS)
    try:
        connection.request("GET", "/api/admin/version", headers=_basic(auth))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers(server: Configured) -> bool:
    """True when a configured server is reachable and accepts its credential."""
    try:
        check(server)
    except ServerError:
        return False
    return True


def check(server: Configured) -> None:
    """Returns when the server is there; raises ServerError that says what is wrong if not."""
    if urllib.parse.urlsplit(server.url).scheme not in ("http", "https"):
        raise ServerError(
            f"the Prefect API address {server.url!r} (from {server.source}) is no http(s) address",
            hint="it looks like http://HOST:4200/api",
        )
    status = _status(server, "/health")
    if status == 200 and server.auth and not server.key:
        status = _status(server, "/admin/version")  # /health answers without a credential
    if status in (401, 403):
        raise ServerError(
            f"the Prefect server at {server.url} (from {server.source}) refuses the credential",
            hint="set PREFECT_API_AUTH_STRING=user:secret (or PREFECT_API_KEY) to the right one",
        )
    if status != 200:
        raise ServerError(
            f"{server.url} (from {server.source}) answers with HTTP {status}: it is no Prefect API",
            hint="the address usually ends in /api",
        )


def _status(server: Configured, path: str) -> int:
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    if server.auth and not server.key:
        headers = _basic(server.auth)
    request = urllib.request.Request(server.url + path, headers=headers)  # noqa: S310 (http only)
    host = urllib.parse.urlsplit(server.url).hostname
    handlers: list[urllib.request.BaseHandler] = []
    if host in ("127.0.0.1", "localhost"):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        if server.trusted:
            context = ssl.create_default_context(cafile=server.trusted)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        with urllib.request.build_opener(*handlers).open(request, timeout=_REMOTE_SECONDS) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException, ValueError) as error:
        where = f"the Prefect server at {server.url} (from {server.source})"
        raise ServerError(
            f"{where} cannot be reached: {getattr(error, 'reason', error)}",
            hint=_UNTRUSTED_HINT
            if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError)
            else _UNREACHABLE_HINT,
        ) from error


def _basic(auth: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(auth.encode()).decode()}
