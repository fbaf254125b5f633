"""A batch takes a constant time and its load over a rate; both are told from the past robustly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.rates import fit

loads_seen = st.lists(st.floats(0.1, 1e4), min_size=5, max_size=80)
spread = loads_seen.filter(lambda loads: max(loads) > 2 * min(loads))


@given(spread, st.floats(0.01, 1e3), st.floats(0.01, 100))
def test_a_rate_and_an_overhead_are_found_again(
    loads: list[float], rate: float, overhead: float
) -> None:
    found, rest = fit(loads, [overhead + load / rate for load in loads])
    for load in (min(loads), max(loads)):
        assert rest + load / found == pytest.approx(overhead + load / rate, rel=1e-3)


@given(spread, st.data())
def test_one_batch_on_a_machine_that_slept_changes_little(
    loads: list[float], data: st.DataObject
) -> None:
    wide = [1.0, 100.0, 20.0, 5.0, 50.0, *loads]
    seconds = [3.0 + load / 10 for load in wide]
    slept = data.draw(st.integers(5, len(wide) - 1))
    seconds[slept] = 1e6
    rate, overhead = fit(wide, seconds)
    assert 0 <= overhead + 30 / rate < 100


@given(loads_seen, st.data())
def test_no_past_predicts_a_time_below_zero_or_never(
    loads: list[float], data: st.DataObject
) -> None:
    seconds = data.draw(st.lists(st.floats(1e-3, 1e5), min_size=len(loads), max_size=len(loads)))
    rate, overhead = fit(loads, seconds)
    assert rate > 0
    assert 0 <= overhead <= max(seconds)


def test_loads_that_do_not_differ_tell_no_overhead() -> None:
    assert fit([10.0] * 20, [2.0] * 20) == (5.0, 0.0)
    assert fit([10.0, 20.0], [2.0, 3.0])[1] == 0.0


def test_tiny_clips_do_not_make_a_film_slow() -> None:
    loads = [25.0, 50.0, 25.0, 30.0, 50.0, 40.0, 25.0, 60.0]
    rate, overhead = fit(loads, [1.7 + load / 200 for load in loads])
    assert overhead + 150_000 / rate == pytest.approx(751.7, rel=0.01)


def test_no_batches_tell_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        fit([], [])
