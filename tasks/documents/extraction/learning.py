"""What people decided, in the model at once: values they named are known from then on."""

from __future__ import annotations

from millrace.tasks.documents.extraction.model import Model
from millrace.tasks.documents.extraction.schema import Schema
from millrace.tasks.documents.extraction.training import corrected
from millrace.tasks.documents.review.learning import Labels, known_values


def telling(schema: Schema, labelled: Labels) -> Labels:
    """Returns of people's decisions what a gazetteer learns: fields that have one, by document."""
    named = {field.name for field in schema.fields if field.gazetteer}
    told = {
        digest: {field: value for field, value in one.items() if field in named and value}
        for digest, one in sorted(labelled.items())
    }
    return {digest: one for digest, one in told.items() if one}


def knowing(model: Model, schema: Schema, labelled: Labels) -> Model:
    """Returns the model whose gazetteer also knows what people decided."""
    told = known_values(telling(schema, labelled))
    return corrected(model, told, schema) if told else model
