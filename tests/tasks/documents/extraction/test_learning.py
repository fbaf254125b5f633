"""What a person corrects makes the next receipt of that vendor come out right, at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from millrace.engine.errors import UsageError
from millrace.engine.hosts.devices import Device
from millrace.engine.settings import settings
from millrace.tasks.documents.extraction.extracting import Extractor
from millrace.tasks.documents.extraction.kind import Extract
from millrace.tasks.documents.extraction.model import SHIPPED, load, save
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.facts import Fact
from millrace.tasks.documents.pages import Box, Document, Line, Page, Reading, Word
from millrace.tasks.documents.review.desk import Desk, Loaded, Verdict
from millrace.tasks.documents.review.tables import connect

VENDOR = "WARUNG ZAFRAN JUBLI SDN BHD"
BADLY_READ = "WARVNG ZAFPAN JUBLl S0N 8HD"
PARAMS = ExtractParams(schemas=("receipt",))


def read(name: str, company: str, total: str) -> Document:
    """Returns a receipt as OCR has read it."""
    told = (
        (company, 80), ("(482910-T)", 150), ("NO. 17, JALAN MERANTI 3,", 90),
        ("81100 JOHOR BAHRU, JOHOR.", 90), ("TAX INVOICE", 150), ("DATE: 17/03/2018", 40),
        ("NOTEBOOK A5", 40), (f"TOTAL: {total}", 40), ("THANK YOU", 70),
    )  # fmt: skip
    lines = []
    for number, (text, left) in enumerate(told):
        box = Box(left, 30 * number + 20, left + 9 * len(text), 30 * number + 38)
        lines.append(Line(text, box, (Word(text, box, 0.8),)))
    reading = Reading("tesseract", "5", "psm 6", tuple(lines))
    page = Page(1, 450, 480, 150, "ocr", tuple(lines), readings=(reading,))
    return Document(name, f"{len(name):064x}", "image/png", (page,))


def facts(document: Document, extractor: Extractor) -> Mapping[str, Fact]:
    return {fact.field: fact for fact in extractor.facts(document, []).facts}


def extractor() -> Extractor:
    return Extractor.of(PARAMS)


def profile() -> Mapping[str, str]:
    return Extract(PARAMS).profile(Device(cores=2))


def decided(document: Document, field: str, verdict: Verdict, value: str = "") -> None:
    """Decides on a field of a document as `millrace review` does."""
    desk = Desk(connect(settings()))
    found = Extractor.of(PARAMS.model_copy(update={"threshold": 1.0})).facts(document, [])
    desk.put([Loaded(found, "test/load", "")])
    (case,) = (one for one in desk.cases(field=field) if one.facts.digest == document.digest)
    desk.decide(case, verdict, value=value, who="anna")


def chances(fact: Fact, value: str) -> float:
    told: Sequence[tuple[str, float]] = (*fact.alternatives, (fact.value, fact.probability))
    return max((p for v, p in told if v == value), default=0.0)


def test_a_corrected_vendor_is_known_on_the_next_receipt_that_is_badly_read() -> None:
    next_one = read("the next", BADLY_READ, "12.50")
    before = facts(next_one, extractor())["company"]
    assert before.value != VENDOR
    decided(read("first", "WARUNG 2AFRAN JUBLI SDN BHD", "9.90"), "company", "corrected", VENDOR)
    after = facts(next_one, extractor())["company"]
    assert after.value == VENDOR
    assert "gazetteer" in after.methods
    assert chances(after, VENDOR) > chances(before, VENDOR)


def test_a_decision_makes_results_be_made_anew_and_an_unchanged_queue_does_not() -> None:
    first = read("first", VENDOR, "9.90")
    before = profile()
    assert profile() == before
    Desk(connect(settings())).put([Loaded(extractor().facts(first, []), "test/load", "")])
    assert profile() == before  # nothing is decided yet
    decided(first, "company", "corrected", VENDOR)
    known = profile()
    assert known["extractor"] != before["extractor"]
    decided(first, "total", "corrected", "9.95")
    assert profile() == known  # totals are nothing that a gazetteer knows
    Desk(connect(settings())).forget(first.digest)
    assert profile() == before


def test_a_model_that_was_trained_here_goes_before_the_shipped_one(tmp_path: Path) -> None:
    shipped = load(SHIPPED / "receipt")
    before = profile()
    place = settings().home / "models" / "receipt"
    save(shipped, place)
    card = json.loads((place / "card.json").read_text())
    (place / "card.json").write_text(json.dumps({**card, "threshold": 0.125, "version": "own"}))
    assert extractor().models["receipt"].threshold == 0.125
    assert profile() != before
    named = tmp_path / "models"
    save(shipped, named / "receipt")
    other = Extractor.of(PARAMS.model_copy(update={"models": str(named)}))
    assert other.models["receipt"].threshold == shipped.threshold
    (place / "gazetteer.json").write_text("{")
    with pytest.raises(UsageError, match="the model of receipt cannot be read"):
        extractor()
