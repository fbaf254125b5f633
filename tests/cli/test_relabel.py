"""The command relabel, as a person or a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Millrace


def test_relabelling_is_confirmed_recorded_and_listed(millrace: Millrace, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    unasked = millrace("relabel", "a.txt", "--to", "internal", "--why", "no names")
    assert unasked.returncode == 2
    assert "--yes" in unasked.stderr
    assert "nothing" in millrace("relabel", "--list").stderr
    done = millrace("relabel", "a.txt", "--to", "internal", "--why", "no names", "--yes")
    assert done.returncode == 0, done.stderr
    assert "as declared → internal: no names" in done.stdout
    (entry,) = json.loads(millrace("relabel", "--list", "--json").stdout)
    assert (entry["file"], entry["to"], entry["why"]) == ("a.txt", "internal", "no names")


def test_what_is_wrong_is_told_in_words(millrace: Millrace, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("content")
    for words, told in (
        (("a.txt", "--to", "internal"), "reason"),
        (("a.txt", "--to", "secret", "--why", "x"), "no label"),
        (("--to", "internal", "--why", "x"), "FILES"),
        (("nothing.txt", "--to", "internal", "--why", "x", "--yes"), "cannot be read"),
    ):
        wrong = millrace("relabel", *words)
        assert wrong.returncode == 2
        assert told in wrong.stderr
        assert "Traceback" not in wrong.stderr
