"""Results from lower trust are hostile: whatever comes, a run goes on and keeps nothing false."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.engine.assignments import Assignment
from millrace.engine.exchange import customs
from millrace.engine.exchange.depot import Depot
from millrace.engine.exchange.parcels import (
    result_name,
    result_object_name,
    segment_name,
)
from millrace.engine.runs import Run
from millrace.engine.store import Artifact, Member
from tests.engine.exchange.workplace import Workplace

DATA = b"what the batch made"
DIGEST = hashlib.sha256(DATA).hexdigest()


class Forger:
    """Writes into the exchange what a worker could write, for the one job of an assignment."""

    def __init__(self, near: Workplace) -> None:
        self.near = near
        near.shop.file("a.txt", b"x" * 19)
        self.run, self.order = near.drawn_up()
        (self.job,) = self.order.jobs
        self.depot: Depot = near.depot()
        self.segments = 0

    def upload(self, data: bytes = DATA, digest: str = DIGEST) -> None:
        self.near.place.put(result_object_name(self.run.id, self.order.id, digest), data)

    def deliver(self, **changes: Any) -> None:
        output = {"digest": DIGEST, "size": len(DATA), "media_type": "text/plain"}
        record = {
            "key": self.job.key,
            "output": output | changes.pop("output", {}),
            "units": 19.0,
            "seconds": 0.1,
            "device": "cpu",
        }
        data = json.dumps(record | changes).encode()
        self.near.place.put(result_name(self.run.id, self.order.id, self.job.key), data)

    def tell(self, *records: dict[str, Any] | bytes) -> None:
        self.segments += 1
        lines = [
            r if isinstance(r, bytes) else json.dumps({"at": time.time()} | r).encode()
            for r in records
        ]
        name = segment_name(self.run.id, self.order.id, self.segments)
        self.near.place.put(name, b"\n".join(lines) + b"\n")

    def tell_done(self, **changes: Any) -> None:
        self.tell({"event": "done", "key": self.job.key, "seconds": 0.1, "units": 19} | changes)

    def collect(self) -> list[dict[str, Any]]:
        self.depot.collect(self.run, [self.order.id])
        return [e for e in self.near.told(self.run, self.order.id) if e["event"] != "collected"]

    def refused(self) -> str:
        """Collects; returns why the result was refused."""
        (lost,) = self.collect()
        assert (lost["event"], lost["code"], lost["key"]) == (
            "lost",
            "damaged_result",
            self.job.key,
        )
        assert lost["item"] == "a.txt"
        assert self.near.store.find(self.job.key) is None
        assert list((self.near.store.root / "tmp").iterdir()) == []
        return str(lost["message"])


@pytest.fixture
def forger(near: Workplace) -> Forger:
    return Forger(near)


def test_an_honest_result_is_taken_under_the_conductors_own_recipe(forger: Forger) -> None:
    forger.upload()
    forger.deliver(facts={"pages": 3})
    forger.tell_done(item="../../etc/passwd", stage="another", load=1e9, why="<script>")
    (done,) = forger.collect()
    manifest = forger.near.store.find(forger.job.key)
    assert manifest is not None
    assert manifest.recipe == forger.job.recipe
    assert manifest.facts == {"pages": 3}
    assert (done["item"], done["stage"], done["why"]) == ("a.txt", "one", forger.job.why)
    assert done["load"] == forger.job.load
    assert forger.near.store.locate(DIGEST).read_bytes() == DATA
    assert forger.near.place.list("results/") == []


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (lambda f: None, "not there"),
        (lambda f: f.upload(b"something else entirely"), "not there"),
        (lambda f: f.upload(DATA[::-1]), "not those it speaks of"),
    ],
    ids=["missing", "other-size", "tampered"],
)
def test_bytes_that_are_not_what_was_said_are_refused(
    forger: Forger, put: Callable[[Forger], None], why: str
) -> None:
    put(forger)
    forger.deliver()
    forger.tell_done()
    assert why in forger.refused()


NAMES = ["../up", "/etc/passwd", "a/../../b", "", ".", "a//b", "a\nb", "a/", "x" * 300, "a\x1b[0m"]


def _folder(*names: str) -> dict[str, Any]:
    members = tuple(Member(name=name, digest=DIGEST, size=len(DATA)) for name in names)
    return json.loads(Artifact.folder(members).model_dump_json())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "0" * 64},
        {"units": -1},
        {"units": float("nan")},
        {"units": float("inf")},
        {"units": 1e12},
        {"units": "many"},
        {"seconds": -1},
        {"seconds": float("inf")},
        {"facts": {"long": "x" * 600_000}},
        {"facts": {"deep": [[[[[[[[[[1]]]]]]]]]]}},
        {"facts": {"nan": float("nan")}},
        {"facts": {"a\x1b[31m": 1}},
        {"facts": [1, 2]},
        {"notes": 7},
        {"device": 7},
        {"more": "than asked for"},
        {"output": {"media_type": "text/html\r\nX: y"}},
        {"output": {"media_type": "nonsense"}},
        {"output": {"media_type": ""}},
        {"output": {"digest": "../../objects/x"}},
        {"output": {"digest": "AB" * 32}},
        {"output": {"size": -1}},
        {"output": {"size": 1 << 60}},
        {"output": {"members": [{"name": "a", "digest": DIGEST, "size": len(DATA)}]}},
        *[{"output": _folder(name)} for name in NAMES],
        {"output": _folder("b", "a")},
        {"output": _folder("a", "a")},
        {"output": _folder("a", "a/b")},
        {"output": _folder("a") | {"size": 1}},
    ],
    ids=str,
)
def test_a_record_that_is_none_is_refused(forger: Forger, changes: dict[str, Any]) -> None:
    forger.upload()
    forger.deliver(**changes)
    forger.tell_done()
    forger.refused()


@pytest.mark.parametrize(
    "data", [b"", b"null", b"{", b"[" * 100_000, b"\xff", b'{"key": "\\ud800"}']
)
def test_a_record_that_is_no_json_is_refused(forger: Forger, data: bytes) -> None:
    forger.upload()
    forger.near.place.put(result_name(forger.run.id, forger.order.id, forger.job.key), data)
    forger.tell_done()
    forger.refused()


def test_a_record_that_is_endless_is_not_even_fetched(forger: Forger) -> None:
    name = result_name(forger.run.id, forger.order.id, forger.job.key)
    forger.near.place.put(name, b" " * (customs.DELIVERY_LIMIT + 1))
    forger.tell_done()
    assert "too long" in forger.refused()


def test_a_folder_comes_home_whole_and_under_harmless_names(forger: Forger) -> None:
    forger.upload()
    forger.deliver(output=_folder("a.png", "b/c.png"))
    forger.tell_done()
    (done,) = forger.collect()
    assert done["event"] == "done"
    manifest = forger.near.store.find(forger.job.key)
    assert manifest is not None
    assert [m.name for m in manifest.output.members] == ["a.png", "b/c.png"]


def test_what_is_not_on_the_list_is_let_through_by_nobody(forger: Forger) -> None:
    key = forger.job.key
    forger.tell(
        {"event": "ended", "state": "succeeded"},
        {"event": "delivered", "path": "/etc/passwd", "output": "x"},
        {"event": "approved", "stage": "one", "who": "me"},
        {"event": "stop", "who": "me"},
        {"event": "collected", "assignment": forger.order.id, "segment": 999},
        {"event": "done", "key": "f" * 64, "seconds": 1},
        {"event": "failed", "key": None, "code": "x", "message": "y"},
        {"event": "opened", "device": 7, "seconds": 1},
        {"event": "opened", "device": "cpu", "seconds": "soon"},
        {"event": "progress", "key": key, "units": 1e30},
        {"event": ["done"], "key": key},
        {"at": "now", "event": "alive"},
        {"at": float("nan"), "event": "alive"},
        b"null",
        b"[]",
        b"{" * 50_000,
        b"\xff\xfe",
        json.dumps({"at": 1, "event": "failed", "key": key, "message": "x" * 300_000}).encode(),
    )
    assert forger.collect() == []
    forger.tell({"event": "progress", "key": key, "units": 5, "color": "red"})
    (progress,) = forger.collect()
    assert set(progress) == {"at", "event", "stage", "item", "assignment", "key", "units"}


def test_words_are_cut_to_size_and_cannot_move_a_terminals_cursor(forger: Forger) -> None:
    forger.tell(
        {
            "event": "failed",
            "key": forger.job.key,
            "code": "rm -rf",
            "message": "\x1b[2J" + "m" * 5000,
            "hint": "h\n" * 2000,
            "known": True,
            "fault": "somebody's",
            "extra": "x",
        }
    )
    (failed,) = forger.collect()
    assert failed["code"] == "unknown"
    assert len(failed["message"]) == 2000
    assert len(failed["hint"]) == 1000
    assert failed["message"].isprintable() and failed["hint"].isprintable()
    assert (failed["known"], failed["fault"]) == (False, "stage")
    assert "extra" not in failed


def test_a_thumbnail_that_is_no_picture_is_left_out(forger: Forger) -> None:
    forger.upload()
    forger.deliver(facts={"thumbnail": '"><script>alert(1)</script>', "pages": 1})
    forger.tell_done()
    forger.collect()
    manifest = forger.near.store.find(forger.job.key)
    assert manifest is not None and manifest.facts == {"pages": 1}
    picture = base64.b64encode(b"\xff\xd8\xff\xe0rest").decode()
    assert customs._facts({"thumbnail": picture}) == {"thumbnail": picture}


def test_a_replayed_journal_tells_nothing_twice(forger: Forger) -> None:
    forger.upload()
    forger.deliver()
    forger.tell_done()
    first = forger.collect()
    forger.segments = 0
    forger.tell_done()  # the same segment again
    assert forger.collect() == first
    forger.segments = 1
    forger.upload()
    forger.deliver()
    forger.tell_done()  # and the same record in a segment that is new
    forger.tell({"event": "failed", "key": forger.job.key, "code": "x", "message": "after all"})
    assert forger.collect() == first
    again = forger.near.depot()
    again.collect(forger.run, [forger.order.id])
    assert forger.near.told(forger.run, forger.order.id)[: len(first)] == first
    assert len(forger.near.events(forger.run, forger.order.id, "done")) == 1


def test_another_result_for_the_same_batch_does_not_replace_the_first(forger: Forger) -> None:
    forger.upload()
    forger.deliver()
    forger.tell_done()
    forger.collect()
    other = b"something else"
    digest = hashlib.sha256(other).hexdigest()
    forger.upload(other, digest)
    forger.deliver(output={"digest": digest, "size": len(other)})
    forger.tell_done()
    forger.collect()
    manifest = forger.near.store.find(forger.job.key)
    assert manifest is not None and manifest.output.digest == DIGEST


def test_segments_out_of_order_wait_for_those_before_them(forger: Forger) -> None:
    forger.segments = 1
    forger.tell({"event": "progress", "key": forger.job.key, "units": 2})
    assert forger.collect() == []
    forger.segments = 0
    forger.tell({"event": "progress", "key": forger.job.key, "units": 1})
    assert [e["units"] for e in forger.collect()] == [1, 2]


def test_an_endless_segment_counts_as_empty(forger: Forger) -> None:
    name = segment_name(forger.run.id, forger.order.id, 1)
    forger.near.place.put(name, b"\n" * (customs.SEGMENT_LIMIT + 1))
    forger.segments = 1
    forger.tell({"event": "progress", "key": forger.job.key, "units": 1})
    assert [e["units"] for e in forger.collect()] == [1]


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_a_wrong_clock_moves_nothing_out_of_the_run(forger: Forger, skew: float) -> None:
    began = time.time()
    wrong = time.time() + skew
    key = forger.job.key
    forger.tell(
        {"at": wrong - 20, "event": "opened", "device": "cpu", "seconds": 1.0, "waited": 0},
        {"at": wrong, "event": "progress", "key": key, "units": 1},
        {"at": wrong, "event": "alive"},
    )
    opened, progress, alive = forger.collect()
    now = time.time()
    sent = (forger.run.assignments / f"{forger.order.id}.json").stat().st_mtime
    assert sent - 0.01 <= opened["at"] <= progress["at"] <= now + 0.01
    assert began - 0.01 <= progress["at"]
    assert began - 0.01 <= alive["at"] <= now + 0.01


def test_a_conductor_that_was_killed_while_collecting_is_continued_and_tells_nothing_twice(
    forger: Forger,
) -> None:
    key = forger.job.key
    forger.tell(*({"event": "progress", "key": key, "units": n} for n in range(6)))
    forger.collect()
    path = forger.run.journal / f"{forger.order.id}.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in range(len(whole)):
        if cut % 37 and cut not in (len(whole) - 1, len(whole) - 2):
            continue
        path.write_bytes(whole[:cut])
        if cut < len(lines[0]):
            path.unlink()
        forger.near.depot().collect(forger.run, [forger.order.id])
        told = [e["units"] for e in _readable(forger.run, forger.order) if "units" in e]
        assert told == list(range(6)), cut


def _readable(run: Run, order: Assignment) -> list[dict[str, Any]]:
    found = []
    for line in (run.journal / f"{order.id}.jsonl").read_bytes().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def order() -> Assignment:
    """An assignment of one job, made without a run: what customs need to know."""
    from millrace.engine.assignments import Job, Material
    from millrace.engine.batches import Recipe
    from millrace.engine.hosts.devices import Device
    from millrace.engine.stages import Needs, Outline, Span

    job = Job(
        key="a" * 64,
        material=Material(name="a.txt", files=()),
        outline=Outline(media_type="text/plain", size=10),
        recipe=Recipe(kind="k", version=1, params={}, inputs={}, profile={}),
        span=Span(stop=10),
        whole=True,
        units=10,
        load=10,
    )
    return Assignment(
        id="a0001",
        stage="one",
        kind="k",
        params={},
        needs=Needs(),
        device=Device(cores=1, memory=1),
        jobs=(job,),
    )


@given(
    event=st.sampled_from([*customs._EVENTS, "ended", "stop"]),
    fields=st.dictionaries(
        st.sampled_from(
            ["at", "key", "units", "seconds", "code", "message", "hint", "device", "bytes", "host"]
        ),
        JSON,
    ),
    keyed=st.booleans(),
)
def test_whatever_a_worker_writes_what_passes_is_plain_and_small(
    order: Assignment, event: str, fields: dict[str, Any], keyed: bool
) -> None:
    raw = {"event": event, "at": 1.0} | fields | ({"key": "a" * 64} if keyed else {})
    for record in customs.records(json.dumps(raw).encode(), order):
        line = record.line()
        assert len(line) < 8000
        assert record.stage == "one" and record.item in ("", "a.txt")
        assert record.data["assignment"] == "a0001"
        parsed = json.loads(line, parse_constant=lambda word: pytest.fail(word))
        assert all(not isinstance(v, list | dict) for v in parsed.values())


@given(data=JSON | st.dictionaries(st.sampled_from(["key", "output", "units", "facts"]), JSON))
def test_whatever_a_result_says_it_is_refused_or_plain(order: Assignment, data: Any) -> None:
    with pytest.raises(customs.Refused):
        customs.delivery(json.dumps(data).encode(), order.jobs[0])
