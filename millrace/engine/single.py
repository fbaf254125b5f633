"""One stage without a pipeline file: the work order a command or a function call stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from millrace.engine import stages
from millrace.engine.document.parameters import at_home
from millrace.engine.document.validation import findings
from millrace.engine.errors import UsageError
from millrace.engine.pipeline import Input, Output, Pipeline, StageSpec
from millrace.engine.runs import Order

INPUT, OUTPUT = "files", "result"


def single_stage(
    kind: str,
    sources: Sequence[str | Path],
    output: str | Path,
    params: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> Order:
    """Returns the work order of one stage over some files.

    `output` is the result's file name; for several sources, or where it ends with a slash or is a
    folder, the folder that results go to under their sources' names. Kinds that gather (image
    sequence to video) make one result of all sources. Raises UsageError for an unknown kind and for
    parameters it does not take, DocumentError for a name that cannot be an output's.
    """
    cls = stages.load(kind)
    stage = kind.rpartition(".")[2]
    try:
        cls.Params.model_validate(dict(params))
    except ValidationError as error:
        lines = [found.message for found in findings(error, dict(params), (), cls.Params, kind)]
        raise UsageError(
            f"{kind} does not take these parameters: {'; '.join(lines)}",
            hint=f"`millrace kinds {kind}` shows what it takes",
        ) from None
    folders = cls.gathers and all(Path(s).is_dir() for s in sources)
    names = [_absolute(s) for s in sources]
    gathered = cls.gathers and not folders
    spec: dict[str, Any] = {"all": INPUT} if gathered else {"each": INPUT}
    return Order(
        pipeline=Pipeline(
            name=stage,
            inputs={INPUT: Input(folders=names) if folders else Input(files=names)},
            stages={stage: StageSpec(uses=kind, params=dict(params), **spec)},
            outputs={
                OUTPUT: Output(
                    source=stage,
                    to=_template(output, len(names) > 1 and not gathered, stages.suffix_of(cls)),
                )
            },
        ).checked(),
        base=Path.cwd(),
        source=f"{kind} {' '.join(names)}" if len(names) == 1 else kind,
        overwrite=overwrite,
    )


def _absolute(source: str | Path) -> str:
    text = os.fspath(source)
    return text if "://" in text else str(at_home(text).absolute())


def _template(output: str | Path, several: bool, suffix: str) -> str:
    text = os.fspath(output)
    path = os.path.normpath(at_home(text).absolute())
    escaped = path.replace("{", "{{").replace("}", "}}")
    if several or text.endswith("/") or Path(path).is_dir():
        return escaped + "/{source.name}" + (suffix or "{source.suffix}")
    return escaped
