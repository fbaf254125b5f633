"""A model: a folder of plain JSON with a card that says what it was made from.

card.json       data, licence, versions, figures of the cross-validation, thresholds
lexicon.json    words of the fields and of their surroundings
gazetteer.json  known values
FIELD.json      the trees and the calibration of a field
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from millrace.tasks.documents.extraction.calibration import Calibration, calibration_of
from millrace.tasks.documents.extraction.gazetteer import Gazetteer, gazetteer_of
from millrace.tasks.documents.extraction.lexicon import Lexicon, lexicon_of
from millrace.tasks.documents.extraction.ranking import Trees, trees_of

FORMAT = 1
SHIPPED = Path(__file__).resolve().parents[1] / "models"
UNTRAINED_THRESHOLD = 0.9


@dataclass(frozen=True)
class Ranker:
    """How the candidates of one field are ranked, and its odds made probabilities. `ocr` is the
    calibration where a page was read by OCR; a given text is surer."""

    trees: Trees
    text: Calibration
    ocr: Calibration


@dataclass(frozen=True)
class Model:
    """What was learnt for a schema. An empty one has no rankers: rules alone then decide.

    `threshold` is the probability from which on facts are accepted.
    """

    schema: str = ""
    version: str = "rules"
    threshold: float = UNTRAINED_THRESHOLD
    lexicon: Lexicon = field(default_factory=Lexicon)
    gazetteer: Gazetteer = field(default_factory=Gazetteer)
    rankers: Mapping[str, Ranker] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the extractor's name says of it."""
        return f"{self.schema}-{self.version}" if self.schema else self.version


def save(model: Model, folder: Path) -> None:
    """Writes a model into a folder, always the same bytes for the same model."""
    folder.mkdir(parents=True, exist_ok=True)
    card = {
        **model.card,
        "format": FORMAT,
        "schema": model.schema,
        "version": model.version,
        "threshold": model.threshold,
        "fields": sorted(model.rankers),
    }
    told = json.dumps(card, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / "card.json").write_text(told + "\n", encoding="utf-8")
    _write(folder / "lexicon.json", model.lexicon.as_json())
    _write(folder / "gazetteer.json", model.gazetteer.as_json())
    for name, ranker in model.rankers.items():
        _write(
            folder / f"{name}.json",
            {
                "trees": ranker.trees.as_json(),
                "text": ranker.text.as_json(),
                "ocr": ranker.ocr.as_json(),
            },
        )


def load(folder: Path) -> Model:
    """Returns the model of a folder. Raises ValueError for a folder that holds none."""
    try:
        card = orjson.loads((folder / "card.json").read_bytes())
        if card["format"] != FORMAT:
            raise ValueError(f"a model of format {card['format']}; this Millrace reads {FORMAT}")
        rankers = {}
        for name in card["fields"]:
            told = orjson.loads((folder / f"{name}.json").read_bytes())
            rankers[name] = Ranker(
                trees_of(told["trees"]), calibration_of(told["text"]), calibration_of(told["ocr"])
            )
        return Model(
            str(card["schema"]),
            str(card["version"]),
            float(card["threshold"]),
            lexicon_of(orjson.loads((folder / "lexicon.json").read_bytes())),
            gazetteer_of(orjson.loads((folder / "gazetteer.json").read_bytes())),
            rankers,
            card,
        )
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} holds no model: {error}") from error


def model_for(schema: str, folder: Path | None = None) -> Model:
    """Returns the model of a schema: of a folder of models first, else the shipped one, else an
    empty one that leaves all to the rules."""
    for models in (folder, SHIPPED):
        if models is not None and (models / schema / "card.json").is_file():
            return load(models / schema)
    return Model()


def _write(path: Path, told: Any) -> None:
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_SORT_KEYS) + b"\n")
