"""A picture of a document's neighbourhood: one HTML page that opens without a network.

The layout is worked out here, so the page needs no script to be seen: the document in the middle,
its facts on one side, what it mentions on the other, and beyond the entities the other documents
that speak of them. The page's own policy forbids it to load or run anything; all text is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from millrace.tasks.documents.graph import contents, model
from millrace.tasks.documents.graph.adapter import Graph
from millrace.tasks.documents.graph.loading import Run
from millrace.tasks.documents.graph.model import Content, Row

_OTHERS = 8  # other documents shown for an entity
_ROW, _WIDTH, _HEIGHT = 46, 300, 36
_COLUMNS = {"fact": 20, "document": 390, "mention": 760, "other": 1130}
_NEIGHBOURS = (
    "UNWIND $ids AS id MATCH (e:Entity) WHERE e.id = id "
    "MATCH (e)<-[:REFERS_TO]-(:Mention)<-[:MENTIONS]-(o:Document) WHERE o.id <> $document "
    "RETURN DISTINCT e.id AS entity, o.id AS id, o.name AS name, o.kind AS kind ORDER BY name, id"
)
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1b1f24;background:#fff}
h1{font-size:1.2rem;margin:0}p{margin:.2rem 0 1rem;color:#57606a}svg{max-width:100%;height:auto}
rect{stroke-width:1.5}.document rect{fill:#dbeafe;stroke:#2563eb}
.fact rect{fill:#ecfdf5;stroke:#059669}
.doubtful rect{fill:#fffbeb;stroke:#d97706;stroke-dasharray:5 3}
.rejected rect{fill:#fef2f2;stroke:#dc2626}
.mention rect{fill:#f5f3ff;stroke:#7c3aed}.other rect{fill:#f3f4f6;stroke:#6b7280}
path{fill:none;stroke:#9ca3af}.what{font-weight:600}.small{fill:#57606a;font-size:11px}
table{border-collapse:collapse;margin-top:1rem}
td,th{padding:.25rem .7rem;text-align:left;border-bottom:1px solid #d0d7de}
"""


@dataclass(frozen=True)
class Neighbourhood:
    """What is around a document. `others` are the documents that share an entity with it."""

    document: Row
    content: Content
    others: Sequence[Row] = field(default_factory=tuple)


def neighbourhood(graph: Graph, digest: str) -> Neighbourhood | None:
    """Returns what is around a document, None where the graph does not have it."""

    def look(run: Run) -> Neighbourhood | None:
        content = contents.read(run, [digest])
        if not content.nodes[model.DOCUMENT]:
            return None
        entities = [row["id"] for row in content.nodes[model.ENTITY]]
        others = run(_NEIGHBOURS, ids=entities, document=digest) if entities else []
        return Neighbourhood(content.nodes[model.DOCUMENT][0], content, others)

    return graph.engine.read(look)


def page(around: Neighbourhood) -> str:
    """Returns the picture as an HTML page."""
    document, facts = around.document, _facts(around)
    title = escape(str(document["name"]))
    said = f"{document['kind'] or 'document'}, pages: {document['pages']}, SHA-256 {document['id']}"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="referrer" content="no-referrer">'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1><p>{escape(said)}</p>\n"
        f"{_drawing(around, facts)}\n{_table(facts)}</body></html>\n"
    )


def _facts(around: Neighbourhood) -> list[Row]:
    return sorted(
        around.content.nodes[model.FACT], key=lambda f: (f["field"], f["path"], f["scope"], f["id"])
    )


