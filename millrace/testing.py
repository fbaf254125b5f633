"""The conformance kit: what Millrace demands of every stage kind, as one call in a test.

    from millrace.testing import conformance

    def test_my_kind_conforms(tmp_path):
        conformance("my.kind", {"level": 3}, good=[GOOD], bad=[TRUNCATED], tmp=tmp_path)

The kind runs in real session hosts, as in a pipeline. What it breaks is an AssertionError in one
sentence. A kind that passes can be cached, cut, cancelled and retried without a surprise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from pydantic import ValidationError

from millrace.engine.errors import BadInput, MillraceError, SessionLost
from millrace.engine.sessions.group import members
from millrace.engine.sessions.host import Limits, Started
from millrace.engine.sessions.rehearsal import Measured, Rehearsal, fingerprint
from millrace.engine.stages import Failure, Outline, Result, Span, Stage, Work, is_effect

__all__ = ["conformance"]

_LIMITS = Limits(wall_seconds=300, quiet_seconds=120)
_NOT_A_REASON = ("crashed_kind", "broken_kind", "no_result")


def conformance(
    kind: str | type[Stage],
    params: dict[str, Any],
    good: Sequence[Path],
    bad: Sequence[Path],
    tmp: Path,
    *,
    uncut: dict[str, Any] | None = None,
    same: Callable[[Path, Path], None] | None = None,
    output_suffix: str = "",
    limits: Limits = _LIMITS,
    outside: Callable[[], object] | None = None,
) -> None:
    """Raises AssertionError unless the kind keeps the contract of `millrace.engine.stages`.

    `kind` is a registered name or the class itself. `good` are inputs it must do, `bad` inputs it
    must refuse (a folder stands for a gathered item); both are copied, never touched. `tmp` is an
    empty folder. For a kind that cuts: `uncut` are parameters with which it does not, and `same` a
    function that raises when the joined file is not what the uncut one is. For a kind with an
    effect: `outside` returns a picture of what it writes to, which the second time must not change.
    """
    with Rehearsal.of(kind, params, tmp, limits, output_suffix) as bench, _sentences(bench.kind):
        _describes_itself(bench)
        inputs = [bench.staged(path) for path in good]
        before = fingerprint(bench.inputs)
        measured = [_is_measured(bench, item) for item in inputs]
        works = [_is_divided(bench, one) for one in measured]
        first = _is_done(bench, measured, works, "first")
        applied = _picture(bench, outside)
        second = _is_done(bench, measured, works, "second")
        if is_effect(bench.cls):
            _changes_nothing_more(bench, applied, outside)
        else:
            _is_deterministic(first, second)
        for number, one in enumerate(measured):
            _is_joined(bench, number, one, first, uncut, same)
        _refuses_damage(bench, measured, first)
        _ends_when_cancelled(bench, measured, works)
        if is_effect(bench.cls):
            _is_done(bench, measured, works, "after cancelling")
            _changes_nothing_more(bench, applied, outside)
        _must(fingerprint(bench.inputs) == before, f"{bench.kind} changed its input's folder")
        for path in bad:
            _refuses(bench, path, measured[0])


@contextmanager
def _sentences(kind: str) -> Iterator[None]:
    """Makes an AssertionError of what a session host raises on good input."""
    try:
        yield
    except MillraceError as error:
        raise AssertionError(f"{kind} failed on a good input: {error}") from error


def _describes_itself(bench: Rehearsal) -> None:
    cls, kind = bench.cls, bench.kind
    _must(cls.kind == kind, f"{kind} is registered under another name than its own, {cls.kind}")
    _must(cls.version >= 1 and bool(cls.unit), f"{kind} has no version or unit")
    _must(cls.prior > 0, f"{kind} has no prior speed")
    params = cls.Params.model_validate(bench.params)
    plain = json.loads(params.model_dump_json())
    _must(cls.Params.model_validate(plain) == params, f"{kind}'s parameters do not survive JSON")
    known = cls.Params.model_json_schema().get("properties", {})
    _must(set(plain) <= set(known), f"{kind}'s JSON Schema lacks some of its parameters")
    try:
        cls.Params.model_validate({**bench.params, "no_such_parameter": 1})
    except ValidationError:
        return
    _must(False, f"{kind} accepts a parameter that it does not have: set extra='forbid'")


def _is_measured(bench: Rehearsal, item: Any) -> Measured:
    with bench.host() as host:
        outline = host.measure(item)
        again = host.measure(item)
    _must(outline == again, f"{bench.kind} measured {item.name} twice and found two things")
    return Measured(item, bench.asked(outline))


def _is_divided(bench: Rehearsal, one: Measured) -> Work:
    """Looks at the pure functions: work, forecast, split, profile."""
    kind, name, stage = bench.kind, one.item.name, bench.stage()
    work, spans = stage.work(one.outline), list(stage.split(one.outline))
    _must(stage.work(one.outline) == work, f"{kind} sees two amounts of work in {name}")
    _must(isinstance(stage.forecast(one.outline), Outline), f"{kind} forecasts no Outline")
    _covers(spans, work.units, f"{kind} on {name}")
    with (
        mock.patch("os.cpu_count", return_value=77),
        mock.patch.dict("os.environ", CUDA_VISIBLE_DEVICES="7"),
    ):
        elsewhere = list(bench.stage().split(one.outline))
    _must(elsewhere == spans, f"{kind} cuts {name} otherwise on another machine")
    profile = dict(stage.profile(bench.device))
    _must(
        profile == dict(bench.stage().profile(bench.device))
        and all(isinstance(text, str) for pair in profile.items() for text in pair),
        f"{kind}'s profile is not the same texts each time",
    )
    return work


def _covers(spans: Sequence[Span], units: float, what: str) -> None:
    edges = [0.0, *(span.stop for span in spans)]
    starts = [span.start for span in spans]
    _must(starts == edges[:-1], f"{what}: the spans leave units out or have them twice")
    _must(math.isclose(edges[-1], units, abs_tol=1e-6), f"{what}: the spans do not end at {units}")
    _must(units == 0 or all(span.units > 0 for span in spans), f"{what}: a span is empty")


def _is_done(
    bench: Rehearsal, measured: Sequence[Measured], works: Sequence[Work], name: str
) -> dict[str, Result]:
    """Returns every result, having run all batches in one session."""
    batches = [b for number, one in enumerate(measured) for b in bench.batches(number, one)]
    with bench.host(works) as host:
        answers = list(host.run(batches, bench.tmp / name))
        host.close()
    results = {answer.key: answer for answer in answers if isinstance(answer, Result)}
    for answer in answers:
        _must(not isinstance(answer, Failure), f"{bench.kind} failed on a good input: {answer}")
    for batch in batches:
        result = results[batch.key]
        _must(
            math.isclose(result.units, batch.span.units, abs_tol=1e-6),
            f"{bench.kind} says it did {result.units:g} units of {batch.span.units:g}",
        )
    left = {path.name for path in bench.tmp.iterdir()} - bench.known - {name}
    _must(not left, f"{bench.kind} left files outside its folders: {sorted(left)}")
    bench.known.add(name)
    return results


def _picture(bench: Rehearsal, outside: Callable[[], object] | None) -> object:
    effect = is_effect(bench.cls)
    _must(effect == (outside is not None), f"{bench.kind}: an effect, and only one, has an outside")
    return outside() if outside else None


def _changes_nothing_more(
    bench: Rehearsal, applied: object, outside: Callable[[], object] | None
) -> None:
    _must(
        outside is None or outside() == applied,
        f"{bench.kind} applied again changed what it had written",
    )


def _is_deterministic(first: dict[str, Result], second: dict[str, Result]) -> None:
    for key, result in first.items():
        again = second[key]
        _must(
            fingerprint(result.path, times=False) == fingerprint(again.path, times=False),
            f"the same batch gave other bytes the second time: {result.path.name}; "
            "what changes them belongs into `profile`",
        )
        _must(result.facts == again.facts, f"the same batch gave other facts: {result.path.name}")


def _is_joined(
    bench: Rehearsal,
    number: int,
    one: Measured,
    results: dict[str, Result],
    uncut: dict[str, Any] | None,
    same: Callable[[Path, Path], None] | None,
) -> None:
    parts = [results[batch.key] for batch in bench.batches(number, one)]
    if len(parts) == 1:
        return
    whole = bench.whole(number, one)
    with bench.host() as host:
        joined = _only(bench.kind, list(host.join(whole, parts, bench.tmp / f"joined-{number}")))
    bench.known.add(f"joined-{number}")
    if uncut is None:
        return
    whole = bench.whole(number, one, uncut)
    with bench.host(params=uncut) as host:
        plain = _only(bench.kind, list(host.run([whole], bench.tmp / f"uncut-{number}")))
    bench.known.add(f"uncut-{number}")
    _must(
        (joined.units, joined.media_type) == (plain.units, plain.media_type),
        f"{bench.kind}: cut and joined, {one.item.name} is not what it is uncut",
    )
    if same is not None:
        same(joined.path, plain.path)


def _refuses_damage(
    bench: Rehearsal, measured: Sequence[Measured], results: dict[str, Result]
) -> None:
    batch = bench.batches(0, measured[0])[0]
    result = results[batch.key]
    empty = bench.tmp / f"emptied{result.path.suffix}"
    empty.touch()
    bench.known.add(empty.name)
    try:
        bench.stage().check(batch, result.model_copy(update={"path": empty}))
    except Exception:  # noqa: BLE001  any exception refuses it
        return
    _must(False, f"{bench.kind}'s check accepts an empty file as a result")


def _ends_when_cancelled(
    bench: Rehearsal, measured: Sequence[Measured], works: Sequence[Work]
) -> None:
    batches = [b for number, one in enumerate(measured) for b in bench.batches(number, one)]
    bench.known.add("cancelled")
    with bench.host(works) as host:
        events = host.run(batches, bench.tmp / "cancelled")
        try:
            for event in events:
                if isinstance(event, Started):
                    host.cancel()
        except SessionLost as lost:
            _must(lost.code == "cancelled", f"{bench.kind}, cancelled, ended as {lost.code}")
        group = host.pid
    _must(group is not None and not members(group), f"{bench.kind}, cancelled, left a process")
    left = {path.name for path in bench.tmp.iterdir()} - bench.known
    _must(not left, f"{bench.kind}, cancelled, left files outside its folders: {sorted(left)}")


def _refuses(bench: Rehearsal, path: Path, good: Measured) -> None:
    """Measures and runs a bad input next to a good one."""
    kind, item, sentence = bench.kind, bench.staged(path), f"on the bad input {path.name}"
    outline = good.outline
    with bench.host() as host:
        try:
            outline = host.measure(item)
            bench.stage().work(outline)
        except BadInput:
            outline = good.outline  # as if it had become bad after it was measured
        except SessionLost as lost:
            _must(False, f"{kind} did not refuse but broke ({lost.code}) {sentence}: {lost}")
    batches = [*bench.batches(8, Measured(item, bench.asked(outline))), *bench.batches(9, good)]
    name = f"bad-{len(bench.known)}"
    bench.known.add(name)
    with bench.host() as host:
        try:
            answers = [
                answer
                for answer in host.run(batches, bench.tmp / name)
                if isinstance(answer, Result | Failure)
            ]
        except SessionLost as lost:
            _must(False, f"{kind} lost its session ({lost.code}) {sentence}: {lost}")
    failures = [answer for answer in answers if isinstance(answer, Failure)]
    _must(bool(failures), f"{kind} gave nothing but results {sentence}")
    for failure in failures:
        _must(failure.key.startswith("8-"), f"{kind} failed on a good input beside: {failure}")
        _must(failure.code not in _NOT_A_REASON, f"{kind} crashed {sentence}: {failure.message}")


def _only(kind: str, events: Sequence[object]) -> Result:
    last = events[-1]
    if not isinstance(last, Result):
        raise AssertionError(f"{kind} failed where it must not: {last}")
    return last


def _must(condition: bool, sentence: str) -> None:
    if not condition:
        raise AssertionError(sentence)
