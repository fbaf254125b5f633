"""Work cut for GPUs that no pool can do on one: cut anew for processors, or refused by name."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from importlib.metadata import version

import pytest

from millrace.engine import stages
from millrace.engine.errors import NotPermitted
from millrace.engine.exchange.cards import write_card
from millrace.engine.fleet.conducting import Roads
from millrace.engine.fleet.observed import Card
from millrace.engine.fleet.plan_fleet import make_fleet_plan
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.hosts.devices import Device, Host, inventory
from millrace.engine.hosts.nvml import Gpu
from millrace.engine.labels import Label
from millrace.engine.settings import settings
from tests.engine.fleet.ground import Ground, Yard, fleet_text
from tests.engine.fleet.test_told import why
from tests.engine.runs.conftest import PIPELINE, Workshop

GIB = 1 << 30
FLEET = fleet_text({"name": "gpus", "price": 9.0}, {"name": "plain", "price": 1.0}).replace(
    "device: cpu", "device: rtx-4090", 1
)
GPU = Gpu(uuid="GPU-1", name="NVIDIA GeForce RTX 4090", vram=24 * GIB)


def pipeline(gpu: str) -> str:
    return PIPELINE.replace(
        "each: files}", f"each: files, resources: {{gpu: {gpu}, vram: 1 GiB}}}}"
    )


@pytest.fixture
def fleet(shop: Workshop, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that wants a library for GPUs, which the conductor plans with and no worker has."""
    kind = stages.load("faults.bytes")

    def profile(self: object, device: Device) -> Mapping[str, str]:
        return {"backend": "fast" if device.kind == "cuda" and not device.uuid else "plain"}

    monkeypatch.setattr(kind, "profile", profile)
    monkeypatch.setattr(
        kind,
        "advice",
        lambda name, value: "install fast there" if value == "fast" else "",
        raising=False,
    )
    for name in "ab":
        shop.file(f"{name}.txt", name.encode() * 2500)
    yard.declare(FLEET)


def leave_card(backend: str) -> None:
    write_card(
        settings().store,
        Card(
            pool="gpus",
            worker="gpus-1",
            host="g",
            millrace=version("millrace"),
            kinds={"faults.bytes": 1},
            tools=(),
            cores=2,
            memory=4 * GIB,
            gpus=(GPU.name,),
            vram=24 * GIB,
            clearance=Label.RESTRICTED,
            capabilities={"cuda": {"faults.bytes": {"backend": backend}}},
        ),
    )


def test_what_the_libraries_of_no_gpu_worker_give_is_done_by_processors_and_the_reason_told(
    fleet: None, shop: Workshop, yard: Yard, ground: Ground
) -> None:
    leave_card("plain")
    run = yard.order(shop.order(pipeline("prefer")))
    assert yard.conduct(run).state == "succeeded"

    assert {pool for pool, _, _ in ground.sent} == {"plain"}
    assert len(shop.out()) == 2
    anew = yard.events("recut")
    assert {str(e["item"]) for e in anew} == {"in/a.txt", "in/b.txt"} or len(anew) == 2
    reason = "its workers have backend plain, fast is needed: install fast there"
    assert all(reason in str(e["why"]) for e in anew)
    text = why(run.id)
    assert "cut anew: for processors: no GPU can do it" in text
    assert reason in text
    (row, *_) = [r for r in json.loads(why(run.id, "one", "--json")) if r["what"] == "cut anew"]
    assert row["item"]


def test_what_gpu_workers_without_cards_hand_back_is_done_by_processors(
    fleet: None, shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there() -> Host:
        gpus = (GPU,) if threading.current_thread().name == "worker-gpus" else ()
        return inventory().model_copy(update={"gpus": gpus})

    monkeypatch.setattr("millrace.engine.execution.inventory", there)
    run = yard.order(shop.order(pipeline("prefer")))
    assert yard.conduct(run).state == "succeeded"

    assert next(pool for pool, _, _ in ground.sent) == "gpus"
    assert {pool for pool, _, _ in ground.sent} == {"gpus", "plain"}
    lost = yard.events("lost")
    assert {(e["code"], e["hint"]) for e in lost} == {("other_version", "install fast there")}
    assert all("backend fast" in str(e["message"]) for e in lost)
    assert len(shop.out()) == 2


def test_what_requires_a_gpu_is_refused_by_what_its_workers_lack(
    fleet: None, shop: Workshop, yard: Yard, ground: Ground
) -> None:
    leave_card("plain")
    with pytest.raises(NotPermitted, match=r"tools: gpus: .*install fast there"):
        yard.conduct(yard.order(shop.order(pipeline("require"))))
    assert ground.sent == []


def test_gpu_workers_that_have_it_are_used(
    fleet: None, shop: Workshop, yard: Yard, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_card("fast")
    kind = stages.load("faults.bytes")
    monkeypatch.setattr(
        kind, "profile", lambda self, device: {"backend": "fast" if device.pooled else "plain"}
    )
    sent: list[str] = []

    def send(pool: str, queue: str, *ids: str, **how: str) -> str:
        sent.append(pool)
        raise RuntimeError("far enough")

    monkeypatch.setattr(ground, "assign", send)
    run = yard.order(shop.order(pipeline("prefer")))
    thread = threading.Thread(target=yard.conduct, args=(run,), daemon=True)
    thread.start()
    while not sent and thread.is_alive():
        thread.join(0.05)
    run.request_stop("a test")
    thread.join(60)
    assert sent[0] == "gpus"
    assert not yard.events("recut")


def test_the_plan_says_that_processors_will_do_it_and_why(
    fleet: None, shop: Workshop, yard: Yard
) -> None:
    leave_card("plain")
    found = load_fleet(yard.folder / "pools.yaml")
    seen = Roads(found, settings()).with_cards(yard.ground.observe(["gpus", "plain"]))
    order = shop.order(pipeline("prefer"))
    plan = make_fleet_plan(order, settings(), inventory(), found, seen)
    assert [(g.device, {v.pool for v in g.pools if v.chosen}) for g in plan.groups] == [
        ("cpu", {"plain"})
    ]
    (said,) = plan.warnings
    assert said.startswith("one is planned for processors, no GPU can do it: gpus: its workers")
