"""When candles close, what the hub then holds, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from application.candle_board import QUIET_WAIT_MS, RING_CANDLES, ClosedBatch
from application.market_data_hub import MarketDataHub, PriceView
from domain.candles import Interval
from tests.engine_builders import MINUTE_MS, START_MS, Bar, flat_bar, quotes_of, universe_of, updates_of, window_of

GRACE_MS = 1_000
BTC, ETH = 0, 1


class Hub:
    """A hub on one-minute candles whose symbols are anchored; the last candle of their history is taken."""

    def __init__(self, *symbols: str, anchored: bool = True, on_close: bool = True) -> None:
        self.universe = universe_of(*(symbols or ("BTC", "ETH")))
        self.hub = MarketDataHub(self.universe, Interval.M1, GRACE_MS, on_close=on_close)
        if anchored:
            self.hub.apply_quotes(quotes_of(START_MS + 500, {}), START_MS + 500)
            for symbol_id in range(len(self.universe)):
                self.anchor(symbol_id, START_MS - MINUTE_MS)
            self.at(START_MS + GRACE_MS + QUIET_WAIT_MS)

    def anchor(self, symbol_id: int, last_open_ms: int, closes: Sequence[float] = (99.0, 100.0)) -> None:
        self.hub.anchor(symbol_id, window_of(self.universe.symbols[symbol_id], last_open_ms, closes))

    def update(self, open_ms: int, bars: dict[int, Bar], venue_ms: int) -> None:
        self.hub.apply_updates(updates_of(open_ms, bars, venue_ms), venue_ms)

    def at(self, at_ms: int) -> list[tuple[int, list[int]]]:
        """What closes at this moment: open time and symbols of each batch."""
        return [(batch.candles.open_ms, batch.candles.ids.tolist()) for batch in self.hub.due(at_ms)]

    def batches(self, at_ms: int) -> list[ClosedBatch]:
        return self.hub.due(at_ms)


def revised(hub: Hub) -> list[int]:
    """Symbols of the candles that changed after they were taken."""
    return [symbol_id for batch in hub.hub.candles.take_revised() for symbol_id in batch.ids.tolist()]


def candle(number: int) -> int:
    """Open time of the n-th candle from the start."""
    return START_MS + number * MINUTE_MS


def close_of(number: int) -> int:
    """The first moment at which the n-th candle may be taken."""
    return candle(number + 1) + GRACE_MS


# ── closing ──────────────────────────────────────────────────────────────────────────────────


def test_a_candle_closes_at_its_end_plus_the_grace_and_not_a_millisecond_before() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 30_000)
    assert not hub.hub.is_due(close_of(0) - 1) and hub.at(close_of(0) - 1) == []
    assert hub.hub.is_due(close_of(0))
    assert hub.at(close_of(0)) == [(candle(0), [BTC, ETH])]
    assert hub.at(close_of(0)) == [] and not hub.hub.is_due(close_of(0))


def test_a_candle_that_is_followed_by_the_next_still_waits_for_the_grace() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 30_000)
    hub.update(candle(1), {BTC: flat_bar(101)}, candle(1) + 10)
    assert hub.at(close_of(0) - 1) == []
    assert hub.at(close_of(0)) == [(candle(0), [BTC])]


def test_without_waiting_for_the_close_there_is_no_grace_and_still_nothing_unfinished() -> None:
    hub = Hub("BTC", on_close=False)
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 30_000)
    assert hub.at(candle(1) - 1) == []
    assert hub.at(candle(1)) == [(candle(0), [BTC])]


def test_symbols_that_close_together_are_one_batch_and_a_straggler_a_late_one() -> None:
    hub = Hub("BTC", "ETH", "SOL")
    hub.update(candle(0), {0: flat_bar(100), 1: flat_bar(10)}, candle(0) + 1)
    assert [(batch.batch_no, batch.candles.ids.tolist()) for batch in hub.batches(close_of(0))] == [(0, [0, 1])]
    hub.update(candle(0), {2: flat_bar(5)}, close_of(0) + 10)
    assert [(batch.batch_no, batch.candles.ids.tolist()) for batch in hub.batches(close_of(0) + 10)] == [(1, [2])]


def test_the_newest_state_of_a_candle_is_the_one_that_closes() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: (100, 100, 100, 100, 1)}, candle(0) + 1)
    hub.update(candle(0), {BTC: (100, 103, 99, 102, 4)}, candle(0) + 2)
    hub.update(candle(0), {BTC: (100, 101, 100, 101, 2)}, candle(0) + 3)  # older: less volume
    (batch,) = hub.batches(close_of(0))
    assert [column.tolist() for column in (batch.candles.high, batch.candles.close, batch.candles.volume)] == [
        [103],
        [102],
        [4],
    ]
    assert revised(hub) == []


def test_several_candles_that_closed_meanwhile_come_oldest_first() -> None:
    hub = Hub("BTC")
    for number in (1, 0, 2):
        hub.update(candle(number), {BTC: flat_bar(100 + number)}, candle(2) + 5)
    assert hub.at(close_of(2)) == [(candle(0), [BTC]), (candle(1), [BTC]), (candle(2), [BTC])]


def test_a_symbol_that_is_not_anchored_is_never_taken() -> None:
    hub = Hub(anchored=False)
    hub.anchor(BTC, candle(-1))
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 1)
    assert hub.at(close_of(0)) == [(candle(-1), [BTC]), (candle(0), [BTC])]
    hub.hub.drop(BTC)
    hub.update(candle(1), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(1) + 1)
    assert hub.at(close_of(1)) == []
    assert hub.hub.candles.take_gaps() == []


# ── quiet symbols, dead feeds, gaps ──────────────────────────────────────────────────────────


def test_a_quiet_symbol_closes_flat_after_the_wait() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: (100, 105, 95, 103, 7)}, candle(0) + 1)
    assert hub.at(close_of(0)) == [(candle(0), [BTC])]
    assert hub.at(close_of(0) + QUIET_WAIT_MS - 1) == []
    (batch,) = hub.batches(close_of(0) + QUIET_WAIT_MS)
    flat = batch.candles
    assert flat.ids.tolist() == [ETH] and batch.provisional.tolist() == [True] and batch.batch_no == 1
    assert [float(column[0]) for column in (flat.open, flat.high, flat.low, flat.close, flat.volume)] == [
        100,
        100,
        100,
        100,
        0,
    ]
    assert len(batch.traded()) == 0


def test_a_symbol_may_be_quiet_for_long_and_stands_at_its_last_close_throughout() -> None:
    hub = Hub()
    for number in range(5):
        hub.update(candle(number), {BTC: flat_bar(100 + number)}, candle(number) + 1)
        taken = [pair for wait in (0, QUIET_WAIT_MS) for pair in hub.at(close_of(number) + wait)]
        assert taken == [(candle(number), [BTC]), (candle(number), [ETH])]
    window = hub.hub.window(ETH, candle(4))
    assert window.close.tolist() == [99, 100, 100, 100, 100, 100, 100]
    assert hub.hub.candles.take_gaps() == []


def test_a_span_in_which_nobody_traded_is_a_dead_feed_and_not_a_quiet_market() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 1)
    assert len(hub.at(close_of(0))) == 1
    assert hub.at(close_of(1) + QUIET_WAIT_MS) == []
    hub.update(candle(2), {BTC: flat_bar(100)}, candle(2) + 1)
    assert hub.at(close_of(2)) == []
    assert hub.hub.candles.take_gaps() == [BTC]
    assert hub.hub.candles.take_gaps() == []


def test_a_quiet_symbol_behind_a_dead_feed_falls_out_too() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 1)
    hub.at(close_of(0))
    hub.update(candle(2), {BTC: flat_bar(100)}, candle(2) + 1)
    assert hub.at(close_of(2) + QUIET_WAIT_MS) == []
    assert sorted(hub.hub.candles.take_gaps()) == [BTC, ETH]


def test_a_symbol_that_fell_out_is_not_taken_until_it_is_anchored_again() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    hub.at(close_of(0))
    for number in (2, 3):
        hub.update(candle(number), {BTC: flat_bar(100)}, candle(number) + 1)
        assert hub.at(close_of(number)) == []
    assert hub.hub.candles.take_gaps() == [BTC]
    hub.update(candle(4), {BTC: flat_bar(104)}, candle(4) + 1)
    hub.anchor(BTC, candle(3))
    assert hub.at(close_of(3) + 1) == [(candle(3), [BTC])]
    assert hub.at(close_of(4)) == [(candle(4), [BTC])]


def test_an_anchor_far_back_catches_up_in_order() -> None:
    hub = Hub("BTC", "ETH")
    for number in range(4):
        hub.update(candle(number), {BTC: flat_bar(100), ETH: flat_bar(10 + number)}, candle(number) + 1)
        if number:
            hub.at(close_of(number - 1))
    hub.hub.drop(ETH)
    hub.anchor(ETH, candle(0))
    assert hub.at(candle(3) + 5_000) == [(candle(number), [ETH]) for number in (0, 1, 2)]
    assert hub.at(close_of(3)) == [(candle(3), [BTC, ETH])]


def test_an_anchor_leaves_newer_candles_of_the_ring_alone() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: (100, 101, 99, 100.5, 3)}, candle(0) + 1)
    hub.anchor(BTC, candle(-1), [90.0] * (RING_CANDLES + 50))  # one that fills the whole ring
    hub.at(candle(0) + 5_000)
    (batch,) = hub.batches(close_of(0))
    assert batch.candles.close.tolist() == [100.5] and not batch.provisional.any()


def test_what_stood_flat_is_not_taken_for_fact_after_a_new_anchor() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    hub.at(close_of(0) + QUIET_WAIT_MS)
    hub.hub.drop(ETH)
    hub.anchor(ETH, candle(-1))
    batches = hub.batches(close_of(0) + QUIET_WAIT_MS + 1)
    assert [(batch.candles.open_ms, batch.provisional.tolist()) for batch in batches] == [
        (candle(-1), [False]),
        (candle(0), [True]),
    ]


# ── revisions ────────────────────────────────────────────────────────────────────────────────


def test_a_late_revision_is_kept_and_told_and_never_taken_again() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: (100, 101, 99, 100, 3)}, candle(0) + 1)
    hub.at(close_of(0))
    hub.update(candle(0), {BTC: (100, 101, 98, 99, 4)}, close_of(0) + 1)
    assert hub.at(close_of(0) + 2) == []
    assert revised(hub) == [BTC] and revised(hub) == []
    assert hub.hub.window(BTC, candle(0)).last(1).low.tolist() == [98]


def test_the_same_candle_again_is_no_revision() -> None:
    hub = Hub("BTC")
    for venue_ms in (candle(0) + 1, close_of(0) + 1, close_of(0) + 2):
        hub.update(candle(0), {BTC: (100, 101, 99, 100, 3)}, venue_ms)
        hub.at(venue_ms)
    hub.update(candle(0), {BTC: (100, 100, 99, 99, 2)}, close_of(0) + 3)  # a state from before the end, late
    assert revised(hub) == []


def test_a_trade_told_after_its_span_stood_flat_is_a_revision() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    hub.at(close_of(0) + QUIET_WAIT_MS)
    hub.update(candle(0), {ETH: flat_bar(101)}, close_of(0) + QUIET_WAIT_MS + 1)
    assert revised(hub) == [ETH]
    assert hub.at(close_of(0) + QUIET_WAIT_MS + 2) == []


def test_the_venues_own_flat_candle_for_a_quiet_span_is_no_revision() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    hub.at(close_of(0) + QUIET_WAIT_MS)
    hub.update(candle(0), {ETH: flat_bar(100, volume=0)}, close_of(0) + QUIET_WAIT_MS + 1)
    assert revised(hub) == []


# ── impossible times ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ahead_ms", [1, MINUTE_MS, 10 * MINUTE_MS])
def test_a_candle_that_has_not_begun_is_refused(ahead_ms: int) -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    key = hub.hub.candle_key("BTC", candle(0) + 2)
    venue_ms = candle(1) - ahead_ms if ahead_ms < MINUTE_MS else candle(0) + 3
    number = 1 if ahead_ms <= MINUTE_MS else 10
    hub.update(candle(number), {BTC: flat_bar(999)}, venue_ms)
    assert hub.hub.candle_key("BTC", venue_ms) == key
    assert hub.at(venue_ms) == []
    (batch,) = hub.batches(close_of(0))
    assert batch.candles.close.tolist() == [100]


def test_a_candle_off_the_grid_is_refused_and_the_others_still_close() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 40_000)
    hub.update(candle(0) + 30_000, {ETH: flat_bar(666)}, candle(0) + 40_001)
    assert hub.at(close_of(0)) == [(candle(0), [BTC])]
    (batch,) = hub.batches(close_of(0) + QUIET_WAIT_MS)
    assert batch.candles.close.tolist() == [100] and batch.provisional.all()


def test_a_candle_from_before_the_ring_changes_nothing() -> None:
    hub = Hub(anchored=False)
    hub.anchor(BTC, candle(-1))
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 1)
    before = hub.hub.window(ETH, candle(0)).close.tolist()
    hub.update(candle(-RING_CANDLES), {ETH: flat_bar(5)}, candle(0) + 2)
    hub.update(0, {ETH: flat_bar(5)}, candle(0) + 2)
    assert hub.hub.window(ETH, candle(0)).close.tolist() == before == [10]
    assert hub.at(close_of(0)) == [(candle(-1), [BTC]), (candle(0), [BTC])]


def test_candles_of_another_interval_are_a_bug_of_ours() -> None:
    hub = Hub("BTC")
    with pytest.raises(AssertionError, match="another interval"):
        hub.hub.apply_updates(updates_of(candle(0), {BTC: flat_bar(100)}, candle(0) + 1, Interval.M5), candle(0) + 1)


def test_a_venue_stamp_from_the_past_does_not_turn_time_back() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 50_000)
    hub.hub.apply_quotes(quotes_of(candle(0) + 20_000, {BTC: (1, 2)}), candle(0) + 50_001)
    assert hub.hub.venue_ms(candle(0) + 50_001) == candle(0) + 50_001


@pytest.mark.parametrize("skew_ms", [-7_200_000, 0, 7_200_000])
def test_a_wrong_clock_of_ours_closes_nothing_early_or_late(skew_ms: int) -> None:
    hub = Hub("BTC", anchored=False)
    hub.hub.apply_quotes(quotes_of(candle(0), {}), candle(0) + skew_ms)
    hub.anchor(BTC, candle(-1))
    hub.at(close_of(-1) + skew_ms)
    hub.hub.apply_updates(updates_of(candle(0), {BTC: flat_bar(100)}, candle(0) + 10_000), candle(0) + 10_000 + skew_ms)
    assert hub.at(close_of(0) + skew_ms - 1) == []
    assert hub.at(close_of(0) + skew_ms) == [(candle(0), [BTC])]


# ── keys ─────────────────────────────────────────────────────────────────────────────────────


def test_there_is_no_key_before_the_first_candle() -> None:
    assert Hub(anchored=False).hub.candle_key("BTC", START_MS) is None


def test_a_key_is_the_close_time_of_the_last_closed_candle() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    assert hub.hub.candle_key("BTC", close_of(0) - 1) == candle(0) - 1
    assert hub.hub.candle_key("BTC", close_of(0)) == candle(1) - 1


def test_a_later_candle_closes_the_one_before_it() -> None:
    hub = Hub("BTC")
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    hub.update(candle(1), {BTC: flat_bar(100)}, candle(1) + 1)
    assert hub.hub.candle_key("BTC", candle(1) + 1) == candle(1) - 1


def test_without_waiting_for_the_close_the_key_is_the_newest_candles_open_time() -> None:
    hub = Hub("BTC", on_close=False)
    hub.update(candle(0), {BTC: flat_bar(100)}, candle(0) + 1)
    assert hub.hub.candle_key("BTC", candle(0) + 1) == candle(0)


def test_a_quiet_symbols_key_moves_on_when_its_flat_candle_is_taken() -> None:
    hub = Hub()
    for number in (0, 1):
        hub.update(candle(number), {BTC: flat_bar(100)}, candle(number) + 1)
        hub.at(close_of(number) + QUIET_WAIT_MS)
        assert hub.hub.candle_key("ETH", close_of(number) + QUIET_WAIT_MS) == candle(number + 1) - 1


def test_a_key_does_not_go_back_when_an_older_history_arrives() -> None:
    hub = Hub()
    for number in (0, 1):
        hub.update(candle(number), {BTC: flat_bar(100)}, candle(number) + 1)
        hub.at(close_of(number) + QUIET_WAIT_MS)
    now = close_of(1) + QUIET_WAIT_MS
    key = hub.hub.candle_key("ETH", now)
    hub.hub.drop(ETH)
    hub.anchor(ETH, candle(-1))
    assert hub.hub.candle_key("ETH", now) == key


# ── idle ─────────────────────────────────────────────────────────────────────────────────────


class _Untouchable(np.ndarray[tuple[int, ...], np.dtype[np.int64]]):
    """An array that fails any use."""

    def __getitem__(self, place: object) -> Any:
        raise AssertionError("an idle look touched a column")

    def __array_ufunc__(self, *args: object, **kwargs: object) -> object:
        raise AssertionError("an idle look computed with a column")


def test_a_look_with_nothing_due_touches_no_column() -> None:
    hub = Hub(*(f"S{number}" for number in range(500)))
    hub.update(candle(0), {number: flat_bar(100) for number in range(500)}, candle(0) + 1)
    guarded = 0
    for part in (hub.hub.candles, hub.hub.candles.ring, hub.hub.quotes):
        for name, value in vars(part).items():
            if isinstance(value, np.ndarray):
                setattr(part, name, value.view(_Untouchable))
                guarded += 1
    assert guarded >= 6
    for at_ms in range(candle(0) + 5_000, close_of(0), 200):
        assert not hub.hub.is_due(at_ms) and hub.hub.due(at_ms) == []
    with pytest.raises(AssertionError, match="idle look"):
        hub.hub.due(close_of(0))


# ── the ring ─────────────────────────────────────────────────────────────────────────────────


def test_the_ring_wraps_around_and_keeps_what_it_promises() -> None:
    hub = Hub("BTC")
    total = RING_CANDLES + 30
    for number in range(total):
        hub.update(candle(number), {BTC: flat_bar(100 + number)}, candle(number) + 1)
        assert hub.at(close_of(number)) == [(candle(number), [BTC])]
    window = hub.hub.window(BTC, candle(total - 1))
    assert len(window) == RING_CANDLES
    assert window.close.tolist() == [100.0 + number for number in range(30, total)]
    assert np.diff(window.open_ms).tolist() == [MINUTE_MS] * (RING_CANDLES - 1)
    assert not window.close.flags.writeable
    assert len(hub.hub.window(BTC, candle(total - 1), RING_CANDLES * 2)) == RING_CANDLES
    assert len(hub.hub.window(BTC, candle(total + 5))) == 0


def test_a_window_ends_where_the_candles_have_a_hole() -> None:
    hub = Hub("BTC")
    for number in (0, 1, 3, 4):
        hub.update(candle(number), {BTC: flat_bar(100 + number)}, candle(4) + 1)
    assert hub.hub.window(BTC, candle(4), 10).close.tolist() == [103, 104]


def test_a_long_sleep_wakes_up_with_a_gap_and_not_with_old_candles() -> None:
    hub = Hub()
    hub.update(candle(0), {BTC: flat_bar(100), ETH: flat_bar(10)}, candle(0) + 1)
    hub.at(close_of(0))
    later = 3 * RING_CANDLES
    hub.update(candle(later), {BTC: flat_bar(500), ETH: flat_bar(50)}, candle(later) + 1)
    assert hub.at(close_of(later)) == []
    assert sorted(hub.hub.candles.take_gaps()) == [BTC, ETH]


# ── prices ───────────────────────────────────────────────────────────────────────────────────


def test_a_price_is_the_mid_with_its_age_in_venue_time() -> None:
    hub = Hub("BTC")
    hub.hub.apply_quotes(quotes_of(candle(0) + 5_000, {BTC: (100, 102)}), candle(0) + 5_000)
    assert hub.hub.price(BTC, candle(0) + 7_500) == PriceView(101.0, "mid", 2_500)


def test_without_a_quote_the_price_is_the_last_closed_candles() -> None:
    hub = Hub("BTC")
    assert hub.hub.price(BTC, candle(0) + 2_000) == PriceView(100.0, "candle", 2_000)
    assert Hub(anchored=False).hub.price(BTC, START_MS) is None


@pytest.mark.parametrize("quote", [(0.0, 101.0), (100.0, 0.0), (102.0, 101.0), (np.nan, 101.0), (100.0, np.inf)])
def test_a_crossed_or_one_sided_quote_leaves_the_last_good_one(quote: tuple[float, float]) -> None:
    hub = Hub()
    hub.hub.apply_quotes(quotes_of(candle(0) + 5_000, {BTC: (100, 102), ETH: (9, 11)}), candle(0) + 5_000)
    hub.hub.apply_quotes(quotes_of(candle(0) + 6_000, {BTC: quote, ETH: (11, 13)}), candle(0) + 6_000)
    assert hub.hub.price(BTC, candle(0) + 6_000) == PriceView(101.0, "mid", 1_000)
    assert hub.hub.price(ETH, candle(0) + 6_000) == PriceView(12.0, "mid", 0)


def test_an_older_quote_does_not_replace_a_newer_one() -> None:
    hub = Hub("BTC")
    hub.hub.apply_quotes(quotes_of(candle(0) + 5_000, {BTC: (100, 102)}), candle(0) + 5_000)
    hub.hub.apply_quotes(quotes_of(candle(0) + 4_000, {BTC: (50, 52)}), candle(0) + 5_100)
    assert hub.hub.price(BTC, candle(0) + 5_100) == PriceView(101.0, "mid", 100)


def test_quotes_that_stopped_give_way_to_candles_that_go_on() -> None:
    hub = Hub("BTC")
    hub.hub.apply_quotes(quotes_of(candle(0) + 5_000, {BTC: (100, 100)}), candle(0) + 5_000)
    hub.update(candle(0), {BTC: flat_bar(90)}, candle(0) + 50_000)
    hub.at(close_of(0))
    view = hub.hub.price(BTC, close_of(0))
    assert view is not None and view.source == "mid", "the quote may be from after the candle's last trade"
    hub.update(candle(1), {BTC: flat_bar(80)}, candle(1) + 50_000)
    hub.at(close_of(1))
    assert hub.hub.price(BTC, close_of(1)) == PriceView(80.0, "candle", GRACE_MS)


def test_a_quiet_symbols_quote_is_still_its_price() -> None:
    hub = Hub()
    hub.hub.apply_quotes(quotes_of(candle(0) + 5_000, {ETH: (10, 12)}), candle(0) + 5_000)
    for number in range(4):
        hub.update(candle(number), {BTC: flat_bar(100)}, candle(number) + 6_000)
        hub.at(close_of(number) + QUIET_WAIT_MS)
    view = hub.hub.price(ETH, close_of(3))
    assert view is not None and (view.price, view.source) == (11.0, "mid")


# ── closed candles of a data set ─────────────────────────────────────────────────────────────


def test_candles_of_a_data_set_are_taken_as_they_come() -> None:
    hub = Hub("BTC", anchored=False)
    for number in range(3):
        batch = hub.hub.close(updates_of(candle(number), {BTC: flat_bar(100 + number)}, 0).candles, candle(number + 1))
        assert batch.candles.open_ms == candle(number) and batch.batch_no == 0 and not batch.provisional.any()
    assert hub.hub.price(BTC, candle(3)) == PriceView(102.0, "candle", 0)
    assert not hub.hub.is_due(candle(10))
