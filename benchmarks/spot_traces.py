"""What spot machines save, and whether the deadline is kept, on traces of their coming and going.

    python benchmarks/spot_traces.py
    python benchmarks/spot_traces.py --traces FOLDER

Synthetic traces are seeded and bursty: calm for a third of the run on average, then a storm of half
an hour in which all spot machines go every five minutes for four. With a folder of traces in the
format of github.com/skypilot-org/spot-traces (`gap_seconds`, `data`: machines to be had at each
tick) each file is one more trace. That repository has no licence, so none is shipped here.

One own machine, three rented ones, 50 batches of 20 to 120 s. `firm` is the same run without spot,
`oracle` a bound for one who knows the trace and cuts batches at will. Money of the fleet.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Annotated

import typer
from _bench import ROOT

sys.path.insert(0, str(ROOT))

from millrace.engine.placement.model import Aim
from tests.engine.placement.simulated import Outages, bursty, oracle, run
from tests.engine.placement.test_spot_traces import POOLS, deadline, firm, work

_DAY = 86_400.0


def main(
    traces: Annotated[Path | None, typer.Option(help="folder of recorded traces")] = None,
    seeds: int = 6,
) -> None:
    """Runs each trace at three deadlines and prints cost and time."""
    row = "{:<34} {:>6} {:>8} {:>8} {:>6} {:>8} {:>8} {:>8} {:>9}"
    typer.echo(
        row.format("trace", "ease", "deadline", "end", "taken", "cost", "firm", "oracle", "of firm")
    )
    late = 0
    for ease in (1.2, 2.0, 4.0):
        ratios = []
        for name, seed, outages in _all(traces, seeds, ease):
            by = deadline(seed, ease)
            group, pieces = work(seed)
            mixed = run(group, pieces, POOLS, {"burst": outages}, Aim(deadline=by))
            rented = run(group, pieces, firm(POOLS), {}, Aim(deadline=by))
            best = oracle(sum(p.load for p in pieces), by, POOLS, {"burst": outages})
            late += mixed.end > by
            ratios.append(mixed.cost / rented.cost)
            typer.echo(
                row.format(
                    name,
                    ease,
                    f"{by:.0f}",
                    f"{mixed.end:.0f}",
                    mixed.taken,
                    f"{mixed.cost:.3f}",
                    f"{rented.cost:.3f}",
                    f"{best:.3f}",
                    f"{ratios[-1]:.2f}",
                )
            )
        typer.echo(f"ease {ease}: cost {statistics.mean(ratios):.2f} of firm on average")
    typer.echo(f"late: {late}")


def _all(folder: Path | None, seeds: int, ease: float) -> list[tuple[str, int, Outages]]:
    found: list[tuple[str, int, Outages]] = []
    for seed in range(seeds):
        by = deadline(seed, ease)
        found.append((f"bursty, seed {seed}", seed, bursty(seed, 4 * by, calm=by / 3)))
    for path in sorted(folder.rglob("*.json")) if folder else []:
        found.append((path.stem[-34:], 0, _recorded(path)))
    return found


def _recorded(path: Path) -> Outages:
    """Returns when no machine was to be had, from the first change on, for a day."""
    trace = json.loads(path.read_text())
    gap, data = float(trace["metadata"]["gap_seconds"]), trace["data"]
    first = next((i for i in range(1, len(data)) if bool(data[i]) != bool(data[i - 1])), 1) - 1
    outages: list[tuple[float, float]] = []
    for index, count in enumerate(data[first:]):
        begun = index * gap
        if count or begun > _DAY:
            continue
        if outages and outages[-1][1] == begun:
            outages[-1] = (outages[-1][0], begun + gap)
        else:
            outages.append((begun, begun + gap))
    return outages


if __name__ == "__main__":
    typer.run(main)
