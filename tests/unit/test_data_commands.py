"""`./aiq list-data` and `verify-data` over stores made for it, and what all three verbs refuse at once."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import CandleBatch, CandleWindow, Interval
from entrypoints.cli import run
from tests.sqlite_files import run_sql

MINUTE = 60_000
DAY_MS = 86_400_000
START_MS = 1_767_578_400_000
"""2026-01-05 02:00 UTC."""


def said(symbol: str, first: int, count: int, close: float = 5.0, interval: Interval = Interval.M1) -> CandleWindow:
    times = START_MS + (first + np.arange(count, dtype=np.int64)) * interval.ms
    open_, high, low, closes, volume = (np.full(count, close + more) for more in (0.0, 1.0, -1.0, 0.0, 9.0))
    return CandleWindow(symbol, interval, times, open_, high, low, closes, volume)


class Desk:
    """A user folder of the local market, and the command line in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "paper-local.market.sqlite"
        self._capsys = capsys

    def store(self, *windows: CandleWindow) -> None:
        with closing(SqliteCandleStore(self.path, ())) as store:
            for window in windows:
                store.confirm(window, 1)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        status = run(list(arguments))
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def json(self, *arguments: str) -> tuple[int, Any]:
        status, out, _ = self(*arguments, "--json")
        return status, json.loads(out)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AI_QUANT_USER_DIR", str(tmp_path))
    return Desk(tmp_path, capsys)


# ── refused at once ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "verb", [("list-data",), ("verify-data",), ("verify-data", "--online"), ("backtesting", "--from-store")]
)
def test_without_a_store_its_place_and_the_download_are_named(desk: Desk, verb: tuple[str, ...]) -> None:
    status, out, err = desk(*verb)
    assert (status, out) == (8, "")
    assert str(desk.path) in err
    assert "./aiq download-data --symbols BTC,ETH --interval 1m --days 3" in err
    assert not desk.path.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("download-data", "--days", "1"), "--symbols BTC,ETH or --top 20"),
        (("download-data", "--days", "1", "--symbols", "BTC", "--top", "3"), "one of the two"),
        (("download-data", "--symbols", "BTC"), "'--days'"),
        (("download-data", "--symbols", "BTC", "--days", "0"), "'--days'"),
        (("download-data", "--symbols", " , ", "--days", "1"), "names nothing"),
        (("download-data", "--symbols", "BTC", "--days", "1", "--interval", "1H"), "did you mean '1h'?"),
        (("list-data", "--interval", "2m"), "1m, 3m, 5m"),
        (("verify-data", "--interval", ","), "names nothing"),
        (("backtesting", "--from-store", "--candles", "x.csv"), "one of the two"),
        (("list-dta",), "list-data"),
    ],
)
def test_wrong_usage(desk: Desk, arguments: tuple[str, ...], says: str) -> None:
    status, _, err = desk(*arguments)
    assert status == 2
    assert says in err


def test_a_name_that_no_local_market_has_is_3_before_a_venue_is_started(desk: Desk) -> None:
    status, _, err = desk("download-data", "--symbols", "BTC,eth", "--days", "1")
    assert status == 3
    assert "'eth' (names are case-sensitive), did you mean 'ETH'?" in err
    assert not desk.path.exists()


# ── list-data ────────────────────────────────────────────────────────────────────────────────────


def test_a_list_of_what_is_there(desk: Desk) -> None:
    desk.store(said("BTC", 0, 5), said("BTC", 8, 2), said("ETH", 3, 4, interval=Interval.H1))
    batch = CandleBatch(Interval.M1, START_MS + 5 * MINUTE, np.array([0]), *(np.array([5.0]) for _ in range(5)))
    with closing(SqliteCandleStore(desk.path, ("BTC",))) as store:
        store.write([batch])
        store.confirm(said("BTC", 0, 1, close=6.0), 1)
    status, out, _ = desk("list-data")
    assert status == 0
    assert [re.split(r"\s{2,}", line) for line in out.splitlines()[:3]] == [
        ["symbol", "interval", "from", "to", "candles", "confirmed %", "gaps", "missing", "revisions"],
        ["BTC", "1m", "2026-01-05 02:00:00", "2026-01-05 02:09:00", "8", "87.5", "1", "2", "1"],
        ["ETH", "1h", "2026-01-05 05:00:00", "2026-01-05 08:00:00", "4", "100.0", "0", "0", "0"],
    ]
    assert "12 candles" in out and str(desk.path) in out
    status, rows = desk.json("list-data", "--symbols", "BTC", "--interval", "1m,1h")
    assert (status, rows) == (
        0,
        [
            {
                "symbol": "BTC",
                "interval": "1m",
                "first_ms": START_MS,
                "last_ms": START_MS + 9 * MINUTE,
                "candles": 8,
                "confirmed": 7,
                "gaps": 1,
                "missing": 2,
                "revisions": 1,
            }
        ],
    )


def test_all_confirmed_is_only_what_is(desk: Desk) -> None:
    desk.store(said("BTC", 0, 1_500))
    run_sql(desk.path, f"UPDATE candles SET confirmed = 0 WHERE open_ms = {START_MS}")
    assert " 99.9 " in desk("list-data")[1]


def test_a_symbol_that_is_not_stored_is_told(desk: Desk) -> None:
    desk.store(said("BTC", 0, 2))
    status, out, err = desk("list-data", "--symbols", "BTC,btc")
    assert status == 0
    assert out.count("BTC") == 1
    assert "nothing is stored of 'btc', did you mean 'BTC'?" in err


def test_an_empty_store_says_so(desk: Desk) -> None:
    desk.store()
    status, out, _ = desk("list-data")
    assert (status, out) == (0, f"no candle is stored ({desk.path})\n")
    assert desk.json("list-data") == (0, [])


