"""Where log lines go: through the limits, to standard error and, where one is named, to a file.

The file can be read by its owner only, and all of it together stays under a size that was set. What an output cannot
write it says on standard error, once, and without the line: the line may hold what must not be told.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from domain.strategy_config import Place
from entrypoints.log_throttle import LogThrottle
from ports.strategy_config import ConfigError, ConfigProblem

MB = 1_000_000
PRIVATE = 0o600


class LogSink(logging.Handler):
    """The only handler of all loggers: what the limits let through goes to every output, or to none."""

    def __init__(self, outputs: Sequence[logging.Handler], throttle: LogThrottle) -> None:
        super().__init__()
        self._outputs = outputs
        self._throttle = throttle

    def emit(self, record: logging.LogRecord) -> None:
        for each in self._throttle.overdue():
            self._write(each)
        if self._throttle.passes(record):
            self._write(record)

    def close(self) -> None:
        """Tell what was suppressed last, and let go of the outputs."""
        self.acquire()
        try:
            for each in self._throttle.rest():
                self._write(each)
            for output in self._outputs:
                output.close()
            self._outputs = ()
        finally:
            self.release()
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        for output in self._outputs:
            output.handle(record)


class _Discreet(logging.Handler):
    """An output that fails without telling what it was about to write, as `logging` would."""

    has_failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (`logging` calls it so)
        if not self.has_failed:
            self.has_failed = True
            error = sys.exc_info()[1]
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            with contextlib.suppress(OSError):
                print(f"a line of the log {record.name} could not be written: {why}", file=sys.stderr, flush=True)


class StandardError(_Discreet, logging.StreamHandler):  # type: ignore[type-arg]  # it takes no argument at run time
    pass


class LogFile(_Discreet, logging.handlers.RotatingFileHandler):
    def _open(self):  # type: ignore[no-untyped-def]  # the stubs keep its type to themselves
        stream = open(self.baseFilename, self.mode, encoding=self.encoding, opener=_private)  # noqa: SIM115
        os.fchmod(stream.fileno(), PRIVATE)  # one that was there before may be open to others
        return stream


def log_file(path: Path, file_mb: int, files_kept: int) -> LogFile:
    """Write to `path`, and keep `files_kept` older files, each of `file_mb` at most; `path.1` is the newest of them.

    Raises `ConfigError` where nothing can be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return LogFile(path, maxBytes=file_mb * MB, backupCount=files_kept, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        text = f"{path}: {error.strerror}; name a file in a folder that this user may write in"
        raise ConfigError([ConfigProblem(Place("environment"), "AI_QUANT_LOG_FILE", text)]) from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
