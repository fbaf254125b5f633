"""What a new machine has to know to work for a pool, and where it gets the same Millrace."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from millrace.engine.errors import UsageError
from millrace.engine.fleet.pools import HOME, Basis
from millrace.engine.fleet.prices import listed
from millrace.engine.fleet.resolved import Fleet, Pool
from millrace.engine.recording import server
from millrace.engine.settings import Settings

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_STATE = "/var/lib/millrace"
_WORKLOADS = ("video", "render", "documents")
_PACKAGES = "ca-certificates python3 python3-venv"
_TOOLS = {"video": "ffmpeg", "documents": "tesseract-ocr openjdk-17-jre-headless"}
_TOOLS |= {"render": "libx11-6 libxext6 libxrender1 libxfixes3 libxi6 libxkbcommon0 libsm6 libgl1"}
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_CONDUCTS = ("MILLRACE_LEDGER",)  # no worker has it
_REMOTE = re.compile(r"(?:https?|git\+https|git\+ssh)://")


@dataclass(frozen=True)
class Asked:
    """What a person asks for. `idle_off` is in minutes; "" and None are for the usual."""

    idle_off: float | None = None
    source: str = ""
    server: str = ""
    basis: Basis | None = None
    secrets_by: str = ""


@dataclass(frozen=True)
class Machine:
    """The head of the script: its variables, by name."""

    pool: str
    clearance: str
    exchange: str
    endpoint: str
    region: str
    api: str
    home: str
    fleet: str
    shares_store: str
    flags: str
    idle_off: str
    private_devices: str
    protect_home: str
    packages: str
    version: str
    requirement: str
    wheel: str
    sha256: str
    secret_names: str
    secrets_by: str
    constraints: str


def machine(fleet: Fleet, pool: Pool, asked: Asked, here: Settings) -> Machine:
    """Returns what the script has to know. Raises UsageError for a pool whose
    workers are containers, a server that only this machine reaches, and a Millrace that another
    machine cannot get."""
    if pool.spec.type != "process":
        raise UsageError(
            f"the workers of {pool.name} are containers ({pool.spec.type}), not machines",
            hint="docs/deploy.md says how such a pool is joined",
        )
    home = pool.spec.store == HOME
    conducts = pool.spec.runs == "conductors"
    stores = list(fleet.stores.values()) if conducts else [pool.store]
    s3 = any(store.url.startswith(("s3://", "s3a://")) for store in stores)
    extras = _extras(s3=s3)
    requirement, wheel, sha256 = _source(asked.source, extras)
    own = [str(here.home) if home else "", str(fleet.path.absolute()) if conducts else ""]
    secrets = ["PREFECT_API_AUTH_STRING", *(_KEYS if s3 else ()), *(_CONDUCTS if conducts else ())]
    tools = [_TOOLS[extra] for extra in extras if extra in _TOOLS]
    return Machine(
        pool=pool.name,
        clearance=str(pool.spec.clearance),
        exchange="" if home else pool.store.url,
        endpoint=pool.store.endpoint or "",
        region=pool.store.region or "",
        api=_api(asked.server, here, home=home),
        home=own[0] or _STATE,
        fleet=own[1],
        shares_store="yes" if home else "no",
        flags=_flags(pool, asked.basis),
        idle_off="" if asked.idle_off is None else f"{asked.idle_off:g}",
        private_devices="no" if pool.gpus else "yes",
        protect_home="no" if any(o.startswith(("/home/", "/root/")) for o in own) else "yes",
        packages=" ".join([_PACKAGES, *tools]),
        version=metadata.version("millrace"),
        requirement=requirement,
        wheel=wheel,
        sha256=sha256,
        secret_names=" ".join(secrets),
        secrets_by=asked.secrets_by,
        constraints="\n".join(constraints(extras)),
    )


def constraints(extras: list[str]) -> list[str]:
    """Returns `name==version` of everything Millrace with these extras stands on here."""
    found: dict[str, str] = {}
    waiting = [Requirement(f"millrace[{','.join(extras)}]")]
    seen: set[str] = set()
    while waiting:
        wanted = waiting.pop()
        key = f"{canonicalize_name(wanted.name)} {sorted(wanted.extras)}"
        if key in seen:
            continue
        seen.add(key)
        try:
            there = metadata.distribution(wanted.name)
        except metadata.PackageNotFoundError:
            continue  # another platform's
        found[canonicalize_name(wanted.name)] = there.version
        for each in map(Requirement, there.requires or ()):
            choices = ["", *wanted.extras]
            if not each.marker or any(each.marker.evaluate({"extra": e}) for e in choices):
                waiting.append(each)
    return sorted(f"{name}=={version}" for name, version in found.items() if name != "millrace")


def _extras(*, s3: bool) -> list[str]:
    """Returns the workloads that are installed here, and what the stores need."""
    here = metadata.distribution("millrace").requires or ()
    found = [name for name in _WORKLOADS if _installed(name, here)]
    return [*found, *(["s3"] if s3 else ())]


def _installed(extra: str, requires: list[str] | tuple[str, ...]) -> bool:
    for each in map(Requirement, requires):
        if each.marker and not each.marker.evaluate() and each.marker.evaluate({"extra": extra}):
            try:
                metadata.version(each.name)
            except metadata.PackageNotFoundError:
                return False
    return True


def _source(given: str, extras: list[str]) -> tuple[str, str, str]:
    """Returns the requirement to install, and a wheel's path on the new machine and SHA-256."""
    name = f"millrace[{','.join(extras)}]" if extras else "millrace"
    source = given or _installed_from()
    if source == "index":
        return f"{name}=={metadata.version('millrace')}", "", ""
    if _REMOTE.match(source):
        parts = urlsplit(source)
        if parts.password or (parts.username and "+ssh" not in parts.scheme):
            raise UsageError(
                "the --source holds credentials", hint="take an address that needs none"
            )
        return f"{name} @ {source}", "", ""
    path = Path(source).absolute()
    if path.suffix != ".whl" or not path.is_file():
        raise UsageError(
            f"--source {source} is neither a wheel, an https:// or git+https:// address nor `index`"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name} @ {path.as_uri()}", str(path), digest


