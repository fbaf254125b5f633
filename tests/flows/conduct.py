"""A conductor as a process without a flow run around it: `python -m tests.flows.conduct RUN LIMITS`.

So a test can kill it, stop it, and be less patient than a person would be.
"""

from __future__ import annotations

import json
import sys

from millrace.engine.fleet.conducting import fleet_conductor
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.hosts.devices import inventory
from millrace.engine.runs import Runs
from millrace.engine.settings import settings

if __name__ == "__main__":
    here = settings()
    run = Runs(here).get(sys.argv[1])
    fleet_conductor(
        run,
        run.order(),
        here,
        inventory(),
        load_fleet(here.fleet),
        patience=Patience(**json.loads(sys.argv[2])),
    ).conduct()
