"""What a run does with good items, rotten items, and items it has seen before."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from millrace.engine.errors import DocumentError, NotPermitted
from millrace.engine.hosts.devices import inventory
from tests.engine.runs.conftest import PIPELINE, Workshop

CHAIN = PIPELINE.replace(
    "outputs:", "  two: {uses: faults.bytes, each: one, with: {cut: 100000}}\noutputs:"
).replace("from: one", "from: two")


def test_every_file_comes_out_as_it_went_in_cut_into_batches_and_joined(shop: Workshop) -> None:
    content = bytes(range(256)) * 20
    shop.file("a.txt", content)
    shop.file("b.txt", b"short")

    outcome = shop.run(CHAIN)

    assert outcome.state == "succeeded"
    assert outcome.items == {"done": 2, "reused": 0, "failed": 0}
    assert shop.out() == {"a.txt": content, "b.txt": b"short"}
    cuts = {(e["stage"], e["item"]): e["batches"] for e in shop.events("cut")}
    assert cuts == {
        ("one", "a.txt"): 6,
        ("one", "b.txt"): 1,
        ("two", "a.txt"): 1,
        ("two", "b.txt"): 1,
    }


def test_a_second_run_reuses_everything_and_starts_no_session(shop: Workshop) -> None:
    shop.file("a.txt")
    shop.run(CHAIN)
    again = shop.run(CHAIN)
    assert again.items == {"done": 0, "reused": 1, "failed": 0}
    assert not shop.events("assigned")
    assert [e["status"] for e in shop.events("delivered")] == ["unchanged"]


def test_each_rotten_file_fails_alone_with_its_reason_and_the_rest_is_done(shop: Workshop) -> None:
    for name, content in {
        "good.txt": "fine",
        "bad.txt": "!bad",
        "crash.txt": "!crash",
        "empty.txt": "",
    }.items():
        shop.file(name, content)
    (shop.folder / "in" / "folder.txt").mkdir()
    (shop.folder / "in" / "nowhere.txt").symlink_to("not-there")

    outcome = shop.run()

    assert outcome.state == "partial"
    assert outcome.items == {"done": 1, "reused": 0, "failed": 5}
    codes = {f.item: f.code for f in outcome.failures}
    assert codes == {
        "bad.txt": "rotten",
        "crash.txt": "crashed_kind",
        "empty.txt": "empty",
        "folder.txt": "is_folder",
        "nowhere.txt": "missing",
    }
    assert all(f.item in f.reason for f in outcome.failures)
    assert shop.out() == {"good.txt": b"fine"}


def test_a_batch_that_kills_its_session_twice_fails_and_takes_no_other_with_it(
    shop: Workshop,
) -> None:
    for n in range(4):
        shop.file(f"good{n}.txt", f"fine {n}")
    shop.file("killer.txt", "!kill-self")

    outcome = shop.run()

    assert outcome.items == {"done": 4, "reused": 0, "failed": 1}
    assert [(f.item, f.code) for f in outcome.failures] == [("killer.txt", "crashed")]
    assert len(shop.events("lost")) >= 2


def test_names_with_spaces_quotes_newlines_emoji_and_no_utf8_come_out_under_their_own_names(
    shop: Workshop,
) -> None:
    names = [
        "a b.txt",
        'it\'s "q".txt',
        "new\nline.txt",
        "😀.txt",
        "-rf.txt",
        "{x}.txt",
        "$(y).txt",
    ]
    for name in names:
        shop.file(name, name)
    raw = Path(str(shop.folder / "in")) / b"caf\xe9.txt".decode("utf-8", "surrogateescape")
    raw.write_text("latin")

    outcome = shop.run()

    assert outcome.state == "succeeded", outcome.failures
    expected = {n.replace("\n", "%0A"): n.encode() for n in names}
    assert shop.out() == expected | {"caf\udce9.txt": b"latin"}


def test_a_failure_of_the_input_itself_is_remembered_until_it_changes_or_is_asked_for(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "!bad-run")
    first = shop.run()
    assert [f.code for f in first.failures] == ["rotten"]
    second = shop.run()
    assert [f.code for f in second.failures] == ["rotten"]
    assert [e["known"] for e in shop.events("failed")] == [True]
    assert not shop.events("assigned")
    shop.run(retry=True)
    assert shop.events("assigned")
    shop.file("a.txt", "mended")
    assert shop.run().state == "succeeded"


def test_changed_parameters_run_again_and_say_what_changed(shop: Workshop) -> None:
    shop.file("a.txt", b"x" * 5000)
    shop.run()
    shop.run(PIPELINE.replace("each: files", "each: files, with: {cut: 2000}"))
    assert [e["why"] for e in shop.events("cut")] == ["cut: 1000 → 2000"]
    shop.file("a.txt", b"y" * 5000)
    shop.run(PIPELINE.replace("each: files", "each: files, with: {cut: 2000}"))
    assert [e["why"] for e in shop.events("cut")] == ["the input has changed"]


def test_forcing_a_stage_runs_it_though_its_result_is_stored(shop: Workshop) -> None:
    shop.file("a.txt")
    shop.run()
    outcome = shop.run(force=("one",))
    assert outcome.items["done"] == 1
    assert [e["why"] for e in shop.events("cut")] == ["forced"]


def test_a_limit_takes_the_first_items_in_natural_order(shop: Workshop) -> None:
    for n in (10, 9, 2, 1):
        shop.file(f"f{n}.txt", f"file {n}")
    shop.run(limit=3)
    assert sorted(shop.out()) == ["f1.txt", "f2.txt", "f9.txt"]


def test_only_stops_at_a_stage_and_delivers_nothing_further_down(shop: Workshop) -> None:
    shop.file("a.txt")
    outcome = shop.run(CHAIN, only="one")
    assert outcome.items["done"] == 1
    assert {e["stage"] for e in shop.events("finished")} == {"one"}
    assert shop.folder.joinpath("out").exists() is False


def test_outputs_among_the_inputs_of_the_next_run_are_not_taken_for_new_ones(
    shop: Workshop,
) -> None:
    text = PIPELINE.replace("out/{source.path}.txt", "in/{source.path}-copy.txt")
    shop.file("a.txt", "one")
    shop.run(text)
    assert (shop.folder / "in" / "a-copy.txt").read_text() == "one"
    outcome = shop.run(text)
    assert outcome.items == {"done": 0, "reused": 1, "failed": 0}


def test_a_result_never_takes_the_place_of_its_own_input(shop: Workshop) -> None:
    shop.file("a.txt", "mine")
    with pytest.raises(DocumentError, match="its own input"):
        shop.run(PIPELINE.replace("out/", "in/"), overwrite=True)
    assert (shop.folder / "in" / "a.txt").read_text() == "mine"


def test_two_items_that_would_get_one_name_are_an_error_before_any_work(shop: Workshop) -> None:
    shop.file("a.txt")
    shop.file("a.md")
    with pytest.raises(DocumentError) as raised:
        shop.run(PIPELINE.replace("in/*.txt", "in/*"))
    assert "written twice" in raised.value.message
    assert "a.md and a.txt" in raised.value.problems[0]
    assert not shop.events("assigned")


def test_a_strangers_file_under_an_outputs_name_is_not_overwritten_unless_told(
    shop: Workshop,
) -> None:
    shop.file("a.txt", "new")
    (shop.folder / "out").mkdir()
    (shop.folder / "out" / "a.txt").write_text("precious")
    outcome = shop.run()
    assert [f.code for f in outcome.failures] == ["exists"]
    assert (shop.folder / "out" / "a.txt").read_text() == "precious"
    assert shop.run(overwrite=True).state == "succeeded"
    assert (shop.folder / "out" / "a.txt").read_text() == "new"


def test_our_own_untouched_output_is_replaced_when_the_input_changes(shop: Workshop) -> None:
    shop.file("a.txt", "one")
    shop.run()
    shop.file("a.txt", "two")
    assert shop.run().state == "succeeded"
    assert shop.out() == {"a.txt": b"two"}


def test_a_stored_result_that_was_damaged_is_made_anew(shop: Workshop) -> None:
    shop.file("a.txt", "content")
    shop.run()
    (shop.folder / "out" / "a.txt").unlink()
    stored = list(Path(shop.runs[-1].folder).parents[1].glob("objects/*/*"))
    for path in stored:
        path.chmod(0o600)
        path.write_text("CONTENT")
    outcome = shop.run()
    assert outcome.items["done"] == 1
    assert [e["why"] for e in shop.events("cut")] == ["its stored result is missing or damaged"]
    assert shop.out() == {"a.txt": b"content"}


def test_a_file_that_changes_while_it_is_worked_on_fails_and_is_not_stored(shop: Workshop) -> None:
    path = shop.file("a.txt", "!slow\n" + "x" * 3000)

    def change(step: str) -> None:
        if step == "object-synced":
            time.sleep(0.01)
            path.write_text("!slow\n" + "y" * 3000)

    outcome = shop.run(on_step=change)
    assert [f.code for f in outcome.failures] == ["changed"]
    assert not shop.out() if (shop.folder / "out").exists() else True


@pytest.mark.slow
def test_a_stop_request_ends_the_run_within_five_seconds_and_the_next_run_continues(
    shop: Workshop,
) -> None:
    for n in range(6):
        shop.file(f"f{n}.txt", bytes([65 + n]) * 4000)
    slow = PIPELINE.replace("each: files", "each: files, with: {pause: 0.1}")
    asked: list[float] = []

    def stop(step: str) -> None:
        if step == "committed" and not asked:
            asked.append(time.monotonic())
            shop.runs[-1].request_stop("a test")

    outcome = shop.run(slow, on_step=stop)
    assert time.monotonic() - asked[0] < 5
    assert outcome.interrupted
    assert outcome.exit_code == 130
    assert not (shop.runs[-1].scratch).exists()

    finished = {e["key"] for e in shop.events("done")}
    assert shop.run(slow).state == "succeeded"
    assert finished <= {e["key"] for e in shop.events("reused")}
    assert len(shop.out()) == 6


def test_files_of_different_sizes_that_are_ready_together_share_a_session(shop: Workshop) -> None:
    text = PIPELINE.replace("each: files", "each: files, with: {memory: 1000000000}")
    for n in range(3):
        shop.file(f"f{n}.txt", b"x" * (100 + n))
    one_core = inventory().model_copy(update={"cores": 1})
    assert shop.run(text, host=one_core).state == "succeeded"
    assert sum(e["keys"] for e in shop.events("assigned")) == 3
    assert len(shop.events("assigned")) < 3


def test_a_host_reads_nothing_above_its_own_clearance(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.file("a.txt")
    monkeypatch.setenv("MILLRACE_CLEARANCE", "public")
    for refused in (shop.run, shop.plan):
        with pytest.raises(NotPermitted, match="internal"):
            refused()
    assert not shop.events("measured")
    assert shop.run(PIPELINE.replace("internal", "public")).state == "succeeded"


def test_a_stage_that_asks_for_a_person_waits_until_somebody_approves(shop: Workshop) -> None:
    shop.file("a.txt")
    text = PIPELINE.replace("each: files}", "each: files, approve: true}")
    seen: list[bool] = []

    def approve() -> None:
        while not shop.runs or not shop.events("awaiting"):
            time.sleep(0.05)
        seen.append((shop.folder / "out").exists() or bool(shop.events("assigned")))
        shop.runs[-1].approve("one", "a person")

    person = threading.Thread(target=approve)
    person.start()
    outcome = shop.run(text)
    person.join()

    assert outcome.state == "succeeded"
    assert seen == [False]
    assert [e["who"] for e in shop.events("approved")] == ["a person"]
