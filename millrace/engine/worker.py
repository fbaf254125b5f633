"""What a worker trusts: its own host. Pure decisions about what it lets a flow run have.

The Prefect server has one credential for everybody, so whatever comes from there may come from
anyone who works for a pool of lower trust. A worker takes two things from it: the id of a flow run,
and ids among its parameters, each of which must look like one before it becomes part of a path.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from millrace.engine import stages
from millrace.engine.errors import MillraceError, NotPermitted
from millrace.engine.fleet.observed import Card
from millrace.engine.fleet.pools import Basis
from millrace.engine.hosts.devices import Device, Host, device
from millrace.engine.labels import Label
from millrace.engine.settings import Settings
from millrace.engine.stages import Needs

FLOW_RUN = "MILLRACE_FLOW_RUN"
"""Variable that tells an entry process which flow run it carries out."""

CONDUCTOR = "MILLRACE_CONDUCTOR"
"""Variable that is set where the worker may conduct runs, not only work for them."""

SLOTS = "MILLRACE_SLOTS"
"""Variable that says how many assignments may work on this host at a time."""

REFUSED = 2
"""Exit code of an entry process that refused its flow run."""

ASSIGNMENT_FLOW = "millrace-assignment"
PIPELINE_FLOW = "millrace-pipeline"

_RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9]{4}")
_ASSIGNMENT = re.compile(r"a[0-9]{4,8}")
_SCHEDULED = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")

_NAMES = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "NO_PROXY",
        "PATH",
        "PYTHONPATH",
        "REQUESTS_CA_BUNDLE",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
    }
)
_PREFIXES = (
    "AWS_",
    "AZURE_",
    "CUDA_",
    "GOOGLE_",
    "LC_",
    "MILLRACE_",
    "NVIDIA_",
    "OMP_",
    "PREFECT_API_",
    "PREFECT_CLIENT_",
    "XDG_CACHE_",
)
_CONDUCTORS = ("MILLRACE_LEDGER",)  # workers have no ledger credentials
_OURS = (FLOW_RUN, CONDUCTOR, SLOTS, "MILLRACE_POWER_OFF")
_TOOLS = ("ffmpeg", "ffprobe", "java", "tesseract")


@dataclass(frozen=True)
class Task:
    """What a flow run asks for, once it was found to ask for nothing else."""

    flow: Literal["assignment", "pipeline"]
    parameters: dict[str, str]


def read_task(flow: str, parameters: object, *, conductor: bool) -> Task:
    """Returns what a flow run asks for, from its flow's name and its parameters.

    An assignment has a run id and an assignment id; a pipeline has a run id, or the name of a
    deployed pipeline as `scheduled`, and only where `conductor` allows it. What is empty counts as
    not given. Raises NotPermitted for all else; the message repeats nothing of what was given.
    """
    given = parameters if isinstance(parameters, Mapping) else {}
    asked = {str(name): value for name, value in given.items() if value not in (None, "")}
    if flow == ASSIGNMENT_FLOW:
        shapes = [{"run_id": _RUN, "assignment_id": _ASSIGNMENT}]
    elif flow == PIPELINE_FLOW and conductor:
        shapes = [{"run_id": _RUN}, {"scheduled": _SCHEDULED}]
    elif flow == PIPELINE_FLOW:
        raise NotPermitted(
            "this worker does not conduct runs", hint="start one with --conductor in that pool"
        )
    else:
        raise NotPermitted(
            "this worker runs assignments of Millrace and nothing else",
            hint="run other flows in a pool of their own",
        )
    for shape in shapes:
        if asked.keys() == shape.keys() and all(_is(asked[name], shape[name]) for name in shape):
            which: Literal["assignment", "pipeline"] = (
                "assignment" if flow == ASSIGNMENT_FLOW else "pipeline"
            )
            return Task(which, {name: str(value) for name, value in asked.items()})
    raise NotPermitted("the parameters are not the ids that this flow takes")


def environment(
    own: Mapping[str, str],
    *,
    flow_run: str,
    pool: str,
    folder: Path,
    conductor: bool,
    slots: int,
    prefect: Mapping[str, str],
    secrets: Collection[str] = (),
) -> dict[str, str]:
    """Returns the whole environment of an entry process, from the worker's own environment.

    `prefect` is how to reach the server, as this host is configured; `folder` becomes the place of
    temporary files and of Prefect's own; `slots` assignments work here at a time; `secrets` are the
    variables that installed kinds declare to need. Nothing from the server is in it but the flow
    run's id. Where no clearance is configured it is public: a worker has to be told what it may
    read.
    """
    kept = {
        name: value
        for name, value in own.items()
        if (name in _NAMES or name in secrets or name.startswith(_PREFIXES))
        and name not in _OURS
        and (conductor or not name.startswith(_CONDUCTORS))
    }
    kept.setdefault("MILLRACE_CLEARANCE", str(Label.PUBLIC))
    kept |= prefect
    kept |= {
        FLOW_RUN: flow_run,
        "MILLRACE_POOL": pool,
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PYTHONDONTWRITEBYTECODE": own.get("PYTHONDONTWRITEBYTECODE", ""),
        "PYTHONSAFEPATH": "1",  # nothing is imported from its folder, where temporary files lie
        "TMPDIR": str(folder),
    }
    if conductor:
        kept[CONDUCTOR] = "1"
    else:
        kept[SLOTS] = str(slots)
    return {name: value for name, value in kept.items() if value}


def name_of(given: str | None, process: int) -> str:
    """Returns the worker's name: the one given, else one of this host and process alone."""
    name = given or f"{platform.node() or 'worker'}-{process}"
    return _UNSAFE.sub("-", name).strip("-.") or f"worker-{process}"


