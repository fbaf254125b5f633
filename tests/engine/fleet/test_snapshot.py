"""Snapshots: what was declared, narrowed by what the server and the workers say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.engine.fleet.observed import HEARTBEAT_LIMIT, Card, Observed, Worker
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.fleet.snapshot import MIXED, snapshot
from millrace.engine.labels import Label
from millrace.engine.placement.model import PoolState
from tests.engine.fleet.fleets import STUDIO_AND_BURST
from tests.engine.fleet.fleets import fleet as write

GIB = 1 << 30


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return write(tmp_path)


def card(pool: str = "studio", **what: Any) -> Card:
    facts: dict[str, Any] = {
        "worker": "w",
        "host": "h",
        "millrace": "1.0",
        "kinds": {"video.encode": 3, "video.upscale": 2},
        "tools": ("ffmpeg", "ffprobe"),
        "cores": 8,
        "memory": 32 * GIB,
        "clearance": Label.RESTRICTED,
    }
    return Card(pool=pool, **(facts | what))


def state(fleet: Fleet, seen: Observed | None, **known: Any) -> PoolState:
    """The state of the pool that was observed; of studio where nothing was."""
    name = seen.pool if seen else "studio"
    found = snapshot(fleet, {name: seen} if seen else None, **known)
    return next(pool for pool in found.pools if pool.name == name)


def alive(pool: str, *cards: Card | None, age: float = 3.0, **load: int) -> Observed:
    workers = tuple(Worker(f"w{n}", age, one) for n, one in enumerate(cards))
    return Observed(pool, workers=workers, **load)


def test_without_a_server_every_pool_is_as_it_was_declared(fleet: Fleet) -> None:
    found = snapshot(fleet, None, at=12.0)
    assert [pool.name for pool in found.pools] == ["studio", "gpus", "burst", "rented"]
    assert all(pool.up and pool.free == pool.slots for pool in found.pools)
    studio, gpus, burst, _ = found.pools
    assert (studio.slots, studio.cores, studio.memory) == (4, 4, 16 * GIB)
    assert (gpus.device, gpus.device_name, gpus.vram > 23 * GIB) == ("cuda", "rtx-4090", True)
    assert (studio.cold, burst.cold, burst.start) == (False, True, 120)
    assert (burst.clearance, burst.store_clearance) == (Label.INTERNAL, Label.INTERNAL)
    assert {offer.basis for offer in burst.offers} == {"on_demand", "spot"}
    assert (studio.tools, studio.kinds, studio.millrace) == (None, None, None)
    assert (found.currency, found.at) == ("EUR", 12.0)


def test_pools_that_run_conductors_take_no_work(tmp_path: Path) -> None:
    text = STUDIO_AND_BURST + STUDIO_AND_BURST.split("pools:")[1].split("  gpus:")[0].replace(
        "studio", "desk"
    ).replace("    where: local", "    where: local\n    runs: conductors")
    found = snapshot(write(tmp_path, text), None)
    assert "desk" not in {pool.name for pool in found.pools}


def test_a_worker_that_is_silent_for_too_long_takes_its_pool_down_whatever_prefect_says(
    fleet: Fleet,
) -> None:
    silent = Observed("studio", status="ready", workers=(Worker("w", HEARTBEAT_LIMIT + 50),))
    down = state(fleet, silent)
    assert (down.up, down.free, down.slots) == (False, 0, 4)
    assert down.why_down == "no worker has been heard of for 140 s"
    lately = Observed("studio", status="not_ready", workers=(Worker("w", HEARTBEAT_LIMIT - 1),))
    assert state(fleet, lately).up


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Observed("studio", exists=False), "no such work pool: run `millrace deploy`"),
        (Observed("studio", paused=True, workers=(Worker("w", 1),)), "paused"),
        (Observed("studio"), "no worker has been heard of: run `millrace pools join studio`"),
    ],
)
def test_a_pool_that_is_down_says_why(fleet: Fleet, seen: Observed, why: str) -> None:
    assert (state(fleet, seen).up, state(fleet, seen).why_down) == (False, why)


def test_a_pool_the_server_said_nothing_of_is_down(fleet: Fleet) -> None:
    assert not any(pool.up for pool in snapshot(fleet, {}).pools)


def test_machines_that_power_off_count_as_up_and_cold_until_one_is_there(fleet: Fleet) -> None:
    gone = state(fleet, Observed("rented", workers=(Worker("w", 4000.0),)))
    assert (gone.up, gone.cold, gone.free) == (True, True, 4)
    back = state(fleet, alive("rented", card("rented", cores=4, memory=16 * GIB)))
    assert (back.up, back.cold) == (True, False)
    paused = state(fleet, Observed("rented", paused=True))
    assert (paused.up, paused.cold) == (False, False)


def test_what_starts_machines_for_others_has_to_be_there_itself(fleet: Fleet) -> None:
    assert not state(fleet, Observed("burst", workers=(Worker("w", 4000.0),))).up
    idle = state(fleet, alive("burst", None))
    assert (idle.up, idle.cold, idle.free) == (True, True, 10)
    assert not state(fleet, alive("burst", None, running=2)).cold


def test_slots_are_those_of_the_machines_that_are_there(fleet: Fleet) -> None:
    one = state(fleet, alive("studio", None))
    assert (one.slots, one.free) == (2, 2)
    both = state(fleet, alive("studio", None, None, None))
    assert (both.slots, both.free) == (4, 4)


def test_what_others_have_running_leaves_fewer_slots(fleet: Fleet) -> None:
    seen = alive("studio", None, None, running=2, pending=1)
    assert state(fleet, seen).free == 1
    assert state(fleet, seen, busy={"studio": 2}).free == 1
    assert state(fleet, seen, busy={"studio": 9}).free == 0
    assert state(fleet, None, busy={"studio": 3}, backlog={"studio": 60.0}).free == 1


def test_what_the_run_knows_of_a_pool_is_in_its_state(fleet: Fleet) -> None:
    found = state(
        fleet,
        None,
        backlog={"studio": 60.0},
        avoided={"studio": {"video.encode"}},
        unreachable=["home"],
    )
    assert (found.backlog, found.avoided) == (60.0, frozenset({"video.encode"}))
    assert not found.reachable
    assert state(fleet, None, unreachable=["bucket"]).reachable


def test_the_least_of_its_workers_counts_for_a_pool(fleet: Fleet) -> None:
    found = state(
        fleet,
        alive(
            "studio",
            card(),
            card(
                clearance=Label.PUBLIC,
                cores=2,
                memory=8 * GIB,
                tools=("ffmpeg",),
                kinds={"video.encode": 3},
            ),
        ),
    )
    assert found.clearance is Label.PUBLIC
    assert (found.cores, found.memory) == (1, 4 * GIB)
    assert (found.tools, found.kinds) == (frozenset({"ffmpeg"}), {"video.encode": 3})


def test_a_worker_never_raises_what_its_pool_declares(fleet: Fleet) -> None:
    rich = card("rented", cores=64, memory=512 * GIB, clearance=Label.RESTRICTED)
    found = state(fleet, alive("rented", rich))
    assert (found.clearance, found.cores, found.memory) == (Label.PUBLIC, 4, 16 * GIB)


def test_a_worker_that_is_gone_narrows_nothing(fleet: Fleet) -> None:
    gone = Worker("old", 500.0, card(clearance=Label.PUBLIC))
    found = state(fleet, Observed("studio", workers=(Worker("w", 1.0, card()), gone)))
    assert found.clearance is Label.RESTRICTED


def test_workers_that_disagree_on_versions_are_no_one_s(fleet: Fleet) -> None:
    one, two = card(), card(millrace="1.1", kinds={"video.encode": 4, "video.upscale": 2})
    found = state(fleet, alive("studio", one, two))
    assert found.kinds == {"video.encode": MIXED, "video.upscale": 2}
    assert found.millrace == "1.0, 1.1"
    assert state(fleet, alive("studio", one)).millrace == "1.0"


def test_what_the_libraries_of_all_workers_give_is_known_and_where_they_disagree_both(
    fleet: Fleet,
) -> None:
    def able(backend: str) -> dict[str, dict[str, dict[str, str]]]:
        return {"cpu": {"video.upscale": {"backend": backend, "ffmpeg": "5"}}}

    one, two = card(capabilities=able("openvino")), card(capabilities=able("other"))
    which = ("cpu", "video.upscale")
    assert state(fleet, alive("studio", one)).capabilities[which]["backend"] == "openvino"
    both = state(fleet, alive("studio", one, two)).capabilities[which]
    assert both == {"backend": "openvino and other", "ffmpeg": "5"}
    assert state(fleet, alive("studio", card())).capabilities == {}


def test_a_gpu_is_as_big_as_the_worker_finds_it_and_gone_when_it_finds_none(fleet: Fleet) -> None:
    small = card("gpus", cores=16, memory=64 * GIB, gpus=("RTX 4090",), vram=12 * GIB)
    found = state(fleet, alive("gpus", small))
    assert (found.device, found.vram) == ("cuda", 12 * GIB)
    found = state(fleet, alive("gpus", small, card("gpus", cores=16, memory=64 * GIB)))
    assert (found.device, found.vram) == ("cpu", 0)


def test_offers_are_those_the_workers_serve(tmp_path: Path) -> None:
    text = STUDIO_AND_BURST.replace(
        "    prices:\n      own: {hardware: 3000",
        "    prices:\n      reserved: {amount: 1, currency: EUR, source: s, date: 2026-11-01}\n"
        "      own: {hardware: 3000",
    )
    fleet = write(tmp_path, text)
    only = state(fleet, alive("studio", card(basis="own")))
    assert [offer.basis for offer in only.offers] == ["own"]
    both = state(fleet, alive("studio", card(basis="own"), card()))
    assert {offer.basis for offer in both.offers} == {"own", "reserved"}
    none = state(fleet, alive("studio", card(basis="spot")))
    assert (none.up, none.why_down) == (False, "its workers take none of its offers")
