"""Nothing is delivered into a declared store that is not cleared for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.engine.errors import ItemError
from millrace.engine.fleet.ceilings import ceilings_of
from millrace.engine.labels import Label
from millrace.engine.settings import Settings
from tests.engine.fleet.fleets import STUDIO_AND_BURST, fleet
from tests.engine.runs.conftest import PIPELINE, Workshop


def declared(folder: Path, share: Path) -> Settings:
    """Returns the settings of a host whose fleet has `share` as an internal store."""
    url = '"s3://bucket/exchange"'
    assert url in STUDIO_AND_BURST
    path = fleet(folder, STUDIO_AND_BURST.replace(url, f'"file://{share}"')).path
    return Settings(folder / "home", Label.RESTRICTED, 0.06, fleet=path)


def test_what_is_above_a_folders_clearance_may_not_go_there_by_any_name(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (tmp_path / "link").symlink_to(share)
    ceilings = ceilings_of(declared(tmp_path, share))
    for name in ("share/a.mp4", "share/new/a.mp4", "link/a.mp4", "other/../share/a.mp4"):
        with pytest.raises(ItemError, match="may hold internal data at most") as caught:
            ceilings.check(tmp_path / name, Label.RESTRICTED)
        assert caught.value.code == "not_permitted"
        ceilings.check(tmp_path / name, Label.INTERNAL)
    ceilings.check(tmp_path / "shared" / "a.mp4", Label.RESTRICTED)


def test_a_restricted_result_is_kept_and_not_delivered_into_a_store_of_lower_clearance(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = declared(tmp_path, shop.folder / "out")
    monkeypatch.setenv("MILLRACE_FLEET", str(settings.fleet))
    shop.file("a.txt", b"secret")
    outcome = shop.run(PIPELINE.replace("label: internal", "label: restricted"))
    assert [failure.code for failure in outcome.failures] == ["not_permitted"]
    assert shop.out() == {}
    shop.run()  # as internal, it may go there
    assert shop.out() == {"a.txt": b"secret"}
