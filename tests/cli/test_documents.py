"""`millrace documents`: a model from labels and decisions, and the schemas there are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.cli.app import build
from millrace.engine.batches import Recipe
from millrace.engine.errors import DocumentError, UsageError
from millrace.engine.settings import settings
from millrace.engine.store import Store
from millrace.tasks.documents import forgetting, page_json, pages
from millrace.tasks.documents.extraction.extracting import Extractor
from millrace.tasks.documents.extraction.model import load
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.pages import Box, Document, Line, Page, Reading, Word
from millrace.tasks.documents.review.desk import Desk, Loaded
from millrace.tasks.documents.review.tables import connect
from tests.cli.conftest import Millrace

SCHEMA = """\
version: 1
name: ticket
title: Ticket
cues: [ticket]
fields:
  line: {type: company, where: top, gazetteer: true}
  fare: {type: money, synonyms: [fare]}
"""
WORDS = ("NORTH", "SOUTH", "EAST", "WEST", "UPPER", "LOWER", "OUTER", "INNER", "OLD", "NEW", "LONG")


def document(number: int) -> Document:
    """Returns a ticket as it was read."""
    line = f"{WORDS[number % 11]} {WORDS[(number * 7 + 3) % 11]} RAILWAYS LTD"
    told = (
        line, f"TICKET NO {4100 + number * 37}", f"PLATFORM {number % 9}",
        f"DEPOSIT {number % 4}.50", f"FARE {number + 3}.20", f"PAID {number + 9}.00",
    )  # fmt: skip
    lines = []
    for row, text in enumerate(told):
        box = Box(10, 30.0 * row, 10 + 9 * len(text), 30.0 * row + 20)
        lines.append(Line(text, box, (Word(text, box),)))
    reading = Reading("layer", "1", "layer", tuple(lines))
    page = Page(1, 400, 400, 100, "text", tuple(lines), readings=(reading,))
    digest = hashlib.sha256(f"ticket {number}".encode()).hexdigest()
    return Document(f"t{number:02}.pdf", digest, "application/pdf", (page,))


def label(number: int) -> dict[str, str]:
    return {"line": document(number).pages[0].lines[0].text, "fare": f"{number + 3}.20"}


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "ticket.yaml"
    path.write_text(SCHEMA)
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders: the labels of 24 tickets, and the tickets as they were read."""
    labels, read = tmp_path / "labels", tmp_path / "read"
    labels.mkdir()
    read.mkdir()
    for number in range(24):
        (labels / f"t{number:02}.json").write_text(json.dumps(label(number)))
        (read / f"t{number:02}.json").write_bytes(page_json.dump(document(number)))
    return labels, read


def documents(*words: str | Path, code: int = 0) -> str:
    reply = CliRunner().invoke(build(), ["documents", *map(str, words)])
    if reply.exception and not isinstance(reply.exception, SystemExit):
        raise reply.exception
    assert reply.exit_code == code, reply.output
    return reply.output


@pytest.mark.slow
def test_a_model_is_trained_measured_used_and_named_when_a_document_is_forgotten(
    schema: Path, labelled: tuple[Path, Path]
) -> None:
    labels, read = labelled
    told = json.loads(documents("train", schema, "--labels", labels, "--documents", read, "--json"))
    assert told["documents"] == 24
    assert told["fields"]["fare"]["fields"] == 24
    assert told["fields"]["fare"]["right"] >= 0.8
    place = settings().home / "models" / "ticket"
    assert told["model"] == str(place)
    made = load(place)
    assert made.card["cross-validation"]["all"] == told["all"]
    assert made.threshold == told["threshold"]
    used = Extractor.of(ExtractParams(schemas=(str(schema),))).models["ticket"]
    assert used.name == made.name != "rules"
    desk = Desk(connect(settings()))
    report = forgetting.forget(document(3).digest, desk, settings(), withdraw=lambda one: None)
    assert report.models == (place,)
    assert [path.name for path in place.parent.iterdir()] == ["ticket"]


def stored(found: Document, folder: Path) -> None:
    """Puts a read document into the store as `documents.read` leaves it."""
    path = folder / f"{found.digest[:8]}.json"
    path.write_bytes(page_json.dump(found))
    recipe = Recipe(
        kind="documents.read", version=1, params={}, inputs={"item": found.digest}, profile={}
    )
    Store(settings().store).commit(
        found.digest, path, recipe=recipe, media_type=pages.MEDIA_TYPE,
        units=1.0, facts={}, seconds=1.0, device="CPU",
    )  # fmt: skip


