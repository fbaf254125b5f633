"""Measures whether vendors of receipts are told apart and brought together, and what that costs.

    python benchmarks/resolution.py [DATA] [--mentions 10000]

Of each receipt in DATA (default: ../shared/data): the vendor's name as it was labelled, and the
line of its text that is most like it, each way of writing once. All pairs of these count: precision
is the share of merged pairs that are one vendor, recall the share of one vendor's pairs that are
merged. Measured without the vendor's address and with it (as labelled, the same for both ways of
writing, so better than a reader gives it). Then the time for made-up mentions, of which two of five
are another's with a slip. Ends with exit code 1 where precision or recall misses its limit.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import combinations, pairwise
from pathlib import Path

from _bench import ROOT

from millrace.tasks.documents.graph.resolution import Mention, resolve

PRECISION, RECALL = 0.98, 0.9
_SAME = 0.7  # likeness from which a line of the text is taken to be the vendor's name
_LINES = 12  # lines from the top of a receipt that are looked at
_SYLLABLES = ("KA", "LIM", "SENG", "HO", "MART", "TEN", "RI", "BA", "DU", "PER", "SUN", "YO", "WEI")
_FORMS = ("SDN BHD", "ENTERPRISE", "TRADING", "LTD", "RESTAURANT")


@dataclass(frozen=True)
class Measured:
    """Ways of writing that were compared, pairs that are one vendor, and how many were found."""

    written: int
    one: int
    precision: float
    recall: float


def main() -> None:
    """Prints measured figures against their limits; exits with 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=ROOT.parent / "shared" / "data")
    parser.add_argument("--mentions", type=int, default=10_000)
    asked = parser.parse_args()
    written = ways(asked.data)
    met = True
    for what, addressed in (("names alone", False), ("names and addresses", True)):
        found = measured(written, addressed=addressed)
        right = found.precision >= PRECISION and found.recall >= RECALL
        met = met and right
        print(
            f"{what}: {found.written} ways of writing, {found.one} pairs of one vendor: "
            f"precision {found.precision:.3f} (limit {PRECISION}), recall {found.recall:.3f} "
            f"(limit {RECALL}): {'met' if right else 'MISSED'}"
        )
    mentions = made(asked.mentions)
    began = time.perf_counter()
    entities = resolve(mentions)
    seconds = time.perf_counter() - began
    print(f"{len(mentions):,} made-up mentions are {len(entities):,} entities: {seconds:.1f} s")
    sys.exit(not met)


def ways(data: Path) -> dict[tuple[str, str], str]:
    """Returns each (vendor, way of writing it) of the receipts with the vendor's address."""
    found: dict[tuple[str, str], str] = {}
    for receipt in json.loads((data / "manifest.json").read_text())["receipts"]:
        name, where = receipt["gt"].get("company", ""), receipt["gt"].get("address", "")
        vendor = plain(name).replace("STTIONERY", "STATIONERY")  # one label has a letter too few
        found[vendor, name] = where
        line = likest(data / "receipts" / "box" / f"{receipt['id']}.csv", name)
        if SequenceMatcher(None, plain(line), plain(name)).ratio() > _SAME:
            found[vendor, line] = where
    return found


def measured(written: dict[tuple[str, str], str], *, addressed: bool) -> Measured:
    """Returns precision and recall over all pairs of ways of writing."""
    mentions = [
        Mention(f"{n:04}", "Company", name, {"address": where} if addressed else {})
        for n, ((_, name), where) in enumerate(written.items())
    ]
    vendors = {f"{n:04}": vendor for n, (vendor, _) in enumerate(written)}
    entity = {m: n for n, one in enumerate(resolve(mentions)) for m in one.members}
    pairs = [
        (vendors[a] == vendors[b], entity[a] == entity[b]) for a, b in combinations(vendors, 2)
    ]
    right, wrong = pairs.count((True, True)), pairs.count((False, True))
    missed = pairs.count((True, False))
    return Measured(
        len(written),
        right + missed,
        right / max(right + wrong, 1),
        right / max(right + missed, 1),
    )


def made(count: int) -> Sequence[Mention]:
    """Returns mentions of companies that never were, always the same ones."""
    chance = random.Random(1)
    names: list[str] = []
    while len(names) < count:
        if names and chance.random() < 0.4:
            letters = list(chance.choice(names))
            letters[chance.randrange(len(letters))] = chance.choice("AEIOU01")
            names.append("".join(letters))
        else:
            words = ("".join(chance.choices(_SYLLABLES, k=3)) for _ in range(2))
            names.append(f"{' '.join(words)} {chance.choice(_FORMS)}")
    return [Mention(f"{n:06}", "Company", name) for n, name in enumerate(names)]


def likest(box: Path, name: str) -> str:
    """Returns the line of a receipt, or two together, that is most like the vendor's name."""
    with box.open(errors="replace", newline="") as file:
        lines = [",".join(row[8:]) for row in csv.reader(file) if len(row) > 8][:_LINES]
    lines += [f"{one} {other}" for one, other in pairwise(lines)]
    return max(lines, key=lambda line: SequenceMatcher(None, plain(line), plain(name)).ratio())


def plain(text: str) -> str:
    """Returns a text in capitals, letters and digits only."""
    return "".join(c for c in text.upper() if c.isalnum())


if __name__ == "__main__":
    main()
