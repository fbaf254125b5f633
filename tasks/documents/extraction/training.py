"""Trains the model of a schema from labelled documents; works for any schema.

What is learnt from words (lexicon, gazetteer) is never learnt from the document whose features are
taken: the documents are split into parts, once with like texts kept together and once with like
companies kept together, so that the ranking sees known and unknown names as often as it will.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from millrace.tasks.documents.extraction import calibration
from millrace.tasks.documents.extraction.annotations import Annotation, Annotator, sheets
from millrace.tasks.documents.extraction.calibration import Calibration
from millrace.tasks.documents.extraction.candidates import Candidate, candidates
from millrace.tasks.documents.extraction.features import Matrix, masked, matrix
from millrace.tasks.documents.extraction.folds import groups_of_texts, groups_of_values, parts
from millrace.tasks.documents.extraction.gazetteer import Gazetteer
from millrace.tasks.documents.extraction.lexicon import Lexicon
from millrace.tasks.documents.extraction.model import Model, Ranker
from millrace.tasks.documents.extraction.parsing import same
from millrace.tasks.documents.extraction.ranking import Trees, mean, trained
from millrace.tasks.documents.extraction.rows import Layout, laid_out
from millrace.tasks.documents.extraction.scene import Scene
from millrace.tasks.documents.extraction.schema import Field, Schema
from millrace.tasks.documents.extraction.voting import chosen, signals
from millrace.tasks.documents.extraction.words import learnt
from millrace.tasks.documents.pages import Document

Verdicts = NDArray[np.bool_]

ACCURACY = 0.923
"""The share of accepted facts that shall be right."""
MARGIN = 0.03
"""Thresholds are chosen for so much more: with companies that were never seen, accepted fields
were right less often by two to three in a hundred."""
WRONG_ONES = 25
"""So many wrong candidates of a document and field are learnt from, drawn at random."""


BAGS = 2
"""So many rankings are averaged."""


@dataclass(frozen=True, slots=True)
class Example:
    """A read document and what is right: field → value as it stands in the document."""

    document: Document
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Prepared:
    """An example whose sheets are in rows and annotated."""

    example: Example
    layouts: tuple[Layout, ...]
    annotations: tuple[tuple[Annotation, ...], ...] = ()

    @property
    def by_ocr(self) -> bool:
        """Whether any of its pages was read by OCR."""
        return any(page.origin in ("ocr", "mixed") for page in self.example.document.pages)


@dataclass(frozen=True)
class _Sample:
    """The candidates of one field of one document, and which are right."""

    part: int
    document: int
    found: list[Candidate]
    features: Matrix
    right: list[bool]
    sheets: int


def corrected(model: Model, labels: Sequence[Mapping[str, str]], schema: Schema) -> Model:
    """Returns a model that knows what people corrected, field → value for each document: in its
    gazetteer, for the fields that have one, until it is trained anew."""
    named = {field.name for field in schema.fields if field.gazetteer}
    known = [{name: value for name, value in one.items() if name in named} for one in labels]
    return replace(model, gazetteer=model.gazetteer.with_documents(known))


def prepared(examples: Sequence[Example], annotator: Annotator | None = None) -> list[Prepared]:
    """Returns the examples with their sheets in rows; annotated, where there is an annotator."""
    made = []
    for example in examples:
        layouts = tuple(laid_out(sheet) for sheet in sheets(example.document))
        notes: tuple[tuple[Annotation, ...], ...] = ()
        if annotator is not None:
            notes = tuple(annotator.annotate([layout.sheet.text for layout in layouts]))
        made.append(Prepared(example, layouts, notes))
    return made


def train(
    examples: Sequence[Example],
    schema: Schema,
    annotator: Annotator | None = None,
    *,
    version: str = "1",
    card: Mapping[str, object] | None = None,
    without: Sequence[str] = (),
    folds: int = 5,
    seed: int = 0,
    ready: Sequence[Prepared] | None = None,
) -> Model:
    """Returns the model of labelled documents.

    `without` names groups of features that are left out (`features.GROUPS`), `folds` is the number
    of parts. `ready` are the examples already prepared. Fields that have fewer than eight labels
    are left to the rules.
    """
    told = list(ready) if ready is not None else prepared(examples, annotator)
    lexicon, gazetteer = learnt(told, schema, gazetteers="gazetteer" not in without)
    rankers: dict[str, Ranker] = {}
    probabilities: list[float] = []
    rights: list[bool] = []
    documents = [one.example.document for one in told]
    splits = [
        _split(groups_of_texts(documents), documents, folds, seed),
        _split(
            groups_of_values([one.example.labels for one in told], schema),
            documents,
            folds,
            seed + 1,
        ),
    ]
    samples = _samples(told, schema, splits, without, seed)
    for field in schema.fields:
        labelled = sum(1 for one in told if one.example.labels.get(field.name))
        if labelled < 8 or field.type in ("clause", "language"):
            continue
        if not _tells(samples[field.name]):
            continue
        ranker, out = _ranker(told, samples[field.name], without, folds, seed)
        rankers[field.name] = ranker
        for index, told_signals, is_right in out:
            scale = ranker.ocr if told[index].by_ocr else ranker.text
            probabilities.append(scale.probability(told_signals))
            rights.append(is_right)
    limit = calibration.threshold(probabilities, rights, accuracy=ACCURACY + MARGIN)
    return Model(schema.name, version, limit, lexicon, gazetteer, rankers, dict(card or {}))


def _split(
    groups: Sequence[int], documents: Sequence[Document], folds: int, seed: int
) -> list[int]:
    """Returns the part of each document. Where all are alike, as filled forms of one kind are, only
    readings of the same file are kept together."""
    if len(set(groups)) < folds:
        digests = [document.digest for document in documents]
        groups = [digests.index(digest) for digest in digests]
    return parts(groups, folds, seed)


def _tells(samples: Sequence[_Sample]) -> bool:
    """Whether there are right candidates and wrong ones to learn from."""
    rights = [right for sample in samples for right in sample.right]
    return any(rights) and not all(rights)


def _samples(
    told: Sequence[Prepared],
    schema: Schema,
    splits: Sequence[Sequence[int]],
    without: Sequence[str],
    seed: int,
) -> dict[str, list[_Sample]]:
    """Returns the samples of each field, features taken with what other parts taught."""
    made: dict[str, list[_Sample]] = {field.name: [] for field in schema.fields}
    for number, split in enumerate(splits):
        for part in sorted(set(split)):
            others = [one for one, own in zip(told, split, strict=True) if own != part]
            lexicon, gazetteer = learnt(others, schema, gazetteers="gazetteer" not in without)
            for index, (one, own) in enumerate(zip(told, split, strict=True)):
                if own != part:
                    continue
                for field in schema.fields:
                    sample = _sample(one, field, lexicon, gazetteer, without)
                    if sample is not None:
                        found, features, right = sample
                        made[field.name].append(
                            _Sample(
                                part if number == 0 else -1 - splits[0][index],
                                index, found, features, right, len(one.layouts),
                            )
                        )  # fmt: skip
    return made


def _sample(
    one: Prepared, field: Field, lexicon: Lexicon, gazetteer: Gazetteer, without: Sequence[str]
) -> tuple[list[Candidate], Matrix, list[bool]] | None:
    truth = one.example.labels.get(field.name)
    if truth is None:
        return None
    found, features = considered(field, one, lexicon, gazetteer, without)
    verdicts: dict[str, bool] = {}
    for candidate in found:
        if candidate.key not in verdicts:
            verdicts[candidate.key] = same(field.type, candidate.value, truth)
    return found, features, [verdicts[candidate.key] for candidate in found]


def considered(
    field: Field,
    one: Prepared,
    lexicon: Lexicon,
    gazetteer: Gazetteer,
    without: Sequence[str] = (),
) -> tuple[list[Candidate], Matrix]:
    """Returns the candidates for a field of a prepared document, and their features."""
    layouts = one.layouts[:1] if "voting" in without else one.layouts
    scene = Scene(layouts, lexicon, gazetteer, one.annotations)
    found = [
        candidate
        for index, layout in enumerate(layouts)
        for candidate in candidates(field, layout, index, lexicon, gazetteer)
    ]
    return found, matrix(field.name, field.type, field.synonyms, found, scene)


def _ranker(
    told: Sequence[Prepared],
    samples: Sequence[_Sample],
    without: Sequence[str],
    folds: int,
    seed: int,
) -> tuple[Ranker, list[tuple[int, list[float], bool]]]:
    """Returns the ranker of a field, and for each document the signals and verdict of the choice
    that a ranking made which had not seen it."""
    columns = masked(without)
    out: list[tuple[int, list[float], bool]] = []
    for part in range(folds):
        seen = [s for s in samples if s.part not in (part, -1 - part)]
        unseen = [s for s in samples if s.part == part]
        if not _tells(seen):
            continue
        trees = _bagged(seen, columns, seed)
        for sample in unseen:
            choices = chosen(sample.found, trees.odds(sample.features), sample.sheets)
            best = choices[0].key if choices else ""
            hit = any(r for c, r in zip(sample.found, sample.right, strict=True) if c.key == best)
            out.append((sample.document, signals(choices), hit))
    trees = _bagged(samples, columns, seed)
    text = _scaled([(s, r) for i, s, r in out if not told[i].by_ocr])
    ocr = _scaled([(s, r) for i, s, r in out if told[i].by_ocr])
    both = _scaled([(s, r) for _, s, r in out])
    return Ranker(trees, text or both or Calibration(), ocr or both or Calibration()), out


def _bagged(samples: Sequence[_Sample], columns: Sequence[int], seed: int) -> Trees:
    """Returns the mean of rankings that drew other wrong candidates: steadier than one alone."""
    drawn = range(seed, seed + BAGS)
    return mean([trained(*_rows(samples, s), columns=columns, seed=s) for s in drawn])


def _scaled(told: Sequence[tuple[list[float], bool]]) -> Calibration | None:
    if len(told) < 20:
        return None
    return calibration.fitted([s for s, _ in told], [r for _, r in told])


def _rows(samples: Sequence[_Sample], seed: int) -> tuple[Matrix, Verdicts]:
    """Returns the right candidates and some wrong ones.

    The right ones stand there more than once, about three for each document: a document in which
    the value is found ten times shall not weigh more. (Weights would do the same; with them
    scikit-learn's histograms take fifteen times as long.)
    """
    generator = np.random.default_rng(seed)
    features, rights = [], []
    for sample in samples:
        right = np.array(sample.right, dtype=bool)
        wrong = np.flatnonzero(~right)
        if len(wrong) > WRONG_ONES:
            wrong = np.sort(generator.choice(wrong, WRONG_ONES, replace=False))
        hits = np.flatnonzero(right)
        hits = np.repeat(hits, max(1, round(3 / max(len(hits), 1))))
        kept = np.concatenate([hits, wrong])
        features.append(sample.features[kept])
        rights.append(right[kept])
    return np.concatenate(features), np.concatenate(rights)
