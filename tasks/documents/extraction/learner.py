"""From labelled documents to a model in a folder, with a card that says how good it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from millrace.engine.errors import StoreError, UsageError
from millrace.tasks.documents.extraction import measuring, model
from millrace.tasks.documents.extraction.measuring import Figures
from millrace.tasks.documents.extraction.schema import Schema
from millrace.tasks.documents.extraction.training import Example, prepared, train

FEWEST = 20
"""With fewer documents nothing can be said about how sure a model is."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """A model that was made: where it is, and the figures of its cross-validation by field.

    `untrained` are fields with too few labels, which are left to rules.
    """

    folder: Path
    documents: int
    threshold: float
    fields: Mapping[str, Figures]
    untrained: tuple[str, ...]

    @property
    def all(self) -> Figures:
        """The figures over all fields that were trained."""
        return sum(self.fields.values(), Figures())

    def as_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return {
            "model": str(self.folder),
            "documents": self.documents,
            "threshold": self.threshold,
            "all": self.all.as_json(),
            "fields": {name: told.as_json() for name, told in self.fields.items()},
            "left to rules": list(self.untrained),
        }


def learn(examples: Sequence[Example], schema: Schema, folder: Path, *, seed: int = 0) -> Learnt:
    """Trains a model, measures it by cross-validation, and writes it into a folder.

    Its card lists the digests of the documents, so that `millrace forget` can name the model; a
    model that was in the folder is replaced as a whole. Raises UsageError for too few documents and
    for a folder that holds something else, StoreError when it cannot be written.
    """
    _see_to(folder)
    digests = sorted({one.document.digest for one in examples})
    if len(digests) < FEWEST:
        raise UsageError(
            f"{len(digests)} labelled documents are too few to train {schema.name}",
            hint=f"label {FEWEST} at least, better 100; until then rules decide, and `millrace "
            "review` shows what they are not sure of",
        )
    ready = prepared(examples)
    fields = measuring.crossed(ready, schema, seed=seed)
    told = train([], schema, ready=ready, seed=seed, version=_version(examples))
    trained = {name: fields[name] for name in fields if name in told.rankers}
    if not trained:
        raise UsageError(
            f"no field of {schema.name} has labels enough to be trained",
            hint="a field needs eight labels at least",
        )
    untrained = tuple(name for name in fields if name not in trained)
    made = Learnt(folder, len(digests), told.threshold, trained, untrained)
    card = {
        "documents": digests,
        "schema digest": schema.digest,
        "cross-validation": {**made.as_json()["fields"], "all": made.all.as_json()},
        "trained with": {name: version(name) for name in ("scikit-learn", "numpy", "millrace")},
    }
    _write(replace(told, card=card), folder)
    return made


def _version(examples: Sequence[Example]) -> str:
    """Returns a name of what was learnt from: the same for the same documents and labels."""
    told = sorted((one.document.digest, sorted(one.labels.items())) for one in examples)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def _see_to(folder: Path) -> None:
    if folder.exists() and not (folder / "card.json").is_file() and any(_entries(folder)):
        raise UsageError(
            f"{folder} is there and holds no model", hint="name another folder with --out"
        )


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise UsageError(f"{folder} is no folder to write into: {error.strerror}") from error


def _write(told: model.Model, folder: Path) -> None:
    """Writes a model beside its place and puts it there: a run never sees half of one."""
    beside = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    old = folder.with_name(f".{folder.name}-{uuid4().hex[:8]}")
    try:
        model.save(told, beside)
        if folder.exists():
            if (folder / "ner").is_dir():
                shutil.copytree(folder / "ner", beside / "ner")
            folder.rename(old)
        beside.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
