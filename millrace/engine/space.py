"""Room on disk: known before the work, not found out in the middle of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from millrace.engine.errors import ItemError
from millrace.engine.expansion import Cut, Found, Node
from millrace.engine.settings import Settings

RESERVE_BYTES = 16 << 20  # for journals, logs and manifests


def free(path: Path) -> int:
    """Returns the free bytes of the file system `path` is on (or would be created on)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def needed(node: Node, plan: Cut, found: Found) -> int:
    """Returns the bytes an item needs at most at one time: its result, its parts and scratch."""
    result = node.stage.forecast(plan.outline).size
    parts = result if plan.join else 0
    finished = sum(m.output.size for m in found.parts.values())
    return result + max(parts - finished, 0) + plan.work.scratch


def require_space(settings: Settings, node: Node, plan: Cut, found: Found) -> None:
    """Raises ItemError `disk_too_small` when the store's disk has no room for an item's result."""
    room, need = free(settings.store), needed(node, plan, found)
    if need + RESERVE_BYTES > room:
        raise ItemError(
            "disk_too_small",
            f"{plan.item.id} needs about {_show(need)} and the disk has {_show(room)} free",
            hint=f"free some room where {settings.store} lies, or move it by MILLRACE_HOME",
        )


def _show(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
