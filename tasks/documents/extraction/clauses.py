"""What a contract says in running text: parties, effective date, term, renewal, governing law.

English in several styles, and simple German. Patterns run over a text of the same length in which
line breaks are spaces, so that every find has its place in the sheet. Scores are careful guesses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from millrace.tasks.documents.extraction import parsing
from millrace.tasks.documents.extraction.annotations import Sheet
from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.parties import parties
from millrace.tasks.documents.extraction.prose import Prose, prose
from millrace.tasks.documents.extraction.schema import Schema

MONTHS = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)
_NUMBER = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|"
    r"sixteen|seventeen|eighteen|nineteen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:-(?:one|two|three|four|five|six|seven|eight|nine))?|ein(?:em|er|en|e)?|zwei|drei|vier|fünf|sechs|"
    r"zwölf|\d{1,3})"
)
_UNIT = (
    r"(?:calendar\s+|consecutive\s+|business\s+)?(?:years?|months?|weeks?|days?|"
    r"Jahre?n?|Monate?n?|Wochen?|Tage?n?)"
)
_SPAN = rf"{_NUMBER}(?:\s*\(\s*\w[\w-]*\s*\))?\s+{_UNIT}"

_EFFECTIVE = (
    (r"\beffective\s+(?:as\s+of|date\s+is|from|on)\b[^.\d]{0,40}?", 0.88),
    (r"\b(?:is\s+)?(?:made|entered|dated|executed)\b[^.;]{0,60}?\b(?:as\s+of|on|this)\b"
     r"[^.;\d]{0,30}?", 0.8),
    (r"\b(?:commenc\w+|shall\s+(?:begin|start)|starts?|takes?\s+effect|enters?\s+into\s+force)\s+on\b"
     r"[^.;\d]{0,20}?", 0.82),
    (r"\bdated\b[^.;\d]{0,25}?", 0.72),
    (r"\beffective\s+", 0.78),
    (r"\b(?:beginnt|tritt)\s+(?:am|mit\s+Wirkung\s+(?:vom|zum)|zum)\b[^.;\d]{0,10}?", 0.84),
    (r"\bmit\s+Wirkung\s+(?:vom|zum|ab)\b[^.;\d]{0,10}?", 0.82),
)  # fmt: skip
_AFTER_DATE = re.compile(r"^[^.;]{0,12}\(\s*(?:the\s+)?[\"“”'‘]?\s*Effective\s+Date", re.IGNORECASE)
_DATE_OF_WORDS = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+day\s+of\s+(?P<month>{MONTHS})\s*,?\s*"
    r"(?:in\s+the\s+year\s+)?(?P<year>(?:19|20)\d\d)",
    re.IGNORECASE,
)

_CLAUSES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "term": (
        (rf"\b(?:initial\s+)?(?:term|period|duration)\b[^.;]{{0,120}}?\b(?P<v>{_SPAN})", 0.84),
        (rf"\bremain\w*\s+in\s+(?:full\s+)?(?:force|effect)\b[^.;]{{0,60}}?\b(?P<v>{_SPAN})", 0.84),
        (rf"\bcontinue\w*\b[^.;]{{0,60}}?\bfor\b[^.;]{{0,30}}?\b(?P<v>{_SPAN})", 0.8),
        (r"\b(?:term|continue\w*|remain\w*\s+in\s+(?:full\s+)?(?:force|effect))\b[^.;]{0,90}?"
         r"\b(?P<v>until\s+(?:terminated|cancelled)\b[^.;,]{0,60})", 0.7),
        (rf"\b(?:Laufzeit|Vertragsdauer|Dauer)\b[^.;]{{0,60}}?\b(?P<v>{_SPAN})", 0.84),
        (r"\b(?P<v>auf\s+unbestimmte\s+Zeit)\b", 0.84),
    ),
    "renewal": (
        (rf"\b(?:automatically\s+)?renew\w*\b[^.;]{{0,90}}?\b(?P<v>{_SPAN})", 0.8),
        (rf"\bverlängert\s+sich\b[^.;]{{0,60}}?\b(?P<v>{_SPAN})", 0.8),
    ),
    "notice": (
        (rf"\b(?P<v>{_SPAN})['’]?\s+(?:prior\s+|advance\s+)?(?:written\s+)?notice\b", 0.84),
        (rf"\bnotice\s+(?:period\s+)?of\b[^.;]{{0,30}}?\b(?P<v>{_SPAN})", 0.82),
        (rf"\b(?:Kündigungsfrist\s+(?:von|beträgt)|Frist\s+von)\s+(?P<v>{_SPAN})", 0.84),
    ),
    "governing_law": (
        (r"\b(?:governed|construed|interpreted)\b[^.;]{0,90}?\b(?:the\s+)?(?:substantive\s+)?laws?\s+of\s+"
         r"(?:the\s+)?(?P<v>(?:(?:State|Commonwealth|Province|Kingdom|Republic|Federal\s+Republic|"
         r"People's\s+Republic)\s+of\s+)?[A-Z]\w+(?:(?:,?\s+and\s+|\s+)[A-Z]\w+){0,3})", 0.88),
        (r"\b(?:governed|construed|interpreted)\b[^.;]{0,60}?\b(?:by|with)\s+(?:the\s+)?"
         r"(?P<v>[A-Z][a-z]+(?:\s[A-Z][a-z]+)?)\s+law\b", 0.84),
        (r"\blaws?\s+of\s+(?:the\s+)?(?P<v>(?:(?:State|Commonwealth|Republic)\s+of\s+)?[A-Z]\w+"
         r"(?:(?:,?\s+and\s+|\s+)[A-Z]\w+){0,3})\s+(?:shall\s+)?(?:govern|appl)\w*", 0.84),
        (r"\b[Ee]s\s+gilt\b[^.;]{0,40}?\b(?P<v>(?:das\s+)?(?:deutsches?|österreichisches?|"
         r"schweizerisches?)\s+Recht|(?:das\s+)?Recht\s+der\s+"
         r"(?:Bundesrepublik\s+)?[A-Z]\w+)", 0.86),
        (r"\b(?:unterliegt|unterliegen)\b[^.;]{0,40}?\b(?P<v>(?:dem\s+)?(?:deutschem|deutschen|"
         r"österreichischem|schweizerischem)\s+Recht|(?:dem\s+)?Recht\s+der\s+"
         r"(?:Bundesrepublik\s+)?[A-Z]\w+)", 0.86),
    ),
}  # fmt: skip

_OTHER_SPANS = re.compile(r"renew|notice|verlänger|kündig|successive", re.IGNORECASE)


def clauses(schema: Schema, sheet: Sheet) -> tuple[Found, ...]:
    """Returns what the prose of a sheet says of a schema's fields, in reading order.

    It knows the fields `party`, `party_role`, `effective_date`, `term`, `renewal`, `notice` and
    `governing_law`; of other names nothing is found.
    """
    text = prose(sheet)
    names = {field.name for field in schema.fields}
    found: list[Found] = []
    if "party" in names:
        found += [one for one in parties(text) if one.field in names]
    if "effective_date" in names:
        found += _effective(text)
    for name, patterns in _CLAUSES.items():
        if name in names:
            found += _clause(text, name, patterns)
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.field)))


def _clause(text: Prose, field: str, patterns: tuple[tuple[str, float], ...]) -> Iterator[Found]:
    taken: list[tuple[int, int]] = []
    for pattern, score in patterns:
        flags = 0 if field == "governing_law" else re.IGNORECASE
        for match in re.finditer(pattern, text.flat, flags):
            start, end = match.span("v")
            about = text.flat[max(0, match.start() - 25) : match.end()]
            if field == "term" and _OTHER_SPANS.search(about):
                continue
            if any(start < last and first < end for first, last in taken):
                continue
            taken.append((start, end))
            value = _tidy(field, text.flat[start:end])
            yield text.found(field, value, start, end, score - 0.06 * (len(taken) - 1))


def _tidy(field: str, text: str) -> str:
    told = " ".join(text.split()).strip(" ,.;")
    if field == "governing_law":
        told = re.sub(r"^(?:the|das|dem)\s+", "", told, flags=re.IGNORECASE)
        told = re.sub(r"\s+(?:without|and|excluding|Without|Any|The|This)$", "", told)
    return told


def _effective(text: Prose) -> Iterator[Found]:
    """Yields dates that a contract may be effective from: the one that is called so first."""
    dates = [(one.start, one.end, one.value) for one in parsing.dates(text.flat)]
    for match in _DATE_OF_WORDS.finditer(text.flat):
        told = f"{match['day']} {match['month']} {match['year']}"
        parsed = next(parsing.dates(told), None)
        if parsed:
            dates.append((match.start(), match.end(), parsed.value))
    for start, end, value in sorted(dates):
        before, after = text.flat[max(0, start - 130) : start], text.flat[end : end + 60]
        score = 0.0
        if _AFTER_DATE.search(after) or re.search(r"Effective\s+Date\W{0,6}$", before):
            score = 0.9
        for pattern, sure in _EFFECTIVE:
            if re.search(pattern + r"$", before, re.IGNORECASE):
                score = max(score, sure)
        if score:
            yield text.found("effective_date", value, start, end, score)
