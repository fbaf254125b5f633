"""What a stage's kind says of the stage: its parameters, what it takes, what it does to quality."""

from __future__ import annotations

import fnmatch
import mimetypes
from collections.abc import Iterator

from pydantic import ValidationError

from millrace.engine.document import edges
from millrace.engine.document.catalogue import Catalogue, Kind
from millrace.engine.document.draft import Draft
from millrace.engine.document.problems import Finding, Where, listed
from millrace.engine.document.specs import Input, StageSpec
from millrace.engine.document.validation import findings
from millrace.engine.errors import MillraceError
from millrace.engine.stages import is_effect


def fitting(draft: Draft, kinds: Catalogue) -> Iterator[Finding]:
    """Yields kinds that are not there, parameters they refuse, and items they cannot take."""
    for name, stage in draft.stages.items():
        if stage is None or not stage.uses:
            continue
        where: Where = ("stages", name)
        kind = kinds.get(stage.uses)
        if kind is None:
            yield Finding((*where, "uses"), kinds.unknown(stage.uses))
        elif kind.cls is None:
            message = f"the stage kind {stage.uses!r} cannot be loaded: {kind.broken}"
            yield Finding((*where, "uses"), message)
        else:
            yield from _parameters(kind, stage, where)
            yield from _gathering(draft, kind, stage, where)
            yield from _media(draft, kind, stage, where)


def _parameters(kind: Kind, stage: StageSpec, where: Where) -> Iterator[Finding]:
    if kind.cls is None or kind.params is None:
        return
    try:
        params = kind.params.model_validate(stage.params)
        kind.cls(params)
    except ValidationError as error:
        yield from findings(error, stage.params, (*where, "with"), kind.params, kind.name)
    except MillraceError as error:
        yield Finding((*where, "with"), f"{kind.name}: {error.message}", at_key=True)
    except Exception as error:  # noqa: BLE001  a stranger's kind may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        message = f"{kind.name} fails on these parameters: {reason}"
        yield Finding((*where, "with"), message, at_key=True)


def _gathering(draft: Draft, kind: Kind, stage: StageSpec, where: Where) -> Iterator[Finding]:
    gathers = bool(getattr(kind.cls, "gathers", False))
    if stage.all and not gathers:
        message = f"{kind.name} works on one item at a time; write `each:`"
        yield Finding((*where, "all"), message, at_key=True)
    source = draft.inputs.get(stage.each or "")
    if source is None:
        return
    if gathers and not source.folders:
        message = (
            f"{kind.name} makes one thing of many files; write `all: {stage.each}`, "
            f"or give {stage.each!r} `folders:` to make one of each folder"
        )
        yield Finding((*where, "each"), message)
    if not gathers and source.folders:
        message = f"{kind.name} works on files, and {stage.each!r} holds folders"
        yield Finding((*where, "each"), message)


def _media(draft: Draft, kind: Kind, stage: StageSpec, where: Where) -> Iterator[Finding]:
    accepts = tuple(getattr(kind.cls, "accepts", ()))
    if not accepts:
        return
    for name in stage.sources:
        known = _media_types(draft.inputs.get(name))
        for pattern, media in known:
            if not any(fnmatch.fnmatch(media, one) for one in accepts):
                key = "each" if stage.each else "all"
                message = (
                    f"{kind.name} takes {listed(accepts)}, and {name!r} holds {media} ({pattern})"
                )
                yield Finding((*where, key), message)
                return


def _media_types(part: Input | None) -> list[tuple[str, str]]:
    """Returns the media types that the suffixes of an input's globs tell, with the globs."""
    table = mimetypes.MimeTypes()  # Python's own table: the same on every host
    globs = part.files if part is not None else ()
    guesses = [(glob, table.guess_type(glob.rpartition("/")[2], strict=True)[0]) for glob in globs]
    return [(glob, media) for glob, media in guesses if media]


def lossy_chains(draft: Draft, kinds: Catalogue) -> Iterator[Finding]:
    """Yields stages that encode lossily what another stage has already encoded lossily."""
    lossy = {
        name: stage.uses
        for name, stage in draft.stages.items()
        if stage is not None and _is_lossy(kinds, stage.uses)
    }
    for name, kind in lossy.items():
        before = next((s for s in edges.upstream(draft, name) if s in lossy and s != name), None)
        if before is not None:
            message = (
                f"encodes lossily what {before!r} has already encoded lossily "
                f"({lossy[before]}, then {kind}): each time costs quality"
            )
            yield Finding(("stages", name), message, at_key=True)


def effects(draft: Draft, kinds: Catalogue) -> frozenset[str]:
    """Returns the stages whose kinds change something outside the store."""
    found = ((name, kinds.get(stage.uses)) for name, stage in draft.stages.items() if stage)
    return frozenset(name for name, kind in found if kind and kind.cls and is_effect(kind.cls))


def _is_lossy(kinds: Catalogue, name: str) -> bool:
    kind = kinds.get(name)
    return kind is not None and bool(getattr(kind.cls, "lossy", False))
