"""Units into batches, batches into assignments, and the keys that make every run resumable."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from millrace.engine.errors import DamagedOutput
from millrace.engine.stages import Span

TARGET_SECONDS = 300.0
"""How long an assignment should run: start-up vanishes, and moving it loses little."""


@dataclass(frozen=True, slots=True)
class Share:
    """One batch as it is planned, placed and retried. `load` is in the kind's own measure."""

    key: str
    span: Span
    units: float
    load: float


class Recipe(BaseModel):
    """Everything that decides an item's result; its digest goes into the keys.

    `params` are the kind's validated parameters in full, so that writing out a default changes
    nothing; `inputs` maps each input's role to its digest; `profile` holds the tools, models and
    numeric settings that change the output's bytes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    version: int
    params: dict[str, JsonValue]
    inputs: dict[str, str]
    profile: dict[str, str]
    output_suffix: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the recipe."""
        return _digest(self.model_dump(mode="json"))

    def changes(self, before: Recipe) -> list[str]:
        """Returns what differs from an earlier recipe, in words a person understands."""
        found = []
        if self.inputs != before.inputs:
            found.append("the input has changed")
        if self.version != before.version:
            found.append(f"{self.kind} is at version {self.version}, was {before.version}")
        found += _differences(self.params, before.params)
        found += _differences(self.profile, before.profile)
        if self.output_suffix != before.output_suffix:
            found.append(f"the output is a {self.output_suffix or 'file'}")
        return found


def cut(recipe_digest: str, spans: Sequence[Span], load: float) -> list[Share]:
    """Returns the batches of an item: one a span, the load divided by units.

    The key depends on the recipe and the span alone, never on who will do it. Raises
    DamagedOutput when there are no spans, or they overlap or run backwards: a fault of the kind.
    """
    if not spans:
        raise DamagedOutput("the stage kind split its item into no batches")
    if not all(span.stop >= span.start for span in spans):
        raise DamagedOutput("the stage kind made a batch that ends before it starts")
    for before, after in itertools.pairwise(spans):
        if after.start < before.stop:
            raise DamagedOutput("the stage kind split its item into batches that overlap")
    total = sum(span.units for span in spans) or 1.0
    return [
        Share(
            key=_digest({"recipe": recipe_digest, "span": span.model_dump(mode="json")}),
            span=span,
            units=span.units,
            load=load * span.units / total,
        )
        for span in spans
    ]


def join_key(recipe_digest: str, shares: Sequence[Share]) -> str:
    """Returns the key of an item's joined result."""
    return _digest({"recipe": recipe_digest, "join": [share.key for share in shares]})


def pack(seconds: Sequence[float], slots: int, target: float = TARGET_SECONDS) -> list[list[int]]:
    """Divides batches, by their predicted seconds, into at most `slots` assignments.

    Returns lists of indices, in order. Work is spread evenly over the free slots, but no
    assignment grows beyond `target` seconds (a single longer batch excepted): what does not fit
    stays for the next round.
    """
    bins: list[list[int]] = []
    rest, index = sum(seconds), 0
    while index < len(seconds) and len(bins) < slots:
        free = slots - len(bins)
        even = rest / free if free > 1 else target  # of what is left: rounding does not pile up
        bins.append([index])
        filled, index = seconds[index], index + 1
        while index < len(seconds):
            cost = seconds[index]
            if filled + cost > target or filled + cost / 2 > even:
                break
            bins[-1].append(index)
            filled, index = filled + cost, index + 1
        rest -= filled
    return bins


def _differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    names = sorted(now.keys() | before.keys())
    return [
        f"{name}: {before.get(name)} → {now.get(name)}"
        for name in names
        if now.get(name) != before.get(name)
    ]


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
