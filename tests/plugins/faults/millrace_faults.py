"""A stage kind that fails in every way a kind can fail, to prove an error instead of a hang.

It copies a file byte by byte (its unit) in cuts of `cut` bytes. What goes wrong is asked for by the
file's own content: a line `!WORD` in it. So one batch can misbehave among good ones.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from millrace.engine.errors import BadInput, DamagedOutput, ToolMissing
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions.tools import run, spawn
from millrace.engine.stages import (
    Batch,
    Failure,
    Needs,
    Outline,
    Progress,
    Result,
    Span,
    Staged,
    Work,
)


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cut: int = 1000
    open_fails: bool = False
    pause: float = 0.0
    memory: int = 0


class Bytes:
    kind: ClassVar[str] = "faults.bytes"
    version: ClassVar[int] = 1
    unit: ClassVar[str] = "byte"
    Params: ClassVar[type[BaseModel]] = Params
    accepts: ClassVar[tuple[str, ...]] = ()
    gathers: ClassVar[bool] = False
    lossy: ClassVar[bool] = False
    prior: ClassVar[float] = 1e6
    environment: ClassVar[tuple[str, ...]] = ("FAULTS_EXTRA", "FAULTS_TOKEN")

    def __init__(self, params: Params) -> None:
        self.params = params

    def measure(self, item: Staged) -> Outline:
        word = _word(item.path)
        if word == "bad":
            raise BadInput("rotten", f"{item.name} is rotten", hint="throw it away")
        if word == "measure-hang":
            time.sleep(600)
        if word == "measure-crash":
            raise RuntimeError("boom\nand more")
        size = item.path.stat().st_size
        return Outline(media_type="text/plain", size=size, facts={"opened": "open" in os.environ})

    def work(self, outline: Outline) -> Work:
        memory = self.params.memory + outline.size if self.params.memory else 0
        return Work(units=outline.size, needs=Needs(memory=memory))

    def forecast(self, outline: Outline) -> Outline:
        return outline

    def split(self, outline: Outline) -> Sequence[Span]:
        cut = self.params.cut
        edges = [*range(0, outline.size, cut), outline.size]
        return [Span(start=a, stop=b) for a, b in pairwise(edges)]

    def profile(self, device: Device) -> Mapping[str, str]:
        return {}

    @contextmanager
    def open(self, device: Device) -> Iterator[dict[str, int]]:
        if self.params.open_fails:
            raise ToolMissing("the saw is missing", hint="apt-get install saw")
        yield {"runs": 0}
        print("session closed")

    def run(
        self, session: dict[str, int], batches: Sequence[Batch], out: Path, progress: Progress
    ) -> Iterator[Result | Failure]:
        session["runs"] += 1
        for batch in batches:
            word = _word(batch.item.path)
            if word in _FAULTS:
                answer = _FAULTS[word](batch, out)
                if answer is None:
                    continue
                if word == "twice":
                    yield answer
                yield answer
                continue
            yield self._copy(batch, out, progress)

    def _copy(self, batch: Batch, out: Path, progress: Progress) -> Result:
        start, stop = int(batch.span.start), int(batch.span.stop)
        data = batch.item.path.read_bytes()[start:stop]
        path = out / f"{batch.key}.txt"
        with path.open("wb") as file:
            for done in range(0, len(data), 100):
                file.write(data[done : done + 100])
                progress(batch.key, done)
                time.sleep(self.params.pause)
        return _result(batch, path)

    def join(
        self,
        session: Any,
        batch: Batch,
        parts: Sequence[Result],
        out: Path,
        progress: Progress,
    ) -> Result:
        path = out / f"{batch.key}.txt"
        path.write_bytes(b"".join(part.path.read_bytes() for part in parts))
        return _result(batch, path)

    def check(self, batch: Batch, result: Result) -> None:
        if not result.facts and result.path.stat().st_size != batch.span.units:
            raise DamagedOutput(f"{batch.item.name} has another size now")


def _word(path: Path) -> str:
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        if line.startswith("!"):
            return line[1:]
    return ""


def _result(batch: Batch, path: Path, key: str = "") -> Result:
    return Result(key=key or batch.key, path=path, media_type="text/plain", units=batch.span.units)


def _written(batch: Batch, path: Path, less: int = 0) -> Path:
    data = batch.item.path.read_bytes()
    path.write_bytes(data[: len(data) - less])
    return path


def _raise(error: BaseException) -> None:
    raise error


def _hang(batch: Batch, out: Path) -> None:
    time.sleep(600)


def _hang_in_tool(batch: Batch, out: Path) -> None:
    run(["sleep", "600"], cwd=out)


def _hang_deaf(batch: Batch, out: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _start_family(batch, "trap '' TERM; sleep 600 & echo $! >&3; wait")
    while True:
        time.sleep(1)


def _tool_and_hang(batch: Batch, out: Path) -> None:
    _start_family(batch, "sleep 600 & echo $! >&3; wait")
    while True:
        time.sleep(1)


def _strays(batch: Batch, out: Path) -> Result:
    """Starts a tool in a group of its own and one in a session of its own, and forgets them."""
    stray = [
        subprocess.Popen(["sleep", "600"], **apart)
        for apart in ({"process_group": 0}, {"start_new_session": True})
    ]
    (batch.item.path.parent / "strays").write_text(" ".join(str(one.pid) for one in stray))
    return _result(batch, _written(batch, out / f"{batch.key}.txt"))


def _start_family(batch: Batch, script: str) -> None:
    """Starts a tool that starts another, and writes down the ids of all three beside the input."""
    folder = batch.item.path.parent
    tool = spawn(["sh", "-c", f"exec 3> grandchild; {script}"], cwd=folder)
    grandchild = folder / "grandchild"
    while not (grandchild.exists() and grandchild.read_text().endswith("\n")):
        time.sleep(0.01)
    family = folder / "family"
    family.with_suffix(".new").write_text(f"{os.getpid()} {tool.pid} {grandchild.read_text()}")
    family.with_suffix(".new").rename(family)


def _tool_killed(batch: Batch, out: Path) -> Result | None:
    done = run(["sh", "-c", "kill -9 $$"], cwd=out)
    return _raise(RuntimeError(f"tool ended with {done.code}"))  # type: ignore[func-returns-value]


def _grow(batch: Batch, out: Path) -> Result:
    path = out / f"{batch.key}.txt"
    with path.open("wb") as file:
        for byte in batch.item.path.read_bytes():
            file.write(bytes([byte]))
            file.flush()
            time.sleep(0.5)
    return _result(batch, path)


def _eat(batch: Batch, out: Path) -> None:
    eaten = []
    for _ in range(400):
        eaten.append(bytearray(os.urandom(1 << 20)))
        time.sleep(0.01)


def _link_out(batch: Batch, out: Path) -> Result:
    path = out / "link.txt"
    path.symlink_to(batch.item.path)
    return _result(batch, path)


def _link_inside(batch: Batch, out: Path) -> Result:
    folder = out / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    return _result(batch, folder)


def _hard_link(batch: Batch, out: Path) -> Result:
    path = out / "hard.txt"
    path.hardlink_to(batch.item.path)
    return _result(batch, path)


def _garbage(batch: Batch, out: Path) -> None:
    for number in range(3, 64):
        try:
            if "pipe" in str(Path(f"/proc/self/fd/{number}").readlink()):
                os.write(number, b'{"event": "result", "eval": 1}\n')
        except OSError:
            continue
    time.sleep(600)


def _print(batch: Batch, out: Path) -> Result:
    print('{"event": "done"}')
    sys.stderr.write("to stderr\n")
    os.write(1, b"x" * 9_000_000 + b"THE END\n")
    return _result(batch, _written(batch, out / f"{batch.key}.txt"))


def _confess(batch: Batch, out: Path) -> None:
    """Says what it knows wherever a kind can: on its output, through a tool, in its error."""
    text = f"{batch.item.name}: {batch.item.path.read_text()}"
    print(text)
    sys.stderr.write(text)
    run(["cat", str(batch.item.path)], cwd=out)
    raise RuntimeError(text)


def _environment(batch: Batch, out: Path) -> Result:
    tool = run(["env"], cwd=out).stdout
    path = out / "env.txt"
    path.write_text("\n".join(f"{k}={v}" for k, v in os.environ.items()) + "\n--\n" + tool)
    return Result(
        key=batch.key,
        path=path,
        media_type="text/plain",
        units=1,
        facts={"env": path.read_text(), "stdin": sys.stdin.read()},
    )


_FAULTS: dict[str, Callable[[Batch, Path], Result | Failure | None]] = {
    "bad-run": lambda b, o: _raise(BadInput("rotten", f"{b.item.name} is rotten")),
    "failure": lambda b, o: Failure(key=b.key, code="rotten", message=f"{b.item.name} is rotten"),
    "crash": lambda b, o: _raise(RuntimeError("boom\nsecond line")),
    "exit": lambda b, o: sys.exit(3),
    "segfault": lambda b, o: os.kill(os.getpid(), signal.SIGSEGV),
    "kill-self": lambda b, o: os.kill(os.getpid(), signal.SIGKILL),
    "full": lambda b, o: _raise(OSError(errno.ENOSPC, "No space left on device")),
    "silent": lambda b, o: None,
    "hang": _hang,
    "tool-hang": _hang_in_tool,
    "deaf": _hang_deaf,
    "tool-killed": _tool_killed,
    "eat": _eat,
    "strays": _strays,
    "grow": _grow,
    "tool-and-hang": _tool_and_hang,
    "other-key": lambda b, o: _result(b, _written(b, o / "x.txt"), key="stranger"),
    "twice": lambda b, o: _result(b, _written(b, o / "x.txt")),
    "outside": lambda b, o: _result(b, b.item.path),
    "link-out": _link_out,
    "hard-link": _hard_link,
    "link-inside": _link_inside,
    "not-there": lambda b, o: _result(b, o / "nothing"),
    "short": lambda b, o: _result(b, _written(b, o / "short.txt", 1)),
    "garbage": _garbage,
    "print": _print,
    "environment": _environment,
    "confess": _confess,
    "same": lambda b, o: _result(b, _written(b, o / "same.txt")),
    "not-a-result": lambda b, o: "hello",  # type: ignore[dict-item,return-value]
}
