"""The hold of a conductor on its run: one at a time, and never for ever."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from millrace.engine import hold


def _silenced(lock: Path) -> None:
    long_ago = time.time() - 2 * hold.SILENCE
    os.utime(lock, (long_ago, long_ago))


def test_a_holder_that_gives_signs_of_life_is_waited_for(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    handle = hold.take(lock, replace=True)
    hold.beat(lock)
    taken = threading.Event()

    def second() -> None:
        os.close(hold.take(lock, replace=True))
        taken.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not taken.wait(1)
    assert hold.held(lock)
    os.close(handle)
    assert taken.wait(30)
    thread.join()
    assert not hold.held(lock)


def test_a_silent_holder_is_replaced_by_one_taker_and_not_by_two(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    old = hold.take(lock, replace=True)
    _silenced(lock)
    assert hold.silent(lock) > hold.SILENCE
    handles: list[int] = []
    threads = [
        threading.Thread(target=lambda: handles.append(hold.take(lock, replace=True)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    time.sleep(2)
    assert len(handles) == 1  # the others wait for the new one, who is not silent
    while threads:
        os.close(handles.pop())
        threads = [thread for thread in threads if thread.is_alive()]
        end = time.monotonic() + 30
        while threads and not handles and time.monotonic() < end:
            time.sleep(0.05)
    os.close(old)


def test_without_leave_to_replace_a_silent_holder_keeps_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    handle = hold.take(lock, replace=False)
    _silenced(lock)
    thread = threading.Thread(target=lambda: os.close(hold.take(lock, replace=False)), daemon=True)
    thread.start()
    thread.join(1)
    assert thread.is_alive()
    os.close(handle)
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("hours", [-5, 5])
def test_silence_is_counted_by_the_disks_clock_and_not_by_the_hosts(
    tmp_path: Path, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    os.close(hold.take(lock, replace=False))
    now = time.time
    monkeypatch.setattr("millrace.engine.hold.time.time", lambda: now() + hours * 3600)
    assert hold.silent(lock) < 30
