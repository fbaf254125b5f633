"""The document workload: scans to pages, pages to facts, facts to a graph.

Its stage kinds, and the same as Prefect tasks for a person's own flows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.tasks.documents.submit import extract, load, read

__all__ = ["extract", "load", "read"]


if not TYPE_CHECKING:  # a type checker knows the names above and no others

    def __getattr__(name: str) -> Any:
        # Sessions import the kinds of this package and must not pay for Prefect's import.
        if name in __all__:
            from millrace.tasks.documents import submit

            return getattr(submit, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
