"""The report of a run: one self-contained HTML file for people, beside the outputs.

It fetches nothing and runs nothing: style and pictures are inside, there are no scripts, and its
own content policy forbids any. Names from files are escaped by the template engine. For ten
thousand items it shows a part of each list and says so; `millrace show RUN --json` has all.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from pydantic import ValidationError

from millrace.engine.errors import UsageError
from millrace.engine.files import write_atomically
from millrace.engine.journal import Record
from millrace.engine.reporting import timeline
from millrace.engine.reporting.tally import Tally
from millrace.engine.reporting.tally_parts import Failed
from millrace.engine.reporting.words import duration, number, size
from millrace.engine.runs import Order, Run
from millrace.engine.settings import Settings
from millrace.engine.store import Manifest, Store

NAME = "report.html"
_MARK = b'<meta name="generator" content="Millrace">'
_ITEMS, _FAILURES, _OUTPUTS, _PICTURES = 1000, 500, 200, 60
_PICTURE_BYTES = 64_000
_LOOKED_UP = 300  # manifests that are read in search of pictures
_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


@dataclass(frozen=True)
class ItemRow:
    """One item across the stages: a word and seconds for each stage, "" where it never came."""

    name: str
    status: str
    cells: tuple[tuple[str, float], ...]
    notes: tuple[str, ...]


def write_report(run: Run, settings: Settings) -> list[Path]:
    """Writes a run's report into its folder and beside its outputs; returns where.

    A file called report.html that is not a report of ours is left alone: ours then carries the
    run's id in its name. Raises OSError when the run's own folder cannot be written.
    """
    records = run.records()
    tally = Tally(records)
    try:
        order = run.order()
    except UsageError:
        order = None
    page = render(tally, run.id, order, find_pictures(records, Store(settings.store))).encode()
    written = [run.folder / NAME]
    write_atomically(written[0], page)
    beside = _beside([Path(output["path"]) for output in tally.outputs])
    if beside is not None:
        try:
            path = _free(beside, run.id)
            write_atomically(path, page)
            written.append(path)
        except OSError:
            pass  # the outputs' folder may be read-only by now; the run's own folder has it
    return written


def render(
    tally: Tally, run: str, order: Order | None, pictures: Mapping[str, bytes] | None = None
) -> str:
    """Returns the report as HTML. `pictures` are JPEG or PNG by item; others are left out."""
    rows = list(_items(tally))
    images = dict(_images(pictures or {}))
    failures = list(tally.failures.values())
    return _template().render(
        run=run,
        tally=tally,
        order=order,
        kinds={name: spec.uses for name, spec in order.pipeline.stages.items()} if order else {},
        document=order.pipeline.to_yaml() if order else "",
        begun=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(tally.started)),
        saved=sum(stage.seconds_reused for stage in tally.stages.values()),
        chart=timeline.chart(tally),
        failures=sorted(failures, key=_by_place)[:_FAILURES],
        failures_left=max(0, len(failures) - _FAILURES),
        items=rows[:_ITEMS],
        items_left=max(0, len(rows) - _ITEMS),
        outputs=tally.outputs[:_OUTPUTS],
        outputs_left=max(0, len(tally.outputs) - _OUTPUTS),
        pictures=images,
        pictures_left=max(0, len(pictures or {}) - len(images)),
    )


def find_pictures(records: Sequence[Record], store: Store) -> dict[str, bytes]:
    """Returns a picture for each item, of the last result that came with one (a `thumbnail` in its
    facts). Only so many results are looked at."""
    finished = [r for r in records if r.event in ("done", "reused")]
    found: dict[str, bytes] = {}
    for record in reversed(finished[:_LOOKED_UP]):
        if record.item in found:
            continue
        text = record.data.get("thumbnail") or _thumbnail(store, str(record.data["key"]))
        try:
            data = base64.b64decode(str(text or ""), validate=True)
        except (binascii.Error, ValueError):
            continue
        if data:
            found[record.item] = data
    return found


def _thumbnail(store: Store, key: str) -> object:
    try:
        manifest = Manifest.model_validate_json(store.manifest_path(key).read_bytes())
    except (OSError, ValidationError):
        return None
    return manifest.facts.get("thumbnail")


def _images(pictures: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    shown = 0
    for item, data in pictures.items():
        media = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "")
        if media and len(data) <= _PICTURE_BYTES and shown < _PICTURES:
            shown += 1
            yield item, f"data:{media};base64,{base64.b64encode(data).decode()}"


def _items(tally: Tally) -> Iterator[ItemRow]:
    """Yields the items, the failed first, else in the order they came."""
    names: dict[str, None] = {}
    for stage in tally.stages.values():
        names |= dict.fromkeys(stage.items)
    failed = {failure.item for failure in tally.failures.values()}
    for name in sorted(names, key=lambda n: n not in failed):
        here = [stage.items.get(name) for stage in tally.stages.values()]
        words = {item.status for item in here if item}
        status = "failed" if name in failed else "done" if "done" in words else "reused"
        if words <= {""}:
            status = "not finished"
        yield ItemRow(
            name=name,
            status=status,
            cells=tuple((i.status or "not finished", i.seconds) if i else ("", 0.0) for i in here),
            notes=tuple(dict.fromkeys(note for i in here if i for note in i.notes)),
        )


def _by_place(failed: Failed) -> tuple[str, str, str]:
    return (failed.stage, failed.code, failed.item)


def _beside(outputs: Sequence[Path]) -> Path | None:
    folders = sorted({path.parent for path in outputs})
    if not folders:
        return None
    common = Path(os.path.commonpath(folders))
    # outputs in quite different places: one of them, rather than the root or a home folder
    shared = common not in (Path(common.anchor), Path.home()) or len(folders) == 1
    return common if shared else folders[0]


def _free(folder: Path, run: str) -> Path:
    path = folder / NAME
    try:
        with path.open("rb") as file:
            ours = _MARK in file.read(1000)
    except FileNotFoundError:
        return path
    return path if ours else folder / f"report-{run}.html"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("millrace.engine.reporting", "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"seconds": duration, "size": size, "number": number}
    return environment.get_template("report.html")
