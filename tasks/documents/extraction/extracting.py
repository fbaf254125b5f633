"""All that `documents.extract` needs beside Spark: schemas, models, rules, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, ItemError, UsageError
from millrace.tasks.documents.extraction import extract, model, nlp_rules
from millrace.tasks.documents.extraction.annotations import Annotation, sheets
from millrace.tasks.documents.extraction.classify import schema_for
from millrace.tasks.documents.extraction.model import Model
from millrace.tasks.documents.extraction.nlp_rules import Rules
from millrace.tasks.documents.extraction.params import ExtractParams
from millrace.tasks.documents.extraction.schema import Schema, load_schema
from millrace.tasks.documents.facts import Facts
from millrace.tasks.documents.pages import Document

VERSION = f"1, {extract.VERSION}"
GAZETTEER_MOST = 5_000  # known values of a field that Spark NLP looks for, the most seen first

Notes = list[dict[str, tuple[Annotation, ...]]]
"""For each sheet of a document: what was found for each schema."""


@dataclass(frozen=True)
class Extractor:
    """Schemas with their models. `ner` is the folder of the NER model, of the first schema that
    has one."""

    schemas: tuple[Schema, ...]
    models: Mapping[str, Model]
    folder: Path | None = None

    @classmethod
    def of(cls, params: ExtractParams) -> Extractor:
        """Returns the extractor of parameters. Raises UsageError and DocumentError for a schema
        or a folder of models that is wrong."""
        schemas = tuple(load_schema(name) for name in params.schemas)
        folder = Path(params.models) if params.models else None
        if folder is not None and not folder.is_dir():
            raise UsageError(
                f"there is no folder of models {params.models!r}",
                hint="`millrace documents train` makes one",
            )
        models = {schema.name: model.model_for(schema.name, folder) for schema in schemas}
        if params.threshold is not None:
            models = {
                name: replace(one, threshold=params.threshold) for name, one in models.items()
            }
        return cls(schemas, models, folder)

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
            for models in (self.folder, model.SHIPPED):
                place = models / schema.name / "ner" if models is not None else None
                if place is not None and (place / "card.json").is_file():
                    return schema.name, place
        return None

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that decides which facts are found."""
        told = [VERSION, self.rules.digest, *(schema.digest for schema in self.schemas)]
        for name, one in sorted(self.models.items()):
            told += [name, one.name, repr(one.threshold), _contents(self._place(name))]
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

    def _place(self, name: str) -> Path | None:
        for models in (self.folder, model.SHIPPED):
            if models is not None and (models / name / "card.json").is_file():
                return models / name
        return None


def _contents(folder: Path | None) -> str:
    """Returns a digest over the files of a folder, sub-folders too."""
    digest = hashlib.sha256()
    if folder is not None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
                digest.update(path.read_bytes())
    return digest.hexdigest()