def _drawing(around: Neighbourhood, facts: Sequence[Row]) -> str:
    mentions = sorted(
        around.content.nodes[model.MENTION], key=lambda m: (m["kind"], m["name"], m["id"])
    )
    refers = {r["source"]: r["target"] for r in around.content.edges[model.REFERS_TO]}
    shown, beyond = _beyond(around.others)
    rows = max(len(facts), len(mentions), len(shown), 1)
    height = rows * _ROW + 20
    middle = (height - _HEIGHT) / 2
    places = {str(around.document["id"]): (_COLUMNS["document"], middle)}
    for column, some in (("fact", facts), ("mention", mentions), ("other", shown)):
        top = (height - len(some) * _ROW) / 2
        places |= {row["id"]: (_COLUMNS[column], top + n * _ROW) for n, row in enumerate(some)}
    boxes, lines = [], []
    for fact in facts:
        what = f"{fact['field']}{' ' + fact['path'] if fact['path'] else ''} = {fact['value']}"
        boxes.append(_box(places[fact["id"]], f"fact {_state(fact)}", what, _found(fact)))
        lines.append(_line(places[fact["id"]], (_COLUMNS["document"], middle), ""))
    kinds = {(r["source"], r["target"]): r["kind"] for r in _relations(around.content)}
    for mention in mentions:
        what = f"{mention['kind']}: {mention['name']}"
        boxes.append(_box(places[mention["id"]], "mention", what, _found(mention)))
        end = (around.document["id"], mention["id"])
        label = kinds.get(end) or kinds.get(end[::-1]) or ""
        lines.append(_line((_COLUMNS["document"], middle), places[mention["id"]], label))
        for other in shown:
            if (refers.get(mention["id"]), other["id"]) in beyond:
                lines.append(_line(places[mention["id"]], places[other["id"]], ""))
    boxes.append(
        _box((_COLUMNS["document"], middle), "document", str(around.document["name"]), "document")
    )
    for other in shown:
        boxes.append(_box(places[other["id"]], "other", str(other["name"]), str(other["kind"])))
    width = _COLUMNS["other" if shown else "mention"] + _WIDTH + 20
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" width="{width}" role="img" '
        f'aria-label="the document, its facts and what it mentions">'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )


def _beyond(others: Sequence[Row]) -> tuple[list[Row], set[tuple[str, str]]]:
    """Returns the other documents that are shown, and which entity leads to which."""
    counted: dict[str, int] = {}
    shown: dict[str, Row] = {}
    pairs = set()
    for row in others:
        counted[row["entity"]] = counted.get(row["entity"], 0) + 1
        if counted[row["entity"]] <= _OTHERS:
            shown.setdefault(row["id"], row)
            pairs.add((row["entity"], row["id"]))
    return list(shown.values()), pairs


def _relations(content: Content) -> list[Row]:
    edges = (model.OF_DOCUMENT, model.TO_DOCUMENT, model.BETWEEN)
    return [row for edge in edges for row in content.edges[edge]]


def _state(fact: Row) -> str:
    return fact["state"] if fact["state"] in ("doubtful", "rejected") else "accepted"


def _found(row: Row) -> str:
    return f"{row['probability']:.0%}, page {row['page']}, {row['reader']} {row['version']}"


def _box(place: tuple[float, float], kind: str, what: str, small: str) -> str:
    x, y = place
    return (
        f'<g class="{kind}"><title>{escape(what)} ({escape(small)})</title>'
        f'<rect x="{x}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text class="what" x="{x + 9}" y="{y + 15:.1f}">{escape(_cut(what, 38))}</text>'
        f'<text class="small" x="{x + 9}" y="{y + 29:.1f}">{escape(_cut(small, 50))}</text></g>'
    )


def _line(one: tuple[float, float], two: tuple[float, float], label: str) -> str:
    x0, y0, x1, y1 = one[0] + _WIDTH, one[1] + _HEIGHT / 2, two[0], two[1] + _HEIGHT / 2
    half = (x0 + x1) / 2
    line = f'<path d="M{x0} {y0:.1f}C{half} {y0:.1f} {half} {y1:.1f} {x1} {y1:.1f}"/>'
    if not label:
        return line
    place = f'x="{half}" y="{(y0 + y1) / 2 - 3:.1f}" text-anchor="middle"'
    return f'{line}<text class="small" {place}>{escape(label)}</text>'


def _table(facts: Sequence[Row]) -> str:
    heads = ("field", "value", "as it stands", "probability", "state", "page", "read by", "scope")
    lines = []
    for fact in facts:
        cells = (
            *(f"{fact['field']} {fact['path']}", fact["value"], fact["raw"]),
            *(f"{fact['probability']:.0%}", f"{fact['state']} {fact['reviewed']}", fact["page"]),
            *(f"{fact['reader']} {fact['version']}", fact["scope"]),
        )
        lines.append("".join(f"<td>{escape(str(cell).strip())}</td>" for cell in cells))
    head = "".join(f"<th>{one}</th>" for one in heads)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
