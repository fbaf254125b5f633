"""Two Unix users who may not read each other's files, and a Python that both may start.

Only root can make users. Without it both people are the one who runs the tests, each with a home
and an environment of its own: all is as it is but for the kernel's no, and `separate` says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).parents[2]
_PACKAGES = ("millrace", "flows", "tasks", "tests/plugins")
_NEEDLESS = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*")


@dataclass(frozen=True)
class Person:
    """A user of this machine; `user` None is whoever runs the tests."""

    home: Path
    user: str | None = None

    @property
    def temporary(self) -> Path:
        """Where this person's temporary files lie."""
        return self.home / "tmp"

    def popen(
        self, words: Sequence[str | Path], environment: Mapping[str, str], **how: Any
    ) -> subprocess.Popen[Any]:
        """Starts a program as this person, with this environment and nothing else."""
        if self.user:
            how |= {"user": self.user, "group": self.user, "extra_groups": []}
        return subprocess.Popen(
            [str(word) for word in words],
            env={"HOME": str(self.home), "PATH": os.defpath} | dict(environment),
            stdin=subprocess.DEVNULL,
            umask=0o077,
            **{"cwd": self.home} | how,
        )

    def run(
        self, *words: str | Path, environment: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program as this person to its end."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with self.popen(words, environment or {}, **pipes, **how) as process:
            out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(list(words), process.returncode, out, err)

    def may_read(self, path: Path) -> bool:
        """True when this person may read what lies there."""
        return self.run("test", "-r", path).returncode == 0


@dataclass(frozen=True)
class People:
    """`studio` and `burst`, a folder that both can pass through, and what they start."""

    folder: Path
    studio: Person
    burst: Person
    python: Path
    environment: Mapping[str, str]  # by which it finds its packages

    @property
    def separate(self) -> bool:
        """True when the kernel keeps them apart."""
        return self.studio.user != self.burst.user


@contextmanager
def two_people() -> Iterator[People]:
    """Makes both, and removes them with all they have started and written."""
    folder = Path(tempfile.mkdtemp(prefix="two-pools-", dir=_passable()))
    folder.chmod(0o755)
    mark = uuid.uuid4().hex[:6]
    users = [f"mr-{name}-{mark}" if os.geteuid() == 0 else None for name in ("studio", "burst")]
    try:
        studio, burst = (
            _make(folder / name, user)
            for name, user in zip(("studio", "burst"), users, strict=True)
        )
        yield People(folder, studio, burst, *_lend(folder / "lent", burst))
    finally:
        for user in filter(None, users):
            _unmake(user)
        shutil.rmtree(folder, ignore_errors=True)


def _passable() -> Path:
    """Returns a place for temporary files that every user can pass through."""
    for text in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        place = Path(text).resolve()
        if all(one.stat().st_mode & 0o001 for one in (place, *place.parents)):
            return place
    raise AssertionError("every folder for temporary files is closed to other users")


def _make(home: Path, user: str | None) -> Person:
    home.mkdir(mode=0o700)
    (home / "tmp").mkdir()
    if user:
        words = ["useradd", "--system", "--no-create-home", "--home-dir", str(home)]
        subprocess.run([*words, "--user-group", user], check=True, capture_output=True)
        for each in (home, home / "tmp"):
            shutil.chown(each, user, user)
    return Person(home, user)


def _unmake(user: str) -> None:
    for process in psutil.process_iter(["username"]):
        with suppress(psutil.Error):
            if process.info["username"] == user:
                process.kill()
                process.wait(10)
    subprocess.run(["userdel", user], check=False, capture_output=True)


def _lend(folder: Path, person: Person) -> tuple[Path, Mapping[str, str]]:
    """Returns an interpreter with our packages that `person` may start, and its environment.

    Where it is not ours, it is a copy: a Python below /root is closed to everybody else, whatever
    the modes of its own files are.
    """
    repository, packages = REPOSITORY, Path(sysconfig.get_path("purelib"))
    if not person.may_read(REPOSITORY / "millrace" / "__init__.py"):
        repository = folder / "source"
        for name in _PACKAGES:
            shutil.copytree(REPOSITORY / name, repository / name, symlinks=True)
    path = f"{repository / 'tests/plugins/faults'}{os.pathsep}{repository}"
    environment = {"PYTHONPATH": path}
    if not person.may_read(packages / "prefect" / "__init__.py"):
        packages = Path(shutil.copytree(packages, folder / "packages", symlinks=True))
    python = Path(sys.executable)
    if not person.may_read(python):
        python = _copy_python(folder, packages)
        environment["LD_LIBRARY_PATH"] = str(folder / "python" / "lib")
    if folder.exists():
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    asked = person.run(python, "-c", "import ssl, prefect, millrace", environment=environment)
    assert asked.returncode == 0, asked.stderr
    return python, environment


def _copy_python(folder: Path, packages: Path) -> Path:
    """Copies the interpreter and its library, and returns a venv of it with these packages."""
    base, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "python" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "lib" / version).mkdir(parents=True)
    program = folder / "python" / "bin" / version
    shutil.copy2(Path(sys.executable).resolve(), program)
    shutil.copytree(
        base / "lib" / version, folder / "python" / "lib" / version, symlinks=True, ignore=_NEEDLESS
    )
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, folder / "python" / "lib", follow_symlinks=False)
    (folder / "venv" / "pyvenv.cfg").write_text(f"home = {program.parent}\n")
    (folder / "venv" / "lib" / version / "site-packages").symlink_to(packages)
    python = folder / "venv" / "bin" / "python"
    python.symlink_to(program)
    return python
