"""A document's text to its parts, each checked for itself; what is wrong does not stop the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millrace.engine.document import parts
from millrace.engine.document.parameters import Parameter, Scalar, Values, substitute
from millrace.engine.document.problems import Finding, Where, likely, listed, nearest
from millrace.engine.document.specs import (
    Goal,
    Input,
    LabelField,
    Name,
    Output,
    Part,
    Schedule,
    StageSpec,
)
from millrace.engine.labels import Label

VERSION = 1
SECTIONS = (
    "version", "name", "label", "parameters", "inputs", "stages", "outputs", "goal", "schedule"
)  # fmt: skip

PARTS = ("inputs", "stages", "outputs")


class Header(Part):
    """What stands at the top of a document beside its sections."""

    version: int
    name: Name
    label: LabelField | None = None


@dataclass(frozen=True)
class Draft:
    """The parts of a document. A part that is wrong is None (its name is known all the same).

    `broken` holds the sections that could not be read at all, so that their names are not known.
    """

    label: Label | None
    broken: frozenset[str] = frozenset()
    parameters: Mapping[str, Parameter | None] = field(default_factory=dict)
    inputs: Mapping[str, Input | None] = field(default_factory=dict)
    stages: Mapping[str, StageSpec | None] = field(default_factory=dict)
    outputs: Mapping[str, Output | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """A document read: its draft, its data with parameters put in, and what was wrong.

    Values at `left` hold a parameter that could not be put in.
    """

    draft: Draft
    data: dict[str, Any]
    found: tuple[Finding, ...]
    left: frozenset[Where]


def read(data: Mapping[str, Any], given: Mapping[str, Any]) -> Read:
    """Returns the parts of a document's data; `given` are the values of `--set`."""
    unknown = [key for key in data if key not in SECTIONS]
    found = [parts.unknown_section(key, SECTIONS, "a pipeline") for key in unknown]
    broken = {likely(key, SECTIONS) for key in unknown} - set(data)
    header = {key: data[key] for key in ("version", "name", "label") if key in data}
    parameters = parts.section(Parameter, data, "parameters", "a parameter", found)
    values = _values(parameters, given, found)
    body = {key: value for key, value in data.items() if key not in ("parameters", "version")}
    substituted = substitute({k: body[k] for k in body if k in SECTIONS}, values)
    body = substituted.data
    found += _no_references(data.get("parameters"))
    header |= {key: body[key] for key in ("name", "label") if key in body}
    top = parts.part(Header, header, (), "a pipeline", found)
    if top is not None and top.version != VERSION and "version" in header:
        found.append(
            Finding(("version",), f"this Millrace reads version {VERSION}, not {top.version}")
        )
    if top is None or (top.label is None and body.get("label") is not None):
        broken.add("label")
    broken |= {key for key in PARTS if not isinstance(body.get(key), dict | None)}
    draft = Draft(
        label=top.label if top is not None else None,
        broken=frozenset(broken),
        parameters=parameters,
        inputs=parts.section(Input, body, "inputs", "an input", found),
        stages=parts.section(StageSpec, body, "stages", "a stage", found),
        outputs=parts.section(Output, body, "outputs", "an output", found),
    )
    for name, model in (("goal", Goal), ("schedule", Schedule)):
        if body.get(name) is not None:
            parts.part(model, body[name], (name,), f"a {name}", found)
    settled = _settled(data, body, parameters, values)
    kept = [finding for finding in found if not follows(finding, substituted.left)]
    return Read(draft, settled, (*substituted.found, *kept), substituted.left)


def follows(finding: Finding, left: frozenset[Where]) -> bool:
    """True when a finding is about a value whose parameter could not be put in."""
    return any(finding.where[:n] in left for n in range(1, len(finding.where) + 1))


def _values(
    parameters: Mapping[str, Parameter | None], given: Mapping[str, Any], found: list[Finding]
) -> Values:
    known: dict[str, Scalar] = {}
    wrong = {finding.where[1] for finding in found if len(finding.where) > 1}
    for name in given:
        if name not in parameters:
            near = nearest(name, parameters) or _declared(parameters)
            message = f"--set {name}: no such parameter{near}"
            found.append(Finding(("parameters",), message, at_key=True))
    for name, parameter in parameters.items():
        if parameter is None or name in wrong:
            continue
        try:
            if name in given:
                value = given[name]
                known[name] = (
                    parameter.parse(value) if isinstance(value, str) else parameter.accept(value)
                )
            elif parameter.default is not None:
                known[name] = parameter.accept(parameter.default)
            else:
                message = f"the parameter {name!r} has no default; give it by --set {name}=…"
                found.append(Finding(("parameters", name), message, at_key=True))
        except ValueError as error:
            if name in given:
                message = f"--set {name}: {error}"
                found.append(Finding(("parameters", name), message, at_key=True))
    return Values(known, frozenset(set(parameters) - set(known)))


def _declared(parameters: Mapping[str, object]) -> str:
    if not parameters:
        return "; this pipeline declares none"
    return f"; it has {listed(sorted(parameters), 'and')}"


def _no_references(parameters: Any) -> list[Finding]:
    if not isinstance(parameters, dict):
        return []
    return [
        Finding(("parameters", name, "default"), "a parameter cannot refer to another one")
        for name, entry in parameters.items()
        if isinstance(entry, dict) and "${" in str(entry.get("default", ""))
    ]


def _settled(
    data: Mapping[str, Any],
    body: dict[str, Any],
    parameters: Mapping[str, Parameter | None],
    values: Values,
) -> dict[str, Any]:
    """Returns the data as `Pipeline` takes it: parameters hold the values in effect."""
    settled = {key: value for key, value in body.items() if value is not None}
    declared = data.get("parameters")
    if isinstance(declared, dict):
        settled["parameters"] = {
            name: {**entry, "default": values.known.get(name)}
            for name, entry in declared.items()
            if isinstance(entry, dict)
        }
    return settled | {"version": VERSION}
