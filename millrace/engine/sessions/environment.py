"""The environment a session and its tools see: what they need to run, and no credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_NAMES = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "PATH",
        "PYTHONPATH",
        "TZ",
        "VIRTUAL_ENV",
    }
)
_PREFIXES = ("CUDA_", "LC_", "MILLRACE_", "NVIDIA_", "OMP_", "XDG_CACHE_")
_PRIVATE_PREFIXES = ("AWS_", "AZURE_", "GCP_", "GOOGLE_", "PREFECT_", "SSH_", "VAULT_")
_PRIVATE = re.compile(
    r"(^|_)(API_?KEYS?|ACCESS_?KEYS?|AUTH|AUTHORIZATION|CREDENTIALS?|KEYS?|PASS|PASSPHRASE|PASSWD"
    r"|PASSWORDS?|SECRETS?|TOKENS?)(_|$)",
    re.IGNORECASE,
)
_SHORTEST_SECRET = 6
_MASK = "•••"
_THREADS = (
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


def private(name: str) -> bool:
    """True for the name of a variable that holds, or is likely to hold, a credential."""
    return name.startswith(_PRIVATE_PREFIXES) or _PRIVATE.search(name) is not None


def clean(environment: Mapping[str, str], extra: Sequence[str] = ()) -> dict[str, str]:
    """Returns the variables of `environment` that a session or tool may see.

    `extra` names what a kind declares it reads besides; a private name is dropped all the same.
    """
    wanted = _NAMES | set(extra)
    kept = {
        name: value
        for name, value in environment.items()
        if (name in wanted or name.startswith(_PREFIXES)) and not private(name)
    }
    if "PYTHONPATH" in kept:  # a session works in another folder
        folders = kept["PYTHONPATH"].split(os.pathsep)
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(f).absolute()) for f in folders)
    return kept


def secret_values(environment: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Returns the credentials that a kind declares as its `secrets` and this host has."""
    return {name: environment[name] for name in names if environment.get(name)}


def masked(text: str, secret: Sequence[str]) -> str:
    """Returns a text with dots in place of credentials; those too short to be any are left."""
    for value in secret:
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, _MASK)
    return text


def confined(environment: Mapping[str, str], scratch: Path, cores: int) -> dict[str, str]:
    """Returns `environment` with temporary files in `scratch` and threads for `cores` cores."""
    threads = dict.fromkeys(_THREADS, str(max(1, cores)))
    return {**environment, **threads, "TMPDIR": str(scratch)}
