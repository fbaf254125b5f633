"""Which mentions are the same: vendors as they are written, misread, and told apart."""

from __future__ import annotations

import csv
import json
from difflib import SequenceMatcher
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.tasks.documents.graph.resolution import Mention, Resolved, resolve


def company(id: str, name: str, **attributes: str) -> Mention:
    return Mention(id, "Company", name, attributes)


def groups(found: tuple[Resolved, ...]) -> list[set[str]]:
    return [set(entity.members) for entity in found]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ENW HARDWARE CENTRE (M) SDN BHD", "ENW Hardware Centre (M) Sdn. Bhd."),
        ("99 SPEED MART S/B (519537-X)", "99 SPEED MART S/B"),
        ("WESTERN EASTERN ST TIONERY SDN. BHD", "WESTERN EASTERN STATIONERY SDN. BHD"),
        ("GERPANG ALAF RESTAURANTS SDN BHD", "GERBANG ALAF RESTAURANTS SDN BHD"),
        ("BOOK TA .K(TAMAN DAYA) SDN BND", "BOOK TA .K (TAMAN DAYA) SDN BHD"),
        ("Müller Papier GmbH", "MULLER PAPIER GMBH"),
        ("北京华夏科技有限公司", "北京华夏科技 有限公司"),
    ],
)
def test_one_vendor_written_in_two_ways_is_one(one: str, other: str) -> None:
    assert groups(resolve([company("a", one), company("b", other)])) == [{"a", "b"}]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MR. D.I.Y. (KUCHAI) SDN BHD", "MR. D.I.Y. (M) SDN BHD"),
        ("PERNIAGAAN ZHENG HUI", "PERNIAGAAN RIANG RIA"),
        ("RESTAURANT SIN DU", "RESTAURANT SIN DEE HONG"),
        ("TIMES BOOKSTORES", "TIMELESS KITCHENETTE SDN BHD"),
        ("ACME SDN BHD (111111-A)", "ACME SDN BHD (987654-K)"),
    ],
)
def test_two_vendors_with_like_names_stay_two(one: str, other: str) -> None:
    assert len(resolve([company("a", one), company("b", other)])) == 2


def test_an_address_that_agrees_is_evidence_for_a_name_that_is_badly_read() -> None:
    where = "12 Jalan Besar, 43800 Dengkil"
    read = [company("a", "KEDAI PAPAN YEW CHUAN"), company("b", "KEDAI PAPAN YEN CHUAN")]
    assert len(resolve(read)) == 2
    helped = [company(m.id, m.name, address=where) for m in read]
    (entity,) = resolve(helped)
    assert entity.merges[0].evidence["address"] == 1.0


def test_addresses_with_another_house_number_are_two() -> None:
    near = [
        Mention("a", "Address", "No. 12, Jalan Besar, 43800 Dengkil"),
        Mention("b", "Address", "NO 12 JLN BESAR 43800 DENGKIL"),
        Mention("c", "Address", "No. 14, Jalan Besar, 43800 Dengkil"),
    ]
    assert groups(resolve(near)) == [{"a", "b"}, {"c"}]


def test_a_persons_names_may_be_turned_around() -> None:
    people = [Mention("a", "Person", "Tan, Woon Yann"), Mention("b", "Person", "WOON YANN TAN")]
    assert len(resolve(people)) == 1


def test_what_a_person_has_said_is_obeyed() -> None:
    read = [company("a", "DOMINO'S PIZZA SEGAMBUT"), company("b", "DOMMAL FOOD SERVICES SDN BHD")]
    assert len(resolve(read)) == 2
    assert groups(resolve(read, same=[("a", "b")])) == [{"a", "b"}]
    alike = [company("a", "SUNFISH"), company("b", "SUNFISH")]
    assert len(resolve(alike, apart=[("a", "b")])) == 2


def test_a_merge_taken_back_leaves_what_was_there_before() -> None:
    read = [company("a", "SUNFISH"), company("b", "SUN FISH"), company("c", "MOONFISH TRADING")]
    merged = resolve(read)
    assert groups(merged) == [{"a", "b"}, {"c"}]
    assert groups(resolve(read, apart=[("a", "b")])) == [{"a"}, {"b"}, {"c"}]


NAMES = st.sampled_from(
    ["SUNFISH", "SUN FISH", "ACME SDN BHD", "ACME S/B", "ACNE SDN BHD", "YAM FRESH", "YAM FRESCO"]
)


@given(st.lists(NAMES, max_size=8), st.randoms())
def test_the_order_of_mentions_changes_nothing_and_each_is_in_one_entity(
    written: list[str], random: object
) -> None:
    mentions = [company(f"m{n}", name) for n, name in enumerate(written)]
    shuffled = list(mentions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert resolve(mentions) == resolve(shuffled)
    assert sorted(m for e in resolve(mentions) for m in e.members) == sorted(m.id for m in mentions)


def plain(text: str) -> str:
    return "".join(c for c in text.upper() if c.isalnum())


def written(folder: Path, id: str, name: str) -> str:
    """Returns the line of a receipt that is most like the vendor's name."""
    with (folder / "receipts" / "box" / f"{id}.csv").open(errors="replace", newline="") as file:
        lines = [",".join(row[8:]) for row in csv.reader(file) if len(row) > 8][:12]
    lines += [f"{one} {other}" for one, other in pairwise(lines)]
    return max(lines, key=lambda line: SequenceMatcher(None, plain(line), plain(name)).ratio())


def test_vendors_of_the_receipts_are_told_apart_and_brought_together(data: Path) -> None:
    """Precision at least 0.98 and recall at least 0.9, over each way of writing once."""
    listed = json.loads((data / "manifest.json").read_text())["receipts"]
    truth: dict[tuple[str, str], str] = {}
    for receipt in listed:
        name, where = receipt["gt"].get("company", ""), receipt["gt"].get("address", "")
        vendor = plain(name).replace("STTIONERY", "STATIONERY")
        truth[vendor, name] = where
        line = written(data, receipt["id"], name)
        if SequenceMatcher(None, plain(line), plain(name)).ratio() > 0.7:
            truth[vendor, line] = where
    mentions = [
        company(f"{n:03}", name, address=where)
        for n, ((_, name), where) in enumerate(truth.items())
    ]
    vendors = {f"{n:03}": vendor for n, (vendor, _) in enumerate(truth)}
    entity = {m: n for n, e in enumerate(resolve(mentions)) for m in e.members}
    pairs = [
        (vendors[a] == vendors[b], entity[a] == entity[b]) for a, b in combinations(vendors, 2)
    ]
    right = pairs.count((True, True))
    assert right >= 15
    assert right / (right + pairs.count((False, True))) >= 0.98
    assert right / (right + pairs.count((True, False))) >= 0.9
