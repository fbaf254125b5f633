"""The worker's side: an assignment becomes a run of this host, as if it had been planned here.

    run = take(run_id, assignment_id, settings)
    with Courier(run, assignment_id, settings):
        execute(run, assignment_id, settings)

A host that shares the conductor's store has nothing to fetch and nothing to ship. Elsewhere the run
lies in this host's own store for as long as the assignment lasts, and nothing of it stays but
inputs in the cache, and those only while they are not restricted.
"""

from __future__ import annotations

import errno

from pydantic import ValidationError

from millrace.engine.assignments import Assignment
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.exchange import parcels
from millrace.engine.exchange.couriers import Courier
from millrace.engine.exchange.parcels import Parcel
from millrace.engine.exchange.places import Place
from millrace.engine.exchange.quarters import held, leave, sweep
from millrace.engine.exchange.unpacking import unpack
from millrace.engine.fitness import admit
from millrace.engine.runs import Run, Runs
from millrace.engine.settings import Settings

__all__ = ["Courier", "take"]


def take(run_id: str, assignment_id: str, settings: Settings) -> Run:
    """Returns the run of an assignment, ready to be executed on this host.

    Raises UsageError for ids that are none or name nothing; NotPermitted, before a byte of input is
    fetched, for data above this host's own clearance; StoreError when the store stays out of reach
    or this host's disk is full. Inputs that arrive damaged are in the journal as `lost`.
    """
    parcels.check_ids(run_id, assignment_id)
    if not settings.exchange:
        run = Runs(settings).get(run_id)
        admit(_shared(run, assignment_id), settings)
        return run
    sweep(settings)
    place = Place.open(settings.exchange)
    parcel = _parcel(place, run_id, assignment_id)
    admit(parcel.assignment, settings)
    run = Run(run_id, settings.store / "runs" / run_id)
    if (run.folder / "order.json").exists():
        raise UsageError(
            f"{settings.home} is the conductor's own home",
            hint="unset MILLRACE_EXCHANGE here, or give the worker a MILLRACE_HOME of its own",
        )
    try:
        with held(run, assignment_id):
            try:
                unpack(run, parcel, place, settings)
            except BaseException:
                leave(run, assignment_id, settings)
                raise
    except OSError as error:
        what = "is full" if error.errno == errno.ENOSPC else f"fails: {error.strerror or error}"
        raise StoreError(
            f"the disk of this worker {what}", hint=f"make room where {settings.home} lies"
        ) from error
    return run


def _shared(run: Run, assignment: str) -> Assignment:
    try:
        return Assignment.read(run.assignments, assignment)
    except (OSError, ValidationError) as error:
        raise UsageError(f"there is no assignment {assignment} in run {run.id}") from error


def _parcel(place: Place, run: str, assignment: str) -> Parcel:
    data = place.get(parcels.parcel_name(run, assignment), limit=parcels.PARCEL_LIMIT)
    if data is None:
        raise UsageError(f"there is no parcel {run}/{assignment} in the store {place.url}")
    try:
        parcel = Parcel.model_validate_json(data)
    except ValidationError:
        raise UsageError(
            f"the parcel {run}/{assignment} cannot be read",
            hint="it may come from another version of Millrace",
        ) from None
    if (parcel.run, parcel.assignment.id) != (run, assignment):
        raise UsageError(f"the parcel {run}/{assignment} is another's")
    return parcel
