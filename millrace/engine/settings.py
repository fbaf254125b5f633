"""Where Millrace keeps things on this host, and what this host allows: all from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
from pydantic import ByteSize, TypeAdapter, ValidationError

from millrace.engine.errors import UsageError
from millrace.engine.labels import Label


@dataclass(frozen=True)
class Settings:
    """This host's configuration.

    `home` holds everything Millrace writes outside a person's own folders: the store, the ledger,
    the local server. `clearance` is the most sensitive label this host may read; it is this host's
    own word and never taken from a work order. `pool` is the pool this host works for, `exchange`
    the URL of the store it exchanges work through, empty where it shares the conductor's own store;
    fetched files stay in a cache of `cache` bytes, and `slots` assignments work at a time (0: any
    number). `fleet` is the file that declares the pools.
    """

    home: Path
    clearance: Label
    eur_per_hour: float
    pool: str = "here"
    exchange: str = ""
    cache: int = 20 << 30
    slots: int = 0
    fleet: Path = Path("deployments/pools.yaml")
    ledger_url: str = field(default="", repr=False)

    @property
    def store(self) -> Path:
        """Folder of the store: artifacts, manifests, runs."""
        return self.home / "store"

    @property
    def ledger(self) -> Path | str:
        """SQLite file of the ledger, or the URL of the database that `ledger_url` names."""
        return self.ledger_url or self.home / "ledger.db"

    @property
    def measurements(self) -> Path:
        """SQLite file that caches digests and measurements of files."""
        return self.home / "measurements.db"

    @property
    def leases(self) -> Path:
        """Folder of the host's leases."""
        return self.home / "leases"

    @property
    def slots_folder(self) -> Path:
        """Folder of the slots of the pool this host works for."""
        return self.home / "slots" / self.pool

    @property
    def server(self) -> Path:
        """Folder of the local Prefect server: address, credential, database, log."""
        return self.home / "server"


def settings() -> Settings:
    """Returns this host's settings.

    MILLRACE_HOME: the home folder (default: the user's data folder).
    MILLRACE_CLEARANCE: public, internal or restricted (default: restricted; it is the machine the
    files already lie on).
    MILLRACE_EUR_PER_HOUR: what an hour of this machine costs (default 0.06: 150 W at 0.40 EUR/kWh).
    MILLRACE_POOL, MILLRACE_EXCHANGE: the pool this host works for, and the URL of its store.
    MILLRACE_CACHE: the size of a worker's cache ("20 GiB").
    MILLRACE_SLOTS: how many assignments work here at a time; `millrace worker start` sets it.
    MILLRACE_FLEET: the file that declares the pools (default: deployments/pools.yaml). One that is
    named must be there: it says how sensitive files are, and nothing may come of a slip but a word.
    MILLRACE_LEDGER: the ledger's database as an SQLAlchemy URL (default: ledger.db in the home).
    Raises UsageError for values that are none, and for a fleet file that is not there.
    """
    home = os.environ.get("MILLRACE_HOME") or platformdirs.user_data_dir("millrace")
    try:
        clearance = Label.parse(os.environ.get("MILLRACE_CLEARANCE") or "restricted")
        price = float(os.environ.get("MILLRACE_EUR_PER_HOUR") or "0.06")
        cache = TypeAdapter(ByteSize).validate_python(os.environ.get("MILLRACE_CACHE") or "20 GiB")
        slots = int(os.environ.get("MILLRACE_SLOTS") or "0")
    except ValidationError:
        raise UsageError(
            f"MILLRACE_CACHE is no size: {os.environ['MILLRACE_CACHE']!r}",
            hint="for example MILLRACE_CACHE='20 GiB'",
        ) from None
    except ValueError as error:
        raise UsageError(f"the environment is wrong: {error}") from error
    return Settings(
        home=Path(home).expanduser().absolute(),
        clearance=clearance,
        eur_per_hour=price,
        pool=os.environ.get("MILLRACE_POOL") or "here",
        exchange=os.environ.get("MILLRACE_EXCHANGE") or "",
        cache=cache,
        slots=slots,
        fleet=_fleet(os.environ.get("MILLRACE_FLEET") or ""),
        ledger_url=os.environ.get("MILLRACE_LEDGER") or "",
    )


def _fleet(named: str) -> Path:
    path = Path(named or "deployments/pools.yaml").expanduser().absolute()
    if named and not os.path.exists(path):  # noqa: PTH110 - Path's raises where it may not look
        raise UsageError(
            f"there is no fleet file {path}, which MILLRACE_FLEET names",
            hint="name the right one, or unset MILLRACE_FLEET: everything then runs here",
        )
    return path
