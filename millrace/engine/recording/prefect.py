"""The one adapter to Prefect's client: which server records, and what it is told of a run.

Prefect is told ids, counts and codes; never a name of a file, a text or a value. Importing this
module is cheap: Prefect itself, which takes seconds, is imported by the functions that need it.
"""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID

from millrace.engine.journal import Reader
from millrace.engine.recording import server, server_process
from millrace.engine.recording.server import Api, Say
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Run
from millrace.engine.settings import Settings

_UPDATE_SECONDS = 2.0  # the server records about 20 things a second; this is one of them
_PATIENCE_SECONDS = 15.0  # how long the end of a run waits for a server that does not answer


@contextmanager
def recording(settings: Settings, say: Say = lambda text: None) -> Iterator[Api]:
    """Sets Prefect up so that flows called inside are recorded, and yields where.

    Inside a person's own flow, or where Prefect was set to a server before, that one stays in use;
    else it is the configured server or the local one, started if need be. Raises ServerError.
    """
    own = _set_before(settings)
    if own:
        yield own
        return
    api = server.ensure(settings, say)
    values = server.environment(api)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        if "prefect" in sys.modules:
            with _settings_of(api):
                yield api
        else:
            yield api
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Reporter:
    """While entered, keeps a progress artifact of the surrounding flow run up to date from the
    run's journal; at the end it leaves a table of what each stage did.

    A server that is away meanwhile never harms the run: the journal is the record that counts.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._tally = Tally()
        self._reader = Reader(run.journal)
        self._over = threading.Event()
        self._artifact: UUID | None = None
        context = contextvars.copy_context()  # artifacts belong to the flow run of this context
        self._thread = threading.Thread(target=context.run, args=(self._keep,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(_PATIENCE_SECONDS)

    def _keep(self) -> None:
        self._tell(self._progress)
        while not self._over.wait(_UPDATE_SECONDS):
            self._tell(self._progress)
        self._tell(self._progress)
        self._tell(self._result)

    def _tell(self, what: Callable[[], None]) -> None:
        with suppress(Exception):  # whatever the client raises, the run does not depend on it
            what()

    def _progress(self) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        for record in self._reader.new():
            self._tally.add(record)
        percent = round(100 * self._tally.fraction, 1)
        if self._artifact is None:
            key = f"progress-{self._run.id}"
            made = create_progress_artifact(percent, key=key, description=f"run {self._run.id}")
            self._artifact = cast(UUID, made)  # a coroutine only inside an event loop
        else:
            update_progress_artifact(self._artifact, progress=percent)

    def _result(self) -> None:
        from prefect.artifacts import create_table_artifact

        create_table_artifact(
            table=self._rows(), key=f"result-{self._run.id}", description=f"run {self._run.id}"
        )

    def _rows(self) -> list[dict[str, Any]]:
        kinds = [(name, spec.uses) for name, spec in self._run.order().pipeline.stages.items()]
        return [self._row(n, kind, name) for n, (name, kind) in enumerate(kinds, 1)]

    def _row(self, number: int, kind: str, name: str) -> dict[str, Any]:
        stage = self._tally.stage(name)
        codes = Counter(f.code for f in self._tally.failures.values() if f.stage == name)
        return {
            "stage": number,
            "kind": kind,
            "done": stage.done,
            "reused": stage.reused,
            "failed": stage.failed,
            "units": round(stage.units_done, 1),
            "busy seconds": round(stage.seconds, 1),
            "codes": ", ".join(f"{code} ×{count}" for code, count in sorted(codes.items())),
        }


def _set_before(settings: Settings) -> Api | None:
    """Returns the server that Prefect, imported earlier in this process, is set to already."""
    if "prefect" not in sys.modules:
        return None
    from prefect.context import FlowRunContext, TaskRunContext
    from prefect.settings import get_current_settings

    now = get_current_settings()
    ours = now.home == settings.server / server_process.HOME
    inside = FlowRunContext.get() or TaskRunContext.get()
    if now.api.url and (inside or not ours):
        return Api(now.api.url)
    return None


@contextmanager
def _settings_of(api: Api) -> Iterator[None]:
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    values = {PREFECT_API_URL: api.url} | ({PREFECT_API_AUTH_STRING: api.auth} if api.auth else {})
    with temporary_settings(updates=values):
        yield
