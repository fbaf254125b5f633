"""Labelled documents: what was read of them, and what is right, as `millrace documents train` takes
them from folders and from people's decisions.

    labels/receipt-17.json       {"company": "KEDAI PAPAN YEW CHUAN", "total": "90.00"}
    documents/receipt-17.json    what documents.read wrote; or receipt-17.jpg, which is read first

A field that a label does not name is not learnt from; an empty one says that it is not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.document.problems import nearest
from millrace.engine.errors import DocumentError, UsageError
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store
from millrace.tasks.documents import page_json
from millrace.tasks.documents.extraction.schema import Schema
from millrace.tasks.documents.extraction.training import Example
from millrace.tasks.documents.pages import Document
from millrace.tasks.documents.review.learning import Labels

SUFFIXES = ("pdf", "jpg", "jpeg", "png", "tif", "tiff")
READ = "documents.read"


@dataclass(frozen=True, slots=True)
class Pair:
    """A label and the file of its document: one that was read, or one that is to be read."""

    label: Path
    values: Mapping[str, str]
    document: Path

    @property
    def is_read(self) -> bool:
        """Whether the file is what `documents.read` wrote."""
        return self.document.suffix.lower() == ".json"


def pairs(labels: Path, documents: Path, schema: Schema) -> list[Pair]:
    """Returns the labels of a folder with their documents' files.

    Raises UsageError for a folder without labels, DocumentError, whose `problems` name every label
    that is wrong or has no document.
    """
    if not labels.is_dir() or not documents.is_dir():
        missing = documents if labels.is_dir() else labels
        raise UsageError(f"there is no folder {missing}", hint="name folders of labels, documents")
    found: list[Pair] = []
    problems: list[str] = []
    for path in sorted(labels.glob("*.json")):
        if labels.samefile(documents) and _is_read(path):
            continue
        try:
            found.append(Pair(path, _values(path, schema), _document_of(path, documents)))
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
    if problems:
        what = "label is wrong" if len(problems) == 1 else "labels are wrong"
        raise DocumentError(
            "\n".join((f"{len(problems)} {what} in {labels}", *problems)),
            problems=tuple(problems),
            hint="a label is a JSON file of the same stem as its document: "
            '{"field": "value", …} with fields of the schema',
        )
    if not found:
        raise UsageError(
            f"there are no labels in {labels}",
            hint="for each document a JSON file of the same stem: " + _example(schema),
        )
    return found


def examples(found: Sequence[Pair]) -> list[Example]:
    """Returns labelled documents that were read. Raises DocumentError for those that were not."""
    made: list[Example] = []
    problems: list[str] = []
    for one in found:
        try:
            made.append(Example(page_json.load(one.document.read_bytes()), one.values))
        except (OSError, ValueError) as error:
            problems.append(f"{one.document.name}: {error}")
    if problems:
        raise DocumentError(
            "\n".join(
                (f"{len(problems)} of the documents are not what documents.read writes", *problems)
            ),
            problems=tuple(problems),
            hint="run documents.read on the scans and name its folder with --documents, or name "
            "the folder of the scans: they are then read on the way",
        )
    return made


def of_people(settings: Settings, labelled: Labels) -> Iterator[Example]:
    """Yields the documents that people decided on and this host's store has as they were read.

    Of several readings the one of most pages is taken, the newest among these. Raises StoreError.
    """
    store = Store(settings.store)
    best: dict[str, Manifest] = {}
    for one in store.manifests():
        if one.recipe.kind != READ:
            continue
        for digest in labelled.keys() & set(one.recipe.inputs.values()):
            if digest not in best or _rank(one) > _rank(best[digest]):
                best[digest] = one
    for digest, manifest in sorted(best.items()):
        document = _stored(store, manifest)
        if document is not None and document.digest == digest:
            yield Example(document, labelled[digest])


def together(given: Sequence[Example], decided: Sequence[Example]) -> list[Example]:
    """Returns both; for a document of both, its fields of both: a label goes before a decision."""
    people = {one.document.digest: one.labels for one in decided}
    known = {one.document.digest for one in given}
    made = [
        Example(one.document, {**people.get(one.document.digest, {}), **one.labels})
        for one in given
    ]
    return [*made, *(one for one in decided if one.document.digest not in known)]


def _rank(manifest: Manifest) -> tuple[float, float]:
    return manifest.units, manifest.made


def _stored(store: Store, manifest: Manifest) -> Document | None:
    try:
        return page_json.load(store.locate(manifest.output.digest).read_bytes())
    except (OSError, ValueError):
        return None


def _values(path: Path, schema: Schema) -> dict[str, str]:
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno} is no JSON: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8") from error
    if not isinstance(told, dict):
        raise ValueError("is no mapping of fields to values")
    names = [field.name for field in schema.fields]
    for field, value in told.items():
        if field not in names:
            raise ValueError(f"{schema.name} has no field {field!r}{nearest(field, names)}")
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise ValueError(f"the value of {field} is no text and no number")
    return {field: "" if value is None else str(value).strip() for field, value in told.items()}


def _document_of(label: Path, documents: Path) -> Path:
    ways = (label.name, *(f"{label.stem}.{suffix}.json" for suffix in SUFFIXES))
    for read in (documents / name for name in ways):
        if read.is_file() and not read.samefile(label):
            return read
    wanted = {f"{label.stem}.{suffix}" for suffix in SUFFIXES}
    found = sorted(path for path in documents.iterdir() if path.name.lower() in _lower(wanted))
    found = [path for path in found if path.stem == label.stem]
    if not found:
        raise ValueError(f"there is no document {label.stem!r} in {documents}")
    if len(found) > 1:
        raise ValueError("it could be of " + " or ".join(path.name for path in found))
    return found[0]


def _lower(names: set[str]) -> set[str]:
    return {name.lower() for name in names}


def _is_read(path: Path) -> bool:
    """Whether a JSON file is a document as it was read, and no label."""
    try:
        page_json.load(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _example(schema: Schema) -> str:
    return json.dumps({field.name: "…" for field in schema.fields[:3]}, ensure_ascii=False)
