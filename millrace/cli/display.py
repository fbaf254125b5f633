"""Shows a run while it goes on: a live table on a terminal, plain lines elsewhere, or nothing.

All of it is read from the run's journal, so it shows the same whoever carries the run out.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from millrace.cli.progress_lines import Lines
from millrace.cli.progress_table import table
from millrace.engine import stages
from millrace.engine.errors import UsageError
from millrace.engine.journal import Reader
from millrace.engine.pipeline import Pipeline
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Order, Run

_REFRESH_PER_SECOND = 8
_LINES_SECONDS = 0.2


class Display:
    """Shows one run from `watch` until the display is left."""

    def __init__(self, order: Order, *, quiet: bool, console: Console | None = None) -> None:
        self._console = console or Console()
        self._quiet = quiet
        self._units = units_of(order.pipeline)
        self._shown: _Live | _Plain | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._shown.stop()

    def say(self, text: str) -> None:
        """Tells something that is no result: on stderr, so that a script's output stays clean."""
        typer.echo(text, err=True)

    def watch(self, run: Run) -> None:
        """Begins to show a run."""
        if self._quiet:
            return
        live = self._console.is_terminal
        self._shown = (_Live if live else _Plain)(run, self._units, self._console)


class _Live:
    def __init__(self, run: Run, units: dict[str, str], console: Console) -> None:
        self._reader, self._tally, self._units = Reader(run.journal), Tally(), units
        self._run = run.id
        self._live = Live(
            get_renderable=self._render,
            refresh_per_second=_REFRESH_PER_SECOND,
            console=console,
            vertical_overflow="crop",
        )
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

    def _render(self) -> RenderableType:
        for record in self._reader.new():
            self._tally.add(record)
        return table(self._tally, self._run, self._units, time.time())


class _Plain:
    def __init__(self, run: Run, units: dict[str, str], console: Console) -> None:
        self._reader, self._lines = Reader(run.journal), Lines(units)
        self._over = threading.Event()
        typer.echo(f"run {run.id}")
        self._thread = threading.Thread(target=self._keep, name="lines", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(_LINES_SECONDS):
            self._tell()
        self._tell()

    def _tell(self) -> None:
        lines = self._lines.after(self._reader.new(), time.time())
        if lines:
            typer.echo("\n".join(lines))


def units_of(pipeline: Pipeline) -> dict[str, str]:
    """Returns what each stage counts in (`frame`); `unit` where its kind cannot be loaded."""
    found = {}
    for name, spec in pipeline.stages.items():
        try:
            found[name] = stages.load(spec.uses).unit
        except UsageError:
            found[name] = "unit"
    return found
