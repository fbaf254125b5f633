"""What the benchmarks share: a home of their own with a Prefect server, timed commands, tables."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from millrace.engine.journal import Record, read

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "tests" / "plugins"
_SAMPLING = 0.05  # seconds between two looks at the memory of a tree of processes


@dataclass(frozen=True)
class Ended:
    """A command that has ended: wall and processor seconds, and the peak of its largest process."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Bench:
    """A folder with a Millrace home, a server that is up, and the kinds of the tests installed."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        """The home of these runs."""
        return Path(self.environment["MILLRACE_HOME"])

    def command(self, *words: str) -> list[str]:
        """Returns the command line of a millrace command."""
        return [sys.executable, "-m", "millrace", *words]

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a millrace command, silent."""
        return subprocess.Popen(
            self.command(*words),
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.txt").open("wb"),
            start_new_session=True,
        )

    def run(self, *words: str) -> Ended:
        """Returns what a millrace command cost. Ends the benchmark when the command fails."""
        began = time.perf_counter()
        process = self.start(*words)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        self.expect(process.returncode, words)
        return Ended(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)

    def expect(self, code: int, words: Sequence[str], wanted: int = 0) -> None:
        """Ends the benchmark when a command ended otherwise than it should."""
        if code != wanted:
            told = (self.folder / "stderr.txt").read_text()
            raise SystemExit(f"millrace {' '.join(words)} ended with {code}:\n{told}")

    def newest_run(self) -> list[Record]:
        """Returns the journal of the newest run."""
        return read(max((self.home / "store" / "runs").iterdir()) / "journal")


@contextmanager
def bench() -> Iterator[Bench]:
    """Yields a bench in a temporary folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as name:
        folder = Path(name)
        info = folder / "kinds" / "millrace_command-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: millrace-command\nVersion: 1\n"
        )
        (info / "entry_points.txt").write_text(
            "[millrace.stages]\ncommand.run = millrace_command.command:Run\n"
        )
        kinds = (info.parent, PLUGINS / "millrace-command", PLUGINS / "faults")
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PREFECT_", "MILLRACE_"))}
        made = Bench(
            folder=folder,
            environment=kept
            | {
                "MILLRACE_HOME": str(folder / "home"),
                "PREFECT_HOME": str(folder / "no-profiles"),
                "PYTHONPATH": os.pathsep.join(map(str, kinds)),
            },
        )
        made.run("server", "start")
        try:
            yield made
        finally:
            made.run("server", "stop")


def document(folder: Path, stage: str, inputs: str = "in/*", to: str = "out/{source.path}") -> Path:
    """Writes a pipeline with one stage into `folder`; `stage` is its kind and `with:`, as YAML."""
    path = folder / "p.yaml"
    path.write_text(
        "version: 1\nname: bench\nlabel: internal\n"
        f'inputs:\n  files: {{files: "{inputs}"}}\n'
        f"stages:\n  work: {{each: files, {stage}}}\n"
        f'outputs:\n  out: {{from: work, to: "{to}"}}\n'
    )
    return path


def files(folder: Path, count: int, text: str = "") -> Path:
    """Makes `count` small files that all differ, an hour old so that their digests are kept."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    old = time.time() - 3600
    for number in range(count):
        path = folder / f"{number:05}.txt"
        path.write_text(f"{number} {text}\n")
        os.utime(path, (old, old))
    return folder


@contextmanager
def peak_of_tree(process: subprocess.Popen[bytes]) -> Iterator[dict[str, int]]:
    """Yields what it looked like at the peak of the summed RSS of a process and all it started:
    {"total": bytes, program: bytes of all its processes, …}. Pages that processes share count in
    each; a child that has its parent's command line still, between fork and exec, holds no memory
    of its own and counts when it lives longer than one look."""
    peaks: dict[str, int] = {"total": 0}
    done = threading.Event()
    root = psutil.Process(process.pid)

    def look() -> None:
        before: set[int] = set()
        while not done.wait(_SAMPLING):
            seen: dict[str, int] = {}
            lines: dict[int, list[str]] = {}
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    if each.pid not in before and each.cmdline() == lines.get(each.ppid()):
                        continue
                    lines[each.pid] = each.cmdline()
                    name = "millrace run" if each == root else each.name()
                    seen[name] = seen.get(name, 0) + each.memory_info().rss
            before = {each.pid for each in family}
            total = sum(seen.values())
            if total > peaks["total"]:
                peaks.clear()
                peaks.update({"total": total, **seen})

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        done.set()
        watcher.join()


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured against a limit or a peer, in one unit."""

    what: str
    measured: float
    unit: str
    against: float | None = None
    note: str = ""


@dataclass
class Table:
    """Prints rows as they come, so that a long benchmark shows where it is."""

    peer: str  # heading of the column compared with
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        one, five, _ = os.getloadavg()
        print(f"{platform.machine()}, {os.cpu_count()} cores, load {one:.1f} (5 min: {five:.1f})")
        print(f"{'what':58}{'measured':>13}{self.peer:>13}{'ratio':>8}  load")

    def add(self, row: Row) -> None:
        """Prints a row; the ratio is measured / compared with, below 1 is better."""
        self.rows.append(row)
        against = ratio = "-"
        if row.against is not None:
            against = f"{row.against:.4g} {row.unit}"
            ratio = f"{row.measured / row.against:.2f}"
        measured = f"{row.measured:.4g} {row.unit}"
        load = os.getloadavg()[0]
        print(
            f"{row.what:58}{measured:>13}{against:>13}{ratio:>8}  {load:.1f}  {row.note}".rstrip()
        )
        sys.stdout.flush()
