"""Dividing few jobs exactly, by integer programming over every slot.

y[k,l,s] counts the jobs of kind k in slot s of the pool of lane l. Jobs that are alike are counted,
not named, and the slots of a pool are filled in order: both keep the search small.
"""

from __future__ import annotations

import math
from collections import defaultdict

from millrace.engine.placement.board import EASE, Board
from millrace.engine.placement.fluid import Kind
from millrace.engine.placement.problem import Problem
from millrace.engine.placement.solver import Program, solve

MOST_COLUMNS = 160
_Column = tuple[int, int, int]  # kind, lane, slot


def small(problem: Problem, classes: tuple[Kind, ...]) -> bool:
    """True where the exact program is small enough to be asked."""
    columns = sum(
        problem.slots[problem.lanes[lane].pool] for kind in classes for lane in kind.takes
    )
    return columns <= MOST_COLUMNS


def least_cost(
    problem: Problem, classes: tuple[Kind, ...], horizon: float, budget: float = math.inf
) -> Board | None:
    """Returns the division of the least cost by the horizon; None where there is none."""
    program = Program()
    columns = _columns(program, problem, classes, cost=True)
    for (pool, _), terms in _slots(problem, classes, columns, spot=False).items():
        program.row(terms, high=max(0.0, horizon - problem.delays[pool]))
    _in_order(program, problem, classes, columns)
    _budget(program, classes, columns, budget)
    return _board(problem, classes, columns, solve(program))


def least_end(
    problem: Problem, classes: tuple[Kind, ...], budget: float, bound: float
) -> Board | None:
    """Returns the division that ends first within the budget; one that ends by `bound` exists."""
    program = Program()
    columns = _columns(program, problem, classes, cost=False)
    end = program.column(1.0, upper=bound * (1 + EASE))
    for (pool, _), terms in _slots(problem, classes, columns, spot=False).items():
        delay = problem.delays[pool]
        if delay <= 0:
            program.row({**terms, end: -1.0}, high=0.0)
            continue
        # A slot that is used ends after its delay; one that is not says nothing of the end.
        used = program.column(0.0, upper=1.0, whole=True)
        program.row({**terms, used: -max(0.0, bound * (1 + EASE) - delay)}, high=0.0)
        program.row({**terms, used: delay, end: -1.0}, high=0.0)
    _in_order(program, problem, classes, columns)
    _budget(program, classes, columns, budget)
    return _board(problem, classes, columns, solve(program))


def _columns(
    program: Program, problem: Problem, classes: tuple[Kind, ...], cost: bool
) -> dict[_Column, int]:
    columns: dict[_Column, int] = {}
    for index, kind in enumerate(classes):
        count = len(kind.jobs)
        terms = {}
        for lane, (_, price) in kind.takes.items():
            for slot in range(problem.slots[problem.lanes[lane].pool]):
                column = program.column(price / count if cost else 0.0, float(count), whole=True)
                columns[index, lane, slot] = column
                terms[column] = 1.0
        program.row(terms, low=count, high=count)
    if math.isfinite(problem.closes):
        for (pool, _), terms in _slots(problem, classes, columns, spot=True).items():
            program.row(terms, high=max(0.0, problem.closes - problem.delays[pool]))
    return columns


def _slots(
    problem: Problem, classes: tuple[Kind, ...], columns: dict[_Column, int], spot: bool
) -> dict[tuple[int, int], dict[int, float]]:
    terms: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
    for (index, lane, slot), column in columns.items():
        kind, known = classes[index], problem.lanes[lane]
        if not spot or (known.spot and kind.bound):
            terms[known.pool, slot][column] = kind.takes[lane][0] / len(kind.jobs)
    return terms


def _in_order(
    program: Program, problem: Problem, classes: tuple[Kind, ...], columns: dict[_Column, int]
) -> None:
    """Fills the first slot of a pool most, so that no two divisions differ by a slot's number."""
    loads = _slots(problem, classes, columns, spot=False)
    for (pool, slot), terms in loads.items():
        if slot and (pool, slot - 1) in loads:
            before = loads[pool, slot - 1]
            program.row({**terms, **{column: -value for column, value in before.items()}}, high=0.0)


def _budget(
    program: Program, classes: tuple[Kind, ...], columns: dict[_Column, int], budget: float
) -> None:
    if math.isfinite(budget):
        program.row(
            {
                column: classes[index].takes[lane][1] / len(classes[index].jobs)
                for (index, lane, _), column in columns.items()
            },
            high=budget,
        )


def _board(
    problem: Problem,
    classes: tuple[Kind, ...],
    columns: dict[_Column, int],
    found: list[float] | None,
) -> Board | None:
    if found is None:
        return None
    board = Board(problem)
    left = [list(kind.jobs) for kind in classes]
    for (index, lane, slot), column in columns.items():
        for _ in range(min(round(found[column]), len(left[index]))):
            board.put(left[index].pop(), lane, slot)
    return None if any(left) else board
