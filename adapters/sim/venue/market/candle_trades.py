"""The trades inside a recorded candle.

A candle is cut into slots of three seconds with at most one trade each. The first slot trades at the open, two
drawn slots at the extremes, the last at the close; in between the price runs straight from one to the next, with
noise that stays inside the candle. A slot's share of the volume is a difference of a cumulative share, so that all
shares add up exactly and none needs to know the others; slots that get no whole size step do not trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from adapters.sim.noise import HashColumn, bits_16, hashed, uniform
from domain.candles import BoolColumn, CandleWindow, FloatColumn, IntColumn
from domain.instruments import MAX_PRICE_DECIMALS, MAX_SIGNIFICANT_FIGURES, Instrument

SLOT_SECONDS = 3

_LOWEST_POWER, _HIGHEST_POWER = -8, 12
_POWERS = np.array([float(f"1e{power}") for power in range(_LOWEST_POWER, _HIGHEST_POWER)])
_SCALES = np.array([10.0**places for places in range(MAX_PRICE_DECIMALS + 1)])
_NOISE = 0.15
"""Of the candle's range, how far a price strays from the straight line at most, to either side."""


class SlotTrades(NamedTuple):
    """One slot each. `steps` is 0 where nothing trades; `price` is where the market is all the same.

    `second` is the trade's second inside its slot.
    """

    second: IntColumn
    offset_ms: IntColumn
    price: FloatColumn
    steps: FloatColumn
    buys: BoolColumn
    tid: IntColumn

    def reshaped(self, shape: tuple[int, ...]) -> SlotTrades:
        return SlotTrades(
            self.second.reshape(shape),
            self.offset_ms.reshape(shape),
            self.price.reshape(shape),
            self.steps.reshape(shape),
            self.buys.reshape(shape),
            self.tid.reshape(shape),
        )


