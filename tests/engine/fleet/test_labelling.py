"""Floors: no way of writing a path or URL gets a file below the label of where it lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from millrace.engine.errors import DocumentError, UsageError
from millrace.engine.fleet.labelling import Floors
from millrace.engine.fleet.pools import Floor
from millrace.engine.inputs import expand_inputs
from millrace.engine.items import Item, Origin
from millrace.engine.labels import Label
from millrace.engine.pipeline import load
from millrace.engine.runs import Order
from tests.engine.fleet.fleets import STUDIO_AND_BURST
from tests.engine.runs.conftest import PLUGINS

PUBLIC, INTERNAL, RESTRICTED = Label.PUBLIC, Label.INTERNAL, Label.RESTRICTED

PIPELINE = """
version: 1
name: copy
label: public
inputs:
  files: {files: ["in/**/*.txt", "more/*.txt"]}
  folders: {folders: ["books/*"]}
stages:
  one: {uses: faults.bytes, each: files}
  two: {uses: faults.gather, all: folders}
outputs:
  copies: {from: one, to: "out/{source.path}.txt"}
"""


def floors(base: Path, *paths: str, label: Label = RESTRICTED) -> Floors:
    return Floors([Floor(paths=paths, label=label)], base)


def item(location: Path = Path(), label: Label = PUBLIC, **more: object) -> Item:
    return Item(id="x", origin=Origin("x", "x", ""), label=label, location=location, **more)  # type: ignore[arg-type]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """vault/ with a.txt and deep/b.txt, open/ with c.txt, and links between them."""
    for name in ("vault/a.txt", "vault/deep/b.txt", "open/c.txt", "vaulted/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "open" / "way").symlink_to("../vault/deep")
    (tmp_path / "open" / "a-link.txt").symlink_to(tmp_path / "vault" / "a.txt")
    (tmp_path / "vault" / "out.txt").symlink_to("../open/c.txt")
    (tmp_path / "open" / "twice.txt").symlink_to("../vault/out.txt")
    (tmp_path / "door").symlink_to("vault")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("vault/a.txt", RESTRICTED),
        ("vault", RESTRICTED),
        ("vault/not/there/yet.txt", RESTRICTED),
        ("open/../vault/a.txt", RESTRICTED),
        ("open/way/b.txt", RESTRICTED),
        ("open/way/../a.txt", RESTRICTED),  # the folder above a link's target, not above the link
        ("open/a-link.txt", RESTRICTED),
        ("door/a.txt", RESTRICTED),
        ("open/twice.txt", RESTRICTED),  # through the vault, though the content lies outside
        ("vault/out.txt", RESTRICTED),
        ("open/c.txt", PUBLIC),
        ("vaulted/d.txt", PUBLIC),
        ("vault/../open/c.txt", PUBLIC),
    ],
)
@pytest.mark.parametrize("floor", ["vault", "door", "open/../vault/", "./vault", "vault/**"])
def test_a_file_is_under_a_floor_whatever_way_leads_there(
    tree: Path, floor: str, name: str, label: Label
) -> None:
    assert floors(tree, floor).of_path(f"{tree}/{name}") is label


def test_a_floor_on_one_file_holds_for_its_other_names(tree: Path) -> None:
    (tree / "open" / "same.txt").hardlink_to(tree / "vault" / "a.txt")
    found = floors(tree, "vault/a.txt")
    for name in ("vault/a.txt", "open/same.txt", "open/a-link.txt"):
        assert found.of_path(tree / name) is RESTRICTED
    assert found.of_path(tree / "vault" / "deep" / "b.txt") is PUBLIC


def test_a_pattern_is_a_floor_for_all_that_lies_under_what_it_matches(tree: Path) -> None:
    found = floors(tree, "*/deep", "open/c.*")
    assert found.of_path(tree / "vault" / "deep" / "b.txt") is RESTRICTED
    assert found.of_path(tree / "open" / "way" / "b.txt") is RESTRICTED
    assert found.of_path(tree / "open" / "c.txt") is RESTRICTED
    assert found.of_path(tree / "vault" / "a.txt") is PUBLIC
    (tree / "vault" / "link").symlink_to(tree / "vaulted")
    assert floors(tree, "*/link").of_path(tree / "vaulted" / "d.txt") is RESTRICTED


def test_a_name_with_brackets_that_exists_is_a_name_and_no_pattern(tree: Path) -> None:
    (tree / "x[1]").mkdir()
    assert floors(tree, "x[1]").of_path(tree / "x[1]" / "y") is RESTRICTED
    assert floors(tree, "x[1]").of_path(tree / "x1" / "y") is PUBLIC


def test_the_highest_of_several_floors_counts(tree: Path) -> None:
    found = Floors(
        [
            Floor(paths=("vault/deep",), label=RESTRICTED),
            Floor(paths=(".",), label=INTERNAL),
            Floor(paths=("vault/deep",), label=PUBLIC),
        ],
        tree,
    )
    assert found.of_path(tree / "vault" / "deep" / "b.txt") is RESTRICTED
    assert found.of_path(tree / "open" / "c.txt") is INTERNAL


def test_links_in_a_circle_are_labelled_by_their_names_and_end(tree: Path) -> None:
    (tree / "open" / "r1").symlink_to("r2")
    (tree / "open" / "r2").symlink_to("r1")
    assert floors(tree, "vault").of_path(tree / "open" / "r1") is PUBLIC
    assert floors(tree, "open").of_path(tree / "open" / "r1" / "x") is RESTRICTED


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("s3://acme/patients/x.tif", RESTRICTED),
        ("s3://acme/patients", RESTRICTED),
        ("S3A://ACME/patients/x.tif", RESTRICTED),
        ("s3://acme//patients/x.tif", RESTRICTED),
        ("s3://acme/open/../patients/x.tif", RESTRICTED),
        ("s3://acme/%70atients/x.tif", RESTRICTED),
        ("zip://x.tif::s3://acme/patients/all.zip", RESTRICTED),
        ("simplecache::s3://acme/patients/x.tif", RESTRICTED),
        ("https://user:secret@Host.example:443/case/1?sign=abc", RESTRICTED),
        ("http://host.example/case#top", RESTRICTED),
        ("simplecache::file:///vault/x", RESTRICTED),
        ("local:///open/../vault/x", RESTRICTED),
        ("s3://acme/patients2/x.tif", PUBLIC),
        ("s3://other/patients/x.tif", PUBLIC),
        ("s3://acme/open/patients/x.tif", PUBLIC),
        ("https://host.example/cases", PUBLIC),
        ("gs://acme/patients/x.tif", PUBLIC),
    ],
)
def test_a_url_is_under_a_floor_that_it_begins_with(tmp_path: Path, url: str, label: Label) -> None:
    found = floors(tmp_path, "s3://acme/patients/", "https://host.example/case", "/vault")
    assert found.of_url(url) is label


@how(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(
        st.sampled_from(
            ["vault", "open", "deep", "way", "door", "vaulted", "..", ".", "", "a.txt", "twice.txt"]
        ),
        max_size=9,
    )
)
def test_whatever_the_kernel_reads_from_the_vault_is_restricted(
    tree: Path, steps: list[str]
) -> None:
    """The kernel itself says where a written path leads; what leads nowhere cannot be read."""
    for name in ("vault", "door"):
        written = "/".join([str(tree), *steps])
        label = floors(tree, name).of_path(written)
        vault = os.path.realpath(tree / "vault")
        if os.path.realpath(written).startswith(f"{vault}/"):
            assert label is RESTRICTED
        elif not {"vault", "door", "way", "twice.txt"} & set(steps):
            assert label is PUBLIC


@how(max_examples=300, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["patients", "open", "..", ".", "", "%2e%2e", "x"]), max_size=7)
)
def test_no_way_of_writing_a_url_leaves_a_floor(steps: list[str]) -> None:
    resolved: list[str] = []
    for step in steps:
        plain = step.replace("%2e", ".")
        if plain == "..":
            resolved = resolved[:-1]
        elif plain not in ("", "."):
            resolved.append(plain)
    label = floors(Path("/"), "s3://acme/patients").of_url("s3://acme/" + "/".join(steps))
    if resolved[:1] == ["patients"]:
        assert label is RESTRICTED
    elif "patients" not in steps:
        assert label is PUBLIC


def test_an_item_is_raised_and_never_lowered(tree: Path) -> None:
    found = floors(tree, "vault", label=INTERNAL)
    assert found.raised(item(tree / "vault" / "a.txt")).label is INTERNAL
    assert found.raised(item(tree / "vault" / "a.txt", RESTRICTED)).label is RESTRICTED
    assert found.raised(item(tree / "open" / "c.txt")).label is PUBLIC
    book = item(tree / "open", members=(tree / "open" / "c.txt", tree / "open" / "a-link.txt"))
    assert found.raised(book).label is INTERNAL
    assert floors(tree, "s3://b").raised(item(url="s3://b/x")).label is RESTRICTED


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    """A pipeline that calls everything public, over files some of which lie elsewhere."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    for name in ("in/a.txt", "in/sub/b.txt", "vault/c.txt", "books/one/1.txt", "books/two/1.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "c.txt").symlink_to(tmp_path / "vault" / "c.txt")
    return Order(pipeline=load(PIPELINE, base=tmp_path), base=tmp_path, source="p.yaml")


