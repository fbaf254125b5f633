"""The first frames of a process, brought by several threads together."""

import subprocess
import sys

SCRIPT = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

from millrace.engine.hosts.devices import Device
from millrace.tasks.video.network import Levels, find_network
from millrace.tasks.video.upscaler import open_upscaler

together = Barrier(4)

def first(number):
    together.wait()
    return upscaler(np.zeros((40, 40), np.uint8), Levels(8, full=False)).shape

with open_upscaler(find_network("luma_x2"), 2, "exact", Device(cores=4)) as upscaler:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(first, range(4))) == [(80, 80)] * 4
"""


def test_first_frames_that_come_together_do_not_lock_each_other_out() -> None:
    for _ in range(3):
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