@dataclass(frozen=True, slots=True)
class CandleColumns:
    """All candles of all symbols, one row each. `rise_first`: the high comes before the low."""

    slots: int
    open_ms: IntColumn
    open: FloatColumn
    high: FloatColumn
    low: FloatColumn
    close: FloatColumn
    volume_steps: FloatColumn
    price_scale: FloatColumn
    chance: HashColumn
    rise_first: BoolColumn
    first_turn: IntColumn
    """The slot that trades at the first extreme; `second_turn` at the other."""
    second_turn: IntColumn
    must_turn_first: BoolColumn
    """Whether the first extreme is neither open nor close, and so needs a trade of its own."""
    must_turn_second: BoolColumn
    must_close: BoolColumn

    @classmethod
    def of(cls, windows: Sequence[CandleWindow], instruments: Sequence[Instrument], keys: HashColumn) -> CandleColumns:
        lengths = [len(window) for window in windows]
        decimals = np.repeat(np.array([each.size_decimals for each in instruments], dtype=np.int64), lengths)
        open_ms = np.concatenate([window.open_ms for window in windows])
        open_, high, low, close, volume = (
            np.concatenate([getattr(window, name) for window in windows])
            for name in ("open", "high", "low", "close", "volume")
        )
        slots = windows[0].interval.ms // 1_000 // SLOT_SECONDS
        chance = hashed(np.repeat(keys, lengths), open_ms // 1_000)
        rise_first = (chance & np.uint64(1)).astype(np.bool_)
        one = 1 + (bits_16(chance, 1) * (slots - 2) >> 16)
        other = 1 + (bits_16(chance, 2) * (slots - 3) >> 16)
        other += other >= one
        needs_high, needs_low = (high != open_) & (high != close), (low != open_) & (low != close)
        must_close = (open_ != close) | needs_high | needs_low
        needed = 1 + must_close.astype(np.int64) + needs_high + needs_low
        steps = np.rint(volume * 10.0**decimals)
        return cls(
            slots=slots,
            open_ms=open_ms,
            open=open_,
            high=high,
            low=low,
            close=close,
            volume_steps=np.where(volume > 0, np.maximum(steps, needed), 0.0),
            price_scale=_SCALES[price_decimals(high, MAX_PRICE_DECIMALS - decimals)],
            chance=chance,
            rise_first=rise_first,
            first_turn=np.minimum(one, other),
            second_turn=np.maximum(one, other),
            must_turn_first=np.where(rise_first, needs_high, needs_low),
            must_turn_second=np.where(rise_first, needs_low, needs_high),
            must_close=must_close,
        )

    def prices(self, rows: npt.NDArray[np.intp]) -> FloatColumn:
        """Open, high, low, close and volume in steps of some candles, stacked."""
        return np.stack((self.open[rows], self.high[rows], self.low[rows], self.close[rows], self.volume_steps[rows]))


def slot_trades(candles: CandleColumns, rows: npt.NDArray[np.intp], slots: IntColumn) -> SlotTrades:
    """What happens in these slots of these candles; candles without volume are not asked about."""
    chance = hashed(candles.chance[rows], slots + 1)
    return SlotTrades(
        second=(chance & np.uint64(0xFF)).astype(np.int64) % SLOT_SECONDS,
        offset_ms=((chance >> np.uint64(8)) & np.uint64(0xFF)).astype(np.int64) * 1_000 >> 8,
        price=_prices(candles, rows, slots, uniform(chance << np.uint64(24))),
        steps=_steps(candles, rows, slots),
        buys=(chance & np.uint64(1 << 16)).astype(np.bool_),
        tid=(hashed(chance, 1) >> np.uint64(14)).astype(np.int64),
    )


def price_decimals(price: FloatColumn, most: IntColumn) -> IntColumn:
    """How many decimals a price of this magnitude may have."""
    magnitude = np.searchsorted(_POWERS, price, side="right") - 1 + _LOWEST_POWER
    decimals: IntColumn = np.clip(MAX_SIGNIFICANT_FIGURES - 1 - magnitude, 0, most)
    return decimals


def on_tick(
    price: FloatColumn, most_decimals: IntColumn, *, above: FloatColumn | None = None, below: FloatColumn | None = None
) -> FloatColumn:
    """The tick nearest to `price`, and at least one tick `above` (or `below`) another price."""
    scale = _SCALES[price_decimals(price, most_decimals)]
    ticks = np.rint(price * scale)
    if above is not None:
        ticks = np.maximum(ticks, np.floor(above * scale + 1e-6) + 1.0)
    if below is not None:
        ticks = np.minimum(ticks, np.ceil(below * scale - 1e-6) - 1.0)
    # Rounding goes at most up to the next power of ten, which is on the coarser tick that begins there.
    found: FloatColumn = ticks / scale
    return found


def _prices(candles: CandleColumns, rows: npt.NDArray[np.intp], slots: IntColumn, chance: FloatColumn) -> FloatColumn:
    open_, high, low, close = candles.open[rows], candles.high[rows], candles.low[rows], candles.close[rows]
    turn, back, last = candles.first_turn[rows], candles.second_turn[rows], candles.slots - 1
    rise_first = candles.rise_first[rows]
    one, other = np.where(rise_first, high, low), np.where(rise_first, low, high)
    line = np.where(
        slots < turn,
        open_ + (one - open_) * (slots / turn),
        np.where(
            slots < back,
            one + (other - one) * ((slots - turn) / (back - turn)),
            other + (close - other) * ((slots - back) / (last - back)),
        ),
    )
    scale = candles.price_scale[rows]
    strayed = np.rint((line + (high - low) * _NOISE * (2.0 * chance - 1.0)) * scale) / scale
    price = np.clip(strayed, low, high)
    price = np.where(slots == 0, open_, price)
    price = np.where(slots == turn, one, price)
    price = np.where(slots == back, other, price)
    return np.where(slots == last, close, price)


def _steps(candles: CandleColumns, rows: npt.NDArray[np.intp], slots: IntColumn) -> FloatColumn:
    must = (
        (slots == 0)
        | (candles.must_turn_first[rows] & (slots == candles.first_turn[rows]))
        | (candles.must_turn_second[rows] & (slots == candles.second_turn[rows]))
        | (candles.must_close[rows] & (slots == candles.slots - 1))
    )
    needed = (
        1 + candles.must_turn_first[rows].astype(np.int64) + candles.must_turn_second[rows] + candles.must_close[rows]
    )
    free = candles.volume_steps[rows] - needed
    upto, before = (_cumulative(candles, rows, slots + ahead) for ahead in (1, 0))
    steps: FloatColumn = np.floor(free * upto) - np.floor(free * before) + must
    return steps


def _cumulative(candles: CandleColumns, rows: npt.NDArray[np.intp], slots: IntColumn) -> FloatColumn:
    """The share of the volume that has traded before a slot: it rises, unevenly, from 0 to exactly 1."""
    uneven = uniform(hashed(candles.chance[rows], -1 - slots))
    inner = (slots > 0) & (slots < candles.slots)
    return np.where(inner, (slots + uneven - 0.5) / candles.slots, slots / candles.slots)
