"""Carries instructions out as layers of an overlay file system over a bare Debian root.

Needs root and `unshare`. Layers are kept under a digest of all that led to them, so that a second
check repeats only what has changed.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from imagecheck.dockerfile import Instruction, assignments, expand

# In a mount and process namespace of its own: what a step leaves mounted or running ends with it.
MOUNTED = r"""
cd "$1"; options=$2; merged=$(mktemp -d); shift 2
mount -t overlay overlay -o "$options" "$merged"
mount -t proc proc "$merged/proc"
mount --rbind /dev "$merged/dev"
mount -t tmpfs tmpfs "$merged/run"
for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    [ ! -f "$file" ] || cp -L "$file" "$merged/run/"
done
"""
RUN = (
    MOUNTED
    + r"""
exec chroot --userspec="$1" "$merged" /usr/bin/env -i "${@:3}" /bin/sh -c "cd '$2' && $STEP"
"""
)
SMOKE = (
    MOUNTED
    + r"""
mount -t tmpfs tmpfs "$merged/tmp"
mount --bind "$VOLUME" "$merged/var/lib/millrace"
mount --bind -o ro "$SAMPLES" "$merged/mnt"
"""
    + RUN.removeprefix(MOUNTED)
)
# `cp -H` follows a link that is itself named, as COPY does, and keeps those inside of folders.
COPY = (
    MOUNTED
    + r"""
to=$1; shift; cd "$merged"
for pattern in "$@"; do
    matched=0
    for source in .$pattern; do
        [ -e "$source" ] || continue
        matched=1
        if [ -f "$source" ]; then cp -pH "$source" "$to"; continue; fi
        mkdir -p "$to"; cp -a "$source/." "$to/"
    done
    [ $matched = 1 ] || echo "$pattern"
