"""What is collected and what is kept, what a verification notices, and how a run is found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from millrace.engine.collect import collect
from millrace.engine.errors import UsageError
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import settings
from millrace.engine.store import Store
from millrace.engine.verify import verify
from tests.engine.runs.conftest import PIPELINE, Workshop

pytestmark = pytest.mark.slow  # each starts programs or sessions of its own

KILLABLE = Path(__file__).parent / "killable.py"
DAY = 86_400.0


def _age(*paths: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in paths:
        os.utime(path, (then, then))


def _grow_old(run: Run, days: float) -> None:
    """Lets a run and all that stands in the store look as if they were from days ago."""
    _age(*run.journal.glob("*"), run.folder / "order.json", days=days)
    store = Store(settings().store)
    for manifest in store.manifests():
        old = manifest.model_copy(update={"made": manifest.made - days * DAY})
        store.manifest_path(manifest.key).write_text(old.model_dump_json())


def _contents(folder: str) -> set[bytes]:
    return {p.read_bytes() for p in (settings().store / folder).rglob("*") if p.is_file()}


def _store() -> dict[str, bytes]:
    found = (p for p in settings().store.rglob("*") if p.is_file() and p.name != "lock")
    return {str(p): p.read_bytes() for p in found}


def _two_runs(shop: Workshop) -> tuple[Run, Run]:
    """An old run over a.txt and b.txt, and a new one over b.txt alone."""
    shop.file("a.txt", "only in the old run")
    shop.file("b.txt", "in both runs")
    shop.run()
    _grow_old(shop.runs[-1], 40)
    (shop.folder / "in" / "a.txt").unlink()
    shop.run()
    return shop.runs[0], shop.runs[1]


def test_a_dry_collection_tells_what_a_real_one_removes_and_removes_nothing(
    shop: Workshop,
) -> None:
    old, new = _two_runs(shop)
    before = _store()
    dry = collect(settings())
    assert _store() == before
    assert dry.runs == (old.id,)
    assert (dry.results, dry.files) == (1, 1)

    assert collect(settings(), dry=False) == dry
    assert [run.id for run in Runs(settings()).list()] == [new.id]
    assert _contents("objects") == {b"in both runs"}
    nothing = collect(settings(), dry=False)
    assert (nothing.runs, nothing.results, nothing.files, nothing.bytes) == ((), 0, 0, 0)


def test_after_a_collection_a_living_pipeline_does_nothing_twice_and_outputs_stay(
    shop: Workshop,
) -> None:
    _two_runs(shop)
    collect(settings(), dry=False)
    assert shop.out() == {"a.txt": b"only in the old run", "b.txt": b"in both runs"}
    again = shop.run()
    assert again.items == {"done": 0, "reused": 1, "failed": 0}
    assert not shop.events("assigned")


def test_what_a_collection_removed_is_simply_made_anew(shop: Workshop) -> None:
    _two_runs(shop)
    collect(settings(), dry=False)
    shop.file("a.txt", "only in the old run")
    assert shop.run().items == {"done": 1, "reused": 1, "failed": 0}


def test_recent_runs_and_fresh_results_are_kept_however_short_the_time_given(
    shop: Workshop,
) -> None:
    shop.file("a.txt")
    shop.run()
    kept = collect(settings(), days=1, dry=False)
    assert (kept.runs, kept.results, kept.files) == ((), 0, 0)


def test_half_written_leftovers_go_once_no_run_can_be_writing_them(shop: Workshop) -> None:
    shop.file("a.txt")
    shop.run()
    store = settings().store
    shelf = next((store / "manifests").iterdir())
    leftovers = [store / "tmp" / "half", shelf / ".half.part"]
    fresh = [store / "tmp" / "fresh", shelf / ".fresh.part"]
    for path in (*leftovers, *fresh):
        path.write_bytes(b"half" * 3000)
    _age(*leftovers, days=0.5)
    done = collect(settings(), dry=False)
    assert done.files == 2
    assert done.bytes >= 24_000
    assert not any(path.exists() for path in leftovers)
    assert all(path.exists() for path in fresh)


def test_all_is_well_with_a_run_that_nobody_touched(shop: Workshop) -> None:
    shop.file("a.txt", bytes(2500))
    shop.file("b.txt", "fine")
    shop.run()
    verdict = verify(shop.runs[-1], settings())
    assert (verdict.results, verdict.outputs, verdict.doubts) == (5, 2, ())


def test_a_changed_and_a_missing_output_are_each_named(shop: Workshop) -> None:
    for name in ("changed", "missing", "good"):
        shop.file(f"{name}.txt", f"content of {name}")
    shop.run()
    out = shop.folder / "out"
    for name in ("changed", "missing"):
        (out / f"{name}.txt").unlink()
    (out / "changed.txt").write_text("content of CHANGED")
    verdict = verify(shop.runs[-1], settings())
    problems = {Path(d.what).name: d.problem for d in verdict.doubts}
    assert set(problems) == {"changed.txt", "missing.txt"}
    assert "another file" in problems["changed.txt"]
    assert "No such file" in problems["missing.txt"]


@pytest.mark.parametrize("restamped", [True, False])
def test_a_damaged_object_in_the_store_is_found_even_behind_its_old_time_stamp(
    shop: Workshop, restamped: bool
) -> None:
    shop.file("a.txt", "some content")
    shop.run(PIPELINE.replace("out/", "elsewhere/"))
    (path,) = (p for p in (settings().store / "objects").rglob("*") if p.is_file())
    stamp = path.stat().st_mtime_ns
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data.replace(b"some", b"s0me"))
    os.utime(path, ns=(stamp + restamped, stamp + restamped))
    (doubt,) = verify(shop.runs[-1], settings()).doubts
    assert doubt.what == "one: a.txt"
    assert "store" in doubt.problem


def test_a_run_is_found_by_its_id_a_unique_beginning_or_end_or_as_the_last(shop: Workshop) -> None:
    runs = Runs(settings())
    with pytest.raises(UsageError, match="no runs yet"):
        runs.find("last")
    made = [runs.create(shop.order()) for _ in range(3)]
    newest = runs.list()[0]
    assert runs.find("last").id == newest.id
    for run in made:
        assert runs.find(run.id).id == run.id
        assert runs.find(run.id[-4:]).id == run.id
        assert runs.get(run.id).id == run.id
    with pytest.raises(UsageError, match="fits several runs") as caught:
        runs.find(made[0].id[:4])
    assert made[0].id in str(caught.value)
    with pytest.raises(UsageError, match="there is no run") as caught:
        runs.find(made[0].id[:-1] + "0")
    assert "did you mean" in caught.value.hint
    with pytest.raises(UsageError, match="there is no run"):
        runs.get("../runs/" + made[0].id)


def test_a_run_is_alive_until_its_process_dies_and_its_half_done_work_is_swept_after(
    shop: Workshop,
) -> None:
    (shop.folder / "p.yaml").write_text(PIPELINE)
    shop.file("a.txt", "!hang")
    process = subprocess.Popen(
        [sys.executable, str(KILLABLE), str(shop.folder)], start_new_session=True
    )
    try:
        run = _working()
        Runs(settings()).sweep()
        assert run.alive
        assert run.scratch.exists()
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(True)]
        for member in family:
            member.kill()
        process.wait()
        psutil.wait_procs(family, timeout=10)
    assert not run.alive
    assert run.scratch.exists()
    Runs(settings()).sweep()
    assert not run.scratch.exists()
    assert run.records()


def _working() -> Run:
    """Waits until a batch is being worked on."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for run in Runs(settings()).list():
            if any(r.event == "opened" for r in run.records()):
                return run
        time.sleep(0.05)
    raise AssertionError("the run never came to work")
