"""The operator's verbs where no daemon runs, and what they refuse before they ask one."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.sqlite.ledger import LedgerIdentity
from adapters.sqlite.ledger_check import check_ledger
from domain.facts import RiskChanged
from domain.risk import Latch, RiskState
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from tests.sqlite_files import opened

PAPER = LedgerIdentity("paper", "local", "local")
SHUT = RiskState(
    peak_equity_usd=Decimal(10_000),
    latch=Latch.HALT,
    latch_why="drawdown: equity 8000.00 is 20.00 % below its peak",
    latched_ms=1_767_578_400_000,
    paused="flattened, cli",
    leaving=(("BTC", "kill hard"),),
    residuals=(("ETH", "too small"),),
)


@pytest.fixture(autouse=True)
def nobody_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))


def shut_ledger(path: Path, state: RiskState = SHUT) -> Path:
    with opened(path, PAPER) as ledger:
        ledger.commit([RiskChanged(state, state.latched_ms)])
    return path


def risk_of(path: Path) -> RiskState:
    with opened(path, PAPER) as ledger:
        return ledger.load().risk


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["status", "--json"],
        ["pause"],
        ["resume"],
        ["reload"],
        ["force-exit", "BTC"],
        ["force-exit", "all", "--yes"],
        ["flatten", "--yes"],
        ["cancel-orders"],
        ["adopt", "all"],
    ],
)
def test_without_a_daemon_the_code_is_6_and_it_is_said_what_to_do(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.NOT_RUNNING
    said = capsys.readouterr()
    assert said.out == ""
    assert f"no daemon runs on {tmp_path / 'paper-local.sqlite'}. Start it with ./run" in said.err
    assert run([*arguments, "--db", "other.sqlite"]) == ExitCode.NOT_RUNNING
    assert "no daemon runs on other.sqlite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["kill", "hard"], ["flatten"], ["flatten", "all"], ["force-exit", "all"], ["kill", "hard", "--db", "x"]],
)
def test_what_cannot_be_taken_back_is_confirmed(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert "add --yes. Nothing was done" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_word_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", _Terminal("yes\n"))
    assert run(["kill", "hard"]) == ExitCode.USAGE
    assert "not confirmed; nothing was done" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("sys.stdin", _Terminal("hard\n"))
    assert run(["kill", "hard"]) == ExitCode.NOT_RUNNING
    assert (tmp_path / "paper-local.kill").read_text() == "hard\n\n"


@pytest.mark.parametrize("arguments", [["kill"], ["kill", "soft", "--clear"], ["kill", "medium"]])
def test_kill_wants_one_thing(arguments: list[str], tmp_path: Path) -> None:
    assert run(arguments) == ExitCode.USAGE
    assert list(tmp_path.iterdir()) == []


def test_a_reason_is_one_line(tmp_path: Path) -> None:
    assert run(["kill", "soft", "--reason", "a\nb"]) == ExitCode.USAGE
    assert run(["pause", "--reason", "x" * 501]) == ExitCode.USAGE
    assert list(tmp_path.iterdir()) == []


def test_kill_soft_needs_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kill", "soft", "--reason", "I am away"]) == ExitCode.DONE
    assert "is shut from its first moment" in capsys.readouterr().out
    assert (tmp_path / "paper-local.kill").read_text() == "soft\nI am away\n"


def test_kill_hard_says_that_nothing_is_closed_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["kill", "hard", "--yes"]) == ExitCode.NOT_RUNNING
    assert "nothing is closed or cancelled until a daemon runs" in capsys.readouterr().err
    assert (tmp_path / "paper-local.kill").read_text() == "hard\n\n"


def test_a_kill_file_that_cannot_be_written_does_not_keep_the_daemon_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("AI_QUANT_KILL_SWITCH_FILE", str(tmp_path / "a file" / "d.kill"))
    assert run(["kill", "soft"]) == ExitCode.NOT_RUNNING
    said = capsys.readouterr()
    assert "the kill file cannot be written (File exists)" in said.err
    assert "no daemon runs" in said.err
    assert said.out == "", "nothing is shut, and nothing says so"


def test_kill_works_while_the_overrides_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "overrides.yaml"
    broken.write_text("global: {trade: {no_such_key: 1}}\n")
    monkeypatch.setenv("AI_QUANT_STRATEGY_YAML", str(broken))
    assert run(["show-config"]) == ExitCode.CONFIGURATION
    assert run(["kill", "soft"]) == ExitCode.DONE
    assert (tmp_path / "paper-local.kill").exists()


# ── clearing ─────────────────────────────────────────────────────────────────────────────────


def test_clear_opens_the_latch_of_a_ledger_that_nobody_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shut_ledger(tmp_path / "paper-local.sqlite")
    (tmp_path / "paper-local.kill").write_text("hard\n")
    assert run(["kill", "--clear", "--reason", "looked at it"]) == ExitCode.DONE
    assert "is open again; it was halt: drawdown" in capsys.readouterr().out
    assert not (tmp_path / "paper-local.kill").exists()
    opened_again = replace(
        SHUT, latch=Latch.OPEN, latch_why="", latched_ms=0, leaving=(), residuals=(), peak_equity_usd=None
    )
    assert risk_of(path) == opened_again, "the peak is counted anew; a pause stays"
    with closing(sqlite3.connect(path)) as connection:
        acts = connection.execute("SELECT verb, source, reason, is_done, answer FROM operator_acts").fetchall()
    assert [act[:4] for act in acts] == [("kill clear", "cli", "looked at it", 1)]
    assert check_ledger(path, lambda *_: None, lambda *_: None).problems == []


def test_clear_of_an_open_latch_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = shut_ledger(tmp_path / "paper-local.sqlite", RiskState(peak_equity_usd=Decimal(5)))
    assert run(["kill", "--clear"]) == ExitCode.DONE
    assert "the kill latch was open" in capsys.readouterr().out
    assert risk_of(path).peak_equity_usd == Decimal(5)


def test_clear_without_a_ledger_makes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["kill", "--clear"]) == ExitCode.DONE
    assert "there is no ledger yet" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_clear_does_not_write_beside_a_daemon_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shut_ledger(tmp_path / "paper-local.sqlite")
    with opened(path, PAPER):
        assert run(["kill", "--clear"]) == ExitCode.HELD
    assert "another process" in capsys.readouterr().err
    assert risk_of(path) == SHUT


def test_clear_says_that_the_environment_shuts_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AI_QUANT_KILL_SWITCH", "close_only")
    shut_ledger(tmp_path / "paper-local.sqlite")
    assert run(["kill", "--clear"]) == ExitCode.DONE
    assert "AI_QUANT_KILL_SWITCH=close_only is still set" in capsys.readouterr().err


def test_clear_of_another_ledger_takes_its_own_kill_file(tmp_path: Path) -> None:
    other = shut_ledger(tmp_path / "other.sqlite")
    for name in ("other.kill", "paper-local.kill"):
        (tmp_path / name).write_text("soft")
    assert run(["kill", "--clear", "--db", str(other)]) == ExitCode.DONE
    assert risk_of(other).latch is Latch.OPEN
    assert not (tmp_path / "other.kill").exists()
    assert (tmp_path / "paper-local.kill").exists()


def test_a_kill_file_that_cannot_be_removed_keeps_the_latch_shut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shut_ledger(tmp_path / "paper-local.sqlite")
    (tmp_path / "paper-local.kill").mkdir()
    assert run(["kill", "--clear"]) == ExitCode.DATA
    assert "the latch stays shut" in capsys.readouterr().err
    assert risk_of(path) == SHUT


def test_the_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    for verb in ("status", "pause", "resume", "force-exit", "flatten", "cancel-orders", "adopt", "kill", "reload"):
        assert f"  {verb} " in shown
        assert run([verb, "--help"]) == ExitCode.DONE
