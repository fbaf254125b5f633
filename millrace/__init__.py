"""Millrace: declared pipelines for media and document work, placed, resumable, explained.

    from millrace import Pipeline, extract_documents, run_pipeline, upscale_video

    upscale_video("in.mp4", "out.mp4", scale=2)
    extract_documents("inbox/", "facts/", schemas=["receipt"], graph="graph/")
    run_pipeline("remaster.yaml")

Everything here works with nothing configured and raises the errors of `millrace.engine.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.engine.errors import MillraceError, RunFailed
    from millrace.engine.outcome import Outcome
    from millrace.engine.pipeline import Goal, Input, Output, Pipeline, Schedule, StageSpec
    from millrace.flows.documents import extract_documents
    from millrace.flows.one_off import run_pipeline
    from millrace.flows.video import assemble_video, encode_video, upscale_video

__all__ = [
    "Goal",
    "Input",
    "MillraceError",
    "Outcome",
    "Output",
    "Pipeline",
    "RunFailed",
    "Schedule",
    "StageSpec",
    "assemble_video",
    "encode_video",
    "extract_documents",
    "run_pipeline",
    "upscale_video",
]

_HOME = {
    "MillraceError": "engine.errors",
    "RunFailed": "engine.errors",
    "Outcome": "engine.outcome",
    "run_pipeline": "flows.one_off",
    "assemble_video": "flows.video",
    "encode_video": "flows.video",
    "extract_documents": "flows.documents",
    "upscale_video": "flows.video",
}


if not TYPE_CHECKING:  # a type checker knows the names above and no others

    def __getattr__(name: str) -> Any:
        # Importing Millrace costs nothing until something of it is used.
        if name in __all__:
            module = importlib.import_module(f"millrace.{_HOME.get(name, 'engine.pipeline')}")
            return getattr(module, name)
        raise AttributeError(f"module 'millrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
