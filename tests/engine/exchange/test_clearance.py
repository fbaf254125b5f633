"""Clearance at an exchange: the conductor refuses before it writes, the worker before it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millrace.engine.errors import NotPermitted
from millrace.engine.exchange.depot import Depot
from millrace.engine.exchange.outpost import take
from millrace.engine.labels import Label
from millrace.engine.settings import settings
from tests.engine.exchange.workplace import Workplace
from tests.engine.runs.conftest import PIPELINE

RESTRICTED = PIPELINE.replace("label: internal", "label: restricted")


def test_restricted_work_is_never_written_to_a_store_of_lower_clearance(
    workplace: Workplace,
) -> None:
    workplace.shop.file("secret-name.txt", "secret content")
    run, order = workplace.drawn_up(text=RESTRICTED)
    assert order.label is Label.RESTRICTED
    for clearance in (Label.PUBLIC, Label.INTERNAL):
        with pytest.raises(NotPermitted, match="clearance: the data is restricted"):
            workplace.depot(clearance).send(run, order)
    assert workplace.place.list() == []


def test_nor_through_a_good_store_to_a_pool_of_lower_clearance(near: Workplace) -> None:
    near.shop.file("a.txt")
    run, order = near.drawn_up(text=RESTRICTED)
    order = order.model_copy(update={"pool": "burst"})
    pools = {"burst": Label.INTERNAL, "studio": Label.RESTRICTED}
    depot = Depot(near.place, near.store, Label.RESTRICTED, pools)
    with pytest.raises(NotPermitted, match="the pool burst may hold internal"):
        depot.send(run, order)
    assert near.place.list() == []
    depot.send(run, order.model_copy(update={"pool": "studio"}))
    assert near.place.list("parcels/")


@pytest.mark.parametrize("clearance", [Label.PUBLIC, Label.INTERNAL])
def test_a_worker_refuses_a_restricted_parcel_before_it_fetches_a_byte_of_input(
    near: Workplace, clearance: Label
) -> None:
    """Somebody sent it all the same: a conductor whose pools.yaml is wrong, or none of ours."""
    near.shop.file("a.txt", "secret content")
    run, order = near.drawn_up(text=RESTRICTED)
    near.depot().send(run, order)
    for name in near.place.list("objects/"):
        near.place.delete(name)  # fetching one would be another error than the one expected
    near.clearance = clearance
    with pytest.raises(NotPermitted, match=f"this host may read {clearance}"):
        take(run.id, order.id, near.worker)
    assert near.leftovers() == []
    assert near.place.list(f"journal/{run.id}/") == []


def test_a_host_that_shares_the_store_asks_its_own_clearance_too(near: Workplace) -> None:
    near.shop.file("a.txt")
    run, order = near.drawn_up(text=RESTRICTED)
    with pytest.raises(NotPermitted, match="this host may read internal"):
        take(run.id, order.id, replace(settings(), clearance=Label.INTERNAL))
