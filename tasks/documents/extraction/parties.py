"""The parties of a contract and what it calls them.

Three styles: "between X, a …, and Y, a … (the "Client")"; a numbered or lettered list of parties;
"zwischen X … (nachfolgend "Auftraggeber") und Y". What follows a name (legal form, seat, role) is
taken off it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from millrace.tasks.documents.extraction.found import Found
from millrace.tasks.documents.extraction.prose import Prose

HEAD = 6000
"""Parties are named within so many characters of the beginning."""
LONGEST = 900
"""The passage that names them is no longer."""

_FORM = (
    r"(?:Inc|Incorporated|Corp|Corporation|LLC|L\.L\.C|LLP|LP|Ltd|Limited|PLC|plc|Co|Company|GmbH|"
    r"AG|KG|OHG|UG|SE|e\.V|S\.A|SA|SAS|SARL|B\.V|BV|N\.V|Pty|Pte|Sdn|Bhd|GmbH & Co\. KG)"
)
_OPEN = re.compile(
    r"(?P<by>\b(?:by\s+and\s+between|by\s+and\s+among|between|among)\b\s*:?)"
    r"|(?P<zw>\bzwischen\b\s*:?)",
    re.IGNORECASE,
)
_STOP = re.compile(
    r"\b(?:WHEREAS|RECITALS|NOW,?\s+THEREFORE|WITNESSETH|BACKGROUND|IT\s+IS\s+(?:HEREBY\s+)?AGREED|"
    r"The\s+parties\s+agree|(?:each|individually)\s+a\s+\"?Party|Präambel|§\s*1|"
    r"wird\s+(?:folgender|nachfolgender|der\s+folgende))",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r",?\s*\(\s*(?:(?:hereinafter|hereafter|each|collectively)\b[^\")]{0,60})?(?:the\s+)?"
    r"\"\s*(?:the\s+)?(?P<q>[^\"]{2,40}?)\s*\"[^)]{0,60}\)"
    r"|,?\s*\(?(?:hereinafter|hereafter)\s+(?:referred\s+to\s+as\s+|called\s+)?(?:the\s+)?"
    r"\"?(?P<h>[A-Z][\w ]{1,30}?)\"?(?=[\s),.;])"
    r"|[-–,]?\s*\(?\s*(?:im\s+Folgenden|nachfolgend|nachstehend)\s*(?:auch\s+)?(?:als\s+|:\s*)?"
    r"\"?(?P<d>[A-ZÄÖÜ][\wäöüß]{2,30})\"?(?:\s+genannt)?\s*\)?(?:\s*[-–])?"
    r"|\(\s*(?:the\s+)?(?P<p>Company|Customer|Client|Supplier|Seller|Buyer|Licensor|Licensee|"
    r"Landlord|Tenant|Lessor|Lessee|Contractor|Consultant|Employer|Employee|Provider|Recipient|"
    r"Discloser|Disclosing\s+Party|Receiving\s+Party|Borrower|Lender)\s*\)"
)
_AND = re.compile(
    r"(?:^|[\s,;)])(?:and|und|AND|UND)\s*:?\s+(?=(?:(?:der|die|dem|the)\s+)?[\"(]?\W{0,3}[A-ZÄÖÜ\d(])"
    r"|(?<=\))[,;]\s+(?=[A-ZÄÖÜ])"
)
_FIRST_CLAUSE = re.compile(r"(?<=[.)\s])\s+(?:1\.|§\s*1\b|Article\s+1\b|Section\s+1\b)")
_LISTED = re.compile(r"(?:^|(?<=[\s;]))\(?(?:\d|[A-Da-d])[.)]\s+(?=[A-ZÄÖÜ])")
_TAIL = re.compile(
    r"(?:,|\s+)\s*(?:an?\s+(?:\w+\s+){0,4}(?:corporation|company|partnership|individual|entity|"
    r"organi[sz]ation|limited|natural|private|public|person)\b"
    r"|a\s+company\b|with\s+(?:its|a|an|offices?|registered)\b|having\s+(?:its|a|an)\b|"
    r"whose\b|located\b|incorporated\b|organi[sz]ed\b|registered\b|residing\b|of\s+\d|"
    r"represented\b|acting\b|vertreten\b|mit\s+Sitz\b|ansässig\b|wohnhaft\b|geschäftsansässig\b|"
    r"eingetragen\b|\().*",
    re.DOTALL,
)
_NAME_STOP = re.compile(rf"^(.{{2,90}}?\b{_FORM}\.?)(?=\s*(?:,|\(|$)|(?<=\.)\s+of\s)", re.DOTALL)
_NOT_A_NAME = re.compile(
    r"^(?:the\s+)?(?:parties?|this|these|its|their|each|any|such|date|both|following|undersigned)\b",
    re.IGNORECASE,
)


def parties(text: Prose) -> tuple[Found, ...]:
    """Returns the parties as `party` and what they are called as `party_role`, numbered from 1."""
    for opening in _OPEN.finditer(text.flat[:HEAD]):
        start = opening.end()
        passage = text.flat[start : start + LONGEST]
        for pattern in (_STOP, _FIRST_CLAUSE):
            if (stop := pattern.search(passage)) and stop.start() > 5:
                passage = passage[: stop.start()]
        found = list(_named(text, start, passage))
        if sum(one.field == "party" for one in found) >= 2:
            return tuple(found)
    return ()


def _named(text: Prose, offset: int, passage: str) -> Iterator[Found]:
    number = 0
    for start, end in _members(passage):
        part = passage[start:end]
        role = _ROLE.search(part)
        before = part[: role.start()] if role else part
        told = _name(before)
        if told is None:
            continue
        first, last = told
        at = offset + start
        value = text.whole(at + first, at + last)
        number += 1
        score = 0.86 if role else 0.74
        if re.search(rf"\b{_FORM}\.?$", value):
            score += 0.04
        yield text.found("party", value, at + first, at + last, score, str(number))
        if role:
            group = next(name for name in "qhdp" if role[name])
            left, right = role.span(group)
            called = " ".join(role[group].split())
            yield text.found("party_role", called, at + left, at + right, score, str(number))


def _members(passage: str) -> list[tuple[int, int]]:
    """Returns where each party is spoken of: list entries, or what "and" parts."""
    listed = [match.span() for match in _LISTED.finditer(passage)]
    if len(listed) >= 2 and not passage[: listed[0][0]].strip(" :"):
        ends = [start for start, _ in listed[1:]] + [len(passage)]
        return [(start, end) for (_, start), end in zip(listed, ends, strict=True)]
    roles = [match.span() for match in _ROLE.finditer(passage)]
    cuts = [0]
    ends = []
    for match in _AND.finditer(passage):
        if any(left <= match.start() < right for left, right in roles):
            continue
        before = passage[cuts[-1] : match.start()]
        if not _divides(before):
            continue
        ends.append(match.start())
        cuts.append(match.end())
        if len(cuts) == 4:
            break
    last = min([right for _, right in roles if right > cuts[-1]] or [_sentence(passage, cuts[-1])])
    return list(zip(cuts, [*ends, last], strict=True))


def _divides(before: str) -> bool:
    """Says whether what stands before an "and" is a whole party and not half of one's name."""
    if _ROLE.search(before) or re.search(rf"\b{_FORM}\b\.?", before):
        return True
    return bool(_TAIL.search(before)) or len(before.split()) >= 2


