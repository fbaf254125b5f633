"""Items as groups and pieces: what is alike, what it weighs, and which device it is cut for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.expansion import Cut, Node, cut_item, nodes
from millrace.engine.fleet.groups import Groups, choose_device, chooser, pieces_of
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.snapshot import snapshot
from millrace.engine.forecasts import START_SECONDS, Forecaster
from millrace.engine.hosts.devices import Device, Host
from millrace.engine.items import Item, Origin
from millrace.engine.labels import Label
from millrace.engine.ledger import Ledger, Row
from millrace.engine.pipeline import load
from millrace.engine.placement.decision import place
from millrace.engine.placement.model import Aim
from millrace.engine.placement.rules import examine
from millrace.engine.settings import settings
from millrace.engine.stages import Needs, Outline
from millrace.engine.store import Artifact
from tests.engine.fleet.fleets import fleet as write
from tests.engine.runs.conftest import PIPELINE, PLUGINS

GIB = 1 << 30
HOST = Host(name="desk", cores=2, memory=8 * GIB, cpu="some CPU")
GPU = {"gpu": "prefer", "vram": 10 * GIB}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return write(tmp_path)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.syspath_prepend(str(PLUGINS))
    return nodes(load(PIPELINE, base=Path("/nowhere")))["one"]


@pytest.fixture
def forecaster() -> Forecaster:
    return Forecaster(settings())


def item(name: str = "a.txt", size: int = 2500, label: Label = Label.INTERNAL) -> Item:
    artifact = Artifact(digest=name.ljust(64, "0"), size=size, media_type="text/plain")
    return Item(id=name, origin=Origin(name, name, ".txt"), label=label, artifact=artifact)


def cut(node: Node, fleet: Fleet, it: Item | None = None, **sides: Item) -> Cut:
    it = it or item()
    assert it.artifact
    outline = Outline(media_type="text/plain", size=it.artifact.size)
    return cut_item(node, it, outline, sides, HOST, chooser(fleet, HOST))


def needing(found: Cut, **needs: object) -> Cut:
    return replace(found, needs=Needs.model_validate(needs))


@pytest.mark.parametrize(
    ("needs", "label", "kind", "name"),
    [
        ({}, Label.PUBLIC, "cpu", "some CPU"),
        ({"gpu": "prefer"}, Label.PUBLIC, "cuda", "NVIDIA GeForce RTX 4090"),
        ({"gpu": "prefer", "vram": 80 * GIB}, Label.PUBLIC, "cpu", "some CPU"),
        ({"gpu": "require", "vram": 80 * GIB}, Label.PUBLIC, "cuda", "GPU"),
        ({"gpu": "require"}, Label.RESTRICTED, "cuda", "NVIDIA GeForce RTX 4090"),
    ],
)
def test_the_sort_of_device_is_settled_by_needs_and_what_the_fleet_has(
    fleet: Fleet, needs: dict[str, object], label: Label, kind: str, name: str
) -> None:
    device = choose_device(Needs.model_validate(needs), label, fleet, HOST)
    assert (device.kind, device.uuid) == (kind, "")
    assert device.name.endswith(name.removeprefix("NVIDIA ")), device.name


def test_a_gpu_that_may_not_see_the_data_is_no_reason_to_cut_for_gpus(fleet: Fleet) -> None:
    cloud = ["burst"]
    wish = Needs(gpu="prefer")
    assert choose_device(wish, Label.INTERNAL, fleet, HOST, cloud).kind == "cuda"
    assert choose_device(wish, Label.RESTRICTED, fleet, HOST, cloud).kind == "cpu"


def test_the_device_has_the_cores_that_were_asked_for_and_not_those_of_the_conductor(
    fleet: Fleet,
) -> None:
    assert choose_device(Needs(cores=16), Label.PUBLIC, fleet, HOST).cores == 16


def test_keys_do_not_depend_on_which_pool_is_up_or_cheap(node: Node, fleet: Fleet) -> None:
    assert cut(node, fleet).key == cut(node, fleet).key
    here = cut_item(node, item(), Outline(media_type="text/plain", size=2500), {}, HOST)
    assert cut(node, fleet).key == here.key


def test_alike_items_are_one_group_with_a_speed_on_every_pool(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    groups = Groups(fleet, forecaster)
    one, two = groups.of(node, cut(node, fleet)), groups.of(node, cut(node, fleet, item("b.txt")))
    assert one is two
    assert set(one.speeds) == {"studio", "gpus", "burst", "rented"}
    assert {(s.rate, s.start, s.source) for s in one.speeds.values()} == {
        (1e6, START_SECONDS, "prior")
    }
    assert (one.kind, one.version, one.label, one.device) == (
        "faults.bytes",
        1,
        Label.INTERNAL,
        "cpu",
    )
    assert one == Groups(fleet, forecaster).of(node, cut(node, fleet), Label.INTERNAL)


def test_speeds_are_what_each_pool_did_then_what_such_a_device_did_then_the_kind_s_own_guess(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    def rows(pool: str, device: str, rate: float) -> list[Row]:
        facts = {"kind": "faults.bytes", "version": 1, "device": device, "pool": pool}
        return [Row(at=n, seconds=1000 / rate, load=1000, units=1000, **facts) for n in range(5)]  # type: ignore[arg-type]

    ledger = Ledger(settings().ledger)
    ledger.record(rows("studio", "AMD EPYC", 500.0))
    ledger.record(rows("elsewhere", "NVIDIA L4", 9000.0))
    found = cut(node, fleet)
    plain = Groups(fleet, forecaster).of(node, found).speeds
    assert (plain["studio"].rate, plain["studio"].source) == (pytest.approx(500), "ledger")
    assert (plain["rented"].rate, plain["rented"].source) == (1e6, "prior")
    device = choose_device(Needs.model_validate(GPU), Label.INTERNAL, fleet, HOST)
    graphic = Groups(fleet, forecaster).of(node, replace(needing(found, **GPU), device=device))
    assert graphic.speeds["burst"].rate == pytest.approx(9000)
    assert graphic.speeds["gpus"].source == "prior"


def test_speeds_follow_the_ledger_now_and_then_and_nothing_else_of_a_group_changes(
    node: Node, fleet: Fleet, forecaster: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, found = Groups(fleet, forecaster), cut(node, fleet)
    first = groups.of(node, found)
    facts = {"kind": "faults.bytes", "version": 1, "device": "some CPU", "pool": "studio"}
    ledger = Ledger(settings().ledger)

    def learn(rate: float) -> float:
        ledger.record(Row(at=rate, seconds=1000 / rate, load=1000, **facts) for _ in range(99))  # type: ignore[arg-type]
        forecaster.refresh()
        groups.refresh()
        return groups.of(node, found).speeds["studio"].rate

    assert learn(50.0) == pytest.approx(50)
    assert learn(70.0) == pytest.approx(50)  # not so soon again
    monkeypatch.setattr("millrace.engine.fleet.groups._REFRESH_SECONDS", 0.0)
    assert learn(70.0) == pytest.approx(70)
    now = groups.get(first.id)
    assert now.speeds["studio"].source == "ledger"
    assert replace(now, speeds=first.speeds) == first


def test_what_every_batch_takes_whatever_its_size_is_part_of_the_prediction(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    found = cut(node, fleet)
    group = Groups(fleet, forecaster).of(node, found)
    slow = {name: replace(speed, overhead=2.0) for name, speed in group.speeds.items()}
    pieces = pieces_of(group, node, found)
    seconds = []
    for one in (group, replace(group, speeds=slow)):
        decision = place({one.id: one}, pieces, snapshot(fleet, None), Aim())
        (studio,) = (v for v in decision.verdicts[one.id] if v.pool == "studio")
        seconds += [studio.seconds, sum(placed.seconds for placed in decision.placed)]
    assert seconds[2] - seconds[0] == pytest.approx(2.0 * len(pieces))
    assert seconds[3] - seconds[1] == pytest.approx(2.0 * len(pieces))


def test_labels_and_needs_tell_groups_apart(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    groups = Groups(fleet, forecaster)
    secret = item("c.txt", label=Label.RESTRICTED)
    found = cut(node, fleet)
    ids = {
        groups.of(node, found).id,
        groups.of(node, cut(node, fleet, secret)).id,
        groups.of(node, cut(node, fleet, role=secret)).id,
        groups.of(node, needing(found, cores=2)).id,
    }
    assert len(ids) == 3
    assert sum(name.startswith("one/restricted/") for name in ids) == 1


def test_ten_thousand_sizes_of_memory_are_few_groups_and_no_pool_is_lost_by_rounding(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    groups, found = Groups(fleet, forecaster), cut(node, fleet)
    asked = [n * 7_000_001 for n in range(1, 10_000)]
    rounded = [groups.of(node, needing(found, memory=m)).needs.memory for m in asked]
    assert len(set(rounded)) < 120
    assert all(m <= r <= m * 1.125 for m, r in zip(asked, rounded, strict=True))
    slots = sorted({pool.memory for pool in fleet.workers})
    assert all(
        [m <= slot for slot in slots] == [r <= slot for slot in slots]
        for m, r in zip(asked, rounded, strict=True)
    )


def test_work_that_wants_a_gpu_goes_to_gpus_alone_and_other_work_anywhere(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    groups = Groups(fleet, forecaster)
    plain = groups.of(node, cut(node, fleet))
    device = choose_device(Needs.model_validate(GPU), Label.INTERNAL, fleet, HOST)
    graphic = groups.of(node, replace(needing(cut(node, fleet), **GPU), device=device))
    assert (graphic.device, graphic.needs.gpu) == ("cuda", "require")
    pools = snapshot(fleet, None).pools
    fits = {p.name: (examine(plain, p).rule, examine(graphic, p).rule) for p in pools}
    assert fits == {
        "studio": ("", "device"),
        "gpus": ("", ""),
        "burst": ("", ""),
        "rented": ("clearance", "clearance"),
    }


@pytest.mark.parametrize("by_name", [True, False])
def test_gpus_of_another_class_are_passed_over_only_where_they_would_make_other_bytes(
    node: Node, fleet: Fleet, forecaster: Forecaster, by_name: bool
) -> None:
    def profile(device: Device) -> dict[str, str]:
        return {"device": device.name if by_name else device.kind}

    device = choose_device(Needs.model_validate(GPU), Label.INTERNAL, fleet, HOST)
    found = needing(cut(node, fleet), **GPU)
    recipe = found.recipe.model_copy(update={"profile": profile(device)})
    node = replace(node, stage=Profiled(node.stage, profile), _profiles={})
    group = Groups(fleet, forecaster).of(node, replace(found, device=device, recipe=recipe))
    assert group.unlike == (frozenset({"burst"}) if by_name else frozenset())
    findings = {p.name: examine(group, p) for p in snapshot(fleet, None).pools}
    assert findings["gpus"].fits
    assert findings["burst"].rule == ("device" if by_name else "")
    if by_name:
        assert "its l4 would make another result" in findings["burst"].reason


class Profiled:
    """A kind with a numeric profile of its own."""

    def __init__(self, stage: Any, profile: Any) -> None:
        self._stage, self.profile = stage, profile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


def test_pieces_weigh_their_share_of_the_file_and_their_join_what_the_parts_weigh(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    found = cut(node, fleet, item(size=2500), role=item("side", size=1000))
    group = Groups(fleet, forecaster).of(node, found, found.label)
    *parts, join = pieces_of(group, node, found)
    assert [(p.load, p.bytes_in, p.bytes_out) for p in parts] == [
        (1000, 1400, 1000),
        (1000, 1400, 1000),
        (500, 700, 500),
    ]
    assert (join.key, join.load, join.bytes_in, join.bytes_out) == (found.join, 2.5, 2500, 2500)
    assert {p.group for p in (*parts, join)} == {group.id}
    assert [p.key for p in parts] == [share.key for share in found.shares]


def test_an_item_of_one_batch_is_one_piece(
    node: Node, fleet: Fleet, forecaster: Forecaster
) -> None:
    found = cut(node, fleet, item(size=10))
    group = Groups(fleet, forecaster).of(node, found, found.label)
    (piece,) = pieces_of(group, node, found)
    assert (piece.key, piece.load, piece.bytes_in, piece.bytes_out) == (found.key, 10, 10, 10)
