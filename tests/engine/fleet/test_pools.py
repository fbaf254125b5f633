"""A fleet as it is read: devices, slots, prices of a slot, floors, and the example that ships."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.fleet.pools import GIB, Own
from millrace.engine.fleet.reading import Fleet, load_fleet, read_fleet
from millrace.engine.fleet.resolved import ASSUMED_BANDWIDTH
from millrace.engine.labels import Label

TODAY = datetime.date(2026, 11, 24)

FLEET = """\
version: 1
currency: EUR
exchange:
  USD: {rate: 0.9, source: a bank, date: 2026-11-20}
stores:
  home: {clearance: restricted}
  bucket: {url: "s3://acme/millrace", clearance: internal}
pools:
  conductor:
    where: local
    clearance: restricted
    cores: 2
    memory: 4 GiB
    store: home
    runs: conductors
    prices:
      own: &own
        {hardware: 800, years: 4, watts: 30, energy: 0.3, currency: EUR, source: x,
        date: 2026-11-01}
  studio:
    where: local
    clearance: restricted
    device: rtx-4090
    gpus: 2
    cores: 17
    memory: 64 GiB
    store: home
    prices:
      own: {<<: *own, hardware: 8000, watts: 1000, upkeep_per_year: 400}
  burst:
    where: cloud
    clearance: restricted
    device: a100-40
    vram: 20 GiB
    cores: 12
    memory: 84 GiB
    machines: {min: 1, max: 4}
    slots: 2
    store: bucket
    egress: {amount: 0.10, currency: USD, source: x, date: 2026-11-01}
    prices:
      reserved: {amount: 2.00, currency: USD, source: x, date: 2026-11-01}
      on_demand: {amount: 4.00, currency: USD, source: x, date: 2026-11-01}
      spot: {amount: 1.00, currency: USD, source: x, date: 2026-11-01, interruptions_per_hour: 0.18}
monthly_budget: {amount: 1000, currency: USD}
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return written(tmp_path, FLEET)


def written(folder: Path, text: str) -> Fleet:
    (folder / "pools.yaml").write_text(text)
    return load_fleet(folder / "pools.yaml", TODAY)


def test_an_own_machine_costs_hardware_energy_and_upkeep(fleet: Fleet) -> None:
    (own,) = fleet.offers("studio")
    machine = 8000 / (4 * 4000) + 1.0 * 0.3 + 400 / 4000
    assert own.basis == "own"
    assert own.price * 3600 == pytest.approx(machine / 2)  # two GPUs, so two slots share it


def test_offers_are_in_the_fleets_currency_by_slot_and_second(fleet: Fleet) -> None:
    offers = {offer.basis: offer for offer in fleet.offers("burst")}
    assert list(offers) == ["reserved", "on_demand", "spot"]
    assert offers["on_demand"].price == pytest.approx(4.00 * 0.9 / 2 / 3600)
    assert offers["spot"].interruptions == pytest.approx(0.18 / 3600)
    assert offers["on_demand"].interruptions == 0
    assert fleet.monthly_budget == pytest.approx(900)
    assert fleet.in_currency(10, "USD") == pytest.approx(9)


def test_no_offer_is_ever_free(fleet: Fleet) -> None:
    assert all(offer.price > 0 for pool in fleet.pools for offer in fleet.offers(pool))


def test_a_pool_knows_its_device_slots_and_reach(fleet: Fleet) -> None:
    studio, burst, conductor = (fleet.pool(n) for n in ("studio", "burst", "conductor"))
    assert (studio.kind, studio.gpus, studio.slots, studio.cores) == ("cuda", 2, 2, 8)
    assert studio.vram == 24564 << 20
    assert studio.memory == 32 * GIB
    assert studio.bandwidth == 0  # the store is at hand
    assert (burst.slots, burst.slots_per_machine, burst.elastic) == (8, 2, True)
    assert (burst.vram, burst.bandwidth) == (20 * GIB, ASSUMED_BANDWIDTH)
    assert burst.egress == pytest.approx(0.10 * 0.9 / GIB)
    assert (conductor.kind, conductor.vram, conductor.slots) == ("cpu", 0, 8)


def test_a_pool_takes_no_more_than_its_store_is_cleared_for(fleet: Fleet) -> None:
    assert fleet.pool("burst").spec.clearance is Label.RESTRICTED
    assert fleet.pool("burst").effective is Label.INTERNAL


@pytest.mark.parametrize(
    ("written_as", "bytes_a_second"),
    [
        ("100 MB/s", 100_000_000), ("100 MB", 100_000_000), ("1 Gbit/s", 125_000_000),
        ("100 Mbit/s", 12_500_000), ("2 MiB/s", 2 << 20), ("2.5Gbps", 312_500_000),
    ],
)  # fmt: skip
def test_bandwidth_is_written_in_bytes_or_bits(
    tmp_path: Path, written_as: str, bytes_a_second: int
) -> None:
    text = FLEET.replace("    store: bucket\n", f"    store: bucket\n    bandwidth: {written_as}\n")
    assert written(tmp_path, text).pool("burst").bandwidth == bytes_a_second


