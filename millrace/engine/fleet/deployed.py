"""The pipelines that are deployed: each a work order in the home store, started by its schedule.

deployed/<name>.json      what to run, and which document it was made from

The order is the truth the schedule runs: changing the document changes nothing until it is
deployed again. Prefect learns the pipeline's name and its times, and nothing of what it holds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace.engine.document.problems import nearest
from millrace.engine.errors import StoreError, UsageError
from millrace.engine.files import write_atomically
from millrace.engine.pipeline import load as load_pipeline
from millrace.engine.runs import Order
from millrace.engine.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
RESERVED = "run"
"""The deployment through which any run is started, so no pipeline may have its name."""


class Deployed(BaseModel):
    """A deployed pipeline. `document` is the SHA-256 of the file it was read from, in hex; `set`
    holds the parameters that were given when it was deployed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    order: Order
    document: str
    set: dict[str, str] = {}

    @property
    def changed(self) -> bool:
        """True when its document is no longer what was deployed, or is gone."""
        return digest(Path(self.order.source)) != self.document

    @property
    def document_there(self) -> bool:
        """True while its document exists, changed or not."""
        return Path(self.order.source).is_file()

    @property
    def order_digest(self) -> str:
        """SHA-256 of the order, in hex."""
        return hashlib.sha256(self.order.model_dump_json().encode()).hexdigest()


def read(document: Path, given: Mapping[str, str]) -> Deployed:
    """Returns the pipeline of a document, checked and ready to be deployed; writes nothing.

    Raises DocumentError for what is wrong in it, and UsageError for a name that cannot be a
    deployment's.
    """
    pipeline = load_pipeline(document, set=given)
    if not NAME.fullmatch(pipeline.name) or pipeline.name == RESERVED:
        raise UsageError(
            f"{document}: a pipeline named {pipeline.name!r} cannot be deployed",
            hint="take letters, digits, - and _ for its name, 64 at most, and not `run`",
        )
    order = Order(
        pipeline=pipeline,
        base=pipeline.base.absolute(),
        source=str(document.absolute()),
        on="fleet",
        scheduled=pipeline.name,
    )
    return Deployed(
        name=pipeline.name, order=order, document=digest(document), set=dict(sorted(given.items()))
    )


def save(settings: Settings, deployed: Deployed) -> None:
    """Keeps a deployed pipeline in the home store, in place of an earlier one of its name."""
    data = deployed.model_dump_json(indent=2).encode()
    try:
        write_atomically(_folder(settings) / f"{deployed.name}.json", data)
    except OSError as error:
        raise StoreError(
            f"the pipeline {deployed.name} cannot be kept: {error.strerror}",
            hint="deploy on the conductor's host, as the user whose store it is",
        ) from error


def load(settings: Settings, name: str) -> Deployed:
    """Returns a deployed pipeline. Raises UsageError when there is none of that name."""
    path = _folder(settings) / f"{name}.json"
    if not NAME.fullmatch(name) or not path.is_file():
        known = [each.name for each in listed(settings)]
        raise UsageError(
            f"no pipeline {name!r} is deployed here{nearest(name, known)}",
            hint="`millrace deploy PIPELINE` deploys one",
        )
    try:
        return Deployed.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"the deployed pipeline {name} cannot be read",
            hint="it may come from another version of Millrace: deploy it again",
        ) from error


def listed(settings: Settings) -> list[Deployed]:
    """Returns the deployed pipelines by name; one that cannot be read is left out."""
    found = []
    for path in sorted(_folder(settings).glob("*.json")):
        try:
            found.append(Deployed.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return found


def remove(settings: Settings, name: str) -> None:
    """Forgets a deployed pipeline; its runs stay."""
    if NAME.fullmatch(name):
        (_folder(settings) / f"{name}.json").unlink(missing_ok=True)


def digest(document: Path) -> str:
    """Returns the SHA-256 of a document in hex, "" where there is none."""
    try:
        return hashlib.sha256(document.read_bytes()).hexdigest()
    except OSError:
        return ""


def _folder(settings: Settings) -> Path:
    return settings.store / "deployed"
