"""Sending assignments to pools and taking them back: store first, then Prefect, never the reverse.

All of it happens in threads beside the conductor's, since stores and servers may be slow.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.errors import MillraceError, ServerError
from millrace.engine.fleet.out import Out
from millrace.engine.fleet.road import Road
from millrace.engine.journal import Journal
from millrace.engine.recording.fleet import FlowRuns
from millrace.engine.runs import Run

_PATIENCE_SECONDS = 120.0  # with a server that restarts
_RETRY_SECONDS = 2.0


class Sender:
    """Sends one run's assignments. `roads` are the ways to the pools, by pool; the `templated` ones
    among them choose their machines by a job variable."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        roads: Mapping[str, Road],
        flow_runs: FlowRuns,
        priority: str,
        templated: Collection[str] = (),
    ) -> None:
        self._run, self._journal, self._roads = run, journal, roads
        self._epoch, self._templated = run.epoch, templated
        self._flow_runs, self._priority = flow_runs, priority

    def send(self, out: Out, order: Assignment) -> None:
        """Sends an assignment; what goes wrong is left in `out.error`."""
        try:
            order.save(self._run.assignments)
            self._roads[out.pool].send(self._run, order)
            flow_run = self._assign(out)
            self._journal.write("sent", out.stage, assignment=out.id, flow_run=flow_run)
            out.flow_run = flow_run
        except MillraceError as error:
            out.error = error
        except Exception as error:  # noqa: BLE001 - whatever it was, the jobs are placed again
            out.error = error

    def send_again(self, out: Out) -> None:
        """Sends an assignment that an earlier conductor has written down. Twice is once."""
        try:
            order = Assignment.read(self._run.assignments, out.id)
        except (OSError, ValidationError) as error:
            out.error = error
            return
        self.send(out, order)

    def take_back(self, out: Out) -> None:
        """Tells everybody that an assignment is no longer wanted. What was committed stays."""
        with contextlib.suppress(MillraceError, KeyError):  # its pool may be declared no more
            self._roads[out.pool].revoke(self._run, out.id)
        if out.flow_run:
            with contextlib.suppress(MillraceError):
                self._flow_runs.cancel(out.flow_run)

    def let_go(self, out: Out) -> None:
        """Has the server forget an assignment whose worker did not answer to being told to stop."""
        with contextlib.suppress(MillraceError):
            self._flow_runs.cancel(out.flow_run, at_once=True)

    def stop(self, out: Out) -> None:
        """Asks an assignment to end because the run is to stop."""
        with contextlib.suppress(MillraceError, KeyError):
            self._roads[out.pool].stop(self._run)
        if out.began is None and out.flow_run:
            with contextlib.suppress(MillraceError):
                self._flow_runs.cancel(out.flow_run)

    def clean(self, *, over: bool) -> None:
        """Removes what is left on the way, once nothing is out any more."""
        for road in {id(road): road for road in self._roads.values()}.values() if over else ():
            with contextlib.suppress(MillraceError):
                road.clean(self._run)

    def _assign(self, out: Out) -> str:
        queue = f"{out.basis}-{self._priority}"
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            if self._run.epoch != self._epoch:
                raise ServerError("another conductor has taken the run up")
            try:
                capacity = out.basis if out.pool in self._templated else ""
                return self._flow_runs.assign(
                    out.pool, queue, self._run.id, out.id, capacity=capacity
                )
            except ServerError:
                if time.monotonic() > end or self._run.stopping:
                    raise
                time.sleep(_RETRY_SECONDS)
