"""Logging: an event name and fields, as text for people or JSON for machines.

every logger ─▶ LogSink: limits ─▶ standard error: layout, redaction
                                └▶ log file:       layout, redaction
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType

from config.settings import Settings
from config.variables import LogFormat
from entrypoints.exit_codes import exit_code_of, message_of
from entrypoints.log_redaction import TEXT_CHARS, Redaction, shortened, url_secrets
from entrypoints.log_sink import LogSink, StandardError, log_file
from entrypoints.log_throttle import LogLimits, LogThrottle

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

log = logging.getLogger("daemon")

LIBRARIES = ("alembic", "apprise", "asyncio", "requests", "sqlalchemy", "urllib3", "uvicorn", "websockets")
"""They tell at DEBUG what they send and receive, signatures and tokens among it; at INFO nothing that is news."""

LINE_CHARS = 2 * TEXT_CHARS
"""The longest line of JSON, about."""


class JsonFormatter(logging.Formatter):
    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self._redaction = redaction or Redaction()

    def format(self, record: logging.LogRecord) -> str:
        clean = self._redaction
        line = {
            "ts": _stamp(record),
            "level": record.levelname.lower(),
            "event": clean.text(record.getMessage()),
            **clean.fields(_fields(record)),
        }
        error = _error_of(self, record)
        if error:
            line["error"] = clean.text(error)
        text = json.dumps(line)
        if len(text) <= LINE_CHARS:
            return text
        kept = {name: line[name] for name in ("ts", "level", "event")}
        return json.dumps({**kept, "cut": shortened(text)})


class TextFormatter(logging.Formatter):
    def __init__(self, redaction: Redaction | None = None) -> None:
        super().__init__()
        self._redaction = redaction or Redaction()

    def format(self, record: logging.LogRecord) -> str:
        clean = self._redaction
        fields = " ".join(f"{name}={value}" for name, value in clean.fields(_fields(record)).items())
        line = f"{_stamp(record)[11:23]} {record.levelname[0]} {record.getMessage():<18} {fields}".rstrip()
        error = _error_of(self, record)
        return clean.text(f"{line}\n{error}" if error else line)


def set_up_logging(settings: Settings) -> None:
    """Send all logs to standard error, and to the log file where one is named. Raises `ConfigError` for the file."""
    level = logging.getLevelNamesMapping()[settings.log_level.value.upper()]
    redaction = Redaction(_secrets_of(settings))
    to_terminal = StandardError(sys.stderr)
    to_terminal.setFormatter(_formatter(settings.log_format, redaction, is_terminal=sys.stderr.isatty()))
    outputs: list[logging.Handler] = [to_terminal]
    if settings.log_file is not None:
        to_file = log_file(settings.log_file, settings.log_file_mb, settings.log_files_kept)
        to_file.setFormatter(_formatter(settings.log_format, redaction, is_terminal=False))
        outputs.append(to_file)
    sink = LogSink(outputs, LogThrottle(LogLimits(), time.monotonic))
    logging.basicConfig(level=level, handlers=[sink], force=True)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    sys.excepthook = _log_crash


@contextlib.contextmanager
def end_in_the_log() -> Iterator[None]:
    """Log the error that ends the daemon, if a user can act on it: what a terminal was told is gone with it."""
    try:
        yield
    except BaseException as error:
        code = exit_code_of(error)
        if code is not None:
            log.error("ended", extra={"exit_code": int(code), "detail": message_of(error)})
        raise


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A bug of ours, which nobody caught: its traceback goes where all lines go, and is redacted as they are."""
    log.critical("crashed", exc_info=(kind, error, trace))


def _formatter(layout: LogFormat, redaction: Redaction, *, is_terminal: bool) -> logging.Formatter:
    as_text = layout is LogFormat.TEXT or (layout is LogFormat.AUTO and is_terminal)
    return TextFormatter(redaction) if as_text else JsonFormatter(redaction)


def _secrets_of(settings: Settings) -> list[str]:
    found = [] if settings.alert_urls is None else url_secrets(settings.alert_urls.reveal())
    if settings.agent_key is not None:
        found.append(settings.agent_key.reveal().removeprefix("0x"))
    return found


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _error_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    error = formatter.formatException(record.exc_info) if record.exc_info else ""
    return "\n".join(filter(None, (error, record.stack_info)))


def _stamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
