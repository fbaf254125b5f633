"""Which mentions in documents are the same company, address or person: with evidence, reversible.

Mentions that share a block (a registration number, the beginning of a name, a rare word) are
compared; pairs that are alike enough are merged, the surest first. Nothing is overwritten: a merge
is a link from a mention to an entity with the reasons for it, so it can be taken back. What a
person has said, same or not the same, is obeyed before anything is compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import ratio

from millrace.tasks.documents.graph import names
from millrace.tasks.documents.graph.names import Name

_READ = {"Company": names.company, "Person": names.person, "Address": names.address}
_CROWD = 200  # members of a block that is too common to tell anything

SURE = 0.90
"""Likeness from which two mentions are merged without other evidence. Chosen on the vendor names of
the receipts so that none is merged wrongly; a test holds precision and recall there."""

HELPED = 0.78
"""Likeness that is enough where a second thing agrees: an address, or a registration number."""

CUT = 0.8
"""Likeness of a name to a part of it: never enough alone."""


@dataclass(frozen=True, slots=True)
class Mention:
    """Something a document speaks of. `id` is unique; `kind` is a label of the graph."""

    id: str
    kind: str
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merge:
    """Why two mentions are the same: the likeness of each thing that was compared, 0 to 1."""

    left: str
    right: str
    score: float
    evidence: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Resolved:
    """An entity: its mentions' ids, its best name, and the merges that hold it together."""

    kind: str
    name: str
    members: tuple[str, ...]
    merges: tuple[Merge, ...]


def resolve(
    mentions: Sequence[Mention],
    *,
    same: Iterable[tuple[str, str]] = (),
    apart: Iterable[tuple[str, str]] = (),
) -> tuple[Resolved, ...]:
    """Returns the entities of mentions, sorted; every mention is in exactly one.

    `same` and `apart` are pairs of ids that a person has decided on. The result does not depend on
    the order of the mentions. Raises ValueError when what a person has said contradicts itself.
    """
    ordered = sorted(mentions, key=lambda mention: mention.id)
    known = {mention.id: mention for mention in ordered}
    read = {m.id: _READ.get(m.kind, names.person)(m.name) for m in ordered}
    forbidden = {frozenset(pair) for pair in apart}
    groups = _Groups(known, forbidden)
    for left, right in sorted(same):
        if (
            left in known
            and right in known
            and not groups.join(Merge(left, right, 1.0, {"said": 1.0}))
        ):
            raise ValueError(f"{left} and {right} are said to be both the same and not the same")
    first: dict[object, Mention] = {}
    for mention in ordered:  # the same words again and again are compared once
        written = first.setdefault((mention.kind, read[mention.id]), mention)
        if written is not mention and not _differ(written, mention):
            groups.join(Merge(written.id, mention.id, 1.0, {"name": 1.0}))
    some = [m for m in ordered if groups.leads(m.id)]
    found = (compare(known[a], known[b], read[a], read[b]) for a, b in _pairs(some, read))
    merges = [merge for merge in found if merge]
    for merge in sorted(merges, key=lambda m: (-m.score, m.left, m.right)):
        if _fits(groups, merge, known, read):
            groups.join(merge)
    return groups.resolved(read)


def _differ(one: Mention, other: Mention) -> bool:
    """True when registration numbers tell mentions of one name apart."""
    numbers = {m.attributes.get("registration", "") for m in (one, other)} - {""}
    return len(numbers) > 1


def compare(left: Mention, right: Mention, one: Name, other: Name) -> Merge | None:
    """Returns why two mentions of one kind are the same; None where they are not, or may not be."""
    if left.kind != right.kind or not one.words or not other.words:
        return None
    if not _near(one, other):  # what cannot be alike enough is not looked at closely
        return None
    evidence = {"name": likeness(one, other)}
    first = left.attributes.get("registration", "") or one.registration
    second = right.attributes.get("registration", "") or other.registration
    if first and second:
        evidence["registration"] = (
            ratio(names.alike(names.fold(first)), names.alike(names.fold(second))) / 100
        )
    where, there = left.attributes.get("address", ""), right.attributes.get("address", "")
    if where and there:
        evidence["address"] = likeness(names.address(where), names.address(there))
    if left.kind == "Address" and names.numbers(one.words) != names.numbers(other.words):
        return None  # another house, another postcode
    if evidence.get("registration", 1.0) < 0.7:
        return None  # whatever the names say
    helped = evidence.get("registration", 0.0) > 0.9 or evidence.get("address", 0.0) > 0.85
    if evidence["name"] < (HELPED if helped else SURE):
        return None
    return Merge(left.id, right.id, sum(evidence.values()) / len(evidence), evidence)


