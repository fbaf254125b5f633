"""Delivery: what comes to lie under a person's file names, and what never does."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.engine.batches import Recipe
from millrace.engine.deliver import deliver
from millrace.engine.errors import ItemError
from millrace.engine.store import Artifact, Store

RECIPE = Recipe(kind="k", version=1, params={}, inputs={"": "aa"}, profile={})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the store's."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="millrace-test-"))
    assert folder.stat().st_dev != tmp_path.stat().st_dev
    yield folder
    shutil.rmtree(folder)


def _made(store: Store, content: bytes) -> Artifact:
    path = store.root / "made"
    path.write_bytes(content)
    return _commit(store, path, hashlib.sha256(content).hexdigest())


def _commit(store: Store, path: Path, key: str) -> Artifact:
    kind = "inode/directory" if path.is_dir() else "text/plain"
    return store.commit(
        key, path, recipe=RECIPE, media_type=kind, units=1, seconds=1, device="cpu", facts={}
    ).output


def _all(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def _refused(store: Store, artifact: Artifact, target: Path) -> str:
    with pytest.raises(ItemError) as caught:
        deliver(store, artifact, target)
    assert str(target) in caught.value.message
    assert caught.value.hint
    return caught.value.code


def test_a_result_is_written_once_and_then_unchanged(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "out" / "deep" / "a.txt"
    assert deliver(store, _made(store, b"one"), target) == "written"
    assert deliver(store, _made(store, b"one"), target) == "unchanged"
    assert _all(tmp_path / "out") == {"deep/a.txt": b"one"}


def test_a_strangers_file_stays_unless_overwriting_is_asked_for(
    store: Store, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "a.txt"
    target.parent.mkdir()
    target.write_bytes(b"a person's own")
    assert _refused(store, _made(store, b"one"), target) == "exists"
    assert _all(tmp_path / "out") == {"a.txt": b"a person's own"}
    assert deliver(store, _made(store, b"one"), target, overwrite=True) == "written"
    assert _all(tmp_path / "out") == {"a.txt": b"one"}


def test_a_strangers_file_with_the_same_bytes_is_unchanged(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"one")
    assert deliver(store, _made(store, b"one"), target) == "unchanged"


def test_our_own_file_is_replaced_only_while_nobody_has_touched_it(
    store: Store, tmp_path: Path
) -> None:
    target = tmp_path / "out" / "a.txt"
    deliver(store, _made(store, b"one"), target)
    assert deliver(store, _made(store, b"two"), target) == "written"
    target.unlink()
    target.write_bytes(b"2wo")
    os.utime(target, ns=(7, 7))
    assert _refused(store, _made(store, b"three"), target) == "exists"
    assert _all(tmp_path / "out") == {"a.txt": b"2wo"}
    assert store.locate(_made(store, b"two").digest).read_bytes() == b"two"


def test_our_own_file_that_was_removed_is_delivered_again(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    deliver(store, _made(store, b"one"), target)
    target.unlink()
    assert deliver(store, _made(store, b"one"), target) == "written"


def test_a_folder_or_a_link_that_leads_nowhere_is_in_the_way(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    assert _refused(store, _made(store, b"one"), tmp_path / "folder") == "exists"
    assert _refused(store, _made(store, b"one"), tmp_path / "link") == "exists"
    assert (tmp_path / "link").is_symlink()


def test_a_folder_result_is_delivered_file_by_file(store: Store, tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"one")
    (made / "sub" / "b.txt").write_bytes(b"two")
    artifact = _commit(store, made, "f" * 64)
    assert deliver(store, artifact, tmp_path / "out") == "written"
    assert _all(tmp_path / "out") == {"a.txt": b"one", "sub/b.txt": b"two"}
    assert deliver(store, artifact, tmp_path / "out") == "unchanged"
    (tmp_path / "out" / "a.txt").unlink()
    assert deliver(store, artifact, tmp_path / "out") == "written"


def test_a_result_goes_to_another_file_system_whole(store: Store, elsewhere: Path) -> None:
    content = os.urandom(3_000_000)
    target = elsewhere / "sub" / "a.bin"
    assert deliver(store, _made(store, content), target) == "written"
    assert _all(elsewhere) == {"sub/a.bin": content}


def test_a_name_below_a_file_is_told_and_leaves_nothing_behind(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_bytes(b"mine")
    target = tmp_path / "out" / "file" / "a.txt"
    assert _refused(store, _made(store, b"one"), target) == "undelivered"
    assert _all(tmp_path / "out") == {"file": b"mine"}


def test_a_name_that_is_too_long_is_told_and_leaves_nothing_behind(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / ("x" * 300)
    assert _refused(store, _made(store, b"one"), target) == "undelivered"
    assert _all(tmp_path / "out") == {}


def test_a_folder_without_permission_is_told_and_leaves_nothing_behind(
    store: Store, tmp_path: Path
) -> None:
    artifact = _made(store, b"one")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    script = """
import sys
from pathlib import Path
from millrace.engine.deliver import deliver
from millrace.engine.errors import ItemError
from millrace.engine.store import Artifact, Store
artifact = Artifact.model_validate_json(sys.argv[2])
try:
    deliver(Store(Path(sys.argv[1])), artifact, Path(sys.argv[3]))
except ItemError as error:
    print(error.code, "|", error.hint)
"""
    root = os.geteuid() == 0  # whom no permission stops, unless it gives that power up
    plain = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if root else []
    arguments = [str(store.root), artifact.model_dump_json(), str(closed / "a.txt")]
    done = subprocess.run(
        [*plain, sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, _, hint = done.stdout.partition(" | ")
    assert code == "no_permission"
    assert "make the folder writable" in hint
    assert _all(closed) == {}


def test_an_edit_of_a_delivered_file_is_refused_rather_than_shared_with_the_store(
    store: Store, tmp_path: Path
) -> None:
    artifact = _made(store, b"one")
    target = tmp_path / "a.txt"
    deliver(store, artifact, target)
    same = target.stat().st_ino == store.locate(artifact.digest).stat().st_ino
    assert not (same and target.stat().st_mode & 0o222)
