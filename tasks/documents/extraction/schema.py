"""A document type as a schema declares it: its fields, checks, entities and relations.

    schema = load_schema("receipt")                # one of those that are shipped
    schema = load_schema("schemas/order.yaml")     # a person's own: YAML, no code

`millrace.tasks.documents.schemas` holds those that are shipped; they are the files of
`deployments/schemas/`. Field types say which values a field can have at all, synonyms and patterns
where they stand; a model that was trained on examples does the rest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field as Described
from pydantic import field_validator
from pydantic.json_schema import SkipJsonSchema

from millrace.engine.document import parts, source_map
from millrace.engine.document.files import NoText, text_of
from millrace.engine.document.problems import Finding, Problem, Report, nearest
from millrace.engine.document.specs import Name, Part
from millrace.engine.errors import UsageError
from millrace.tasks.documents.extraction.schema_checks import between_parts

VERSION = 1
FOLDER = Path(__file__).resolve().parents[1] / "schemas"
_WORDS = ("docs/schemas.md shows one", "a schema is a mapping that starts with `version: 1`")

FieldType = Literal[
    "text", "name", "company", "person", "address", "date", "money", "number", "id", "iban",
    "vat", "language", "clause",
]  # fmt: skip

Texts = tuple[str, ...]


class Field(Part):
    """A field: what its values are and where they stand.

    `synonyms` are words that stand before or above a value; `patterns` regular expressions of whole
    values (a group, where there is one, is the value); `where` is a part of the page; values of a
    field with a `gazetteer` are learnt, and known ones are recognised though badly read. `many`
    fields have a value in each row or occurrence; their synonyms are also headings of columns.
    """

    type: FieldType
    title: str = ""
    required: bool = False
    many: bool = False
    synonyms: Texts = ()
    patterns: Texts = ()
    where: Literal["any", "top", "bottom"] = "any"
    gazetteer: bool = False
    format: str = Described("", description="for dates: the order of day and month, DMY or MDY")
    name: SkipJsonSchema[str] = Described("", exclude=True)

    @field_validator("patterns")
    @classmethod
    def _sound(cls, values: Texts) -> Texts:
        for value in values:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return values


class Check(Part):
    """A check of a document's values.

    `sum`: the values of `of` add up to that of `field`, by `tolerance`. `difference`: the first of
    `of` less the others is. `past`: a date is not after the day of the run. `before`: `field` is
    not after the first of `of`. Checksums of IBAN and VAT numbers are always checked.
    """

    type: Literal["sum", "difference", "past", "before"]
    field: str
    of: Texts = ()
    tolerance: Annotated[float, Described(ge=0)] = 0.02


class EntitySpec(Part):
    """Something of which the document's graph has a node. `name` and `attributes` name fields."""

    kind: str = Described(pattern=r"^[A-Z][A-Za-z]{0,39}$")
    name: str
    attributes: Mapping[str, str] = {}


class RelationSpec(Part):
    """A relation between two entities of the schema, or of one and the document.

    `from` and `to` name entities; `document`, which `from` is when omitted, is the document itself.
    """

    kind: str = Described(pattern=r"^[A-Z][A-Z_]{0,39}$")
    source: str = Described("document", alias="from")
    target: str = Described(alias="to")


class Header(Part):
    """What stands at the top of a schema beside its sections."""

    version: int
    name: Name
    title: str = ""
    languages: Texts = ()
    cues: Texts = ()
    keys_and_values: bool = Described(
        False, description="every key with its value is a field, whatever its name"
    )


