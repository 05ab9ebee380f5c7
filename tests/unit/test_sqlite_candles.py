"""The candle file from outside: brought up to date with what it holds, and read beside whoever writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite import engine
from adapters.sqlite.candle_queries import Coverage, coverage, stored_opens, stored_windows
from adapters.sqlite.candle_store import SqliteCandleStore
from adapters.sqlite.file_kinds import CANDLES
from domain.candles import CandleBatch, CandleWindow, Interval
from ports.ledger import StorageError
from tests.sqlite_files import run_sql

MINUTE = 60_000
AT_MS = 1_700_000_000_000
SYMBOLS = ("BTC", "ETH")


def said(symbol: str, first: int, count: int, close: float = 5.0, interval: Interval = Interval.M1) -> CandleWindow:
    times = (first + np.arange(count, dtype=np.int64)) * interval.ms
    open_, high, low, closes, volume = (np.full(count, close + more) for more in (0.0, 1.0, -1.0, 0.0, 9.0))
    return CandleWindow(symbol, interval, times, open_, high, low, closes, volume)


def streamed(minute: int, *ids: int, close: float = 5.0) -> CandleBatch:
    open_, high, low, closes, volume = (np.full(len(ids), close + more) for more in (0.0, 1.0, -1.0, 0.0, 9.0))
    return CandleBatch(Interval.M1, minute * MINUTE, np.array(ids, np.intp), open_, high, low, closes, volume)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Confirmed, streamed, revised and missing candles of two symbols and two intervals."""
    path = tmp_path / "candles.sqlite"
    with closing(SqliteCandleStore(path, SYMBOLS)) as store:
        store.confirm(said("BTC", 10, 5), AT_MS)
        store.confirm(said("BTC", 18, 2), AT_MS)
        store.write([streamed(20, 0, 1), streamed(25, 0, 1), streamed(26, 1)])
        store.confirm(said("BTC", 10, 3, close=6.0), AT_MS)
        store.confirm(said("ETH", 3, 4, interval=Interval.H1), AT_MS)
    return path


# ── a file of the first schema ───────────────────────────────────────────────────────────────────


def first_schema(path: Path) -> None:
    engine.close(engine.open_writer(path, replace(CANDLES, version=1)))
    run_sql(path, f"INSERT INTO candles VALUES ('1m', {10 * MINUTE}, 'BTC', 5.0, 6.0, 4.0, 5.0, 14.0)")


def test_an_older_file_is_brought_up_to_date_and_nothing_in_it_is_confirmed(tmp_path: Path) -> None:
    path = tmp_path / "candles.sqlite"
    first_schema(path)
    assert run_sql(path, "PRAGMA user_version") == [(1,)]
    with closing(SqliteCandleStore(path, SYMBOLS)) as store:
        assert store.read("BTC", Interval.M1, 0, 10**13).close.tolist() == [5.0]
        assert len(store.read_confirmed("BTC", Interval.M1, 10 * MINUTE, 10**13)) == 0
        assert store.confirm(said("BTC", 10, 2), AT_MS) == ()
        assert len(store.read_confirmed("BTC", Interval.M1, 10 * MINUTE, 10**13)) == 2
    assert run_sql(path, "PRAGMA user_version") == [(2,)]
    assert list(tmp_path.iterdir()) == [path], "candles can be had again: no copy is kept"