@pytest.mark.parametrize(
    "url",
    [
        "s3://acme/millrace", "gs://acme_films", "az://films/x", "/srv/exchange",
        "file:///srv/exchange", "abfs://films@acme.dfs.core.windows.net/millrace",
    ],
)  # fmt: skip
def test_a_store_is_a_bucket_or_a_folder(tmp_path: Path, url: str) -> None:
    fleet = written(tmp_path, FLEET.replace("s3://acme/millrace", url))
    assert fleet.stores["bucket"].url == url


def test_times_are_seconds_or_written_with_a_unit(tmp_path: Path) -> None:
    text = FLEET.replace("    slots: 2\n", "    slots: 2\n    start: 3m\n    latency: 0.05\n")
    spec = written(tmp_path, text).pool("burst").spec
    assert (spec.start, spec.latency) == (180, 0.05)


def test_pools_are_found_by_name_store_and_purpose(fleet: Fleet) -> None:
    assert [pool.name for pool in fleet.pools_using("home")] == ["conductor", "studio"]
    assert [pool.name for pool in fleet.workers] == ["studio", "burst"]
    assert fleet.conductors is fleet.pool("conductor")
    assert fleet.worker("burst") is fleet.pool("burst")
    with pytest.raises(UsageError, match="the pool conductor runs conductors and takes no work"):
        fleet.worker("conductor")
    with pytest.raises(UsageError, match="no pool is called 'bursts'; did you mean 'burst'"):
        fleet.pool("bursts")
    with pytest.raises(UsageError, match="no exchange rate for GBP"):
        fleet.in_currency(1, "GBP")


def test_a_local_cloud_at_zero_is_no_price_of_ones_own() -> None:
    with pytest.raises(ValueError, match="has no cost at all"):
        Own(
            hardware=0, years=1, watts=1, energy=0, currency="EUR", source="x",
            date=datetime.date(2026, 11, 1),
        )  # fmt: skip


FLOORS = """
floors:
  - {paths: [secret, "films/*/raw", "s3://acme/secret"], label: restricted}
  - {paths: ".", label: internal}
"""


def test_a_floor_holds_what_lies_below_it_however_it_is_named(tmp_path: Path) -> None:
    for folder in ("secret", "films/a/raw", "open"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secret" / "x.mp4").touch()
    (tmp_path / "open" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "secret" / "out").symlink_to(tmp_path / "open")
    floors = written(tmp_path, FLEET + FLOORS).floors()
    restricted = [
        "secret/x.mp4", "secret", "secret/not/there.mp4", "films/a/raw/1.exr", "open/link/x.mp4",
        "open/../secret/x.mp4", "secret/out/a.mp4", ".//secret/./x.mp4",
    ]  # fmt: skip
    for path in restricted:
        assert floors.of_path(f"{tmp_path}/{path}") is Label.RESTRICTED, path
    for path in ("open/a.mp4", "secrets/x.mp4", "films/a/rough/1.exr"):
        assert floors.of_path(tmp_path / path) is Label.INTERNAL, path
    assert floors.of_path("/elsewhere/secret/x.mp4") is Label.PUBLIC
    for url in (
        "s3://acme/secret/a",
        "S3://acme/secret",
        "s3://acme/x/../secret/a",
        "s3a://acme//secret/a",
    ):
        assert floors.of_url(url) is Label.RESTRICTED, url
    assert floors.of_url("s3://acme/secrets/a") is Label.PUBLIC


def test_a_relative_path_is_on_the_floor_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()
    floors = written(tmp_path, FLEET + FLOORS).floors()
    monkeypatch.chdir(tmp_path / "secret")
    assert floors.of_path("a.mp4") is Label.RESTRICTED
    assert floors.of_path(os.curdir) is Label.RESTRICTED


def test_the_fleet_that_ships_works_as_it_stands(repository: Path) -> None:
    reading = read_fleet(repository / "deployments" / "pools.yaml", TODAY)
    assert [str(one) for one in (*reading.report.problems, *reading.report.warnings)] == []
    fleet = reading.fleet
    assert fleet is not None
    assert fleet.conductors is not None
    studio, burst = fleet.pool("studio"), fleet.pool("burst")
    assert (studio.spec.where, studio.effective, studio.spec.store) == (
        "local", Label.RESTRICTED, "home",
    )  # fmt: skip
    assert (burst.spec.where, burst.effective, burst.elastic) == ("cloud", Label.INTERNAL, True)
    assert {offer.basis for offer in burst.offers} == {"on_demand", "spot"}
    assert any(pool.kind == "cpu" for pool in fleet.workers)
    assert fleet.monthly_budget
