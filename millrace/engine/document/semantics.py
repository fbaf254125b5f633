"""What is wrong between the parts of a pipeline: names, cycles, kinds, templates, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from millrace.engine.document import edges, input_checks, templates
from millrace.engine.document.catalogue import Catalogue
from millrace.engine.document.draft import Draft
from millrace.engine.document.files import exists
from millrace.engine.document.kind_checks import effects, fitting, lossy_chains
from millrace.engine.document.problems import Finding
from millrace.engine.document.specs import Input, Output
from millrace.engine.labels import UNLABELLED

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def examine(
    draft: Draft, kinds: Catalogue, *, sound: bool = True
) -> tuple[list[Finding], list[Finding]]:
    """Returns problems and warnings of a draft, as far as its parts can be judged.

    `sound` is False when parts had something wrong: then nobody can say what is not used.
    """
    problems = [
        *_names(draft),
        *edges.problems(draft),
        *fitting(draft, kinds),
        *_labels(draft),
        *input_checks.urls(draft),
        *_templates(draft),
        *_same_names(draft),
        *_suffixes(draft),
    ]
    if not draft.stages and "stages" not in draft.broken:
        problems.append(Finding(("stages",), "a pipeline needs at least one stage", at_key=True))
    warnings = [*lossy_chains(draft, kinds)]
    if sound and not problems:
        warnings += edges.unused(draft, effects(draft, kinds))
    return problems, warnings


def _names(draft: Draft) -> Iterator[Finding]:
    sections = {
        "parameters": draft.parameters,
        "inputs": draft.inputs,
        "stages": draft.stages,
        "outputs": draft.outputs,
    }
    for section, parts in sections.items():
        for name in parts:
            if not _NAME.fullmatch(name):
                message = (
                    f"{name!r} is no name: use letters, digits, _ and -, and begin with a letter"
                )
                yield Finding((section, name), message, at_key=True)
    for name in draft.stages:
        if name in draft.inputs:
            message = f"{name!r} is the name of an input as well; edges could mean either"
            yield Finding(("stages", name), message, at_key=True)


def _labels(draft: Draft) -> Iterator[Finding]:
    if "label" in draft.broken:
        return
    floor = UNLABELLED if draft.label is None else draft.label
    for name, part in draft.inputs.items():
        if part is not None and part.label is not None and part.label < floor:
            given = "" if draft.label is not None else ", because it gives no label"
            yield Finding(
                ("inputs", name, "label"),
                f"the pipeline is {floor}{given}: an input may raise that and never lower it; "
                f"write `label: {part.label}` at the top to lower all of it",
            )


def _templates(draft: Draft) -> Iterator[Finding]:
    for name, output in draft.outputs.items():
        if output is None or not output.to:
            continue
        where = ("outputs", name, "to")
        try:
            template = templates.parse(output.to)
        except templates.TemplateError as error:
            yield Finding(where, str(error), offset=error.offset, length=error.length)
            continue
        gathered = edges.gathered(draft, output.source)
        sourced = [field for field in template.fields if field.startswith("source.")]
        if gathered is True and sourced:
            field = "{" + sourced[0] + "}"
            message = f"{output.source!r} gathers all items into one, which has no {field}"
            at = max(output.to.find(field), 0)
            yield Finding(where, message, offset=at, length=len(field))
        several = gathered is False and _several(draft, output.source)
        if several and not set(template.fields) & set(templates.PER_ITEM):
            yield Finding(
                where,
                f"every item of {output.source!r} would be written to this one name; "
                "add {source.path}, {source.name} or {item}",
            )


def _several(draft: Draft, name: str) -> bool:
    """True when the inputs behind `name` can hold more than one item."""
    return any(_many(draft.inputs.get(root)) for root in edges.roots(draft, name))


def _many(part: Input | None) -> bool:
    if part is None:
        return False
    globs = part.files + part.folders
    return bool(part.manifest) or len(globs) > 1 or any(_pattern(glob) for glob in globs)


def _pattern(glob: str) -> bool:
    """True for a glob; a file whose name has brackets in it is a file first."""
    return bool(set(glob) & set("*?[")) and not (glob.startswith("/") and exists(glob))


def _same_names(draft: Draft) -> Iterator[Finding]:
    """Finds outputs that write the same name for the same item, or for the only one."""
    seen: dict[str, tuple[str, Output]] = {}
    for name, output in draft.outputs.items():
        if output is None or not output.to:
            continue
        key = re.sub(r"/(\./)*/*", "/", output.to.replace("{stage}", output.source))
        key = key.removeprefix("./")
        if key not in seen:
            seen[key] = (name, output)
            continue
        other, first = seen[key]
        shared = set(edges.roots(draft, output.source)) & set(edges.roots(draft, first.source))
        if shared or not set(templates.PER_ITEM) & set(re.findall(r"\{([a-z.]+)\}", key)):
            message = f"the output {other!r} writes the same name; give one of them another folder"
            yield Finding(("outputs", name, "to"), message)


def _suffixes(draft: Draft) -> Iterator[Finding]:
    asked: dict[str, tuple[str, str]] = {}
    for name, output in draft.outputs.items():
        suffix = _suffix(output)
        if output is None or not suffix or output.source not in draft.stages:
            continue
        other, first = asked.setdefault(output.source, (name, suffix))
        if first.lower() != suffix.lower():
            message = (
                f"{output.source!r} makes one file for each item, and {other!r} asks for {first} "
                f"where this asks for {suffix}; give this one a stage of its own"
            )
            yield Finding(("outputs", name, "to"), message)


def _suffix(output: Output | None) -> str:
    try:
        return templates.parse(output.to).suffix() if output is not None else ""
    except templates.TemplateError:
        return ""


def pairs(asked: Mapping[str, str]) -> str:
    """Returns `masters (.mkv), proxies (.mp4)`."""
    return ", ".join(f"{name} ({suffix})" for name, suffix in asked.items())
