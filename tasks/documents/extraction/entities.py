"""Entities and relations of a schema, from the facts of a document."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.tasks.documents.extraction.schema import EntitySpec, Schema
from millrace.tasks.documents.facts import Entity, Fact, Relation


def build(schema: Schema, facts: Sequence[Fact]) -> tuple[tuple[Entity, ...], tuple[Relation, ...]]:
    """Returns what the graph gets beside the facts themselves.

    An entity is there when its name is; where the field has several values there are as many. It
    is as likely as its name, a relation as likely as the less likely of its two ends.
    """
    made = {name: _entities(name, spec, facts) for name, spec in schema.entities.items()}
    ends: dict[str, tuple[Entity | None, ...]] = {**made, "document": (None,)}
    relations = [
        _relation(spec.kind, source, target)
        for spec in schema.relations
        for source in ends.get(spec.source, ())
        for target in ends.get(spec.target, ())
        if source is not target
    ]
    entities = tuple(entity for found in made.values() for entity in found)
    return entities, tuple(relations)


def _relation(kind: str, source: Entity | None, target: Entity | None) -> Relation:
    """Returns a relation between two entities; None is the document, which is sure to be there."""
    both = [entity for entity in (source, target) if entity]
    return Relation(
        kind,
        source.key if source else "",
        target.key if target else "",
        min(entity.probability for entity in both),
        tuple(evidence for entity in both for evidence in entity.evidence),
    )


def _entities(name: str, spec: EntitySpec, facts: Sequence[Fact]) -> tuple[Entity, ...]:
    named = [fact for fact in facts if fact.field == spec.name and fact.value]
    return tuple(
        Entity(
            key=f"{name}:{fact.path}" if fact.path else name,
            kind=spec.kind,
            names=tuple(dict.fromkeys((fact.value, *_others(fact)))),
            attributes=_attributes(spec, fact, facts),
            probability=fact.probability,
            evidence=fact.evidence,
        )
        for fact in named
    )


def _others(fact: Fact) -> tuple[str, ...]:
    """Returns how else the name stands in the document, where it is read differently."""
    return (fact.raw,) if fact.raw and fact.raw.casefold() != fact.value.casefold() else ()


def _attributes(spec: EntitySpec, named: Fact, facts: Sequence[Fact]) -> dict[str, str]:
    """Returns the attributes whose fields have a value in the same row, or one in all."""
    found = {}
    for attribute, field in sorted(spec.attributes.items()):
        values = [fact for fact in facts if fact.field == field and fact.value]
        same = [fact for fact in values if fact.path == named.path] or (
            values if len(values) == 1 else []
        )
        if same:
            found[attribute] = same[0].value
    return found
