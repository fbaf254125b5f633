"""What a file is, is told by its content; what is refused, is refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import BadInput
from millrace.tasks.documents.reading import opening


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"%PDF-1.7\n", opening.PDF),
        (b"\xef\xbb\xbf%PDF-1.4\n", opening.PDF),
        (b"II*\0", opening.TIFF),
        (b"MM\0*", opening.TIFF),
        (b"\xff\xd8\xff\xe0", opening.JPEG),
        (b"\x89PNG\r\n\x1a\n", opening.PNG),
    ],
)
def test_a_document_is_known_by_its_content_whatever_its_name(
    tmp_path: Path, content: bytes, media_type: str
) -> None:
    file = tmp_path / "holiday.zip"
    file.write_bytes(content)

    assert opening.media_type(file, "holiday.zip") == media_type


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"PK\x03\x04....%PDF-1.4", "archive", "ZIP"),
        (b"\x1f\x8b\x08", "archive", "gzip"),
        (b"Rar!\x1a\x07\0", "archive", "RAR"),
        (b"a.pdf".ljust(257, b"\0") + b"ustar\0", "archive", "tar"),
        (b"", "no_content", "empty"),
        (bytes(4096), "no_content", "empty"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "unsupported", "office"),
        (b"GIF89a", "unsupported", "GIF"),
        (b"hello", "unsupported", "no document"),
    ],
)
def test_anything_else_is_refused_by_name_and_reason(
    tmp_path: Path, content: bytes, code: str, says: str
) -> None:
    file = tmp_path / "input"
    file.write_bytes(content)

    with pytest.raises(BadInput, match=says) as refusal:
        opening.media_type(file, "letter.pdf")

    assert refusal.value.code == code
    assert "letter.pdf" in refusal.value.message
    assert refusal.value.hint


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refusal:
        opening.media_type(tmp_path / "missing", "missing.pdf")

    assert refusal.value.code == "unreadable"
    assert str(tmp_path) not in refusal.value.message


def test_passwords_come_from_the_list_then_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "side-0"
    listed.write_text("\ufefføæå\ntwo words\n\n", encoding="utf-8")
    monkeypatch.setenv("MILLRACE_PASSWORDS", "last\ntwo words")

    assert opening.passwords({"passwords": listed}) == ("øæå", "two words", "last")
    assert opening.passwords({}) == ("last", "two words")


def test_no_password_stands_in_a_refusal() -> None:
    refusal = opening.needs_password("a.pdf", 3)

    assert refusal.code == "needs_password"
    assert "3 passwords" in refusal.message
