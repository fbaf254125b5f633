"""The parts of a pipeline: inputs, stages, outputs, goal, schedule.

The names in YAML and in Python differ in two places where YAML's word is a keyword of Python:
`with` is `StageSpec.params`, `from` is `Output.source`. Each part is checked here for itself;
what only shows between parts (names, cycles) is checked in `semantics`.
"""

from __future__ import annotations

import zoneinfo
from datetime import datetime, time, timedelta
from typing import Annotated, Any, Literal, Self

from croniter import croniter
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from millrace.engine import stages
from millrace.engine.document import quantities
from millrace.engine.document.problems import nearest
from millrace.engine.labels import Label

PARTIAL = "partial"  # validation context: accept a part from which wrong keys were taken out


class Part(BaseModel):
    """What every part of a document shares: frozen, and no keys that nobody asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _label(value: object) -> Label:
    if isinstance(value, Label):
        return value
    if not isinstance(value, str):
        raise ValueError("must be public, internal or restricted")
    return Label.parse(value.strip())


def _texts(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        if not all(isinstance(entry, str) for entry in value):
            raise ValueError("must be text or a list of texts")
        return tuple(value)
    raise ValueError("must be text or a list of texts")


def _texts_out(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _gpu(value: object) -> object:
    return "no" if value is False else value  # editors of YAML 1.1 turn `no` into false


def _timezone(value: object) -> object:
    if isinstance(value, str) and value not in zoneinfo.available_timezones():
        near = nearest(value, zoneinfo.available_timezones())
        raise ValueError(f"no time zone is called {value!r}{near or '; for example Europe/Berlin'}")
    return value


def _cron(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('must be five cron fields in quotes, such as "0 1 * * *"')
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(
            'must be five cron fields (minute hour day month weekday), such as "0 1 * * *"'
        )
    try:
        croniter(value, datetime(2027, 1, 1)).get_next(datetime)
    except (ValueError, KeyError):
        raise ValueError(f"{value!r} never comes") from None
    return value


def _name(value: object) -> object:
    if isinstance(value, str) and not (value.isprintable() and value.strip() and len(value) <= 100):
        raise ValueError("must be one line of text, at most 100 characters")
    return value


_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Name = Annotated[str, BeforeValidator(_name)]
LabelField = Annotated[
    Label,
    BeforeValidator(_label),
    PlainSerializer(str),
    WithJsonSchema({"enum": ["public", "internal", "restricted"]}),
]
Texts = Annotated[
    tuple[str, ...],
    BeforeValidator(_texts),
    PlainSerializer(_texts_out),
    WithJsonSchema(_TEXTS),
]
Size = Annotated[
    int,
    BeforeValidator(quantities.size),
    PlainSerializer(quantities.show_size, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["2 GiB"]}),
]
Moment = Annotated[
    time | datetime,
    BeforeValidator(quantities.moment),
    PlainSerializer(quantities.show_moment, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["07:00", "2027-01-31T07:00"]}),
]
Duration = Annotated[
    timedelta,
    BeforeValidator(quantities.duration),
    PlainSerializer(quantities.show_duration, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["6h", "1d 12h"]}),
]
Euros = Annotated[
    float,
    BeforeValidator(quantities.euros),
    PlainSerializer(quantities.show_euros, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "examples": ["20 EUR"]}),
]


class Input(Part):
    """Files or folders that come in from outside: exactly one of files, folders, manifest."""

    files: Texts = Field(default=(), description="Globs, paths or URLs; each file is one item.")
    folders: Texts = Field(
        default=(), description="Globs of folders; each folder is one item (an image sequence)."
    )
    manifest: str | None = Field(
        default=None,
        description="A file that lists paths: one a line, or .csv/.jsonl with a column `path`.",
    )
    exclude: Texts = Field(default=(), description="Globs of what to leave out.")
    label: LabelField | None = Field(
        default=None, description="How sensitive these files are, if more than the pipeline."
    )

    @model_validator(mode="after")
    def _one_source(self, info: ValidationInfo) -> Self:
        given = [name for name in ("files", "folders", "manifest") if getattr(self, name)]
        if len(given) != 1 and not _partial(info):
            raise ValueError(
                "needs exactly one of files, folders or manifest"
                + (f", not {' and '.join(given)}" if given else "")
            )
        return self


class Resources(Part):
    """What a stage asks for beyond what its kind asks for by itself. Sizes in bytes."""

    gpu: Annotated[Literal["no", "prefer", "require"] | None, BeforeValidator(_gpu)] = Field(
        default=None, description="Use a GPU: no, prefer (else the CPU), require (else an error)."
    )
    vram: Size | None = Field(default=None, description="GPU memory one session needs.")
    cores: int | None = Field(default=None, ge=1, le=4096, description="CPU cores.")
    memory: Size | None = Field(default=None, description="Memory one session needs.")


class StageSpec(Part):
    """One stage: a kind, where its items come from, and the kind's own parameters."""

    uses: str = Field(description="The stage kind; `millrace kinds` lists them.")
    each: str | None = Field(
        default=None, description="The input or stage whose items this stage takes one by one."
    )
    all: Texts = Field(
        default=(), description="The inputs or stages whose items it gathers into one."
    )
    using: dict[str, str] = Field(
        default={}, description="Side inputs: a name the kind knows, and an input or stage."
    )
    params: dict[str, JsonValue] = Field(
        default={}, alias="with", description="The kind's own parameters."
    )
    resources: Resources = Resources()
    approve: bool = Field(
        default=False,
        description="Wait for a person first: `millrace approve RUN STAGE` lets it begin.",
    )

    @model_validator(mode="after")
    def _one_source(self, info: ValidationInfo) -> Self:
        if bool(self.each) == bool(self.all) and not _partial(info):
            raise ValueError(
                "has both each and all; keep one" if self.each else "needs `each:` or `all:`"
            )
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the inputs and stages its items come from, side inputs not among them."""
        return (self.each,) if self.each else self.all

    def build(self) -> stages.Stage:
        """Returns the kind bound to these parameters.

        Raises UsageError for a kind that is not there, pydantic.ValidationError for parameters it
        refuses (a checked pipeline has neither).
        """
        kind = stages.load(self.uses)
        return kind(kind.Params.model_validate(self.params))


class Output(Part):
    """Where results are delivered: `to` is a name template, such as `out/{source.path}.mp4`."""

    source: str = Field(alias="from", description="The stage (or input) to deliver.")
    to: str = Field(
        description="File name, with {source.path}, {source.name}, {source.suffix}, {item}, "
        "{stage}, {run}; relative to the pipeline file."
    )


class Goal(Part):
    """What matters: `prefer` decides; `by` or `within` is the deadline, `budget` (EUR) a limit."""

    prefer: Literal["cheapest", "fastest"] = "cheapest"
    by: Moment | None = Field(default=None, description="Done by this time of day or moment.")
    within: Duration | None = Field(default=None, description="Done this long after the start.")
    budget: Euros | None = Field(default=None, description="The most a run may cost, in EUR.")

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if self.by is not None and self.within is not None:
            raise ValueError("has both by and within; keep one deadline")
        return self


class Schedule(Part):
    """When the pipeline is to run, once `millrace deploy` has told the server."""

    cron: Annotated[str, BeforeValidator(_cron)] = Field(
        description="Five cron fields: minute hour day month weekday."
    )
    timezone: Annotated[str, BeforeValidator(_timezone)] = Field(
        default="UTC", description="IANA time zone of the cron fields, such as Europe/Berlin."
    )


def _partial(info: ValidationInfo) -> bool:
    context: Any = info.context
    return isinstance(context, dict) and bool(context.get(PARTIAL))
