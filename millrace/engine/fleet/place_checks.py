"""What is wrong or doubtful about stores, floors and alerts: addresses, secrets, reach."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from millrace.engine.document.parameters import at_home
from millrace.engine.document.problems import Finding, Where, listed, nearest
from millrace.engine.fleet.draft import Draft
from millrace.engine.fleet.pools import HOME, Alerts, StoreSpec
from millrace.engine.labels import Label
from millrace.engine.remote import is_remote

SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "abfss", "file")

_CONTAINERS = ("abfs", "abfss")
_SECRET = re.compile(r"(?i)(secret|password|passwd|token|signature|sig|key|credential)[^=&]*=")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


def problems(draft: Draft) -> Iterator[Finding]:
    """Yields addresses that are none, that hold secrets, and floors that say nothing."""
    for name, store in draft.stores.items():
        if store is not None:
            yield from _store(name, store)
    if HOME not in draft.stores and "stores" not in draft.broken:
        message = (
            "the store 'home', the conductor's own, is missing; say what it is cleared for: "
            "`home: {clearance: restricted}`"
        )
        yield Finding(("stores",), message, at_key=True)
    for number, floor in enumerate(draft.floors):
        paths = floor.paths if floor is not None else ()
        for index, path in enumerate(paths):
            yield from _path(_at(draft, number, index), path)
        if floor is not None and not paths and _given(draft, number):
            yield Finding(("floors", number, "paths"), "a floor without paths protects nothing")
    if draft.alerts is not None:
        yield from _alerts(draft.alerts)


def doubts(draft: Draft, base: Path) -> Iterator[Finding]:
    """Yields what is allowed and probably not meant."""
    for name, store in draft.stores.items():
        if store is None:
            continue
        if name == HOME and store.url:
            message = "the home store lies in MILLRACE_HOME of the conductor's host; leave url out"
            yield Finding(("stores", name, "url"), message)
        if (store.endpoint or "").startswith("http://") and not _near(store.endpoint or ""):
            message = "files go there unencrypted; use https:// where others share the network"
            yield Finding(("stores", name, "endpoint"), message)
    for number, floor in enumerate(draft.floors):
        if floor is None:
            continue
        if floor.label is Label.PUBLIC and "label" in _raw(draft, number):
            yield Finding(("floors", number, "label"), "a floor of public raises nothing")
        for index, path in enumerate(floor.paths):
            if path.strip() and not _exists(path, base):
                message = f"nothing on this host is matched by {path!r}; is it mistyped?"
                yield Finding(_at(draft, number, index), message)
    yield from _nowhere(draft)


def _store(name: str, store: StoreSpec) -> Iterator[Finding]:
    where = ("stores", name, "url")
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name):
        message = f"{name!r} is no name for a store: use small letters, digits and -"
        yield Finding(("stores", name), message, at_key=True)
    for key, value in (("url", store.url), ("endpoint", store.endpoint or "")):
        if _secret(value):
            yield _hidden(("stores", name, key), "leave the credentials out of the address")
    if not store.url:
        if name != HOME:
            yield Finding(("stores", name), f"{name!r} needs `url:`", at_key=True)
        return
    scheme, separator, _ = store.url.partition("://")
    if separator and scheme.lower() not in SCHEMES:
        near = nearest(scheme, SCHEMES) or f"; use {listed(SCHEMES)}"
        yield Finding(where, f"no store can be reached by {scheme}://{near}")
    elif not (_place(scheme, store.url) if separator else store.url.startswith("/")):
        yield Finding(where, "must be a URL such as s3://bucket/folder, or a folder's path from /")
    if store.endpoint:
        if not (re.match(r"https?://", store.endpoint) and _host(store.endpoint)):
            message = "must be the server's address, such as https://s3.example.com:9000"
            yield Finding(("stores", name, "endpoint"), f"'endpoint' {message}")
        elif scheme.lower() != "s3":
            yield Finding(("stores", name, "endpoint"), "only a store at s3:// has an endpoint")


def _path(where: Where, path: str) -> Iterator[Finding]:
    if not path.strip():
        yield Finding(where, "an empty path protects nothing")
    elif is_remote(path):
        if _secret(path):
            yield _hidden(where, "leave the credentials out of the address")
        elif not _host(path):
            yield Finding(where, "this URL names no bucket or host")


def _alerts(alerts: Alerts) -> Iterator[Finding]:
    if alerts.webhook is None and alerts.block is None:
        message = "alerts need `webhook:` or `block:` to know whom to tell"
        yield Finding(("alerts",), message, at_key=True)
    webhook = alerts.webhook
    if webhook is not None and not _VARIABLE.fullmatch(webhook):
        words = "name the environment variable that holds the address, such as MILLRACE_WEBHOOK"
        secret = "://" in webhook or "/" in webhook
        message = f"an address is a secret: {words}" if secret else words
        yield Finding(("alerts", "webhook"), message, secret=secret)
    if alerts.block is not None and not _BLOCK.fullmatch(alerts.block):
        message = "'block' must be a Prefect block's type and name, such as slack-webhook/studio"
        yield Finding(("alerts", "block"), message)


def _exists(path: str, base: Path) -> bool:
    """True when something on this host is matched by a path of a floor; of URLs nobody can say."""
    if is_remote(path):
        return True
    whole = os.path.abspath(base / at_home(path.removeprefix("file://")))  # noqa: PTH100 - keeps `..`
    fixed = re.split(r"/[^/]*[*?\[]", whole, maxsplit=1)[0] or "/"
    if os.path.lexists(whole) or "**" in whole:  # all below `**` could take for ever to look at
        return os.path.lexists(fixed)
    return bool(glob.glob(whole, include_hidden=True))  # noqa: PTH207 - pathlib hides links


def _nowhere(draft: Draft) -> Iterator[Finding]:
    """Finds floors that no pool is cleared for, as far as pools and stores are known."""
    known = [pool for pool in draft.pools.values() if pool is not None and pool.runs == "work"]
    if not known or None in draft.pools.values() or None in draft.stores.values():
        return
    best = max(_effective(draft, pool.store, pool.clearance) for pool in known)
    for number, floor in enumerate(draft.floors):
        if floor is not None and floor.label > best:
            message = f"no pool may take what is {floor.label}; the highest is cleared for {best}"
            yield Finding(("floors", number, "label"), message)


def _effective(draft: Draft, store: str, clearance: Label) -> Label:
    spec = draft.stores.get(store)
    return clearance if spec is None else min(clearance, spec.clearance)


def _secret(address: str) -> bool:
    """True for an address that holds a password, a key or a signature."""
    scheme, _, rest = address.partition("://")
    user = rest.partition("/")[0].rpartition("@")[0]
    if scheme.lower() in _CONTAINERS and ":" not in user:
        user = ""  # abfs://container@account… is how Azure names a place
    return bool(user or _SECRET.search(address.partition("?")[2]))


def _host(address: str) -> str:
    """Returns the host or bucket of an address, nothing where it has none that makes sense."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _hidden(where: Where, words: str) -> Finding:
    message = f"{words}: they belong in each host's environment (docs/pools.md)"
    return Finding(where, message, secret=True)


def _place(scheme: str, url: str) -> bool:
    """True when a URL says where a store lies: in which bucket, or in which folder."""
    return url.startswith("file:///") if scheme.lower() == "file" else bool(_host(url))


def _near(endpoint: str) -> bool:
    host = _host(endpoint)
    return host in ("localhost", "::1") or host.startswith("127.")


def _raw(draft: Draft, number: int) -> dict[str, object]:
    entry = draft.data["floors"][number]
    return entry if isinstance(entry, dict) else {}


def _given(draft: Draft, number: int) -> bool:
    return isinstance(_raw(draft, number).get("paths"), list)


def _at(draft: Draft, number: int, index: int) -> Where:
    """Returns where a floor's path stands: alone, or in a list."""
    where: Where = ("floors", number, "paths")
    return (*where, index) if _given(draft, number) else where
