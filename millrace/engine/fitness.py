"""Whether this host may and can carry out an assignment, asked by the host itself.

Placement has asked the same before. But a worker trusts its own configuration and not what it is
told, and it may have been updated since.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

from millrace.engine import stages
from millrace.engine.assignments import Assignment
from millrace.engine.errors import ItemError, NotPermitted, UsageError
from millrace.engine.hosts.devices import Device
from millrace.engine.labels import permits
from millrace.engine.settings import Settings


def admit(assignment: Assignment, settings: Settings) -> None:
    """Raises NotPermitted when the assignment's data is above this host's clearance."""
    if not permits(settings.clearance, assignment.label):
        raise NotPermitted(
            f"clearance: the data is {assignment.label} and this host may read "
            f"{settings.clearance} at most",
            hint="MILLRACE_CLEARANCE on the host says what it may read",
        )


def unfit(assignment: Assignment, device: Device) -> ItemError | None:
    """Returns why this host would not make what was planned, None when it would.

    Another version of Millrace or of the kind, or other tools and models than the batches' keys
    were made from, would put a different result under the same key.
    """
    if (host := platform.node()) in assignment.avoid:
        return ItemError("avoided_host", f"{host} failed what others of its pool could do")
    mine = version("millrace")
    if assignment.millrace and assignment.millrace != mine:
        return _other(f"Millrace {assignment.millrace}", f"Millrace {mine}")
    try:
        kind = stages.load(assignment.kind)
    except UsageError as error:
        return ItemError("tool_missing", error.message, hint=error.hint)
    if assignment.version and assignment.version != kind.version:
        name = assignment.kind
        return _other(f"{name} version {assignment.version}", f"version {kind.version}")
    if assignment.pool == "here":
        return None
    if device.kind != assignment.device.kind:
        return ItemError("other_device", f"it was planned for {_sort(assignment.device.kind)}")
    profile = dict(kind(kind.Params.model_validate(assignment.params)).profile(device))
    for job in assignment.jobs:
        planned = job.recipe.profile
        wrong = sorted(n for n in planned | profile if planned.get(n) != profile.get(n))
        if wrong:
            name = wrong[0]
            value = planned.get(name, "nothing")
            hint = stages.advice(kind, name, value)
            return _other(f"{name} {value}", profile.get(name, "none"), hint)
    return None


def _other(planned: str, found: str, hint: str = "") -> ItemError:
    return ItemError(
        "other_version",
        f"it was planned by {planned}, this worker has {found}",
        hint=hint or "bring the worker and the conductor to the same version",
    )


def _sort(kind: str) -> str:
    return "a GPU" if kind == "cuda" else "a CPU"
