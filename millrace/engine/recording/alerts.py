"""Tells a person of a run that needs one: by a webhook, or by a Prefect notification block.

What is told is counts and ids, never a name of a file, a text or a value. The webhook's URL is a
secret: it stands in an environment variable, is never logged, and no redirect is followed from it.
"""

from __future__ import annotations

import contextvars
import http.client
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal

from millrace.engine.fleet.pools import Alerts

Kind = Literal["failed", "partial", "late", "over_budget"]

_SECONDS = 10.0
_WORDS: dict[Kind, str] = {
    "failed": "failed",
    "partial": "ended with failures",
    "late": "misses its deadline",
    "over_budget": "reached its budget",
}


def tell(
    alerts: Alerts | None, kind: Kind, run_id: str, counts: Mapping[str, int | float]
) -> tuple[str, ...]:
    """Tells of a run if `alerts` ask for that kind. Never raises: the run does not depend on it.

    Returns what went wrong, in words for the run's journal, nothing when all was told. Numbers
    alone leave this process, under the names that are words of ours.
    """
    if alerts is None or kind not in alerts.on:
        return ()
    told = {name: value for name, value in counts.items() if _is_count(name, value)}
    troubles = []
    if alerts.webhook:
        troubles.append(_post(alerts.webhook, kind, run_id, told))
    if alerts.block:
        troubles.append(_notify(alerts.block, kind, run_id, told))
    return tuple(trouble for trouble in troubles if trouble)


def message(kind: Kind, run_id: str, counts: Mapping[str, int | float]) -> str:
    """Returns the sentence that people read."""
    numbers = ", ".join(f"{value:,g} {name.replace('_', ' ')}" for name, value in counts.items())
    return f"millrace run {run_id} {_WORDS[kind]}" + (f": {numbers}" if numbers else "")


def _is_count(name: str, value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and name.isidentifier() and len(name) <= 32


def _post(variable: str, kind: Kind, run_id: str, counts: Mapping[str, int | float]) -> str:
    url = os.environ.get(variable, "")
    if not url.startswith(("http://", "https://")):
        return f"the alert was not sent: {variable} holds no http(s) URL"
    body = {"text": message(kind, run_id, counts), "kind": kind, "run": run_id}
    try:
        request = urllib.request.Request(  # noqa: S310 (http and https only)
            url,
            data=json.dumps(body | {"counts": dict(counts)}).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "millrace"},
            method="POST",
        )
        with urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"the alert was not taken: the webhook of {variable} answers HTTP {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the alert was not sent to the webhook of {variable}: {type(error).__name__}"


def _notify(block: str, kind: Kind, run_id: str, counts: Mapping[str, int | float]) -> str:
    """Notifies by a Prefect block, in a thread: it may be slow, and is not to wait for its end."""
    text, subject = message(kind, run_id, counts), f"millrace: {kind}"
    outcome = [f"the alert was not sent by the block {block} within {_SECONDS:.0f} s"]

    def notify() -> None:
        try:
            from prefect.blocks.core import Block

            loaded: Any = Block.load(block)
            loaded.notify(body=text, subject=subject)
            outcome[0] = ""
        except Exception as error:  # noqa: BLE001 - blocks are other people's code and services
            outcome[0] = f"the alert was not sent by the block {block}: {type(error).__name__}"

    context = contextvars.copy_context()  # Prefect keeps there which server it is set to
    thread = threading.Thread(target=context.run, args=(notify,), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return outcome[0]


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the counts are for the address that was configured."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Returns None, so that a redirect is an error."""
