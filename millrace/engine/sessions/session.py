"""The child side of a session host: ``python -m millrace.engine.sessions.session EVENTS PARENT``.

EVENTS is the number of the pipe to write events to, PARENT the process id of the host. Started by
`millrace.engine.sessions.child` as the leader of its own process group.

Three things keep the group from outliving its host. The kernel kills this process with its parent.
A guard, forked before anything else is loaded, kills the whole group when the host's end of
standard input closes: it works when this process hangs inside a library or is dead already. And
tools are started by `millrace.engine.sessions.tools`, which ties each to this process.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import threading
import traceback
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from millrace.engine.sessions.group import MARK, die_with, sweep

if TYPE_CHECKING:
    from millrace.engine.sessions.wire import Command


def main() -> None:
    """Answers the host's commands until it says `end`, cancels, or is gone."""
    events, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with(parent)
    commands = _take_stdin()
    guard = _guard(commands, events)
    os.set_inheritable(events, False)
    try:
        _serve(commands, events)
    finally:
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a library's thread or exit handler must not keep a finished session alive


def _take_stdin() -> int:
    """Returns a private descriptor of standard input, which reads empty from now on, so that no
    kind or tool takes a command for its own input."""
    private = os.dup(0)  # not inherited by tools
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return private


def _guard(commands: int, events: int) -> int:
    """Returns the process id of the guard."""
    pid = os.fork()
    if pid:
        return pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.close(events)  # or the host would not see this pipe end with the session
    os.closerange(0, min(commands, events))
    watcher = select.poll()
    watcher.register(commands, 0)  # hang-up is reported without being asked for
    watcher.poll()
    sweep(os.getpgrp(), os.environ[MARK], 0)
    os._exit(0)


def _serve(commands: int, events: int) -> None:
    from millrace.engine.sessions.calls import (  # after the guard: pydantic takes a while
        Calls,
        Cancelled,
    )

    todo: queue.SimpleQueue[Command] = queue.SimpleQueue()
    calls = Calls(events)

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # clean up once
        raise Cancelled

    signal.signal(signal.SIGTERM, interrupt)
    threading.Thread(target=_read, args=(commands, todo, calls.cancelled), daemon=True).start()
    with suppress(Cancelled), closing(calls):
        while calls.answer(todo.get()):
            pass


def _read(commands: int, todo: queue.SimpleQueue[Command], cancelled: threading.Event) -> None:
    from millrace.engine.sessions.wire import COMMANDS, Cancel

    try:
        with os.fdopen(commands, "rb") as lines:
            for row in lines:
                command = COMMANDS.validate_json(row)
                if isinstance(command, Cancel):
                    cancelled.set()
                todo.put(command)
    except ValueError:  # a host of another version, say: without commands there is nothing to do
        traceback.print_exc()
        os._exit(os.EX_PROTOCOL)


if __name__ == "__main__":
    main()
