"""Runs through Prefect: what it sees, what it must not see, and what a person's script gets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.recording.server import Api

pytestmark = pytest.mark.slow

PIPELINE = """
version: 1
name: copy
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


def _python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a script as a person would, in a process that knows nothing of this test's."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _ask(api: Api, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{api.url}/{path}",
        data=json.dumps(body).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Basic {b64encode((api.auth or '').encode()).decode()}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _project(folder: Path, **files: str) -> None:
    (folder / "in").mkdir()
    (folder / "p.yaml").write_text(PIPELINE)
    for name, content in files.items():
        (folder / "in" / f"{name}.txt").write_text(content)


def test_a_run_and_its_assignments_are_flow_runs_with_progress_and_a_result(
    recorded: Api, tmp_path: Path
) -> None:
    _project(tmp_path, good="fine", bad="!bad-run")
    done = _python(
        """
        from millrace import run_pipeline
        print(run_pipeline("p.yaml", check=False).model_dump_json())
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["state"] == "partial"

    flows = _ask(recorded, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 20})
    run = next(f for f in flows if f["name"] == outcome["run"])
    children = [f for f in flows if f["name"].startswith(outcome["run"] + "/")]
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith("partial: 1 done, 0 reused, 1 failed")
    assert children
    assert {c["state_type"] for c in children} == {"COMPLETED"}

    artifacts = _ask(recorded, "artifacts/filter", {"limit": 50})
    ours = {a["type"]: a for a in artifacts if a["key"].endswith(outcome["run"])}
    assert ours["progress"]["data"] == 100.0
    (row,) = json.loads(ours["table"]["data"])
    assert (row["done"], row["failed"], row["codes"]) == (1, 1, "rotten ×1")


def test_prefect_never_learns_a_name_a_content_or_an_error_text(
    recorded: Api, tmp_path: Path
) -> None:
    canary = "KANARIENVOGEL"
    _project(
        tmp_path,
        **{f"{canary}-good": canary, f"{canary}-bad": f"!crash\n{canary}", "x": "!measure-crash"},
    )
    done = _python(
        """
        from millrace import MillraceError, run_pipeline

        run_pipeline("p.yaml", check=False)
        open("in/KANARIENVOGEL-good.md", "w").write("another that would have the same name")
        text = open("p.yaml").read().replace("in/*.txt", "in/*")
        open("p.yaml", "w").write(text)
        try:
            run_pipeline("p.yaml")
        except MillraceError as error:
            assert "written twice" in str(error), error
        else:
            raise AssertionError("no error")
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    folder = Path(os.environ["PREFECT_HOME"]).parent
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert any(p.suffix == ".db" for p in files)
    assert [p for p in files if canary.encode() in p.read_bytes()] == []


def test_a_person_gets_our_error_with_the_reason_and_what_was_done_stays(
    recorded: Api, tmp_path: Path
) -> None:
    _project(tmp_path, good="fine", bad="!bad-run")
    done = _python(
        """
        from millrace import MillraceError, RunFailed, run_pipeline
        try:
            run_pipeline("p.yaml")
        except RunFailed as error:
            assert isinstance(error, MillraceError)
            print(error.failures)
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(('bad.txt', 'one', 'bad.txt is rotten'),)"
    assert (tmp_path / "out" / "good.txt").read_text() == "fine"
    assert "Traceback" not in done.stderr


def test_a_run_inside_a_persons_own_flow_is_a_subflow_of_it(recorded: Api, tmp_path: Path) -> None:
    _project(tmp_path, good="fine")
    done = _python(
        """
        from prefect import flow
        from millrace import run_pipeline

        @flow(name="my-own")
        def mine():
            return run_pipeline("p.yaml").run

        print(mine())
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    flows = _ask(recorded, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 20})
    run = next(f for f in flows if f["name"] == done.stdout.split()[-1])
    assert run["parent_task_run_id"]
