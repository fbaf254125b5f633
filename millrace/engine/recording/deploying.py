"""Brings a Prefect server to what `pools.yaml` and the deployed pipelines declare.

    with recording(settings):
        changes = deploy(settings, fleet, pipelines)

Twice the same call changes nothing the second time. What other people have on the server is never
touched: ours is what carries the fleet's mark. Call inside `recording(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from millrace.engine.errors import ServerError
from millrace.engine.fleet import deployed
from millrace.engine.fleet.declared import Change, Thing, declared, difference
from millrace.engine.fleet.deployed import Deployed
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.recording import deploying_steps, deploying_templates
from millrace.engine.recording.deploying_present import present
from millrace.engine.settings import Settings


def deploy(
    settings: Settings,
    fleet: Fleet,
    pipelines: Sequence[Deployed],
    *,
    dry_run: bool = False,
    prune: bool = False,
    on_change: Callable[[Change], None] = lambda change: None,
) -> tuple[Change, ...]:
    """Returns what differed, and changes it unless `dry_run`; `on_change` hears of each step.

    `pipelines` are deployed beside those of the home store; with `prune` what is ours and no longer
    declared is removed: pipelines whose document is gone, or, when some are named, all others.
    Raises UsageError where names are taken or the fleet has no place for conductors, and
    ServerError.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    kept = deployed.listed(settings)
    every = together(kept, pipelines, prune=prune)
    try:
        with get_client(sync_client=True) as client:
            templates = _templates(client, fleet)
            wanted = declared(fleet, every, templates)
            here = [*present(client, fleet.name, wanted), *map(_thing, kept)]
            changes = difference(wanted, here, prune=prune)
            for change in () if dry_run else changes:
                _take(client, settings, change, every)
                on_change(change)
    except (httpx.HTTPError, PrefectException) as error:
        raise ServerError(
            f"the Prefect server does not take the deployment: {_reason(error)}",
            hint="what was changed so far stays; run it again when the server is well",
        ) from error
    return changes


def together(
    kept: Sequence[Deployed], named: Sequence[Deployed], *, prune: bool
) -> tuple[Deployed, ...]:
    """Returns the pipelines that are to be deployed, by name: those named, and those kept."""
    stay = [each for each in kept if not prune or (not named and each.document_there)]
    return tuple({each.name: each for each in (*stay, *named)}.values())


def _take(client: Any, settings: Settings, change: Change, pipelines: Sequence[Deployed]) -> None:
    if change.sort != "pipeline":
        deploying_steps.take(client, change)
    elif change.mark == "-":
        deployed.remove(settings, change.name)
    else:
        deployed.save(settings, next(each for each in pipelines if each.name == change.name))


def _thing(kept: Deployed) -> Thing:
    facts = {"document": kept.document, "order": kept.order_digest, "set": kept.set}
    return Thing("pipeline", kept.name, facts | {"source": kept.order.source})


def _templates(client: Any, fleet: Fleet) -> dict[str, dict[str, Any]]:
    defaults = deploying_templates.by_type(client.read_worker_metadata())
    return {
        name: deploying_templates.template(pool, defaults) for name, pool in fleet.pools.items()
    }


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is None:
        return type(error).__name__
    return f"HTTP {response.status_code} to {response.request.method} {response.request.url.path}"
