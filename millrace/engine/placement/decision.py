"""The decision: each piece to a pool and an offer, or what it waits for, or why it never can run.

Pure and deterministic: the same pieces, groups and pools in any order give the same answer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from millrace.engine.placement.case import Case
from millrace.engine.placement.division import divide
from millrace.engine.placement.model import Aim, Decision, Group, Offer, Piece, Snapshot
from millrace.engine.placement.rules import examine
from millrace.engine.placement.spot import room


def place(
    groups: Mapping[str, Group], pieces: Sequence[Piece], snapshot: Snapshot, aim: Aim
) -> Decision:
    """Returns where every piece goes now, and why nowhere else.

    `cheapest` meets the deadline at the least cost, `fastest` is done first within the budget.
    What only pools out of order may run waits for them; what the budget does not cover waits for
    money. Raises KeyError for a piece of a group that is not given.
    """
    return _with(groups, pieces, snapshot, aim, lambda _offer, _group: True)


def all_on_demand(
    groups: Mapping[str, Group], pieces: Sequence[Piece], snapshot: Snapshot, aim: Aim
) -> Decision:
    """Returns the decision if nothing were on spot and all that can be rented were on demand.

    A pool's own or reserved machines are asked only for groups that no on-demand offer may run.
    """
    rented = {
        pool.name
        for pool in snapshot.pools
        if any(offer.basis == "on_demand" for offer in pool.offers)
    }
    could = {
        key
        for key, group in groups.items()
        if any(p.name in rented and examine(group, p).fits for p in snapshot.pools)
    }

    def offered(offer: Offer, group: str) -> bool:
        return offer.basis == "on_demand" or (offer.basis != "spot" and group not in could)

    return _with(groups, pieces, snapshot, aim, offered)


def all_local(
    groups: Mapping[str, Group], pieces: Sequence[Piece], snapshot: Snapshot, aim: Aim
) -> Decision:
    """Returns the decision if there were only the pools on one's own premises."""
    here = tuple(pool for pool in snapshot.pools if pool.where == "local")
    return place(groups, pieces, dataclasses.replace(snapshot, pools=here), aim)


def _with(
    groups: Mapping[str, Group],
    pieces: Sequence[Piece],
    snapshot: Snapshot,
    aim: Aim,
    offered: Callable[[Offer, str], bool],
) -> Decision:
    case = Case.of(groups, pieces, snapshot, offered)
    problem = case.problem(room(case.restarted(), aim))
    return case.decision(problem, divide(problem, aim), aim)
