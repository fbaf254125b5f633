"""What docs/pools.md shows is a fleet, names every key, and quotes what is printed."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from millrace.engine.document import source_map, yaml_text
from millrace.engine.document.validation import keys_of
from millrace.engine.fleet.pools import (
    Alerts,
    Elastic,
    Exchange,
    FleetSpec,
    Floor,
    Own,
    PoolSpec,
    Prices,
    Rate,
    Spend,
    SpotRate,
    StoreSpec,
)
from millrace.engine.fleet.reading import Fleet, read_fleet

REPOSITORY = Path(__file__).resolve().parents[3]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
TEXT = (REPOSITORY / "docs" / "pools.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
WHOLE = [
    (page.name, block)
    for page in PAGES
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    if re.search(r"^version:", block, re.MULTILINE) and re.search(r"^pools:", block, re.MULTILINE)
]
PARTS = [block for block in BLOCK.findall(TEXT) if not re.search(r"^version:", block, re.MULTILINE)]
TODAY = datetime.date(2026, 11, 24)


def fleet_of(folder: Path, text: str) -> Fleet:
    path = folder / "pools.yaml"
    path.write_text(text, encoding="utf-8")
    reading = read_fleet(path, TODAY)
    assert [str(problem) for problem in reading.report.problems] == []
    assert reading.fleet is not None
    return reading.fleet


@pytest.mark.parametrize(("page", "block"), WHOLE, ids=[page for page, _ in WHOLE])
def test_a_fleet_in_the_documentation_is_valid(page: str, block: str, tmp_path: Path) -> None:
    assert fleet_of(tmp_path, block).workers


@pytest.mark.parametrize("block", PARTS, ids=lambda block: block.split(":", 1)[0])
def test_a_part_of_a_fleet_in_the_documentation_fits_into_the_first_one(
    block: str, tmp_path: Path
) -> None:
    whole = source_map.parse(next(b for p, b in WHOLE if p == "pools.md"), "").data
    part = source_map.parse(block, "").data
    assert whole is not None and part is not None
    pools = {"pools": whole["pools"] | part.get("pools", {})}
    fleet_of(tmp_path, yaml_text.dump(whole | part | pools))


def test_the_first_fleet_costs_what_the_page_says(tmp_path: Path) -> None:
    part = next(block for block in PARTS if "gpus: 2" in block)
    text = f"version: 1\nstores: {{home: {{clearance: restricted}}}}\n{part}"
    (own,) = fleet_of(tmp_path, text).offers("studio")
    said = re.search(r"which is ([\d.]+) EUR for the one above, ([\d.]+) EUR", TEXT)
    assert said
    assert own.price * 3600 == pytest.approx(float(said[2]), abs=0.005)
    assert own.price * 3600 * 2 == pytest.approx(float(said[1]), abs=0.005)


def test_the_page_has_every_key() -> None:
    models = (
        FleetSpec, PoolSpec, StoreSpec, Prices, Rate, SpotRate, Own, Elastic, Floor, Alerts, Spend,
        Exchange,
    )  # fmt: skip
    keys = TEXT.partition("## Every key")[2]
    for model in models:
        missing = [k for k in keys_of(model) if not re.search(rf"`{k}`|\b{k}: ", keys)]
        assert missing == [], model.__name__


def test_what_the_page_says_of_errors_is_what_is_printed() -> None:
    table = TEXT.partition("| it says |")[2].partition("\n\n")[0]
    broken = (Path(__file__).parent / "broken").glob("*.expected")
    printed = "".join(path.read_text(encoding="utf-8") for path in broken)
    quoted = re.findall(r"^\| `(.*?)` \| ", table, re.MULTILINE)
    assert len(quoted) == table.count("\n| `")
    for words in quoted:
        assert words in printed, words
