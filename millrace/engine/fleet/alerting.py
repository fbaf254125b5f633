"""What a person is told of a run on the fleet that needs one, decided from its outcome."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from millrace.engine.fleet.aims import begun, deadline
from millrace.engine.fleet.resolved import Fleet
from millrace.engine.journal import Journal
from millrace.engine.outcome import Outcome
from millrace.engine.recording.alerts import Kind, tell
from millrace.engine.runs import Order, Run


def alert(fleet: Fleet, run: Run, order: Order, outcome: Outcome) -> None:
    """Tells whoever the fleet names of a run that failed, was late or ran out of money.

    Only counts are told. A message that does not get through is noted in the journal.
    """
    records = run.records()
    started, ends = begun(records), [record.at for record in records if record.event == "ended"]
    due = None if started is None else deadline(order.pipeline, started)
    kinds: list[Kind] = []
    if outcome.interrupted:
        return
    if outcome.state in ("failed", "partial"):
        kinds.append(outcome.state)
    if due is not None and ends and ends[-1] > due:
        kinds.append("late")
    if any(failure.code == "budget" for failure in outcome.failures):
        kinds.append("over_budget")
    counts = {str(word): float(n) for word, n in outcome.items.items()}
    counts["seconds"] = outcome.seconds
    for kind in kinds:
        _tell(fleet, run, kind, counts)


def warn_late(fleet: Fleet, run: Run) -> None:
    """Tells, as soon as it is foreseen or true, that a run misses its deadline. Returns at once."""
    counts = {"late": 1.0}
    threading.Thread(target=_tell, args=(fleet, run, "late", counts), daemon=True).start()


def _tell(fleet: Fleet, run: Run, kind: Kind, counts: Mapping[str, float]) -> None:
    """Tells it, unless it was told before, by an earlier conductor perhaps."""
    if any(one.event == "alerted" and one.data["kind"] == kind for one in run.records()):
        return
    journal = Journal(run.journal, f"alerts-{kind}")
    journal.write("alerted", kind=kind)
    for trouble in tell(fleet.alerts, kind, run.id, counts):
        journal.write("note", text=trouble)
    journal.close()
