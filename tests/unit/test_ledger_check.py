"""`db check`: a sound ledger is found sound, and every damage that is planted is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from adapters.sqlite.ledger_check import check_ledger, events_in
from domain.facts import LedgerFact
from entrypoints.cli import run
from entrypoints.exit_codes import ExitCode
from ports.ledger import StorageError
from tests.ledger_facts import story, troubles
from tests.sound_ledger import sound_desk
from tests.sqlite_files import opened, run_sql, write_ledger

UNLOCK = ("DROP TRIGGER ledger_events_no_update", "DROP TRIGGER ledger_events_no_delete")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "ledger.sqlite"
    with opened(made) as ledger:
        for commit in sound_desk().commits:
            ledger.commit(commit)
    return made


def test_a_ledger_as_the_daemon_makes_it_is_sound(path: Path) -> None:
    checked = check_ledger(path)
    assert checked.problems == [] and checked.notes == []
    assert checked.events == len(sound_desk().facts)
    assert checked.rows["trades"] == 2 and checked.rows["gaps"] == 1 and checked.rows["position_adjustments"] == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_however_the_facts_were_grouped_the_tables_are_those(tmp_path: Path, size: int) -> None:
    made = tmp_path / "ledger.sqlite"
    facts = iter(sound_desk().facts)
    with opened(made) as ledger:
        while group := list(islice(facts, size)):
            ledger.commit(group)
    assert check_ledger(made).problems == []


@pytest.mark.parametrize("facts", [story(), [*story(), *troubles()]])
def test_facts_of_every_kind_give_the_same_tables(tmp_path: Path, facts: list[LedgerFact]) -> None:
    """The numbers of the story do not add up, which is no matter of the tables."""
    write_ledger(tmp_path / "ledger.sqlite", facts)
    problems = check_ledger(tmp_path / "ledger.sqlite").problems
    assert [text for text in problems if "facts say" in text or "in no fact" in text or "chain" in text] == []


def test_it_reads_beside_a_writer(path: Path) -> None:
    with opened(path) as ledger:
        assert check_ledger(path).problems == []
        ledger.commit(troubles()[-1:])
        assert check_ledger(path).events == len(sound_desk().facts) + 1


Planted = tuple[tuple[str, ...], tuple[str, ...]]
DAMAGE: dict[str, Planted] = {
    "an event is edited": (
        (*UNLOCK, "UPDATE ledger_events SET fact = fact || ' ' WHERE seq = 7"),
        ("chain: event 7, or the one before it, was changed",),
    ),
    "an event is deleted": (
        (*UNLOCK, "DELETE FROM ledger_events WHERE seq = 12"),
        ("chain: event 12 is missing",),
    ),
    "the newest event is deleted": (
        (*UNLOCK, "DELETE FROM ledger_events WHERE seq = (SELECT max(seq) FROM ledger_events)"),
        ("chain: the last committed event is", "cursors: the row fills_read is in no fact"),
    ),
    "a hash is changed": (
        (*UNLOCK, "UPDATE ledger_events SET hash = zeroblob(32) WHERE seq = 5"),
        ("chain: event 5, or the one before it, was changed",),
    ),
    "an event is no fact": (
        (*UNLOCK, "UPDATE ledger_events SET fact = '{}' WHERE seq = 5"),
        ("chain: event 5", "ledger_events: event 5 cannot be read"),
    ),
    "a position is changed": (
        ("UPDATE positions SET size = '9' WHERE symbol = 'ETH'",),
        ("positions: ETH: size is '9', the facts say '-1.5'", "positions: ETH is 9, its fills add up to -1.5"),
    ),
    "a position is deleted": (
        ("DELETE FROM positions WHERE symbol = 'ETH'",),
        ("positions: the row ETH is missing", "positions: ETH is 0, its fills add up to -1.5"),
    ),
    "a fill is changed": (
        ("UPDATE fills SET size = '2.5' WHERE tid = 902",),
        ("size is '2.5', the facts say '2'", "says that it filled 3, its fills add up to 3.5", "asked for 3"),
    ),
    "a fill is deleted": (("DELETE FROM fills WHERE tid = 901",), ("fills: the row BTC:", "is missing")),
    "a fill is made up": (
        (
            "INSERT INTO fills SELECT 'BTC:1:2:3:buy', symbol, side, price, size, time_ms, 2, 3, cloid, fee, "
            "start_position, hash, crossed, intent_id, matched_via, reason, realised, seq, cause FROM fills "
            "WHERE tid = 901",
        ),
        ("fills: the row BTC:1:2:3:buy is in no fact",),
    ),
    "a fill loses its intent": (
        ("UPDATE fills SET intent_id = NULL WHERE tid = 901",),
        ("has no intent and is matched by 'cloid'",),
    ),
    "a fill is laid to another side's intent": (
        ("UPDATE fills SET intent_id = (SELECT intent_id FROM order_intents WHERE action = 'STOP') WHERE tid = 901",),
        ("(buy BTC) is laid to intent", "which is a sell BTC"),
    ),
    "an intent is gone": (
        ("PRAGMA foreign_keys = OFF", "DELETE FROM order_intents WHERE action = 'STOP'"),
        ("refers to a row of order_intents that is not there", "which is not there", "order_intents: the row"),
    ),
    "an order's status is unheard of": (
        ("UPDATE orders SET status = 'resting' WHERE oid = 71",),
        ("have the status 'resting', which nobody knows", "status is 'resting', the facts say 'filled'"),
    ),
    "an order filled otherwise": (
        ("UPDATE orders SET filled = '2' WHERE oid = 71",),
        ("says that it filled 2, its fills add up to 3",),
    ),
    "a second attempt follows no rejection": (
        ("UPDATE orders SET status = 'canceled' WHERE status = 'rejected'",),
        ("attempt 2 follows one that is canceled, not rejected",),
    ),
    "an attempt is skipped": (
        ("UPDATE order_attempts SET attempt = 5 WHERE attempt = 2",),
        ("has attempt 5 and none before it",),
    ),
    "a nonce stands twice": (
        ("UPDATE order_attempts SET nonce = (SELECT min(nonce) FROM order_attempts)",),
        ("stands at 4 attempts",),
    ),
    "a nonce is odd": (
        ("UPDATE order_attempts SET nonce = nonce + 1 WHERE attempt = 2",),
        ("those of orders are even",),
    ),
    "a gap is gone": (
        ("DELETE FROM gaps",),
        ("gaps: the row symbol='HYPE'", "positions: HYPE is 6, its fills add up to 2"),
    ),
    "an opening balance is another": (
        ("UPDATE position_adjustments SET size_after = '-8'",),
        ("position_adjustments: the row symbol='XRP'", "positions: XRP is -5, its fills add up to -6"),
    ),
    "a cursor stands nowhere": (
        ("UPDATE cursors SET until_ms = 5 WHERE name = 'fills_read'",),
        ("fills_read stands before the ledger's first moment",),
    ),
    "a cursor of no name": (("UPDATE cursors SET name = 'x' WHERE name = 'born'",), ("have the name 'x'",)),
    "a trade earned more": (
        ("UPDATE trades SET pnl = '1000' WHERE symbol = 'BTC'",),
        ("trades: BTC: its fills realised -17, its trades and its position 1000",),
    ),
    "what was realised is another": (
        ("UPDATE fills SET realised = '5' WHERE tid = 903",),
        ("realised is '5', the facts say '-17'", "its fills realised 5"),
    ),
    "cash is another": (("UPDATE account SET cash_usd = '99999'",), ("account: 1: cash_usd is '99999'",)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_every_damage_is_named(path: Path, what: str) -> None:
    statements, texts = DAMAGE[what]
    run_sql(path, *statements)
    problems = check_ledger(path).problems
    assert problems, "seen"
    for text in texts:
        assert any(text in problem for problem in problems), (text, problems)
    assert all("\n" not in problem and ": " in problem for problem in problems)


def test_a_torn_page_is_named(path: Path) -> None:
    run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    [(page,)] = run_sql(path, "SELECT rootpage FROM sqlite_master WHERE name = 'fills_by_symbol'")
    start = (page - 1) * 4096
    content[start + 200 : start + 4000] = bytes(3800)
    path.write_bytes(content)
    try:
        problems = check_ledger(path).problems
    except StorageError as error:
        problems = [str(error)]
    assert any(problem.startswith("file: ") or "damaged" in problem for problem in problems)


def test_the_command_says_it_with_its_code(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "check", "--db", str(path)]) == ExitCode.DONE
    assert "sound" in capsys.readouterr().out
    run_sql(path, "UPDATE positions SET size = '9' WHERE symbol = 'ETH'")
    assert run(["db", "check", "--db", str(path), "--json"]) == ExitCode.DATA
    told = json.loads(capsys.readouterr().out)
    assert told["sound"] is False and told["facts_per_s"] > 0
    assert any("ETH" in problem and "recover --from-venue" in problem for problem in told["problems"])


def test_no_ledger_is_no_sound_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "check", "--db", str(tmp_path / "none.sqlite")]) == ExitCode.DATA
    (tmp_path / "text").write_text("not a database, but long enough to look like one" * 100)
    assert run(["db", "check", "--db", str(tmp_path / "text")]) == ExitCode.DATA
    assert "text" in capsys.readouterr().err


def test_an_empty_file_holds_no_event(tmp_path: Path, path: Path) -> None:
    (tmp_path / "empty").touch()
    assert events_in(tmp_path / "empty") == 0
    assert events_in(path) == len(sound_desk().facts)


def test_large_work_is_told(path: Path) -> None:
    told: list[str] = []
    tell: Callable[[str, int, int], None] = lambda what, done, total: told.append(what)  # noqa: E731
    check_ledger(path, tell=tell)
    assert "the chain of hashes" in told and "rebuilding the tables" in told
