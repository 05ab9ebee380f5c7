"""Exit codes: stable, documented in docs/operations, the same for every command."""

from __future__ import annotations

import enum

from entrypoints.control.failures import NoAnswer, NotRunning
from entrypoints.gates import GateClosed
from ports.datasets import DatasetError
from ports.ledger import LedgerHeld, LedgerRefused, StorageError
from ports.order_gateway import VenueUnavailable
from ports.session_errors import SessionError
from ports.strategy import StrategyFailed, StrategyNotFound
from ports.strategy_config import ConfigError


class ExitCode(enum.IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    CONFIGURATION = 3
    VENUE = 4
    REFUSED = 5
    NOT_RUNNING = 6
    HELD = 7
    DATA = 8
    INTERRUPTED = 130


_CODE_OF: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (ConfigError, ExitCode.CONFIGURATION),
    (StrategyNotFound, ExitCode.CONFIGURATION),
    (StrategyFailed, ExitCode.FAILED),
    (VenueUnavailable, ExitCode.VENUE),
    (GateClosed, ExitCode.REFUSED),
    (LedgerHeld, ExitCode.HELD),
    (LedgerRefused, ExitCode.REFUSED),
    (StorageError, ExitCode.DATA),
    (DatasetError, ExitCode.DATA),
    (SessionError, ExitCode.DATA),
    (NotRunning, ExitCode.NOT_RUNNING),
    (NoAnswer, ExitCode.FAILED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)
"""Errors that have a message for the user, most specific first. Any other exception is a bug of ours."""


def exit_code_of(error: BaseException) -> ExitCode | None:
    """The code of an error that a user can act on; None for a bug, which keeps its traceback."""
    if isinstance(error, BaseExceptionGroup):
        codes = {exit_code_of(each) for each in error.exceptions}
        return codes.pop() if len(codes) == 1 else None
    return next((code for kind, code in _CODE_OF if isinstance(error, kind)), None)


def message_of(error: BaseException) -> str:
    """What to print for an error that has an exit code: its message, each only once."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(dict.fromkeys(message_of(each) for each in error.exceptions))
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
