"""The files behind the leases: torn, foreign, locked for ever, deleted."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from millrace.engine.errors import StoreError
from millrace.engine.hosts.devices import Host
from millrace.engine.hosts.leases import LeaseBook
from millrace.engine.hosts.lockfiles import LockFolder
from millrace.engine.stages import Needs

HOST = Host(cores=128, memory=1 << 38)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def book(folder: Path) -> LeaseBook:
    return LeaseBook(folder, HOST)


def test_a_file_cut_short_by_a_crash_is_ignored_and_removed(book: LeaseBook, folder: Path) -> None:
    (folder / "000000000007-0000.held").write_text('{"pid": 1, "cla')
    (folder / "000000000008-0000.queued").write_text("")
    with book.acquire(Needs(cores=128), timeout=0):
        assert len(list(folder.iterdir())) == 2


def test_a_living_lease_that_cannot_be_read_is_an_error_not_a_guess(
    book: LeaseBook, folder: Path
) -> None:
    for text in ("nonsense", "[]", '{"pid": 1}', '{"pid": 1, "since": 0, "claim": {"gpu": 3}}'):
        path = folder / "000000000007-0000.held"
        path.write_text(text)
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(StoreError, match=r"can(not)? be read"):
                book.acquire(Needs(), timeout=0)


def test_a_book_kept_locked_is_an_error_that_says_where_to_look(folder: Path) -> None:
    files = LockFolder(folder, patience=0.1)
    with files.locked(), pytest.raises(StoreError, match=r"kept .*book locked"), files.locked():
        pass


def test_a_folder_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot keep leases"):
        LeaseBook(tmp_path / "file" / "leases", HOST)


def test_a_folder_emptied_under_a_waiting_request_is_an_error(
    book: LeaseBook, folder: Path
) -> None:
    def empty() -> None:
        for path in folder.glob("*.*"):
            path.unlink()

    with book.acquire(Needs(cores=128)), pytest.raises(StoreError, match="emptied"):
        book.acquire(Needs(cores=1), on_wait=empty)


def test_a_folder_that_is_gone_is_a_store_error(book: LeaseBook, folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match="No such file"):
        book.acquire(Needs())


def test_a_file_dropped_by_its_owner_says_nothing_any_more(folder: Path) -> None:
    files = LockFolder(folder)
    with files.locked():
        made = files.create("000000000001-a.held", {"pid": 1})
        (name,) = files.alive()
        assert files.read(name) == {"pid": 1}
        files.drop(made, name)
        assert files.read(name) is None
        assert files.alive() == []
