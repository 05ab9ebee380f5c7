"""Log lines: what must never be told, what must stay readable, and how much a storm may write."""

from __future__ import annotations

import io
import json
import logging
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.load import load_configuration
from entrypoints.log_redaction import REDACTED, TEXT_CHARS, Redaction, url_secrets
from entrypoints.log_sink import LogSink, StandardError
from entrypoints.log_throttle import WINDOW_S, LogLimits, LogThrottle
from entrypoints.logs import LIBRARIES, LINE_CHARS, JsonFormatter, TextFormatter, end_in_the_log, set_up_logging
from ports.ledger import StorageError
from ports.strategy_config import ConfigError

KEY = secrets.token_hex(32)
R, S = secrets.token_hex(32), secrets.token_hex(32)
SIGNATURE = R + S + "1b"
SHORT_R = "0x" + secrets.token_hex(20)
"""Leading zeros are left out: now and then a part of a signature is this short, or shorter."""
TOKEN = f"{secrets.randbelow(10**9)}:AA{secrets.token_urlsafe(24)}"
ALERT_URL = f"tgram://{TOKEN}/998877665544"
HOOK = "https://hooks.slack.example/services/T0" + secrets.token_hex(8).upper()

ADDRESS = "0x" + "ab" * 20
CLOID = "0x" + "cd" * 16
INTENT = "9f" * 12
DIGEST = "c0ffee123456"

Set = Callable[..., None]


