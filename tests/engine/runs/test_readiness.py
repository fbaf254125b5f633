"""When a stage may take an item: at once, when all are there, or never."""

from __future__ import annotations

from pathlib import Path

from millrace.engine.errors import BadInput
from millrace.engine.expansion import Node, nodes
from millrace.engine.items import Item, Origin
from millrace.engine.labels import Label
from millrace.engine.pipeline import Input, Pipeline, StageSpec
from millrace.engine.readiness import Readiness
from tests.engine.runs.conftest import Workshop


def _item(name: str) -> Item:
    return Item(id=name, origin=Origin(name, name, ""), label=Label.INTERNAL, location=Path(name))


def _readiness(names: list[str]) -> tuple[Readiness, dict[str, Node]]:
    pipeline = Pipeline(
        name="chain",
        inputs={"files": Input(files="*")},
        stages={
            "one": StageSpec(uses="faults.bytes", each="files"),
            "two": StageSpec(uses="faults.bytes", each="one"),
            "all": StageSpec(uses="faults.bytes", all=("two",)),
        },
    )
    found = nodes(pipeline)
    return Readiness(found, {"files": [_item(n) for n in names]}), found


def test_an_item_goes_on_without_waiting_for_the_others(shop: Workshop) -> None:
    ready, _ = _readiness(["a", "b"])
    (admission,) = ready.bring("files", _item("a"), _item("a"))
    assert (admission.node.name, admission.item.id) == ("one", "a")
    (admission,) = ready.bring("one", _item("a"), _item("a"))
    assert (admission.node.name, admission.item.id) == ("two", "a")


def test_a_failure_is_passed_down_and_refuses_what_gathers(shop: Workshop) -> None:
    ready, _ = _readiness(["a", "b"])
    assert ready.bring("one", _item("a"), None) == []
    (admission,) = ready.bring("two", _item("b"), _item("b"))
    assert admission.node.name == "all"
    assert isinstance(admission.refusal, BadInput)
    assert "1 of 2" in admission.refusal.message
