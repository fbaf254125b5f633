"""Carries out a Dockerfile's steps in a bare Debian root, then runs what came of each target.

    python -m imagecheck FOLDER CONTEXT [TARGET…]       (scripts/image-check.sh calls it)

FOLDER holds `bare/`, the Debian root. An image other than Debian's is replaced by that root, and
what would have been copied out of it is listed as not copied.
"""

from __future__ import annotations

import fnmatch
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from imagecheck.dockerfile import LAYERS, Stage, needed, stages
from imagecheck.layers import Builder, Root, StepFailed

TARGETS = ("worker-cpu", "worker-documents", "worker-gpu")
HELD = "debian:bookworm"
MIB = 1 << 20

_SERVER = """
    export PREFECT_API_URL=http://127.0.0.1:$PORT/api
    prefect server start --host 127.0.0.1 --port $PORT >/tmp/server.log 2>&1 &
    for second in $(seq 90); do
        sleep 1; python3 /usr/local/bin/millrace-health 2>/dev/null && break
    done
    python3 /usr/local/bin/millrace-health || { tail /tmp/server.log; exit 1; }
"""
EVERYWHERE = {
    "it is not root, and its root cannot be written": (
        "test $(id -u) = 10001 && ! touch /etc/x 2>/dev/null && ! touch /opt/millrace/x 2>/dev/null"
        " && touch /tmp/x /var/lib/millrace/x"
    ),
    "there are no build tools": "! command -v gcc make uv pip git",
    "the entry point starts workers": "tini -s -- millrace-start --help | grep -qi pool",
    "it runs no other command": (
        '! tini -s -- millrace-start python -c \'open("/tmp/evil", "w")\' && ! test -e /tmp/evil'
    ),
    "it carries out no flow run without an id": (
        "tini -s -- millrace-start python -m millrace.flows.entry 2>/tmp/said; test $? = 2"
        " && grep -q PREFECT__FLOW_RUN_ID /tmp/said"
    ),
    "it asks the server for the flow run that it is given": (
        "export PREFECT__FLOW_RUN_ID=00000000-0000-4000-8000-000000000000"
        " PREFECT_CLIENT_MAX_RETRIES=0 PREFECT_API_URL=http://127.0.0.1:9/api;"
        " ! tini -s -- millrace-start python -m millrace.flows.entry >/tmp/said 2>&1"
        " && grep -qi connect /tmp/said"
    ),
    "without a server it is not healthy": (
        "! PREFECT_API_URL=http://127.0.0.1:9/api python3 /usr/local/bin/millrace-health"
    ),
}
VIDEO = {
    "ffmpeg has the encoders": "ffmpeg -v quiet -encoders | grep -q libsvtav1",
    "the kinds load": "millrace kinds | grep -q video.upscale",
}
SMOKES = {
    "worker-cpu": EVERYWHERE | VIDEO | {
        "a clip is encoded": (
            "clip=$(find /mnt/video -name '*.mp4' | head -n 1);"
            " millrace run video.encode $clip -o /var/lib/millrace/out.mp4 --set codec=h264 --yes"
            " && millrace server stop && ffprobe -v error /var/lib/millrace/out.mp4"
        ),
        "the Prefect server of the same image starts and is healthy": (
            f"PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind((\"127.0.0.1\", 0));"
            f" print(s.getsockname()[1])'); {_SERVER}"
        ),
    },
    "worker-gpu": EVERYWHERE | VIDEO | {
        "ONNX Runtime is the one for GPUs": (
            "python -c 'import onnxruntime as o; import sys;"
            " sys.exit(\"CUDAExecutionProvider\" not in o.get_available_providers())'"
        ),
    },
    "worker-documents": EVERYWHERE | {
        "Java and Tesseract are there": (
            "java -version && tesseract --list-langs | grep -q chi_sim"
        ),
        "Spark computes": (
            "python -c 'from pyspark.sql import SparkSession;"
            " s = SparkSession.builder.master(\"local[1]\").config(\"spark.ui.enabled\", False)"
            ".config(\"spark.driver.bindAddress\", \"127.0.0.1\")"
            ".config(\"spark.driver.host\", \"127.0.0.1\").getOrCreate();"
            " assert s.range(10).count() == 10'"
        ),
    },
}  # fmt: skip


