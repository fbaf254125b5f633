"""What nobody but the data's own host learns: a word that is in a restricted file's name, content,
metadata and errors is looked for in all that a run leaves, here and on the fleet."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError

import pytest

from millrace.engine.runs import Runs
from millrace.engine.settings import Settings
from tests.flows.canary import Arguments, digests, forms, found
from tests.flows.fleet import Fleet, pool, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PIPELINE = """
version: 1
name: secrets-MARK
label: restricted
inputs:
  texts: {files: "WORD/*.txt"}
  films: {files: "WORD/*.mp4"}
stages:
  text: {uses: faults.bytes, each: texts}
  film: {uses: video.encode, each: films, with: {codec: h264, preset: slow}}
outputs:
  texts: {from: text, to: "out/{source.path}.txt"}
  films: {from: film, to: "out/{source.path}.mp4"}
schedule: {cron: "0 0 1 1 *", timezone: Europe/Berlin}
"""

TWICE = PIPELINE.replace("WORD/*.txt", "WORD/*.t*t").replace("name: secrets", "name: twice")

# Where the word may be, because data of this label may be there, below MILLRACE_HOME. All else is
# closed to it, and so are the Prefect server's folder, temporary files, other homes, and arguments.
ALLOWED = (
    "store",  # contents, manifests, and each run's order, journal, tools' logs, report
    "measurements.db",  # what was measured of which file, so that it is not read again
    "deployed",  # the work orders of deployed pipelines
)


class Scene:
    """A person's folder with restricted files in it, beside a fleet, and what becomes of both."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet, self.home, self.temporary = fleet, folder / "person", folder / "tmp"
        self.secret = "q" + uuid.uuid4().hex[:15]
        self.word = f"Käuzchen {self.secret}"  # a space and an umlaut, to be encoded and escaped
        self.project = folder / self.word
        self.contents: list[bytes] = []
        for each in (self.home, self.temporary, self.project / self.word):
            each.mkdir(parents=True)
        self.began = time.time()

    def fill(self) -> None:
        """Writes files that can be done, that cannot, and one that says all it knows."""
        for name, head in (
            ("good", ""),
            ("rotten", "!bad"),
            ("late", "!bad-run"),
            ("all", "!confess"),
        ):
            self._keep(f"{self.word} {name}.txt", f"{head}\n{self.word}\n{name}".encode())
        (self.project / self.word / f"{self.word} good.text").write_text("of the same name")
        film = self.project / self.word / f"{self.word}.mp4"
        words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:duration=2"]
        words += ["-pix_fmt", "yuv420p", "-metadata", f"title={self.word}", str(film)]
        subprocess.run(words, check=True)
        self.contents.append(film.read_bytes())
        assert self.secret.encode() in self.contents[-1]
        for name, text in (("secrets", PIPELINE), ("twice", TWICE)):
            text = text.replace("WORD", self.word).replace("MARK", self.fleet.mark)
            (self.project / f"{name}.yaml").write_text(text)

    def _keep(self, name: str, content: bytes) -> None:
        (self.project / self.word / name).write_bytes(content)
        self.contents.append(content)

    def millrace(self, *words: str) -> str:
        """Runs `millrace` in the project as a person does; returns what their terminal shows."""
        done = subprocess.run(
            [sys.executable, "-m", "millrace", *words],
            cwd=self.project,
            env=self.fleet.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        return done.stdout + done.stderr

    def undeploy(self) -> None:
        """Removes the pipeline's deployment from the server, which other tests share."""
        with suppress(HTTPError):
            name = f"deployments/name/millrace-pipeline/secrets-{self.fleet.mark}"
            found = self.fleet.ask(name, method="GET")
            self.fleet.ask(f"deployments/{found['id']}", method="DELETE")

    def closed(self) -> list[Path]:
        """Returns all places where the word must not be."""
        home = self.fleet.here.home
        mine = [path for path in home.iterdir() if path.name not in ALLOWED]
        logs = list(self.fleet.folder.glob("*.log"))  # what workers and conductors say
        return [*mine, *logs, self.home, self.temporary, *self._shared()]

    def _shared(self) -> Iterator[Path]:
        """What has come or changed in the machine's own temporary folders; never what a test of
        somebody else is at, which may be anything but has not this word in it."""
        for name in ("/tmp", "/var/tmp", "/dev/shm"):
            for path in Path(name).glob("*"):
                own = self.project.is_relative_to(path)
                if not own and path.lstat().st_mtime >= self.began - 1:
                    yield path


@pytest.fixture
def scene(
    prefect_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    fleet = Fleet(prefect_home, tmp_path / "fleet")
    made = Scene(fleet, tmp_path)
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("TMPDIR", str(made.temporary))
    made.fill()
    yield made
    made.undeploy()
    fleet.close()


@pytest.mark.parametrize("on", ["here", "fleet"])
def test_the_word_is_found_where_the_data_may_be_and_nowhere_else(
    scene: Scene, prefect_home: Settings, on: str
) -> None:
    fleet = scene.fleet
    workers = fleet.here.home / "worker"
    with Arguments() as arguments:
        fleet.deploy(pool("studio"))
        scene.millrace("deploy", "secrets.yaml")
        if on == "fleet":
            fleet.conductor()
            fleet.worker("studio")
        shown = scene.millrace("run", "secrets.yaml", "--on", on, "--yes")
        twice = scene.millrace("run", "twice.yaml", "--on", on, "--yes")
        until(lambda: not (workers.exists() and any(workers.iterdir())))  # the conductor's own end

    # The run went as it should, and the person is told all.
    assert "2 done" in shown, shown
    assert "3 failed" in shown
    assert scene.word in shown
    assert "written twice" in twice, twice
    runs = Runs(fleet.here).list()
    run = next(run for run in runs if run.order().pipeline.name.startswith("secrets"))
    words = forms(scene.secret)
    allowed = [fleet.here.home / name for name in ALLOWED]
    kept = found(allowed, words)
    for place in ("journal/", "order.json", "logs/", "report.html", "measurements.db"):
        assert [path for path in kept if place in path], place
    assert (scene.project / "out" / f"{scene.word} good.txt").read_bytes() == scene.contents[0]
    assert found([scene.project / "out" / "report.html"], words)

    # Nobody else: not Prefect, its database, events, artifacts, logs, parameters, variables …
    control = [prefect_home.server]
    assert found(control, [run.id.encode()])
    assert found(control, words) == []
    plain = [form for content in scene.contents for form in digests(content)]
    assert found([fleet.here.store], plain)
    assert found(control, plain) == []
    # … no process's arguments, on which FFmpeg and our entry points were …
    ours = str(fleet.here.home).encode()
    assert any(b"ffmpeg" in line and ours in line for line in arguments.seen)
    assert on == "here" or any(b"millrace.flows.entry" in line for line in arguments.seen)
    assert [line for line in arguments.seen if any(word in line for word in words)] == []
    # … nor the ledger, workers' output, temporary files, anybody's home.
    assert (fleet.here.home / "ledger.db").exists()
    assert found([fleet.here.home / "ledger.db"], plain) == []
    assert found(scene.closed(), words) == []
    assert not list(run.scratch.glob("*"))
