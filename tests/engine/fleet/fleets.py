"""Small fleets for tests, as somebody would write them."""

from __future__ import annotations

from pathlib import Path

from millrace.engine.fleet.reading import load_fleet
from millrace.engine.fleet.resolved import Fleet

STUDIO_AND_BURST = """
version: 1
stores:
  home: {clearance: restricted}
  bucket: {url: "s3://bucket/exchange", clearance: internal}
pools:
  studio:
    where: local
    clearance: restricted
    cores: 8
    memory: 32 GiB
    machines: 2
    slots: 2
    store: home
    prices:
      own: {hardware: 3000, years: 4, watts: 400, energy: 0.30, currency: EUR,
            source: "the invoice", date: 2026-11-01}
  gpus:
    where: local
    clearance: restricted
    device: rtx-4090
    cores: 16
    memory: 64 GiB
    store: home
    prices:
      own: {hardware: 5000, years: 4, watts: 600, energy: 0.30, currency: EUR,
            source: "the invoice", date: 2026-11-01}
  burst:
    where: cloud
    type: kubernetes
    clearance: internal
    device: l4
    cores: 8
    memory: 32 GiB
    machines: {min: 0, max: 10}
    store: bucket
    bandwidth: 100 MB
    start: 120
    prices:
      on_demand: {amount: 0.80, currency: EUR, source: "price list", date: 2026-11-01}
      spot: {amount: 0.30, currency: EUR, source: "price list", date: 2026-11-01,
             interruptions_per_hour: 0.05}
  rented:
    where: cloud
    clearance: public
    cores: 4
    memory: 16 GiB
    machines: {min: 0, max: 4}
    store: bucket
    start: 60
    prices:
      on_demand: {amount: 0.20, currency: EUR, source: "price list", date: 2026-11-01}
"""


def fleet(folder: Path, text: str = STUDIO_AND_BURST) -> Fleet:
    """Returns the fleet of a pools.yaml that is written into a folder."""
    path = folder / "pools.yaml"
    path.write_text(text)
    return load_fleet(path)
