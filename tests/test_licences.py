"""What we give away: sample data and network weights, each with its origin and licence."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

LIMIT_BYTES = 15_000_000
PERMITS_CHANGE = ("CC BY 3.0", "CC BY 4.0", "CC0", "Apache-2.0")


def given_away(sample: Path) -> list[str]:
    files = [path for path in sample.rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(sample)) for path in files if path.name != "ATTRIBUTION.md")


def rows(sample: Path) -> list[tuple[list[str], str]]:
    """Returns, for each row of the table, the names in its first cell and its licence cell."""
    lines = (sample / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines()
    cells = [line.strip("|").split("|") for line in lines if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", row[0]), row[3]) for row in cells]


def is_named(file: str, names: list[str]) -> bool:
    if len(names) == 2 and Path(names[0]).parent == Path(file).parent:
        pattern = re.sub(r"\d+", "*", names[0])
        return fnmatch(file, pattern) and names[0] <= file <= names[1]
    return file in names


def test_every_sample_file_is_attributed_once(sample: Path) -> None:
    table = rows(sample)
    for file in given_away(sample):
        assert sum(is_named(file, names) for names, _ in table) == 1, file


def test_every_attribution_names_a_file_that_is_there(sample: Path) -> None:
    files = given_away(sample)
    for names, _ in rows(sample):
        assert names
        assert set(names) <= set(files)


def test_every_sample_licence_permits_passing_on_and_changing(sample: Path) -> None:
    for names, licence in rows(sample):
        assert any(known in licence for known in PERMITS_CHANGE), f"{names}: {licence}"


def test_the_sample_data_weighs_at_most_15_megabytes(sample: Path) -> None:
    weight = sum(path.stat().st_size for path in sample.rglob("*") if path.is_file())
    assert weight <= LIMIT_BYTES


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("a/z_0001.png", True),
        ("a/z_0012.png", True),
        ("a/z_0013.png", False),
        ("z_0003.png", False),
    ],
)
def test_a_range_of_names_covers_its_files_and_no_other(file: str, named: bool) -> None:
    assert is_named(file, ["a/z_0001.png", "a/z_0012.png"]) is named


def test_every_network_has_a_card_beside_it(repository: Path) -> None:
    for weights in (repository / "tasks").rglob("*.onnx"):
        card = weights.with_suffix(".md")
        assert card.is_file(), f"{weights.name} has no model card {card.name}"
        assert "licence" in card.read_text(encoding="utf-8").lower()
