"""Taking results out of a worker's own store once the conductor has them."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.engine.store import Store, files_of


def discard(store: Store, keys: Iterable[str]) -> None:
    """Removes results, and all bytes that no other result needs. Raises OSError.

    Records go first. What a worker that was killed has left without a name goes too: nobody commits
    while this is at work.
    """
    with store.locked(exclusively=True):
        for key in keys:
            store.drop(key)
            store.forget_failure(key)
        kept = {digest for m in store.manifests() for digest, _ in files_of(m.output)}
        for pattern in ("objects/*/*", "objects/*/.*.part", "manifests/*/.*.part", "tmp/*"):
            for path in store.root.glob(pattern):
                if path.name not in kept:
                    path.unlink(missing_ok=True)
