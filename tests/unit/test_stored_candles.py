"""The candle store as a backtest's candles: by the rules that files are read by."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.datasets.candle_files import read_candles
from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import CandleWindow, Interval
from entrypoints.data.store_candles import read_stored_candles
from ports.datasets import CandleSet, DatasetError
from tests.sqlite_files import run_sql

START = 29_000_000
MINUTE = 60_000


def candle(symbol: str, minute: int, close: float, interval: Interval = Interval.M1) -> CandleWindow:
    numbers = (close, close + 1, close - 1, close + 0.5, 9.0)
    times = np.array([(START + minute) * MINUTE // interval.ms * interval.ms], np.int64)
    return CandleWindow(symbol, interval, times, *(np.array([number]) for number in numbers))


def store_of(folder: Path, stored: dict[str, set[int]], interval: Interval = Interval.M1) -> Path:
    path = folder / "candles.sqlite"
    with closing(SqliteCandleStore(path, ())) as store:
        for symbol, minutes in stored.items():
            for minute in minutes:
                store.confirm(candle(symbol, minute, 10.0 + minute, interval), 1)
    return path


def file_of(folder: Path, stored: dict[str, set[int]]) -> str:
    """As the venue answers, for that names the interval, which the distance of few candles might not."""
    path = folder / "candles.json"
    rows = []
    for symbol, minutes in stored.items():
        for minute in sorted(minutes):
            at, close = (START + minute) * MINUTE, 10.0 + minute
            row = {"t": at, "T": at + MINUTE - 1, "s": symbol, "i": "1m", "n": 1}
            rows.append(
                row | {"o": f"{close}", "h": f"{close + 1}", "l": f"{close - 1}", "c": f"{close + 0.5}", "v": "9.0"}
            )
    path.write_text(json.dumps(rows))
    return str(path)


def told(candles: CandleSet) -> object:
    windows = [
        (window.symbol, window.open_ms.tolist(), [column.tolist() for column in window.columns])
        for window in candles.windows
    ]
    return candles.interval, candles.symbols, windows, dict(candles.filled)


@settings(max_examples=60)
@given(
    btc=st.sets(st.integers(0, 12), min_size=1),
    eth=st.sets(st.integers(0, 12)),
    symbols=st.sampled_from([None, ["BTC"], ["BTC", "ETH"], ["ETH", "DOGE"]]),
    fill_gaps=st.booleans(),
)
def test_a_store_and_a_file_of_the_same_candles_give_the_same(
    btc: set[int], eth: set[int], symbols: list[str] | None, fill_gaps: bool
) -> None:
    """The same candles, or the same words about the same gaps."""
    stored = {"BTC": btc, "ETH": eth} if eth else {"BTC": btc}
    with TemporaryDirectory() as name:
        folder = Path(name)
        path, file = store_of(folder, stored), file_of(folder, stored)
        asked = None if symbols is None else [symbol for symbol in symbols if symbol in stored]
        if asked == []:
            return
        try:
            expected: object = told(read_candles([file], Interval.M1, asked, fill_gaps=fill_gaps))
        except DatasetError as error:
            expected = str(error).replace(file, "FILE")
        try:
            found: object = told(read_stored_candles(path, Interval.M1, asked, fill_gaps=fill_gaps))
        except DatasetError as error:
            found = str(error).replace(str(path), "FILE")
    assert found == expected


def test_gaps_are_refused_or_filled(tmp_path: Path) -> None:
    path = store_of(tmp_path, {"BTC": {1, 2, 5}, "ETH": {1, 2, 3}})
    with pytest.raises(DatasetError, match=r"symbol 'BTC': 2 candles are missing in 1 gap.*download the missing span"):
        read_stored_candles(path, None, None, fill_gaps=False)
    candles = read_stored_candles(path, None, None, fill_gaps=True)
    assert candles.filled == {"BTC": 2}
    assert candles.window("BTC").close.tolist() == [11.5, 12.5, 12.5, 12.5, 15.5]
    assert candles.window("BTC").volume.tolist() == [9.0, 9.0, 0.0, 0.0, 9.0]


def test_the_only_interval_need_not_be_named(tmp_path: Path) -> None:
    path = store_of(tmp_path, {"BTC": {1, 2}})
    assert read_stored_candles(path, None, None, fill_gaps=False).interval is Interval.M1
    store_of(tmp_path, {"BTC": {0}}, Interval.H1)
    with pytest.raises(DatasetError, match=r"holds 1m, 1h.*--interval"):
        read_stored_candles(path, None, None, fill_gaps=False)
    assert read_stored_candles(path, Interval.H1, None, fill_gaps=False).bars == 1


def test_what_is_not_stored_is_named_with_what_was_meant_and_how_to_fetch_it(tmp_path: Path) -> None:
    path = store_of(tmp_path, {"BTC": {1, 2}})
    with pytest.raises(DatasetError, match=r"'btc'.*did you mean 'BTC'\?.*download-data"):
        read_stored_candles(path, None, ["btc", "BTC"], fill_gaps=False)
    with pytest.raises(DatasetError, match=r"no candle of 1h is stored.*download-data"):
        read_stored_candles(path, Interval.H1, None, fill_gaps=False)
    SqliteCandleStore(tmp_path / "empty.sqlite", ()).close()
    with pytest.raises(DatasetError, match=r"holds nothing.*download-data"):
        read_stored_candles(tmp_path / "empty.sqlite", None, None, fill_gaps=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("h = 1.0, l = 2.0, o = 1.5, c = 1.5", "high is below low"),
        ("v = -1.0", "the volume is negative"),
        ("open_ms = open_ms + 7", "off the grid"),
        ("open_ms = 60000", "not a plausible time"),
    ],
)
def test_candles_that_cannot_be_are_refused(tmp_path: Path, change: str, says: str) -> None:
    path = store_of(tmp_path, {"BTC": {1, 2, 3}})
    run_sql(path, f"UPDATE candles SET {change} WHERE open_ms = {(START + 3) * MINUTE}")
    with pytest.raises(DatasetError, match=says):
        read_stored_candles(path, Interval.M1, None, fill_gaps=True)