def queues(there: Iterable[str], basis: Basis | None) -> list[str]:
    """Returns which of a pool's queues a worker takes work from, sorted.

    A machine of a `basis` takes only work that was placed on such a one; without, all but what was
    placed on spot machines, unless the pool has nothing else.
    """
    names = sorted(there)
    if basis:
        return [name for name in names if name.startswith(f"{basis}-")]
    steady = [name for name in names if not name.startswith("spot-")]
    return steady if set(steady) - {"default"} or len(steady) == len(names) else names


def describe(
    settings: Settings,
    host: Host,
    *,
    pool: str,
    worker: str,
    basis: Basis | None,
    at: float,
    own: Mapping[str, str],
    able: Mapping[str, dict[str, dict[str, str]]] = {},
) -> Card:
    """Returns the card of a worker on `host`: what it has, and what it may read. `own` is its
    environment, `at` the time in seconds since the epoch, `able` what `capabilities` said."""
    return Card(
        pool=pool,
        worker=worker,
        host=platform.node(),
        millrace=version("millrace"),
        kinds=_kinds(),
        tools=tuple(tool for tool in _TOOLS if shutil.which(_program(tool, own))),
        cores=host.cores,
        memory=int(host.memory),
        gpus=tuple(gpu.name for gpu in host.gpus),
        vram=min((int(gpu.vram) for gpu in host.gpus), default=0),
        clearance=settings.clearance,
        basis=basis,
        written=at,
        capabilities=dict(able),
    )


def capabilities(host: Host) -> dict[str, dict[str, dict[str, str]]]:
    """Returns what the libraries of this host give, by sort of device and kind.

    Asked once in a worker's life: it may load them. A kind that cannot say is left out.
    """
    gpu = max(host.gpus, key=lambda gpu: gpu.vram, default=None)
    found: dict[str, dict[str, dict[str, str]]] = {}
    for each in [None, gpu] if gpu else [None]:
        there = device(Needs(), host, each).model_copy(update={"pooled": True})
        found[there.kind] = {kind: able for kind in _kinds() if (able := _able(kind, there))}
    return found


def secrets() -> frozenset[str]:
    """Returns the variables with credentials that the kinds installed here declare."""
    return frozenset(name for kind in _kinds() for name in stages.secrets_of(stages.load(kind)))


def _is(value: object, shape: re.Pattern[str]) -> bool:
    return isinstance(value, str) and shape.fullmatch(value) is not None


def _program(tool: str, own: Mapping[str, str]) -> str:
    return own.get(f"MILLRACE_{tool.upper()}") or tool


def _able(kind: str, there: Device) -> dict[str, str]:
    try:
        return stages.capabilities(stages.load(kind), there)
    except Exception:  # noqa: BLE001 - whatever a library says: the worker itself is in order
        return {}


def _kinds() -> dict[str, int]:
    found = {}
    for kind in stages.available():
        try:
            found[kind] = stages.load(kind).version
        except MillraceError:  # its package lacks something: this worker does not have the kind
            continue
    return found
