"""Every promise of `CandleStore`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import CandleBatch, CandleWindow, Interval
from ports.candle_history import CandleStore
from ports.ledger import StorageError

SYMBOLS = ("BTC", "ETH", "kPEPE")
MINUTE = 60_000


def batch(minute: int, ids: tuple[int, ...], price: float, interval: Interval = Interval.M1) -> CandleBatch:
    """Candles whose numbers say where they come from: `price` + id, and a little on top for high and volume."""
    close = np.array([price + place for place in ids])
    return CandleBatch(
        interval,
        minute * interval.ms,
        np.array(ids, dtype=np.intp),
        open=close - 0.5,
        high=close + 0.25,
        low=close - 0.75,
        close=close,
        volume=close / 3,
    )


def closes(window: CandleWindow) -> list[tuple[int, float]]:
    return list(zip((window.open_ms // window.interval.ms).tolist(), window.close.tolist(), strict=True))


class CandleStoreContract(ABC):
    @abstractmethod
    def make(self, tmp_path: Path) -> CandleStore:
        """A store for `SYMBOLS`; a new one unless there is one in the folder already."""

    def test_candles_come_back_to_the_last_bit(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(7, (0, 2), 0.1 + 0.2)])
            window = store.read("kPEPE", Interval.M1, 0, 8 * MINUTE)
        close = 0.1 + 0.2 + 2
        assert (window.symbol, window.interval) == ("kPEPE", Interval.M1)
        assert window.open_ms.tolist() == [7 * MINUTE]
        numbers = [column.tolist() for column in (window.open, window.high, window.low, window.close, window.volume)]
        assert numbers == [[close - 0.5], [close + 0.25], [close - 0.75], [close], [close / 3]]
        assert window.open_ms.dtype == np.int64 and window.close.dtype == np.float64

    def test_a_window_is_half_open_and_oldest_first(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(minute, (0, 1), minute) for minute in (12, 10, 13, 11)])
            assert closes(store.read("BTC", Interval.M1, 10 * MINUTE, 13 * MINUTE)) == [(10, 10), (11, 11), (12, 12)]
            assert closes(store.read("ETH", Interval.M1, 10 * MINUTE + 1, 12 * MINUTE + 1)) == [(11, 12), (12, 13)]
            assert closes(store.read("BTC", Interval.M1, 0, 10**13)) == [(m, m) for m in (10, 11, 12, 13)]

    def test_a_late_revision_wins(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(5, (0, 1, 2), 100), batch(5, (1,), 200)])
            store.write([batch(5, (2,), 300)])
            found = [closes(store.read(symbol, Interval.M1, 0, 10**13)) for symbol in SYMBOLS]
        assert found == [[(5, 100)], [(5, 201)], [(5, 302)]]

    def test_gaps_stay_gaps(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(1, (0, 1), 1), batch(2, (1,), 2), batch(9, (0,), 9)])
            assert closes(store.read("BTC", Interval.M1, 0, 10**13)) == [(1, 1), (9, 9)]

    def test_what_is_not_there_is_an_empty_window(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            assert len(store.read("BTC", Interval.M1, 0, 10**13)) == 0
            store.write([batch(1, (0,), 1)])
            assert len(store.read("DOGE", Interval.M1, 0, 10**13)) == 0
            assert len(store.read("ETH", Interval.M1, 0, 10**13)) == 0
            assert len(store.read("BTC", Interval.H1, 0, 10**13)) == 0
            assert len(store.read("BTC", Interval.M1, 2 * MINUTE, 10**13)) == 0
            assert len(store.read("BTC", Interval.M1, 0, MINUTE)) == 0
            assert len(store.read("BTC", Interval.M1, MINUTE, MINUTE)) == 0

    def test_intervals_do_not_mix(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(60, (0,), 1), batch(1, (0,), 2, Interval.H1)])
            assert closes(store.read("BTC", Interval.M1, 0, 10**13)) == [(60, 1)]
            assert closes(store.read("BTC", Interval.H1, 0, 10**13)) == [(1, 2)]

    def test_candles_survive_a_restart(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(1, (0, 1, 2), 1)])
            store.write([])
        with closing(self.make(tmp_path)) as store:
            assert closes(store.read("kPEPE", Interval.M1, 0, 10**13)) == [(1, 3)]

    def test_a_number_that_is_none_is_refused_and_nothing_of_the_call_is_written(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            with pytest.raises(StorageError, match="cannot write candles"):
                store.write([batch(1, (0,), 1), batch(2, (0, 1), float("nan"))])
            assert len(store.read("BTC", Interval.M1, 0, 10**13)) == 0

    @settings(max_examples=40)
    @given(
        writes=st.lists(
            st.lists(
                st.tuples(st.integers(0, 12), st.sets(st.integers(0, 2), min_size=1), st.integers(1, 99)), max_size=4
            ),
            max_size=5,
        ),
        start=st.integers(-MINUTE, 14 * MINUTE),
        length=st.integers(0, 14 * MINUTE),
    )
    def test_a_store_is_the_newest_write_of_every_candle(
        self, writes: list[list[tuple[int, set[int], int]]], start: int, length: int
    ) -> None:
        newest: dict[tuple[int, int], float] = {}
        with TemporaryDirectory() as folder, closing(self.make(Path(folder))) as store:
            for write in writes:
                store.write([batch(minute, tuple(sorted(ids)), price) for minute, ids, price in write])
                newest |= {(place, minute): price + place for minute, ids, price in write for place in ids}
            for place, symbol in enumerate(SYMBOLS):
                assert closes(store.read(symbol, Interval.M1, start, start + length)) == sorted(
                    (minute, close)
                    for (which, minute), close in newest.items()
                    if which == place and start <= minute * MINUTE < start + length
                )


class TestSqliteCandleStore(CandleStoreContract):
    def make(self, tmp_path: Path) -> CandleStore:
        return SqliteCandleStore(tmp_path / "candles.sqlite", SYMBOLS)

    def test_a_damaged_file_is_named_with_what_to_do(self, tmp_path: Path) -> None:
        (tmp_path / "candles.sqlite").write_bytes(b"x" * 5_000)
        with pytest.raises(StorageError, match=r"candles\.sqlite.*Move the file away: candles are fetched again"):
            self.make(tmp_path)

    def test_a_span_that_is_not_aligned_is_a_mistake_of_ours(self, tmp_path: Path) -> None:
        crooked = batch(1, (0,), 1)
        crooked.open_ms += 1
        with closing(self.make(tmp_path)) as store, pytest.raises(AssertionError, match="aligned"):
            store.write([crooked])
