"""Runs by the command, for real: against a Prefect server, with sessions, store and report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Millrace = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow

DOCUMENT = """\
version: 1
name: bytes
label: internal
inputs:
  texts: {files: "in/*.txt"}
stages:
  copy:
    uses: faults.bytes
    each: texts
    with: {cut: 1000, pause: PAUSE}
outputs:
  out: {from: copy, to: "out/{source.path}.bin"}
"""


def document(folder: Path, pause: float = 0.0) -> None:
    (folder / "in").mkdir()
    for n in range(3):
        (folder / "in" / f"f{n}.txt").write_text(f"{n}" * 2500)
    (folder / "p.yaml").write_text(DOCUMENT.replace("PAUSE", str(pause)))


def test_one_bad_file_is_one_failure_and_the_rest_is_done_kept_and_accounted_for(
    millrace: Millrace, api: dict[str, str], tmp_path: Path
) -> None:
    document(tmp_path)
    (tmp_path / "in" / "rotten.txt").write_text("!bad\n")

    first = millrace("run", "p.yaml", "--json", **api)
    assert first.returncode == 1
    told = json.loads(first.stdout)  # exactly one JSON object, and nothing else on stdout
    assert set(told) == {"run", "state", "items", "failures", "outputs", "seconds"}
    assert told["state"] == "partial"
    assert told["items"] == {"done": 3, "reused": 0, "failed": 1}
    (failure,) = told["failures"]
    assert (failure["item"], failure["stage"]) == ("rotten.txt", "copy")
    assert "rotten" in failure["reason"]
    assert [Path(path).read_text() for path in told["outputs"]] == [f"{n}" * 2500 for n in range(3)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "rotten.txt is rotten" in page

    (tmp_path / "in" / "rotten.txt").unlink()
    second = millrace("run", "p.yaml", "--yes", **api)
    assert second.returncode == 0
    assert "succeeded: 0 done, 3 reused, 0 failed" in second.stdout

    rows = json.loads(millrace("why", told["run"], "copy", "--json").stdout)
    assert {row["why"] for row in rows if row["what"] == "run"} == {"first time"}
    assert "reused" in millrace("why", "last").stdout
    shown = json.loads(millrace("show", "last", "--json").stdout)
    assert shown["stages"]["copy"]["reused"] == 3
    listed = json.loads(millrace("runs", "--json").stdout)
    assert [row["state"] for row in listed] == ["succeeded", "partial"]
    assert millrace("verify", "last").returncode == 0
    (tmp_path / "out" / "f1.bin").write_text("somebody was here")
    doubted = millrace("verify", "last")
    assert doubted.returncode == 1
    assert "f1.bin" in doubted.stdout
    assert millrace("cancel", "last").stdout.startswith("run ")
    assert "would remove 0 runs" in millrace("gc").stdout


def test_a_kind_runs_over_a_file_without_a_document_and_its_plan_writes_nothing(
    millrace: Millrace, api: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a file.txt").write_text("hello")
    words = ("faults.bytes", "a file.txt", "-o", "b.txt", "--set", "cut=2")
    one, two = (millrace("plan", *words, "--json").stdout for _ in range(2))
    assert one == two
    assert json.loads(one)["stages"][0]["units"] == 5
    assert not (tmp_path / "b.txt").exists()
    reply = millrace("run", *words, **api)
    assert reply.returncode == 0, reply.stderr
    assert (tmp_path / "b.txt").read_text() == "hello"
    assert "done bytes a file.txt: 5 bytes" in reply.stdout


def test_a_kind_over_a_file_that_is_not_there_is_a_slip_and_no_run(
    millrace: Millrace, tmp_path: Path
) -> None:
    (tmp_path / "film.txt").write_text("hello")
    for command in ("plan", "run"):
        reply = millrace(command, "faults.bytes", "filn.txt", "-o", "b.txt")
        assert reply.returncode == 2
        assert "there is no file filn.txt; did you mean 'film.txt'?" in reply.stderr
    assert "no runs yet" in millrace("show").stderr


@pytest.mark.parametrize("how", ["Ctrl-C", "cancel"])
def test_a_run_stops_cleanly_within_five_seconds_and_the_next_one_continues(
    how: str,
    millrace: Millrace,
    environment: dict[str, str],
    api: dict[str, str],
    tmp_path: Path,
) -> None:
    document(tmp_path, pause=0.2)
    process = subprocess.Popen(
        [sys.executable, "-m", "millrace", "run", "p.yaml", "--json"],
        env=environment | api,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journals = Path(environment["MILLRACE_HOME"]) / "store" / "runs"
    while not any('"done"' in p.read_text() for p in journals.glob("*/journal/*.jsonl")):
        assert process.poll() is None
        time.sleep(0.1)
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        assert millrace("cancel", "last").returncode == 0
    asked = time.monotonic()
    while not any('"ended"' in p.read_text() for p in journals.glob("*/journal/conductor.jsonl")):
        assert time.monotonic() - asked < 5.0
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert json.loads(out)["state"] != "succeeded"
    assert json.loads(millrace("runs", "--json").stdout)[0]["state"] == "interrupted"
    after = millrace("retry", "last", "--json", **api)
    assert after.returncode == 0, after.stderr
    rows = json.loads(millrace("why", "last", "--json").stdout)
    assert "reused" in {row["what"] for row in rows}  # what was done before the stop was kept
