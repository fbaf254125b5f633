"""The fleet as it is now: health by heartbeats, workers, load, prices and measured speed.

Prefect's own status is not asked: it calls a worker online for a minute after it died.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from millrace.engine import stages
from millrace.engine.errors import MillraceError, StoreError, ToolMissing, UsageError
from millrace.engine.exchange.cards import read_cards
from millrace.engine.exchange.places import Place
from millrace.engine.fleet.observed import Card, Observed
from millrace.engine.fleet.pools import HOME
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.ledger import Ledger, recent_median
from millrace.engine.recording.observing import observe
from millrace.engine.recording.prefect import recording
from millrace.engine.reporting import words
from millrace.engine.settings import Settings, settings

_EVERY_SECONDS = 3.0
_MEASURED_SECONDS = 90 * 86_400.0
_SAMPLE_ROWS = 200
_PATIENCE_SECONDS = 2.0
_STYLES = {"up": "green", "paused": "yellow", "silent": "red", "not deployed": "red"}


@dataclass(frozen=True)
class Speed:
    """How fast a pool was at a kind: units a second, the median of `n` batches."""

    kind: str
    unit: str
    per_second: float
    n: int


@dataclass(frozen=True)
class Seen:
    """A pool with what is known of it now. `speeds` are from the ledger."""

    pool: Pool
    observed: Observed
    speeds: tuple[Speed, ...] = ()

    @property
    def health(self) -> str:
        """In a word: not deployed, paused, up, silent (its workers died), asleep (they come when
        there is work), no worker."""
        if not self.observed.exists:
            return "not deployed"
        if self.observed.paused:
            return "paused"
        if any(worker.alive for worker in self.observed.workers):
            return "up"
        if self.pool.elastic:
            return "asleep"
        return "silent" if self.observed.workers else "no worker"


def show(fleet: Fleet, *, watch: bool = False, as_json: bool = False) -> None:
    """Prints the fleet as it is now, once, or with `watch` until Ctrl-C. Raises ServerError."""
    here = settings()
    console = Console(stderr=True, quiet=as_json)
    with recording(here, console.print):
        if as_json:
            typer.echo(json.dumps([_json(seen, fleet) for seen in look(fleet, here)], indent=2))
        elif watch:
            _watch(fleet, here)
        else:
            Console().print(page(look(fleet, here), fleet))


def look(fleet: Fleet, here: Settings) -> list[Seen]:
    """Returns every pool with what is known of it now. Call inside `recording`."""
    observed = observe(tuple(fleet.pools))
    cards = _cards(fleet, here)
    speeds = _speeds(here)
    return [
        Seen(pool, _with_cards(observed[name], cards), speeds.get(name, ()))
        for name, pool in fleet.pools.items()
    ]


def page(pools: list[Seen], fleet: Fleet) -> RenderableType:
    """Returns what a person reads, in 80 columns."""
    parts: list[RenderableType] = [_pools(pools, fleet.currency)]
    if any(seen.observed.workers for seen in pools):
        parts += [Text(), _workers(pools)]
    if any(seen.speeds for seen in pools):
        parts += [Text(), _measured(pools)]
    if any(not seen.observed.exists for seen in pools):
        parts += [Text(), Text("`millrace deploy` makes the pools that are not deployed")]
    return Group(*parts)


def _watch(fleet: Fleet, here: Settings) -> None:
    with Live(console=Console(), auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                live.update(page(look(fleet, here), fleet), refresh=True)
            except MillraceError as error:  # a server that restarts is there again soon
                live.update(Text(words.safe(error.message), style="red"), refresh=True)
            time.sleep(_EVERY_SECONDS)


def _pools(pools: list[Seen], currency: str) -> Table:
    table = _table("pool", "health", "workers", "running", "waiting", "late", "price now")
    for column in table.columns[2:6]:
        column.justify = "right"
    for seen in pools:
        now, style = seen.observed, _STYLES.get(seen.health, "")
        alive = sum(worker.alive for worker in now.workers)
        late = Text(f"{now.late:,}", style="red" if now.late else "")
        counts = (str(alive), f"{now.running}/{seen.pool.slots}", f"{now.pending:,}")
        health = Text(seen.health, style=style)
        table.add_row(_text(seen.pool.name), health, *counts, late, _price(seen.pool, currency))
    return table


def _workers(pools: list[Seen]) -> Table:
    table = _table("worker", "pool", "heartbeat", "millrace", "device", "basis")
    for seen in pools:
        for worker in seen.observed.workers:
            card = worker.card
            beat = Text(f"{words.duration(worker.age)} ago", style="" if worker.alive else "red")
            told = (card.millrace, _device(card), card.basis or "") if card else ("?", "", "")
            table.add_row(_text(worker.name), _text(seen.pool.name), beat, *map(_text, told))
    return table


def _measured(pools: list[Seen]) -> Table:
    table = _table("measured", "pool", "of one slot", "batches")
    table.columns[3].justify = "right"
    for seen in pools:
        for speed in seen.speeds:
            rate = words.rate(speed.per_second, speed.unit)
            table.add_row(_text(speed.kind), _text(seen.pool.name), rate, str(speed.n))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _text(text: str) -> Text:
    return Text(words.safe(text))


def _price(pool: Pool, currency: str) -> str:
    cheapest = min(pool.offers, key=lambda offer: offer.price)
    basis = cheapest.basis.replace("_", "-")
    return f"{cheapest.price * 3600:.3g} {currency}/h {basis}"


def _device(card: Card) -> str:
    return ", ".join(dict.fromkeys(card.gpus)) or f"{card.cores} cores"


def _with_cards(observed: Observed, cards: dict[tuple[str, str], Card]) -> Observed:
    joined = (replace(w, card=cards.get((observed.pool, w.name))) for w in observed.workers)
    return replace(observed, workers=tuple(joined))


def _cards(fleet: Fleet, here: Settings) -> dict[tuple[str, str], Card]:
    """Returns what workers say of themselves; a store that is away only leaves that out."""
    found: dict[tuple[str, str], Card] = {}
    for name, store in fleet.stores.items():
        try:
            place = (
                Place.open(str(here.store))
                if name == HOME
                else Place.open(store.url, store.endpoint, region=store.region)
            )
            cards = read_cards(place.patient(_PATIENCE_SECONDS))
        except (StoreError, ToolMissing, UsageError):
            continue
        # A card counts only in the store through which its pool works.
        ours = {pool.name for pool in fleet.pools_using(name)}
        found |= {(card.pool, card.worker): card for card in cards if card.pool in ours}
    return found


def _speeds(here: Settings) -> dict[str, tuple[Speed, ...]]:
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, str], list[float]] = defaultdict(list)
    try:
        rows = Ledger(here.ledger).rows(since=time.time() - _MEASURED_SECONDS)
    except StoreError:
        return {}
    for row in reversed(rows):
        key = (row.pool, row.kind)
        if row.state == "done" and row.units > 0 < row.seconds and len(sizes[key]) < _SAMPLE_ROWS:
            samples[key].append(row.units / row.seconds)
            sizes[key].append(row.units)
    found: dict[str, tuple[Speed, ...]] = {}
    for (pool, kind), rates in sorted(samples.items()):
        median = recent_median(rates, sizes[(pool, kind)])
        found[pool] = (*found.get(pool, ()), Speed(kind, _unit(kind), median, len(rates)))
    return found


def _unit(kind: str) -> str:
    try:
        return stages.load(kind).unit
    except UsageError:
        return "unit"


def _json(seen: Seen, fleet: Fleet) -> dict[str, Any]:
    now = seen.observed
    prices = {offer.basis: round(offer.price * 3600, 6) for offer in seen.pool.offers}
    return {
        "pool": seen.pool.name,
        "health": seen.health,
        "paused": now.paused,
        "running": now.running,
        "slots": seen.pool.slots,
        "pending": now.pending,
        "late": now.late,
        "price": {"currency": fleet.currency, "per_slot_hour": prices},
        "workers": [
            {"name": w.name, "heartbeat_age": round(w.age, 1), "alive": w.alive}
            | {"card": w.card.model_dump(mode="json") if w.card else None}
            for w in now.workers
        ],
        "measured": [
            {"kind": s.kind, "unit": s.unit, "per_second": s.per_second, "batches": s.n}
            for s in seen.speeds
        ],
    }
