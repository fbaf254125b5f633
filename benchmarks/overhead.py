"""Measure what Millrace itself costs: to the first batch, a run all reused, a big plan, Ctrl-C.

    python benchmarks/overhead.py [--files 10000] [--items 1000]

Against the limits the product sets itself, with the local Prefect server up. The kind copies files
of a few bytes, so that all that is measured is ours. Ends with exit code 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time

from _bench import Bench, Row, Table, bench, document, files

_TIMES = 5
_COPY = "uses: faults.bytes"


def first_batch(at: Bench, number: int) -> tuple[float, float]:
    """Returns seconds from Enter to the session being open, and to the first batch being done."""
    files(at.folder / "in", 1, f"first batch {number}")
    document(at.folder, _COPY, to=f"first-{number}/{{source.path}}")
    began = time.time()
    at.run("run", "p.yaml", "--yes")
    records = at.newest_run()
    opened = next(r.at for r in records if r.event == "opened")
    done = next(r.at for r in records if r.event == "done")
    return opened - began, done - began


def interrupted(at: Bench) -> float:
    """Returns seconds from Ctrl-C in the middle of the work to the end of the process."""
    files(at.folder / "in", 20, "to be interrupted" * 200)
    document(at.folder, f"{_COPY}, with: {{pause: 0.2}}", to="interrupted/{source.path}")
    process = at.start("run", "p.yaml", "--yes")
    runs = at.home / "store" / "runs"
    before = set(runs.iterdir())
    while not any(
        '"progress"' in journal.read_text()
        for run in set(runs.iterdir()) - before
        for journal in run.glob("journal/*.jsonl")
    ):
        if process.poll() is not None:
            at.expect(process.returncode, ("run",), 130)
        time.sleep(0.1)
    asked = time.perf_counter()
    process.send_signal(signal.SIGINT)
    code = process.wait(60)
    seconds = time.perf_counter() - asked
    at.expect(code, ("run",), 130)
    return seconds


def help_shown(at: Bench) -> float:
    """Returns seconds that `millrace --help` takes."""
    began = time.perf_counter()
    subprocess.run(
        at.command("--help"), env=dict(at.environment), check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def measure(at: Bench, table: Table, items: int, planned: int) -> None:
    """Adds every figure to the table."""
    shown = statistics.median(help_shown(at) for _ in range(_TIMES))
    table.add(Row("millrace --help, median of 5", shown, "s"))

    firsts = [first_batch(at, number) for number in range(_TIMES)]
    opened, done = (statistics.median(column) for column in zip(*firsts, strict=True))
    each = "each " + " ".join(f"{one:.1f}" for one, _ in firsts)
    table.add(Row("Enter to the first batch begun, median of 5", opened, "s", 6.0, each))
    table.add(Row("Enter to the first batch done, median of 5", done, "s"))

    stops = [interrupted(at) for _ in range(3)]
    table.add(Row("Ctrl-C to the process ended, worst of 3", max(stops), "s", 5.0))

    files(at.folder / "in", items, "items")
    document(at.folder, _COPY, to="items/{source.path}")
    fresh = at.run("run", "p.yaml", "--yes")
    table.add(Row(f"{items} items, all new: the whole command", fresh.seconds, "s"))
    again = [at.run("run", "p.yaml", "--yes") for _ in range(3)]
    taken = statistics.median(one.seconds for one in again)
    cpu = f"{min(one.cpu for one in again):.1f} s of processor"
    table.add(Row(f"{items} items, all in the store, median of 3", taken, "s", 15.0, cpu))

    files(at.folder / "in", planned, "planned")
    document(at.folder, _COPY, to="planned/{source.path}")
    table.add(Row(f"plan of {planned} new files", at.run("plan", "p.yaml").seconds, "s"))
    plans = [at.run("plan", "p.yaml") for _ in range(3)]
    taken = statistics.median(one.seconds for one in plans)
    cpu = f"{min(one.cpu for one in plans):.1f} s of processor"
    table.add(Row(f"plan of {planned} measured files, median of 3", taken, "s", 10.0, cpu))
    most = max(one.peak for one in plans) / 1e6
    table.add(Row("  its peak RSS", most, "MB", 500.0))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=10_000, help="of the plan")
    parser.add_argument("--items", type=int, default=1_000, help="of the run that is all reused")
    options = parser.parse_args()
    table = Table("limit")
    with bench() as at:
        measure(at, table, options.items, options.files)
    sys.exit(any(row.against and row.measured > row.against for row in table.rows))


if __name__ == "__main__":
    main()
