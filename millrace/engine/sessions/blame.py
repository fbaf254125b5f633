"""What an exception of a stage kind means for the batch it was raised on."""

from __future__ import annotations

import re
import sys
import traceback
from errno import EDQUOT, ENOSPC
from typing import Literal

from millrace.engine.errors import BadInput, ItemError, MillraceError, ToolMissing
from millrace.engine.sessions.claims import BrokenKind
from millrace.engine.stages import Failure

_LONGEST_REASON = 300  # characters


def failure_of(kind: str, key: str, name: str, error: BaseException) -> Failure:
    """Returns the failure of the batch `key` of the item called `name`.

    What the kind did not raise on purpose is `crashed_kind`, in one line; the traceback goes to
    stderr, which is the log.
    """
    if isinstance(error, ItemError):
        return Failure(
            key=key,
            code=error.code,
            message=error.message,
            hint=error.hint,
            fault="input" if isinstance(error, BadInput) else "stage",
        )
    if disk_full(error):
        hint = "free some space and run again: what is finished is kept"
        return Failure(key=key, code="disk_full", message=f"the disk is full at {name}", hint=hint)
    if isinstance(error, BrokenKind):
        return Failure(key=key, code="broken_kind", message=str(error))
    if isinstance(error, ToolMissing):
        return Failure(key=key, code="tool_missing", message=error.message, hint=error.hint)
    traceback.print_exception(error, file=sys.stderr)
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]
    hint = error.hint if isinstance(error, MillraceError) else "the log has the traceback"
    message = f"{kind} crashed on {name}: {what}"
    return Failure(key=key, code="crashed_kind", message=message, hint=hint)


def whose(error: BaseException) -> Literal["input", "tool", "kind"]:
    """Returns whose fault an exception is."""
    if isinstance(error, BadInput):
        return "input"
    return "tool" if isinstance(error, ToolMissing) else "kind"


def word_of(error: MillraceError) -> str:
    """Returns the name of the error's class as a code: `not_permitted`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()


def disk_full(error: BaseException) -> bool:
    """True when the file system or the quota had no room left."""
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT)
