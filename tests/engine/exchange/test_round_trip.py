"""Assignments that are carried out for real by a worker that sees nothing of the conductor's."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from millrace.engine.assignments import Assignment
from millrace.engine.errors import UsageError
from millrace.engine.exchange.outpost import Courier, take
from millrace.engine.exchange.parcels import stop_name
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import settings
from tests.engine.exchange.workplace import Workplace

JOINED = """
version: 1
name: copy
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  one: {uses: faults.bytes, each: files, with: {cut: 1000}}
  two: {uses: faults.bytes, each: one}
outputs:
  copies: {from: two, to: "out/{source.path}.txt"}
"""
GATHERED = """
version: 1
name: gathered
label: internal
inputs:
  files: {files: "in/*.txt"}
stages:
  sum: {uses: faults.gather, all: files}
outputs:
  all: {from: sum, to: "out/all.txt"}
"""


def test_a_run_through_an_exchange_gives_what_it_gives_at_home(workplace: Workplace) -> None:
    contents = {f"f{n}.txt": os.urandom(1500) for n in range(2)}
    for name, content in contents.items():
        workplace.shop.file(name, content)

    outcome = workplace.run(JOINED)

    assert outcome.state == "succeeded", outcome.failures
    assert workplace.shop.out() == contents
    events = [record.event for record in workplace.runs[0].records()]
    assert events.count("fetched") == events.count("shipped") == events.count("assigned")
    again = workplace.run(JOINED)
    assert again.items == {"done": 0, "reused": 2, "failed": 0}


def test_gathered_files_keep_their_order_and_names(near: Workplace) -> None:
    for name in ("b", "a", "c"):
        near.shop.file(f"{name}.txt", name)
    assert near.run(GATHERED).state == "succeeded"
    assert near.shop.out() == {"all.txt": b"a.txt: a\nb.txt: b\nc.txt: c\n"}


def test_a_parcel_tells_nothing_of_the_conductors_folders(workplace: Workplace) -> None:
    workplace.shop.file("a.txt")
    run, order = workplace.drawn_up()
    workplace.depot().send(run, order)
    name = f"parcels/{run.id}/{order.id}/parcel.json"
    data = workplace.place.get(name) or b""
    assert str(workplace.folder).encode() not in data
    assert str(settings().home).encode() not in data
    digest = hashlib.sha256((workplace.folder / "in" / "a.txt").read_bytes()).hexdigest()
    assert workplace.place.list() == [f"objects/{digest}", name]


def test_an_input_is_sent_once_and_only_what_is_missing(workplace: Workplace) -> None:
    path = workplace.shop.file("a.txt")
    run, order = workplace.drawn_up()
    depot = workplace.depot()
    first = depot.send(run, order)
    assert first.bytes > path.stat().st_size
    again = depot.send(run, order)
    assert again.bytes == first.bytes - path.stat().st_size


def test_nothing_of_a_finished_assignment_stays_with_the_worker_but_its_cached_inputs(
    near: Workplace,
) -> None:
    content = os.urandom(500)
    near.shop.file("a.txt", content)
    assert near.run().state == "succeeded"
    digest = hashlib.sha256(content).hexdigest()
    assert near.leftovers() == [f"cache/{digest[:2]}/{digest}"]


def test_nothing_at_all_stays_of_a_restricted_one(near: Workplace) -> None:
    near.shop.file("a.txt", os.urandom(2500))
    outcome = near.run(JOINED.replace("label: internal", "label: restricted"))
    assert outcome.state == "succeeded"
    assert near.leftovers() == []
    near.depot().clean(near.runs[0])
    assert near.place.list() == []


def test_the_second_run_takes_its_inputs_from_the_workers_cache(near: Workplace) -> None:
    path = near.shop.file("a.txt", os.urandom(900))
    near.run()
    near.run(force=("one",))
    fetched = [r.data["bytes"] for run in near.runs for r in run.records() if r.event == "fetched"]
    assert fetched == [path.stat().st_size, 0]


def test_what_a_batch_took_and_what_was_moved_is_in_the_journal(near: Workplace) -> None:
    near.shop.file("a.txt", b"x" * 300)
    near.run()
    (done,) = [r for r in near.runs[0].records() if r.event == "done"]
    assert done.data["units"] == 300
    assert done.data["bytes"] == 300
    assert done.data["seconds"] >= 0
    assert done.item == "a.txt"
    (shipped,) = [r for r in near.runs[0].records() if r.event == "shipped"]
    assert shipped.data["bytes"] > 300
    log = near.runs[0].log(str(done.data["assignment"]))
    assert "session closed" in log.read_text()


def test_failures_come_home_and_are_remembered_there(near: Workplace) -> None:
    near.shop.file("bad.txt", "!bad-run")
    near.shop.file("good.txt", "fine")
    first = near.run()
    assert [(f.item, f.code) for f in first.failures] == [("bad.txt", "rotten")]
    assert first.items["done"] == 1
    second = near.run()
    assert [(f.item, f.code) for f in second.failures] == [("bad.txt", "rotten")]
    assert not [r for r in near.runs[1].records() if r.event == "assigned"]


def test_a_session_that_dies_far_away_is_lost_and_tried_again(near: Workplace) -> None:
    near.shop.file("a.txt", "!kill-self")
    outcome = near.run()
    assert [f.item for f in outcome.failures] == ["a.txt"]
    lost = [r for r in near.runs[0].records() if r.event == "lost"]
    assert len(lost) >= 2
    assert near.leftovers() == sorted(n for n in near.leftovers() if n.startswith("cache/"))


@pytest.mark.parametrize("whom", ["run", "assignment"])
def test_a_worker_lets_go_when_told_through_the_exchange(workplace: Workplace, whom: str) -> None:
    workplace.shop.file("a.txt", b"x" * 900)
    run, order = workplace.drawn_up(pause=30)
    depot = workplace.depot()
    depot.send(run, order)
    if whom == "run":
        depot.stop(run)
    else:
        depot.revoke(run, order.id)
    counts = workplace.carry_out(run, order.id)
    assert counts.done == 0
    depot.collect(run, [order.id])
    assert workplace.events(run, order.id, "done") == []
    depot.clean(run)
    assert workplace.place.list() == []


def test_cleaning_up_keeps_what_another_run_needs(workplace: Workplace) -> None:
    shared = workplace.shop.file("a.txt", b"shared")
    run, order = workplace.drawn_up()
    depot = workplace.depot()
    depot.send(run, order)
    own = workplace.shop.file("b.txt", b"own")
    other, more = workplace.drawn_up()
    depot.send(other, more)
    depot.stop(other)
    depot.clean(other)
    digests = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (shared, own)}
    assert workplace.place.list("objects/") == [f"objects/{digests[shared]}"]
    assert all(run.id in name for name in workplace.place.list("parcels/"))
    assert workplace.place.list(stop_name(other.id)) == []
    assert workplace.carry_out(run, order.id).done == 1


def test_a_host_that_shares_the_store_takes_the_run_as_it_is(near: Workplace) -> None:
    near.shop.file("a.txt")
    run, order = near.drawn_up()
    here = settings()
    assert here.exchange == ""
    found = take(run.id, order.id, here)
    assert found == Runs(here).get(run.id)
    with Courier(found, order.id, here):
        pass
    assert Assignment.read(run.assignments, order.id) == order


@pytest.mark.parametrize(
    "ids", [("../x", "a0001"), ("20261124-054210-k3f9", "../a"), ("20261124-054210-k3f9", "")]
)
def test_ids_that_are_none_are_refused_before_anything_is_asked(
    near: Workplace, ids: tuple[str, str]
) -> None:
    with pytest.raises(UsageError, match="no id"):
        take(*ids, near.worker)


def test_the_conductors_own_home_is_not_taken_for_a_workers(near: Workplace) -> None:
    near.shop.file("a.txt")
    run, order = near.drawn_up()
    near.depot().send(run, order)
    confused = near.worker
    mistaken = Run(run.id, confused.store / "runs" / run.id)
    mistaken.folder.mkdir(parents=True)
    (mistaken.folder / "order.json").write_text("{}")
    with pytest.raises(UsageError, match="conductor's own home"):
        take(run.id, order.id, confused)


def test_a_parcel_of_another_assignment_is_refused(near: Workplace) -> None:
    near.shop.file("a.txt")
    run, order = near.drawn_up()
    near.depot().send(run, order)
    data = near.place.get(f"parcels/{run.id}/{order.id}/parcel.json") or b""
    near.place.put(f"parcels/{run.id}/a9999/parcel.json", data)
    with pytest.raises(UsageError, match="another's"):
        take(run.id, "a9999", near.worker)
    with pytest.raises(UsageError, match="no parcel"):
        take(run.id, "a9998", near.worker)


def test_a_file_that_changed_before_it_was_sent_fails_alone(near: Workplace) -> None:
    changed: Path = near.shop.file("a.txt", b"one")
    near.shop.file("b.txt", b"two")
    run, order = near.drawn_up()
    changed.write_bytes(b"other")
    depot = near.depot()
    depot.send(run, order)
    assert near.carry_out(run, order.id).done == 1
    depot.collect(run, [order.id])
    (failed,) = near.events(run, order.id, "failed")
    assert (failed["item"], failed["code"]) == ("a.txt", "changed")
    assert [e["item"] for e in near.events(run, order.id, "done")] == ["b.txt"]
    assert hashlib.sha256(b"other").hexdigest() not in str(near.place.list())
