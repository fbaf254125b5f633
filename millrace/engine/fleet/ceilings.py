"""Ceilings of folders: what is more sensitive than a declared store may hold is not put there.

Exchanges ask the clearance of their store before they write. This is for what goes past them:
results that a pipeline delivers into a folder which `pools.yaml` declares as a store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from millrace.engine.errors import ItemError
from millrace.engine.labels import Label, permits
from millrace.engine.settings import Settings


class Ceilings:
    """The most sensitive label that may lie in each of some folders."""

    def __init__(self, folders: Mapping[Path, Label]) -> None:
        self._folders = {Path(os.path.realpath(path)): label for path, label in folders.items()}

    def check(self, target: Path, label: Label) -> None:
        """Raises ItemError `not_permitted` where data of this label may not be put.

        Links on the way count for where they lead.
        """
        if not self._folders:
            return
        real = Path(os.path.realpath(target))
        for folder, clearance in self._folders.items():
            if real.is_relative_to(folder) and not permits(clearance, label):
                raise ItemError(
                    "not_permitted",
                    f"clearance: {target} lies in a store that may hold {clearance} data at most, "
                    f"this is {label}",
                    hint="the result is in the store `home`; choose another `to:`, or relabel it",
                )


def ceilings_of(settings: Settings) -> Ceilings:
    """Returns the ceilings of the fleet of this host; without a `pools.yaml` there are none.

    Raises DocumentError when there is one and it is wrong.
    """
    if not settings.fleet.exists():
        return Ceilings({})
    from millrace.engine.fleet.reading import load_fleet  # a host without one need not pay

    stores = load_fleet(settings.fleet).stores.values()
    parts = ((urlsplit(store.url), store.clearance) for store in stores if store.url)
    return Ceilings({Path(url.path): label for url, label in parts if url.scheme in ("", "file")})