def say(text: str) -> None:
    """Writes a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def build(builder: Builder, stage: Stage, done: dict[str, Root]) -> Root:
    """Returns the root of a stage. Raises StepFailed."""
    if stage.base in done:
        root = done[stage.base]
    else:
        root = builder.root(stage.base, stand_in=not stage.base.startswith(HELD))
        if root.stand_in:
            say(f"{stage.name}: {stage.base} cannot be had here; a bare Debian stands for it")
    for instruction in stage.instructions:
        if instruction.word not in LAYERS:
            root = builder.settle(root, instruction)
            continue
        begun, before = time.monotonic(), root
        try:
            if instruction.word == "RUN":
                root = builder.run(root, instruction)
            else:
                source = done.get(instruction.options.get("from", ""))
                root, missing = builder.copy(root, instruction, source)
                for name in missing:
                    if source is None or not source.stand_in:
                        raise StepFailed(f"there is no {name} to copy")
                    say(f"{stage.name}: not copied, since its image is not here: {name}")
        except StepFailed as error:
            raise StepFailed(f"{stage.name}, line {instruction.line}: {error}") from error
        size = builder.size(root.layers[-1]) / MIB
        if len(root.layers) > len(before.layers):
            say(
                f"{stage.name}: line {instruction.line:3} {size:7.1f} MiB "
                f"{time.monotonic() - begun:6.1f} s  {instruction.word} {instruction.text[:60]}"
            )
    return root


def prove(builder: Builder, target: str, root: Root) -> int:
    """Runs what a target must be able to do; returns how much of it failed."""
    failed = 0
    volume = builder.folder / f"{target}.volume"
    volume.mkdir(exist_ok=True)
    os.chown(volume, int(root.user), int(root.user))  # as a fresh volume is
    for sentence, command in SMOKES[target].items():
        begun = time.monotonic()
        ended = builder.smoke(root, command, volume)
        verdict = "ok    " if ended.returncode == 0 else "FAILED"
        say(f"{target}: {verdict} {sentence} ({time.monotonic() - begun:.1f} s)")
        if ended.returncode != 0:
            failed += 1
            say(ended.stdout[-2000:])
    return failed


def unresolved(builder: Builder, root: Root, absent: Sequence[str]) -> list[str]:
    """Returns the libraries that ONNX Runtime's CUDA provider needs and nothing would bring.

    `absent` are the files that the image copies out of one that is not here.
    """
    command = "ldd /opt/millrace/lib/python3.11/site-packages/onnxruntime/capi/*_cuda.so"
    said = builder.smoke(root, command, builder.folder / "worker-gpu.volume").stdout
    wanted = [line.split()[0] for line in said.splitlines() if "not found" in line]
    if not wanted:
        return ["(ldd named none: was the provider there?)"]
    return [
        name
        for name in wanted
        if not any(fnmatch.fnmatch(name, Path(each).name) for each in absent)
    ]


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code."""
    folder, context = Path(arguments[0]).resolve(), Path(arguments[1]).resolve()
    targets = arguments[2:] or TARGETS
    all_stages = stages((context / "Dockerfile").read_text(encoding="utf-8"))
    builder, done, failed = Builder(folder, context), {}, 0
    for target in targets:
        try:
            for name in needed(all_stages, target):
                done[name] = done.get(name) or build(builder, all_stages[name], done)
        except StepFailed as error:
            say(f"FAILED {error}")
            failed += 1
            continue
        own = sum(builder.size(layer) for layer in done[target].layers[1:]) / MIB
        bare = builder.size("bare") / MIB
        say(f"{target}: {own + bare:.0f} MiB, of which {bare:.0f} MiB are the bare Debian")
        failed += prove(builder, target, done[target])
        if target == "worker-gpu":
            copied = [each.text.split()[:-1] for each in all_stages[target].instructions
                      if each.options.get("from") == "cuda"]  # fmt: skip
            left = unresolved(builder, done[target], [name for names in copied for name in names])
            failed += bool(left)
            verdict = f"FAILED nothing brings {', '.join(left)}" if left else "ok    "
            say(f"{target}: {verdict} the CUDA libraries that ONNX Runtime needs are copied")
    say("all steps hold" if not failed else f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
