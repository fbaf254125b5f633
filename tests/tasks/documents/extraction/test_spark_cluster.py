"""The same pipeline on a cluster: a standalone master and two workers, started here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyspark
import pytest

HOME = Path(pyspark.__path__[0])
MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"
WAIT = 120  # seconds
ANNOTATE = """
import json, sys
from millrace.tasks.documents.extraction import spark
from millrace.tasks.documents.extraction.nlp import SparkAnnotator
from millrace.tasks.documents.extraction.nlp_rules import rules_of
from millrace.tasks.documents.extraction.schema import load_schema

texts = [f"TOTAL: {n}.50" for n in range(6)]
with spark.session(sys.argv[1]) as session:
    annotator = SparkAnnotator(session, rules_of([load_schema("receipt")]), light_up_to=0)
    found = annotator.annotate(texts)
    executors = session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
told = [[note.text for note in notes if note.method == "pattern"] for notes in found]
print(json.dumps({"executors": executors, "right": told == [[f"{n}.50"] for n in range(6)]}))
"""


def waited(log: Path, pattern: str) -> str:
    limit = time.monotonic() + WAIT
    while time.monotonic() < limit:
        if match := re.search(pattern, log.read_text(encoding="utf-8")):
            return match[0]
        time.sleep(0.2)
    raise AssertionError(f"no {pattern!r} within {WAIT} s:\n{log.read_text(encoding='utf-8')}")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """The master's URL; two workers with a core each are registered at it."""
    processes: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ, "SPARK_NO_DAEMONIZE": "1", "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m", "SPARK_WORKER_DIR": str(tmp_path / "work"),
        "SPARK_LOCAL_DIRS": str(tmp_path / "local"), "PYSPARK_PYTHON": sys.executable,
    }  # fmt: skip

    def start(name: str, *arguments: str) -> Path:
        log = tmp_path / f"{name}.log"
        with log.open("wb") as out:
            command = [str(HOME / "bin" / "spark-class"), *arguments]
            processes.append(
                subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
            )
        return log

    try:
        log = start("master", MASTER, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
        url = waited(log, r"spark://127\.0\.0\.1:\d+")
        for name in ("one", "two"):
            start(name, WORKER, url, "--host", "127.0.0.1", "--cores", "1", "--memory", "1G",
                  "--webui-port", "0")  # fmt: skip
        for name in ("one", "two"):
            waited(tmp_path / f"{name}.log", "Successfully registered with master")
        yield url
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_of_two_workers_gives_what_one_machine_gives(
    cluster: str, tmp_path: Path
) -> None:
    settings = tmp_path / "spark.conf"
    settings.write_text("spark.executor.memory 768m\nspark.executor.cores 1\n", encoding="utf-8")
    own = {"MILLRACE_SPARK_MASTER": cluster, "MILLRACE_SPARK_CONF": str(settings)}
    done = subprocess.run(
        [sys.executable, "-c", ANNOTATE, "cluster"], env={**os.environ, **own},
        capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    assert done.stdout.strip().endswith('{"executors": 2, "right": true}'), done.stdout
