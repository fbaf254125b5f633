"""A workshop for tests of whole runs: files, a pipeline over them, and a conductor without Prefect.

The kind is `faults.bytes` of tests/plugins: it copies a file in cuts of 1,000 bytes and does what a
line `!WORD` in the file says. Sessions are real child processes, the store is a real folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.execution import execute
from millrace.engine.hosts.devices import Host, inventory
from millrace.engine.outcome import Outcome
from millrace.engine.pipeline import load
from millrace.engine.plan import Plan
from millrace.engine.planning import make_plan
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import settings

PLUGINS = Path(__file__).parents[2] / "plugins" / "faults"

PIPELINE = """
version: 1
name: copy
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


class Workshop:
    """A folder with `in/`, `out/` and a pipeline."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs: list[Run] = []
        (folder / "in").mkdir()

    def file(self, name: str, content: bytes | str = b"some bytes\n" * 100) -> Path:
        path = self.folder / "in" / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def order(self, text: str = PIPELINE, **how: object) -> Order:
        pipeline = load(text, base=self.folder)
        return Order(pipeline=pipeline, base=self.folder, source="p.yaml", **how)  # type: ignore[arg-type]

    def run(
        self,
        text: str = PIPELINE,
        *,
        host: Host | None = None,
        on_step: Callable[[str], None] = lambda step: None,
        **how: object,
    ) -> Outcome:
        here = settings()
        order = self.order(text, **how)
        run = Runs(here).create(order)
        self.runs.append(run)
        machine = host or inventory()
        carry_out = partial(_carry_out, run, on_step)
        return Conductor(
            run, order, here, machine, partial(HereDesk, run, machine, dispatch=carry_out)
        ).conduct()

    def plan(self, text: str = PIPELINE, **how: object) -> Plan:
        return make_plan(self.order(text, **how), settings(), inventory())

    def events(self, event: str) -> list[dict[str, object]]:
        return [
            {"stage": r.stage, "item": r.item, **r.data}
            for r in self.runs[-1].records()
            if r.event == event
        ]

    def out(self) -> dict[str, bytes]:
        """Everything under out/, hidden files too: what a person could mistake for a result."""
        found = (p for p in (self.folder / "out").rglob("*") if p.is_file())
        return {str(p.relative_to(self.folder / "out")): p.read_bytes() for p in found}


def _carry_out(run: Run, on_step: Callable[[str], None], name: str) -> None:
    execute(run, name, settings(), on_step=on_step)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.syspath_prepend(str(PLUGINS))
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{PLUGINS}{os.pathsep}{inherited}".rstrip(os.pathsep))
    return Workshop(tmp_path)
