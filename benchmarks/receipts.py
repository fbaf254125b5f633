"""Measure what of receipts' fields is right: from given text, from images, and unseen by a person.

    python benchmarks/receipts.py [--data FOLDER] [--folds 3] [--read FOLDER] [--by text|vendor]
                                  [--ablation] [--save FOLDER] [--json]

Fields are company, date, address and total of receipts of the SROIE data; case, spaces and
punctuation are ignored; dates are compared as dates and amounts as amounts (`strict` compares them
letter by letter too). Cross-validation: near copies of a text, and the text and the image of one
receipt, are never in two folds; by vendor, nor are two receipts of one company. Every figure is
from `extract`, the function that `documents.extract` calls, with a model trained on the other
folds. Images are read by the shipped default of `documents.read`; `--read` keeps what was read.

`--ablation` trains once more without each group of features and with each alone (two folds).
`--save` trains on everything and writes the model that is shipped.
"""

import argparse
import csv
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from PIL import Image

from millrace.tasks.documents import page_json
from millrace.tasks.documents.extraction import calibration, folds, model, training
from millrace.tasks.documents.extraction.extract import extract
from millrace.tasks.documents.extraction.features import GROUPS
from millrace.tasks.documents.extraction.parsing import canonical, same
from millrace.tasks.documents.extraction.schema import Schema, load_schema
from millrace.tasks.documents.extraction.training import Example, Prepared, prepared, train
from millrace.tasks.documents.pages import Box, Document, Line, Page, Reading, Word
from millrace.tasks.documents.reading.ocr import read_page
from millrace.tasks.documents.reading.params import ReadParams

ROOT = Path(__file__).resolve().parent.parent
SEED = 7
DATA = (
    "SROIE (ICDAR 2019 Robust Reading Challenge on Scanned Receipts OCR and Information Extraction)"
)


@dataclass(frozen=True)
class Judged:
    """One field of one receipt: whether it is right, and what was said of it."""

    receipt: str
    field: str
    image: bool
    right: bool
    strict: bool
    probability: float
    accepted: bool


def given(receipts: Path) -> list[Example]:
    """Returns the receipts as their given lines."""
    made = []
    for key in sorted(receipts.glob("key/*.json")):
        lines = []
        with (receipts / "box" / f"{key.stem}.csv").open(encoding="utf-8", newline="") as told:
            for row in csv.reader(told, quoting=csv.QUOTE_NONE):
                text = " ".join(",".join(row[8:]).split())
                if text:
                    corners = list(map(float, row[:8]))
                    across, down = corners[::2], corners[1::2]
                    box = Box(min(across), min(down), max(across), max(down))
                    lines.append(Line(text, box, (Word(text, box),)))
        width, height = max(r.box.x1 for r in lines), max(r.box.y1 for r in lines)
        reading = Reading("given", "1", "layer", tuple(lines))
        page = Page(1, width, height, 150.0, "text", tuple(lines), readings=(reading,))
        labels = json.loads(key.read_text(encoding="utf-8"))
        digest = hashlib.sha256(key.stem.encode()).hexdigest()
        made.append(Example(Document(key.stem, digest, "image/jpeg", (page,)), labels))
    return made


def read(receipts: Path, kept: Path | None) -> list[Example]:
    """Returns the receipts whose images are there, as the shipped default reads them."""
    made = []
    for picture in sorted(receipts.glob("img/*")):
        cache = kept / f"{picture.name}.json" if kept else None
        if cache and cache.is_file():
            document = page_json.load(cache.read_bytes())
        else:
            with Image.open(picture) as image:
                page = read_page(image.convert("L"), number=1, dpi=150.0, params=ReadParams())
            digest = hashlib.sha256(picture.stem.encode()).hexdigest()
            document = Document(picture.stem, digest, "image/jpeg", (page,))
            if cache:
                cache.parent.mkdir(parents=True, exist_ok=True)
                cache.write_bytes(page_json.dump(document))
        labels = json.loads((receipts / "key" / f"{picture.stem}.json").read_text("utf-8"))
        made.append(Example(document, labels))
    return made


def judged(one: Prepared, schema: Schema, learnt: model.Model) -> Iterable[Judged]:
    """Yields the verdict on each field of a receipt; a receipt without a value wants none."""
    document = one.example.document
    found = {fact.field: fact for fact in extract(document, one.annotations, schema, learnt).facts}
    for field in schema.fields:
        truth, fact = one.example.labels.get(field.name, ""), found.get(field.name)
        value, raw = (fact.value, fact.raw) if fact else ("", "")
        told = raw if field.type in ("date", "money") else value
        yield Judged(
            document.name,
            field.name,
            one.by_ocr,
            same(field.type, value, truth) or value == truth == "",
            canonical(told) == canonical(truth),
            fact.probability if fact else 0.0,
            fact is not None and fact.state == "accepted",
        )


