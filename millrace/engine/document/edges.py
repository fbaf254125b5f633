"""The edges between inputs, stages and outputs: names that exist, cycles, what leads where."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from millrace.engine.document.draft import Draft
from millrace.engine.document.problems import Finding, Where, nearest
from millrace.engine.document.specs import StageSpec

_SHOWN = 12  # stages of a cycle that a message names


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


def unused(draft: Draft, effects: Collection[str]) -> Iterator[Finding]:
    """Yields inputs and stages whose items nobody takes, and the want of any output.

    Stages that are `effects` do their work elsewhere: nobody has to take what comes of them.
    """
    taken = {name for _, name, _ in _edges(draft)}
    for name in draft.inputs:
        if name not in taken:
            yield Finding(("inputs", name), f"nothing uses the input {name!r}", at_key=True)
    if not (draft.outputs or effects):
        message = "no outputs: results stay in the store and are delivered nowhere"
        yield Finding(("outputs",), message, at_key=True)
        return
    for name in draft.stages:
        if name not in taken and name not in effects:
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


def upstream(draft: Draft, name: str) -> Iterator[str]:
    """Yields every stage and input that items of `name` come through, nearest first, side inputs
    not among them. Ends for cycles too."""
    seen: set[str] = set()
    todo = deque([name])
    while todo:
        stage = draft.stages.get(todo.popleft())
        for source in stage.sources if stage is not None else ():
            if source not in seen:
                seen.add(source)
                yield source
                todo.append(source)


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
    tangled = _tangled(draft)
    done: set[str] = set()
    for name in draft.stages:
        cycle = _cycle_from(tangled, name, done) if name in tangled else []
        if cycle:
            done.update(cycle)
            shown = cycle if len(cycle) <= _SHOWN else [*cycle[: _SHOWN - 1], "…", cycle[-1]]
            arrows = " → ".join([*shown, cycle[0]])
            where = _edge(draft, cycle[0], cycle[1 % len(cycle)])
            yield Finding(where, f"stages take from each other in a circle: {arrows}")


def _tangled(draft: Draft) -> dict[str, list[str]]:
    """Returns the stages that are in a cycle or behind one, with what they take of each other."""
    takes = {name: [s for s in sources(draft, name) if s in draft.stages] for name in draft.stages}
    waiting = {name: len(taken) for name, taken in takes.items()}
    takers: dict[str, list[str]] = {name: [] for name in takes}
    for name, taken in takes.items():
        for source in taken:
            takers[source].append(name)
    free = deque(name for name, count in waiting.items() if count == 0)
    while free:
        for taker in takers[free.popleft()]:
            waiting[taker] -= 1
            if waiting[taker] == 0:
                free.append(taker)
    return {name: [s for s in takes[name] if waiting[s]] for name in takes if waiting[name]}


def _cycle_from(tangled: dict[str, list[str]], start: str, done: set[str]) -> list[str]:
    """Returns a shortest way from a stage back to itself, or nothing."""
    came: dict[str, str] = {}
    todo = deque([start])
    while todo:
        name = todo.popleft()
        for source in tangled[name]:
            if source == start:
                return _way(came, start, name)
            if source not in came and source not in done:
                came[source] = name
                todo.append(source)
    return []


def _way(came: dict[str, str], start: str, end: str) -> list[str]:
    way = [end]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def _edge(draft: Draft, name: str, source: str) -> Where:
    stage = draft.stages[name]
    edges = _taken(name, stage) if stage is not None else iter(())
    return next((where for where, taken in edges if taken == source), ("stages", name))
