"""Whatever stands in a fleet file: a fleet without free machines, or its problems are told."""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace.engine.document import source_map, yaml_text
from millrace.engine.fleet.reading import read_fleet

TODAY = datetime.date(2026, 11, 24)
SHIPPED = Path(__file__).parents[3] / "deployments" / "pools.yaml"
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 3.5, 10**25, "", "x", "EUR", "2026-11-01", "home", "restricted",
    "s3://[bad", "s3://a:b@c/d", "http://[::1", "~nobody/x", "a\nb", [], [None], [1, "x", {}], {},
    {"x": None}, {"min": 1}, {"max": 2, "min": 9}, "\x00", "*", "[", "**", "../..", "file://",
    "file:///a", "2026-02-30",
]  # fmt: skip


def places(data: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in entries:
        yield (*where, key)
        if isinstance(value, dict | list):
            yield from places(value, (*where, key))


DATA = source_map.parse(SHIPPED.read_text(), "pools.yaml").data
CHANGES = st.tuples(st.sampled_from(list(places(DATA))), st.sampled_from([..., *ODD]))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(CHANGES, min_size=1, max_size=3))
def test_no_value_anywhere_is_a_crash_or_a_free_machine(tmp_path: Path, changes: list[Any]) -> None:
    data: Any = copy.deepcopy(DATA)
    for where, value in changes:
        change(data, where, value)
    path = tmp_path / "pools.yaml"
    path.write_text(yaml_text.dump(data))
    reading = read_fleet(path, TODAY)
    told = [str(one) for one in (*reading.report.problems, *reading.report.warnings)]
    assert all(re.match(rf"{re.escape(str(path))}:\d+:\d+: ", one) for one in told)
    assert (reading.fleet is None) == bool(reading.report.problems)
    if reading.fleet is not None:
        assert reading.fleet.workers
        assert all(o.price > 0 for name in reading.fleet.pools for o in reading.fleet.offers(name))


def change(data: Any, where: tuple[Any, ...], value: Any) -> None:
    """Puts a value at a place, or takes out what is there (for ...), where the place still is."""
    for step in where[:-1]:
        if not isinstance(data, dict | list) or (isinstance(data, list) and step >= len(data)):
            return
        data = data.get(step) if isinstance(data, dict) else data[step]
    if not isinstance(data, dict | list):
        return
    if value is ...:
        if isinstance(data, dict):
            data.pop(where[-1], None)
    elif isinstance(data, dict) or where[-1] < len(data):
        data[where[-1]] = value
