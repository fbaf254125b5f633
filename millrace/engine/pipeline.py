"""The pipeline: a document, or the same model built in Python.

    pipeline = load("remaster.yaml", set={"scale": "3"})
    pipeline = Pipeline(
        name="remaster",
        inputs={"captures": Input(files="captures/*.mp4")},
        stages={"proxy": StageSpec(uses="video.encode", each="captures", params={"crf": 28})},
        outputs={"proxies": Output(source="proxy", to="out/{source.path}.mp4")},
    ).checked()

`load` reads and checks a document and raises one DocumentError with every problem; `check` returns
them with the warnings. A pipeline built in Python is checked by `checked()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from millrace.engine.document import semantics, source_map, templates, yaml_text
from millrace.engine.document.catalogue import Catalogue
from millrace.engine.document.draft import Draft, follows, read
from millrace.engine.document.files import NoText, exists, text_of
from millrace.engine.document.parameters import Parameter, Scalar, escaped
from millrace.engine.document.problems import Problem, Report
from millrace.engine.document.specs import (
    Goal,
    Input,
    LabelField,
    Name,
    Output,
    Part,
    Resources,
    Schedule,
    StageSpec,
)
from millrace.engine.errors import DocumentError
from millrace.engine.labels import UNLABELLED, Label

__all__ = [
    "Goal",
    "Input",
    "Output",
    "Parameter",
    "Pipeline",
    "Report",
    "Resources",
    "Schedule",
    "StageSpec",
    "check",
    "load",
    "suffix_for",
]


class Pipeline(Part):
    """Inputs, stages, outputs and goals, under one name and label.

    In a loaded pipeline `${…}` is resolved and each parameter's default is the value in effect.
    `base` is the folder that relative paths start from: that of the document.
    """

    version: Literal[1] = 1
    name: Name
    label: LabelField | None = Field(
        default=None, description="How sensitive the data is; restricted when omitted."
    )
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    inputs: dict[str, Input] = Field(default_factory=dict)
    stages: dict[str, StageSpec] = Field(default_factory=dict)
    outputs: dict[str, Output] = Field(default_factory=dict)
    goal: Goal | None = None
    schedule: Schedule | None = None
    base: Path = Field(default=Path(), exclude=True)

    @property
    def effective_label(self) -> Label:
        """The pipeline's label; restricted when none is given."""
        return UNLABELLED if self.label is None else self.label

    @property
    def values(self) -> dict[str, Scalar]:
        """The parameters' values in effect."""
        return {name: parameter.default for name, parameter in self.parameters.items()}

    def label_of(self, name: str) -> Label:
        """Returns the label of an input: its own where that is higher than the pipeline's."""
        own = self.inputs[name].label
        return self.effective_label if own is None else max(own, self.effective_label)

    def report(self) -> Report:
        """Returns what is wrong or doubtful between the parts of this pipeline."""
        draft = Draft(
            label=self.label,
            parameters=self.parameters,
            inputs=self.inputs,
            stages=self.stages,
            outputs=self.outputs,
        )
        problems, warnings = semantics.examine(draft, Catalogue())
        return Report(
            tuple(Problem(found.message, found.where) for found in problems),
            tuple(Problem(found.message, found.where) for found in warnings),
        )

    def checked(self) -> Self:
        """Returns this pipeline. Raises DocumentError with every problem it has."""
        report = self.report()
        if report.problems:
            raise report.error(f"the pipeline {self.name!r}")
        return self

    def to_yaml(self) -> str:
        """Returns the document that loads to this pipeline again."""
        data = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        body = {key: data[key] for key in data if key not in ("version", "parameters")}
        document = {"version": self.version, "name": self.name}
        if "parameters" in data:
            document["parameters"] = data["parameters"]
        return yaml_text.dump(document | escaped(body))


def load(
    source: str | Path, *, set: Mapping[str, Any] | None = None, base: Path | None = None
) -> Pipeline:
    """Returns the pipeline of a document: a path, or its text.

    A string with a line break is text, as is one with `: ` that names no file. `set` gives
    parameters, as on the command line. `base` is where relative paths start, by default the
    document's folder (of a text: the current folder).
    Raises DocumentError, whose `problems` hold every problem found, each with its place.
    """
    pipeline, report, name = _examine(source, set or {}, base)
    if pipeline is None:
        raise report.error(name)
    return pipeline


def check(source: str | Path, set: Mapping[str, Any] | None = None) -> Report:
    """Returns all problems and warnings of a document. Never raises for what is in it."""
    return _examine(source, set or {}, None)[1]


def suffix_for(pipeline: Pipeline, stage: str, source: str = "") -> str:
    """Returns the suffix (".mp4") that the outputs of a stage ask for, "" where none does.

    `source` is the suffix of the item's input, for names that end with {source.suffix}.
    Raises DocumentError when two outputs ask for different ones.
    """
    asked = {
        name: suffix
        for name, output in pipeline.outputs.items()
        if output.source == stage and (suffix := templates.parse(output.to).suffix(source))
    }
    if len({suffix.lower() for suffix in asked.values()}) > 1:
        raise DocumentError(
            f"outputs of the stage {stage!r} ask for different files: {semantics.pairs(asked)}",
            hint="give the second one a stage of its own",
        )
    return next(iter(asked.values()), "")


def _examine(
    source: str | Path, given: Mapping[str, Any], base: Path | None
) -> tuple[Pipeline | None, Report, str]:
    path = None if _is_text(source) else Path(source)
    name = "<text>" if path is None else str(path)
    try:
        text = str(source) if path is None else text_of(path)
    except NoText as error:
        return None, Report((Problem(str(error)),)), name
    parsed = source_map.parse(text, name)
    if parsed.data is None:
        return None, Report(parsed.problems), name
    document = read(parsed.data, given)
    wrong, doubtful = semantics.examine(
        document.draft, Catalogue(), sound=not (document.found or parsed.problems)
    )
    wrong = [found for found in wrong if not follows(found, document.left)]
    report = parsed.report((*document.found, *wrong), doubtful)
    if report.problems:
        return None, report, name
    folder = base or (Path() if path is None else path.absolute().parent)
    try:
        return Pipeline.model_validate(document.data | {"base": folder}), report, name
    except ValidationError as error:
        # a part passed for itself and not as a whole: say so instead of showing a traceback
        reasons = tuple(Problem(str(e["msg"]), tuple(e["loc"])) for e in error.errors())
        return None, Report(reasons), name


def _is_text(source: str | Path) -> bool:
    if isinstance(source, Path):
        return False
    if "\n" in source or "\r" in source or not source.strip():
        return True
    return ": " in source and not exists(source)
