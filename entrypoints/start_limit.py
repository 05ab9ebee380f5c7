"""A daemon that fails again and again, soon after its start, does not flap: after five failures within ten minutes the
next start is refused.

A failure is an error of ours (a bug, a full or damaged disk, a strategy that cannot run), noted in a file beside the
ledger. Stops and kills from outside are none, and neither is what a start says of the set-up, of the venue, or of
another daemon. A clean stop forgets what was noted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.alerts.masking import masked
from config.settings import Settings
from entrypoints.exit_codes import ExitCode, exit_code_of
from entrypoints.gates import GateClosed
from entrypoints.output import say
from entrypoints.paths import failures_path

MOST_FAILURES = 5
WITHIN_MS = 600_000

_OURS = (None, ExitCode.FAILED, ExitCode.DATA)
"""Exit codes of failures: a bug has none."""
_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Failure:
    at_ms: int
    what: str


@contextmanager
def starts_limited(settings: Settings, now_ms: Callable[[], int]) -> Iterator[None]:
    """Run a daemon inside. Raises `GateClosed` instead where too many have failed shortly before; notes it if this one
    fails. What cannot be read or written is said, and holds up nothing.

    `now_ms`: UTC milliseconds; failures that seem to lie ahead of it do not count.
    """
    path = failures_path(settings)
    _refuse(path, _recent(path, now_ms()), now_ms())
    try:
        yield
    except Exception as error:
        if exit_code_of(error) in _OURS:
            _note(path, [*_recent(path, now_ms()), _Failure(now_ms(), _told(error))])
        raise
    _forget(path)


def _refuse(path: Path, failures: list[_Failure], now_ms: int) -> None:
    if len(failures) < MOST_FAILURES:
        return
    wait_s = (failures[-MOST_FAILURES].at_ms + WITHIN_MS - now_ms) // 1000 + 1
    raise GateClosed(
        f"{len(failures)} runs have failed within {WITHIN_MS // 60_000} minutes, the last with {failures[-1].what}; "
        f"nothing was started, and stops rest at the venue. What to do: read the log, look with ./aiq doctor, then "
        f"wait {wait_s} s or delete {path}"
    )


def _recent(path: Path, now_ms: int) -> list[_Failure]:
    """What failed within the last minutes, oldest first; nothing where the file is no such file."""
    try:
        noted = [_Failure(int(each["at_ms"]), str(each["what"])) for each in json.loads(path.read_text("utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        say(f"warning: {path} cannot be read, failed starts before now do not count: {error}")
        return []
    return [failure for failure in noted if now_ms - WITHIN_MS < failure.at_ms <= now_ms]


def _note(path: Path, failures: list[_Failure]) -> None:
    text = json.dumps([{"at_ms": failure.at_ms, "what": failure.what} for failure in failures[-MOST_FAILURES:]])
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.touch(0o600)
        part.write_text(text, "utf-8")
        part.replace(path)
    except OSError as error:
        say(f"warning: this failure is not noted, {path} cannot be written: {error}")


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        say(f"warning: {path} cannot be removed: {error}")


def _told(error: BaseException) -> str:
    """The error in a line: of several at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    line = " ".join(str(error).split())
    return masked(f"{type(error).__name__}: {line}")[:_SHOWN_CHARS]
