"""Taking results out of a worker's own store once the conductor has them."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.engine.store import Manifest, Store, files_of


def discard(store: Store, keys: Iterable[str]) -> None:
    """Removes results, and those of their bytes that no other result needs. Raises OSError.

    Records go first: a kill in between leaves bytes that nothing names.
    """
    with store.locked(exclusively=True):
        gone: set[str] = set()
        for key in keys:
            path = store.manifest_path(key)
            if path.exists():
                gone |= _digests(Manifest.model_validate_json(path.read_bytes()))
                store.drop(key)
            store.forget_failure(key)
        kept = {digest for manifest in store.manifests() for digest in _digests(manifest)}
        for digest in gone - kept:
            store.locate(digest).unlink(missing_ok=True)


def _digests(manifest: Manifest) -> set[str]:
    return {digest for digest, _ in files_of(manifest.output)}
