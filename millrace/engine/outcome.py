"""What came of a run: the one summary that scripts, reports and exit codes are made from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import ItemError

State = Literal["succeeded", "partial", "failed"]


class FailedItem(BaseModel):
    """Why an item is not done: the stage (or output) where it ended, and the reason in words."""

    model_config = ConfigDict(frozen=True)

    item: str
    stage: str
    code: str
    reason: str
    hint: str = ""


class Outcome(BaseModel):
    """What came of a run. `items` counts each item once, by the worst that happened to it."""

    model_config = ConfigDict(frozen=True)

    run: str
    state: State
    items: dict[Literal["done", "reused", "failed"], int]
    failures: tuple[FailedItem, ...]
    outputs: tuple[str, ...]
    seconds: float
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some items failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 0 if self.state == "succeeded" else 1

    def record(self) -> dict[str, Any]:
        """Returns the outcome as the data of a journal record."""
        data = self.model_dump(mode="json")
        return {k: v for k, v in data.items() if k not in ("run", "failures", "outputs")} | {
            "outputs": len(self.outputs)
        }


class Tallies:
    """Counts what becomes of each item while a run goes on."""

    def __init__(self) -> None:
        self._items: dict[str, Literal["done", "reused"]] = {}
        self._failures: dict[tuple[str, str], FailedItem] = {}

    def item(self, item: str, status: Literal["done", "reused"]) -> None:
        """An item has left a stage. Reused counts only while all its stages were."""
        if self._items.get(item) != "done":
            self._items[item] = status

    def failure(self, item: str, stage: str, error: ItemError) -> None:
        """An item has failed in a stage or could not be delivered."""
        failed = FailedItem(
            item=item, stage=stage, code=error.code, reason=error.message, hint=error.hint
        )
        self._failures.setdefault((item, stage), failed)

    def outcome(
        self,
        run: str,
        outputs: list[str],
        seconds: float,
        *,
        complete: bool,
        interrupted: bool,
    ) -> Outcome:
        """Returns the summary of everything counted; `complete` tells that nothing was left."""
        failed = {item for item, _ in self._failures}
        good = {item: status for item, status in self._items.items() if item not in failed}
        counts = [sum(s == status for s in good.values()) for status in ("done", "reused")]
        state: State = "partial" if good else "failed"
        if complete and not failed:
            state = "succeeded"
        return Outcome(
            run=run,
            state=state,
            items={"done": counts[0], "reused": counts[1], "failed": len(failed)},
            failures=tuple(self._failures.values()),
            outputs=tuple(sorted(outputs)),
            seconds=round(seconds, 3),
            interrupted=interrupted,
        )
