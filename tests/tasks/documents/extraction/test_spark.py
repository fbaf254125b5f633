"""Spark's session: it ends with its program, and sends documents nowhere but where it may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millrace.engine.errors import NotPermitted, ToolMissing
from millrace.tasks.documents import jars
from millrace.tasks.documents.extraction import spark

OPEN = """
import os, signal, sys, time
from millrace.tasks.documents.extraction import spark
with spark.session(cores=1) as session:
    from pyspark import SparkContext
    print(SparkContext._gateway.proc.pid, flush=True)
    assert session.range(3).count() == 3
    assert session.sparkContext.getConf().get("spark.ui.enabled") == "false"
    assert session.sparkContext.getConf().get("spark.driver.host") == "127.0.0.1"
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("end", ["leave", "kill"])
def test_the_jvm_ends_with_its_program_even_a_killed_one(end: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, end], env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == (0 if end == "leave" else -signal.SIGKILL), done.stderr
    pid = int(done.stdout)
    limit = time.monotonic() + 60
    while running(pid) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not running(pid)
    if end == "leave":
        assert [path.name for path in tmp_path.iterdir()] == []


def test_the_cores_of_the_session_are_all_that_is_taken() -> None:
    assert spark.resolve("local[*]", 3, {}) == "local[3]"
    assert spark.resolve("", 1, {}) == "local[1]"


def test_a_cluster_is_the_hosts_own_or_none() -> None:
    own = {spark.CLUSTER_VARIABLE: "spark://head:7077"}
    assert spark.resolve("cluster", 2, own) == "spark://head:7077"
    assert spark.resolve("spark://head:7077", 2, own) == "spark://head:7077"
    for master, environment in (("cluster", {}), ("spark://elsewhere:7077", own)):
        with pytest.raises(NotPermitted, match="does not send documents"):
            spark.resolve(master, 2, environment)


def test_without_java_the_person_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolMissing, match="openjdk"), spark.session():
        pass


def test_jars_are_looked_for_where_the_environment_says(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"scripts/jars\.sh spark"):
        jars.folder("spark", environment={"MILLRACE_SPARK_JARS": str(tmp_path)})
    (tmp_path / "a.jar").touch()
    named = {"MILLRACE_SPARK_JARS": str(tmp_path)}
    assert jars.folder("spark", environment=named) == tmp_path


def test_jars_of_a_checkout_come_before_those_of_the_home(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match=r"scripts/jars\.sh spark"):
        jars.folder("spark", environment={}, repository=tmp_path)
    own, checkout = home / "jars" / "spark", tmp_path / ".tools" / "spark-jars"
    for place in (own, checkout):
        place.mkdir(parents=True)
        (place / "a.jar").touch()
        assert jars.folder("spark", environment={}, repository=tmp_path) == place