done
"""
)
PASSED = ("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "UV_INDEX_URL")


class StepFailed(Exception):
    """An instruction that did not succeed, with the end of what it said."""


@dataclass(frozen=True)
class Root:
    """What a stage has come to: its layers (lowest first), and what ENV, USER, WORKDIR say."""

    layers: tuple[str, ...]
    key: str
    environment: Mapping[str, str]
    user: str = "0"
    workdir: str = "/"
    stand_in: bool = False


class Builder:
    """Makes layers in `folder` from the build context `context`."""

    def __init__(self, folder: Path, context: Path) -> None:
        self.folder, self.context = folder, context
        self.ignore = (context / ".dockerignore").read_text(encoding="utf-8").split()

    def root(self, base: str, stand_in: bool) -> Root:
        """Returns the bare Debian root, standing for the image `base`."""
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Root(("bare",), f"{base}", {"PATH": path}, stand_in=stand_in)

    def settle(self, root: Root, instruction: Instruction) -> Root:
        """Returns the root after an instruction that makes no layer."""
        if instruction.word == "ENV":
            values = assignments(expand(instruction.text, root.environment))
            return replace(root, environment={**root.environment, **values})
        if instruction.word == "USER":
            return replace(root, user=instruction.text)
        if instruction.word == "WORKDIR":
            return replace(root, workdir=instruction.text)
        return root

    def run(self, root: Root, instruction: Instruction) -> Root:
        """Returns the root with the layer that a RUN makes. Raises StepFailed."""
        key = _digest(root.key, root.user, root.workdir, repr(root.environment), instruction.text)
        layer, upper, made = self._layer(key)
        if not made:
            variables = {**root.environment, **machine_variables()}
            Path(upper, root.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            ended = self._unshared(
                RUN, self._options(root, layer), f"{root.user}:{root.user}", root.workdir,
                *pairs(variables), STEP=instruction.text,
            )  # fmt: skip
            if ended.returncode != 0:
                raise StepFailed(ended.stdout[-3000:])
            self._keep(layer)
        return replace(root, layers=(*root.layers, layer), key=key)

    def copy(
        self, root: Root, instruction: Instruction, source: Root | None
    ) -> tuple[Root, list[str]]:
        """Returns the root with the layer that a COPY makes, and what was not there to copy."""
        *sources, target = instruction.text.split()
        many = len(sources) > 1 or target.endswith("/")
        place = os.path.normpath(os.path.join(root.workdir, target)).lstrip("/")  # noqa: PTH118
        content = source.key if source else self._content(sources)
        key = _digest(root.key, root.workdir, instruction.text, content)
        layer, upper, made = self._layer(key)
        missing: list[str] = []
        if not made:
            to = upper / place
            (to if many else to.parent).mkdir(parents=True, exist_ok=True)
            if source:
                ended = self._unshared(COPY, self._options(source), str(to), *sources)
                if ended.returncode != 0:
                    raise StepFailed(ended.stdout[-3000:])
                missing = ended.stdout.split()
            else:
                self._from_context(sources, to, many)
            if not missing:
                self._keep(layer)
        return replace(root, layers=(*root.layers, layer), key=key), missing

    def smoke(self, root: Root, command: str, volume: Path) -> subprocess.CompletedProcess[str]:
        """Runs a command as the image's user with a root that cannot be written.

        `volume` is what stands at /var/lib/millrace; the sample data stand read-only at /mnt.
        """
        samples = str(self.context / "sample_data")
        return self._unshared(
            SMOKE, self._options(root), f"{root.user}:{root.user}", root.workdir,
            *pairs(root.environment), STEP=command, VOLUME=str(volume), SAMPLES=samples,
        )  # fmt: skip

    def size(self, layer: str) -> int:
        """Returns the bytes of a layer's files, a file of several names counted once."""
        seen, total = set(), 0
        for folder, _, files in os.walk(self.folder / layer):
            for name in files:
                status = os.lstat(f"{folder}/{name}")
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_size
        return total

    def _options(self, root: Root, upper: str = "") -> str:
        # Relative names: the options of a mount must fit one page.
        lower = (
            ":".join(reversed(root.layers)) if len(root.layers) > 1 else f"{root.layers[0]}:empty"
        )
        (self.folder / "empty").mkdir(exist_ok=True)
        return f"lowerdir={lower}" + (f",upperdir={upper},workdir={upper}.work" if upper else "")

    def _layer(self, key: str) -> tuple[str, Path, bool]:
        layer = key[:12]
        upper = self.folder / layer
        if (self.folder / f"{layer}.made").exists():
            return layer, upper, True
        for path in (upper, self.folder / f"{layer}.work"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        return layer, upper, False

    def _keep(self, layer: str) -> None:
        shutil.rmtree(self.folder / f"{layer}.work", ignore_errors=True)
        (self.folder / f"{layer}.made").touch()

    def _unshared(
        self, script: str, options: str, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-euc", script]
        return subprocess.run(
            [*command, "bash", str(self.folder), options, *arguments],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _from_context(self, sources: Sequence[str], to: Path, many: bool) -> None:
        for source in sources:
            files = list(self.files(source))
            if not files:
                raise StepFailed(f"{source} is not in the build context (.dockerignore?)")
            for file in files:
                inside = file.relative_to(source) if (self.context / source).is_dir() else None
                target = to / inside if inside else (to / file.name if many else to)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.context / file, target, follow_symlinks=False)

    def files(self, source: str) -> Iterator[Path]:
        """Yields the files (and links) of the build context under `source`, relative to it."""
        start = self.context / source
        found = sorted(start.rglob("*")) if start.is_dir() else [start]
        for path in found:
            relative = path.relative_to(self.context)
            if (path.is_symlink() or path.is_file()) and kept(relative, self.ignore):
                yield relative

    def _content(self, sources: Sequence[str]) -> str:
        digest = hashlib.sha256()
        for source in sources:
            for file in self.files(source):
                path = self.context / file
                digest.update(str(file).encode())
                digest.update(
                    str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
                )
        return digest.hexdigest()


def kept(path: Path, patterns: Sequence[str]) -> bool:
    """True when .dockerignore leaves a file in the context: the last pattern that fits decides."""
    keep = True
    names = [str(path), *(str(parent) for parent in path.parents if str(parent) != ".")]
    for pattern in patterns:
        bare = pattern.lstrip("!")
        shapes = (bare, bare.removeprefix("**/")) if bare.startswith("**/") else (bare,)
        if any(fnmatch.fnmatch(name, shape) for name in names for shape in shapes):
            keep = pattern.startswith("!")
    return keep


def machine_variables() -> dict[str, str]:
    """Returns how this machine reaches its registries: in the environment, never in a layer."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    trusted = {}
    if bundle.exists():
        trusted = dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE"), f"/run/{bundle.name}")
    if Path("/etc/pip.conf").exists():
        # Its `cert` may name a file that a bare root lacks; PIP_CERT overrides it.
        trusted["PIP_CONFIG_FILE"] = "/run/pip.conf"
    return {name: os.environ[name] for name in PASSED if name in os.environ} | trusted


def pairs(variables: Mapping[str, str]) -> list[str]:
    """Returns the variables as `env` takes them."""
    return [f"{name}={value}" for name, value in variables.items()]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
