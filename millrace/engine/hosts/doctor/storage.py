"""Millrace's home: can it be written, is there room, do locks and hard links work there."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from millrace.engine.hosts.devices import size
from millrace.engine.hosts.doctor.finding import Finding

AREA = "storage"
GIB = 1 << 30
LITTLE, TOO_LITTLE = 10 * GIB, GIB
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs")
ELSEWHERE = "point MILLRACE_HOME at a folder on a local disk that you may write"


def findings(home: Path, here: Path, root: Path = Path("/")) -> Iterator[Finding]:
    """Yields the state of `home`, and how results get from there to `here`."""
    home = home.absolute()
    there = _existing(home)
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=there) as scratch:
            yield Finding(
                area=AREA,
                level="ok",
                text=f"{home} can be {'written' if there == home else 'made'}",
            )
            yield _locks(Path(scratch))
    except OSError as error:
        text = f"{home} cannot be written: {error.strerror or error}"
        yield Finding(area=AREA, level="fail", text=text, fix=ELSEWHERE)
    yield _room(there)
    kind = file_system(there, root)
    if kind in REMOTE:
        text = f"{home} is on {kind}: leases and databases are not safe there, and it is slow"
        yield Finding(area=AREA, level="warn", text=text, fix=ELSEWHERE)
    yield _links(there, here)


def file_system(path: Path, root: Path = Path("/")) -> str:
    """Returns the type of the file system that holds `path` ("ext4"), or "" when unknown."""
    try:
        lines = (root / "proc/mounts").read_text().splitlines()
    except OSError:
        return ""
    mounts = [line.split() for line in lines]
    holding = [
        (fields[1].replace("\\040", " "), fields[2])
        for fields in mounts
        if len(fields) > 2 and path.resolve().is_relative_to(fields[1].replace("\\040", " "))
    ]
    return max(holding, key=lambda mount: len(mount[0]), default=("", ""))[1]


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.is_dir())


def _locks(folder: Path) -> Finding:
    try:
        with (folder / "lock").open("w") as one, (folder / "lock").open("w") as two:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return Finding(area=AREA, level="ok", text="file locks work")
    except OSError as error:
        text = f"file locks do not work in {folder.parent}: {error.strerror or error}"
    else:
        text = f"file locks exclude nobody in {folder.parent}: leases would not hold"
    return Finding(area=AREA, level="fail", text=text, fix=ELSEWHERE)


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{size(free)} free for the store"
    if free >= LITTLE:
        return Finding(area=AREA, level="ok", text=text)
    level = "fail" if free < TOO_LITTLE else "warn"
    fix = "`millrace gc` frees what no run needs; or move MILLRACE_HOME to a larger disk"
    return Finding.model_validate({"area": AREA, "level": level, "text": text, "fix": fix})


def _links(home: Path, here: Path) -> Finding:
    if home.stat().st_dev == here.stat().st_dev:
        return Finding(area=AREA, level="ok", text=f"results are linked, not copied, into {here}")
    return Finding(
        area=AREA,
        level="note",
        text=f"{here} is on another file system than the store: results are copied, at the cost "
        "of its size in disk and the time of one copy",
        fix="put MILLRACE_HOME on the file system of the results",
    )
