"""Batches, their keys, and how they are packed into assignments."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from millrace.engine.batches import Recipe, cut, join_key, pack
from millrace.engine.errors import DamagedOutput
from millrace.engine.stages import Span

SECONDS = some.lists(some.floats(min_value=0, max_value=5_000), max_size=60)
SLOTS = some.integers(min_value=1, max_value=40)
TARGET = some.floats(min_value=0.5, max_value=900)

RECIPE = Recipe(
    kind="faults.bytes",
    version=1,
    params={"cut": 1000, "nested": {"a": 1, "b": [1, 2]}},
    inputs={"": "aa" * 32, "mask": "bb" * 32},
    profile={"ffmpeg": "5.1.9", "model": "luma"},
    output_suffix=".mp4",
)
CHANGES: dict[str, dict[str, object]] = {
    "kind": {"kind": "faults.other"},
    "version": {"version": 2},
    "a parameter": {"params": {"cut": 1001, "nested": {"a": 1, "b": [1, 2]}}},
    "a nested parameter": {"params": {"cut": 1000, "nested": {"a": 1, "b": [2, 1]}}},
    "a parameter's type": {"params": {"cut": "1000", "nested": {"a": 1, "b": [1, 2]}}},
    "one parameter less": {"params": {"cut": 1000}},
    "the content": {"inputs": {"": "ab" * 32, "mask": "bb" * 32}},
    "roles exchanged": {"inputs": {"": "bb" * 32, "mask": "aa" * 32}},
    "a tool's version": {"profile": {"ffmpeg": "5.1.10", "model": "luma"}},
    "the output's suffix": {"output_suffix": ".mkv"},
}


@given(SECONDS, SLOTS, TARGET)
def test_packing_takes_each_batch_at_most_once_from_the_front_and_in_order(
    seconds: list[float], slots: int, target: float
) -> None:
    bins = pack(seconds, slots, target)
    taken = [index for one in bins for index in one]
    assert taken == list(range(len(taken)))
    assert len(taken) <= len(seconds)
    assert bool(taken) == bool(seconds)


@given(SECONDS, SLOTS, TARGET)
def test_packing_never_fills_more_slots_than_are_free_nor_hands_out_an_empty_assignment(
    seconds: list[float], slots: int, target: float
) -> None:
    bins = pack(seconds, slots, target)
    assert len(bins) <= slots
    assert all(bins)


@given(SECONDS, SLOTS, TARGET)
def test_no_assignment_is_longer_than_the_target_unless_it_is_one_long_batch(
    seconds: list[float], slots: int, target: float
) -> None:
    for one in pack(seconds, slots, target):
        assert len(one) == 1 or sum(seconds[i] for i in one) <= target + 1e-6


@given(SECONDS, SLOTS)
def test_nothing_waits_while_everything_fits_under_the_target(
    seconds: list[float], slots: int
) -> None:
    bins = pack(seconds, slots, target=sum(seconds) + 1)
    assert sum(len(one) for one in bins) == len(seconds)


@given(some.integers(min_value=1, max_value=200), SLOTS)
def test_equal_batches_are_spread_so_that_no_slot_has_more_than_its_fair_share_and_one(
    count: int, slots: int
) -> None:
    bins = pack([1.0] * count, slots)
    fair = -(-count // slots)
    assert max(len(one) for one in bins) <= fair + 1
    assert len(bins) >= min(count, slots) / 2


@given(SECONDS, SLOTS)
def test_repeated_rounds_of_packing_come_to_an_end_with_all_batches_done(
    seconds: list[float], slots: int
) -> None:
    left, rounds = list(seconds), 0
    while left:
        left = left[sum(len(one) for one in pack(left, slots)) :]
        rounds += 1
    assert rounds <= len(seconds)


def test_without_work_or_without_a_slot_nothing_is_packed() -> None:
    assert pack([], 4) == []
    assert pack([1.0], 0) == []


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_recipe_changes_every_key(change: str) -> None:
    spans = [Span(stop=5), Span(start=5, stop=9)]
    before = cut(RECIPE.digest, spans, 1.0)
    other = RECIPE.model_copy(update=CHANGES[change])
    after = cut(other.digest, spans, 1.0)
    keys = {share.key for share in (*before, *after)}
    assert len(keys) == 4
    assert join_key(RECIPE.digest, before) != join_key(other.digest, after)


@given(some.lists(some.integers(0, 10_000), min_size=2, max_size=30, unique=True))
def test_every_span_of_an_item_has_a_key_of_its_own_and_its_part_of_the_load(
    edges: list[int],
) -> None:
    spans = [Span(start=a, stop=b) for a, b in pairwise(sorted(edges))]
    shares = cut(RECIPE.digest, spans, load=12.5)
    assert len({share.key for share in shares}) == len(spans)
    assert [share.units for share in shares] == [span.units for span in spans]
    assert sum(share.load for share in shares) == pytest.approx(12.5)


def test_what_a_kind_notes_about_a_span_is_in_its_key() -> None:
    plain, noted = Span(stop=5), Span(stop=5, data={"keyframe": 3})
    assert cut("r", [plain], 1)[0].key != cut("r", [noted], 1)[0].key


def test_the_load_of_an_item_is_no_part_of_its_keys() -> None:
    spans = [Span(stop=5)]
    assert cut("r", spans, 1.0)[0].key == cut("r", spans, 99.0)[0].key


def test_keys_are_the_same_in_another_process_and_in_any_order_of_the_parameters() -> None:
    script = """
import json, sys
from millrace.engine.batches import Recipe, cut
from millrace.engine.stages import Span
data = json.load(sys.stdin)
recipe = Recipe.model_validate({k: data[k] for k in reversed(data)})
print(cut(recipe.digest, [Span(stop=5)], 1.0)[0].key)
"""
    data = RECIPE.model_dump(mode="json")
    for name in ("params", "inputs", "profile"):
        data[name] = dict(reversed(data[name].items()))
    there = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    assert there == cut(RECIPE.digest, [Span(stop=5)], 1.0)[0].key


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([], "no batches"),
        ([Span(stop=5), Span(start=4, stop=9)], "overlap"),
        ([Span(start=5, stop=9), Span(stop=5)], "overlap"),
        ([Span(stop=5), Span(stop=5)], "overlap"),
        ([Span(start=5, stop=4)], "before it starts"),
    ],
)
def test_spans_that_are_none_overlap_or_run_backwards_are_the_kinds_fault(
    spans: list[Span], words: str
) -> None:
    with pytest.raises(DamagedOutput, match=words):
        cut(RECIPE.digest, spans, 1.0)


def test_a_changed_recipe_says_in_words_what_has_changed() -> None:
    now = RECIPE.model_copy(
        update={
            "version": 2,
            "params": {"cut": 500, "new": True},
            "inputs": {"": "ff"},
            "profile": {"ffmpeg": "6.0", "model": "luma"},
            "output_suffix": ".mkv",
        }
    )
    assert now.changes(RECIPE) == [
        "the input has changed",
        "faults.bytes is at version 2, was 1",
        "cut: 1000 → 500",
        "nested: {'a': 1, 'b': [1, 2]} → None",
        "new: None → True",
        "ffmpeg: 5.1.9 → 6.0",
        "the output is a .mkv",
    ]
    assert RECIPE.changes(RECIPE) == []
