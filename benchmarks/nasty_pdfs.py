"""Reads awkward PDFs with `documents.read` and with OCRmyPDF, and counts what each gets done.

    python benchmarks/nasty_pdfs.py FOLDER [--ocrmypdf PROGRAM] [--passwords FILE]

Each file is read alone, in a process of its own that is ended after 60 s (`--seconds`). *Refused*
is an answer with a reason; *broken* is none: a crash, a hang, too much memory. OCRmyPDF runs with
`--skip-text`, as one calls it for files that may have text; it is found on PATH, or named.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

SECONDS = 60.0
MEMORY = 2 << 30

_OURS = """
import json, sys
from pathlib import Path
from millrace.engine.errors import MillraceError
from millrace.engine.hosts.devices import Device
from millrace.engine.stages import Batch, Failure, Span, Staged
from millrace.tasks.documents.reading.kind import Read
from millrace.tasks.documents.reading.params import ReadParams
kind = Read(ReadParams(speed=sys.argv[2]))
item = Staged(name=Path(sys.argv[1]).name, path=Path(sys.argv[1]))
try:
    outline = kind.measure(item)
    span = Span(stop=kind.work(outline).units)
    batch = Batch(key="0" * 20, item=item, outline=outline, span=span, whole=True)
    with kind.open(Device()) as session:
        (answer,) = kind.run(session, [batch], Path.cwd(), lambda key, units: None)
    if isinstance(answer, Failure):
        told = ["refused", answer.code]
    else:
        kind.check(batch, answer)
        missing = answer.facts["trouble"]
        told = ["partial" if missing else "done", ", ".join(c for c, _ in missing.values())]
except MillraceError as error:
    told = ["refused", getattr(error, "code", "")]
print(json.dumps(told))
"""


def main() -> None:
    """Prints a line a file, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ocrmypdf", default=shutil.which("ocrmypdf"))
    parser.add_argument("--passwords", type=Path, help="passwords to try, one a line: ours only")
    parser.add_argument("--speed", default="balanced")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a file, on a busy machine")
    parser.add_argument(
        "--peer-without-ocr",
        action="store_true",
        help="OCRmyPDF is spared its OCR: what it then does is the most it can",
    )
    asked = parser.parse_args()
    sums = {"ours": Counter[str](), "ocrmypdf": Counter[str]()}
    for file in sorted(asked.folder.glob("*.pdf")):
        ours = read(file, asked.speed, asked.passwords, asked.seconds)
        peer = ("-", "", 0.0, 0)
        if asked.ocrmypdf:
            more = ["--tesseract-timeout", "0"] if asked.peer_without_ocr else []
            peer = ocrmypdf(file, [asked.ocrmypdf, *more], asked.seconds)
        sums["ours"][ours[0]] += 1
        sums["ocrmypdf"][peer[0]] += 1
        told = f"{ours[0]:8} {ours[1]:14} {ours[2]:5.1f} s {ours[3] >> 20:5} MiB"
        print(f"{file.name:44} {told} | {peer[0]:8} {peer[1]:26} {peer[2]:5.1f} s", flush=True)
    for name, counts in sums.items():
        print(f"{name:9} " + ", ".join(f"{counts[w]} {w}" for w in sorted(counts)))
    if asked.ocrmypdf:
        more = sums["ours"]["done"] > sums["ocrmypdf"]["done"]
        print(f"more done than OCRmyPDF: {'yes' if more else 'NO'}")
        sys.exit(not (more and not sums["ours"]["broken"]))


def read(
    file: Path, speed: str, passwords: Path | None, limit: float
) -> tuple[str, str, float, int]:
    """Returns what became of a file, why, the seconds, and the peak of memory in bytes."""
    environment = dict(os.environ)
    if passwords:
        environment["MILLRACE_PASSWORDS"] = passwords.read_text()
    argv = [sys.executable, "-c", _OURS, str(file.resolve()), speed]
    code, said, seconds, peak = _timed(argv, environment, limit)
    if code != 0:
        return "broken", f"exit {code}", seconds, peak
    state, why = json.loads(said.splitlines()[-1])
    return ("broken", "over 2 GiB", seconds, peak) if peak > MEMORY else (state, why, seconds, peak)


def ocrmypdf(file: Path, program: list[str], limit: float) -> tuple[str, str, float, int]:
    """Returns what became of a file under OCRmyPDF, whose exit codes name what it refuses."""
    argv = [*program, "--skip-text", "--output-type", "pdf", "-q", str(file.resolve()), "out.pdf"]
    code, said, seconds, peak = _timed(argv, dict(os.environ), limit)
    if code == 0:
        return "done", "", seconds, peak
    refused = {2: "input", 6: "already has text", 8: "encrypted", 3: "missing dependency"}
    if code in refused:
        return "refused", refused[code], seconds, peak
    last = (said.strip().splitlines() or [""])[-1]
    return "broken", f"exit {code} {last}"[:26], seconds, peak


def _timed(
    argv: list[str], environment: dict[str, str], limit: float
) -> tuple[int, str, float, int]:
    """Returns exit code, output, seconds, and the peak of the largest process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with (Path(folder) / "said").open("w+b") as said:
            process = subprocess.Popen(
                argv, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
            )
            timer = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.monotonic() - began
            said.seek(0)
            text = said.read().decode(errors="replace")
        code = 124 if process.returncode == -signal.SIGKILL else process.returncode
        return code, text, seconds, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
