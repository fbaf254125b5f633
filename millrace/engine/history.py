"""What a run took and cost, from its journal into the ledger: no names, no values."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from millrace.engine.cost import Price, hourly
from millrace.engine.errors import StoreError
from millrace.engine.expansion import Node
from millrace.engine.journal import Record
from millrace.engine.ledger import Ledger, Row
from millrace.engine.settings import Settings
from millrace.engine.spells import EVENTS, HERE, STATES, Spell, State, take

__all__ = ["EVENTS", "History"]

_ROWS = 200  # entered together, or
_SECONDS = 60.0  # what has come since the last time

_TOLD: dict[str, State] = {state: state for state in STATES if state != "idle"}


class History:
    """Collects what is heard of a run's assignments, and enters it into the ledger now and then.

    `price` is that of this host, for what no price was written down of. Every record counts once,
    also when an earlier conductor of the run has entered it already.
    """

    def __init__(
        self, run: str, nodes: Mapping[str, Node], price: Price, settings: Settings
    ) -> None:
        self._run, self._nodes, self._price, self._settings = run, nodes, price, settings
        self._spells: dict[str, Spell] = {}
        self._rows: list[Row] = []
        self._entered = time.monotonic()

    @property
    def due(self) -> bool:
        """True when enough waits to be entered, or has waited for long enough: a run learns from
        its own batches."""
        rested = time.monotonic() - self._entered
        return len(self._rows) >= _ROWS or (bool(self._rows) and rested >= _SECONDS)

    def resume(self, records: Iterable[Record]) -> None:
        """Takes in what was written down before this conductor; what is entered stays so."""
        for record in records:
            self.take(record)
        if not self._rows:
            return
        try:
            entered = {_mark(row) for row in Ledger(self._settings.ledger).rows(run=self._run)}
        except StoreError:
            entered = {_mark(row) for row in self._rows}  # rather a gap than a second count
        self._rows = [row for row in self._rows if _mark(row) not in entered]

    def take(self, record: Record) -> None:
        """Takes in one record; those of other events than `EVENTS` tell nothing of work.

        Figures that cannot be, which a worker of low trust may send, are left out with a warning.
        """
        try:
            self._take(record)
        except (ValueError, TypeError) as error:
            logging.getLogger(__name__).warning("not entered into the ledger: %s", error)

    def _take(self, record: Record) -> None:
        if record.event not in EVENTS or (record.stage and record.stage not in self._nodes):
            return
        if record.data.get("known"):
            return  # a failure that was remembered took no work
        spell = take(self._spells, record)
        if spell is None:
            return
        if record.event in _TOLD and float(record.data.get("seconds", 0.0)) > 0:
            self._rows.append(self._row(record, spell, _TOLD[record.event]))
        elif record.event == "closed" and spell.rest > 0:
            idle = Record("idle", record.at, spell.stage, data={"seconds": spell.rest})
            self._rows.append(self._row(idle, spell, spell.rest_state))

    def enter(self) -> int:
        """Writes what has come together; returns how many rows. Never fails a run."""
        rows, self._rows = self._rows, []
        self._entered = time.monotonic()
        if rows:
            Ledger(self._settings.ledger).record(rows)
        return len(rows)

    def _row(self, record: Record, spell: Spell, state: State) -> Row:
        data, stage = record.data, self._nodes[record.stage or spell.stage].stage
        known = spell.price is not None
        price = spell.price if spell.price is not None else hourly(self._price)
        seconds = float(data["seconds"])
        return Row(
            at=record.at,
            kind=stage.kind,
            version=stage.version,
            device=str(data.get("device") or spell.device),
            seconds=seconds,
            pace=str(data.get("pace", "")),
            host=spell.host,
            pool=spell.pool,
            units=float(data.get("units", 0.0)),
            load=float(data.get("load", 0.0)),
            bytes_out=int(data.get("bytes", 0)),
            cost=seconds * price / 3600,
            currency=spell.currency if known else self._price.currency,
            state=state,
            basis=spell.basis or ("own" if spell.pool == HERE else ""),
            price=price,
            run=self._run,
            assignment=spell.id,
        )


def _mark(row: Row) -> tuple[str, str, float, float]:
    return row.assignment, row.state, row.at, row.seconds
