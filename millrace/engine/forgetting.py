"""Forgetting some content: everything that was made of it leaves this host, at once and for good.

What counts as made of it: every result whose inputs it is among, and so on from there. Results of a
gathering stage carry the digest of the whole folder and are not followed; their kinds say what they
keep. Journals keep names of files and figures until `millrace gc` removes the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from millrace.engine.deliver import take_back
from millrace.engine.measurements import Measurements
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store, files_of


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed: results, stored files, delivered copies, remembered measurements.

    `kept` are delivered copies that somebody has changed since: they are a person's own.
    """

    results: int
    files: int
    delivered: tuple[Path, ...]
    kept: tuple[Path, ...]
    measured: int


def derived(manifests: Iterable[Manifest], digest: str) -> list[Manifest]:
    """Returns the results that were made of some content, directly or through others. Pure."""
    rest, known, found = list(manifests), {digest}, list[Manifest]()
    while made := [m for m in rest if known & set(m.recipe.inputs.values())]:
        found += made
        known |= {m.output.digest for m in made}
        rest = [m for m in rest if m not in made]
    return found


def forget(settings: Settings, digest: str) -> Forgotten:
    """Removes all that was made of the content with this SHA-256, records first, bytes after.

    Bytes that another document's results need as well stay. Raises StoreError.
    """
    store = Store(settings.store)
    with store.locked(exclusively=True):
        everything = list(store.manifests())
        gone = derived(everything, digest)
        keys = {manifest.key for manifest in gone}
        needed = {d for m in everything if m.key not in keys for d, _ in files_of(m.output)}
        bytes_of = {d for m in gone for d, _ in files_of(m.output)} - needed
        for manifest in gone:
            store.drop(manifest.key)
        delivered, kept = take_back(store, bytes_of)
        for one in bytes_of:
            store.locate(one).unlink(missing_ok=True)
    measurements = Measurements(settings.measurements)
    measured = measurements.forget({digest, *bytes_of})
    measurements.close()
    return Forgotten(len(gone), len(bytes_of), delivered, kept, measured)
