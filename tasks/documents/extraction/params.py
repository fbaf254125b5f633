"""The parameters of `documents.extract`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_SCHEMAS = ("receipt", "invoice", "contract", "form", "invoice-zh", "form-zh")


class ExtractParams(BaseModel):
    """What is looked for in documents that were read, and where Spark runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemas: tuple[str, ...] = Field(
        default=DEFAULT_SCHEMAS,
        min_length=1,
        description="document types that may occur: names of shipped schemas, or paths of one's "
        "own; each document is taken for the one that fits it best",
    )
    models: str = Field(
        default="",
        description="a folder of models that `millrace documents train` made; where it has none "
        "for a schema, the shipped one is taken, else rules alone decide",
    )
    spark_master: str = Field(
        default="local[*]",
        description="local[*]: the cores of the session, on its host; cluster: the cluster that "
        "MILLRACE_SPARK_MASTER names on that host, and no other",
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="probability from which on a fact is accepted without a person; default: what "
        "each schema's model was calibrated to, 0.9 for rules alone",
    )
