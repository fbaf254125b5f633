"""Whether a person's query does nothing but read the graph.

For the embedded database, which has no rights to give: read-only, it still writes files (COPY TO),
reads them (LOAD FROM) and calls procedures. A query is cut into strings, comments, quoted names and
words, by the rules of that database; what the words may be is a list. Neo4j plans a query first,
and that plan is judged.
"""

from __future__ import annotations

import re

from millrace.engine.errors import UsageError

_TOKENS = re.compile(
    r"""
      (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<name>`[^`]*`)
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<word>[^\W\d]\w*)
    | (?P<open>['"`]|/\*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BEGINNINGS = {"match", "optional", "unwind", "with", "return"}
_OTHERS = {
    "alter", "attach", "begin", "call", "checkpoint", "comment", "commit", "copy", "create",
    "delete", "detach", "drop", "explain", "export", "extension", "force", "foreach", "grant",
    "import", "insert", "install", "load", "merge", "profile", "remove", "revoke", "rollback",
    "set", "show", "standalone", "terminate", "uninstall", "update", "use",
}  # fmt: skip
HINT = "a query begins with MATCH, OPTIONAL MATCH, UNWIND, WITH or RETURN, and only reads"


def words(text: str) -> tuple[str, ...]:
    """Returns the words and semicolons of a query outside of strings, comments and quoted names,
    in lower case. Raises UsageError where one of those is left open."""
    found: list[str] = []
    for token in _TOKENS.finditer(text):
        if token.lastgroup == "open":
            raise UsageError("the query ends inside of a string, a quoted name or a comment")
        if token.lastgroup == "word" or token[0] == ";":
            found.append(token[0].casefold())
    return tuple(found)


def check(text: str) -> str:
    """Returns a query that only reads, without a semicolon at its end. Raises UsageError for one
    that would do anything else."""
    if "\0" in text:
        raise UsageError("the query holds a character that is none", hint=HINT)
    bare = text.strip().removesuffix(";")
    told = words(bare)
    if not told or told[0] not in _BEGINNINGS:
        raise UsageError("that is no query that reads the graph", hint=HINT)
    if ";" in told:
        raise UsageError("there is more than one statement", hint=HINT)
    if refused := sorted(_OTHERS.intersection(told)):
        raise UsageError(
            f"the graph is only read here: {refused[0].upper()} is refused",
            hint=f"{HINT}; a property of that name stands in backticks",
        )
    return bare
