"""Linear and integer programs, solved by HiGHS (MIT), the same way every time.

One thread, one seed, and limits of work instead of wall-clock time: a busy machine gets the same
answer as an idle one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highspy import HighsLp

_NODES = 1000
_STALLED = 300
_ITERATIONS = 200_000
_GAP = 0.002


@dataclass
class Program:
    """Minimise cost × x with rows of `low <= a × x <= high` and 0 <= x <= upper."""

    costs: list[float] = field(default_factory=list)
    uppers: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    rows: list[dict[int, float]] = field(default_factory=list)

    def column(self, cost: float = 0.0, upper: float = math.inf, whole: bool = False) -> int:
        """Adds a variable and returns its index."""
        self.costs.append(cost)
        self.uppers.append(upper)
        self.whole.append(whole)
        return len(self.costs) - 1

    def row(
        self, terms: Mapping[int, float], low: float = -math.inf, high: float = math.inf
    ) -> None:
        """Adds a row; one without terms says nothing."""
        if terms:
            self.rows.append(dict(terms))
            self.lows.append(low)
            self.highs.append(high)


def solve(program: Program) -> list[float] | None:
    """Returns the best values found for the variables, None where there are none."""
    # highspy.Highs prints a banner the moment it is made; what it wraps does not.
    from highspy._core import _Highs

    solver = _Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("parallel", "off")
    solver.setOptionValue("random_seed", 1)
    solver.setOptionValue("simplex_iteration_limit", _ITERATIONS)
    solver.setOptionValue("mip_max_nodes", _NODES)
    solver.setOptionValue("mip_max_stall_nodes", _STALLED)
    solver.setOptionValue("mip_rel_gap", _GAP)
    solver.passModel(_model(program))
    solver.run()
    _, feasible = solver.getInfoValue("primal_solution_status")
    if feasible != 2:  # kSolutionStatusFeasible
        return None
    return list(solver.getSolution().col_value)


def _model(program: Program) -> HighsLp:
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(program.costs), len(program.rows)
    model.col_cost_ = program.costs
    model.col_lower_ = [0.0] * len(program.costs)
    model.col_upper_ = program.uppers
    model.row_lower_, model.row_upper_ = program.lows, program.highs
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    starts: list[int] = [0]
    indices: list[int] = []
    values: list[float] = []
    for row in program.rows:
        indices += row.keys()
        values += row.values()
        starts.append(len(indices))
    model.a_matrix_.start_, model.a_matrix_.index_ = starts, indices
    model.a_matrix_.value_ = values
    if any(program.whole):
        kinds = highspy.HighsVarType
        model.integrality_ = [
            kinds.kInteger if whole else kinds.kContinuous for whole in program.whole
        ]
    return model
