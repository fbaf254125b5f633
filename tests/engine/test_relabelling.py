"""Relabelling: by content, audited, never below a floor, and derived results follow."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from millrace.engine.assignments import Assignment
from millrace.engine.errors import NotPermitted, StoreError, UsageError
from millrace.engine.fleet.labelling import Floors
from millrace.engine.fleet.pools import Floor
from millrace.engine.items import Item, Origin, gather, read
from millrace.engine.labels import Label
from millrace.engine.measurements import Measurements
from millrace.engine.relabelling import Relabellings
from millrace.engine.remote import Remote
from tests.engine.runs.conftest import PIPELINE, Workshop, shop

__all__ = ["shop"]

ANYWHERE = Floors()
PUBLIC, INTERNAL, RESTRICTED = Label.PUBLIC, Label.INTERNAL, Label.RESTRICTED


def _file(folder: Path, name: str, content: str = "content") -> Path:
    path = folder / name
    path.write_text(content)
    return path


def _read(folder: Path, path: Path, label: Label = RESTRICTED) -> Item:
    cache = Measurements(folder / "m.db")
    item = Item(path.name, Origin(path.stem, path.stem, path.suffix), label, path)
    found = read(item, cache, Remote(folder / "fetched"))
    cache.close()
    return found


def _relabel(store: Path, file: Path, to: Label, why: str = "no names in it") -> None:
    Relabellings(store).record(file, to, why, floor=PUBLIC, clearance=RESTRICTED)


def test_a_relabelling_holds_for_the_content_and_not_for_the_name(tmp_path: Path) -> None:
    file = _file(tmp_path, "a.txt")
    _relabel(tmp_path / "store", file, INTERNAL)
    known = Relabellings(tmp_path / "store")
    same = _read(tmp_path, _file(tmp_path, "copy.txt"))
    other = _read(tmp_path, _file(tmp_path, "a.txt", "something else"))
    assert known.applied(same, ANYWHERE).label is INTERNAL
    assert known.applied(other, ANYWHERE).label is RESTRICTED


def test_the_last_word_counts_and_every_word_is_kept(tmp_path: Path) -> None:
    file, store = _file(tmp_path, "a.txt"), tmp_path / "store"
    for label, why in ((INTERNAL, "one"), (PUBLIC, "two"), (RESTRICTED, "three")):
        _relabel(store, file, label, why)
    known = Relabellings(store)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert known.label_of(digest) is RESTRICTED
    assert known.label_of("0" * 64) is None
    lines = [json.loads(line) for line in (store / "relabellings.jsonl").read_text().splitlines()]
    assert [(e["from"], e["to"], e["why"]) for e in lines] == [
        (None, "internal", "one"),
        ("internal", "public", "two"),
        ("public", "restricted", "three"),
    ]
    name = pwd.getpwuid(os.getuid()).pw_name
    assert all(e["digest"] == digest and e["who"].startswith(name) for e in lines)
    assert (store / "relabellings.jsonl").stat().st_mode & 0o077 == 0


def test_a_label_can_be_raised_too(tmp_path: Path) -> None:
    file = _file(tmp_path, "a.txt")
    _relabel(tmp_path / "store", file, RESTRICTED)
    item = _read(tmp_path, file, PUBLIC)
    assert Relabellings(tmp_path / "store").applied(item, ANYWHERE).label is RESTRICTED


def test_no_word_goes_below_a_floor(tmp_path: Path) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    floors = Floors([Floor(paths=(str(folder),), label=INTERNAL)], tmp_path)
    elsewhere, held = _file(tmp_path, "a.txt"), _file(folder, "a.txt")
    _relabel(tmp_path / "store", elsewhere, PUBLIC)
    known = Relabellings(tmp_path / "store")
    assert known.applied(_read(tmp_path, elsewhere), floors).label is PUBLIC
    assert known.applied(_read(tmp_path, held), floors).label is INTERNAL
    with pytest.raises(NotPermitted, match="floor"):
        known.record(held, PUBLIC, "x", floor=floors.of_path(held), clearance=RESTRICTED)
    assert len(Relabellings(tmp_path / "store").entries) == 1


def test_what_is_gathered_is_as_sensitive_as_the_most_sensitive_of_it(tmp_path: Path) -> None:
    one, two = _file(tmp_path, "one.txt", "1"), _file(tmp_path, "two.txt", "2")
    store = tmp_path / "store"
    together = gather("all", [_read(tmp_path, one), _read(tmp_path, two)])
    _relabel(store, one, PUBLIC)
    assert Relabellings(store).applied(together, ANYWHERE).label is RESTRICTED
    _relabel(store, two, INTERNAL)
    assert Relabellings(store).applied(together, ANYWHERE).label is INTERNAL


def test_a_folder_is_as_sensitive_as_the_most_sensitive_file_in_it(tmp_path: Path) -> None:
    folder, store = tmp_path / "folder", tmp_path / "store"
    folder.mkdir()
    files = tuple(_file(folder, name, name) for name in ("1.txt", "2.txt"))
    item = replace(_read(tmp_path, files[0]), location=folder, members=files, artifact=None)
    cache = Measurements(tmp_path / "m.db")
    item = read(item, cache, Remote(tmp_path / "fetched"))
    cache.close()
    _relabel(store, files[0], PUBLIC)
    assert Relabellings(store).applied(item, ANYWHERE).label is RESTRICTED
    _relabel(store, files[1], PUBLIC)
    assert Relabellings(store).applied(item, ANYWHERE).label is PUBLIC


def test_a_reason_and_a_readable_file_are_asked_for(tmp_path: Path) -> None:
    known = Relabellings(tmp_path / "store")
    with pytest.raises(UsageError, match="reason"):
        known.record(_file(tmp_path, "a"), PUBLIC, "  ", floor=PUBLIC, clearance=RESTRICTED)
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            known.record(path, PUBLIC, "x", floor=PUBLIC, clearance=RESTRICTED)
    assert not (tmp_path / "store").exists()


def test_a_host_that_may_not_read_it_cannot_judge_it(tmp_path: Path) -> None:
    file, store = _file(tmp_path, "a.txt"), tmp_path / "store"
    with pytest.raises(NotPermitted, match="cannot judge"):
        Relabellings(store).record(file, PUBLIC, "x", floor=PUBLIC, clearance=INTERNAL)
    _relabel(store, file, INTERNAL)
    Relabellings(store).record(file, PUBLIC, "x", floor=PUBLIC, clearance=INTERNAL)


@pytest.mark.parametrize("line", ["{", "{}", '{"digest": "x"}', "\x00"])
def test_a_damaged_audit_file_is_told_and_never_passed_over(tmp_path: Path, line: str) -> None:
    _relabel(tmp_path, _file(tmp_path, "a.txt"), INTERNAL)
    with (tmp_path / "relabellings.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(StoreError, match="line 2"):
        Relabellings(tmp_path)


def test_a_run_places_relabelled_content_by_its_new_label_and_so_what_is_made_of_it(
    shop: Workshop, home: Path
) -> None:
    two_stages = PIPELINE.replace("label: internal", "label: restricted").replace(
        "outputs:\n  copies: {from: one",
        "  two: {uses: faults.bytes, each: one}\noutputs:\n  copies: {from: two",
    )
    lowered = shop.file("lowered.txt", "nothing secret")
    shop.file("as-it-is.txt", "a secret")
    _relabel(home / "store", lowered, PUBLIC)
    assert shop.run(two_stages).state == "succeeded"
    labels: dict[str, set[Label]] = {}
    for path in shop.runs[0].assignments.glob("*.json"):
        order = Assignment.read(path.parent, path.stem)
        for job in order.jobs:
            labels.setdefault(job.material.name, set()).add(order.label)
    assert labels == {"lowered.txt": {PUBLIC}, "as-it-is.txt": {RESTRICTED}}


def test_content_that_was_raised_above_this_host_is_not_worked_on(
    shop: Workshop, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _relabel(home / "store", shop.file("raised.txt", "a secret after all"), RESTRICTED)
    shop.file("other.txt", "fine")
    monkeypatch.setenv("MILLRACE_CLEARANCE", "internal")
    with pytest.raises(NotPermitted, match="restricted"):
        shop.run()
    assert not list(shop.runs[0].assignments.glob("*.json"))
