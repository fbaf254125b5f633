"""One assignment that is out: when it is over, and when it is no longer worth waiting for."""

from __future__ import annotations

from dataclasses import replace

from millrace.engine.fleet.out import Out
from millrace.engine.fleet.patience import Patience
from millrace.engine.recording.fleet import PRESUMED

OUT = Out(
    id="a0001",
    pool="studio",
    basis="own",
    price=0.0,
    stage="one",
    kind="faults.bytes",
    seconds=60.0,
    start=0.0,
    sent=0.0,
    keys=frozenset({"k"}),
)


def test_what_the_server_only_presumes_dead_is_judged_by_its_own_signs_of_life() -> None:
    out = replace(OUT, flow_run="f1", state=PRESUMED)
    out.hear(100.0)
    patience = Patience()
    assert not out.over
    assert out.trouble(110.0, patience, pool_down="", deadline=None) == ("", "")
    code, _ = out.trouble(101.0 + patience.silence, patience, pool_down="", deadline=None)
    assert code == "silent"
    out.revoked = "nothing was heard of it"
    assert out.over


def test_a_bill_holds_the_slot_and_every_byte_that_came_home() -> None:
    out = replace(OUT, price=0.001, egress=1e-9, state="COMPLETED")
    out.hear(10.0)
    out.carried += 2_000_000 * out.egress
    bill = out.bill(110.0)
    assert (bill["held"], bill["cost"], bill["egress"]) == (100.0, 0.102, 0.002)
