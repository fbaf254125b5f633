"""The edges between inputs, stages and outputs: names that exist, cycles, what leads where."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.engine.document import Draft
from millrace.engine.problems import Finding, Where, nearest
from millrace.engine.specs import StageSpec


def problems(draft: Draft) -> Iterator[Finding]:
    """Yields names that no input or stage has, and cycles."""
    known = {**draft.inputs, **draft.stages}
    blind = bool({"inputs", "stages"} & draft.broken)
    for where, name, _ in _edges(draft):
        if name in known or not name or blind:
            continue
        near = nearest(name, known)
        if not near and name in draft.outputs:
            near = "; that is an output, and stages take from inputs and stages"
        yield Finding(where, f"no input or stage is called {name!r}{near}")
    yield from _cycles(draft)


def unused(draft: Draft) -> Iterator[Finding]:
    """Yields inputs and stages whose items nobody takes, and the want of any output."""
    taken = {name for _, name, _ in _edges(draft)}
    for name in draft.inputs:
        if name not in taken:
            yield Finding(("inputs", name), f"nothing uses the input {name!r}", at_key=True)
    if not draft.outputs:
        message = "no outputs: results stay in the store and are delivered nowhere"
        yield Finding(("outputs",), message, at_key=True)
        return
    for name in draft.stages:
        if name not in taken:
            message = f"no output or stage uses the result of {name!r}"
            yield Finding(("stages", name), message, at_key=True)


def _edges(draft: Draft) -> Iterator[tuple[Where, str, str]]:
    """Yields (place, the name taken from, the stage or output that takes)."""
    for name, stage in draft.stages.items():
        if stage is None:
            continue
        yield from ((where, source, name) for where, source in _taken(name, stage))
    for name, output in draft.outputs.items():
        if output is not None:
            yield ("outputs", name, "from"), output.source, ""


def _taken(name: str, stage: StageSpec) -> Iterator[tuple[Where, str]]:
    if stage.each:
        yield ("stages", name, "each"), stage.each
    for number, source in enumerate(stage.all):
        single = len(stage.all) == 1
        yield ("stages", name, "all", *(() if single else (number,))), source
    for side, source in stage.using.items():
        yield ("stages", name, "using", side), source


def sources(draft: Draft, name: str) -> list[str]:
    """Returns what a stage takes from, side inputs too; nothing for an input."""
    stage = draft.stages.get(name)
    return [source for _, source in _taken(name, stage)] if stage is not None else []


def upstream(draft: Draft, name: str) -> list[str]:
    """Returns every stage and input that items of `name` come through, side inputs not among them,
    nearest first. Ends for cycles too."""
    seen: dict[str, None] = {}
    todo = [name]
    while todo:
        stage = draft.stages.get(todo.pop(0))
        for source in stage.sources if stage is not None else ():
            if source not in seen:
                seen[source] = None
                todo.append(source)
    return list(seen)


def roots(draft: Draft, name: str) -> list[str]:
    """Returns the inputs that items of `name` come from."""
    return [source for source in (name, *upstream(draft, name)) if source in draft.inputs]


def gathered(draft: Draft, name: str) -> bool | None:
    """True when `name` has one item made of many, None when that cannot be said."""
    for _ in range(len(draft.stages) + 1):
        if name in draft.inputs:
            return False
        stage = draft.stages.get(name)
        if stage is None or not (stage.each or stage.all):
            return None
        if stage.all:
            return True
        name = stage.each or ""
    return None


def _cycles(draft: Draft) -> Iterator[Finding]:
    """Yields each cycle once, at the stage of it that stands first."""
    done: set[str] = set()
    for name in draft.stages:
        cycle = _cycle_from(draft, name, done)
        if cycle:
            done.update(cycle)
            arrows = " → ".join([*cycle, cycle[0]])
            where, _ = next(
                edge
                for edge in _taken(cycle[0], _stage(draft, cycle[0]))
                if edge[1] == cycle[1 % len(cycle)]
            )
            yield Finding(where, f"stages take from each other in a circle: {arrows}")


def _stage(draft: Draft, name: str) -> StageSpec:
    stage = draft.stages[name]
    assert stage is not None  # noqa: S101  only stages with edges are in a cycle
    return stage


def _cycle_from(draft: Draft, start: str, done: set[str]) -> list[str]:
    """Returns a shortest way from a stage back to itself, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for source in sources(draft, way[-1]):
            if source == start:
                return way
            if source not in seen and source not in done:
                seen.add(source)
                ways.append([*way, source])
    return []
