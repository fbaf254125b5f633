"""The child process that opens hostile documents and reads their pages; `isolation` starts it.

It takes JSON lines, and answers each with JSON lines that may announce a number of bytes to follow.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from millrace.engine.errors import BadInput, ItemError, MillraceError, ToolMissing
from millrace.tasks.documents import page_json
from millrace.tasks.documents.pages import Page, Trouble
from millrace.tasks.documents.reading.pageview import Opened
from millrace.tasks.documents.reading.params import ReadParams

MEMORY = 3 << 29  # bytes of its own data: with the session and what it starts, below 2 GiB


def main() -> None:
    """Answers commands until there are no more."""
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, 2 * MEMORY))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        command = json.loads(line)
        try:
            _answer(out, command)
        except ToolMissing as error:
            _say(out, {"refused": ["tool", "tool_missing", error.message, error.hint]})
        except ItemError as error:
            _say(out, {"refused": ["input", error.code, error.message, error.hint]})
        except MemoryError:
            _say(out, {"refused": ["input", "too_large", _too_much(command["name"]), ""]})


def _answer(out: int, command: dict[str, Any]) -> None:
    path, name = Path(command["path"]), str(command["name"])
    opened = Opened(path, command["media_type"], name, tuple(command["passwords"]))
    try:
        if command["do"] == "survey":
            _say(out, {"pages": opened.survey()})
            return
        params = ReadParams.model_validate(command["params"])
        if command["last"] > opened.count:
            raise BadInput("changed", f"{name} has {opened.count} pages, not as many as before")
        for number in range(command["first"], command["last"] + 1):
            page = _page(opened, number, params)
            trouble = page.trouble and [page.trouble.code, page.trouble.message]
            words = sum(len(line.words) for line in page.lines)
            head = {"origin": page.origin, "words": words, "trouble": trouble}
            _say(out, head, page_json.dump_page(page))
    finally:
        opened.close()


def _page(opened: Opened, number: int, params: ReadParams) -> Page:
    """Returns a page, or what is wrong with it."""
    try:
        page = opened.read(number, params)
        # The same page gives the same bytes: how long it took stands elsewhere.
        timeless = tuple(replace(reading, seconds=0.0) for reading in page.readings)
        return replace(page, readings=timeless)
    except ToolMissing:
        raise
    except ItemError as error:
        trouble = Trouble(error.code, error.message)
    except MillraceError as error:
        trouble = Trouble("stage", error.message)
    except MemoryError:
        trouble = Trouble("memory", f"page {number}: it took too much memory")
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises is the page's own fault
        kind = type(error).__name__
        trouble = Trouble("damaged", f"page {number} of {opened.name} cannot be read ({kind})")
    return Page(number, 0.0, 0.0, 72.0, "none", trouble=trouble)


def _too_much(name: str) -> str:
    return f"{name} takes more than {MEMORY >> 20} MiB to open"


def _say(out: int, head: dict[str, Any], body: bytes = b"") -> None:
    data = memoryview(json.dumps({**head, "bytes": len(body)}).encode() + b"\n" + body)
    while data:
        data = data[os.write(out, data) :]


if __name__ == "__main__":
    main()
