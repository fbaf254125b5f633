"""A run's deliveries are read again, folders member by member."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.engine.files import digest_file
from millrace.engine.journal import Record
from millrace.engine.runs import Run
from millrace.engine.settings import settings
from millrace.engine.store import Artifact, Member
from millrace.engine.verify import verify

Delivered = Callable[[Artifact, Path], Run]


@pytest.fixture
def delivered(home: Path, tmp_path: Path) -> Delivered:
    def run(artifact: Artifact, path: Path) -> Run:
        made = Run("r1", tmp_path / "runs" / "r1")
        made.journal.mkdir(parents=True)
        data = {"path": str(path), "digest": artifact.digest, "bytes": artifact.size}
        (made.journal / "c.jsonl").write_text(Record("delivered", 1.0, "one", "i", data).line())
        return made

    return run


@pytest.fixture
def pages(tmp_path: Path) -> tuple[Path, Artifact]:
    folder = tmp_path / "pages"
    (folder / "more").mkdir(parents=True)
    for name in ("1.txt", "2.txt", "more/3.txt"):
        (folder / name).write_text(f"page {name}")
    members = [
        Member(name=name, digest=digest, size=size)
        for name in ("1.txt", "2.txt", "more/3.txt")
        for digest, size in [digest_file(folder / name)]
    ]
    return folder, Artifact.folder(tuple(members))


def test_a_folder_is_as_it_was_left(delivered: Delivered, pages: tuple[Path, Artifact]) -> None:
    folder, artifact = pages
    assert verify(delivered(artifact, folder), settings()).doubts == ()


@pytest.mark.parametrize("change", ["write", "remove", "add"])
def test_a_folder_that_was_changed_is_doubted(
    delivered: Delivered, pages: tuple[Path, Artifact], change: str
) -> None:
    folder, artifact = pages
    if change == "write":
        (folder / "more" / "3.txt").write_text("another page")
    elif change == "remove":
        (folder / "2.txt").unlink()
    else:
        (folder / "4.txt").write_text("one more")
    (doubt,) = verify(delivered(artifact, folder), settings()).doubts
    assert doubt.what.startswith(str(folder))


def test_a_folder_that_is_gone_is_doubted(
    delivered: Delivered, pages: tuple[Path, Artifact], tmp_path: Path
) -> None:
    _, artifact = pages
    (doubt,) = verify(delivered(artifact, tmp_path / "gone"), settings()).doubts
    assert "cannot be read" in doubt.problem
