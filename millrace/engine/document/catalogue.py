"""The stage kinds installed here and what they say of themselves; a broken one breaks no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from pydantic import BaseModel

from millrace.engine import stages
from millrace.engine.document.problems import nearest
from millrace.engine.errors import MillraceError


@dataclass(frozen=True)
class Kind:
    """An installed kind. Where its class cannot be loaded, `cls` is None and `broken` says why."""

    name: str
    package: str
    package_version: str
    cls: type[stages.Stage] | None
    broken: str = ""

    @property
    def params(self) -> type[BaseModel] | None:
        """The kind's own model of its parameters."""
        return self.cls.Params if self.cls is not None else None

    @property
    def doc(self) -> str:
        """The kind's documentation, without indentation."""
        text = (self.cls.__doc__ or "") if self.cls is not None else ""
        lines = text.strip().splitlines()
        return "\n".join(lines[:1] + [line.strip() for line in lines[1:]])

    @property
    def summary(self) -> str:
        """The first line of its documentation."""
        return self.doc.partition("\n")[0]


class Catalogue:
    """The kinds installed here; each is loaded when it is first asked for."""

    def __init__(self, entries: Mapping[str, EntryPoint] | None = None) -> None:
        self._entries = stages.available() if entries is None else entries
        self._loaded: dict[str, Kind] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all installed kinds, sorted."""
        return tuple(sorted(self._entries))

    def get(self, name: str) -> Kind | None:
        """Returns a kind, None when none of this name is installed."""
        if name not in self._entries:
            return None
        if name not in self._loaded:
            self._loaded[name] = _load(self._entries[name])
        return self._loaded[name]

    def all(self) -> list[Kind]:
        """Returns every installed kind, broken ones too."""
        return [kind for name in self.names if (kind := self.get(name)) is not None]

    def unknown(self, name: str) -> str:
        """Returns the message for a kind that is not installed."""
        near = nearest(name, self.names)
        return f"no stage kind is called {name!r}{near or '; `millrace kinds` lists them'}"


def _load(entry: EntryPoint) -> Kind:
    package = entry.dist.name if entry.dist is not None else ""
    version = entry.dist.version if entry.dist is not None else ""
    try:
        cls = entry.load()
        fit = isinstance(cls.Params, type) and issubclass(cls.Params, BaseModel)
    except MillraceError as error:
        return Kind(entry.name, package, version, None, str(error).replace("\n", "; "))
    except Exception as error:  # noqa: BLE001  a stranger's module may raise anything at import
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Kind(entry.name, package, version, None, reason)
    if not fit:
        return Kind(entry.name, package, version, None, f"{entry.value} is no stage kind")
    return Kind(entry.name, package, version, cls)