def crossed(
    told: Sequence[Prepared], schema: Schema, by: str, count: int, without: Sequence[str] = ()
) -> list[Judged]:
    """Returns the verdicts on all receipts, each by a model that has not seen its like."""
    if by == "vendor":
        groups = folds.groups_of_values([one.example.labels for one in told], schema)
    else:
        groups = folds.groups_of_texts([one.example.document for one in told])
    split = folds.parts(groups, count, SEED)
    made: list[Judged] = []
    for part in range(count):
        seen = [one for one, own in zip(told, split, strict=True) if own != part]
        learnt = train([], schema, ready=seen, without=without)
        for one, own in zip(told, split, strict=True):
            if own == part:
                made += judged(one, schema, learnt)
    return made


def figures(verdicts: Sequence[Judged]) -> dict[str, Any]:
    """Returns the figures of verdicts, with intervals over receipts."""
    accepted = [one for one in verdicts if one.accepted]
    receipts = sorted({one.receipt for one in verdicts})
    fields = sorted({one.field for one in verdicts})
    right = {(one.receipt, one.field): one.right for one in verdicts}
    table = np.array([[right[r, f] for f in fields] for r in receipts], dtype=float)
    low, high = calibration.bootstrap(table, seed=SEED)
    told, hits = [one.probability for one in verdicts], [one.right for one in verdicts]
    return {
        "fields": len(verdicts),
        "right": _mean(hits),
        "interval": [round(low, 4), round(high, 4)],
        "strict": _mean([one.strict for one in verdicts]),
        "by field": {f: _mean([one.right for one in verdicts if one.field == f]) for f in fields},
        "accepted": round(len(accepted) / max(len(verdicts), 1), 4),
        "accepted right": _mean([one.right for one in accepted]),
        "ECE": round(calibration.expected_error(told, hits), 4),
    }


def _mean(values: Sequence[bool]) -> float:
    return round(float(np.mean(values)), 4) if values else 0.0


def ablation(told: Sequence[Prepared], schema: Schema) -> dict[str, Any]:
    """Returns the share of right fields of the given texts without each group, and with it alone
    (two folds by text)."""
    made: dict[str, Any] = {}
    for group in GROUPS:
        others = [name for name in GROUPS if name != group]
        off = crossed(told, schema, "text", 2, [group])
        alone = crossed(told, schema, "text", 2, others)
        made[group] = {
            "without": _mean([one.right for one in off if not one.image]),
            "alone": _mean([one.right for one in alone if not one.image]),
            "images without": _mean([one.right for one in off if one.image]),
            "images alone": _mean([one.right for one in alone if one.image]),
        }
    return made


def card(told: Sequence[Prepared], measured: dict[str, Any]) -> dict[str, Any]:
    """Returns what the card of the shipped model says."""
    return {
        "title": "Company, date, address and total of receipts",
        "data": f"{DATA}: the text of 200 receipts, and 44 of them as read from their images",
        "attribution": "Huang et al., ICDAR 2019",
        "licence of the data": "CC BY 4.0",
        "licence": "Apache-2.0; names and addresses in gazetteer.json are from the data, CC BY 4.0",
        "documents": len(told),
        "trained with": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "features": {name: list(columns) for name, columns in GROUPS.items()},
        "cross-validation": measured,
        "accuracy aimed at": training.ACCURACY,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--by", choices=("text", "vendor"), action="append")
    parser.add_argument("--read", type=Path, help="folder that keeps the images as read")
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--save", type=Path, help="train on everything, write the model here")
    parser.add_argument("--json", action="store_true")
    told = parser.parse_args()
    begun = time.perf_counter()
    schema = load_schema("receipt")
    receipts = told.data / "receipts"
    ready = prepared([*given(receipts), *read(receipts, told.read)])
    measured: dict[str, Any] = {}
    for by in told.by or ("text", "vendor"):
        verdicts = crossed(ready, schema, by, told.folds)
        measured[f"folds by {by}"] = {
            "(a) given text": figures([one for one in verdicts if not one.image]),
            "(b) images": figures([one for one in verdicts if one.image]),
        }
    if told.ablation:
        measured["ablation"] = ablation(ready, schema)
    if told.save:
        shipped = train([], schema, ready=ready, card=card(ready, measured))
        model.save(shipped, told.save)
    measured["seconds"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(measured, indent=None if told.json else 2))


if __name__ == "__main__":
    main()
