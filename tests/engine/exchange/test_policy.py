"""The policy that the documentation gives to workers is enough for them, and not more."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import StoreError
from millrace.engine.exchange.cards import write_card
from millrace.engine.exchange.parcels import object_name, parcel_name
from millrace.engine.exchange.places import Place
from millrace.engine.fleet.observed import Card
from millrace.engine.labels import Label
from tests.engine.exchange.workplace import Workplace
from tests.s3 import S3, use


def test_a_worker_with_the_documented_policy_can_work_and_cannot_tell_others_what_to_do(
    shop: object,
    s3: S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = Workplace(shop, s3.url(tmp_path.name), tmp_path)  # type: ignore[arg-type]
    far.shop.file("a.txt", b"abc")
    run, order = far.drawn_up()
    depot = far.depot()
    depot.send(run, order)
    if s3.real:  # moto's server enforces nothing
        s3.add_user("burst-worker", "burst-secret")
        s3.permit(tmp_path.name, worker="burst-worker")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "burst-worker")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "burst-secret")

    assert far.carry_out(run, order.id).done == 1
    place = Place.open(far.url, patience=2)
    write_card(place, _card())
    if s3.real:
        digest = order.jobs[0].material.digests[0]
        for name in (parcel_name(run.id, order.id), object_name(digest), f"stops/{run.id}"):
            with pytest.raises(StoreError, match="may not do that"):
                place.put(name, b"forged")
        with pytest.raises(StoreError, match="may not do that"):
            place.delete(parcel_name(run.id, order.id))
        with pytest.raises(StoreError, match="may not do that"):
            Place.open(s3.url("another"), patience=2).put("results/x", b"forged")

    use(s3, monkeypatch)
    far.depot().collect(run, [order.id])
    assert len(far.events(run, order.id, "done")) == 1


def _card() -> Card:
    return Card(
        pool="burst",
        worker="one",
        host="h",
        millrace="1",
        kinds={},
        tools=(),
        cores=1,
        memory=1,
        clearance=Label.INTERNAL,
    )
