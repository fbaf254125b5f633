"""What shows of an input without opening it: URLs of no file system, URLs that tell a secret."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from millrace.engine.document.draft import Draft
from millrace.engine.document.parameters import at_home
from millrace.engine.document.problems import Finding, Where, nearest
from millrace.engine.document.specs import Input


def urls(draft: Draft) -> Iterator[Finding]:
    """Yields URLs of an unknown file system, and those with a password in them."""
    for name, part in draft.inputs.items():
        if part is not None:
            for where, text in _texts(part, ("inputs", name)):
                yield from _url(where, text)


def _texts(part: Input, where: Where) -> Iterator[tuple[Where, str]]:
    for key, texts in (("files", part.files), ("folders", part.folders)):
        for number, text in enumerate(texts):
            yield (*where, key, *(() if len(texts) == 1 else (number,))), text
    if part.manifest:
        yield (*where, "manifest"), part.manifest


def _url(where: Where, text: str) -> Iterator[Finding]:
    scheme, separator, rest = text.partition("://")
    if text.startswith("~") and str(at_home(text)).startswith("~"):
        user = text.partition("/")[0]
        yield Finding(
            where, f"{user!r} is nobody's home here; for a file of that name write its path from /"
        )
    if not separator or "/" in scheme:
        return
    if where[2] != "files":
        yield Finding(where, f"{where[2]!r} is read from this host; only `files:` takes URLs")
        return
    if scheme.lower() == "file":
        yield Finding(where, "write the path itself, without file://")
        return
    from fsspec.registry import known_implementations  # a third of a second, and rarely needed

    known = set(known_implementations)
    unknown = next((one for one in scheme.lower().split("::") if one not in known), None)
    if unknown is not None:
        near = nearest(unknown, known) or "; https:// and s3:// are known, for example"
        yield Finding(where, f"no file system is called {unknown!r}{near}")
    elif _password(f"x://{rest}"):
        yield Finding(
            where,
            "a password in a pipeline file is no secret for long; "
            "put it where the file system looks for it: the environment or its own configuration",
        )


def _password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:  # a host in brackets that is none
        return False
