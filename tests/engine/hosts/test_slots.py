"""The slots of a host: never more holders than slots, and none lost with its holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from millrace.engine.hosts.slots import slot

HOLD = """
import sys, time
from pathlib import Path
from millrace.engine.hosts.slots import slot
with slot(Path(sys.argv[1]), 1, waiting=lambda s: None, given_up=lambda: False):
    print("held", flush=True)
    time.sleep(600)
"""


def test_never_more_hold_a_slot_than_there_are(tmp_path: Path) -> None:
    holders, most = [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with slot(tmp_path, 2, waiting=lambda s: None, given_up=lambda: False) as mine:
            assert mine
            with lock:
                holders[0] += 1
                most[0] = max(most[0], holders[0])
            time.sleep(0.05)
            with lock:
                holders[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_a_slot_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    waits: list[float] = []

    def kill(seconds: float) -> None:
        if not waits:
            os.kill(holder.pid, signal.SIGKILL)
        waits.append(seconds)

    with slot(tmp_path, 1, waiting=kill, given_up=lambda: False) as mine:
        assert mine and waits
    holder.wait()


def test_who_gives_up_waiting_holds_nothing(tmp_path: Path) -> None:
    with (
        slot(tmp_path, 1, waiting=lambda s: None, given_up=lambda: False),
        slot(tmp_path, 1, waiting=lambda s: None, given_up=lambda: True) as mine,
    ):
        assert not mine
