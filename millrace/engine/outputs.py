"""Outputs of a run: their names, known to be distinct before any work, and their delivery."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from millrace.engine.deliver import deliver
from millrace.engine.document import templates
from millrace.engine.document.parameters import at_home
from millrace.engine.errors import BadInput, DocumentError, ItemError
from millrace.engine.fleet.ceilings import ceilings_of
from millrace.engine.items import Item, printable
from millrace.engine.journal import Journal
from millrace.engine.pipeline import Output
from millrace.engine.runs import Order
from millrace.engine.settings import Settings, settings
from millrace.engine.store import Store

_SHOWN = 10


class Outputs:
    """Delivers what stages bring forth under the names a person asked for."""

    def __init__(
        self,
        order: Order,
        run: str,
        store: Store,
        journal: Journal,
        here: Settings | None = None,
    ) -> None:
        """Nothing goes above the ceilings of the fleet that `here` (default: this host's settings)
        names. Raises DocumentError where that is declared and wrong."""
        self._order, self._run, self._store, self._journal = order, run, store, journal
        self._ceilings = ceilings_of(here or settings())
        pipeline = order.pipeline
        self._outputs = {
            name: output
            for name, output in pipeline.outputs.items()
            if order.only is None or output.source == order.only
        }
        self.delivered: list[str] = []

    def wants(self, source: str) -> bool:
        """True when some output is fed from this stage or input."""
        return any(output.source == source for output in self._outputs.values())

    def path(self, output: Output, item: Item) -> Path:
        """Returns where an item goes. Raises BadInput when it would be no file's name."""
        fields = {
            "source.path": item.origin.path,
            "source.name": item.origin.name,
            "source.suffix": item.origin.suffix,
            "item": hashlib.sha256(item.id.encode()).hexdigest()[:10],
            "stage": output.source,
            "run": self._run,
        }
        return self._order.base / templates.expand(output.to, fields)

    def settle(self, inputs: Mapping[str, Sequence[Item]]) -> dict[str, list[Item]]:
        """Returns the inputs without what this pipeline itself put among them in earlier runs.

        Raises DocumentError when two items would be delivered under one name, or one in place of
        its own input.
        """
        names = self._names(inputs)
        ours = {path: item for (_, item), path in names}
        kept = {
            name: [i for i in items if ours.get(i.location, i.id) == i.id]
            for name, items in inputs.items()
        }
        in_place = [i.id for items in kept.values() for i in items if i.location in ours]
        if in_place:
            raise DocumentError(
                f"the output of {in_place[0]} would take the place of its own input",
                hint="deliver to another folder or add something to the name",
            )
        self._refuse_collisions(self._names(kept))
        return kept

    def _names(self, inputs: Mapping[str, Sequence[Item]]) -> list[tuple[tuple[str, str], Path]]:
        names = []
        for name, output in self._outputs.items():
            for item in self._sources(output.source, inputs):
                try:
                    names.append(((name, item.id), self.path(output, item)))
                except BadInput:
                    continue  # told when it is delivered, with the rest of the batch done
        return names

    def _refuse_collisions(self, names: list[tuple[tuple[str, str], Path]]) -> None:
        clashes = templates.collisions(names)
        if clashes:
            lines = [
                f"{path}: from {' and '.join(item for _, item in owners[:3])}"
                for path, owners in clashes[:_SHOWN]
            ]
            raise DocumentError(
                f"{len(clashes)} output names would be written twice",
                problems=tuple(lines),
                hint="keep names apart, with {source.path} and {source.suffix} in `to`",
            )

    def deliver(self, source: str, item: Item) -> list[ItemError]:
        """Puts an item under its names; returns what went wrong. May run in any thread."""
        failures = []
        for name, output in self._outputs.items():
            if output.source != source or item.artifact is None:
                continue
            path = Path()
            try:
                path = self.path(output, item)
                self._ceilings.check(path, item.label)
                status = deliver(self._store, item.artifact, path, overwrite=self._order.overwrite)
            except ItemError as error:
                failures.append(error)
                self._journal.write(
                    "undelivered",
                    source,
                    item.id,
                    output=name,
                    path=printable(str(path)),
                    code=error.code,
                    message=error.message,
                    hint=error.hint,
                )
                continue
            self.delivered.append(printable(str(path)))
            self._journal.write(
                "delivered",
                source,
                item.id,
                output=name,
                path=printable(str(path)),
                bytes=item.artifact.size,
                digest=item.artifact.digest,
                status=status,
            )
        return failures

    def _sources(self, name: str, inputs: Mapping[str, Sequence[Item]]) -> Sequence[Item]:
        """Returns the items that will come out of a stage or input: those that went in."""
        while name not in inputs:
            spec = self._order.pipeline.stages.get(name)
            if spec is None or spec.all:
                return []
            name = spec.sources[0]
        return inputs[name]


def fixed_folder(template: str, base: Path) -> Path:
    """Returns the folder of a name template before its first field."""
    head = templates.parse(template).head
    return (base / at_home(head + "x")).parent.absolute()
