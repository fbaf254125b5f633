"""What a read document says: its fields with probabilities and places, entities, relations."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from millrace.tasks.documents.extraction.annotations import Annotation, sheets
from millrace.tasks.documents.extraction.candidates import Candidate, candidates
from millrace.tasks.documents.extraction.checks import checked, weighed
from millrace.tasks.documents.extraction.crops import crop
from millrace.tasks.documents.extraction.entities import build
from millrace.tasks.documents.extraction.features import matrix
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.model import Model, Ranker
from millrace.tasks.documents.extraction.parsing import canonical
from millrace.tasks.documents.extraction.rows import Layout, laid_out
from millrace.tasks.documents.extraction.scene import Scene
from millrace.tasks.documents.extraction.schema import Field, Schema
from millrace.tasks.documents.extraction.untrained import MOST, ruled
from millrace.tasks.documents.extraction.voting import Choice, chosen, signals
from millrace.tasks.documents.facts import Evidence, Fact, Facts
from millrace.tasks.documents.pages import Document, Page

VERSION = 1
ALTERNATIVES = 3


def extract(
    document: Document,
    annotations: Sequence[Sequence[Annotation]],
    schema: Schema,
    model: Model,
) -> Facts:
    """Returns the facts of a document by a schema.

    `annotations` has those of each sheet in the order of `annotations.sheets(document)`; empty
    where no annotator was asked. Fields that `model` has a ranking for are ranked over all sheets;
    the others are left to rules. A fact is accepted when its probability reaches the model's
    threshold.
    """
    layouts = [laid_out(sheet) for sheet in sheets(document)]
    scene = Scene(layouts, model.lexicon, model.gazetteer, annotations)
    by_ocr = any(page.origin in ("ocr", "mixed") for page in document.pages)
    found: list[Fact] = []
    for field in schema.fields:
        ranker = model.rankers.get(field.name)
        if ranker is not None:
            fact = _ranked(field, ranker, scene, by_ocr)
            found += [fact] if fact else []
    if any(field.name not in model.rankers for field in schema.fields) or schema.keys_and_values:
        notes = annotations[0] if annotations else ()
        finds = ruled(schema, frozenset(model.rankers), layouts[0], notes)
        found += _ruled(finds, layouts)
    order = {field.name: number for number, field in enumerate(schema.fields)}
    found.sort(key=lambda fact: (order.get(fact.field, len(order)), fact.field, _row(fact.path)))
    today = datetime.datetime.now(tz=datetime.UTC).date()
    told = weighed(schema, checked(schema, found, today))
    facts = tuple(_judged(fact, model, document) for fact in told)
    entities, relations = build(schema, facts)
    return Facts(
        document.digest,
        document.name,
        schema.name,
        f"millrace {VERSION}, schema {schema.name} {schema.digest[:12]}, model {model.name}",
        len(document.pages),
        facts,
        entities,
        relations,
    )


def _ranked(field: Field, ranker: Ranker, scene: Scene, by_ocr: bool) -> Fact | None:
    found = [
        candidate
        for index, layout in enumerate(scene.layouts)
        for candidate in candidates(field, layout, index, scene.lexicon, scene.gazetteer)
    ]
    features = matrix(field.name, field.type, field.synonyms, found, scene)
    choices = chosen(found, ranker.trees.odds(features), len(scene.layouts))
    if not choices:
        return None
    scale = ranker.ocr if by_ocr else ranker.text
    best = choices[0]
    others = [
        (choice.best.value, scale.probability([choice.odds, 0.0, choice.share]))
        for choice in choices[1 : ALTERNATIVES + 1]
    ]
    probability = scale.probability(signals(choices))
    return Fact(
        field=field.name,
        value=best.best.value,
        raw=best.best.raw,
        probability=probability,
        state="doubtful",
        evidence=tuple(_evidence(best, scene.layouts)),
        methods=_methods(field.name, best, scene),
        alternatives=tuple((value, min(p, 1.0 - probability)) for value, p in others),
    )


def _methods(name: str, choice: Choice, scene: Scene) -> tuple[str, ...]:
    told = {"ranking"}
    if choice.best.source in ("gazetteer", "mended", "pattern"):
        told.add(choice.best.source)
    if choice.share > 1 / max(len(scene.layouts), 1):
        told.add("voting")
    for one in choice.candidates:
        notes = scene.annotations[one.sheet] if one.sheet < len(scene.annotations) else ()
        for note in notes:
            over = any(note.start < end and start < note.end for start, end in one.spans)
            if over and note.label == name:
                told.add(f"spark {note.method}")
    return tuple(sorted(told))


def _evidence(choice: Choice, layouts: Sequence[Layout]) -> Iterator[Evidence]:
    """Yields where each sheet says the value, the best candidate's first."""
    seen: set[int] = set()
    for one in choice.candidates:
        if one.sheet not in seen:
            seen.add(one.sheet)
            yield _place(one, layouts[one.sheet])


def _place(one: Candidate, layout: Layout) -> Evidence:
    told = [layout.sheet.evidence(start, end) for start, end in one.spans]
    box = told[0].box
    for other in told[1:]:
        if other.page == told[0].page:
            box = box.joined(other.box)
    return replace(told[0], box=box, text=one.raw)


def _ruled(finds: Sequence[Found], layouts: Sequence[Layout]) -> list[Fact]:
    """Returns a fact for each field and row, from the surest find, and surer where other passes
    say the same."""
    texts = [canonical(layout.sheet.text) for layout in layouts[1:]]
    made = []
    for (field, path), group in groupby(finds, key=lambda one: (one.field, one.path)):
        listed = list(group)
        best = listed[0]
        seconded = any(canonical(best.raw) in text for text in texts)
        probability = min(MOST, best.score * (1.05 if seconded else 1.0))
        others = {o.value: round(o.score, 4) for o in reversed(listed) if o.value != best.value}
        alternatives = sorted(others.items(), key=lambda one: (-one[1], one[0]))[:ALTERNATIVES]
        evidence = layouts[0].sheet.evidence(best.start, best.end)
        methods = (best.method, "voting") if seconded else (best.method,)
        made.append(
            Fact(
                field=field,
                value=best.value,
                raw=best.raw,
                probability=probability,
                state="doubtful",
                evidence=(evidence,),
                path=path,
                methods=methods,
                alternatives=tuple(alternatives),
            )
        )
    return made


def _judged(fact: Fact, model: Model, document: Document) -> Fact:
    """Returns a fact accepted or doubtful, with the picture of its place where it is doubtful.

    A check that fails makes any fact doubtful.
    """
    sound = all((fact.checks or {}).values())
    if sound and fact.probability >= model.threshold:
        return replace(fact, state="accepted")
    page = _page(document, fact.evidence[0].page)
    return replace(fact, crop=crop(page, fact.evidence[0].box) if page else b"")


def _page(document: Document, number: int) -> Page | None:
    return next((page for page in document.pages if page.number == number), None)


def _row(path: str) -> tuple[int, str]:
    return (int(path), "") if path.isdigit() else (0, path)
