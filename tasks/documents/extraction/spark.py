"""The one module that opens Spark: a session that ends with its program, whatever ends that.

The JVM is a child of this process. It ends when the session is closed, and by itself when this
process is killed: it reads from a pipe that only this process holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.engine.errors import NotPermitted, ToolMissing
from millrace.tasks.documents import jars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CLUSTER_VARIABLE = "MILLRACE_SPARK_MASTER"
"""This host's cluster. Documents are sent to no other."""
SETTINGS_VARIABLE = "MILLRACE_SPARK_CONF"
"""A file of Spark settings for that cluster, one `name value` on a line."""

MEMORY = 1536 << 20  # bytes of heap: one document or ten thousand, measured at 0.5 to 1.1 GiB
OVERHEAD = 1 << 30  # bytes beside the heap: the JVM's own, native code, Python
_FOREIGN = ("PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "SPARK_HOME")
_ENDS_WITHIN_S = 20.0

# What fails comes back as an exception. Spark's own log would repeat texts of documents.
_LOGGING = """\
appender.none.type = Null
appender.none.name = none
rootLogger.level = off
rootLogger.appenderRef.none.ref = none
"""


@contextmanager
def session(
    master: str = "local[*]", *, memory: int = MEMORY, cores: int = 1
) -> Iterator[SparkSession]:
    """Opens a Spark session with Spark NLP's jars; ends its JVM on exit. Only one at a time.

    `master`: `local[*]` stands for `cores` threads on this machine, `cluster` for what
    MILLRACE_SPARK_MASTER names. `memory` is the driver's heap, in bytes. Temporary files lie in a
    folder that goes with the session.
    Raises ToolMissing without Java or the jars, NotPermitted for a cluster that is not this
    host's.
    """
    wanted = resolve(master, cores, os.environ)
    folder = jars.folder("spark")
    require_java()
    with tempfile.TemporaryDirectory(prefix="spark-", ignore_cleanup_errors=True) as scratch:
        config = _config(wanted, memory, Path(scratch))
        if not wanted.startswith("local"):
            config |= _cluster(folder, os.environ)
        started = _started(wanted, config, _environment(folder))
        try:
            yield started
        finally:
            _end(started)


def resolve(master: str, cores: int, environment: Mapping[str, str]) -> str:
    """Returns the master to connect to. Raises NotPermitted for one that is not this host's.

    A pipeline says that a cluster is wanted; which one may see the documents is the host's word.
    """
    if master in ("", "local", "local[*]"):
        return f"local[{max(1, cores)}]"
    if master.startswith("local["):
        return master
    cluster = environment.get(CLUSTER_VARIABLE, "")
    if cluster and master in ("cluster", cluster):
        return cluster
    raise NotPermitted(
        f"this host does not send documents to the Spark cluster {master!r}",
        hint=f"set {CLUSTER_VARIABLE} on the host that runs the stage, or use local[*]",
    )


def require_java() -> None:
    """Raises ToolMissing where no Java is found."""
    home = os.environ.get("JAVA_HOME")
    if not (home and (Path(home) / "bin" / "java").exists()) and shutil.which("java") is None:
        raise ToolMissing(
            "Java is not installed; Spark needs it",
            hint="sudo apt-get install openjdk-17-jre-headless",
        )


def _config(master: str, memory: int, scratch: Path) -> dict[str, str]:
    log = scratch / "log4j2.properties"
    log.write_text(_LOGGING, encoding="utf-8")
    options = (
        f"-Dlog4j2.configurationFile={log.as_uri()} -Djava.io.tmpdir={scratch} -XX:+UseSerialGC "
        f"-Dderby.system.home={scratch}"
    )
    config = {
        "spark.driver.memory": f"{memory >> 20}m",
        "spark.driver.extraJavaOptions": options,
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.jsl.settings.storage.cluster_tmp_dir": str(scratch),
        "spark.jsl.settings.pretrained.cache_folder": str(scratch / "pretrained"),
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryoserializer.buffer.max": "512m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.adaptive.enabled": "false",  # a handful of small jobs: replanning costs more
    }
    if master.startswith("local"):
        config |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return config


def _cluster(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings for executors elsewhere: the jars go with the job."""
    config = {
        "spark.jars": ",".join(sorted(str(jar) for jar in folder.glob("*.jar"))),
        "spark.executor.memory": f"{MEMORY >> 20}m",
    }
    if named := environment.get(SETTINGS_VARIABLE):
        for row in Path(named).read_text(encoding="utf-8").splitlines():
            name, _, value = row.strip().partition(" ")
            if name.startswith("spark."):
                config[name] = value.strip()
    return config


def _environment(folder: Path) -> dict[str, str]:
    """Returns the JVM's environment. The jars come after Spark's own on the class path: given as
    `spark.jars` they would be copied twice, 280 MB each time."""
    kept = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return kept | {
        "SPARK_DIST_CLASSPATH": f"{folder}/*",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


def _started(master: str, config: Mapping[str, str], environment: Mapping[str, str]) -> Any:
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("millrace").master(master)
    for name, value in config.items():
        builder = builder.config(name, value)
    with _swapped(environment):  # the JVM is started with this process's own environment
        try:
            return builder.getOrCreate()
        except PySparkRuntimeError as error:
            raise ToolMissing(
                f"Spark did not start: {error}", hint="`java -version` must say 8, 11 or 17"
            ) from error


@contextmanager
def _swapped(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _end(started: Any) -> None:
    """Ends the session and its JVM, in whatever state they are."""
    from py4j.protocol import Py4JError
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    gone = (Py4JError, OSError)  # of a JVM that died
    with suppress(*gone):
        started.stop()
    with suppress(*gone):
        gateway.shutdown()
    process = gateway.proc
    with suppress(OSError):
        process.stdin.close()
    try:
        process.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _forget(started)


def _forget(started: Any) -> None:
    """Lets PySpark start another JVM in this process."""
    from pyspark import SparkContext

    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    type(started)._instantiatedSession = type(started)._activeSession = None
