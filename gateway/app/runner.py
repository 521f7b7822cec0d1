"""How commands run and end: signals, exit codes, and one line on standard error for what went wrong.

Exit codes: 0 done, or a long work that was stopped by a signal; 1 the work failed; 2 bad input; 130 a short
work that was interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import typer

from gateway.errors import BadInput, Problems, StewardError

T = TypeVar("T")

_USAGE: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""The base of what typer says about a wrong command line; where it lives depends on typer's version."""

OURS = ("gateway", "drivers", "alerts", "dashboards", "simulators")


def guarded(run: Callable[[], Any]) -> int:
    """Run a command; every expected failure becomes one line and an exit code. Other errors pass."""
    try:
        return int(run() or 0)
    except Problems as e:
        return complain([str(p) for p in e.problems], 2)
    except BadInput as e:
        return complain([str(e)], 2)
    except StewardError as e:
        return complain([str(e)], 1)
    except _USAGE as e:
        return complain([_usage(e)], 2)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read us has enough, e.g. `| head`. The interpreter must not try to flush again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as e:
        if (e.name or "").split(".")[0] in OURS:
            raise
        return complain([f"{e.name} is not installed (pip install 'steward-gateway[core]')"], 1)
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        return complain([f"{where}{e.strerror or e}"], 1)


def complain(lines: list[str], code: int) -> int:
    """One line each on standard error; gives the exit code back."""
    sys.stderr.write("".join(f"steward: {line}\n" for line in lines))
    return code


def _usage(e: Any) -> str:
    context = getattr(e, "ctx", None)
    path = context.command_path if context else "steward"
    return f"{' '.join(e.format_message().split())} ({path} --help)"


def run_until_signalled(work: Coroutine[Any, Any, int | None]) -> int:
    """Run to the end, or until SIGINT or SIGTERM; every `finally` runs. 0 when stopped by a signal."""

    async def body() -> int:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            return await task or 0
        return 0

    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]  # the stubs name generators too
    try:
        return asyncio.run(body())
    except BaseExceptionGroup as e:
        raise _first(e) from e


async def wait_for(what: Awaitable[T], timeout: float | None) -> T:
    """`asyncio.wait_for` as Python 3.12 has it. Raises TimeoutError.

    That of 3.11 swallows a cancellation that arrives together with the answer. Client libraries wait with
    it, so a signal in such a moment was lost and the process went on for ever.
    """
    async with asyncio.timeout(timeout):
        return await what


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that a person should see out of a group of tasks that fell together."""
    for e in group.exceptions:
        inner = _first(e) if isinstance(e, BaseExceptionGroup) else e
        if isinstance(inner, StewardError):
            return inner
    return group


def duration(text: str) -> float:
    """Seconds of `90s`, `5m`, `2h` or plain seconds. Raises BadInput."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1]) * factor if factor else float(text)
    except ValueError as e:
        raise BadInput(f"{text!r} is no duration", field="--for", hint="write 90s, 5m or 2h") from e
    if not 0 < seconds < float("inf"):
        raise BadInput(f"{text!r} is no duration", field="--for", hint="write 90s, 5m or 2h")
    return seconds
