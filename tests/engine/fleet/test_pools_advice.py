"""Advice: the rules of thumb for each workload, on classes and on the pools of a fleet."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from millrace.engine.document.catalogue import Catalogue
from millrace.engine.fleet import advice, catalogue
from millrace.engine.fleet.advice import Measured, Verdict, Workload
from millrace.engine.fleet.measured import by_class
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.ledger import Row

NO_KINDS: dict[str, EntryPoint] = {}


@pytest.mark.parametrize(
    ("workload", "device", "verdict", "reason"),
    [
        ("render", "rtx-4090", "best", "1,008 GB/s"),
        ("render", "rtx-5090", "best", "170 RT cores"),
        ("render", "h100", "fits", "no RT cores"),
        ("render", "l40s", "no", "864 GB/s, not over 1 TB/s"),
        ("render", "l4", "no", "300 GB/s"),
        ("render", "rtx-4070-ti", "no", "12 GB, less than 24 GB"),
        ("render", "cpu", "slow", "no GPU"),
        ("documents", "rtx-4070-ti", "best", "12 GB"),
        ("documents", "h200", "best", "141 GB"),
        ("documents", "cpu", "slow", "no GPU"),
        ("video", "rtx-4070-ti", "no", "12 GB, less than 16 GB"),
        ("video", "l4", "best", "2 NVENC, 4 NVDEC"),
        ("video", "a100-40", "fits", "no NVENC"),
        ("video", "h200", "fits", "no NVENC"),
    ],
)
def test_a_class_is_judged_by_the_rule(
    workload: Workload, device: str, verdict: Verdict, reason: str
) -> None:
    entry = catalogue.classes()[device]
    found, reasons = advice.judge(workload, entry, entry.memory_gb)
    assert found == verdict
    assert reason in "; ".join(reasons)


def test_the_best_come_first() -> None:
    found = advice.classes("render", catalogue.classes().values())
    order = ["best", "fits", "slow", "no"]
    assert [one.verdict for one in found] == sorted((one.verdict for one in found), key=order.index)
    assert found[0].name == "rtx-4090"


def test_pools_are_judged_with_their_prices_and_without_conductors(repository: Path) -> None:
    fleet = load_fleet(repository / "deployments" / "pools.yaml")
    found = {one.name: one for one in advice.pools("video", fleet)}
    assert set(found) == {"studio", "box", "burst"}
    assert found["studio"].verdict == "best"
    assert found["studio"].prices["own"] == pytest.approx(0.507)
    assert found["burst"].prices["spot"] == pytest.approx(1.47 * 0.86)
    box = found["box"].prices["own"]  # four slots, one machine
    assert box == pytest.approx(5000 / 43800 + 0.35 * 0.32 + 300 / 8760)


def test_vram_that_a_pool_declares_counts_and_not_that_of_its_class(tmp_path: Path) -> None:
    path = tmp_path / "pools.yaml"
    path.write_text("""\
version: 1
stores: {home: {clearance: restricted}}
pools:
  half:
    where: local
    device: rtx-4090
    vram: 12 GiB
    cores: 8
    memory: 32 GiB
    store: home
    prices: {own: {hardware: 1, years: 1, watts: 1, energy: 1, currency: EUR, source: x, date: 2026-11-01}}
""")  # noqa: E501
    (half,) = advice.pools("video", load_fleet(path))
    assert (half.verdict, half.reasons) == ("no", ("12 GB, less than 16 GB",))


def test_what_the_ledger_saw_stands_beside_the_device_it_ran_on() -> None:
    rows = [
        Row(at=1, kind="video.encode", version=1, device="NVIDIA L4", seconds=10, units=300),
        Row(at=2, kind="video.encode", version=1, device="NVIDIA L4", seconds=10, units=100),
        Row(at=3, kind="video.encode", version=1, device="AMD EPYC", seconds=10, units=50),
        Row(at=4, kind="documents.read", version=1, device="NVIDIA L4", seconds=1, units=9),
        Row(at=5, kind="video.encode", version=1, device="NVIDIA Riva 128", seconds=1, units=9),
        Row(at=6, kind="video.encode", version=1, device="NVIDIA L4", seconds=9, state="opened"),
        Row(at=7, kind="video.encode", version=1, device="NVIDIA L4", seconds=9, units=1,
            state="failed"),
    ]  # fmt: skip
    measured = by_class(rows, Catalogue(NO_KINDS))
    assert measured == (
        Measured("cpu", "video.encode", 5.0, 1, "unit"),
        Measured("l4", "documents.read", 9.0, 1, "unit"),
        Measured("l4", "video.encode", 20.0, 2, "unit"),
    )
    found = {
        one.name: one for one in advice.classes("video", catalogue.classes().values(), measured)
    }
    assert [one.units_per_second for one in found["l4"].measured] == [20.0]
    assert found["rtx-4090"].measured == ()
