"""What a run wants of its placement: its goal, as seconds and money left from now. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from millrace.engine.journal import Record
from millrace.engine.pipeline import Pipeline
from millrace.engine.placement.model import Aim


def begun(records: Iterable[Record]) -> float | None:
    """Returns when a run began, by the clock of its first conductor; None before it has one."""
    return next((record.at for record in records if record.event == "started"), None)


def deadline(pipeline: Pipeline, started: float) -> float | None:
    """Returns when a run that started then is to be done, in seconds since the epoch.

    A time of day is the next one after the start, in the time zone of the pipeline's schedule.
    """
    goal = pipeline.goal
    if goal is None:
        return None
    if goal.within is not None:
        return started + goal.within.total_seconds()
    if goal.by is None:
        return None
    zone = ZoneInfo(pipeline.schedule.timezone) if pipeline.schedule else None
    begun = datetime.fromtimestamp(started, zone) if zone else datetime.fromtimestamp(started)
    if isinstance(goal.by, datetime):
        moment = goal.by if goal.by.tzinfo else goal.by.replace(tzinfo=zone)
        return moment.timestamp()
    moment = datetime.combine(begun.date(), goal.by, tzinfo=zone)
    if moment <= begun:
        moment = datetime.combine(begun.date() + timedelta(days=1), goal.by, tzinfo=zone)
    return moment.timestamp()


def aim(pipeline: Pipeline, started: float, now: float, money: float | None) -> Aim:
    """Returns the aim at the moment `now` of a run that has `money` left (None: no limit)."""
    end = deadline(pipeline, started)
    prefer = pipeline.goal.prefer if pipeline.goal else "cheapest"
    return Aim(prefer, None if end is None else end - now, money)
