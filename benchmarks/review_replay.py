"""Replay what a person at the desk teaches: receipts of vendors that no model has seen.

    python benchmarks/review_replay.py [--data FOLDER] [--read FOLDER] [--seed 7] [--halves 2]
                                        [--json]

The receipts of the SROIE data are cut in two halves of other vendors. For each half a model is
trained on the other, and the half is extracted in an order that is drawn: in its first part a
reviewer, who knows the truth, answers the fields that are doubtful and no others, on a real review
queue. Then its rest is measured: with the model as it was; with the decisions in its gazetteer, as
`documents.extract` takes them in at once; and with a model trained anew with the decisions, as
`millrace documents train --review` does. Receipts whose images are there are replayed as the
shipped default reads them (`--read` keeps that), the others as their given text.

Printed for the rest, and for those of its receipts whose vendor the first part had: the share of
fields that are right (as in `benchmarks/receipts.py`), of doubtful ones, and of right ones among
those accepted. The exit code is 1 unless decisions raise the share that is right, both when they
are known and when they are trained with.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from _bench import ROOT
from receipts import Judged, given, judged, read

from millrace.engine.labels import Label
from millrace.engine.settings import Settings
from millrace.tasks.documents.extraction import folds
from millrace.tasks.documents.extraction.extract import extract
from millrace.tasks.documents.extraction.learning import knowing
from millrace.tasks.documents.extraction.model import Model
from millrace.tasks.documents.extraction.parsing import canonical, same
from millrace.tasks.documents.extraction.schema import Schema, load_schema
from millrace.tasks.documents.extraction.training import Example, Prepared, prepared, train
from millrace.tasks.documents.review.desk import Desk, Loaded, Verdict
from millrace.tasks.documents.review.learning import Labels, learnt
from millrace.tasks.documents.review.tables import connect

STATES = ("before", "decisions known", "trained anew")
Verdicts = dict[str, list[Judged]]


@dataclass(frozen=True)
class Half:
    """What is learnt from, and what comes over the desk: the first part, then the rest."""

    seen: list[Prepared]
    first: list[Prepared]
    rest: list[Prepared]


def halves(texts: Sequence[Prepared], images: Sequence[Prepared], seed: int) -> Iterator[Half]:
    """Yields both halves. No vendor is in what is learnt from and in what is replayed."""
    schema = load_schema("receipt")
    split = folds.parts(folds.groups_of_values([t.example.labels for t in texts], schema), 2, seed)
    part = {text.example.document.name: own for text, own in zip(texts, split, strict=True)}
    as_image = {one.example.document.name: one for one in images}
    for half in (0, 1):
        seen = [one for one in (*texts, *images) if part[one.example.document.name] != half]
        own = [
            as_image.get(one.example.document.name, one)
            for one in texts
            if part[one.example.document.name] == half
        ]
        order = np.random.default_rng(seed + half).permutation(len(own))
        replayed = [own[int(place)] for place in order]
        middle = len(replayed) // 2
        yield Half(seen, replayed[:middle], replayed[middle:])


def reviewed(first: Sequence[Prepared], schema: Schema, model: Model) -> tuple[Labels, int, int]:
    """Returns what the reviewer's decisions teach, how many they were and how many corrections."""
    truths = {one.example.document.digest: one.example.labels for one in first}
    with tempfile.TemporaryDirectory() as home:
        here = Settings(Path(home), Label.RESTRICTED, 0.1)
        desk = Desk(connect(here))
        desk.put(
            Loaded(extract(one.example.document, one.annotations, schema, model), "replay", "")
            for one in first
        )
        corrections = 0
        cases = desk.cases()
        for case in cases:
            field, value = schema.field(case.fact.field), case.fact.value
            truth = truths[case.facts.digest].get(case.fact.field, "")
            if field is not None and same(field.type, value, truth):
                desk.decide(case, "accepted", who="replay")
            else:
                corrections += 1
                verdict: Verdict = "corrected" if truth else "rejected"
                desk.decide(case, verdict, value=truth, who="replay")
        return learnt(here, schema.name), len(cases), corrections


def replay(half: Half, schema: Schema) -> tuple[Verdicts, set[str], int, int]:
    """Returns the verdicts on the rest by state, its receipts of known vendors, and what the
    reviewer had to do."""
    model = train([], schema, ready=half.seen)
    labelled, asked, corrections = reviewed(half.first, schema, model)
    taught = [
        replace(one, example=Example(one.example.document, labels))
        for one in half.first
        if (labels := labelled.get(one.example.document.digest))
    ]
    models = {
        "before": model,
        "decisions known": knowing(model, schema, labelled),
        "trained anew": train([], schema, ready=[*half.seen, *taught]),
    }
    vendors = {canonical(one.example.labels.get("company", "")) for one in half.first}
    again = {
        one.example.document.name
        for one in half.rest
        if canonical(one.example.labels.get("company", "")) in vendors
    }
    verdicts = {
        state: [v for one in half.rest for v in judged(one, schema, models[state])]
        for state in STATES
    }
    return verdicts, again, asked, corrections


def figures(verdicts: Sequence[Judged]) -> dict[str, float]:
    """Returns the shares of verdicts."""
    accepted = [one for one in verdicts if one.accepted]
    return {
        "right": _mean([one.right for one in verdicts]),
        "doubtful": round(1 - len(accepted) / max(len(verdicts), 1), 4),
        "accepted right": _mean([one.right for one in accepted]),
        "company right": _mean([one.right for one in verdicts if one.field == "company"]),
        "address right": _mean([one.right for one in verdicts if one.field == "address"]),
    }


def _mean(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0


def measured(data: Path, kept: Path | None, seed: int, count: int) -> dict[str, Any]:
    """Returns the figures of the halves together."""
    schema = load_schema("receipt")
    texts, images = prepared(given(data)), prepared(read(data, kept))
    together: Verdicts = {state: [] for state in STATES}
    again: set[str] = set()
    asked = corrections = 0
    for half in islice(halves(texts, images, seed), count):
        verdicts, own, questions, wrong = replay(half, schema)
        again |= own
        asked, corrections = asked + questions, corrections + wrong
        for state in STATES:
            together[state] += verdicts[state]
    known = {s: [one for one in told if one.receipt in again] for s, told in together.items()}
    return {
        "receipts measured": len({one.receipt for one in together["before"]}),
        "of known vendors": len(again),
        "answered by the reviewer": asked,
        "of these corrected": corrections,
        "rest": {state: figures(told) for state, told in together.items()},
        "rest, of known vendors": {state: figures(told) for state, told in known.items()},
    }


def table(told: dict[str, Any]) -> str:
    """Returns the figures as lines."""
    lines = [f"{name}: {value}" for name, value in told.items() if not isinstance(value, dict)]
    for part in ("rest", "rest, of known vendors"):
        names = list(told[part]["before"])
        lines += ["", f"{part:24}" + "".join(f"{name:>16}" for name in names)]
        for state, row in told[part].items():
            lines.append(f"  {state:22}" + "".join(f"{row[name]:16.1%}" for name in names))
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--read", type=Path, help="folder that keeps the images as read")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--halves", type=int, choices=(1, 2), default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    begun = time.perf_counter()
    told = measured(asked.data / "receipts", asked.read, asked.seed, asked.halves)
    told["seconds"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(told) if asked.json else table(told))
    rest = told["rest"]
    shares = [rest[state]["right"] for state in STATES]
    if min(shares[1:]) <= shares[0]:
        sys.exit("what people decided did not raise accuracy")


if __name__ == "__main__":
    main()