@pytest.mark.slow
def test_decisions_of_people_are_learnt_from(
    schema: Path, labelled: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, read = labelled
    desk = Desk(connect(settings()))
    extractor = Extractor.of(ExtractParams(schemas=(str(schema),), threshold=1.0))
    for number in (30, 31, 32):
        desk.put([Loaded(extractor.facts(document(number), []), "tickets/load", "")])
    for case in desk.cases(field="line"):
        desk.decide(case, "accepted", who="anna")
    for number in (30, 31):
        stored(document(number), tmp_path)
    out = tmp_path / "own"
    said = documents(
        *("train", schema, "--labels", labels, "--documents", read, "--review", "--out", out)
    )
    assert "not in the store any more as read: 1 document" in said
    assert "learnt from 26 documents" in said
    digests = json.loads((out / "card.json").read_text())["documents"]
    assert {document(30).digest, document(31).digest} <= set(digests)


def test_labels_that_are_wrong_are_all_named(schema: Path, labelled: tuple[Path, Path]) -> None:
    labels, read = labelled
    (labels / "t00.json").write_text('{"line": "X",\n "fare" 2}')
    (labels / "t01.json").write_text('{"fair": "2.00"}')
    (labels / "t02.json").write_text('["2.00"]')
    (labels / "t03.json").write_text('{"fare": {"now": 2}}')
    (labels / "other.json").write_text('{"fare": 2}')
    with pytest.raises(DocumentError) as caught:
        documents("train", schema, "--labels", labels, "--documents", read)
    assert caught.value.problems == (
        f"other.json: there is no document 'other' in {read}",
        "t00.json: line 2 is no JSON: Expecting ':' delimiter",
        "t01.json: ticket has no field 'fair'; did you mean 'fare'?",
        "t02.json: is no mapping of fields to values",
        "t03.json: the value of fare is no text and no number",
    )
    assert all(problem in caught.value.message for problem in caught.value.problems)


def test_too_little_to_learn_from_is_said(
    schema: Path, labelled: tuple[Path, Path], tmp_path: Path
) -> None:
    labels, read = labelled
    with pytest.raises(UsageError, match="there is nothing to learn from"):
        documents("train", schema)
    with pytest.raises(UsageError, match="0 labelled documents are too few"):
        documents("train", schema, "--review")
    with pytest.raises(UsageError, match="there are no labels"):
        documents("train", schema, "--labels", read)
    with pytest.raises(UsageError, match="there is no folder"):
        documents("train", schema, "--labels", tmp_path / "nowhere")
    for path in sorted(labels.iterdir())[10:]:
        path.unlink()
    with pytest.raises(UsageError, match="10 labelled documents are too few to train ticket"):
        documents("train", schema, "--labels", labels, "--documents", read)
    with pytest.raises(UsageError, match="is there and holds no model"):
        documents("train", schema, "--labels", labels, "--documents", read, "--out", read)
    assert not (settings().home / "models").exists()


@pytest.mark.slow
def test_scans_are_read_on_the_way(
    millrace: Millrace, api: dict[str, str], sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "receipt_032.json").write_text('{"total": "1.00"}')
    scans = sample / "documents" / "receipts"
    ended = millrace(
        *("documents", "train", "receipt", "--labels", str(tmp_path), "--documents", str(scans)),
        **api,
    )
    assert ended.returncode == UsageError.exit_code
    assert "reading 1 document" in ended.stderr
    assert "1 labelled documents are too few to train receipt" in ended.stderr
    kinds = {found.recipe.kind for found in Store(settings().store).manifests()}
    assert kinds == {"documents.read"}


def test_what_is_no_read_document_is_named(schema: Path, labelled: tuple[Path, Path]) -> None:
    labels, read = labelled
    (read / "t05.json").write_text("{}")
    with pytest.raises(DocumentError, match=r"(?s)1 of the documents.*t05\.json: not a"):
        documents("train", schema, "--labels", labels, "--documents", read)


def test_schemas_are_listed_and_checked(schema: Path) -> None:
    told = {one["schema"]: one for one in json.loads(documents("schemas", "--json"))}
    assert told["receipt"]["fields"] == ["company", "address", "date", "total"]
    assert told["receipt"]["model"] == "shipped"
    assert told["contract"]["model"] == "rules"
    assert f"{schema} is valid" in documents("schemas", schema)
    schema.write_text(SCHEMA.replace("money", "munny").replace("gazetteer", "gazeteer"))
    said = documents("schemas", schema, code=2)
    assert "ticket.yaml:6" in said
    assert "ticket.yaml:7" in said