class Schema(Part):
    """A document type. `cues` are words that tell it from others."""

    name: str
    title: str = ""
    languages: Texts = ()
    cues: Texts = ()
    keys_and_values: bool = False
    fields: tuple[Field, ...]
    checks: Mapping[str, Check] = {}
    entities: Mapping[str, EntitySpec] = {}
    relations: tuple[RelationSpec, ...] = ()

    def field(self, name: str) -> Field | None:
        """Returns the field of a name, None where there is none."""
        return next((field for field in self.fields if field.name == name), None)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that the schema says: part of the key of what is extracted by it."""
        told = self.model_dump_json(by_alias=True) + ",".join(field.name for field in self.fields)
        return hashlib.sha256(told.encode()).hexdigest()


SECTIONS = ("fields", "checks", "entities", "relations", *Header.model_fields)


def shipped() -> tuple[str, ...]:
    """Returns the names of the schemas that come with Millrace."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_schema(name: str | Path) -> Schema:
    """Returns the schema of a shipped name, or of a file.

    Raises UsageError when there is no such schema, and DocumentError, whose `problems` hold every
    problem found with its line, for a file that is wrong.
    """
    text = str(name)
    if "/" not in text and not text.endswith((".yaml", ".yml")):
        if text not in shipped():
            near = nearest(text, shipped())
            raise UsageError(
                f"there is no schema {text!r}{near}",
                hint=f"shipped are {', '.join(shipped())}; name one of your own by its file",
            )
        return load_schema(FOLDER / f"{text}.yaml")
    schema, report = read_schema(Path(name))
    if schema is None:
        raise report.error(text)
    return schema


def read_schema(path: Path) -> tuple[Schema | None, Report]:
    """Returns the schema of a file, None when something is wrong with it, and what was found."""
    try:
        text = text_of(path, "schema")
    except NoText as error:
        return None, Report((Problem(str(error)),))
    parsed = source_map.parse(text, str(path), _WORDS)
    if parsed.data is None:
        return None, Report(parsed.problems)
    schema, found = _schema(parsed.data)
    report = parsed.report(found, [])
    return (None if report.problems else schema), report


def _schema(data: Mapping[str, Any]) -> tuple[Schema | None, list[Finding]]:
    found = [
        parts.unknown_section(key, SECTIONS, "a schema") for key in data if key not in SECTIONS
    ]
    top = parts.part(
        Header, {k: data[k] for k in Header.model_fields if k in data}, (), "a schema", found
    )
    if top is not None and "version" in data and top.version != VERSION:
        message = f"this Millrace reads version {VERSION}, not {top.version}"
        found.append(Finding(("version",), message))
    blanks = {"type": "text", "field": "", "kind": "Thing", "name": "", "to": ""}
    fields = parts.section(Field, _unnamed(data, found), "fields", "a field", found, blanks)
    checks = parts.section(Check, data, "checks", "a check", found, blanks)
    entities = parts.section(EntitySpec, data, "entities", "an entity", found, blanks)
    relations = _relations(data.get("relations"), found, blanks)
    if not fields and not (top and top.keys_and_values) and not found:
        found.append(Finding(("fields",), "a schema needs fields, or `keys_and_values: true`"))
    found += between_parts(fields, checks, entities, relations)
    if found or top is None:
        return None, found
    named = [f.model_copy(update={"name": n}) for n, f in fields.items() if f is not None]
    told = top.model_dump(exclude={"version"})
    return (
        Schema(
            **told,
            fields=tuple(named),
            checks={n: c for n, c in checks.items() if c},
            entities={n: e for n, e in entities.items() if e},
            relations=tuple(r for r in relations if r),
        ),
        found,
    )


def _unnamed(data: Mapping[str, Any], found: list[Finding]) -> Mapping[str, Any]:
    """Returns the data without names inside fields: a field's name is its key."""
    fields = data.get("fields")
    if not isinstance(fields, dict):
        return data
    kept = {}
    for key, entry in fields.items():
        kept[key] = entry
        if isinstance(entry, dict) and "name" in entry:
            message = f"a field is named by its key, which is {key!r}; `title` is what people see"
            found.append(Finding(("fields", key, "name"), message, at_key=True))
            kept[key] = {k: v for k, v in entry.items() if k != "name"}
    return {**data, "fields": kept}


def _relations(
    data: Any, found: list[Finding], blanks: Mapping[str, Any]
) -> tuple[RelationSpec | None, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        found.append(Finding(("relations",), "'relations' must be a list (- {kind: …, to: …})"))
        return ()
    return tuple(
        parts.part(RelationSpec, entry, ("relations", n), "a relation", found, blanks)
        for n, entry in enumerate(data)
    )