def test_an_older_file_is_not_guessed_at_by_readers(tmp_path: Path) -> None:
    first_schema(tmp_path / "candles.sqlite")
    with pytest.raises(StorageError, match="schema 1, this program reads schema 2"):
        coverage(tmp_path / "candles.sqlite")


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "candles.sqlite"
    SqliteCandleStore(path, SYMBOLS).close()
    run_sql(path, f"PRAGMA user_version = {CANDLES.version + 1}", "PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    for open_it in (lambda: SqliteCandleStore(path, SYMBOLS), lambda: coverage(path)):
        with pytest.raises(StorageError, match=rf"schema {CANDLES.version + 1}.*Update the program"):
            open_it()
    assert path.read_bytes() == before


# ── what is there ────────────────────────────────────────────────────────────────────────────────


def test_coverage_counts_candles_confirmations_gaps_and_revisions(path: Path) -> None:
    assert coverage(path) == [
        Coverage("BTC", Interval.M1, 10 * MINUTE, 25 * MINUTE, 9, 7, gaps=2, missing=7, revisions=3),
        Coverage("ETH", Interval.M1, 20 * MINUTE, 26 * MINUTE, 3, 0, gaps=1, missing=4, revisions=0),
        Coverage("ETH", Interval.H1, 3 * Interval.H1.ms, 6 * Interval.H1.ms, 4, 4, gaps=0, missing=0, revisions=0),
    ]


@pytest.mark.parametrize(
    ("symbols", "intervals", "found"),
    [
        (["ETH"], None, [("ETH", "1m"), ("ETH", "1h")]),
        (None, [Interval.H1], [("ETH", "1h")]),
        (["BTC"], [Interval.M1, Interval.H1], [("BTC", "1m")]),
        (["btc"], None, []),
        ([], None, []),
        (None, [Interval.D1], []),
    ],
)
def test_coverage_of_some(
    path: Path, symbols: list[str] | None, intervals: list[Interval] | None, found: list[tuple[str, str]]
) -> None:
    assert [(each.symbol, each.interval.value) for each in coverage(path, symbols, intervals)] == found
    windows = stored_windows(path, symbols, intervals)
    assert [(each.symbol, each.interval.value) for each in windows] == found


def test_nothing_stored_is_nothing_covered(tmp_path: Path) -> None:
    path = tmp_path / "candles.sqlite"
    SqliteCandleStore(path, SYMBOLS).close()
    assert coverage(path) == []
    assert list(stored_windows(path)) == []
    opens, confirmed = stored_opens(path, "BTC", Interval.M1, 0, 10**13)
    assert len(opens) == len(confirmed) == 0


@settings(max_examples=60)
@given(
    minutes=st.sets(st.integers(0, 30), min_size=1),
    confirmed=st.sets(st.integers(0, 30)),
    start=st.integers(0, 30),
    end=st.integers(0, 32),
)
def test_coverage_is_what_counting_every_minute_gives(
    minutes: set[int], confirmed: set[int], start: int, end: int
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "candles.sqlite"
        with closing(SqliteCandleStore(path, SYMBOLS)) as store:
            store.write([streamed(minute, 1) for minute in minutes])
            for minute in minutes & confirmed:
                store.confirm(said("ETH", minute, 1), AT_MS)
        (found,) = coverage(path)
        opens, marks = stored_opens(path, "ETH", Interval.M1, start * MINUTE, end * MINUTE)
    absent = [minute for minute in range(min(minutes), max(minutes)) if minute not in minutes]
    assert (found.first_ms, found.last_ms) == (min(minutes) * MINUTE, max(minutes) * MINUTE)
    assert (found.candles, found.confirmed) == (len(minutes), len(minutes & confirmed))
    assert found.missing == len(absent)
    assert found.gaps == sum(minute - 1 in minutes for minute in absent)
    wanted = sorted(minute for minute in minutes if start <= minute < end)
    assert (opens // MINUTE).tolist() == wanted
    assert marks.tolist() == [minute in confirmed for minute in wanted]


def rows_of(window: CandleWindow) -> list[tuple[int, float]]:
    return list(zip((window.open_ms // window.interval.ms).tolist(), window.close.tolist(), strict=True))


def test_windows_hold_every_row(path: Path) -> None:
    assert [(window.symbol, window.interval.value, rows_of(window)) for window in stored_windows(path)] == [
        (
            "BTC",
            "1m",
            [*((minute, 6) for minute in (10, 11, 12)), *((minute, 5) for minute in (13, 14, 18, 19, 20, 25))],
        ),
        ("ETH", "1m", [(20, 5), (25, 5), (26, 5)]),
        ("ETH", "1h", [(3, 5), (4, 5), (5, 5), (6, 5)]),
    ]


@pytest.mark.parametrize("others", [0, 40])
def test_rows_with_a_crooked_time_are_not_hidden(path: Path, others: int) -> None:
    """However many other symbols there are: few are passed over, of many the rows are looked up by their times."""
    crooked = [f"('1m', {at}, 'ETH', 1.0, 1.0, 1.0, 1.0, 0.0, 1)" for at in (20 * MINUTE + 1, 30 * MINUTE + 7)]
    run_sql(path, f"INSERT INTO candles VALUES {', '.join(crooked)}")
    with closing(SqliteCandleStore(path, ())) as store:
        for number in range(others):
            store.confirm(said(f"S{number}", 20, 12), AT_MS)
    (window,) = stored_windows(path, ["ETH"], [Interval.M1])
    assert window.open_ms.tolist() == [20 * MINUTE, 20 * MINUTE + 1, 25 * MINUTE, 26 * MINUTE, 30 * MINUTE + 7]
    assert window.close.tolist() == [5.0, 1.0, 5.0, 5.0, 1.0]
    (found,) = coverage(path, ["ETH"], [Interval.M1])
    assert (found.candles, found.gaps, found.missing, found.last_ms) == (5, 1, 4, 30 * MINUTE + 7)


# ── beside others ────────────────────────────────────────────────────────────────────────────────


def test_a_reader_sees_one_moment_and_holds_nobody_up(path: Path) -> None:
    with closing(SqliteCandleStore(path, SYMBOLS)) as daemon:
        windows = stored_windows(path)
        next(windows)
        daemon.write([streamed(26, 0), streamed(27, 1)])
        later = [(window.symbol, len(window)) for window in windows]
        assert later == [("ETH", 3), ("ETH", 4)]
        assert [each.candles for each in coverage(path)] == [10, 4, 4]


def test_reading_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    coverage(path)
    list(stored_windows(path))
    stored_opens(path, "BTC", Interval.M1, 0, 10**13)
    assert path.read_bytes() == before


READERS = [coverage, lambda path: list(stored_windows(path)), lambda path: stored_opens(path, "A", Interval.M1, 0, 1)]


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(StorageError, match="there is no candle store here"):
        reader(tmp_path / "candles.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    (tmp_path / "candles.sqlite").write_bytes(b"x" * 5_000)
    with pytest.raises(StorageError, match=r"candles\.sqlite.*Move the file away: candles are fetched again"):
        reader(tmp_path / "candles.sqlite")


def test_an_interval_that_nobody_knows_is_named(path: Path) -> None:
    run_sql(path, "UPDATE candles SET interval = '7m' WHERE interval = '1h'")
    with pytest.raises(StorageError, match="7m"):
        coverage(path)


def test_what_is_stored_is_found_by_looking_it_up(path: Path) -> None:
    """No statement of the readers sorts all rows or scans where it can look up."""
    from adapters.sqlite import candle_queries, candle_rows

    def plan(statement: str, values: Sequence[object] | dict[str, object]) -> str:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        return " | ".join(str(row[-1]) for row in rows)

    assert "TEMP B-TREE" not in plan(candle_queries._OPENS, ("1m",))
    values = {
        "first_ms": 0,
        "last_ms": 1,
        "length_ms": 1,
        "interval": "1m",
        "symbol": "BTC",
        "start_ms": 0,
        "end_ms": 1,
    }
    assert "TEMP B-TREE" not in plan(candle_queries._SCAN, ("1m", "BTC"))
    for statement in (candle_rows._BETWEEN.format(columns="o"), candle_rows._CONFIRMED_RUN):
        assert plan(statement, values).count("(interval=? AND open_ms=? AND symbol=?)") >= 1
        assert "SCAN candles" not in plan(statement, values)
