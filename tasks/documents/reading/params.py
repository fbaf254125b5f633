"""The parameters of `documents.read` and `documents.searchable`.

Passwords are no parameter: they would stand in pipelines, keys and journals. See `opening`.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Language = Literal["eng", "deu", "fra", "chi_sim"]
Speed = Literal["fast", "balanced", "thorough"]


class ReadParams(BaseModel):
    """How documents are read, and what is kept of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: Literal["auto"] | tuple[Language, ...] = Field(
        default="auto",
        description="languages to expect, by their Tesseract names; auto: found out page by page",
    )
    speed: Speed = Field(
        default="balanced",
        description="fast: the first reader, one pass; balanced: a second reader where the first "
        "is not certain; thorough: all passes of all readers",
    )
    layers: Literal["auto", "ignore"] = Field(
        default="auto",
        description="auto: a PDF page's own text is taken where it can be trusted; ignore: every "
        "page is read by OCR",
    )
    dpi: int = Field(
        default=300, ge=72, le=600, description="pixels an inch at which a PDF page is rendered"
    )
    previews: bool = Field(
        default=True, description="keep a small grey picture of each page that was read by OCR"
    )
    max_pages: int = Field(
        default=5000, ge=1, description="a document of more pages is refused before it is read"
    )
    max_pixels: int = Field(
        default=50_000_000,
        ge=1_000_000,
        description="the most pixels a page is rendered or decoded to; a larger page is refused",
    )
    page_seconds: int = Field(
        default=50, ge=1, description="a page that takes longer is given up, the rest goes on"
    )

    @field_validator("languages", mode="before")
    @classmethod
    def _as_words(cls, value: object) -> object:
        # A command line gives one text; a pipeline gives a list.
        if isinstance(value, str) and value != "auto":
            return tuple(word for word in re.split(r"[+, ]+", value) if word)
        return value

    @field_validator("languages")
    @classmethod
    def _are_some(cls, value: object) -> object:
        if value == ():
            raise ValueError("name a language, or leave it to auto")
        return value
