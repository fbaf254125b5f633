"""Every broken fleet says what is wrong with it, in words that are pinned beside it.

`broken/NAME.yaml` is the fleet and `broken/NAME.expected` what `millrace pools check` finds in it.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest

from millrace.engine.errors import DocumentError, UsageError
from millrace.engine.fleet.reading import check_fleet, load_fleet, read_fleet

BROKEN = Path(__file__).parent / "broken"
FLEETS = sorted(BROKEN.glob("*.yaml"))
WRONG = [path for path in FLEETS if not path.stem.startswith("warning_")]
DOUBTFUL = [path for path in FLEETS if path.stem.startswith("warning_")]
TODAY = datetime.date(2026, 11, 24)
JARGON = ("pydantic", "ruamel", "Input should", "Field required", "Traceback", "tagged-union")


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", FLEETS, ids=name)
def test_a_broken_fleet_says_exactly_this(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    report = check_fleet(Path(path.name), TODAY)
    said = "".join(f"{problem}\n" for problem in report.problems)
    said += "".join(f"warning: {warning}\n" for warning in report.warnings)
    assert said == path.with_suffix(".expected").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WRONG, ids=name)
def test_load_raises_one_error_with_every_problem_and_its_place(path: Path) -> None:
    with pytest.raises(DocumentError) as raised:
        load_fleet(path, TODAY)
    assert raised.value.exit_code == 2
    assert raised.value.problems == tuple(str(one) for one in check_fleet(path, TODAY).problems)
    for problem in raised.value.problems:
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", problem), problem
        assert not any(word in problem for word in JARGON), problem


@pytest.mark.parametrize("path", DOUBTFUL, ids=name)
def test_a_warning_does_not_stop_a_fleet(path: Path) -> None:
    assert load_fleet(path, TODAY).name == "acme"
    assert check_fleet(path, TODAY).warnings


@pytest.mark.parametrize("path", [p for p in FLEETS if "hunter2" in p.read_text()], ids=name)
def test_a_secret_in_the_file_is_refused_and_never_shown(path: Path) -> None:
    report = check_fleet(path, TODAY)
    assert report.problems
    assert "hunter2" not in "".join(str(one) for one in (*report.problems, *report.warnings))


def test_there_are_enough_broken_fleets_and_each_has_its_words() -> None:
    assert len(WRONG) >= 30
    assert {path.stem for path in BROKEN.glob("*.expected")} == {path.stem for path in FLEETS}
    assert all(path.read_text(encoding="utf-8").strip() for path in BROKEN.glob("*.expected"))


def test_a_fleet_that_is_not_there_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no fleet") as raised:
        load_fleet(tmp_path / "pools.yaml")
    assert "docs/pools.md" in raised.value.hint


def test_a_file_that_is_no_fleet_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "pools.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.yaml").write_text("# padding\n" * 110_000)
    reasons = {
        tmp_path: "is a folder; name the fleet file in it",
        tmp_path / "pools.yaml": "is UTF-16",
        tmp_path / "large.yaml": "is larger than 1 MiB",
    }
    for path, reason in reasons.items():
        with pytest.raises(DocumentError, match=reason):
            load_fleet(path)


def test_prices_are_old_after_90_days_and_not_before() -> None:
    path = BROKEN / "warning_future_price.yaml"
    fresh = datetime.date(2027, 11, 1) + datetime.timedelta(days=90)
    told = [str(one) for one in read_fleet(path, fresh).report.warnings]
    assert not any("2027-11-01" in one for one in told)
    told = [
        str(one) for one in read_fleet(path, fresh + datetime.timedelta(days=1)).report.warnings
    ]
    assert any("91 days old" in one and "2027-11-01" in one for one in told)
