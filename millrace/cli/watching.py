"""Carrying out a work order while a person or a script watches, and telling what came of it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from millrace.cli.display import Display
from millrace.engine.outcome import Outcome
from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.words import count, counts, duration, safe
from millrace.engine.runs import Order, Run

_SHOWN = 20  # failures told at the end; `show` and the report have all of them


def carry_out(order: Order, *, as_json: bool) -> int:
    """Runs a work order, shows its progress, tells its outcome, and returns the exit code."""
    from millrace import flows

    if order.on != "here":
        from millrace.flows import fleet

        return _follow(fleet.send(order, say=_say), as_json=as_json)
    display = Display(order, quiet=as_json)
    with _stoppable() as stopper, display:

        def begun(run: Run) -> None:
            stopper.run = run
            display.watch(run)

        outcome = flows.run(order, say=display.say, on_run=begun)
    if as_json:
        typer.echo(json.dumps(summary(outcome)))
    else:
        tell(outcome)
    return outcome.exit_code


def attach(run: Run, *, as_json: bool) -> int:
    """Watches a run of the fleet again and returns an exit code; what has no conductor gets one."""
    from millrace.engine.reporting.liveness import ending
    from millrace.flows import fleet

    if not ending(run) and not run.conducted:
        if run.epoch:
            _say(f"run {run.id} has lost its conductor; sending another")
        fleet.take_up(run, say=_say)
    return _follow(run, as_json=as_json)


def _follow(run: Run, *, as_json: bool) -> int:
    """Shows a run of the fleet until it is over or a person has seen enough; returns an exit code.

    SIGTERM, as Ctrl-C, ends the watching and not the run.
    """
    from millrace.flows import fleet

    display = Display(run.order(), quiet=as_json)
    outcome, left = None, threading.Event()
    with until_asked(left), display:
        display.watch(run)
        outcome = fleet.watch(run, stop=left.is_set, say=display.say)
    if outcome is None:
        typer.echo(
            f"\nrun {run.id} goes on without you: `millrace attach {run.id}` watches it", err=True
        )
        typer.echo(f"`millrace cancel {run.id}` stops it", err=True)
        return 0
    for note in Tally(run.records()).notes:  # why it could not go on: nobody else says so here
        typer.secho(safe(note), fg=_red(), err=True)
    if as_json:
        typer.echo(json.dumps(summary(outcome)))
    else:
        tell(outcome)
    return outcome.exit_code


def summary(outcome: Outcome) -> dict[str, object]:
    """Returns the one JSON object that `run --json` ends with."""
    failures = [{"item": f.item, "stage": f.stage, "reason": f.reason} for f in outcome.failures]
    return {
        "run": outcome.run,
        "state": outcome.state,
        "items": outcome.items,
        "failures": failures,
        "outputs": list(outcome.outputs),
        "seconds": outcome.seconds,
    }


def tell(outcome: Outcome) -> None:
    """Prints what came of a run."""
    for failed in outcome.failures[:_SHOWN]:
        typer.secho(safe(f"{failed.item} ({failed.stage}): {failed.reason}"), fg=_red(), err=True)
        if failed.hint:
            typer.echo(safe(f"    {failed.hint}"), err=True)
    if len(outcome.failures) > _SHOWN:
        typer.echo(f"… and {len(outcome.failures) - _SHOWN} more failures", err=True)
    state = "interrupted" if outcome.interrupted else outcome.state
    typer.echo(f"{state}: {counts(outcome.items)}, in {duration(outcome.seconds)}")
    if len(outcome.outputs) <= 3:
        for path in outcome.outputs:
            typer.echo(f"  {safe(path)}")
    else:
        typer.echo(
            f"  {count(len(outcome.outputs), 'output')}, the first {safe(outcome.outputs[0])}"
        )
    if outcome.interrupted:
        typer.echo("what is done is kept; the same command continues it")
    typer.echo(f"run {outcome.run}: `millrace show {outcome.run}` tells more")


class _Stopper:
    """What the first Ctrl-C does: ask the run to stop. The second ends the process at once."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.run is None or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        self.run.request_stop("Ctrl-C" if number == signal.SIGINT else "a signal")
        sys.stderr.write("\nstopping cleanly; Ctrl-C again ends it at once\n")


@contextmanager
def _stoppable() -> Iterator[_Stopper]:
    stopper = _Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stopper
        return
    with _handled(stopper):
        yield stopper


@contextmanager
def until_asked(left: threading.Event) -> Iterator[None]:
    """Sets the event on Ctrl-C, the second of which ends the process at once."""

    def leave(number: int, frame: FrameType | None) -> None:
        if left.is_set():
            raise KeyboardInterrupt
        left.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(leave):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _red() -> str | None:
    return None if "NO_COLOR" in os.environ else typer.colors.RED
