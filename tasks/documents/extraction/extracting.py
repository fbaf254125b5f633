"""All that `documents.extract` needs beside Spark: schemas, models, rules, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, ItemError, UsageError
from millrace.engine.settings import settings
from millrace.tasks.documents.extraction import extract, model, nlp_rules
from millrace.tasks.documents.extraction.annotations import Annotation, sheets
from millrace.tasks.documents.extraction.classify import schema_for
from millrace.tasks.documents.extraction.learning import knowing, telling
from millrace.tasks.documents.extraction.model import Model
from millrace.tasks.documents.extraction.nlp_rules import Rules
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.extraction.schema import Schema, load_schema
from millrace.tasks.documents.facts import Facts
from millrace.tasks.documents.pages import Document
from millrace.tasks.documents.review.learning import learnt, mark

VERSION = f"1, {extract.VERSION}"
GAZETTEER_MOST = 5_000  # known values of a field that Spark NLP looks for, the most seen first

Notes = list[dict[str, tuple[Annotation, ...]]]
"""For each sheet of a document: what was found for each schema."""


@dataclass(frozen=True)
class Extractor:
    """Schemas with their models, which know what people decided on this host.

    `folders` are where models lie, the first that has one of a schema goes; `decided` says by
    schema which decisions its model knows.
    """

    schemas: tuple[Schema, ...]
    models: Mapping[str, Model]
    folders: tuple[Path, ...] = (model.SHIPPED,)
    decided: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, params: ExtractParams) -> Extractor:
        """Returns the extractor of parameters. Raises UsageError and DocumentError for a schema
        or a folder of models that is wrong, StoreError for a review queue that cannot be read."""
        schemas = tuple(load_schema(name) for name in params.schemas)
        folder = Path(params.models) if params.models else None
        if folder is not None and not folder.is_dir():
            raise UsageError(
                f"there is no folder of models {params.models!r}",
                hint="`millrace documents train` makes one",
            )
        here = settings()
        folders = (*([folder] if folder else []), here.home / "models", model.SHIPPED)
        models: dict[str, Model] = {}
        decided: dict[str, str] = {}
        for schema in schemas:
            labelled = telling(schema, learnt(here, schema.name))
            models[schema.name] = knowing(_model(schema.name, folders), schema, labelled)
            decided[schema.name] = mark(labelled)
        if params.threshold is not None:
            models = {
                name: replace(one, threshold=params.threshold) for name, one in models.items()
            }
        return cls(schemas, models, folders, decided)

    @cached_property
    def rules(self) -> Rules:
        """What Spark NLP looks for: of all schemas, with the values their models know."""
        known = {
            (name, field): sorted(told, key=lambda value: (-told[value], value))[:GAZETTEER_MOST]
            for name, one in self.models.items()
            for field, told in one.gazetteer.values.items()
        }
        return nlp_rules.rules_of(self.schemas, known)

    @cached_property
    def ner(self) -> tuple[str, Path] | None:
        """The schema that has an NER model, and the model's folder."""
        for schema in self.schemas:
            for models in self.folders:
                place = models / schema.name / "ner"
                if (place / "card.json").is_file():
                    return schema.name, place
        return None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides which facts are found."""
        told = [VERSION, self.rules.digest, *(schema.digest for schema in self.schemas)]
        for name, one in sorted(self.models.items()):
            told += [name, one.name, repr(one.threshold), _contents(_place(name, self.folders))]
            told.append(self.decided.get(name, ""))
        told.append(_contents(self.ner[1]) if self.ner else "")
        return hashlib.sha256("\0".join(told).encode()).hexdigest()

    def annotator(self, session: Any) -> Any:
        """Returns the annotator of all schemas in a Spark session."""
        from millrace.tasks.documents.extraction.nlp import SparkAnnotator

        name, place = self.ner or ("", None)
        return SparkAnnotator(session, self.rules, ner=place, ner_schema=name)

    def annotated(self, annotator: Any, documents: Sequence[Document]) -> list[Notes | ItemError]:
        """Returns what was found in each document, or why it could not be looked at.

        All go together; where that fails, each alone, so that one rotten document is one failure.
        """
        texts = [[sheet.text for sheet in sheets(document)] for document in documents]
        try:
            found = annotator.by_schema([text for told in texts for text in told])
        except BadInput as error:
            if len(documents) == 1:
                return [BadInput(error.code, f"{documents[0].name}: {error.message}")]
            return [told for one in documents for told in self.annotated(annotator, [one])]
        made: list[Notes | ItemError] = []
        first = 0
        for told in texts:
            made.append(found[first : first + len(told)])
            first += len(told)
        return made

    def facts(self, document: Document, notes: Notes) -> Facts:
        """Returns what a document says, by the schema that fits it; nothing where none does."""
        told = sheets(document)
        schema = schema_for(told[0], self.schemas)
        if schema is None:
            note = "no schema fits; name the one to take under `schemas`"
            count = len(document.pages)
            name = f"millrace {extract.VERSION}"
            return Facts(document.digest, document.name, "", name, count, (), notes=(note,))
        found = [one.get(schema.name, ()) for one in notes]
        return extract.extract(document, found, schema, self.models[schema.name])


def _place(name: str, folders: Sequence[Path]) -> Path | None:
    """Returns the first folder that holds a model of a schema."""
    found = (models / name for models in folders)
    return next((place for place in found if (place / "card.json").is_file()), None)


def _model(name: str, folders: Sequence[Path]) -> Model:
    place = _place(name, folders)
    if place is None:
        return Model()
    try:
        return model.load(place)
    except ValueError as error:
        raise UsageError(
            f"the model of {name} cannot be read: {error}",
            hint="`millrace documents train` makes it anew; without its folder the shipped one or "
            "rules decide",
        ) from error


def _contents(folder: Path | None) -> str:
    """Returns a digest over the files of a folder, sub-folders too."""
    digest = hashlib.sha256()
    if folder is not None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()
