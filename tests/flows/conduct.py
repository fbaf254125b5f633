"""A conductor as a process without a flow run around it: `python -m tests.flows.conduct RUN HOW`.

So a test can kill it, stop it, and be less patient than a person would be.
"""

from __future__ import annotations

import json
import sys

from millrace.engine.conductor import Conductor
from millrace.engine.fleet.conducting import fleet_desk
from millrace.engine.fleet.groups import chooser
from millrace.engine.fleet.patience import Patience
from millrace.engine.fleet.reading import load_fleet
from millrace.engine.hosts.devices import inventory
from millrace.engine.runs import Runs
from millrace.engine.settings import settings

if __name__ == "__main__":
    here, how = settings(), json.loads(sys.argv[2])
    run, fleet, host = Runs(here).get(sys.argv[1]), load_fleet(here.fleet), inventory()
    order, patience = run.order(), Patience(**how["patience"])
    desk = fleet_desk(run, order, here, fleet, target=how["target"], patience=patience)
    Conductor(run, order, here, host, desk, choice=chooser(fleet, host)).conduct()