def _installed_from() -> str:
    told = json.loads(metadata.distribution("millrace").read_text("direct_url.json") or "{}")
    if not told:
        return "index"
    if "vcs_info" in told:
        return f"git+{told['url']}@{told['vcs_info']['commit_id']}"
    if _REMOTE.match(str(told.get("url", ""))):
        return str(told["url"])
    raise UsageError(
        "this Millrace is installed from a folder, which a new machine cannot reach",
        hint="name what it can: --source git+https://HOST/REPOSITORY@COMMIT, the https:// address "
        "of a wheel, or the path of one that lies at the same path there (`uv build` makes it)",
    )


def _api(given: str, here: Settings, *, home: bool) -> str:
    url = (given or server.status(here).url).rstrip("/")
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise UsageError(
            "no Prefect server is configured that a new machine could reach",
            hint="name it: --server https://HOST/api, or set PREFECT_API_URL",
        )
    if parts.username or parts.password:
        raise UsageError(
            "the address of the Prefect server holds credentials",
            hint="take them out; PREFECT_API_AUTH_STRING holds them",
        )
    if parts.hostname in _LOOPBACK and not home:
        raise UsageError(
            f"{url} is reached from this machine alone",
            hint="name the address for others: --server https://HOST/api (docs/deploy.md)",
        )
    return url


def _flags(pool: Pool, basis: Basis | None) -> str:
    bases = [each for each, _ in listed(pool.spec.prices)]
    if basis and basis not in bases:
        raise UsageError(
            f"the pool {pool.name} has no price for {basis}", hint=f"it has {', '.join(bases)}"
        )
    chosen = basis or (bases[0] if len(bases) == 1 else None)
    if chosen is None:
        raise UsageError(
            f"machines of {pool.name} are paid for in several ways",
            hint=f"say which this one is: --basis {'|'.join(bases)}",
        )
    words = f" --basis {chosen} --limit {pool.slots_per_machine}"
    return words + (" --conductor" if pool.spec.runs == "conductors" else "")
