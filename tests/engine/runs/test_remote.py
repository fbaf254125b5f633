"""Inputs that lie on a web server: fetched, refused by name, and never with their credentials."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from millrace.engine.errors import DocumentError
from millrace.engine.remote import is_remote, without_credentials
from tests.engine.runs.conftest import PIPELINE, Workshop


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server on loopback: its host and port, and its folder."""
    folder = tmp_path_factory.mktemp("web")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join(10)


def _over(*urls: str) -> str:
    listed = ", ".join(f'"{url}"' for url in urls)
    return PIPELINE.replace('"in/*.txt"', f"[{listed}]")


def test_a_file_on_a_web_server_is_fetched_and_worked_on_like_any_other(
    shop: Workshop, web: tuple[str, Path]
) -> None:
    host, folder = web
    (folder / "a.txt").write_text("from afar")
    outcome = shop.run(_over(f"http://{host}/a.txt"))
    assert outcome.items == {"done": 1, "reused": 0, "failed": 0}
    assert shop.out() == {"a.txt": b"from afar"}
    again = shop.run(_over(f"http://{host}/a.txt"))
    assert again.items == {"done": 0, "reused": 1, "failed": 0}


@pytest.mark.slow
def test_a_file_that_has_changed_on_the_server_is_worked_on_again(
    shop: Workshop, web: tuple[str, Path]
) -> None:
    host, folder = web
    (folder / "a.txt").write_text("before")
    shop.run(_over(f"http://{host}/a.txt"))
    (folder / "a.txt").write_text("and after")
    outcome = shop.run(_over(f"http://{host}/a.txt"))
    assert outcome.items["done"] == 1
    assert shop.out() == {"a.txt": b"and after"}


def test_a_missing_file_or_a_dead_server_fails_its_own_item_only(
    shop: Workshop, web: tuple[str, Path]
) -> None:
    host, folder = web
    (folder / "a.txt").write_text("here")
    outcome = shop.run(
        _over(f"http://{host}/a.txt", f"http://{host}/gone.txt", "http://127.0.0.1:9/dead.txt")
    )
    assert outcome.items == {"done": 1, "reused": 0, "failed": 2}
    assert {f.item: f.code for f in outcome.failures} == {
        "gone.txt": "missing",
        "dead.txt": "unreachable",
    }
    assert all(f.item in f.reason for f in outcome.failures)


def test_the_signature_in_an_address_is_shown_nowhere(
    shop: Workshop, web: tuple[str, Path]
) -> None:
    host, folder = web
    (folder / "a.txt").write_text("here")
    text = _over(f"http://{host}/a.txt?sig=hunter2", f"http://{host}/gone.txt?sig=hunter2")
    outcome = shop.run(text)
    assert [(f.item, f.code) for f in outcome.failures] == [("gone.txt", "missing")]
    assert shop.out() == {"a.txt": b"here"}
    _nothing_tells(shop, outcome.model_dump_json())
    assert "hunter2" not in shop.plan(text).model_dump_json()


def test_a_password_in_a_manifests_address_is_shown_nowhere(
    shop: Workshop, web: tuple[str, Path]
) -> None:
    host, folder = web
    (folder / "a.txt").write_text("here")
    shop.file("list.txt", f"http://ann:hunter2@{host}/a.txt\nhttp://ann:hunter2@{host}/gone.txt\n")
    outcome = shop.run(PIPELINE.replace('files: "in/*.txt"', "manifest: in/list.txt"))
    assert [(f.item, f.code) for f in outcome.failures] == [("gone.txt", "missing")]
    assert shop.out() == {"a.txt": b"here"}
    _nothing_tells(shop, outcome.model_dump_json())


def test_a_password_in_the_pipeline_file_is_refused(shop: Workshop) -> None:
    with pytest.raises(DocumentError, match="a password in a pipeline file is no secret"):
        shop.run(_over("http://ann:hunter2@host/a.txt"))


def test_an_address_of_an_unknown_kind_in_a_manifest_is_told_before_any_work(
    shop: Workshop,
) -> None:
    shop.file("list.txt", "nothere://ann:hunter2@host/a.txt\n")
    with pytest.raises(DocumentError, match=r"nothere://host/a\.txt cannot be opened") as caught:
        shop.run(PIPELINE.replace('files: "in/*.txt"', "manifest: in/list.txt"))
    assert "hunter2" not in str(caught.value)


def _nothing_tells(shop: Workshop, outcome: str) -> None:
    """Asserts that what a run writes down of itself, its order aside, lacks the secret."""
    run = shop.runs[-1]
    written = [p for f in (run.journal, run.folder / "logs", run.assignments) for p in f.rglob("*")]
    assert written
    assert [p for p in written if b"hunter2" in p.read_bytes()] == []
    assert "hunter2" not in outcome


def test_what_is_remote_and_what_of_an_address_may_be_shown() -> None:
    assert is_remote("s3://bucket/a.txt")
    assert is_remote("HTTP://host/a.txt")
    assert not is_remote("file:///a.txt")
    assert not is_remote("in/a.txt")
    assert not is_remote("C:/a.txt")
    assert without_credentials("https://u:p@h:8/x.txt?k=p#p") == "https://h:8/x.txt"
