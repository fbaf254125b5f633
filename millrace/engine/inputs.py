"""The items a run starts from: every input of the pipeline, expanded, labelled, made unique."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from millrace.engine.document.parameters import at_home
from millrace.engine.errors import BadInput, DocumentError
from millrace.engine.fleet.labelling import floors_of
from millrace.engine.items import Item, expand
from millrace.engine.outputs import fixed_folder
from millrace.engine.runs import Order
from millrace.engine.settings import Settings, settings


def expand_inputs(
    order: Order, stages: Collection[str], here: Settings | None = None
) -> dict[str, list[Item]]:
    """Returns the items of each input that the named stages (or an output) need.

    No item has a label below the floors of the fleet that `here` (default: this host's settings)
    names. Raises DocumentError when an input names nothing at all, its manifest cannot be read, or
    the fleet is declared and wrong: nobody knows then what may be lowered.
    """
    floors = floors_of(here or settings())
    pipeline = order.pipeline
    wanted = {s for name in stages for s in pipeline.stages[name].sources}
    wanted |= {s for name in stages for s in pipeline.stages[name].using.values()}
    if order.only is None:
        wanted |= {output.source for output in pipeline.outputs.values()}
    names = [name for name in pipeline.inputs if name in wanted]
    avoid, unsettled = _own_folders(order), frozenset(order.unsettled)
    found = {}
    for name in names:
        source = pipeline.inputs[name]
        try:
            items = expand(name, source, order.base, pipeline.label_of(name), avoid=avoid)
        except BadInput as error:
            raise DocumentError(f"inputs.{name}: {error.message}", hint=error.hint) from error
        items = [item for item in items if not unsettled.intersection(_files(item))]
        if not items:
            sought = ", ".join((*source.files, *source.folders, source.manifest or ""))
            raise DocumentError(
                f"inputs.{name}: nothing matches {sought.strip(', ')}",
                hint=f"relative patterns start from {order.base}",
            )
        items = [floors.raised(item) for item in items[: order.limit]]
        if len(names) > 1:  # two inputs may each have an a.mp4
            items = [replace(item, id=f"{name}/{item.id}") for item in items]
        found[name] = items
    return found


def _files(item: Item) -> tuple[Path, ...]:
    return item.members or (item.location,)


def _own_folders(order: Order) -> list[Path]:
    """Folders that only outputs go to: what lies there is ours and never an input."""
    folders = (fixed_folder(o.to, order.base) for o in order.pipeline.outputs.values())
    return [folder for folder in folders if folder != order.base and folder not in _roots(order)]


def _roots(order: Order) -> set[Path]:
    """Folders that an input's pattern starts from, and those above: not ours alone."""
    roots: set[Path] = set()
    for source in order.pipeline.inputs.values():
        for text in (*source.files, *source.folders, source.manifest or ""):
            start = re.split(r"[*?\[]", text)[0].rpartition("/")[0]
            path = Path(os.path.normpath(order.base / at_home(start)))
            roots |= {path, *path.parents}
    return roots
