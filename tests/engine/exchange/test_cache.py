"""The cache of inputs: whole or not there, within its limit, never from under somebody's feet."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.engine.errors import ItemError
from millrace.engine.exchange.cache import Cache, Fetch


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _gives(data: bytes) -> Fetch:
    def fetch(path: Path) -> bool:
        path.write_bytes(data)
        return True

    return fetch


def _refuses(path: Path) -> bool:
    raise AssertionError("it should have been in the cache")


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.glob("[0-9a-f][0-9a-f]/*"))


def test_what_was_fetched_once_is_there_the_next_time(tmp_path: Path) -> None:
    cache, data = Cache(tmp_path / "cache", 1000), b"abc"
    assert cache.obtain(_digest(data), 3, tmp_path / "one", _gives(data)) == 3
    assert cache.obtain(_digest(data), 3, tmp_path / "two", _refuses) == 0
    assert (tmp_path / "two").read_bytes() == data
    assert (tmp_path / "two").stat().st_mode & 0o222 == 0


@pytest.mark.parametrize(
    ("arrives", "code"),
    [(b"abd", "damaged_input"), (b"ab", "damaged_input"), (None, "missing_input")],
)
def test_what_arrives_damaged_is_nowhere(tmp_path: Path, arrives: bytes | None, code: str) -> None:
    cache = Cache(tmp_path / "cache", 1000)
    fetch = _gives(arrives) if arrives is not None else lambda path: False
    with pytest.raises(ItemError) as error:
        cache.obtain(_digest(b"abc"), 3, tmp_path / "target", fetch)
    assert error.value.code == code
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert cache.obtain(_digest(b"abc"), 3, tmp_path / "target", _gives(b"abc")) == 3


def test_a_shortened_entry_is_fetched_anew(tmp_path: Path) -> None:
    cache, data = Cache(tmp_path / "cache", 1000), b"abc"
    cache.obtain(_digest(data), 3, tmp_path / "one", _gives(data))
    (tmp_path / "one").unlink()
    (entry,) = (tmp_path / "cache").glob("[0-9a-f][0-9a-f]/*")
    entry.chmod(0o600)
    entry.write_bytes(b"a")
    assert cache.obtain(_digest(data), 3, tmp_path / "two", _gives(data)) == 3
    assert (tmp_path / "two").read_bytes() == data


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 300)
    contents = [bytes([65 + n]) * 100 for n in range(4)]

    def use(n: int, fetch: Fetch) -> None:
        target = tmp_path / "target"
        cache.obtain(_digest(contents[n]), 100, target, fetch)
        target.unlink()
        entry = tmp_path / "cache" / _digest(contents[n])[:2] / _digest(contents[n])
        os.utime(entry, ns=(use.tick, use.tick))  # type: ignore[attr-defined]
        use.tick += 10**9  # type: ignore[attr-defined]

    use.tick = 10**18  # type: ignore[attr-defined]
    for n in (0, 1, 2):
        use(n, _gives(contents[n]))
    use(0, _refuses)
    use(3, _gives(contents[3]))
    use(0, _refuses)
    use(2, _refuses)
    assert _size(tmp_path / "cache") == 300
    use(1, _gives(contents[1]))


def test_what_is_in_use_is_never_taken_away_to_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", 150)
    first, second = b"a" * 100, b"b" * 100
    cache.obtain(_digest(first), 100, tmp_path / "first", _gives(first))
    assert cache.obtain(_digest(second), 100, tmp_path / "second", _gives(second)) == 100
    assert (tmp_path / "second").read_bytes() == second
    assert cache.obtain(_digest(first), 100, tmp_path / "again", _refuses) == 0
    assert cache.obtain(_digest(second), 100, tmp_path / "more", _gives(second)) == 100
    for name in ("first", "again"):
        (tmp_path / name).unlink()
    cache.obtain(_digest(second), 100, tmp_path / "third", _gives(second))
    assert cache.obtain(_digest(second), 100, tmp_path / "fourth", _refuses) == 0
    assert _size(tmp_path / "cache") == 100


def test_what_is_larger_than_the_cache_passes_it_by(tmp_path: Path) -> None:
    cache, data = Cache(tmp_path / "cache", 99), b"a" * 100
    cache.obtain(_digest(data), 100, tmp_path / "target", _gives(data))
    assert (tmp_path / "target").read_bytes() == data
    assert _size(tmp_path / "cache") == 0


def _worker(folder: Path, number: int, limit: int, count: int, fetched: object) -> None:
    cache = Cache(folder / "cache", limit)
    for n in range(40):
        data = bytes([(n * (number + 1)) % count]) * 100
        target = folder / f"{number}-{n}"

        def fetch(path: Path, data: bytes = data) -> bool:
            path.write_bytes(data)
            with fetched.get_lock():  # type: ignore[attr-defined]
                fetched.value += 1  # type: ignore[attr-defined]
            return True

        cache.obtain(_digest(data), 100, target, fetch)
        assert target.read_bytes() == data
        target.unlink()


@pytest.mark.parametrize("limit", [10_000, 250])
def test_many_workers_of_a_host_share_it(tmp_path: Path, limit: int) -> None:
    context = multiprocessing.get_context("fork")
    fetched = context.Value("i", 0)
    workers = [
        context.Process(target=_worker, args=(tmp_path, n, limit, 7, fetched)) for n in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    if limit == 10_000:
        assert fetched.value == 7  # everything once, whoever asked first
    assert _size(tmp_path / "cache") <= max(limit, 400)


@settings(max_examples=60, deadline=None)
@given(
    limit=st.integers(1, 400),
    steps=st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=30),
)
def test_the_limit_holds_whatever_is_asked_for(limit: int, steps: list[tuple[int, bool]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        cache = Cache(folder / "cache", limit)
        in_use: dict[Path, bytes] = {}
        for n, (tens, keep) in enumerate(steps):
            data = bytes([tens]) * (tens * 10)
            target = folder / str(n)
            cache.obtain(_digest(data), len(data), target, _gives(data))
            in_use[target] = data
            if not keep:
                target.unlink()
                in_use.pop(target)
            assert all(path.read_bytes() == content for path, content in in_use.items())
            assert _size(folder / "cache") <= limit