def _sentence(passage: str, start: int) -> int:
    """Returns where the sentence ends that goes on at `start`."""
    for match in re.finditer(r"[.;](?=\s+[A-Z§\d]|\s*$)", passage[start:]):
        head = passage[start : start + match.start()]
        if not re.search(rf"(?:\b{_FORM}|\b[A-Z]|\bNo|\bSt)$", head):
            return start + match.start()
    return len(passage)


def _name(text: str) -> tuple[int, int] | None:
    """Returns where the name of a party stands in what is said of it, None where none does."""
    start = re.match(
        r"[\s\"',:;.–-]*(?:(?:(?:the\s+company|(?:der|die)\s+Firma|the|der|die|dem|das|Herrn?|Frau|Mr\.?|Mrs\.?|Ms\.?)\s+))?",
        text,
    )
    first = start.end() if start else 0
    told = text[first:]
    whole = _NAME_STOP.match(told)
    told = whole[1] if whole else _TAIL.sub("", told)
    if not whole:
        told = told.split(",")[0]
        told = re.split(r"\s{3,}|\s[-–]\s|;", told)[0]
    told = told.rstrip(" ,;:\"'–-")
    words = told.split()
    if not words or len(words) > 12 or _NOT_A_NAME.match(told) or len(told) < 3:
        return None
    if not words[0][:1].isupper() and not words[0][:1].isdigit():
        return None
    return first, first + len(told)
