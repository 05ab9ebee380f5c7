"""A set of candles as the frames that a market with these candles could have sent.

Each candle is told in four states at even distances, open, the nearer extreme, the other extreme, close (a rising
candle falls first, a falling one rises first), and each state with a quote of one tick around it. What
happened between is not known and not invented. A candle without trades is not told, as the venue does not; its
quotes are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

import numpy as np

from adapters.recordings.frames import RecordedFrame, refusal
from adapters.recordings.recording import Recording
from adapters.recordings.survey import Figures
from adapters.recordings.timing import LATENCY_MS
from adapters.recordings.wire import bbo_text, candle_text, level_text
from domain.candles import Interval
from domain.instruments import Instrument, exact_price
from ports.datasets import CandleSet

STATES = 4


def candle_recording(
    candles: CandleSet, instruments: Sequence[Instrument], *, latency_ms: int = LATENCY_MS
) -> Recording:
    """Make a recording of candles on one connection. `instruments` give the ticks, one for every symbol of the set.

    Raises `DatasetError` for a set without a candle.
    """
    if not candles.bars:
        raise refusal("candles", "the set holds no candle", "there is nothing to tell", "name other files or symbols")
    known = {instrument.symbol: instrument for instrument in instruments}
    assert all(symbol in known for symbol in candles.symbols), "every symbol has its rules"
    ordered = [known[symbol] for symbol in candles.symbols]
    opens = [int(window.open_ms[place]) for window in candles.windows for place in (0, -1)]
    told = sum(int(np.count_nonzero(window.volume > 0)) for window in candles.windows)
    interval = candles.interval

    return Recording(
        symbols=candles.symbols,
        first_ms=min(opens) + latency_ms,
        last_ms=max(opens) + _state_ms(interval, STATES - 1) + latency_ms,
        counts={"candle": STATES * told},
        derived={"bbo": candles.symbols},
        rebuilt=("candle",),
        unreadable={},
        skipped=(),
        mended=(),
        sources=candles.sources,
        figures=_figures(ordered),
        start=lambda: _frames(candles, ordered, latency_ms),
    )


def _figures(instruments: Sequence[Instrument]) -> Mapping[str, Figures]:
    return {instrument.symbol: Figures(size_decimals=instrument.size_decimals) for instrument in instruments}


def _state_ms(interval: Interval, state: int) -> int:
    return interval.ms * state // STATES


@dataclass(slots=True)
class _Told:
    """One candle in its four states; `prices` are where it stands at each."""

    instrument: Instrument
    prices: tuple[Decimal, ...]
    volume: Decimal


def _frames(candles: CandleSet, instruments: Sequence[Instrument], latency_ms: int) -> Iterator[RecordedFrame]:
    interval = candles.interval
    for batch in candles.batches():
        columns = (batch.open, batch.high, batch.low, batch.close, batch.volume)
        rows = zip(batch.ids.tolist(), *(column.tolist() for column in columns), strict=True)
        running = [_told(instruments[place], *numbers) for place, *numbers in rows]
        for state in range(STATES):
            venue_ms = batch.open_ms + _state_ms(interval, state)
            at_ms = venue_ms + latency_ms
            for each in running:
                yield RecordedFrame(at_ms, 0, _quote(each, state, venue_ms))
                if each.volume:
                    yield RecordedFrame(at_ms, 0, _candle(each, state, batch.open_ms, interval))


def _told(instrument: Instrument, o: float, h: float, l: float, c: float, v: float) -> _Told:  # noqa: E741
    prices = (o, l, h, c) if c >= o else (o, h, l, c)
    return _Told(instrument, tuple(exact_price(price) for price in prices), exact_price(v))


def _candle(told: _Told, state: int, open_ms: int, interval: Interval) -> str:
    so_far = told.prices[: state + 1]
    prices = [_text(price) for price in (so_far[0], max(so_far), min(so_far), so_far[-1])]
    volume = told.volume
    if state < STATES - 1:
        volume = (volume * (state + 1) / STATES).quantize(volume, rounding=ROUND_DOWN)
    return candle_text(told.instrument.symbol, interval, open_ms, prices, _text(volume), state + 1)


def _quote(told: _Told, state: int, venue_ms: int) -> str:
    """The last price is the bid, the ask one tick above it: nothing in a candle says more."""
    bid = told.prices[state]
    ask = bid + told.instrument.tick_at(bid)
    size = _text(max(told.volume, told.instrument.size_step))
    levels = (level_text(_text(price), size) for price in (bid, ask))
    return bbo_text(told.instrument.symbol, venue_ms, *levels)


def _text(number: Decimal) -> str:
    """As the venue writes it: no exponent, no idle zeros, but `.0` after whole numbers."""
    text = format(number.normalize(), "f")
    return text if "." in text else f"{text}.0"
