"""The conformance kit: a straight kind passes, and every broken rule is said in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.testing import conformance

FAULTS = Path(__file__).parent / "plugins" / "faults"

RULES = {
    "writes beside its input": "changed its input's folder",
    "measures by the clock": "twice and found two things",
    "facts that are no JSON": "not plain JSON",
    "leaves units out": "leave units out",
    "stops too early": "do not end at",
    "cuts by the machine": "otherwise on another machine",
    "a profile of the clock": "profile is not the same",
    "says it did less": "units of",
    "writes random bytes": "other bytes the second time",
    "leaves files outside": "left files outside its folders",
    "checks nothing": "accepts an empty file",
    "joins half": "failed where it must not",
}


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.syspath_prepend(str(FAULTS))
    contents = {
        "good": "good words\n" * 20,
        "short": "one line",
        "rotten": "!bad",
        "late": "!bad-run",
        "crash": "!crash",
        "deadly": "!segfault",
        "fine": "nothing wrong with it at all",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.txt").write_text(content)
    return {name: tmp_path / f"{name}.txt" for name in contents}


def check(kind: Any, params: dict[str, Any], inputs: dict[str, Path], tmp: Path, *bad: str) -> None:
    good = [inputs["good"], inputs["short"]]
    conformance(
        kind,
        {"cut": 100, **params},
        good,
        [inputs[name] for name in bad],
        tmp / "bench",
        uncut={"cut": 10_000, **params},
        same=_same_bytes,
    )


def _same_bytes(joined: Path, uncut: Path) -> None:
    assert joined.read_bytes() == uncut.read_bytes()


@pytest.mark.slow
def test_a_straight_kind_conforms(inputs: dict[str, Path], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in inputs.values()}

    check("faults.bytes", {}, inputs, tmp_path, "rotten", "late")

    assert {path: path.read_bytes() for path in inputs.values()} == before


@pytest.mark.slow
def test_a_class_that_is_not_registered_yet_can_be_checked(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    from millrace_crooked import Misnamed

    check(Misnamed, {}, inputs, tmp_path, "rotten")


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_a_kind_that_breaks_a_rule_is_told_which(
    inputs: dict[str, Path], tmp_path: Path, rule: str
) -> None:
    with pytest.raises(AssertionError, match=RULES[rule]):
        check("faults.crooked", {"rule": rule}, inputs, tmp_path)


def test_a_kind_must_refuse_parameters_it_does_not_have(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="extra='forbid'"):
        check("faults.loose", {}, inputs, tmp_path)


def test_a_kind_must_be_registered_under_its_name(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="another name than its own"):
        check("faults.misnamed", {}, inputs, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("crash", "crashed on the bad input crash.txt"),
        ("deadly", "lost its session"),
        ("fine", "gave nothing but results on the bad input fine.txt"),
    ],
)
def test_a_kind_that_does_not_refuse_bad_input_is_told_so(
    inputs: dict[str, Path], tmp_path: Path, bad: str, sentence: str
) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check("faults.bytes", {}, inputs, tmp_path, bad)


@pytest.mark.slow
def test_the_kind_in_the_guide_conforms(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (repository / "docs" / "your-own-kind.md").read_text()
    code = guide.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "pack.py").write_text(code)
    (tmp_path / "good.txt").write_text("words " * 100)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    from pack import Pack

    conformance(
        Pack,
        {"level": 9},
        good=[tmp_path / "good.txt"],
        bad=[tmp_path / "missing", tmp_path / "lib"],
        tmp=tmp_path / "bench",
    )
