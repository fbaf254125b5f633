"""YAML's syntax errors in words for people: what is wrong and how to write it right."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ruamel.yaml.error import MarkedYAMLError

_FLOW_PARAMETER = re.compile(r"[{\[,:]\s*(?P<bare>[^\s'\",{}\[\]]*\$\{[^}]*\}[^\s,'\"\]}]*)")
_BARE_FIELD = re.compile(r":\s+(?P<bare>\{[a-z.]+\}[^\s,}]+)")

_WORDS = (
    ("mapping values are not allowed here", "a ':' too many, or the line above is indented wrong; "
     "put text that holds ': ' in quotes"),
    ("could not find expected ':'", "a ':' is missing after the key on this line"),
    ("found unexpected end of stream", "a quote that is opened here is never closed"),
    ("found unexpected document separator", "a quote that is opened before is never closed"),
    ("found undefined alias", "no such anchor"),
    ("expected ',' or '}'", "'{' is never closed, or a ',' is missing"),
    ("expected ',' or ']'", "'[' is never closed, or a ',' is missing"),
    ("expected <block end>", "this line is indented differently from those it belongs to, "
     "or mixes '- ' entries with keys"),
    ("did not find expected", "this line is indented differently from those it belongs to"),
    ("expected the node content", "a value is expected here"),
    ("expected <document start>", "something stands after the end of the document"),
    ("found duplicate anchor", "an anchor of this name exists"),
    ("found unknown escape character", "an unknown escape in \"…\"; use '…' for text with \\"),
    ("while scanning a block scalar", "the text after | or > is indented wrong"),
    ("found duplicate %YAML directive", "%YAML stands twice"),
    ("found incompatible YAML", "this YAML version is not known; leave %YAML out"),
)  # fmt: skip


def in_words(
    error: MarkedYAMLError, lines: Sequence[str], line: int, column: int
) -> tuple[str, tuple[int, int]]:
    """Returns what a syntax error means and the line and column (from 0) to point at."""
    text = lines[line] if line < len(lines) else ""
    said = f"{error.problem or ''} {error.context or ''}"
    tab = re.match(r"[ ]*\t", text)
    if "'\\t'" in said or tab:
        at = tab.end() - 1 if tab else column
        return "a tab; YAML is indented with spaces only", (line, at)
    quote = _open_quote(lines, line)
    if quote is not None:
        return "a quote that is opened here is never closed", quote
    bare = next((m for m in _FLOW_PARAMETER.finditer(text) if m.end() > column), None)
    if bare is not None:
        value = bare["bare"]
        return (
            f'inside {{ }} and [ ] a parameter needs quotes: "{value}"',
            (line, bare.start("bare")),
        )
    field = _BARE_FIELD.search(text)
    if field is not None and field.start("bare") < column:
        rest = text[field.start("bare") :].rstrip(" }")
        return f"text that begins with '{{' needs quotes: \"{rest}\"", (line, field.start("bare"))
    if "that cannot start any token" in said:
        char = text[column : column + 1]
        return f"text that begins with {char!r} needs quotes", (line, column)
    if error.context_mark is not None and ("of stream" in said or "expected ','" in said):
        line, column = error.context_mark.line, error.context_mark.column
    for pattern, words in _WORDS:
        if pattern in said:
            return words, (line, column)
    return f"this is no YAML: {error.problem or error.context or 'unknown reason'}", (line, column)


def _open_quote(lines: Sequence[str], last: int) -> tuple[int, int] | None:
    """Returns where the first line up to `last` with an odd number of double quotes has its last.

    Text over several lines in quotes is rare in pipelines; a forgotten quote is not, and YAML
    complains only where the next one happens to stand.
    """
    for number, line in enumerate(lines[: last + 1]):
        quotes = [match.start() for match in re.finditer(r'(?<!\\)"', line.partition(" #")[0])]
        if len(quotes) % 2:
            return number, quotes[-1]
    return None
