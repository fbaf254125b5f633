"""Why a place did not do what it was asked."""

from __future__ import annotations


class Trouble(Exception):
    """One attempt failed. `passing` means that another may not. The reason holds no secrets."""

    def __init__(self, reason: str, *, passing: bool, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.passing, self.hint = reason, passing, hint
