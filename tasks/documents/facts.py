"""What a document says once its facts are extracted: fields, entities, relations, and evidence.

`documents.extract` writes it as JSON; `documents.load` and `millrace review` read it. Every fact
has a probability that it is right, calibrated on labelled documents, and at least one piece of
evidence.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from millrace.tasks.documents.pages import Box

MEDIA_TYPE = "application/vnd.millrace.facts+json"
FORMAT = 1

State = Literal["accepted", "doubtful"]
"""Whether a fact is believed as it is, or waits for a person."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a fact stands: page, box in the page's units, the words as read, and who read them."""

    page: int
    box: Box
    text: str
    reader: str
    version: str


@dataclass(frozen=True, slots=True)
class Fact:
    """The value of one field of a document.

    `value` is normalised (ISO dates, plain decimal numbers, one space between words), `raw` as it
    stands in the document. `path` tells repeated fields apart: "" or the number of the row.
    `methods` are those that found it; `checks` maps each check of the schema to whether it holds.
    `alternatives` are other values with their probabilities, the likeliest first. `crop` is a JPEG
    of the place, kept for doubtful facts only. `reviewed` says which person decided on it and when,
    empty where none has.
    """

    field: str
    value: str
    raw: str
    probability: float
    state: State
    evidence: tuple[Evidence, ...]
    path: str = ""
    methods: tuple[str, ...] = ()
    checks: Mapping[str, bool] | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    crop: bytes = b""
    reviewed: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that the document speaks of: a company, an address, a person.

    `key` is unique within the document, `kind` is a label of the graph ("Company"), `names` are the
    ways it is written, the best first; `attributes` are plain values such as a registration number.
    """

    key: str
    kind: str
    names: tuple[str, ...]
    attributes: Mapping[str, str]
    probability: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation between two entities, or of the document (the key "") with one."""

    kind: str
    source: str
    target: str
    probability: float
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that was extracted from a document.

    `digest` and `name` are the document's, `kind` is the schema's name (empty where none fits),
    `extractor` names extractor, schema and models with their versions: facts of another extractor
    are replaced by these.
    """

    digest: str
    name: str
    kind: str
    extractor: str
    pages: int
    facts: tuple[Fact, ...]
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    notes: tuple[str, ...] = ()

    def identity(self, fact: Fact) -> str:
        """Returns the id of a fact, the same as long as document, field and row are."""
        told = "\0".join((self.digest, fact.field, fact.path))
        return hashlib.sha256(told.encode()).hexdigest()[:32]


def dump(facts: Facts) -> bytes:
    """Returns facts as JSON, always the same bytes for the same facts."""
    told = {
        "format": FORMAT,
        "digest": facts.digest,
        "name": facts.name,
        "kind": facts.kind,
        "extractor": facts.extractor,
        "pages": facts.pages,
        "facts": [_fact(fact) for fact in facts.facts],
        "entities": [
            {
                "key": e.key,
                "kind": e.kind,
                "names": e.names,
                "attributes": dict(sorted(e.attributes.items())),
                "probability": round(e.probability, 4),
                "evidence": [_evidence(one) for one in e.evidence],
            }
            for e in facts.entities
        ],
        "relations": [
            {
                "kind": r.kind,
                "source": r.source,
                "target": r.target,
                "probability": round(r.probability, 4),
                "evidence": [_evidence(one) for one in r.evidence],
            }
            for r in facts.relations
        ],
        "notes": facts.notes,
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n"


def load(data: bytes) -> Facts:
    """Returns the facts of a JSON text. Raises ValueError for anything else."""
    try:
        told = orjson.loads(data)
        if told["format"] != FORMAT:
            raise ValueError(f"facts of format {told['format']}; this Millrace reads {FORMAT}")
        return Facts(
            digest=str(told["digest"]),
            name=str(told["name"]),
            kind=str(told["kind"]),
            extractor=str(told["extractor"]),
            pages=int(told["pages"]),
            facts=tuple(_fact_of(fact) for fact in told["facts"]),
            entities=tuple(_entity_of(entity) for entity in told["entities"]),
            relations=tuple(_relation_of(relation) for relation in told["relations"]),
            notes=tuple(map(str, told["notes"])),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not extracted facts: {error}") from error


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        "field": fact.field,
        "path": fact.path,
        "value": fact.value,
        "raw": fact.raw,
        "probability": round(fact.probability, 4),
        "state": fact.state,
        "methods": fact.methods,
        "checks": dict(sorted((fact.checks or {}).items())),
        "alternatives": [[value, round(p, 4)] for value, p in fact.alternatives],
        "evidence": [_evidence(one) for one in fact.evidence],
        "crop": b64encode(fact.crop).decode(),
        "reviewed": fact.reviewed,
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    box = [round(float(side), 2) for side in (one.box.x0, one.box.y0, one.box.x1, one.box.y1)]
    return {
        "page": one.page,
        "box": box,
        "text": one.text,
        "reader": one.reader,
        "version": one.version,
    }


def _fact_of(told: Mapping[str, Any]) -> Fact:
    return Fact(
        field=str(told["field"]),
        path=str(told["path"]),
        value=str(told["value"]),
        raw=str(told["raw"]),
        probability=float(told["probability"]),
        state="accepted" if told["state"] == "accepted" else "doubtful",
        methods=tuple(map(str, told["methods"])),
        checks={str(name): bool(holds) for name, holds in told["checks"].items()},
        alternatives=tuple((str(value), float(p)) for value, p in told["alternatives"]),
        evidence=tuple(_evidence_of(one) for one in told["evidence"]),
        crop=b64decode(told["crop"]),
        reviewed=str(told["reviewed"]),
    )


def _entity_of(told: Mapping[str, Any]) -> Entity:
    return Entity(
        key=str(told["key"]),
        kind=str(told["kind"]),
        names=tuple(map(str, told["names"])),
        attributes={str(name): str(value) for name, value in told["attributes"].items()},
        probability=float(told["probability"]),
        evidence=tuple(_evidence_of(one) for one in told["evidence"]),
    )


def _relation_of(told: Mapping[str, Any]) -> Relation:
    return Relation(
        kind=str(told["kind"]),
        source=str(told["source"]),
        target=str(told["target"]),
        probability=float(told["probability"]),
        evidence=tuple(_evidence_of(one) for one in told["evidence"]),
    )


def _evidence_of(told: Mapping[str, Any]) -> Evidence:
    return Evidence(
        page=int(told["page"]),
        box=Box(*map(float, told["box"])),
        text=str(told["text"]),
        reader=str(told["reader"]),
        version=str(told["version"]),
    )
