"""Measure the engine against a bare Python loop that starts the same command for the same files.

    python benchmarks/engine_against_loop.py [--files 200] [--work 0.2]

The loop keeps as many commands going as there are cores, as Millrace does. Once with `cp`, where
all is overhead, and once with a command that takes `--work` seconds. Millrace's times are those of
the whole command, with the local server up. Then all of it again: Millrace finds every result in
its store, the loop does all the work again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _bench import Bench, Row, Table, bench, document, files

Command = tuple[str, ...]
_COPY: Command = ("cp", "{input}", "{output}")


def slow(seconds: float) -> Command:
    """Returns a command that copies after a while."""
    return ("sh", "-c", f'sleep {seconds}; cp "$1" "$2"', "sh", "{input}", "{output}")


def loop(command: Command, source: Path, out: Path) -> float:
    """Returns the seconds that a bare loop takes."""
    began = time.perf_counter()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def one(path: Path) -> None:
        places = {"{input}": str(path), "{output}": str(out / path.name)}
        subprocess.run([places.get(word, word) for word in command], check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(one, sorted(source.iterdir())):
            pass
    return time.perf_counter() - began


def engine(at: Bench, command: Command, out: str) -> float:
    """Returns the seconds that `millrace run` takes for the same, and checks that it did it."""
    words = json.dumps(list(command))  # JSON is YAML
    document(at.folder, f"uses: command.run, with: {{command: {words}}}", to=out + "/{source.path}")
    seconds = at.run("run", "p.yaml", "--yes").seconds
    wanted, made = len(list((at.folder / "in").iterdir())), len(list((at.folder / out).iterdir()))
    if wanted > made - 1:  # report.html lies beside the outputs
        raise SystemExit(f"{made - 1} of {wanted} files were made")
    return seconds


def compare(at: Bench, table: Table, name: str, command: Command, count: int) -> None:
    """Adds the rows of one command."""
    place = name.replace(" ", "-")
    files(at.folder / "in", 1, "one " + name)
    single = engine(at, command, f"one-{place}")
    single_loop = loop(command, at.folder / "in", at.folder / "loop")
    files(at.folder / "in", count, "many " + name)
    bare = loop(command, at.folder / "in", at.folder / "loop")
    whole = engine(at, command, f"many-{place}")
    again = engine(at, command, f"many-{place}")
    each, each_bare = (
        1000 * (many - one) / (count - 1) for many, one in ((whole, single), (bare, single_loop))
    )
    table.add(Row(f"{name}: one file", single, "s", single_loop))
    table.add(Row(f"{name}: {count} files", whole, "s", bare))
    table.add(Row("  each further file", each, "ms", each_bare, f"{each - each_bare:+.1f} ms"))
    table.add(Row(f"  all again: {count} found, loop anew", again, "s", bare))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--work", type=float, default=0.2, help="seconds of the slower command")
    options = parser.parse_args()
    table = Table("loop")
    with bench() as at:
        compare(at, table, "cp", _COPY, options.files)
        compare(at, table, f"{options.work} s of work", slow(options.work), options.files)


if __name__ == "__main__":
    main()
