"""Learns the lexicon and the gazetteer from labelled documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from millrace.tasks.documents.extraction.candidates import candidates
from millrace.tasks.documents.extraction.gazetteer import Gazetteer
from millrace.tasks.documents.extraction.lexicon import Lexicon, LexiconMaker
from millrace.tasks.documents.extraction.parsing import canonical, same
from millrace.tasks.documents.extraction.rows import Layout
from millrace.tasks.documents.extraction.schema import Field, Schema
from millrace.tasks.documents.pages import Document

TEXTUAL = ("company", "address", "name", "person", "text")


class _Example(Protocol):
    @property
    def document(self) -> Document: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


class _Prepared(Protocol):
    @property
    def example(self) -> _Example: ...
    @property
    def layouts(self) -> tuple[Layout, ...]: ...


def learnt(
    told: Sequence[_Prepared], schema: Schema, *, gazetteers: bool = True
) -> tuple[Lexicon, Gazetteer]:
    """Returns what the words of labelled documents teach: of each document its believed sheet, and
    of two readings of one file the first."""
    maker = LexiconMaker()
    known: list[Mapping[str, str]] = []
    named = {field.name for field in schema.fields if field.gazetteer}
    files: set[str] = set()
    for one in told:
        if one.example.document.digest in files or not one.layouts:
            continue
        files.add(one.example.document.digest)
        layout, labels = one.layouts[0], one.example.labels
        for field in schema.fields:
            value = labels.get(field.name, "")
            if not canonical(value):
                continue
            if field.type in TEXTUAL:
                maker.spell(field.name, value)
                _lines(maker, field, value, layout)
            else:
                _surroundings(maker, field, value, layout)
        known.append({name: value for name, value in labels.items() if name in named})
    gazetteer = Gazetteer().with_documents(known) if gazetteers else Gazetteer()
    return maker.made(), gazetteer


def _lines(maker: LexiconMaker, field: Field, value: str, layout: Layout) -> None:
    key = canonical(value)
    before = ""
    inside_before = False
    for row in layout.rows:
        inside = False
        for segment in row.segments:
            own = canonical(segment.text)
            within = len(own) >= 3 and (own in key or key in own)
            maker.count(field.name, segment.text, within=within)
            inside = inside or within
        maker.count(f"{field.name} above", before, within=inside and not inside_before)
        before, inside_before = row.text, inside


def _surroundings(maker: LexiconMaker, field: Field, value: str, layout: Layout) -> None:
    for one in candidates(field, layout, 0, Lexicon(), Gazetteer()):
        right = same(field.type, one.value, value)
        above = layout.rows[one.first - 1].text if one.first else ""
        maker.count(f"{field.name} head", one.head, within=right)
        maker.count(f"{field.name} tail", one.tail, within=right)
        maker.count(f"{field.name} above", above, within=right)
