"""Session hosts: what becomes of good batches, bad input, and kinds that break the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millrace.engine.errors import BadInput, SessionLost, UsageError
from millrace.engine.hosts.devices import Device
from millrace.engine.sessions.host import Progressed, SessionHost, Started
from millrace.engine.stages import Failure, Result


def test_measuring_takes_no_lease_and_opens_no_session(bench: Any) -> None:
    outline = bench.host(open_fails=True).measure(bench.item("a", "12345"))

    assert outline.size == 5
    assert not (bench.folder / "leases").exists()


def test_a_child_that_measured_is_replaced_before_a_device_is_leased(bench: Any) -> None:
    host = bench.host()
    host.measure(bench.item("a"))
    measured = host.pid

    answers = bench.run(host, bench.batch("a"), bench.batch("b"))

    assert isinstance(answers["b"], Result)
    assert host.pid != measured


def test_bad_input_is_refused_and_the_next_file_is_measured_by_the_same_child(bench: Any) -> None:
    host = bench.host()

    with pytest.raises(BadInput) as refused:
        host.measure(bench.item("a", "!bad"))
    child = host.pid
    outline = host.measure(bench.item("b"))

    assert (refused.value.code, refused.value.hint) == ("rotten", "throw it away")
    assert outline.size == 5
    assert host.pid == child


def test_a_kind_that_crashes_on_a_file_is_named_in_one_line(bench: Any) -> None:
    with pytest.raises(SessionLost) as lost:
        bench.host().measure(bench.item("a", "!measure-crash"))

    assert lost.value.code == "crashed_kind"
    assert lost.value.message == "faults.bytes crashed on a: RuntimeError: boom and more"


def test_a_run_starts_reports_progress_and_gives_each_result(bench: Any) -> None:
    started: list[Device] = []
    host = bench.host(pause=0.06)
    host._on_start = started.append

    events = list(host.run([bench.batch("a", "x" * 500), bench.batch("b")], bench.folder / "out"))

    assert isinstance(events[0], Started)
    assert started == [events[0].device]
    assert [e.units for e in events if isinstance(e, Progressed) and e.key == "a"]
    assert [e.key for e in events if isinstance(e, Result)] == ["a", "b"]
    assert events[-1].path.read_text() == "hello"


def test_a_session_is_opened_once_for_many_calls(bench: Any) -> None:
    host = bench.host()

    bench.run(host, bench.batch("a"))
    second = list(host.run([bench.batch("b")], bench.folder / "out"))
    host.close()

    assert not any(isinstance(event, Started) for event in second)
    assert bench.log.count("session closed") == 1


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("bad-run", "rotten"),
        ("failure", "rotten"),
        ("crash", "crashed_kind"),
        ("exit", "crashed_kind"),
        ("silent", "no_result"),
        ("short", "damaged_output"),
        ("outside", "broken_kind"),
        ("link-out", "broken_kind"),
        ("hard-link", "broken_kind"),
        ("link-inside", "broken_kind"),
        ("not-there", "broken_kind"),
        ("tool-killed", "crashed_kind"),
    ],
)
def test_one_rotten_batch_is_one_failure_and_the_others_are_done(
    bench: Any, word: str, code: str
) -> None:
    batches = [bench.batch("a"), bench.batch("rotten", f"!{word}"), bench.batch("c")]

    answers = bench.run(bench.host(), *batches)

    assert answers["rotten"].code == code
    assert [answers[key].path.read_text() for key in ("a", "c")] == ["hello", "hello"]


def test_only_bad_input_is_remembered_as_the_inputs_fault(bench: Any) -> None:
    answers = bench.run(bench.host(), bench.batch("a", "!bad-run"), bench.batch("b", "!crash"))

    assert (answers["a"].fault, answers["b"].fault) == ("input", "stage")


def test_a_crash_gives_the_other_batches_a_fresh_session(bench: Any) -> None:
    host = bench.host()
    answers = bench.run(host, bench.batch("a", "!crash"), bench.batch("b"), bench.batch("c"))
    host.close()

    assert isinstance(answers["b"], Result)
    assert "Traceback" in bench.log
    assert bench.log.count("session closed") == 3


def test_a_full_disk_fails_what_is_left_and_is_named(bench: Any) -> None:
    batches = [bench.batch("a"), bench.batch("b", "!full"), bench.batch("c")]

    answers = bench.run(bench.host(), *batches)

    assert isinstance(answers["a"], Result)
    assert [answers[key].code for key in ("b", "c")] == ["disk_full", "disk_full"]
    assert "free some space" in answers["c"].hint


@pytest.mark.parametrize("word", ["other-key", "twice", "not-a-result"])
def test_a_kind_that_answers_what_was_not_asked_is_refused_by_name(bench: Any, word: str) -> None:
    events = bench.host().run(
        [bench.batch("a"), bench.batch("b", f"!{word}"), bench.batch("c")], bench.folder / "out"
    )
    finished = []

    with pytest.raises(SessionLost, match=r"faults\.bytes (answered|gave)") as lost:
        finished.extend(event.key for event in events if isinstance(event, Result))

    assert lost.value.code == "broken_kind"
    assert finished[0] == "a"
    assert "c" not in finished


def test_two_results_may_not_be_the_same_file(bench: Any) -> None:
    folder = bench.folder / "out"
    folder.mkdir()
    (folder / "x.txt").write_text("left by an earlier call")

    answers = bench.run(bench.host(), bench.batch("a", "!same"), bench.batch("b", "!same"))

    assert isinstance(answers["a"], Result)
    assert answers["b"].code == "broken_kind"


def test_a_missing_tool_fails_every_batch_with_what_to_install(bench: Any) -> None:
    answers = bench.run(bench.host(open_fails=True), bench.batch("a"), bench.batch("b"))

    assert {(a.code, a.hint) for a in answers.values()} == {("tool_missing", "apt-get install saw")}


def test_parameters_are_validated_again_in_the_child(bench: Any) -> None:
    with pytest.raises(UsageError, match=r"parameters of faults\.bytes are wrong"):
        bench.run(bench.host(cut="many"), bench.batch("a"))


def test_an_unknown_kind_is_a_usage_error_with_the_nearest_name(bench: Any) -> None:
    host = bench.host()
    host._setup = host._setup.model_copy(update={"kind": "faults.byte"})

    with pytest.raises(UsageError, match=r"did you mean faults\.bytes\?"):
        host.measure(bench.item("a"))


def test_parts_are_joined_into_one_result(bench: Any) -> None:
    host = bench.host()
    parts = [bench.run(host, bench.batch(name, name * 3))[name] for name in ("a", "b")]
    whole = bench.batch("whole", "aaabbb")

    events = list(host.join(whole, parts, bench.folder / "joined"))

    assert events[-1].path.read_text() == "aaabbb"
    assert events[-1].key == "whole"


def test_a_join_that_cannot_be_done_is_a_failure(bench: Any) -> None:
    whole = bench.batch("whole", "abc")
    lost = Result(key="a", path=bench.folder / "lost", media_type="", units=1)

    answers = list(bench.host().join(whole, [lost], bench.folder / "joined"))

    assert isinstance(answers[-1], Failure)
    assert answers[-1].code == "crashed_kind"


def test_a_host_that_is_closed_says_so(bench: Any) -> None:
    host: SessionHost = bench.host()
    with host:
        host.measure(bench.item("a"))

    with pytest.raises(SessionLost, match="closed"):
        host.measure(bench.item("a"))


def test_relative_folders_are_those_of_the_caller(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)

    events = list(bench.host().run([bench.batch("a")], Path("here")))

    assert events[-1].path == bench.folder / "here" / "a.txt"
