"""Alerts over real HTTP: who asked is told counts and ids, and no trouble harms the run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from millrace.engine.conductor import Conductor
from millrace.engine.dispatch import HereDesk
from millrace.engine.errors import DocumentError
from millrace.engine.fleet import conducting
from millrace.engine.fleet.pools import Alerts
from millrace.engine.hosts.devices import Host
from millrace.engine.pipeline import load
from millrace.engine.recording import server
from millrace.engine.recording.alerts import tell
from millrace.engine.recording.prefect import recording
from millrace.engine.runs import Order, Run, Runs
from millrace.engine.settings import Settings, settings
from millrace.flows import pipeline
from tests.engine.fleet.fleets import STUDIO_AND_BURST

RUN = "20261102-101010-abcd"
VARIABLE = "MILLRACE_WEBHOOK"
PIPELINE = """
version: 1
name: nightly
inputs: {films: {files: "FOLDER/*.mp4"}}
stages: {smaller: {uses: video.encode, each: films}}
outputs: {films: {from: smaller, to: "out/{source.path}.mp4"}}
"""


class Hook:
    """A webhook that keeps what it got, and answers `status`."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append(json.loads(body))
                self.send_response(hook.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *told: object) -> None:
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?key=secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A webhook whose address stands in the environment."""
    made = Hook()
    monkeypatch.setenv(VARIABLE, made.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_webhook_is_told_the_run_the_kind_and_counts(hook: Hook) -> None:
    alerts = Alerts(on=("partial",), webhook=VARIABLE)
    assert tell(alerts, "partial", RUN, {"done": 1200, "failed": 3}) == ()
    assert hook.got == [
        {
            "text": f"millrace run {RUN} ended with failures: 1,200 done, 3 failed",
            "kind": "partial",
            "run": RUN,
            "counts": {"done": 1200, "failed": 3},
        }
    ]


def test_a_kind_that_nobody_asked_for_is_not_told(hook: Hook) -> None:
    alerts = Alerts(on=("failed",), webhook=VARIABLE)
    assert tell(alerts, "late", RUN, {}) == ()
    assert tell(None, "failed", RUN, {}) == ()
    assert hook.got == []


def test_names_and_texts_that_slip_in_among_the_counts_do_not_leave(hook: Hook) -> None:
    counts: dict[str, Any] = {
        "failed": 1,
        "contract smith.pdf": 1,
        "reason": "contract smith.pdf is broken",
        "flag": True,
    }
    assert tell(Alerts(webhook=VARIABLE), "failed", RUN, counts) == ()
    assert "smith" not in json.dumps(hook.got)
    assert hook.got[0]["counts"] == {"failed": 1}


@pytest.mark.parametrize(("status", "words"), [(500, "HTTP 500"), (302, "HTTP 302")])
def test_a_webhook_that_refuses_or_redirects_is_a_sentence_without_its_address(
    hook: Hook, status: int, words: str
) -> None:
    hook.status = status
    (trouble,) = tell(Alerts(webhook=VARIABLE), "failed", RUN, {"failed": 1})
    assert words in trouble
    assert VARIABLE in trouble
    assert "secret" not in trouble
    assert len(hook.got) == 1  # nothing followed it


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "http://127.0.0.1:9/", "http://["])
def test_a_webhook_that_cannot_be_reached_never_raises(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, url)
    (trouble,) = tell(Alerts(webhook=VARIABLE), "failed", RUN, {"failed": 1})
    assert trouble.startswith("the alert was not sent")


@pytest.mark.slow
def test_a_prefect_notification_block_is_told_the_same(recorded: server.Api, hook: Hook) -> None:
    with recording(settings()):
        from prefect.blocks.notifications import CustomWebhookNotificationBlock

        block = CustomWebhookNotificationBlock(
            name="test",
            url=hook.url,
            json_data={"subject": "{{subject}}", "body": "{{body}}"},
            allow_private_urls=True,
        )
        block.save("millrace-test", overwrite=True)
        alerts = Alerts(on=("over_budget",), block="custom-webhook/millrace-test")
        assert tell(alerts, "over_budget", RUN, {"left": 7}) == ()
        assert hook.got == [
            {
                "subject": "millrace: over_budget",
                "body": f"millrace run {RUN} reached its budget: 7 left",
            }
        ]
        missing = Alerts(on=("failed",), block="custom-webhook/no-such-block")
        (trouble,) = tell(missing, "failed", RUN, {})
        assert "no-such-block" in trouble


def test_a_run_that_cannot_go_on_is_told_of(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = tmp_path / "pools.yaml"
    fleet.write_text(STUDIO_AND_BURST + f"alerts: {{on: [failed], webhook: {VARIABLE}}}\n")
    monkeypatch.setenv("MILLRACE_FLEET", str(fleet))

    def here(run: Run, order: Order, at: Settings, host: Host, _: object) -> Conductor:
        return Conductor(
            run, order, at, host, partial(HereDesk, run, host, dispatch=lambda _: None)
        )

    monkeypatch.setattr(conducting, "fleet_conductor", here)
    document = PIPELINE.replace("FOLDER", "nothing-here")
    run = Runs(settings()).create(Order(pipeline=load(document), base=tmp_path, on="fleet"))
    with pytest.raises(DocumentError, match="nothing-here"):
        pipeline._conduct(run, settings())
    assert [(told["kind"], told["run"]) for told in hook.got] == [("failed", run.id)]
    assert "nothing-here" not in json.dumps(hook.got)
