"""The report: complete, harmless whatever files are called, and of a size a browser can show."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

from millrace.engine.journal import Journal
from millrace.engine.pipeline import Input, Output, Pipeline, StageSpec
from millrace.engine.reporting.report import find_pictures, render, write_report
from millrace.engine.reporting.tally import Tally
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.engine.store import Store

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>.mp4'


class Seen(HTMLParser):
    """Collects tags, addresses and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [v or "" for n, v in attrs if n in ("src", "href", "action", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def here() -> Settings:
    return settings()


@pytest.fixture
def run(here: Settings, tmp_path: Path) -> Run:
    pipeline = Pipeline(
        name="re<b>master",
        inputs={"clips": Input(files=("*.mp4",))},
        stages={"master": StageSpec(uses="video.encode", each="clips")},
        outputs={"o": Output(source="master", to="out/{source.path}.mp4")},
    )
    return Runs(here).create(Order(pipeline=pipeline, base=tmp_path, source=HOSTILE))


def journal_of(run: Run, outputs: list[Path]) -> None:
    journal = Journal(run.journal, "test")
    journal.write("started", run=run.id, pid=1, pipeline="re<b>master")
    journal.write("expected", "master", items=2)
    journal.write("measured", "master", HOSTILE, units=10, load=10, notes=["<i>note</i>"])
    journal.write(
        "assigned", "master", assignment="a0001", keys=1, device="CPU", host="h", seconds=2.5
    )
    journal.write("opened", "master", assignment="a0001", device="<CPU>", seconds=0.1, waited=0)
    journal.write(
        "done",
        "master",
        HOSTILE,
        key="ab" * 32,
        units=10,
        load=10,
        seconds=1.5,
        bytes=3_500_000,
        device="CPU",
        assignment="a0001",
    )
    journal.write("finished", "master", HOSTILE, status="done")
    journal.write(
        "failed",
        "master",
        "<script>bad",
        key="",
        code="truncated",
        message="<script>bad ends early & so",
        hint="copy it again",
        known=True,
    )
    for path in outputs:
        journal.write(
            "delivered", "master", HOSTILE, output="o", path=str(path), bytes=3, status="written"
        )
    journal.write("ended", state="partial", items={}, seconds=3.0, outputs=len(outputs))
    journal.close()


def test_hostile_names_are_text_and_nothing_else(run: Run, here: Settings) -> None:
    journal_of(run, [])
    write_report(run, here)
    seen = Seen((run.folder / "report.html").read_text())
    assert "script" not in seen.tags
    assert seen.handlers == []
    assert HOSTILE in seen.text
    assert "<script>bad ends early & so" in seen.text
    assert "<CPU>" in seen.text


def test_the_report_fetches_nothing(run: Run, here: Settings) -> None:
    journal_of(run, [])
    page = render(Tally(run.records()), run.id, run.order(), {"x": PNG})
    seen = Seen(page)
    assert all(address.startswith("data:image/png;base64,") for address in seen.addresses)
    assert len(seen.addresses) == 1
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(http" not in page


def test_it_tells_stages_timeline_items_failures_and_what_was_foreseen(
    run: Run, here: Settings
) -> None:
    journal_of(run, [])
    page = render(Tally(run.records()), run.id, run.order())
    seen = Seen(page)
    for words in ("partial", "truncated", "known from before", "copy it again", "2.5 s", "1.5 s"):
        assert words in seen.text
    assert "video.encode" in seen.text
    assert "3.3 MiB" in seen.text
    assert "rect" in seen.tags
    assert "a0001 master" in seen.text


def test_it_lies_beside_the_outputs_and_in_the_run_folder(
    run: Run, here: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    journal_of(run, [out / "a.mp4", out / "deep" / "b.mp4"])
    assert write_report(run, here) == [run.folder / "report.html", out / "report.html"]
    assert (out / "report.html").read_bytes() == (run.folder / "report.html").read_bytes()


def test_a_person_s_own_report_is_never_overwritten_but_ours_is(
    run: Run, here: Settings, tmp_path: Path
) -> None:
    mine = tmp_path / "report.html"
    mine.write_text("<html>my own</html>")
    journal_of(run, [tmp_path / "a.mp4"])
    write_report(run, here)
    ours = tmp_path / f"report-{run.id}.html"
    assert mine.read_text() == "<html>my own</html>"
    assert ours.exists()
    mine.unlink()
    write_report(run, here)
    mine_again = mine.stat().st_mtime_ns
    write_report(run, here)
    assert mine.stat().st_mtime_ns > mine_again


def test_a_run_without_outputs_has_its_report_in_its_own_folder(run: Run, here: Settings) -> None:
    journal_of(run, [])
    assert write_report(run, here) == [run.folder / "report.html"]


def test_pictures_come_from_the_facts_of_results_and_only_images_are_shown(
    run: Run, here: Settings
) -> None:
    journal = Journal(run.journal, "pictures")
    text = base64.b64encode(PNG).decode()
    journal.write("done", "master", "a.mp4", key="aa", units=1, thumbnail=text)
    journal.write("done", "master", "b.mp4", key="bb", units=1, thumbnail="no base64 at all!")
    svg = base64.b64encode(b"<svg onload='alert(1)'/>").decode()
    journal.write("done", "master", "c.mp4", key="cc", units=1, thumbnail=svg)
    found = find_pictures(run.records(), Store(here.store))
    assert found["a.mp4"] == PNG
    assert "b.mp4" not in found
    seen = Seen(render(Tally(run.records()), run.id, run.order(), found))
    assert seen.tags.count("img") == 1


def test_ten_thousand_items_make_a_page_that_a_browser_can_show(run: Run, here: Settings) -> None:
    journal = Journal(run.journal, "many")
    for n in range(10_000):
        name = f"{n:05d}.mp4"
        journal.write(
            "assigned", "master", assignment=f"a{n // 100:04d}", keys=1, device="CPU", seconds=1
        )
        journal.write("done", "master", name, key=f"{n}", units=1, seconds=1, assignment="a0000")
        journal.write("finished", "master", name, status="done")
    journal.write("failed", "master", "zzz.mp4", key="", code="empty", message="zzz.mp4 is empty")
    page = render(Tally(run.records()), run.id, run.order(), {str(n): PNG for n in range(500)})
    seen = Seen(page)
    assert len(page) < 1_500_000
    assert "9,001 more items" in seen.text
    assert "440 more results with pictures" in seen.text
    assert "each assignment is one bar" in seen.text
    assert "zzz.mp4 is empty" in seen.text
    assert seen.text.index("zzz.mp4", seen.text.index("Items")) < seen.text.index("00000.mp4")
