"""Every broken document says what is wrong with it, in words that are pinned beside it.

`broken/NAME.yaml` is the document and `broken/NAME.expected` what `millrace check` prints for it.
A first line `# --set a=1` gives parameters.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from millrace.engine.errors import DocumentError
from millrace.engine.pipeline import check, load

pytestmark = pytest.mark.usefixtures("testkinds")

BROKEN = Path(__file__).parent / "broken"
DOCUMENTS = sorted(BROKEN.glob("*.yaml"))
UNREADABLE = {"not_utf8", "utf16"}
JARGON = ("pydantic", "ruamel", "Input should", "Field required", "block mapping", "Traceback")


def given(path: Path) -> dict[str, str]:
    first = path.read_bytes().splitlines()[:1]
    if not first or not first[0].startswith(b"# --set"):
        return {}
    words = shlex.split(first[0].decode()[1:])
    return dict(word.split("=", 1) for word in words if "=" in word)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_broken_document_says_exactly_this(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    report = check(path.name, given(path))
    said = "".join(f"{problem}\n" for problem in report.problems)
    said += "".join(f"warning: {warning}\n" for warning in report.warnings)
    assert said == path.with_suffix(".expected").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if not path.stem.startswith("warning_")],
    ids=lambda path: path.stem,
)
def test_load_raises_one_error_with_every_problem_and_its_place(path: Path) -> None:
    with pytest.raises(DocumentError) as raised:
        load(path, set=given(path))
    problems = raised.value.problems
    assert problems == tuple(str(problem) for problem in check(path, given(path)).problems)
    assert raised.value.exit_code == 2
    for problem in problems:
        assert not any(word in problem for word in JARGON), problem
        if path.stem not in UNREADABLE:
            assert re.match(rf"{re.escape(str(path))}:\d+:\d+: ", problem), problem


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if path.stem.startswith("warning_")],
    ids=lambda path: path.stem,
)
def test_a_warning_does_not_stop_a_document(path: Path) -> None:
    assert load(path).name == "clips"
    assert check(path).warnings


def test_there_are_enough_broken_documents_and_each_has_its_words() -> None:
    assert len(DOCUMENTS) >= 40
    expected = {path.stem for path in BROKEN.glob("*.expected")}
    assert expected == {path.stem for path in DOCUMENTS}
    assert all(path.read_text(encoding="utf-8").strip() for path in BROKEN.glob("*.expected"))


def test_a_file_that_is_no_document_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text("# padding\n" * 110_000)
    (tmp_path / "remaster.yaml").write_text("version: 1\n")
    reasons = {
        tmp_path / "large.yaml": "is larger than 1 MiB",
        tmp_path: "is a folder",
        Path("/dev/null"): "is not a regular file",
        tmp_path / "remastr.yaml": "there is no file .*; did you mean 'remaster.yaml'",
        tmp_path / "nowhere" / "x.yaml": "there is no file",
        tmp_path / ("x" * 300): "cannot be read: File name too long",
        Path("a\0b"): "cannot be read",
    }
    for path, reason in reasons.items():
        with pytest.raises(DocumentError, match=reason):
            load(path)


def test_a_file_nobody_may_read_is_named_with_the_reason(tmp_path: Path) -> None:
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    with pytest.raises(DocumentError, match="cannot be read: Too many levels of symbolic links"):
        load(loop)


def test_a_document_with_a_byte_order_mark_and_windows_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    text = (BROKEN / "warning_no_outputs.yaml").read_text().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load(path).name == "clips"
