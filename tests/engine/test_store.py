"""What the store keeps, when it says that it is there, and what many writers at once do to it."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millrace.engine.batches import Recipe
from millrace.engine.errors import StoreError
from millrace.engine.files import digest_file
from millrace.engine.store import Manifest, Store, files_of

RECIPE = Recipe(kind="k", version=1, params={}, inputs={"": "aa"}, profile={})
KEY, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _commit(store: Store, key: str, path: Path, media_type: str = "text/plain") -> Manifest:
    return store.commit(
        key,
        path,
        recipe=RECIPE,
        media_type=media_type,
        units=3,
        seconds=1.5,
        device="cpu",
        facts={"frames": 3},
        notes=("a note",),
    )


def _file(tmp_path: Path, content: bytes = b"some bytes", name: str = "made") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def _objects(store: Store) -> list[Path]:
    return [p for p in (store.root / "objects").rglob("*") if p.is_file()]


def test_what_was_committed_is_found_with_all_that_is_known_of_it(
    store: Store, tmp_path: Path
) -> None:
    made = _file(tmp_path)
    manifest = _commit(store, KEY, made)
    assert Store(store.root).find(KEY) == manifest
    assert store.locate(manifest.output.digest).read_bytes() == b"some bytes"
    assert (manifest.units, manifest.facts, manifest.notes) == (3, {"frames": 3}, ("a note",))
    assert not made.exists()
    assert store.verify(manifest) == []
    assert [m.key for m in store.manifests()] == [KEY]


def test_an_unknown_key_and_a_dropped_one_are_not_found(store: Store, tmp_path: Path) -> None:
    assert store.find(KEY) is None
    _commit(store, KEY, _file(tmp_path))
    store.drop(KEY)
    store.drop(KEY)
    assert store.find(KEY) is None
    assert len(_objects(store)) == 1


def test_a_result_whose_bytes_are_shorter_changed_or_gone_is_not_found(
    store: Store, tmp_path: Path
) -> None:
    for damage in ("short", "flipped", "gone"):
        manifest = _commit(store, KEY, _file(tmp_path))
        path = store.locate(manifest.output.digest)
        path.chmod(0o644)
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(b"some byte" if damage == "short" else b"some bytez")
            os.utime(path, ns=(1, 1))
        assert store.find(KEY) is None, damage
        assert store.verify(manifest) == [manifest.output.digest], damage
        repaired = _commit(store, KEY, _file(tmp_path))
        assert store.find(KEY) == repaired, damage
        assert store.verify(repaired) == [], damage


def test_damage_behind_an_untouched_time_stamp_is_seen_by_verify(
    store: Store, tmp_path: Path
) -> None:
    manifest = _commit(store, KEY, _file(tmp_path))
    path = store.locate(manifest.output.digest)
    stamp = path.stat().st_mtime_ns
    path.chmod(0o644)
    path.write_bytes(b"some bytez")
    os.utime(path, ns=(stamp, stamp))
    assert store.verify(manifest) == [manifest.output.digest]


def test_a_new_time_stamp_on_the_same_bytes_does_no_harm(store: Store, tmp_path: Path) -> None:
    manifest = _commit(store, KEY, _file(tmp_path))
    os.utime(store.locate(manifest.output.digest), ns=(1, 1))
    assert store.find(KEY) == manifest


def test_a_record_that_is_no_record_counts_as_absent_and_is_replaced(
    store: Store, tmp_path: Path
) -> None:
    _commit(store, KEY, _file(tmp_path))
    for rubbish in (b"", b"{", b"[]", b'{"key": 1}', b"\xff"):
        store.manifest_path(KEY).write_bytes(rubbish)
        assert store.find(KEY) is None
        assert list(store.manifests()) == []
    again = _commit(store, KEY, _file(tmp_path))
    assert store.find(KEY) == again


def test_the_same_bytes_under_two_keys_lie_in_the_store_once(store: Store, tmp_path: Path) -> None:
    one = _commit(store, KEY, _file(tmp_path, name="one"))
    two = _commit(store, OTHER, _file(tmp_path, name="two"))
    assert one.output == two.output
    assert len(_objects(store)) == 1
    assert store.find(KEY)
    assert store.find(OTHER)


def test_a_folder_is_kept_as_its_files_and_their_names(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    _file(folder, b"one", "a.txt")
    _file(folder / "sub", b"two", "b.txt")
    _file(folder, b"one", "same.txt")
    manifest = _commit(store, KEY, folder, "inode/directory")
    assert [(m.name, m.size) for m in manifest.output.members] == [
        ("a.txt", 3),
        ("same.txt", 3),
        ("sub/b.txt", 3),
    ]
    assert manifest.output.size == 9
    assert store.find(KEY) == manifest
    assert len(_objects(store)) == 2
    digest, _ = files_of(manifest.output)[2]
    store.locate(digest).unlink()
    assert store.find(KEY) is None
    assert store.verify(manifest) == [digest]


def test_folders_that_differ_in_a_name_alone_are_different_results(
    store: Store, tmp_path: Path
) -> None:
    digests = set()
    for key, name in ((KEY, "a"), (OTHER, "b")):
        folder = tmp_path / f"folder-{name}"
        folder.mkdir()
        _file(folder, b"one", name)
        digests.add(_commit(store, key, folder, "inode/directory").output.digest)
    assert len(digests) == 2


def test_many_commits_of_the_same_bytes_at_once_leave_one_whole_object(
    store: Store, tmp_path: Path
) -> None:
    content = os.urandom(300_000)
    keys = [f"{n:064x}" for n in range(24)]
    files = [_file(tmp_path, content, f"made{n}") for n in range(24)]
    with ThreadPoolExecutor(12) as threads:
        made = list(threads.map(lambda pair: _commit(store, *pair), zip(keys, files, strict=True)))
    assert all(store.find(key) is not None for key in keys)
    (path,) = _objects(store)
    assert digest_file(path) == (made[0].output.digest, len(content))
    assert list((store.root / "tmp").iterdir()) == []


def test_many_commits_under_one_key_at_once_end_in_one_record(store: Store, tmp_path: Path) -> None:
    files = [_file(tmp_path, f"version {n}".encode(), f"made{n}") for n in range(16)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda path: _commit(store, KEY, path), files))
    assert store.find(KEY) in made
    assert [p.name for p in store.manifest_path(KEY).parent.iterdir()] == [f"{KEY}.json"]


def test_a_failure_is_remembered_until_the_batch_is_done(store: Store, tmp_path: Path) -> None:
    assert store.known_failure(KEY) is None
    store.remember_failure(KEY, {"code": "rotten", "message": "{name} is rotten"})
    assert store.known_failure(KEY) == {"code": "rotten", "message": "{name} is rotten"}
    assert store.known_failure(OTHER) is None
    _commit(store, KEY, _file(tmp_path))
    assert store.known_failure(KEY) is None


def test_a_remembered_failure_that_cannot_be_read_is_none(store: Store) -> None:
    store.remember_failure(KEY, {"code": "rotten"})
    (path,) = (store.root / "failures").rglob("*.json")
    for rubbish in (b"", b"[1]", b"{"):
        path.write_bytes(rubbish)
        assert store.known_failure(KEY) is None


def test_a_full_disk_at_any_point_of_a_commit_is_a_store_error_and_leaves_no_result(
    tmp_path: Path,
) -> None:
    for step in ("object-synced", "object-renamed", "record-written"):

        def fail(name: str, at: str = step) -> None:
            if name == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        broken = Store(tmp_path / step, on_step=fail)
        with pytest.raises(StoreError, match="is full") as caught:
            _commit(broken, KEY, _file(tmp_path))
        assert "millrace gc" in caught.value.hint
        assert broken.find(KEY) is None
        assert list(broken.root.rglob("*.part")) == []
        assert _commit(Store(broken.root), KEY, _file(tmp_path)).units == 3


def test_a_store_where_none_can_be_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Store(_file(tmp_path) / "store")
    assert "MILLRACE_HOME" in caught.value.hint


def test_a_result_made_on_another_file_system_is_taken_in(store: Store) -> None:
    made = Path(f"/dev/shm/millrace-test-{os.getpid()}")
    made.write_bytes(b"from afar")
    assert made.stat().st_dev != store.root.stat().st_dev
    manifest = _commit(store, KEY, made)
    assert store.locate(manifest.output.digest).read_bytes() == b"from afar"
    assert not made.exists()
    assert list((store.root / "tmp").iterdir()) == []
