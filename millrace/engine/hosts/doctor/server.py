"""Prefect: its version, and whether the server that would be used answers."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from millrace.engine.hosts.doctor.finding import Finding, installed

AREA = "prefect"
PATIENCE_S = 3
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def findings(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yields the version of Prefect and the state of the server; Prefect is not imported."""
    version = installed("prefect")
    if version:
        yield Finding(area=AREA, level="ok", text=f"Prefect {version}")
    else:
        text = "Prefect is not installed: nothing can be run"
        yield Finding(area=AREA, level="fail", text=text, fix="install Millrace again")
    url = environment.get("PREFECT_API_URL")
    if url is None:
        text = "PREFECT_API_URL is not set: one server on this machine is started when needed"
        fix = "`millrace server status` tells whether it is up"
        yield Finding(area=AREA, level="note", text=text, fix=fix)
    elif not url.strip():
        yield Finding(
            area=AREA,
            level="fail",
            text="PREFECT_API_URL is set but empty: Prefect then runs flows and records nothing",
            fix="unset PREFECT_API_URL",
        )
    else:
        yield _answers(url.strip(), environment.get("PREFECT_API_SSL_CERT_FILE", ""))


def _answers(url: str, trusted: str) -> Finding:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]  # a password in the URL is not for the screen
    shown = f"{parts.scheme}://{address}{parts.path}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        text = "PREFECT_API_URL is not the address of a server"
        fix = "set it to something like http://127.0.0.1:4200/api, or unset it"
        return Finding(area=AREA, level="fail", text=text, fix=fix)
    proxies: dict[str, str] | None = (
        {} if parts.hostname in LOOPBACK else None
    )  # None: those of the environment
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler(proxies)]
    try:
        if trusted:
            context = ssl.create_default_context(cafile=trusted)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"{url.rstrip('/')}/health", timeout=PATIENCE_S) as answer:
            healthy = answer.status == 200
    except urllib.error.HTTPError as error:
        reason = f"answers {error.code}"
        if error.code in (401, 403):
            reason += " (set PREFECT_API_AUTH_STRING)"
    except (OSError, ValueError) as error:
        reason = f"does not answer: {getattr(error, 'reason', error)}"
    else:
        if healthy:
            return Finding(area=AREA, level="ok", text=f"the Prefect server at {shown} answers")
        reason = "does not say that it is well"
    fix = "start it, correct PREFECT_API_URL, or unset it to use one on this machine"
    return Finding(area=AREA, level="fail", text=f"the server at {shown} {reason}", fix=fix)
