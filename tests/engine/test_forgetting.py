"""What was made of some content goes; what others need stays."""

from __future__ import annotations

import hashlib
from pathlib import Path

from millrace.engine.batches import Recipe
from millrace.engine.deliver import deliver
from millrace.engine.forgetting import forget
from millrace.engine.measurements import Measurements
from millrace.engine.settings import settings
from millrace.engine.stages import Outline
from millrace.engine.store import Manifest, Store


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def make(store: Store, folder: Path, data: bytes, **inputs: str) -> Manifest:
    path = folder / "made"
    path.write_bytes(data)
    recipe = Recipe(kind="a.kind", version=1, params={}, inputs=inputs, profile={})
    return store.commit(
        recipe.digest,
        path,
        recipe=recipe,
        media_type="text/plain",
        units=1,
        seconds=1,
        device="cpu",
        facts={},
    )


def test_what_was_made_of_a_content_goes_with_all_that_was_made_of_that(tmp_path: Path) -> None:
    store = Store(settings().store)
    source, other = digest(b"scan"), digest(b"another scan")
    read = make(store, tmp_path, b"pages", item=source)
    facts = make(store, tmp_path, b"facts", item=read.output.digest)
    stays = make(store, tmp_path, b"other pages", item=other)
    deliver(store, facts.output, tmp_path / "out" / "facts.json")
    deliver(store, read.output, tmp_path / "out" / "changed.json")
    (tmp_path / "out" / "changed.json").unlink()
    (tmp_path / "out" / "changed.json").write_text("a person's own")

    done = forget(settings(), source)

    assert (done.results, done.files) == (2, 2)
    assert done.delivered == (tmp_path / "out" / "facts.json",)
    assert done.kept == (tmp_path / "out" / "changed.json",)
    assert not (tmp_path / "out" / "facts.json").exists()
    assert store.find(read.key) is None and store.find(facts.key) is None
    assert not store.locate(facts.output.digest).exists()
    assert store.find(stays.key) is not None


def test_bytes_that_another_document_needs_stay(tmp_path: Path) -> None:
    store = Store(settings().store)
    one, two = digest(b"one"), digest(b"two")
    make(store, tmp_path, b"the same", item=one)
    kept = make(store, tmp_path, b"the same", item=two)
    done = forget(settings(), one)
    assert (done.results, done.files) == (1, 0)
    assert store.find(kept.key) is not None


def test_measurements_are_forgotten_too(tmp_path: Path) -> None:
    path = tmp_path / "scan.txt"
    path.write_bytes(b"scan")
    known = Measurements(settings().measurements)
    outline = Outline(media_type="text/plain", size=4, facts={"title": "secret"})
    known.keep("a.kind", 1, digest(b"scan"), "scan.txt", outline)
    known.close()
    assert forget(settings(), digest(b"scan")).measured == 1
    again = Measurements(settings().measurements)
    assert again.outline("a.kind", 1, digest(b"scan"), "scan.txt") is None
    again.close()
