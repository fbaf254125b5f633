"""A workstation and a rented machine share the work by what it may be seen by.

Both are on this machine, as two Unix users; the bucket is on a real S3 server, the pools on a real
Prefect server with a credential.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.engine.runs import Run
from millrace.engine.settings import Settings
from tests.flows.canary import Watch
from tests.flows.fleet import events, until
from tests.flows.two_pools import TwoPools, two_pools

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DIVIDED = """
version: 1
name: divided
label: internal
inputs: {files: {files: "in/shared/*.txt"}}
stages:
  copy: {uses: faults.bytes, each: files, with: {cut: 1000000}}
outputs: {copies: {from: copy, to: "out/shared/{source.path}.txt"}}
goal: {prefer: fastest}
"""

BOTH = """
version: 1
name: both
label: internal
inputs:
  plain: {files: "in/open/*.txt"}
  hidden: {files: "in/secret/*.txt", label: restricted}
stages:
  open: {uses: faults.bytes, each: plain, with: {pause: 0.25}}
  secret: {uses: faults.bytes, each: hidden, with: {pause: 0.25}}
outputs:
  copies: {from: open, to: "out/open/{source.path}.txt"}
  others: {from: secret, to: "out/secret/{source.path}.txt"}
goal: {prefer: fastest}
"""


@pytest.fixture(scope="module")
def two(prefect_home: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoPools]:
    with two_pools(prefect_home, tmp_path_factory.mktemp("two")) as made:
        made.conductor()
        made.burst_worker()
        yield made


@pytest.fixture
def studio(two: TwoPools) -> Iterator[int]:
    """The process id of the workstation's worker."""
    worker = two.studio_worker()
    yield worker.pid
    worker.terminate()
    worker.wait(60)


def _files(two: TwoPools, folder: str, files: int, size: int) -> dict[str, bytes]:
    made = {f"{folder}-{n}": f"{folder} {n} {two.mark} ".encode() for n in range(files)}
    long = {name: (head * (size // len(head) + 1))[:size] for name, head in made.items()}
    for name, content in long.items():
        two.write(f"in/{folder}/{name}.txt", content)
    return long


def _delivered(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.rglob("*.txt")}


def test_the_rented_machine_reads_nothing_of_the_workstation_and_each_has_its_own_key(
    two: TwoPools, studio: int
) -> None:
    secret = two.write("in/probe.txt", "nobody else reads this")
    cards = two.here.store / "workers" / two.named("studio")
    card = until(lambda: next(cards.glob("*.json"), None))
    for path in (secret, card):
        assert two.studio.run("cat", path).stdout
        tried = two.burst.run("cat", path)
        if two.people.separate:
            assert (tried.stdout, tried.returncode) == ("", 1)
            assert "Permission denied" in tried.stderr
    if two.people.separate:
        assert two.burst.run("ls", two.here.store).returncode
        assert two.burst.run("cat", f"/proc/{studio}/environ").stdout == ""

    knows = {
        pool: Path(f"/proc/{worker.pid}/environ").read_bytes().decode()
        for pool, worker in two.workers.items()
    }
    assert "AWS_" not in knows["studio"]
    assert two.keys["conductor"] in knows["conductor"]
    assert two.keys["burst"] in knows["burst"]
    assert two.keys["conductor"] not in knows["burst"]
    assert str(two.studio.home) not in knows["burst"]


def test_an_internal_pipeline_is_divided_over_both(two: TwoPools, studio: int) -> None:
    made = _files(two, "shared", files=12, size=300_000)
    run = two.send(DIVIDED)
    assert two.over(run) == "succeeded"
    done = two.done(run)
    assert done.total() == 12
    assert done["studio"] >= 2
    assert done["burst"] >= 2
    assert _delivered(two.work / "out" / "shared") == made
    # The scan that finds nothing restricted in the next test would find it: this it finds.
    ever = list(two.s3.ever())
    for name in _done_in(two, run, "burst"):
        assert [f"exchange/objects/{_digest(made[name])}", made[name]] in map(list, ever)


def test_what_is_restricted_stays_home_waits_while_the_workstation_is_away_and_goes_on(
    two: TwoPools, studio: int
) -> None:
    secret = _files(two, "secret", files=4, size=800)
    plain = _files(two, "open", files=10, size=800)
    words = [
        word
        for name, content in secret.items()
        for word in (name.encode(), content[:30], _digest(content).encode())
    ]
    mine = [name.encode() for name in plain]
    with Watch(two.burst.home, [*words, *mine]) as watch:
        run = two.send(BOTH)
        until(lambda: two.done(run, "secret"), 150, lambda: two.told(run))
        os.kill(studio, signal.SIGTERM)
        gone = time.time()
        waits = _waiting(two, run, gone)
        before = two.done(run, "secret").total()
        until(lambda: _done_since(run, "open", waits) >= 2, 120, lambda: two.told(run))
        assert two.done(run, "secret").total() == before  # it waits for the workstation
        again = two.studio_worker()
        assert two.over(run) == "succeeded"
        again.terminate()

    assert two.done(run, "secret") == {"studio": 4}
    assert two.done(run, "open")["burst"] >= 2
    assert _delivered(two.work / "out" / "secret") == secret
    assert _delivered(two.work / "out" / "open") == plain
    # What the burst machine had at any time, and all that ever lay in the bucket.
    assert watch.looks > 10
    assert watch.seen & set(mine)
    assert not watch.seen & set(words)
    ever = list(two.s3.ever())
    assert any(_digest(plain[name]) in key for key, _ in ever for name in plain)
    for key, content in ever:
        assert not [word for word in words if word in key.encode() or word in content], key
    again.wait(60)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _done_in(two: TwoPools, run: Run, pool: str) -> list[str]:
    """Returns the names of the items that a pool has done."""
    pools = {r.data["assignment"]: r.data["pool"] for r in events(run, "assigned")}
    done = events(run, "done")
    return [Path(r.item).stem for r in done if pools[r.data["assignment"]] == two.named(pool)]


def _waiting(two: TwoPools, run: Run, since: float) -> float:
    """Waits for a decision by which the restricted stage waits for a pool to be well again; returns
    when that was."""

    def found() -> float | None:
        for record in events(run, "placed"):
            for group in record.data["groups"] if record.at > since else ():
                rules = {pool["pool"]: (pool["rule"], pool["chosen"]) for pool in group["pools"]}
                if group["stage"] == "secret" and rules == {
                    two.named("studio"): ("health", 0),
                    two.named("burst"): ("clearance", 0),
                }:
                    return record.at
        return None

    return float(until(found, 150, lambda: two.told(run)))


def _done_since(run: Run, stage: str, since: float) -> int:
    return sum(record.stage == stage and record.at > since for record in events(run, "done"))
