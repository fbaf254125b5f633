"""Work orders from the command line: a pipeline document, or one kind over some files."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

from millrace.cli.document import given
from millrace.engine import stages
from millrace.engine.document.files import exists
from millrace.engine.document.parameters import at_home
from millrace.engine.document.problems import nearest
from millrace.engine.errors import UsageError
from millrace.engine.pipeline import load
from millrace.engine.remote import is_remote
from millrace.engine.runs import Order
from millrace.engine.single import single_stage

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Asked:
    """What a person typed: `what` is a document or the name of a kind."""

    what: str
    files: tuple[str, ...] = ()
    output: str | None = None
    set: tuple[str, ...] = ()
    limit: int | None = None
    only: str | None = None
    force: tuple[str, ...] = ()
    overwrite: bool = False


def order_of(asked: Asked) -> Order:
    """Returns the work order for what was typed.

    Raises UsageError and DocumentError that name what is wrong and the nearest valid name.
    """
    if _is_document(asked.what):
        return _checked(_from_document(asked), asked)
    if asked.what in stages.available():
        order = _checked(_from_kind(asked), asked)
        _expect_files(asked)
        return order
    near = nearest(asked.what, stages.available())
    raise UsageError(
        f"{asked.what!r} is neither a file nor a stage kind{near}",
        hint="`millrace init` writes a pipeline to start from; `millrace kinds` lists the kinds",
    )


def _is_document(what: str) -> bool:
    return Path(what).exists() or Path(what).suffix.lower() in _SUFFIXES


def _from_document(asked: Asked) -> Order:
    if asked.files or asked.output:
        raise UsageError(
            "input files and -o belong to a stage kind; a pipeline document names its own",
            hint="change the document, or give values with --set NAME=VALUE",
        )
    pipeline = load(Path(asked.what), set=given(list(asked.set)))
    return Order(
        pipeline=pipeline,
        base=pipeline.base.absolute(),
        source=str(Path(asked.what).absolute()),
        overwrite=asked.overwrite,
    )


def _from_kind(asked: Asked) -> Order:
    example = f"for example: millrace run {asked.what} in.mp4 -o out.mp4"
    if not asked.files:
        raise UsageError(f"{asked.what} needs an input file", hint=example)
    if not asked.output:
        raise UsageError(f"{asked.what} needs -o OUTPUT", hint=example)
    params = {name: _value(text) for name, text in given(list(asked.set)).items()}
    return single_stage(asked.what, asked.files, asked.output, params, overwrite=asked.overwrite)


def _expect_files(asked: Asked) -> None:
    """Raises UsageError when none of the files that were typed is there."""
    if not all(_is_nothing(name) for name in asked.files):
        return
    first, beside = asked.files[0], list[str]()
    with suppress(OSError):
        beside = [path.name for path in at_home(first).parent.iterdir()]
    raise UsageError(
        f"there is no file {first}{nearest(Path(first).name, beside)}",
        hint=f"for example: millrace run {asked.what} in.mp4 -o out.mp4",
    )


def _is_nothing(name: str) -> bool:
    """True for the name of a file that is not there; patterns and URLs show later what they are."""
    return not (is_remote(name) or has_magic(name) or exists(str(at_home(name))))


def _value(text: str) -> Any:
    if text[:1] in "[{":  # a list or mapping; plain words and numbers the kind itself understands
        with suppress(ValueError):
            return json.loads(text)
    return text


def _checked(order: Order, asked: Asked) -> Order:
    names = order.pipeline.stages
    for option, name in (("--only", asked.only), *(("--force", name) for name in asked.force)):
        if name is not None and name not in names:
            raise UsageError(
                f"{option} {name}: there is no such stage{nearest(name, names)}",
                hint=f"the stages are {', '.join(names)}",
            )
    changes = {"limit": asked.limit, "only": asked.only, "force": asked.force}
    return order.model_copy(update=changes)
