"""Every promise of `CandleStore`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sqlite.candle_store import SqliteCandleStore
from domain.candles import CandleBatch, CandleWindow, Interval
from ports.candle_history import CandleRevision, CandleStore
from ports.ledger import StorageError
from tests.sqlite_files import run_sql

SYMBOLS = ("BTC", "ETH", "kPEPE")
MINUTE = 60_000
AT_MS = 1_700_000_000_000
EVER = 10**13
Numbers = tuple[float, float, float, float, float]


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


def numbers(close: float) -> Numbers:
    """Open, high, low, close and volume of `batch`'s candle with this close."""
    return close - 0.5, close + 0.25, close - 0.75, close, close / 3


def said(symbol: str, first: int, prices: Sequence[float], interval: Interval = Interval.M1) -> CandleWindow:
    """The venue's own candles from minute `first` on, with the numbers that `batch` would give such closes."""
    columns = np.array([numbers(close) for close in prices]).reshape(-1, 5).T.copy()
    open_ms = (first + np.arange(len(prices), dtype=np.int64)) * interval.ms
    return CandleWindow(symbol, interval, open_ms, *columns)


def closes(window: CandleWindow) -> list[tuple[int, float]]:
    return list(zip((window.open_ms // window.interval.ms).tolist(), window.close.tolist(), strict=True))


def confirmed(store: CandleStore, first: int, symbol: str = "BTC", interval: Interval = Interval.M1) -> list[int]:
    """The minutes of the confirmed run that begins with minute `first`."""
    return [minute for minute, _ in closes(store.read_confirmed(symbol, interval, first * interval.ms, EVER))]


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

    # ── confirmed candles ────────────────────────────────────────────────────────────────────────

    def test_what_the_venue_says_is_read_back_as_confirmed(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            assert store.confirm(said("BTC", 10, [1, 2, 3]), AT_MS) == ()
            assert closes(store.read("BTC", Interval.M1, 0, EVER)) == [(10, 1), (11, 2), (12, 3)]
            window = store.read_confirmed("BTC", Interval.M1, 10 * MINUTE, EVER)
        assert (window.symbol, window.interval) == ("BTC", Interval.M1)
        assert window.open_ms.tolist() == [10 * MINUTE, 11 * MINUTE, 12 * MINUTE]
        columns = (window.open, window.high, window.low, window.close, window.volume)
        assert list(zip(*(column.tolist() for column in columns), strict=True)) == [numbers(1), numbers(2), numbers(3)]
        assert window.open_ms.dtype == np.int64 and window.volume.dtype == np.float64

    def test_candles_of_the_stream_are_not_confirmed_until_the_venue_says_the_same(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(5, (0,), 100)])
            assert confirmed(store, 5) == []
            assert store.confirm(said("BTC", 5, [100]), AT_MS) == ()
            assert confirmed(store, 5) == [5]

    def test_a_candle_that_the_venue_has_otherwise_is_replaced_and_told(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(minute, (0,), 100 + minute) for minute in (5, 6, 8)])
            told = store.confirm(said("BTC", 5, [105, 200, 107, 300]), AT_MS)
            assert told == (
                CandleRevision("BTC", Interval.M1, 6 * MINUTE, numbers(106), numbers(200)),
                CandleRevision("BTC", Interval.M1, 8 * MINUTE, numbers(108), numbers(300)),
            )
            assert closes(store.read("BTC", Interval.M1, 0, EVER)) == [(5, 105), (6, 200), (7, 107), (8, 300)]
            assert confirmed(store, 5) == [5, 6, 7, 8]
            assert store.confirm(said("BTC", 5, [105, 200, 107, 300]), AT_MS) == (), "told once"

    def test_the_venue_may_revise_what_it_confirmed(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100]), AT_MS)
            (told,) = store.confirm(said("BTC", 5, [101]), AT_MS + 1)
            assert (told.before, told.now) == (numbers(100), numbers(101))
            assert confirmed(store, 5) == [5]

    @pytest.mark.parametrize("place", range(5))
    def test_a_difference_in_the_last_bit_of_any_number_is_one(self, tmp_path: Path, place: int) -> None:
        stored, changed = list(numbers(100)), list(numbers(100))
        changed[place] = math.nextafter(changed[place], math.inf)
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100]), AT_MS)
            columns = [np.array([number]) for number in changed]
            (told,) = store.confirm(CandleWindow("BTC", Interval.M1, np.array([5 * MINUTE], np.int64), *columns), AT_MS)
            assert (told.before, told.now) == (tuple(stored), tuple(changed))

    @pytest.mark.parametrize("place", range(5))
    def test_a_change_from_the_stream_takes_the_confirmation_away(self, tmp_path: Path, place: int) -> None:
        """Of whichever number; until the venue says it again."""
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100, 101, 102]), AT_MS)
            changed = batch(6, (0,), 101.0)
            column = (changed.open, changed.high, changed.low, changed.close, changed.volume)[place]
            column += 0.125
            store.write([changed])
            assert confirmed(store, 5) == [5]
            assert confirmed(store, 6) == []
            assert confirmed(store, 7) == [7]
            store.write([batch(6, (0,), 101)])
            assert confirmed(store, 5) == [5], "what the stream says is no confirmation, whatever it says"
            assert store.confirm(said("BTC", 6, [101]), AT_MS) == ()
            assert confirmed(store, 5) == [5, 6, 7]

    def test_the_same_candle_from_the_stream_changes_nothing(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100, 101]), AT_MS)
            store.write([batch(5, (0, 1), 100), batch(6, (0,), 101)])
            assert confirmed(store, 5) == [5, 6]
            assert confirmed(store, 5, "ETH") == []

    def test_a_candle_without_a_trade_is_one_like_any_other(self, tmp_path: Path) -> None:
        open_, high, low, close = (np.array([7.5, 7.5]) for _ in range(4))
        times, volume = np.array([5, 6], np.int64) * MINUTE, np.array([3.0, 0.0])
        flat = CandleWindow("ETH", Interval.M1, times, open_, high, low, close, volume)
        with closing(self.make(tmp_path)) as store:
            assert store.confirm(flat, AT_MS) == ()
            window = store.read_confirmed("ETH", Interval.M1, 5 * MINUTE, EVER)
            assert (window.close.tolist(), window.volume.tolist()) == ([7.5, 7.5], [3.0, 0.0])
            assert store.confirm(flat, AT_MS) == ()

    def test_a_confirmed_run_ends_where_a_candle_is_missing_or_not_confirmed(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 1, [1, 2, 3]), AT_MS)
            store.confirm(said("BTC", 5, [5, 6]), AT_MS)
            store.confirm(said("BTC", 8, [8]), AT_MS)
            store.write([batch(7, (0,), 7)])
            assert [confirmed(store, first) for first in range(10)] == [
                *([], [1, 2, 3], [2, 3], [3]),
                *([], [5, 6], [6]),
                *([], [8], []),
            ]

    def test_a_confirmed_run_is_half_open(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 1, [1, 2, 3]), AT_MS)
            assert closes(store.read_confirmed("BTC", Interval.M1, MINUTE, 3 * MINUTE)) == [(1, 1), (2, 2)]
            assert closes(store.read_confirmed("BTC", Interval.M1, MINUTE, 3 * MINUTE + 1)) == [(1, 1), (2, 2), (3, 3)]
            for start, end in ((MINUTE, MINUTE), (MINUTE, 0), (MINUTE + 1, EVER), (MINUTE - 1, EVER)):
                assert len(store.read_confirmed("BTC", Interval.M1, start, end)) == 0

    def test_what_is_confirmed_is_so_for_one_symbol_and_interval(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(60, (0, 1), 1), batch(1, (0,), 2, Interval.H1)])
            store.confirm(said("BTC", 60, [1]), AT_MS)
            assert confirmed(store, 60) == [60]
            assert confirmed(store, 60, "ETH") == []
            assert confirmed(store, 1, "BTC", Interval.H1) == []

    def test_a_symbol_that_is_not_of_the_session_may_be_confirmed(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("DOGE", 5, [1]), AT_MS)
            assert confirmed(store, 5, "DOGE") == [5]

    def test_nothing_to_confirm_is_nothing(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            assert store.confirm(said("BTC", 5, []), AT_MS) == ()
            assert len(store.read("BTC", Interval.M1, 0, EVER)) == 0

    def test_a_window_with_a_number_that_is_none_is_refused_whole(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.write([batch(5, (0,), 100), batch(6, (0,), 101)])
            for prices in ([float("nan"), 101], [200, float("nan")]):
                with pytest.raises(StorageError, match="cannot write candles"):
                    store.confirm(said("BTC", 5, prices), AT_MS)
            assert closes(store.read("BTC", Interval.M1, 0, EVER)) == [(5, 100), (6, 101)]
            assert confirmed(store, 5) == []

    def test_confirmations_survive_a_restart(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100, 101]), AT_MS)
            store.write([batch(7, (0,), 102)])
        with closing(self.make(tmp_path)) as store:
            assert confirmed(store, 5) == [5, 6]

    def test_any_thread_may_call(self, tmp_path: Path) -> None:
        def work(place: int) -> None:
            for minute in range(40):
                store.write([batch(minute, (place,), 1000 * place + minute)])
                store.confirm(said(SYMBOLS[place], minute, [1000 * place + minute + place]), AT_MS)
                assert confirmed(store, 0, SYMBOLS[place])[-1] == minute

        with closing(self.make(tmp_path)) as store, ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(work, place) for place in range(3)]:
                done.result(timeout=60)
            assert [len(store.read(symbol, Interval.M1, 0, EVER)) for symbol in SYMBOLS] == [40, 40, 40]

    # ── any sequence ─────────────────────────────────────────────────────────────────────────────

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

    @settings(max_examples=120)
    @given(
        steps=st.lists(
            st.one_of(
                st.tuples(
                    st.just("write"),
                    st.lists(st.tuples(st.integers(0, 7), st.sets(st.integers(0, 2), min_size=1), st.integers(1, 2))),
                ),
                st.tuples(
                    st.just("confirm"), st.integers(0, 2), st.integers(0, 7), st.lists(st.integers(1, 3), max_size=6)
                ),
            ),
            max_size=12,
        ),
        start=st.integers(0, 9),
        length=st.integers(0, 9),
    )
    def test_a_store_is_what_was_written_and_confirmed(
        self,
        steps: list[
            tuple[str, list[tuple[int, set[int], int]]] | tuple[str, int, int, list[int]]  # few prices: they meet again
        ],
        start: int,
        length: int,
    ) -> None:
        model: dict[tuple[str, int], tuple[float, bool]] = {}
        with TemporaryDirectory() as folder, closing(self.make(Path(folder))) as store:
            for step in steps:
                if len(step) == 2:
                    store.write([batch(minute, tuple(sorted(ids)), price) for minute, ids, price in step[1]])
                    for minute, ids, price in step[1]:
                        for place in ids:
                            key, close = (SYMBOLS[place], minute), float(price + place)
                            if model.get(key, (None,))[0] != close:
                                model[key] = (close, False)
                else:
                    _, place, first, prices = step
                    symbol, changed = SYMBOLS[place], []
                    for minute, price in enumerate(prices, first):
                        before = model.get((symbol, minute))
                        if before is not None and before[0] != price:
                            changed.append((minute, before[0], float(price)))
                        model[symbol, minute] = (float(price), True)
                    told = store.confirm(said(symbol, first, prices), AT_MS)
                    assert [(each.open_ms // MINUTE, each.before, each.now) for each in told] == [
                        (minute, numbers(before), numbers(now)) for minute, before, now in changed
                    ]
                    assert all((each.symbol, each.interval) == (symbol, Interval.M1) for each in told)
            for symbol in SYMBOLS:
                span = range(start, start + length)
                assert closes(store.read(symbol, Interval.M1, start * MINUTE, (start + length) * MINUTE)) == [
                    (minute, model[symbol, minute][0]) for minute in span if (symbol, minute) in model
                ]
                run = []
                for minute in span:
                    close, is_confirmed = model.get((symbol, minute), (0.0, False))
                    if not is_confirmed:
                        break
                    run.append((minute, close))
                found = store.read_confirmed(symbol, Interval.M1, start * MINUTE, (start + length) * MINUTE)
                assert closes(found) == run


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

    def test_a_hole_in_what_the_venue_said_is_a_mistake_of_ours(self, tmp_path: Path) -> None:
        holed = said("BTC", 1, [1, 2])
        holed.open_ms.flags.writeable = True
        holed.open_ms[1] += MINUTE
        crooked = said("BTC", 1, [1])
        crooked.open_ms.flags.writeable = True
        crooked.open_ms[0] += 1
        with closing(self.make(tmp_path)) as store:
            with pytest.raises(AssertionError, match="no hole"):
                store.confirm(holed, AT_MS)
            with pytest.raises(AssertionError, match="aligned"):
                store.confirm(crooked, AT_MS)

    def test_revisions_are_kept_with_the_time_at_which_they_were_noticed(self, tmp_path: Path) -> None:
        with closing(self.make(tmp_path)) as store:
            store.confirm(said("BTC", 5, [100, 101]), AT_MS)
            store.confirm(said("BTC", 5, [100, 102]), AT_MS + 7)
            store.confirm(said("BTC", 5, [100, 103]), AT_MS + 7)
        kept = run_sql(tmp_path / "candles.sqlite", "SELECT * FROM candle_revisions ORDER BY rowid")
        assert kept == [
            ("BTC", "1m", 6 * MINUTE, AT_MS + 7, *numbers(101), *numbers(102)),
            ("BTC", "1m", 6 * MINUTE, AT_MS + 7, *numbers(102), *numbers(103)),
        ]

    def test_a_second_store_may_write_the_same_file(self, tmp_path: Path) -> None:
        """A download beside a running daemon: candles have no exclusive writer, transactions take turns."""
        with closing(self.make(tmp_path)) as daemon, closing(self.make(tmp_path)) as download:

            def stream(minute: int) -> None:
                daemon.write([batch(minute, (0, 1, 2), minute)])

            with ThreadPoolExecutor(1) as thread:
                for minute in range(60):
                    streamed = thread.submit(stream, minute)
                    download.confirm(said("BTC", minute, [minute]), AT_MS)
                    streamed.result(timeout=60)
            assert confirmed(daemon, 0) == confirmed(download, 0) == list(range(60))
            assert len(download.read("kPEPE", Interval.M1, 0, EVER)) == 60
