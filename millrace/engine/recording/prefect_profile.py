"""Which Prefect server a person has chosen, read without importing Prefect (which takes seconds).

The sources and their order are Prefect's own (`prefect/settings/base.py`): the environment, `.env`,
`prefect.toml` and `pyproject.toml` of the current folder, the active profile. A value that is set
but empty counts as unset: Prefect would run flows and record nothing.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millrace.engine.errors import ServerError

_NAMES = (
    "PREFECT_API_URL",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_API_SSL_CERT_FILE",
)
_DOTENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Z_]+)\s*=\s*(.*?)\s*$")


@dataclass(frozen=True)
class Configured:
    """A server that a person has set, and where. `auth` is `user:secret`, `key` a token; `trusted`
    the file of the certificates that vouch for it, else the system's do."""

    url: str
    source: str
    auth: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    trusted: str = ""


def configured(environ: Mapping[str, str], folder: Path) -> Configured | None:
    """Returns the server chosen by the environment, the files in `folder` or the active profile.

    None where no address is set. Raises ServerError for a settings file that cannot be read.
    """
    layers = [
        ("the environment", {name: environ.get(name, "") for name in _NAMES}),
        (".env", _dotenv(folder / ".env")),
        ("prefect.toml", _nested(_toml(folder / "prefect.toml"))),
        ("pyproject.toml", _nested(_within(_toml(folder / "pyproject.toml"), "tool", "prefect"))),
        ("the active Prefect profile", _profile(environ)),
    ]
    found: dict[str, tuple[str, str]] = {}
    for source, values in layers:
        for name in _NAMES:
            if values.get(name):
                found.setdefault(name, (values[name], source))
    if "PREFECT_API_URL" not in found:
        return None
    url, source = found["PREFECT_API_URL"]
    auth, key, trusted = (found.get(name, ("", ""))[0] for name in _NAMES[1:])
    return Configured(url.rstrip("/"), source, auth, key, trusted)


def _profile(environ: Mapping[str, str]) -> dict[str, str]:
    home = environ.get("PREFECT_HOME") or "~/.prefect"
    named = environ.get("PREFECT_PROFILES_PATH")
    path = Path(named) if named else Path(home) / "profiles.toml"
    data = _toml(path.expanduser())
    active = environ.get("PREFECT_PROFILE") or data.get("active")
    values = _within(data, "profiles", str(active))
    return {str(name): str(value) for name, value in values.items()}


def _nested(data: Mapping[str, Any]) -> dict[str, str]:
    api = _within(data, "api")
    pairs = {name: name.removeprefix("PREFECT_API_").lower() for name in _NAMES}
    return {name: str(api[key]) for name, key in pairs.items() if api.get(key)}


def _within(data: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    found: Any = data
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise ServerError(
            f"the Prefect settings in {path} cannot be read: {error}",
            hint="repair the file, or set PREFECT_API_URL",
        ) from error


def _dotenv(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (match.groups() for line in lines if (match := _DOTENV_LINE.match(line)))
    return {name: value.strip("'\"") for name, value in pairs}


def current() -> Configured | None:
    """Returns the server chosen for this process and its current folder, or None."""
    return configured(os.environ, Path.cwd())