def labels(order: Order) -> dict[str, Label]:
    found = expand_inputs(order, ["one", "two"])
    return {one.id: one.label for items in found.values() for one in items}


def test_items_have_the_floors_of_the_declared_fleet(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pools.yaml"
    path.write_text(
        STUDIO_AND_BURST
        + "floors:\n  - {paths: [in/sub, vault], label: restricted}\n"
        + "  - {paths: books/one, label: internal}\n"
    )
    monkeypatch.setenv("MILLRACE_FLEET", str(path))
    assert labels(order) == {
        "files/a.txt": PUBLIC,
        "files/sub/b.txt": RESTRICTED,
        "files/c.txt": RESTRICTED,
        "folders/one": INTERNAL,
        "folders/two": PUBLIC,
    }


def test_without_a_fleet_nothing_is_raised(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MILLRACE_FLEET", raising=False)
    monkeypatch.chdir(tmp_path)
    assert set(labels(order).values()) == {PUBLIC}


def test_a_fleet_that_is_named_and_missing_stops_the_run_instead_of_lowering_labels(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_FLEET", str(tmp_path / "none.yaml"))
    with pytest.raises(UsageError, match=r"no fleet file .*none\.yaml, which MILLRACE_FLEET names"):
        expand_inputs(order, ["one", "two"])


def test_a_fleet_that_cannot_be_read_stops_the_run_instead_of_lowering_labels(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pools.yaml"
    path.write_text(STUDIO_AND_BURST.replace("slots: 2", "slotts: 2"))
    monkeypatch.setenv("MILLRACE_FLEET", str(path))
    with pytest.raises(DocumentError, match=r"pools\.yaml"):
        expand_inputs(order, ["one", "two"])