class Said:
    """What has gone to standard error so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self._text = capsys, ""

    @property
    def text(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(capsys)


@pytest.fixture
def start_logs(tmp_path: Path) -> Iterator[Set]:
    """Sets the logs of this process up as a daemon does, and puts them back."""
    root, hook = logging.getLogger(), sys.excepthook
    before = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in LIBRARIES}

    def start(**more: str) -> None:
        environ = {"AI_QUANT_USER_DIR": str(tmp_path), **{f"AI_QUANT_{name}": text for name, text in more.items()}}
        set_up_logging(load_configuration(environ, root=tmp_path, cwd=tmp_path, seen_ms=0).settings)

    root.handlers = []
    yield start
    for handler in root.handlers:
        handler.close()
    root.handlers[:], sys.excepthook = before[0], hook
    root.setLevel(before[1])
    for name, level in libraries.items():
        logging.getLogger(name).setLevel(level)


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class Holder:
    """Something whose text gives the key away."""

    def __repr__(self) -> str:
        return f"Holder(key={KEY!r})"


def tell_everything(log: logging.Logger) -> None:
    """A key, a signature and a token, in every way in which somebody may log them."""
    log.debug(f"key {KEY}")  # noqa: G004
    log.debug("key %s and 0x%s", KEY.upper(), KEY)
    log.debug("as a number %d", int(KEY, 16))
    log.debug("bytes %r", bytes.fromhex(KEY))
    log.debug("wrong %d", KEY)
    log.debug("signed %s", {"r": SHORT_R, "s": "0x" + S, "v": 27})
    log.debug("signed %s", json.dumps({"action": {"signature": {"r": SHORT_R, "s": SHORT_R, "v": 28}}}))
    log.debug("twice %s", json.dumps(json.dumps({"r": SHORT_R, "s": SHORT_R, "v": 28})))
    log.debug("extra", extra={"detail": KEY, "holder": Holder(), "raw": bytes.fromhex(KEY), "number": int(KEY, 16)})
    log.debug("nested", extra={"a": {"b": [{"c": ("0x" + SIGNATURE,)}, {KEY: 1}], "r": SHORT_R, "s": SHORT_R, "v": 27}})
    log.debug("triple", extra={"r": SHORT_R, "s": SHORT_R, "v": 27})
    log.debug("named", extra={"private_key": "s3cret-word", "config": {"passphrase": "s3cret-word"}})
    log.debug("named %s", {"agent_key": "s3cret-word"})
    log.debug("named private_key=s3cret-word, AI_QUANT_AGENT_KEY: s3cret-word")
    log.debug("%s failed", ALERT_URL)
    log.debug("POST https://api.telegram.example/bot%s/sendMessage and %s", TOKEN, HOOK)
    log.debug("as user https://me:s3cret-word@example.org/path")
    log.debug("stack", stack_info=True, extra={"detail": KEY})
    try:
        try:
            raise ValueError(f"cannot sign with 0x{KEY}")
        except ValueError as error:
            raise RuntimeError({"r": SHORT_R, "s": SHORT_R, "v": 27}, bytes.fromhex(KEY)) from error
    except RuntimeError:
        log.debug("failed", exc_info=True)
        log.exception("failed: %s", KEY)
    try:
        raise ExceptionGroup("many", [ValueError(KEY), TypeError(f"private_key={KEY[:40]}")])
    except ExceptionGroup as group:
        log.debug("group", exc_info=group)


def leaks(text: str) -> list[str]:
    number = str(int(KEY, 16))
    raw = repr(bytes.fromhex(KEY))[2:-1]
    hidden = (
        KEY,
        number,
        raw,
        R,
        S,
        SHORT_R,
        SHORT_R[2:],
        KEY[:40],
        TOKEN,
        ALERT_URL,
        "998877665544",
        HOOK,
        "s3cret-word",
    )
    return [each for each in hidden if each.lower() in text.lower() or json.dumps(each)[1:-1].lower() in text.lower()]


@pytest.mark.parametrize("layout", ["json", "text"])
def test_no_key_signature_or_token_is_in_any_output(tmp_path: Path, start_logs: Set, said: Said, layout: str) -> None:
    start_logs(LOG_LEVEL="debug", LOG_FORMAT=layout, LOG_FILE=str(tmp_path / "d.log"), ALERT_URLS=f"{ALERT_URL},{HOOK}")
    for name in ("daemon", "adapters.hyperliquid.gateway", "websockets.client", "urllib3.connectionpool"):
        tell_everything(logging.getLogger(name))
    try:
        raise RuntimeError(f"0x{KEY}")
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    for text in (said.text, (tmp_path / "d.log").read_text()):
        assert text.count("failed") >= 2
        assert "crashed" in text
        assert REDACTED in text
        assert leaks(text) == []
    if layout == "json":
        assert len(lines_of((tmp_path / "d.log").read_text())) > 40, "every line is one JSON document"


def test_a_line_that_cannot_be_formatted_is_missed_and_tells_nothing(start_logs: Set, said: Said) -> None:
    start_logs(LOG_FORMAT="json")
    for _ in range(3):
        logging.getLogger("daemon").error("wrong %d", KEY)
    assert said.text == "a line of the log daemon could not be written: TypeError\n"


def test_what_people_look_for_stays_readable(start_logs: Set, said: Said) -> None:
    start_logs(LOG_FORMAT="json", ALERT_URLS="json://localhost:8080/services")
    fields = {
        "address": ADDRESS,
        "cloid": CLOID,
        "intent": INTENT,
        "config": DIGEST,
        "url": "http://localhost:8080/info",
        "socket": "wss://api.hyperliquid.xyz/ws",
        "size": "1234567.00000001",
        "count": 7,
        "ratio": 0.25,
        "none": None,
        "names": ["services", "agent_key_file: /run/keys/agent"],
    }
    logging.getLogger("daemon").info("order %s", CLOID, extra=fields)
    (line,) = lines_of(said.text)
    assert line == {"ts": line["ts"], "level": "info", "event": f"order {CLOID}", **fields}


def test_redacting_twice_changes_nothing_more() -> None:
    redaction = Redaction(url_secrets(ALERT_URL))
    text = f"private_key={KEY} {ALERT_URL} {{'r': '{SHORT_R}', 's': '0x{S}', 'v': 27}} secret: {TOKEN}"
    once = redaction.text(text)
    assert leaks(once) == []
    assert redaction.text(once) == once


def test_libraries_are_not_heard_below_warnings_nor_below_the_level_that_was_set(start_logs: Set, said: Said) -> None:
    start_logs(LOG_LEVEL="debug", LOG_FORMAT="json")
    for name in LIBRARIES:
        logging.getLogger(f"{name}.inside").info("chatter")
    logging.getLogger("daemon").debug("heard")
    assert [line["event"] for line in lines_of(said.text)] == ["heard"]
    start_logs(LOG_LEVEL="error", LOG_FORMAT="json")
    logging.getLogger("urllib3").warning("chatter")
    assert len(lines_of(said.text)) == 1


def test_why_the_daemon_ended_stands_in_the_log(start_logs: Set, said: Said) -> None:
    start_logs(LOG_FORMAT="json")
    with pytest.raises(StorageError), end_in_the_log():
        raise StorageError("the disk is full")
    with pytest.raises(RuntimeError), end_in_the_log():
        raise RuntimeError("a bug keeps its traceback: the hook logs it")
    (line,) = lines_of(said.text)
    assert (line["event"], line["exit_code"], line["detail"]) == ("ended", 8, "the disk is full")


# ── the file ─────────────────────────────────────────────────────────────────────────────────────


def test_the_log_file_is_private_also_if_it_was_there_and_turns_over_by_size(tmp_path: Path, start_logs: Set) -> None:
    path = tmp_path / "logs" / "daemon.log"
    path.parent.mkdir()
    path.touch(mode=0o644)
    start_logs(LOG_FILE=str(path), LOG_FILE_MB="1", LOG_FILES_KEPT="2", LOG_FORMAT="json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log = logging.getLogger("daemon")
    for number in range(5_000):
        log.info("line", extra={"number": number, "padding": "x" * 1_000})
    files = sorted(path.parent.iterdir())
    assert [each.name for each in files] == ["daemon.log", "daemon.log.1", "daemon.log.2"]
    assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in files)
    assert sum(each.stat().st_size for each in files) <= 3 * 1_000_000
    assert lines_of(path.read_text())[-1]["number"] == 4_999


def test_a_log_file_that_cannot_be_written_is_a_problem_of_configuration(tmp_path: Path, start_logs: Set) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"AI_QUANT_LOG_FILE: .*file/daemon\.log"):
        start_logs(LOG_FILE=str(tmp_path / "file" / "daemon.log"))


# ── storms ───────────────────────────────────────────────────────────────────────────────────────


class Storm:
    """A sink with a clock of its own, and what it wrote."""

    def __init__(self, limits: LogLimits) -> None:
        self.now_s = 1_000.0
        self.stream = io.StringIO()
        output = StandardError(self.stream)
        output.setFormatter(JsonFormatter())
        self.throttle = LogThrottle(limits, lambda: self.now_s)
        self.sink = LogSink([output], self.throttle)

    def say(self, message: str, level: int = logging.ERROR, name: str = "daemon", **fields: object) -> None:
        record = {"name": name, "levelno": level, "levelname": logging.getLevelName(level), "msg": message, **fields}
        self.sink.handle(logging.makeLogRecord(record))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return lines_of(self.stream.getvalue())


def test_the_same_error_again_and_again_is_cut_off_counted_and_told_once() -> None:
    storm = Storm(LogLimits(loud=5))
    for number in range(100_000):
        storm.say("broken", number=number)
    storm.say("another")
    assert [line["event"] for line in storm.lines] == ["broken"] * 5 + ["another"]
    storm.now_s += WINDOW_S
    storm.say("heartbeat", logging.INFO)
    told, last = storm.lines[-2:]
    assert (told["event"], told["suppressed"], told["times"]) == ("log_suppressed", "broken", 99_995)
    assert (told["level"], last["event"]) == ("error", "heartbeat")
    storm.say("broken")
    assert storm.lines[-1]["event"] == "broken", "a new minute, a new count"


def test_what_was_suppressed_last_is_told_at_the_end() -> None:
    storm = Storm(LogLimits(loud=1))
    storm.say("broken")
    storm.say("broken")
    storm.sink.close()
    assert [(line["event"], line.get("times")) for line in storm.lines] == [("broken", None), ("log_suppressed", 1)]


def test_a_storm_of_different_errors_is_bounded_too_and_news_still_come_through() -> None:
    storm = Storm(LogLimits(loud=50, loud_together=120, events=100))
    for number in range(20_000):
        storm.say(f"broken in a new way: {number}")
    storm.say("fill", logging.INFO)
    events = [line["event"] for line in storm.lines]
    assert len(events) == 121
    assert len(storm.throttle._counts) <= 103, "what is remembered of it is bounded as well"
    assert events[-1] == "fill"


def test_a_storm_of_tracebacks_writes_bounded_bytes() -> None:
    limits = LogLimits()
    storm = Storm(limits)
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError as error:
        failure = (ValueError, error, error.__traceback__)
    for _ in range(limits.loud_together + 10):
        storm.say("broken", exc_info=failure)
    assert len(storm.stream.getvalue()) <= limits.loud * LINE_CHARS


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_one_line_is_bounded_and_keeps_its_end(formatter: logging.Formatter) -> None:
    fields = {f"field_{number}": "x" * 30_000 for number in range(10)}
    record = logging.makeLogRecord({"msg": "huge", "levelname": "INFO", **fields, "last": "the end"})
    text = formatter.format(record)
    assert len(text) <= LINE_CHARS + 1_000
    assert "the end" in text
    assert "huge" in text


def test_a_key_at_the_place_where_a_text_is_cut_is_not_cut_in_two() -> None:
    for before in range(TEXT_CHARS // 2 - 70, TEXT_CHARS // 2 + 5):
        text = Redaction().text("-" * (before - 1) + f" {KEY} " + "-" * TEXT_CHARS)
        assert not [size for size in range(8, 64, 8) if KEY[:size] in text]
