"""Every error Millrace raises on purpose.

MillraceError
├── DocumentError        a pipeline document is wrong; carries every problem found      exit 2
├── UsageError           arguments are wrong                                            exit 2
├── NotPermitted         no pool may run it                                             exit 3
├── ToolMissing          a program or library is not installed                          exit 4
├── ServerError          the Prefect server cannot be reached or started                exit 4
├── GraphError           the graph cannot be reached, or refuses                        exit 4
├── StoreError           the store cannot be read or written                            exit 1
├── Interrupted          a person stopped the run                                       exit 130
├── Relieved             another conductor has the run, or will                         exit 1
├── RunFailed            raised by the Python face when items of a run failed           exit 1
└── ItemError            one item (or batch) cannot be done; the rest goes on           exit 1
    ├── BadInput         the input is at fault: remembered by key, not tried again
    ├── DamagedOutput    what a stage wrote is not what it promised
    └── SessionLost      the session died, hung or outgrew its limits: may be tried again

Each error has a message that names what is wrong and, in `hint`, what to do next.
"""

from __future__ import annotations

from typing import ClassVar, Self


class MillraceError(Exception):
    """The root. `exit_code` is the command line's; `hint` tells the person what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class DocumentError(MillraceError):
    """A pipeline document is wrong. `problems` holds every problem found, with its place."""

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class UsageError(MillraceError):
    """The arguments of a command or function are wrong."""

    exit_code = 2


class Relieved(MillraceError):
    """This conductor lets go of its run and leaves everything as it is for the next."""


class NotPermitted(MillraceError):
    """No pool may run this work; the message names the rule that forbids it."""

    exit_code = 3


class ToolMissing(MillraceError):
    """A program or library that a stage needs is not installed; the hint says how to install it."""

    exit_code = 4


class ServerError(MillraceError):
    """The Prefect server cannot be started or reached."""

    exit_code = 4


class GraphError(MillraceError):
    """The graph of facts cannot be reached, is locked, or was written by a newer Millrace.

    `away`: it may be there again after a while.
    """

    exit_code = 4

    def __init__(self, message: str, *, hint: str = "", away: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.away = away


class StoreError(MillraceError):
    """The store cannot be read or written (permissions, disk full, a foreign folder)."""


class Interrupted(MillraceError):
    """A person stopped the run; what was finished is kept and the next run continues."""

    exit_code = 130


class RunFailed(MillraceError):
    """Some items of a run failed. `failures` holds (item, stage, reason) for each."""

    def __init__(
        self, message: str, *, failures: tuple[tuple[str, str, str], ...] = (), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.failures = failures


class ItemError(MillraceError):
    """One item cannot be done. `code` is a short word that scripts can match."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.known = False

    def remembered(self) -> Self:
        """Returns the error marked as known from an earlier run, not found anew."""
        self.known = True
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.hint))


class BadInput(ItemError):
    """The input itself is at fault (`truncated`, `playlist`, `unsupported`, …)."""


class DamagedOutput(ItemError):
    """What a stage wrote is not what it promised (wrong frame count, unreadable, empty)."""

    def __init__(self, message: str, *, code: str = "damaged_output", hint: str = "") -> None:
        super().__init__(code, message, hint=hint)


class SessionLost(ItemError):
    """The session died (`crashed`), hung (`no_progress`, `timeout`) or grew too big (`memory`)."""


def _rebuild(cls: type[ItemError], code: str, message: str, hint: str) -> ItemError:
    if issubclass(cls, DamagedOutput):
        return cls(message, code=code, hint=hint)
    return cls(code, message, hint=hint)