def likeness(one: Name, other: Name) -> float:
    """Returns how alike two names are, 0 to 1: that of their least alike word, spaces apart.

    A reader changes letters here and there; another company has another word. So two names are as
    alike as the pair of words that differ most, unless only the spaces between them differ.
    """
    squeezed = _ratio(one.squeezed, other.squeezed)
    if one.squeezed == other.squeezed:
        return 1.0
    if _cut(one.words, other.words) or _cut(other.words, one.words):
        return CUT
    worst = 1.0
    rest = list(other.words)
    for word in one.words:
        best = max(rest, key=lambda w: _ratio(word, w), default="")
        if best and _ratio(word, best) >= 0.5:
            rest.remove(best)
            worst = min(worst, _ratio(word, best))
        else:
            worst = 0.0
    if rest:
        worst = 0.0
    if worst == 0.0 and _slips(one.squeezed, other.squeezed):
        return squeezed
    return (squeezed + min(squeezed, worst)) / 2 if worst else squeezed / 2


def _near(one: Name, other: Name) -> bool:
    """True unless the likeness of two names is below what is ever enough: it is never above that of
    their letters, but for a name that is a part of the other."""
    return (
        _ratio(one.squeezed, other.squeezed) >= HELPED
        or _cut(one.words, other.words)
        or _cut(other.words, one.words)
    )


def _cut(short: tuple[str, ...], long: tuple[str, ...]) -> bool:
    """True when a name is the beginning or the end of another: a line of it was not read."""
    told = len(short) > 1 and sum(map(len, short)) >= 8
    return told and short in (long[: len(short)], long[-len(short) :])


def _ratio(one: str, other: str) -> float:
    """Returns 1 minus the share of letters that differ; those that readers confuse differ half."""
    plain = Levenshtein.normalized_similarity(one, other)
    return (plain + Levenshtein.normalized_similarity(names.alike(one), names.alike(other))) / 2


def _slips(one: str, other: str) -> bool:
    """True when two texts differ by single letters only, never by two in a row."""
    edits = Levenshtein.opcodes(one, other)
    changed = [e for e in edits if e.tag != "equal"]
    longest = max(
        (max(e.src_end - e.src_start, e.dest_end - e.dest_start) for e in changed), default=0
    )
    return longest <= 1 and len(changed) <= max(1, len(one) // 8)


def _pairs(mentions: Sequence[Mention], read: Mapping[str, Name]) -> Iterable[tuple[str, str]]:
    blocks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for mention in mentions:
        name = read[mention.id]
        squeezed = names.alike(name.squeezed)
        keys = {
            squeezed[:4],
            squeezed[-5:],
            *(names.alike(w)[:5] for w in name.words if len(w) > 3),
        }
        if number := mention.attributes.get("registration", "") or name.registration:
            keys.add("#" + names.alike(names.fold(number)))
        for key in keys:
            blocks[mention.kind, key].append(mention.id)
    pairs = {
        pair
        for members in blocks.values()
        if len(members) <= _CROWD
        for pair in combinations(members, 2)
    }
    return sorted(pairs)


class _Groups:
    """Mentions joined so far."""

    def __init__(self, known: Mapping[str, Mention], apart: set[frozenset[str]]) -> None:
        self._known, self._apart = known, apart
        self.of = {id: {id} for id in known}
        self._merges: list[Merge] = []

    def join(self, merge: Merge) -> bool:
        """Joins the groups of two mentions; False when a person has said that they are two."""
        left, right = self.of[merge.left], self.of[merge.right]
        if left is right:
            return True
        if any(frozenset((a, b)) in self._apart for a in left for b in right):
            return False
        left |= right
        for id in right:
            self.of[id] = left
        self._merges.append(merge)
        return True

    def leads(self, id: str) -> bool:
        """True for the one mention of each group that is compared for all."""
        return min(self.of[id]) == id

    def resolved(self, read: Mapping[str, Name]) -> tuple[Resolved, ...]:
        """Returns the groups as entities."""
        kept: dict[int, list[Merge]] = defaultdict(list)
        for merge in self._merges:
            kept[id(self.of[merge.left])].append(merge)
        unique = {id(group): group for group in self.of.values()}
        made = [
            Resolved(
                self._known[min(group)].kind,
                _best([self._known[m].name for m in sorted(group)]),
                tuple(sorted(group)),
                tuple(kept[mark]),
            )
            for mark, group in unique.items()
        ]
        return tuple(sorted(made, key=lambda entity: entity.members))


def _fits(
    groups: _Groups, merge: Merge, known: Mapping[str, Mention], read: Mapping[str, Name]
) -> bool:
    """True when two groups as wholes are alike: small steps must not lead from one to another."""
    left, right = sorted(groups.of[merge.left])[:8], sorted(groups.of[merge.right])[:8]
    return all(likeness(read[a], read[b]) >= HELPED for a in left for b in right)


def _best(written: Sequence[str]) -> str:
    """Returns the name that most others are like: a reader's slips are rare and differ."""
    counted: dict[str, int] = defaultdict(int)
    for name in written:
        counted[name] += 1
    distinct = sorted(counted)[:50]
    return max(distinct, key=lambda n: (sum(ratio(n, m) * counted[m] for m in distinct), n))
