"""What was really traded goes through the hub: recorded minutes, and candles folded from recorded trades and quotes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapters.datasets.candle_files import read_candles
from application.candle_board import QUIET_WAIT_MS
from application.market_data_hub import MarketDataHub
from domain.candles import CandleBatch, CandleWindow, Interval, candle_problem
from domain.events import CandleUpdates, Event, Quotes
from tests.engine_builders import quotes_of, universe_of

GRACE_MS = 1_000
Numbers = tuple[float, float, float, float, float]


# ── recorded minutes ─────────────────────────────────────────────────────────────────────────


def test_recorded_minutes_close_as_the_venue_has_them_quiet_ones_included(shared_data: Path) -> None:
    """Of 102 symbols over two and a half days; a minute without trades is not told, as the venue does not."""
    candles = read_candles([str(shared_data / "candles/hl_perp_candles_1m.parquet")], Interval.M1)
    begin = max(int(window.open_ms[0]) for window in candles.windows)
    windows = [window for window in candles.windows if len(window.between(begin)) > 1_000]
    universe = universe_of(*(window.symbol for window in windows))
    hub = MarketDataHub(universe, Interval.M1, GRACE_MS)
    first_ms = begin + 200 * Interval.M1.ms
    hub.apply_quotes(quotes_of(first_ms + 1, {}), first_ms + 1)
    for symbol_id, window in enumerate(windows):
        hub.anchor(symbol_id, window.between(begin, first_ms))
    end_ms = min(int(window.open_ms[-1]) for window in windows)
    columns = np.stack([np.stack(window.between(begin, end_ms).columns) for window in windows], axis=2)
    taken = asked = flat = 0
    for row in range(200, columns.shape[1]):
        open_ms = begin + row * Interval.M1.ms
        ids = np.flatnonzero(columns[4, row] > 0)
        if len(ids):
            told = CandleBatch(Interval.M1, open_ms, ids, *columns[:, row, ids])
            hub.apply_updates(CandleUpdates(told, open_ms + 59_000), open_ms + 59_000)
        for wait_ms in (0, QUIET_WAIT_MS, QUIET_WAIT_MS + 1):
            for batch in hub.due(open_ms + Interval.M1.ms + GRACE_MS + wait_ms):
                place = (batch.candles.open_ms - begin) // Interval.M1.ms
                values = np.stack((batch.candles.open, batch.candles.high, batch.candles.low, batch.candles.close))
                assert (values == columns[:4, place, batch.candles.ids]).all(), "as the venue has it, flat or not"
                assert (batch.candles.volume == columns[4, place, batch.candles.ids]).all()
                taken += len(batch.candles)
                flat += int(batch.provisional.sum())
            for symbol_id in hub.candles.take_missing():
                asked += 1
                after_ms = int(hub.candles.taken[symbol_id]) + 1
                answer = windows[symbol_id].between(after_ms, open_ms + Interval.M1.ms)
                hub.candles.extend(symbol_id, answer)
    expected = (columns.shape[1] - 200) * len(windows) + len(windows)
    assert expected - taken <= 2 * len(windows), "each once"
    assert hub.candles.take_gaps() == [] and hub.candles.take_revised() == []
    silent = flat + asked
    assert flat > 10_000, "quiet minutes are real"
    assert asked < 0.15 * silent, f"{asked} of {silent} silences had to be asked about"


# ── candles from recorded trades ─────────────────────────────────────────────────────────────


@dataclass
class Fold:
    """Candles from public trades, as the venue folds them: by its own time, each trade once, the earliest opens."""

    symbol_id: int
    seen: set[int] = field(default_factory=set)
    trades: dict[int, list[tuple[int, int, float, float]]] = field(default_factory=dict)

    def add(self, rows: pd.DataFrame) -> set[int]:
        """Take one frame; the minutes that it changes."""
        changed = set()
        columns = (rows[name].tolist() for name in ("trade_id", "exchange_timestamp", "price", "size"))
        for tid, at_ms, price, size in zip(*columns, strict=True):
            if tid in self.seen:
                continue
            self.seen.add(tid)
            open_ms = Interval.M1.open_of(at_ms)
            self.trades.setdefault(open_ms, []).append((at_ms, len(self.seen), price, size))
            changed.add(open_ms)
        return changed

    def bar(self, open_ms: int) -> Numbers:
        ordered = sorted(self.trades[open_ms])
        prices = [price for _, _, price, _ in ordered]
        return prices[0], max(prices), min(prices), prices[-1], round(sum(size for *_, size in ordered), 8)

    def update(self, open_ms: int, venue_ms: int) -> CandleUpdates:
        row = (np.array([value]) for value in self.bar(open_ms))
        return CandleUpdates(CandleBatch(Interval.M1, open_ms, np.array([self.symbol_id]), *row), venue_ms)


def frames(folder: Path, kind: str, symbol: str) -> Iterator[tuple[int, str, str, pd.DataFrame]]:
    rows = pd.read_csv(folder / f"hl_{kind}_{symbol}_20250904_35min.csv.gz")
    for _, frame in rows.groupby("timestamp", sort=True):
        yield round(float(frame["timestamp"].iloc[0]) * 1000), kind, symbol, frame


def outage(times: list[int]) -> tuple[int, int]:
    """The longest silence: after which moment, and for how long."""
    gaps = np.diff(np.array(times))
    longest = int(gaps.argmax())
    return times[longest], int(gaps[longest])


def test_candles_folded_from_recorded_trades_survive_a_real_outage(shared_data: Path) -> None:
    """Thirty-five minutes of BTC and ETH, with 18 seconds in which nothing came and a backlog after them."""
    symbols = ("BTC", "ETH")
    universe = universe_of(*symbols)
    told = sorted(
        (
            frame
            for symbol in symbols
            for kind in ("prices", "trades")
            for frame in frames(shared_data / "ticks", kind, symbol)
        ),
        key=lambda each: each[0],
    )
    since_ms, silent_ms = outage([received_ms for received_ms, *_ in told])
    assert 17_000 < silent_ms < 19_000
    folds = {symbol: Fold(universe.id_of(symbol)) for symbol in symbols}
    whole = {symbol: Fold(universe.id_of(symbol)) for symbol in symbols}
    for _, kind, symbol, frame in told:
        if kind == "trades":
            whole[symbol].add(frame)
    hub = MarketDataHub(universe, Interval.M1, GRACE_MS)
    hub.apply_quotes(quotes_of(told[0][0], {}), told[0][0])
    first_ms = Interval.M1.open_of(told[0][0]) + Interval.M1.ms
    for symbol in symbols:
        hub.anchor(universe.id_of(symbol), _flat_window(symbol, first_ms))
    both = np.array([0, 1], dtype=np.intp)
    closed: dict[tuple[str, int], Numbers] = {}
    asked: set[int] = set()
    noticed = False
    for received_ms, kind, symbol, frame in told:
        if received_ms > since_ms and not noticed:
            noticed = True
            hub.candles.set_streams(both, since_ms + 5_000, running=False, silent_ms=5_000)
            for at_ms in range(since_ms + 5_000, received_ms, 200):
                asked |= _close(hub, at_ms, symbols, whole, closed)
            hub.candles.set_streams(both, received_ms, running=True)
        for event in _events(kind, frame, universe.id_of(symbol), folds[symbol], received_ms):
            if isinstance(event, Quotes):
                hub.apply_quotes(event, received_ms)
            elif isinstance(event, CandleUpdates):
                hub.apply_updates(event, received_ms)
        asked |= _close(hub, received_ms, symbols, whole, closed)
    minutes = range(first_ms, Interval.M1.open_of(told[-1][0]) - Interval.M1.ms, Interval.M1.ms)
    assert len(minutes) > 30
    broken = {Interval.M1.open_of(moment) for moment in (since_ms, since_ms + silent_ms)}
    assert asked <= broken, "only what the outage cut, and nothing that was told whole afterwards"
    revised = {(symbols[int(batch.ids[0])], batch.open_ms): batch for batch in hub.candles.take_revised()}
    for symbol in symbols:
        for open_ms in minutes:
            bar = closed[symbol, open_ms]
            assert candle_problem(*bar) is None
            final = whole[symbol].bar(open_ms)
            if (symbol, open_ms) in revised:
                held = hub.window(universe.id_of(symbol), open_ms, 1)
                bar = tuple(float(column[0]) for column in held.columns)  # type: ignore[assignment]
            assert bar == pytest.approx(final), (symbol, open_ms)
    assert len(revised) < 0.2 * len(closed)


def _flat_window(symbol: str, after_ms: int) -> CandleWindow:
    times = np.arange(after_ms - 10 * Interval.M1.ms, after_ms, Interval.M1.ms, dtype=np.int64)
    ones = [np.ones(len(times)) for _ in range(5)]
    return CandleWindow(symbol, Interval.M1, times, *ones)


def _events(kind: str, frame: pd.DataFrame, symbol_id: int, fold: Fold, received_ms: int) -> Iterator[Event]:
    venue_ms = int(frame.exchange_timestamp.max())
    if kind == "prices":
        sides = dict(zip(frame.side, frame.price, strict=False))
        if len(sides) == 2:
            yield quotes_of(venue_ms, {symbol_id: (sides["bid"], sides["ask"])})
        return
    for open_ms in sorted(fold.add(frame)):
        yield fold.update(open_ms, venue_ms)


def _close(
    hub: MarketDataHub,
    at_ms: int,
    symbols: tuple[str, ...],
    whole: dict[str, Fold],
    closed: dict[tuple[str, int], Numbers],
) -> set[int]:
    """Take what is due; answer what is asked for from all that was recorded. Returns the minutes asked for."""
    asked = set()
    for _ in range(2):
        for batch in hub.due(at_ms):
            for place, symbol_id in enumerate(batch.candles.ids.tolist()):
                key = (symbols[symbol_id], batch.candles.open_ms)
                assert key not in closed, "each once"
                assert at_ms >= batch.candles.open_ms + Interval.M1.ms
                bar = (batch.candles.open, batch.candles.high, batch.candles.low, batch.candles.close)
                closed[key] = (*(float(column[place]) for column in bar), float(batch.candles.volume[place]))  # type: ignore[assignment]
        for symbol_id in (*hub.candles.take_missing(), *hub.candles.take_gaps()):
            open_ms = int(hub.candles.taken[symbol_id]) + Interval.M1.ms
            asked.add(open_ms)
            row = (np.array([value]) for value in whole[symbols[symbol_id]].bar(open_ms))
            answer = CandleWindow(symbols[symbol_id], Interval.M1, np.array([open_ms]), *row)
            hub.candles.extend(symbol_id, answer)
    return asked
