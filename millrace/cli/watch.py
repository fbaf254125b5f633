"""The command watch: a folder's files are taken as they come, each once it has settled."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from typing import Annotated

import typer

from millrace.cli import watching
from millrace.cli.options import On, Set
from millrace.cli.orders import Asked, order_of
from millrace.engine.document.quantities import duration
from millrace.engine.errors import MillraceError, UsageError
from millrace.engine.expansion import Node, nodes
from millrace.engine.reporting.words import count, safe
from millrace.engine.runs import Order, Runs
from millrace.engine.settings import settings
from millrace.engine.settling import Memory, Settling, Sight, Stamps, stamps_of

_INTERRUPTED = 130
_PAUSE_SECONDS = 60.0  # before what failed by no fault of its input is tried again,
_LONGEST_SECONDS = 900.0  # twice as long each time, up to this


def register(app: typer.Typer) -> None:
    """Adds this command to an application."""
    app.command()(watch)


def watch(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline document.")],
    every: Annotated[str, typer.Option(metavar="TIME", help="How often to look.")] = "10s",
    settle: Annotated[
        str, typer.Option(metavar="TIME", help="How long a file must have stayed as it is.")
    ] = "5s",
    set_: Set = None,
    on: On = "here",
    once: Annotated[
        bool, typer.Option("--once", help="End when all that is there has been taken.")
    ] = False,
) -> None:
    """Run a pipeline whenever files of its inputs come, change or go.

    A file is taken once it has stayed as it is for a while and nobody writes to it; each is done
    once, since what is in the store is not done again. Nothing is run while nothing changes. What
    failed for a server that was away is tried again after a minute, later less often. Ctrl-C or
    SIGTERM ends it; started again it goes on where it was.

    Example: millrace watch deployments/pipelines/receipts.yaml --every 30s
    """
    order = order_of(Asked(what=pipeline, set=tuple(set_ or ())))
    order = order.model_copy(update={"on": on})
    watcher = _Watcher(order, _seconds("--every", every), _seconds("--settle", settle))
    raise typer.Exit(watcher.watch(once=once))


@dataclass
class _Watcher:
    order: Order
    every: float
    settle: float
    _stop: threading.Event = field(default_factory=threading.Event)
    _told: str = ""
    _failures: int = 0
    _not_before: float = 0.0

    def watch(self, *, once: bool) -> int:
        """Looks and runs until it is told to stop; returns the exit code."""
        here = settings()
        found: dict[str, Node] = nodes(self.order.pipeline)
        memory, settling = Memory.of(self.order, found, here), Settling(self.settle)
        seen = memory.read()
        settling.take(seen)
        code = 0
        with watching.until_asked(self._stop):
            self._say(f"watching {self.order.pipeline.name}; Ctrl-C ends it")
            while not self._stop.is_set():
                stamps, trouble = stamps_of(self.order, found, here)
                sight = settling.look(stamps, time.monotonic())
                self._mention(sight, trouble)
                due = self._failures and time.monotonic() >= self._not_before
                if sight.settled and (due or _has_news(sight, seen)):
                    code = self._run(sight)
                    if code == _INTERRUPTED:
                        break
                    seen = sight.settled
                    settling.take(seen)
                    memory.write({} if self._failures else seen)
                elif once and not sight.unsettled:
                    return code
                self._stop.wait(self.every)
        self._say("watching has ended; the same command goes on from here")
        return 0

    def _run(self, sight: Sight) -> int:
        """Runs the pipeline over what has settled; returns the exit code."""
        before = {run.id for run in Runs(settings()).list()[:1]}
        try:
            code = watching.carry_out(
                self.order.model_copy(update={"unsettled": sight.unsettled}), as_json=False
            )
        except MillraceError as error:
            typer.echo(safe(error.message), err=True)
            code = error.exit_code
        again = code not in (0, 1, _INTERRUPTED) or self._may_get_better(before)
        self._failures = self._failures + 1 if again else 0
        pause = min(_LONGEST_SECONDS, _PAUSE_SECONDS * 2 ** min(self._failures - 1, 10))
        self._not_before = time.monotonic() + pause
        return code

    def _may_get_better(self, before: set[str]) -> bool:
        """Tells whether something failed in the newest run by no fault of its input."""
        newest = Runs(settings()).list()[:1]
        return any(
            record.event == "undelivered"
            or (record.event == "failed" and record.data.get("fault", "stage") != "input")
            for run in newest
            if run.id not in before
            for record in run.records()
            if not record.data.get("known")
        )

    def _mention(self, sight: Sight, trouble: str) -> None:
        """Says once what it waits for."""
        told = trouble
        if sight.unsettled:
            told = f"{count(len(sight.unsettled), 'file')} still being written or just come"
        if told and told != self._told:
            self._say(told)
        self._told = told

    def _say(self, text: str) -> None:
        typer.echo(safe(text), err=True)


def _has_news(sight: Sight, seen: Stamps) -> bool:
    """Tells whether files have come or changed and settled since, or are gone."""
    if any(seen.get(path) != stamp for path, stamp in sight.settled.items()):
        return True
    return bool(seen.keys() - sight.settled.keys() - {str(path) for path in sight.unsettled})


def _seconds(option: str, text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?s?", text):
        return float(text.removesuffix("s"))
    try:
        return duration(text).total_seconds()
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}", hint="for example 10s or 5m") from None
