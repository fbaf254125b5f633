"""What a person is told of a run on the fleet that needs one, decided from its outcome."""

from __future__ import annotations

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
    troubles = [t for kind in kinds for t in tell(fleet.alerts, kind, run.id, counts)]
    if troubles:
        journal = Journal(run.journal, "alerts")
        for trouble in troubles:
            journal.write("note", text=trouble)
        journal.close()