# ── verify-data ──────────────────────────────────────────────────────────────────────────────────


def test_all_is_well(desk: Desk) -> None:
    desk.store(said("BTC", 0, 5), said("ETH", 3, 4, interval=Interval.H1))
    status, out, err = desk("verify-data")
    assert status == 0
    assert "all is well" in err
    assert len(re.findall(r"\b[0-9a-f]{64}\b", out)) == 3
    status, found = desk.json("verify-data")
    assert (status, found["ok"], found["todo"], found["absent"]) == (0, True, [], [])
    assert [(row["symbol"], row["candles"], row["gaps"], row["violations"]) for row in found["rows"]] == [
        ("BTC", 5, [], []),
        ("ETH", 4, [], []),
    ]


def test_two_stores_with_the_same_candles_have_one_hash(desk: Desk, tmp_path: Path) -> None:
    """However they came in, confirmed or not."""
    desk.store(said("BTC", 0, 5), said("ETH", 3, 4))
    first = desk.json("verify-data")[1]
    desk.path.unlink()
    desk.store(said("ETH", 3, 4), said("BTC", 2, 3), said("BTC", 0, 5, close=6.0), said("BTC", 0, 5))
    run_sql(desk.path, "UPDATE candles SET confirmed = 0 WHERE symbol = 'ETH'")
    assert desk.json("verify-data")[1]["sha256"] == first["sha256"]
    run_sql(desk.path, "UPDATE candles SET v = v + 1e-9 WHERE symbol = 'ETH'")
    other = desk.json("verify-data")[1]
    assert other["sha256"] != first["sha256"]
    assert other["rows"][0]["sha256"] == first["rows"][0]["sha256"]


def test_gaps_are_8_with_their_places_and_what_to_do(desk: Desk) -> None:
    desk.store(said("BTC", 0, 5), said("BTC", 8, 2), said("BTC", 11, 1), said("ETH", 0, 3))
    status, out, err = desk("verify-data")
    assert status == 8
    assert "gap: BTC 1m from 2026-01-05 02:05:00 to 2026-01-05 02:07:00, 3 candles" in out
    assert "gap: BTC 1m from 2026-01-05 02:10:00 to 2026-01-05 02:10:00, 1 candle\n" in out
    assert "to repair: ./aiq download-data --symbols BTC --interval 1m --days 1\n" in err
    status, found = desk.json("verify-data")
    assert (status, found["ok"]) == (8, False)
    assert found["rows"][0]["missing"] == 4
    assert found["rows"][0]["gaps"] == [
        {"first_ms": START_MS + 5 * MINUTE, "last_ms": START_MS + 7 * MINUTE, "candles": 3},
        {"first_ms": START_MS + 10 * MINUTE, "last_ms": START_MS + 10 * MINUTE, "candles": 1},
    ]


def test_of_many_gaps_the_first_are_shown_and_the_rest_counted(desk: Desk) -> None:
    desk.store(*(said("BTC", 2 * number, 1) for number in range(31)))
    status, out, _ = desk("verify-data")
    assert status == 8
    assert out.count("gap: ") == 20
    assert "… and 10 more (gap); --json has all" in out
    assert len(desk.json("verify-data")[1]["rows"][0]["gaps"]) == 30


def test_a_gap_that_the_venue_does_not_keep_any_more_is_called_lost(desk: Desk) -> None:
    desk.store(said("BTC", 0, 5), said("BTC", 7, 2), said("BTC", 10_000, 2))
    err = desk("verify-data")[2]
    assert "4,997 missing candles of 1m are older than the 5,000 that the venue keeps: they cannot be fetched" in err
    assert "to repair: ./aiq download-data --symbols BTC --interval 1m --days 4\n" in err


def test_candles_that_cannot_be_are_named_with_what_to_do(desk: Desk) -> None:
    desk.store(said("BTC", 0, 5))
    run_sql(desk.path, f"UPDATE candles SET h = 1.0 WHERE open_ms = {START_MS + MINUTE}")
    status, out, err = desk("verify-data")
    assert status == 8
    assert f"impossible candle: BTC 1m at 2026-01-05 02:01:00 ({START_MS + MINUTE}): high is below low" in out
    assert "--days 1 --again" in err
    run_sql(desk.path, f"UPDATE candles SET open_ms = open_ms + 7 WHERE open_ms = {START_MS + 2 * MINUTE}")
    status, out, err = desk("verify-data")
    assert status == 8
    assert "it opens at no multiple of its interval" in out
    assert f"move {desk.path} away and download again" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--symbols", "BTC,eth"), "nothing is stored of 'eth', did you mean 'ETH'?"),
        (("--interval", "1m,4h"), "nothing is stored in 4h"),
        (("--symbols", "BTC,ETH", "--interval", "1m"), "nothing is stored of 'ETH'"),
    ],
)
def test_what_was_asked_for_and_is_not_there_is_8(desk: Desk, arguments: tuple[str, ...], says: str) -> None:
    desk.store(said("BTC", 0, 5), said("ETH", 3, 4, interval=Interval.H1))
    status, _, err = desk("verify-data", *arguments)
    assert status == 8
    assert says in err
    assert "./aiq download-data" in err


def test_an_empty_store_is_not_well(desk: Desk) -> None:
    desk.store()
    status, _, err = desk("verify-data")
    assert status == 8
    assert "nothing is stored" in err and "./aiq download-data" in err


def test_a_file_that_is_no_store_is_named_with_what_to_do(desk: Desk) -> None:
    desk.path.write_bytes(b"x" * 5_000)
    for verb in ("list-data", "verify-data"):
        status, _, err = desk(verb)
        assert status == 8
        assert str(desk.path) in err and "Move the file away" in err
