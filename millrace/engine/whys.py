"""Why a batch is run and not reused: what has changed since the last run of the same pipeline."""

from __future__ import annotations

import threading

from pydantic import ValidationError

from millrace.engine.errors import UsageError
from millrace.engine.expansion import Cut
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store

_LOOK_BACK = 20  # runs


class Whys:
    """Compares recipes with those of the pipeline's last run. Thread-safe; reads it only once."""

    def __init__(self, settings: Settings, run: Run, order: Order) -> None:
        self._settings, self._run, self._order = settings, run, order
        self._lock = threading.Lock()
        self._before: dict[tuple[str, str], tuple[str, str]] | None = None

    def of(self, stage: str, item: str, cut: Cut, forced: bool) -> str:
        """Returns the reason, in words, why an item is done anew in a stage."""
        if forced:
            return "forced"
        with self._lock:
            if self._before is None:
                self._before = self._last_run()
        event, key = self._before.get((stage, item), ("", ""))
        if event == "failed":
            return "it failed the last time"
        if not key:
            return "first time"
        if key == cut.key:
            return "its stored result is missing or damaged"
        earlier = self._recipe(key)
        changes = cut.recipe.changes(earlier.recipe) if earlier else []
        return "; ".join(changes) or "something about it has changed"

    def _last_run(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Returns (event, key) of each stage and item in the last run of the same pipeline."""
        for run in Runs(self._settings).list()[:_LOOK_BACK]:
            if run.id == self._run.id:
                continue
            try:
                order = run.order()
            except UsageError:
                continue
            if (order.source, order.pipeline.name) != (
                self._order.source,
                self._order.pipeline.name,
            ):
                continue
            return {
                (r.stage, r.item): (r.event, r.data.get("key", ""))
                for r in run.records()
                if r.event in ("done", "reused", "failed")
            }
        return {}

    def _recipe(self, key: str) -> Manifest | None:
        path = Store(self._settings.store).manifest_path(key)
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
