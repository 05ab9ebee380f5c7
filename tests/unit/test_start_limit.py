"""The limit of failed starts: five within ten minutes, and only failures of ours are counted."""

import json
import os
from pathlib import Path

import pytest

from config.settings import Settings
from entrypoints.exit_codes import ExitCode, exit_code_of
from entrypoints.gates import GateClosed
from entrypoints.paths import failures_path
from entrypoints.start_limit import MOST_FAILURES, WITHIN_MS, starts_limited
from ports.ledger import LedgerHeld, LedgerRefused, StorageError
from ports.order_gateway import VenueUnavailable
from ports.strategy import StrategyFailed, StrategyNotFound
from tests.unit.test_rehearsal import settings_of

MINUTE_MS = 60_000
FAILURE = KeyError("no such key")


class Starts:
    """Runs of one ledger's daemon, with a clock that only the test moves."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = settings_of(folder)
        self.path = failures_path(self.settings)
        self.now_ms = 1_700_000_000_000

    def run(self, error: BaseException | None = None) -> None:
        """One run, which ends by this error or cleanly. Raises `GateClosed` where it is refused."""
        with starts_limited(self.settings, lambda: self.now_ms):
            if error is not None:
                raise error

    def fail(self, times: int, every_ms: int = MINUTE_MS, error: BaseException = FAILURE) -> None:
        """So many runs in which this happens, at equal distances."""
        for _ in range(times):
            with pytest.raises(type(error)) as raised:
                self.run(error)
            assert raised.value is error, "it goes on upwards as it is"
            self.now_ms += every_ms


@pytest.fixture
def starts(tmp_path: Path) -> Starts:
    return Starts(tmp_path)


def test_after_five_failures_the_next_start_is_refused_and_says_what_to_do(starts: Starts) -> None:
    starts.fail(MOST_FAILURES)
    with pytest.raises(GateClosed) as refused:
        starts.run()
    assert exit_code_of(refused.value) is ExitCode.REFUSED
    for word in ("5 runs have failed", "KeyError: 'no such key'", "./aiq doctor", "301 s", str(starts.path)):
        assert word in str(refused.value)


def test_a_refusal_is_no_failure_so_that_waiting_helps(starts: Starts) -> None:
    starts.fail(MOST_FAILURES)
    for _ in range(300):
        with pytest.raises(GateClosed):
            starts.run()
        starts.now_ms += 1_000
    starts.now_ms += 1_000
    starts.run()


def test_deleting_the_file_helps_at_once(starts: Starts) -> None:
    starts.fail(MOST_FAILURES)
    starts.path.unlink()
    starts.run()


def test_failures_that_lie_apart_are_never_too_many(starts: Starts) -> None:
    starts.fail(50, every_ms=WITHIN_MS // (MOST_FAILURES - 1))
    starts.run()


def test_a_clean_end_forgets(starts: Starts) -> None:
    for _ in range(10):
        starts.fail(MOST_FAILURES - 1)
        starts.run()
        assert not starts.path.exists()


@pytest.mark.parametrize(
    "error", [StorageError("disk full"), StrategyFailed("gone"), AssertionError(), ExceptionGroup("two", [KeyError()])]
)
def test_what_is_counted(starts: Starts, error: Exception) -> None:
    starts.fail(MOST_FAILURES, error=error)
    with pytest.raises(GateClosed):
        starts.run()


@pytest.mark.parametrize(
    "error",
    [
        StrategyNotFound("no such function"),
        VenueUnavailable("away"),
        LedgerHeld("by 7"),
        LedgerRefused("another mode"),
        KeyboardInterrupt(),
        SystemExit(3),
        BaseExceptionGroup("stopped", [KeyboardInterrupt()]),
    ],
)
def test_what_is_not_counted(starts: Starts, error: BaseException) -> None:
    starts.fail(3 * MOST_FAILURES, every_ms=1, error=error)
    starts.run()


def test_a_run_that_is_killed_leaves_no_mark(starts: Starts) -> None:
    for _ in range(20):
        child = os.fork()
        if child == 0:
            with starts_limited(starts.settings, lambda: starts.now_ms):
                os.kill(os.getpid(), 9)
        os.waitpid(child, 0)
    assert not starts.path.exists()
    starts.run()


def test_a_clock_that_was_set_back_does_not_refuse(starts: Starts) -> None:
    starts.fail(MOST_FAILURES)
    starts.now_ms -= 60 * MINUTE_MS
    starts.run()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', '[{"at_ms": "x", "what": 1}]', "null", "\x00"])
def test_a_file_that_cannot_be_read_is_told_and_holds_up_nothing(
    starts: Starts, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    starts.path.parent.mkdir(parents=True, exist_ok=True)
    starts.path.write_text(content)
    starts.fail(1)
    assert "cannot be read" in capsys.readouterr().err
    assert len(json.loads(starts.path.read_text())) == 1, "and it is sound from then on"


def test_a_folder_that_cannot_be_written_hides_no_error(starts: Starts, capsys: pytest.CaptureFixture[str]) -> None:
    starts.path.with_name(starts.path.name + ".part").mkdir(parents=True)
    starts.fail(1, error=StorageError("disk full"))
    assert "not noted" in capsys.readouterr().err


def test_the_file_is_its_owners_and_stays_small_and_without_secrets(starts: Starts) -> None:
    starts.fail(1, error=ValueError("0x" + "ab" * 32 + "\n" + "x" * 10_000))
    starts.fail(MOST_FAILURES - 2)
    assert starts.path.stat().st_mode & 0o777 == 0o600
    assert len(starts.path.read_text()) < 1_000
    assert "abab" not in starts.path.read_text()
