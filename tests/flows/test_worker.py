"""Real workers of a work pool on a real server: what they carry out, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


def _files(folder: Path, **files: str) -> None:
    (folder / "in").mkdir()
    for name, content in files.items():
        (folder / "in" / f"{name}.txt").write_text(content)


def test_a_worker_carries_out_assignments_and_leaves_nothing_behind(yard: Any) -> None:
    _files(yard.folder, good="fine\n" * 400)
    yard.worker()
    _, outcome = yard.conduct(PIPELINE)
    assert outcome.state == "succeeded"
    assert (yard.folder / "out" / "good.txt").read_text() == "fine\n" * 400
    assert [path.name for path in (yard.home / "worker").iterdir()] == []
