"""Places: a folder and a real S3 server behave alike."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from millrace.engine.errors import StoreError, ToolMissing, UsageError
from millrace.engine.exchange.places import Place
from tests.s3 import ACCESS_KEY, S3, SECRET_KEY, server, use


def test_what_was_put_comes_back_and_goes_when_deleted(place: Place, tmp_path: Path) -> None:
    assert place.get("a/b.json") is None
    assert place.list() == []
    assert place.put("a/b.json", b"one")
    assert place.put("a/b.json", b"two")
    assert place.get("a/b.json") == b"two"
    assert place.size("a/b.json") == 3
    assert place.size("a") is None
    assert place.download("a/b.json", tmp_path / "back") == 3
    assert (tmp_path / "back").read_bytes() == b"two"
    place.delete("a/b.json")
    place.delete("a/b.json")
    assert place.get("a/b.json") is None
    assert place.download("a/b.json", tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_an_empty_object_is_an_object(place: Place, tmp_path: Path) -> None:
    place.put("stops/run", b"")
    assert place.get("stops/run") == b""
    assert place.size("stops/run") == 0
    assert place.download("stops/run", tmp_path / "back") == 0


def test_a_listing_is_by_prefix_sorted_and_never_old(place: Place) -> None:
    for name in ("x/2", "x/10", "x/1", "xy/3", "other"):
        place.put(name, b"-")
    assert place.list("x/") == ["x/1", "x/10", "x/2"]
    assert place.list("x/1") == ["x/1", "x/10"]
    assert place.list("x") == ["x/1", "x/10", "x/2", "xy/3"]
    assert place.list("nothing/here/") == []
    again = Place.open(place.url)
    assert again.list("x/") == ["x/1", "x/10", "x/2"]
    place.put("x/3", b"-")
    place.delete("x/1")
    assert again.list("x/") == ["x/10", "x/2", "x/3"]


def test_of_many_who_put_if_absent_exactly_one_does(place: Place) -> None:
    def claim(n: int) -> bool:
        return place.put("claim", f"{n}".encode(), if_absent=True)

    with ThreadPoolExecutor(8) as pool:
        won = [n for n, mine in enumerate(pool.map(claim, range(8))) if mine]
    assert len(won) == 1
    assert place.get("claim") == str(won[0]).encode()
    assert place.list() == ["claim"]


def test_threads_share_a_place_while_others_tidy_it(place: Place, tmp_path: Path) -> None:
    def work(n: int) -> bytes | None:
        name = f"deep/er/{n}"
        place.put(name, f"{n}".encode())
        found = place.get(name)
        place.delete(name)
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(60))) == [f"{n}".encode() for n in range(60)]
    assert place.list() == []


def test_long_files_arrive_whole(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom((35 << 20) + 7))
    place.upload("objects/long", source)
    assert place.size("objects/long") == source.stat().st_size
    place.download("objects/long", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_more_bytes_than_allowed_are_not_taken(place: Place, tmp_path: Path) -> None:
    place.put("long", b"x" * 100)
    with pytest.raises(StoreError, match="100 bytes, allowed are 99"):
        place.get("long", limit=99)
    with pytest.raises(StoreError, match="100 bytes"):
        place.download("long", tmp_path / "back", limit=99)
    assert not (tmp_path / "back").exists()
    assert place.get("long", limit=100) == b"x" * 100


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a/../../b", "a//b", ".", "a/", "a/\n", "a\0"])
def test_names_that_could_lead_elsewhere_are_refused(place: Place, name: str) -> None:
    for act in (place.get, place.delete, lambda n: place.put(n, b"x")):
        with pytest.raises(StoreError, match="no name of an object"):
            act(name)


def test_a_failed_upload_leaves_nothing_behind(tmp_path: Path) -> None:
    place = Place.open(str(tmp_path / "folder"))
    place.put("a", b"old")
    with pytest.raises(OSError, match="No such file"):
        place.upload("a", tmp_path / "nothing")
    assert place.get("a") == b"old"
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["a"]


@pytest.mark.parametrize("url", ["relative/folder", "file://host/folder", "", "nothing://x/y"])
def test_what_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no store"):
        Place.open(url)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refused:
        Place.open("s3://someone:hush@bucket/x")
    assert "hush" not in str(refused.value)
    assert "environment" in refused.value.hint


def test_a_store_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ToolMissing, match="gs://") as missing:
        Place.open("gs://bucket/x")
    assert "[gcs]" in missing.value.hint


def test_wrong_credentials_and_buckets_are_told_at_once_without_the_credentials(
    s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        Place.open("s3://elsewhere/x").put("a", b"1")
    with pytest.raises(StoreError, match="no such bucket"):
        Place.open("s3://elsewhere/x").list()
    if not s3.real:
        return  # moto's server lets everybody in
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-wrong-one")
    began = time.monotonic()
    with pytest.raises(StoreError, match="credentials") as refused:
        Place.open(s3.url()).put("a", b"1")
    assert time.monotonic() - began < 60  # not the whole patience
    for secret in (ACCESS_KEY, SECRET_KEY, "a-wrong-one"):
        assert secret not in str(refused.value)


def test_a_store_that_does_not_answer_for_a_while_is_waited_for(s3: S3, tmp_path: Path) -> None:
    place = Place.open(s3.url(tmp_path.name))
    place.put("a", b"before")
    s3.pause()
    threading.Timer(3, s3.resume).start()
    assert place.get("a") == b"before"
    assert place.put("a", b"after")
    assert place.get("a") == b"after"


def test_a_store_that_is_gone_is_told_by_name_after_the_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "s3") as short_lived:
        use(short_lived, monkeypatch)
        place = Place.open(short_lived.url("there"), patience=1.5)
        place.put("a", b"1")
    with pytest.raises(StoreError, match=r"s3://bucket/there could not read a for 2 s") as gone:
        place.get("a")
    assert SECRET_KEY not in str(gone.value)
    with server(tmp_path / "s3", port=int(short_lived.endpoint.rpartition(":")[2])):
        assert not short_lived.real or place.patient(60).get("a") == b"1"
