"""The kind `documents.extract`, in real session hosts and with Spark NLP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import DamagedOutput
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions.host import Limits
from millrace.engine.stages import Batch, Failure, Outline, Result, Span, Staged
from millrace.tasks.documents import facts, page_json, pages
from millrace.tasks.documents.extraction.extracting import Extractor
from millrace.tasks.documents.extraction.kind import Extract
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.pages import Box, Document, Line, Page, Reading, Word
from millrace.testing import conformance

RECEIPT = (
    "TAN & SONS SDN BHD",
    "NO 12, JALAN SAGU 18,",
    "81100 JOHOR BAHRU, JOHOR",
    "TAX INVOICE",
    "Date: 25/12/2018",
    "KITE 1 x 9.00",
    "TOTAL: 9.00",
    "CASH 10.00",
    "CHANGE 1.00",
    "THANK YOU",
)


def written(folder: Path, name: str, lines: tuple[str, ...] = RECEIPT) -> Path:
    told = []
    for number, text in enumerate(lines):
        words, left = [], 40.0
        for word in text.split():
            words.append(
                Word(word, Box(left, 40.0 * number, left + 12 * len(word), 40 * number + 28))
            )
            left += 12 * len(word) + 12
        told.append(Line(text, Box(40, 40.0 * number, left - 12, 40 * number + 28), tuple(words)))
    page = Page(
        1, 800, 1000, 100, "text", tuple(told),
        readings=(Reading("layer", "1", "layer", tuple(told)),),
    )  # fmt: skip
    document = Document(name, f"{len(name):064x}", "application/pdf", (page,))
    path = folder / f"{name}.json"
    path.write_bytes(page_json.dump(document))
    return path


def batch(path: Path, key: str) -> Batch:
    outline = Outline(media_type=pages.MEDIA_TYPE, size=path.stat().st_size, facts={"pages": 1})
    item = Staged(name=path.name, path=path)
    return Batch(key=key, item=item, outline=outline, span=Span(stop=1), whole=True)


@pytest.fixture(scope="module")
def kind() -> Extract:
    return Extract(ExtractParams(schemas=("receipt",)))


@pytest.fixture(scope="module")
def annotator(spark_session: Any) -> Any:
    return Extractor.of(ExtractParams(schemas=("receipt",))).annotator(spark_session)


def test_many_documents_are_done_together_and_a_rotten_one_is_one_failure(
    kind: Extract, annotator: Any, tmp_path: Path
) -> None:
    names = ["a", "bb", "ccc"]
    batches = [batch(written(tmp_path, name), name) for name in names]
    rotten = tmp_path / "rotten.json"
    rotten.write_bytes(b'{"format": 1, "name": "x"')
    batches.insert(1, batch(rotten, "rotten"))
    out = tmp_path / "out"
    out.mkdir()
    heard: list[str] = []
    answers = list(kind.run(annotator, batches, out, lambda key, units: heard.append(key)))
    (failure,) = [one for one in answers if isinstance(one, Failure)]
    assert (failure.key, failure.code, failure.fault) == ("rotten", "not_a_read_document", "input")
    results = [one for one in answers if isinstance(one, Result)]
    assert [one.key for one in results] == names == heard
    found = facts.load(results[0].path.read_bytes())
    values = {fact.field: fact.value for fact in found.facts}
    assert (values["total"], values["date"]) == ("9.00", "2018-12-25")
    total = next(fact for fact in found.facts if fact.field == "total")
    assert (total.evidence[0].page, total.evidence[0].text) == (1, "9.00")
    kind.check(batches[0], results[0])
    with pytest.raises(DamagedOutput, match="another document"):
        kind.check(batches[2], results[0])


def test_a_document_of_no_schema_says_so_and_has_no_facts(tmp_path: Path) -> None:
    extractor = Extractor.of(ExtractParams())
    path = written(tmp_path, "letter", ("Dear Anna,", "it rains."))
    found = extractor.facts(page_json.load(path.read_bytes()), [{}])
    assert (found.kind, found.facts) == ("", ())
    assert "no schema fits" in found.notes[0]


def test_a_key_changes_with_schema_threshold_and_models(tmp_path: Path) -> None:
    def profile(**params: Any) -> dict[str, str]:
        return dict(Extract(ExtractParams(**params)).profile(Device()))

    one = profile(schemas=("receipt",))
    assert one == profile(schemas=("receipt",))
    own = tmp_path / "own.yaml"
    own.write_text(
        "version: 1\nname: receipt\nfields:\n  total: {type: money, synonyms: [sum]}\n",
        encoding="utf-8",
    )
    others = [profile(schemas=(str(own),)), profile(schemas=("receipt",), threshold=0.5)]
    own.write_text(own.read_text(encoding="utf-8").replace("sum", "whole"), encoding="utf-8")
    others.append(profile(schemas=(str(own),)))
    digests = {told["extractor"] for told in (one, *others)}
    assert len(digests) == 4


@pytest.mark.slow
def test_extract_conforms(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"{}")
    conformance(
        "documents.extract",
        {"schemas": ["receipt"]},
        good=[written(tmp_path, "good"), written(tmp_path, "better")],
        bad=[bad],
        tmp=tmp_path / "kit",
        limits=Limits(wall_seconds=600, quiet_seconds=300),
    )
